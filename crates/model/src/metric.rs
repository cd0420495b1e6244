//! What a trial measures: the five built-in metrics, declared ones, and the role each plays.

use serde::{Deserialize, Serialize};

use crate::improvement::ImprovementType;
use crate::policy::{PolicyError, require};

/// Which way is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// More is better.
    Higher,
    /// Less is better.
    Lower,
}

/// Who says so. An agent's own word is neither goal nor guardrail by default: a prompt could praise itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScoreSource {
    /// The agent reports about itself.
    #[serde(rename = "self")]
    Own,
    /// The world answered: a test, a tool, an evaluator.
    #[default]
    Environment,
    /// A person judged.
    Human,
}

/// What kind of number a declared metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScoreKind {
    /// 0 or 1; the mean of a session may lie between.
    Boolean,
    /// Any finite number.
    Number,
}

/// A feedback score that the owner of a fleet declared as a metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CustomMetric {
    /// Name as it appears in feedback.
    pub name: String,
    /// Boolean or number.
    pub kind: ScoreKind,
    /// Which way is better.
    pub direction: Direction,
    /// Weight in the effectiveness; finite, above 0.
    pub weight: f64,
    /// Relative margin of non-inferiority, in (0, 1); `None` takes the policy's.
    pub margin: Option<f64>,
    /// Whose word counts.
    pub source: ScoreSource,
    /// Milliseconds after a unit's start during which a score still counts.
    pub attribution_window_ms: f64,
}

/// A declared metric with the part it plays in every trial.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeclaredMetric {
    /// The metric.
    #[serde(flatten)]
    pub metric: CustomMetric,
    /// Its part; what an agent says of itself is only observed, whatever is written here.
    #[serde(default)]
    pub roles: Roles,
}

impl DeclaredMetric {
    /// Checks its numbers.
    ///
    /// # Errors
    /// Names the first one outside its range.
    pub fn check(&self) -> Result<(), PolicyError> {
        let metric = &self.metric;
        require(!metric.name.trim().is_empty(), "metrics.name", "a name", &metric.name)?;
        require(
            Measure::built_in(&metric.name).is_none(),
            "metrics.name",
            "other than the built-in ones",
            &metric.name,
        )?;
        require(metric.weight.is_finite() && metric.weight > 0.0, "metrics.weight", "above 0", metric.weight)?;
        let margin = metric.margin.unwrap_or(0.1);
        require(margin > 0.0 && margin < 1.0, "metrics.margin", "between 0 and 1", margin)?;
        let window = metric.attribution_window_ms;
        require(window.is_finite() && window >= 0.0, "metrics.attribution_window_ms", "at least 0", window)
    }
}

/// What is measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Share of units that succeeded.
    Success,
    /// Share of units with at least one error that was not recovered.
    Errors,
    /// Wall time in milliseconds, waiting for people excluded.
    Duration,
    /// Tokens in and out.
    Tokens,
    /// Cost in dollars at uncached prices.
    Cost,
    /// A declared score.
    Custom(CustomMetric),
}

impl Measure {
    /// The name used in records and on the command line.
    pub fn name(&self) -> &str {
        match self {
            Self::Success => "success",
            Self::Errors => "errors",
            Self::Duration => "duration_ms",
            Self::Tokens => "tokens",
            Self::Cost => "cost",
            Self::Custom(custom) => &custom.name,
        }
    }

    /// Which way is better.
    pub fn direction(&self) -> Direction {
        match self {
            Self::Success => Direction::Higher,
            Self::Errors | Self::Duration | Self::Tokens | Self::Cost => Direction::Lower,
            Self::Custom(custom) => custom.direction,
        }
    }

    /// True where the metric is a ratio of positive amounts (time, tokens, money).
    pub fn is_amount(&self) -> bool {
        matches!(self, Self::Duration | Self::Tokens | Self::Cost)
    }

    /// The built-in measure of that name, if there is one (`duration` is short for `duration_ms`).
    pub fn built_in(name: &str) -> Option<Self> {
        match name {
            "success" => Some(Self::Success),
            "errors" => Some(Self::Errors),
            "duration" | "duration_ms" => Some(Self::Duration),
            "tokens" => Some(Self::Tokens),
            "cost" | "cost_usd" => Some(Self::Cost),
            _ => None,
        }
    }
}

/// The part a metric plays. A metric may be goal and guardrail at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Roles {
    /// The improvement is meant to make this better.
    pub goal: bool,
    /// This must not get worse, whatever is won elsewhere.
    pub guardrail: bool,
    /// This may be paid with, while the whole is better.
    pub cost: bool,
}

impl Roles {
    /// True where the metric takes part in decisions at all.
    pub fn any(self) -> bool {
        self.goal || self.guardrail || self.cost
    }
}

/// A metric of a trial with its role.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricSpec {
    /// What is measured.
    pub measure: Measure,
    /// The part it plays.
    pub roles: Roles,
}

impl MetricSpec {
    /// A declared score in the part wanted for it, except that an agent's word about itself is only observed: a
    /// candidate's prompt could praise itself. Who wants it otherwise writes the roles out.
    pub fn declared(custom: CustomMetric, wanted: Roles) -> Self {
        let roles = if custom.source == ScoreSource::Own { Roles::default() } else { wanted };
        Self { measure: Measure::Custom(custom), roles }
    }
}

/// What an improvement is for: its type decides the goals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Goal: success.
    InstructionUpdate,
    /// Goals: tokens, cost.
    ContextOptimization,
    /// Goal: success.
    ToolReassignment,
    /// Goals: duration, cost.
    ProcessAutomation,
    /// Goals: duration, cost.
    PerformanceTuning,
    /// Goals: errors, success.
    ErrorPrevention,
}

impl From<ImprovementType> for Purpose {
    fn from(improvement_type: ImprovementType) -> Self {
        match improvement_type {
            ImprovementType::InstructionUpdate => Self::InstructionUpdate,
            ImprovementType::ContextOptimization => Self::ContextOptimization,
            ImprovementType::ToolReassignment => Self::ToolReassignment,
            ImprovementType::ProcessAutomation => Self::ProcessAutomation,
            ImprovementType::PerformanceTuning => Self::PerformanceTuning,
            ImprovementType::ErrorPrevention => Self::ErrorPrevention,
        }
    }
}

impl Purpose {
    /// The built-in measures that are goals of this type of improvement.
    pub fn goals(self) -> &'static [Measure] {
        match self {
            Self::InstructionUpdate | Self::ToolReassignment => &[Measure::Success],
            Self::ContextOptimization => &[Measure::Tokens, Measure::Cost],
            Self::ProcessAutomation | Self::PerformanceTuning => &[Measure::Duration, Measure::Cost],
            Self::ErrorPrevention => &[Measure::Errors, Measure::Success],
        }
    }
}

/// The built-in metrics with the roles they play: `goals` as given, success and errors guardrails always, and what
/// remains of duration, tokens and cost as costs. `reported` says which are reported at all; the others are left out
/// before the start, so that weights never change during a trial.
pub fn standard_metrics(goals: &[Measure], reported: &[Measure]) -> Vec<MetricSpec> {
    [Measure::Success, Measure::Errors, Measure::Duration, Measure::Tokens, Measure::Cost]
        .into_iter()
        .filter(|measure| reported.contains(measure))
        .map(|measure| {
            let goal = goals.contains(&measure);
            let amount = measure.is_amount();
            MetricSpec { measure, roles: Roles { goal, guardrail: !amount, cost: amount && !goal } }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guardrails_are_always_success_and_errors_and_costs_what_is_no_goal() {
        let all = [Measure::Success, Measure::Errors, Measure::Duration, Measure::Tokens, Measure::Cost];
        let specs = standard_metrics(Purpose::PerformanceTuning.goals(), &all);
        let roles: Vec<_> = specs
            .iter()
            .map(|spec| (spec.measure.name(), spec.roles.goal, spec.roles.guardrail, spec.roles.cost))
            .collect();
        assert_eq!(
            roles,
            [
                ("success", false, true, false),
                ("errors", false, true, false),
                ("duration_ms", true, false, false),
                ("tokens", false, false, true),
                ("cost", true, false, false),
            ]
        );
        assert_eq!(standard_metrics(&[], &[Measure::Cost]).len(), 1);
    }

    #[test]
    fn self_praise_is_only_observed() {
        let wanted = Roles { goal: true, guardrail: true, cost: false };
        let of = |source| CustomMetric {
            name: "helpful".to_owned(),
            kind: ScoreKind::Boolean,
            direction: Direction::Higher,
            weight: 1.0,
            margin: None,
            source,
            attribution_window_ms: 0.0,
        };
        assert_eq!(MetricSpec::declared(of(ScoreSource::Human), wanted).roles, wanted);
        assert!(!MetricSpec::declared(of(ScoreSource::Own), wanted).roles.any());
    }

    #[test]
    fn names_lead_back_to_measures() {
        for measure in [Measure::Success, Measure::Errors, Measure::Duration, Measure::Tokens, Measure::Cost] {
            assert_eq!(Measure::built_in(measure.name()), Some(measure));
        }
        assert_eq!(Measure::built_in("helpful"), None);
    }
}
