//! Judge: recorded runs of two arms become findings, at one planned look.
//!
//! Where the same items recur, item by item; exactly where that is possible. In reading order: [`Sample`], pairs,
//! tests, findings.

mod findings;
mod pairs;
mod tests_of;

use uplift_model::metric::MetricSpec;
use uplift_model::policy::trial::TrialPolicy;
use uplift_model::trial::{Predictor, UnitOutcome};

pub use findings::findings;

/// One recorded run.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The piece of work, where it is named; the same items recur over arms.
    pub item: Option<String>,
    /// What came out of it.
    pub outcome: UnitOutcome,
}

/// What to judge by.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// Metrics with the parts they play.
    pub metrics: Vec<MetricSpec>,
    /// Numbers the decision obeys.
    pub policy: TrialPolicy,
    /// Share of the candidate the runs were meant to have, in (0, 1); `None` where arms were run separately.
    pub share: Option<f64>,
    /// Units that appear in both arms.
    pub crossed: u64,
    /// What is predicted from what was known before the runs, and taken off where arms are compared as two groups. Where
    /// the same items recur, what they share is gone already.
    pub predictor: Option<Predictor>,
}
