//! What recorded runs are judged by: metrics, the parts they play, and how much a keep takes.

use anyhow::{Context, bail};
use uplift_cycle::judge::Question;
use uplift_cycle::trial::covariates;
use uplift_model::metric::{CustomMetric, Direction, Measure, MetricSpec, Roles, ScoreKind, ScoreSource};
use uplift_model::policy::trial::{KeepOn, KeepRequires, OnInconclusive, TrialPolicy};

use super::select::Chosen;

/// Options of all commands that judge.
#[derive(Debug, Clone, clap::Args)]
// Without a group of their own: the names of groups must differ within a command.
#[group(skip)]
pub(crate) struct Criteria {
    /// Declared score: NAME[:higher|lower[:boolean|number[:MARGIN[:WEIGHT]]]]
    #[arg(long)]
    pub(crate) metric: Vec<String>,
    /// Relative margin of non-inferiority, above 0 and below 1
    #[arg(long)]
    pub(crate) margin: Option<f64>,
    /// What the change is for: success, errors, duration, tokens, cost or a declared score (comma-separated)
    #[arg(long, value_delimiter = ',', default_value = "success")]
    pub(crate) goal: Vec<String>,
    /// Exactly these metrics can veto, and no costs count; by default success and errors, with the rest as costs
    #[arg(long, value_delimiter = ',')]
    pub(crate) guardrails: Option<Vec<String>>,
    /// Strength a keep needs: supported or proven
    #[arg(long, default_value = "supported")]
    pub(crate) keep_requires: String,
    /// Keep what is shown to be not worse, even if no goal is better
    #[arg(long)]
    pub(crate) not_worse: bool,
}

impl Criteria {
    /// Checks what can be checked before there are runs.
    ///
    /// # Errors
    ///
    /// Unknown metrics and values out of range.
    pub(crate) fn check(&self, min_units: Option<u64>) -> anyhow::Result<()> {
        let none = Chosen { control: Vec::new(), candidate: Vec::new(), crossed: 0 };
        self.question(&none, None, min_units).map(|_| ())
    }

    /// The options that say the same, for another command.
    pub(crate) fn options(&self) -> Vec<String> {
        let mut options = Vec::new();
        let mut option = |name: &str, value: String| options.extend([name.to_owned(), value]);
        for metric in &self.metric {
            option("--metric", metric.clone());
        }
        if let Some(margin) = self.margin {
            option("--margin", margin.to_string());
        }
        option("--goal", self.goal.join(","));
        if let Some(guardrails) = &self.guardrails {
            option("--guardrails", guardrails.join(","));
        }
        option("--keep-requires", self.keep_requires.clone());
        if self.not_worse {
            options.push("--not-worse".to_owned());
        }
        options
    }

    /// The declared scores.
    ///
    /// # Errors
    ///
    /// A declaration that cannot be read.
    fn declared(&self) -> anyhow::Result<Vec<CustomMetric>> {
        self.metric
            .iter()
            .filter(|text| Measure::built_in(text).is_none())
            .map(|text| declaration(text).with_context(|| format!("--metric {text}")))
            .collect()
    }

    /// What to judge by.
    ///
    /// # Errors
    ///
    /// Unknown metrics and values out of range.
    pub(crate) fn question(
        &self,
        chosen: &Chosen,
        share: Option<f64>,
        min_units: Option<u64>,
    ) -> anyhow::Result<Question> {
        let mut measures = vec![Measure::Success, Measure::Errors, Measure::Duration, Measure::Tokens, Measure::Cost];
        measures.extend(self.declared()?.into_iter().map(Measure::Custom));
        let find = |name: &String| -> anyhow::Result<Measure> {
            let built_in = Measure::built_in(name);
            let known = built_in.or_else(|| measures.iter().find(|measure| measure.name() == name).cloned());
            known.with_context(|| format!("there is no metric {name}; declare it with --metric"))
        };
        let goals = self.goal.iter().map(find).collect::<anyhow::Result<Vec<_>>>()?;
        let guardrails = match &self.guardrails {
            Some(names) => {
                let named = names.iter().filter(|name| !name.is_empty());
                Some(named.map(find).collect::<anyhow::Result<Vec<_>>>()?)
            }
            None => None,
        };
        let metrics = measures
            .into_iter()
            .map(|measure| {
                // An amount that nobody reported cannot cost anything.
                let reported = chosen.reports(&measure);
                let goal = goals.contains(&measure);
                let roles = match &guardrails {
                    Some(named) => Roles { goal, guardrail: named.contains(&measure), cost: false },
                    None => Roles {
                        goal,
                        guardrail: !measure.is_amount() && (reported || measure == Measure::Success),
                        cost: measure.is_amount() && reported && !goal,
                    },
                };
                MetricSpec { measure, roles }
            })
            .collect();
        if share.is_some_and(|share| !(share > 0.0 && share < 1.0)) {
            bail!("--share must be above 0 and below 1");
        }
        let policy = self.policy(min_units)?;
        // Recorded runs have no history but control's runs.
        let history: Vec<_> = chosen.control.iter().map(|run| &run.outcome).collect();
        let predictor = covariates::predictor(&history, policy.baseline_minimum);
        Ok(Question { metrics, policy, share, crossed: chosen.crossed, predictor })
    }

    fn policy(&self, min_units: Option<u64>) -> anyhow::Result<TrialPolicy> {
        let mut policy = TrialPolicy { on_inconclusive: OnInconclusive::Rollback, ..TrialPolicy::default() };
        policy.margin = self.margin.unwrap_or(policy.margin);
        policy.min_units_per_arm = min_units.unwrap_or(policy.min_units_per_arm);
        policy.keep_requires = match self.keep_requires.as_str() {
            "supported" => KeepRequires::Supported,
            "proven" => KeepRequires::Proven,
            other => bail!("--keep-requires is {other}: it must be supported or proven"),
        };
        if self.not_worse {
            policy.keep_on = KeepOn::NotWorse;
        }
        policy.validate()?;
        Ok(policy)
    }
}

fn declaration(text: &str) -> anyhow::Result<CustomMetric> {
    let mut parts = text.split(':');
    let name = parts.next().filter(|name| !name.is_empty()).context("a score needs a name")?;
    let direction = match parts.next() {
        None | Some("higher") => Direction::Higher,
        Some("lower") => Direction::Lower,
        Some(other) => bail!("{other} is no direction: higher or lower"),
    };
    let kind = match parts.next() {
        None | Some("number") => ScoreKind::Number,
        Some("boolean") => ScoreKind::Boolean,
        Some(other) => bail!("{other} is no kind: boolean or number"),
    };
    let number = |part: Option<&str>| -> anyhow::Result<Option<f64>> {
        part.map(|text| text.parse::<f64>().with_context(|| format!("{text} is no number"))).transpose()
    };
    let margin = number(parts.next())?;
    let weight = number(parts.next())?.unwrap_or(1.0);
    if margin.is_some_and(|margin| !(margin > 0.0 && margin < 1.0)) {
        bail!("the margin must be above 0 and below 1");
    }
    if !(weight.is_finite() && weight > 0.0) {
        bail!("the weight must be above 0");
    }
    Ok(CustomMetric {
        name: name.to_owned(),
        kind,
        direction,
        weight,
        margin,
        source: ScoreSource::Environment,
        attribution_window_ms: 0.0,
    })
}
