//! Trials: two revisions of one entity, run at the same time on units that a hash assigns.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::entity::EntityKey;
use crate::event::{Exposure, Outcome, Source};
use crate::metric::MetricSpec;
use crate::policy::trial::TrialPolicy;
use crate::revision::RevisionId;
use crate::time::Time;
use crate::verdict::Verdict;

/// One side of a trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arm {
    /// The revision in place.
    Control,
    /// The revision on trial.
    Candidate,
}

impl Arm {
    /// 0 for control, 1 for candidate.
    pub fn index(self) -> usize {
        match self {
            Self::Control => 0,
            Self::Candidate => 1,
        }
    }
}

/// What is assigned to an arm, and so what counts as one observation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AssignmentUnit {
    /// Each root trace by itself.
    #[default]
    Task,
    /// All tasks of a session together, because they share state.
    Session,
}

/// How control was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Comparison {
    /// At the same time as the candidate, by random assignment.
    #[default]
    Concurrent,
    /// Before the candidate: weaker evidence, never "proven".
    BeforeAfter,
}

/// What a comparison is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrialKind {
    /// A candidate that may be kept.
    #[default]
    Trial,
    /// A kept change that is watched against the share left on the old revision; it can only roll back.
    HoldBack,
}

/// A share of traffic and the time from which it applied.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ShareStage {
    /// Microseconds since the Unix epoch.
    pub from_us: i64,
    /// Part of the units that get the candidate, in (0, 1).
    pub share: f64,
}

/// What is known of an amount (time, tokens, money) from before the trial.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct AmountBaseline {
    /// Mean of the natural logarithm.
    pub log_mean: f64,
    /// Variance of the natural logarithm.
    pub log_variance: f64,
    /// Mean after cutting at [`Self::cap`].
    pub mean: f64,
    /// Variance after cutting at [`Self::cap`].
    pub variance: f64,
    /// 95th percentile.
    pub p95: f64,
    /// 98th percentile; 0 in records that do not have it, which then have no event there.
    #[serde(default)]
    pub p98: f64,
    /// 99th percentile.
    pub p99: f64,
}

impl AmountBaseline {
    /// Where amounts are cut before their mean is taken: the 99th percentile, but no more than five times the 95th.
    /// Where one task in a hundred runs into a timeout, the 99th percentile is that timeout and cuts nothing.
    pub fn cap(&self) -> f64 {
        cap(self.p95, self.p99)
    }
}

/// See [`AmountBaseline::cap`].
pub fn cap(p95: f64, p99: f64) -> f64 {
    p99.min(5.0 * p95)
}

/// What is known of a score from before the trial.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ScoreBaseline {
    /// Mean, cut at `p01` and `p99`.
    pub mean: f64,
    /// Variance, cut at `p01` and `p99`.
    pub variance: f64,
    /// First percentile.
    pub p01: f64,
    /// 99th percentile.
    pub p99: f64,
}

/// The entity's own history, fixed before the trial: thresholds, caps and the focus of the mixtures come from here and
/// never from the trial's data.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Baseline {
    /// Units it rests on.
    pub units: u64,
    /// Success rate, in [0, 1].
    pub success_rate: Option<f64>,
    /// Variance of the success of a unit; of a session it is less than that of a coin.
    pub success_variance: Option<f64>,
    /// Share of units with an unrecovered error, in [0, 1].
    pub error_rate: Option<f64>,
    /// Duration in milliseconds.
    pub duration: Option<AmountBaseline>,
    /// Tokens.
    pub tokens: Option<AmountBaseline>,
    /// Dollars.
    pub cost: Option<AmountBaseline>,
    /// Declared scores by name.
    pub scores: BTreeMap<String, ScoreBaseline>,
    /// How long units take by the hour; `None` where history is too short to tell hours apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forecast: Option<HourForecast>,
    /// What can be predicted of a unit before it starts; `None` where nothing is known beforehand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub predictor: Option<Predictor>,
}

/// What history says of log durations, cut at the 95th percentile, hour by hour.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HourForecast {
    /// Mean by hour since the Unix epoch, modulo the length: 24 hours of the day, or 168 of the week.
    pub by_hour: Vec<f64>,
    /// Variance of a unit about its hour's mean.
    pub variance: f64,
    /// Variance of a day's mean about its hours' means, beyond what its units explain: days differ.
    pub day_variance: f64,
}

impl HourForecast {
    /// The mean expected of a unit that starts then; `None` for a forecast without hours.
    pub fn at(&self, started_us: i64) -> Option<f64> {
        let hours = i64::try_from(self.by_hour.len()).ok().filter(|hours| *hours > 0)?;
        let hour = started_us.div_euclid(crate::policy::trial::HOUR_US).rem_euclid(hours);
        self.by_hour.get(usize::try_from(hour).ok()?).copied()
    }
}

/// A number known before a unit is assigned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Covariate {
    /// Its name.
    pub name: String,
    /// Historical mean.
    pub mean: f64,
    /// Historical standard deviation, above 0.
    pub spread: f64,
}

/// Predictions from what is known before a unit is assigned, with coefficients from history only. Whatever they are, both
/// arms are predicted alike, so taking the predicted part off a value adds nothing to a difference between arms and takes
/// away the part of its variance that was explained.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Predictor {
    /// Numbers, by name.
    pub numbers: Vec<Covariate>,
    /// Names of strata, each with its share of historical units.
    pub strata: Vec<(String, f64)>,
    /// By name of a metric.
    pub metrics: BTreeMap<String, Prediction>,
}

/// How one metric is predicted, on the scale it is compared on (amounts as logarithms).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// Change per standard deviation of each number, then for each stratum.
    pub coefficients: Vec<f64>,
    /// Share of the historical variance explained, in (0, 1).
    pub explained: f64,
}

impl Predictor {
    /// Standard deviations at which numbers are cut: one prompt of a million words must not decide.
    const CUT: f64 = 4.0;

    /// A unit as a row: numbers in standard deviations from their mean, then 1 for its own stratum, less the strata's
    /// shares. What is not known is taken to be usual.
    pub fn row(&self, unit: &UnitOutcome) -> Vec<f64> {
        let numbers = self.numbers.iter().map(|covariate| {
            let known = unit.covariates.get(&covariate.name).filter(|value| value.is_finite());
            known.map_or(0.0, |value| ((value - covariate.mean) / covariate.spread).clamp(-Self::CUT, Self::CUT))
        });
        let strata = self
            .strata
            .iter()
            .map(|(name, share)| unit.stratum.as_ref().map_or(0.0, |own| f64::from(u8::from(own == name)) - share));
        numbers.chain(strata).collect()
    }

    /// How far a metric's value is predicted to lie from its mean; 0 for metrics that are not predicted.
    pub fn predicted(&self, metric: &str, row: &[f64]) -> f64 {
        let Some(prediction) = self.metrics.get(metric) else {
            return 0.0;
        };
        prediction.coefficients.iter().zip(row).map(|(slope, cell)| slope * cell).sum()
    }

    /// Share of a metric's variance that is explained; 0 where it is not predicted.
    pub fn explained(&self, metric: &str) -> f64 {
        self.metrics.get(metric).map_or(0.0, |prediction| prediction.explained.clamp(0.0, 1.0))
    }
}

/// A trial as declared before its start. It is never edited, except that stages are added.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// Key that, with the unit, decides the arm; unique per trial and per restart of it.
    pub key: String,
    /// Trial or hold-back.
    pub kind: TrialKind,
    /// Start, microseconds since the Unix epoch.
    pub started_us: i64,
    /// What is assigned.
    pub unit: AssignmentUnit,
    /// How control is measured.
    pub comparison: Comparison,
    /// Shares over time, ascending.
    pub stages: Vec<ShareStage>,
    /// Metrics that are reported, with their roles.
    pub metrics: Vec<MetricSpec>,
    /// Units expected until the first horizon, both arms together.
    pub expected_units: f64,
    /// History of the entity.
    pub baseline: Baseline,
    /// The numbers its decisions obey.
    pub policy: TrialPolicy,
}

impl Trial {
    /// The stage a unit that started then belongs to: the last that began by then, else the first.
    pub fn stage_at(&self, started_us: i64) -> usize {
        self.stages.partition_point(|stage| stage.from_us <= started_us).saturating_sub(1)
    }

    /// The arm of a unit, from its key and the stage at its start. Any node and any restart gives the same answer.
    pub fn arm_of(&self, unit: &str, started_us: i64) -> Arm {
        let share = self.stages.get(self.stage_at(started_us)).map_or(0.0, |stage| stage.share);
        assign(&self.key, unit, share)
    }

    /// First horizon, microseconds since the Unix epoch. A hold-back has one horizon, its end.
    pub fn horizon_us(&self) -> i64 {
        self.after_hours(self.policy.test_duration_hours)
    }

    /// Last horizon, microseconds since the Unix epoch.
    pub fn last_horizon_us(&self) -> i64 {
        self.after_hours(self.policy.max_test_duration_hours)
    }

    fn after_hours(&self, of_trial: f64) -> i64 {
        let hours = match self.kind {
            TrialKind::Trial => of_trial,
            TrialKind::HoldBack => 24.0 * self.policy.hold_back_days,
        };
        self.started_us.saturating_add(hours_us(hours))
    }

    /// Level of the combined evidence: it rolls back at one over this number.
    pub fn rollback_alpha(&self) -> f64 {
        match self.kind {
            TrialKind::Trial => self.policy.rollback_alpha,
            TrialKind::HoldBack => self.policy.hold_back_alpha,
        }
    }
}

/// A trial on record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrialRecord {
    /// Its number.
    pub id: i64,
    /// The improvement on trial.
    pub improvement_id: i64,
    /// The entity.
    pub entity: EntityKey,
    /// What control runs.
    pub base: RevisionId,
    /// What the candidate arm runs.
    pub candidate: RevisionId,
    /// As declared, with the stages added since.
    pub trial: Trial,
    /// True until it has ended.
    pub running: bool,
    /// The last change of a unit that was taken in.
    pub cursor: i64,
    /// The last boundary that was looked at, microseconds since the Unix epoch; the start before the first look.
    pub looked_us: i64,
    /// What the last full look said.
    pub verdict: Option<Verdict>,
    /// When it ended.
    pub ended_at: Option<Time>,
    /// How it ended, in a sentence.
    pub ending: Option<String>,
}

/// One task of a unit, as stored: the input for [`UnitOutcome`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UnitTask {
    /// The trace it is in.
    pub trace_key: String,
    /// Its id.
    pub task_id: String,
    /// The task that gave rise to it.
    pub parent: Option<String>,
    /// Its session.
    pub session: Option<String>,
    /// Whose task it is, where known.
    pub owner: Option<EntityKey>,
    /// The first moment seen.
    pub started_us: Option<i64>,
    /// Whether it has ended.
    pub ended: bool,
    /// Its outcome, where known.
    pub outcome: Option<Outcome>,
    /// Error events.
    pub errors: i64,
    /// Milliseconds, where known.
    pub duration_ms: Option<f64>,
    /// Tokens read and written.
    pub tokens: i64,
    /// US dollars.
    pub cost_usd: f64,
}

/// A unit with everything known of it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct UnitRecord {
    /// Its name: the trace key, or the session.
    pub unit: String,
    /// Its tasks, in order of their start.
    pub tasks: Vec<UnitTask>,
    /// The arms that its events claim.
    pub exposures: Vec<Exposure>,
    /// Scores that were given to it: (name, value, microseconds since the Unix epoch, who says so).
    pub scores: Vec<(String, f64, i64, Source)>,
}

/// Hours as microseconds; values that are no number are zero.
pub fn hours_us(hours: f64) -> i64 {
    (hours * 3.6e9) as i64
}

/// Where a unit falls in [0, 1): uniform over units, independent between trials.
pub fn bucket(trial_key: &str, unit: &str) -> f64 {
    let mut hasher = blake3::Hasher::new();
    // The length keeps ("ab", "c") apart from ("a", "bc").
    hasher.update(&(trial_key.len() as u64).to_le_bytes());
    hasher.update(trial_key.as_bytes());
    hasher.update(unit.as_bytes());
    let mut bits = [0_u8; 8];
    bits.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    (u64::from_le_bytes(bits) >> 11) as f64 / (1_u64 << 53) as f64
}

/// A unit's name as a number, for queues that hold many: stable over versions and machines, with collisions so rare
/// (one in 10^8 at a million units) that they do not matter to a decision.
pub fn unit_key(unit: &str) -> u64 {
    let mut bits = [0_u8; 8];
    bits.copy_from_slice(&blake3::hash(unit.as_bytes()).as_bytes()[..8]);
    u64::from_le_bytes(bits)
}

/// The arm of a unit while the candidate has that share; a share that is no number gives control.
pub fn assign(trial_key: &str, unit: &str, share: f64) -> Arm {
    if bucket(trial_key, unit) < share { Arm::Candidate } else { Arm::Control }
}

/// What is known of one unit so far. The record replaces an earlier one of the same unit, so sending it twice changes
/// nothing; attempts are folded before (last outcome, summed cost).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UnitOutcome {
    /// Name of the unit: root trace or session.
    pub unit: String,
    /// Where it was first put.
    pub arm: Arm,
    /// Start, microseconds since the Unix epoch.
    pub started_us: i64,
    /// True once the unit has ended; before that the values are what is known so far.
    pub ended: bool,
    /// Success in [0, 1]; a session's is the mean over its tasks. `None` is unknown.
    pub success: Option<f64>,
    /// At least one error that was not recovered.
    pub errored: bool,
    /// Wall time in milliseconds, waiting for people excluded.
    pub duration_ms: Option<f64>,
    /// Tokens in and out.
    pub tokens: Option<f64>,
    /// Dollars at uncached prices.
    pub cost: Option<f64>,
    /// Declared scores by name.
    #[serde(default)]
    pub scores: BTreeMap<String, f64>,
    /// True when the unit was seen in both arms.
    #[serde(default)]
    pub crossed: bool,
    /// Numbers that were known before the unit was assigned, by name: the size of its prompt, how earlier runs of the same
    /// task went. Never anything an arm could have influenced.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub covariates: BTreeMap<String, f64>,
    /// The kind of task it is, where that was known before it was assigned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stratum: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assignment_is_stable_uniform_and_independent_between_trials() {
        let share =
            |key: &str| (0..20_000).filter(|unit| assign(key, &unit.to_string(), 0.3) == Arm::Candidate).count();
        let both = (0..20_000)
            .filter(|unit| {
                let unit = unit.to_string();
                assign("a", &unit, 0.3) == Arm::Candidate && assign("b", &unit, 0.3) == Arm::Candidate
            })
            .count();
        assert!((5_700..6_300).contains(&share("a")), "{}", share("a"));
        assert!((5_700..6_300).contains(&share("b")), "{}", share("b"));
        assert!((1_600..2_000).contains(&both), "{both}");
        assert!((bucket("trial", "unit") - bucket("trial", "unit")).abs() < f64::EPSILON);
        assert_ne!(bucket("ab", "c").to_bits(), bucket("a", "bc").to_bits());
    }

    #[test]
    fn a_ramp_never_moves_a_unit_to_control_and_keeps_a_started_unit() {
        for unit in 0..1_000 {
            let unit = unit.to_string();
            if assign("t", &unit, 0.1) == Arm::Candidate {
                assert_eq!(assign("t", &unit, 0.5), Arm::Candidate);
            }
        }
        assert_eq!(assign("t", "u", f64::NAN), Arm::Control);
    }
}
