//! What a trial can be expected to see, said before anything is deployed.

use serde::{Deserialize, Serialize};

/// What to do where traffic is too little.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Advice {
    /// Give the candidate half of the traffic.
    LargerShare,
    /// Let the trial run longer.
    LongerTest,
    /// Compare with the time before: weaker evidence, never proven.
    BeforeAfter,
}

/// Power of one metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricPower {
    /// Name of the metric.
    pub name: String,
    /// Units (both arms) needed to see a change of the margin, by the usual formula.
    pub units_needed: u64,
    /// Smallest relative change the expected units can show, in (0, 1]; 1 where nothing smaller can be seen.
    pub smallest_change: f64,
    /// Probability that a harm as large as the margin is found by the horizon, by simulation on history.
    pub power: f64,
}

/// The answer before the start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Preflight {
    /// Units expected until the first horizon, both arms.
    pub expected_units: f64,
    /// Units that the least demanding goal needs.
    pub units_needed: u64,
    /// True when that many are expected.
    pub enough: bool,
    /// By metric.
    pub metrics: Vec<MetricPower>,
    /// What to do if not.
    pub advice: Vec<Advice>,
    /// The same in words.
    pub text: String,
}
