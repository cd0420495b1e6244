//! What a look at a trial found, and what was decided of it: one record for API, command line and dashboard.
//!
//! Effects are relative changes, **positive when the candidate is better**: for success and errors as in the
//! effectiveness (gains relative to the room there was), for amounts `(control - candidate) / control`.

use serde::{Deserialize, Serialize};

use crate::metric::Roles;

/// A value with an interval around it.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Interval {
    /// The estimate.
    pub estimate: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// How the arms were compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Looked at continuously: evidence (e-values) counts at any time.
    Live,
    /// Recorded runs on the same items, item by item.
    Paired,
    /// Recorded runs on different items.
    Unpaired,
}

/// What the values of a metric are summarised by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Summary {
    /// Share of units.
    Rate,
    /// Arithmetic mean.
    Mean,
    /// Geometric mean: the mean of logarithms, turned back.
    GeometricMean,
}

/// Probabilities of data at least as extreme at a single, planned look; each one-sided except `differs`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct FixedLook {
    /// Against "not worse"; 1 for an amount that is not clearly worse by the least ratio that counts.
    pub harm: f64,
    /// Against "not better".
    pub better: f64,
    /// Against "worse by the margin or more".
    pub not_worse: f64,
    /// Against "worse by twice the margin or more".
    pub not_much_worse: f64,
    /// Two-sided, against "equal".
    pub differs: f64,
}

/// Natural logarithms of e-values, valid at every look.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct LogEvidence {
    /// Against "not worse"; enters the combination for rollback.
    pub harm: f64,
    /// Against "not better".
    pub better: f64,
    /// Against "worse by the margin or more".
    pub not_worse: f64,
    /// Against "worse by twice the margin or more".
    pub not_much_worse: f64,
}

/// What is known of one metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricFinding {
    /// Name of the metric.
    pub name: String,
    /// The part it plays.
    pub roles: Roles,
    /// How its values are summarised.
    pub summary: Summary,
    /// Units with a known value: control, candidate.
    pub n: [u64; 2],
    /// Control's value.
    pub control: f64,
    /// The candidate's value.
    pub candidate: f64,
    /// Relative change, positive when better, clipped to [-1, 1], with its interval.
    pub effect: Interval,
    /// Worsening allowed, as a change of the same kind as `effect` but positive.
    pub margin: f64,
    /// True when the estimate is inside the margin.
    pub inside_margin: bool,
    /// Weight in the effectiveness.
    pub weight: f64,
    /// Evidence valid at every look.
    pub evidence: LogEvidence,
    /// Part of the combined evidence against the candidate, in [0, 1].
    pub evidence_share: f64,
    /// The single planned look; `None` where it is not due or not possible.
    pub fixed: Option<FixedLook>,
    /// More units (both arms) expected until this metric alone decides, at the estimate of now; `None` where the
    /// estimate points to no decision.
    pub units_needed: Option<u64>,
    /// What would change this metric's part in the verdict, in words.
    pub what_would_change: String,
}

/// How the units were split.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Allocation {
    /// Units seen: control, candidate.
    pub assigned: [u64; 2],
    /// Log e-value against the declared shares.
    pub log_evidence: f64,
    /// Units that saw both arms, as a share of all.
    pub crossover: f64,
}

/// How many outcomes are known.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Coverage {
    /// Share of matured units with a known outcome: control, candidate.
    pub known: [f64; 2],
    /// Log e-value against equal rates of unknown outcomes.
    pub log_evidence: f64,
}

/// Evidence of all metrics together against the candidate.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Combined {
    /// Natural logarithm of the combined e-value; amounts count where they are worse by the least ratio that matters.
    pub log_evidence: f64,
    /// The same without the metrics that are only costs.
    pub log_evidence_without_costs: f64,
    /// Natural logarithm of what it takes to roll back.
    pub log_threshold: f64,
}

/// Where in its life a trial is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Before the first horizon: only a rollback is possible.
    Early,
    /// The one look at the first horizon.
    FirstHorizon,
    /// After the first horizon.
    Extended,
}

/// What a look found: the complete input of a decision.
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each named on the wire")]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Findings {
    /// Time of the look, microseconds since the Unix epoch.
    pub at_us: i64,
    /// How the arms were compared.
    pub method: Method,
    /// Where in its life the trial is.
    pub phase: Phase,
    /// True when the trial may not go on after this look.
    pub last: bool,
    /// True where a keep may be called proven (not for comparisons before and after).
    pub may_prove: bool,
    /// True while only a rollback is possible at all (hold-back after a keep).
    pub watch_only: bool,
    /// Matured units: control, candidate.
    pub matured: [u64; 2],
    /// Units too young to be counted.
    pub immature: u64,
    /// Records that came after their unit had matured.
    pub late: u64,
    /// The split.
    pub allocation: Allocation,
    /// Known outcomes.
    pub coverage: Coverage,
    /// All metrics together.
    pub combined: Combined,
    /// Weighted mean of the effects of the metrics that play a part.
    pub effectiveness: Interval,
    /// The effectiveness with each effect shrunk by how unsure it is: whether costs are paid for.
    pub balance: f64,
    /// Metric by metric.
    pub metrics: Vec<MetricFinding>,
    /// True when control fell below its own history after the start: the ramp should hold.
    pub interference: bool,
}

/// What was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Nothing yet: the trial goes on.
    Running,
    /// The candidate stays.
    Keep,
    /// The candidate goes.
    Rollback,
    /// A horizon passed and nothing was shown.
    Inconclusive,
    /// The comparison itself is broken.
    InvalidAllocation,
}

/// How well a keep is supported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strength {
    /// Better, and shown to be no worse in everything else.
    Proven,
    /// Better, and nothing points to harm.
    Supported,
}

/// What follows from the verdict for the candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Next {
    /// The trial goes on.
    Continue,
    /// The candidate becomes the revision in place.
    Keep,
    /// The old revision returns.
    Rollback,
}

/// Why, in a word a program can match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Nothing was reached before the horizon.
    TooEarly,
    /// One arm has no units.
    EmptyArm,
    /// The split is not the declared one.
    SampleRatioMismatch,
    /// Too many units saw both arms.
    Crossover,
    /// The combined evidence reached its threshold.
    CombinedEvidence,
    /// A guardrail or a cost was worse at the planned look.
    HarmAtHorizon,
    /// The whole is worse than the rollback threshold.
    EffectivenessBelowThreshold,
    /// Costs are higher, and paid for.
    CostsPaidFor,
    /// A goal is better and the rest is not worse.
    GoalBetter,
    /// Everything is inside its margin.
    NotWorse,
    /// Fewer units than the policy asks for.
    TooFewUnits,
    /// Too many unknown outcomes, or unequally many.
    Coverage,
    /// No goal was shown to be better.
    GoalNotShown,
    /// A guardrail or a cost was not shown to be inside its margin.
    MarginNotShown,
    /// The watch after a keep ended without harm.
    WatchEnded,
}

/// A decision with everything behind it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// What was decided.
    pub decision: Decision,
    /// How well a keep is supported.
    pub strength: Option<Strength>,
    /// What follows.
    pub next: Next,
    /// Why, the deciding reason first.
    pub reasons: Vec<Reason>,
    /// Metrics that decided it.
    pub deciding: Vec<String>,
    /// The same in a sentence or two.
    pub text: String,
    /// More units (both arms) expected until a decision, at the estimates of now.
    pub units_needed: Option<u64>,
    /// The numbers.
    pub findings: Findings,
}
