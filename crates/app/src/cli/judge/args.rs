//! What can be asked for on the command line.

use std::path::PathBuf;

use anyhow::{Context, bail};
use uplift_cycle::judge::Question;
use uplift_cycle::trial::covariates;
use uplift_model::metric::{CustomMetric, Direction, Measure, MetricSpec, Roles, ScoreKind, ScoreSource};
use uplift_model::policy::trial::{KeepOn, KeepRequires, OnInconclusive, TrialPolicy};

use super::select::Chosen;

/// Arguments.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Recorded runs: NDJSON events, plain or gzipped
    pub(crate) runs: Vec<PathBuf>,
    /// Field that names the arm, such as attributes.variant
    #[arg(long)]
    pub(crate) split: Option<String>,
    /// Control: a value of --split, a filter (attributes.variant=A,attributes.trial=0), or a file of runs
    #[arg(long)]
    pub(crate) control: String,
    /// Candidate: as for --control
    #[arg(long)]
    pub(crate) candidate: String,
    /// Field that names the piece of work that both arms did
    #[arg(long, default_value = "attributes.item")]
    pub(crate) pair: String,
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
    /// Units an arm needs before a keep
    #[arg(long)]
    pub(crate) min_units: Option<u64>,
    /// Share the candidate was meant to have, if units were assigned at random
    #[arg(long)]
    pub(crate) share: Option<f64>,
    /// Strength a keep needs: supported or proven
    #[arg(long, default_value = "supported")]
    pub(crate) keep_requires: String,
    /// Keep what is shown to be not worse, even if no goal is better
    #[arg(long)]
    pub(crate) not_worse: bool,
    /// Field with a number known before a run, such as attributes.size, which explains part of the differences
    /// between runs; may be given several times
    #[arg(long)]
    pub(crate) covariate: Vec<String>,
    /// Field with the kind of a run's task, known before it, such as attributes.class; may be given several times
    #[arg(long)]
    pub(crate) strata: Vec<String>,
    /// Replay the runs in order and say where the live trial would have stopped
    #[arg(long)]
    pub(crate) watch: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

impl Args {
    /// The declared scores.
    ///
    /// # Errors
    ///
    /// A declaration that cannot be read.
    pub(crate) fn declared(&self) -> anyhow::Result<Vec<CustomMetric>> {
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
    pub(crate) fn question(&self, chosen: &Chosen) -> anyhow::Result<Question> {
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
        if self.share.is_some_and(|share| !(share > 0.0 && share < 1.0)) {
            bail!("--share must be above 0 and below 1");
        }
        let policy = self.policy()?;
        // Recorded runs have no history but control's runs.
        let history: Vec<_> = chosen.control.iter().map(|run| &run.outcome).collect();
        let predictor = covariates::predictor(&history, policy.baseline_minimum);
        Ok(Question { metrics, policy, share: self.share, crossed: chosen.crossed, predictor })
    }

    fn policy(&self) -> anyhow::Result<TrialPolicy> {
        let mut policy = TrialPolicy { on_inconclusive: OnInconclusive::Rollback, ..TrialPolicy::default() };
        policy.margin = self.margin.unwrap_or(policy.margin);
        policy.min_units_per_arm = self.min_units.unwrap_or(policy.min_units_per_arm);
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
