//! What a trial must obey: durations, error levels, margins and what to do when nothing was shown.

use serde::{Deserialize, Serialize};

/// Microseconds in an hour: times in this crate are microseconds since the Unix epoch.
pub const HOUR_US: i64 = 3_600_000_000;

/// How strong the evidence must be before a change is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeepRequires {
    /// A goal is better and every guardrail and cost is shown to be inside its margin.
    Proven,
    /// A goal is better, no guardrail shows harm, and every estimate is inside its margin.
    #[default]
    Supported,
}

/// What a keep has to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeepOn {
    /// At least one goal must be better.
    #[default]
    Better,
    /// Non-inferiority of every guardrail and cost is enough.
    NotWorse,
}

/// What to do when a horizon passes and nothing was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnInconclusive {
    /// Go on until `max_test_duration_hours`, then return to the old revision.
    #[default]
    Extend,
    /// Return to the old revision now.
    Rollback,
    /// Stay with the candidate now.
    Keep,
}

/// The numbers a trial's decisions obey. Every field has a default, so a partial table is a valid policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrialPolicy {
    /// Hours before the first horizon; a keep never comes earlier.
    pub test_duration_hours: f64,
    /// Hours after which an inconclusive trial ends.
    pub max_test_duration_hours: f64,
    /// Relative margin of non-inferiority, in (0, 1).
    pub margin: f64,
    /// Least absolute margin of the error rate, in (0, 1).
    pub error_margin_points: f64,
    /// Effectiveness below which a trial rolls back once its interval excludes 0; in [-1, 0].
    pub rollback_threshold: f64,
    /// The combined evidence rolls back when it reaches one over this number; in (0, 1).
    pub rollback_alpha: f64,
    /// One-sided level of the single look for harm at the first horizon, shared by guardrails and costs.
    pub horizon_alpha: f64,
    /// Level of a keep; half goes to the e-process (evidence 2/alpha), half to the single look.
    pub keep_alpha: f64,
    /// Ratio that "slower" and "dearer" must exceed before they count as harm; at least 1.
    pub least_cost_ratio: f64,
    /// Units an arm needs before a keep.
    pub min_units_per_arm: u64,
    /// Strength a keep needs.
    pub keep_requires: KeepRequires,
    /// What a keep has to show.
    pub keep_on: KeepOn,
    /// What follows an inconclusive horizon.
    pub on_inconclusive: OnInconclusive,
    /// Evidence that units arrive at the arms in other proportions than declared that invalidates a trial: an even split
    /// is called uneven in at most one over this of the trials.
    pub allocation_evidence: f64,
    /// Least share of units with a known outcome for a keep; in [0, 1].
    pub min_coverage: f64,
    /// Share of units that saw both arms above which the trial is invalid; in [0, 1].
    pub max_crossover: f64,
    /// Milliseconds after which an unfinished unit counts as failed; `None` means three times the historical p99.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_timeout_ms: Option<f64>,
    /// Part of the horizon at which the mixtures are most sensitive; in (0, 1].
    pub focus: f64,
    /// Weight of the evidence counted from the start; the rest is shared by the restarts. In [0, 1].
    pub from_start_weight: f64,
    /// Restarts spread over the horizon, for harm that begins late.
    pub restarts: u32,
    /// Share of the candidate in the first stage of a ramp; in (0, 1).
    pub ramp_first_share: f64,
    /// Share of the candidate afterwards; in (0, 1).
    pub ramp_full_share: f64,
    /// Hours the first stage lasts at least.
    pub ramp_hours: f64,
    /// Units an arm needs before the ramp goes on.
    pub ramp_units_per_arm: u64,
    /// Share that stays on the old revision after a keep; in (0, 1).
    pub hold_back_share: f64,
    /// Days the hold-back lasts.
    pub hold_back_days: f64,
    /// The combined evidence of a hold-back rolls back when it reaches one over this number: an error level of its own,
    /// so that the watch after a keep spends none of the trial's. In (0, 1).
    pub hold_back_alpha: f64,
    /// Minutes of idleness after which a session is over.
    pub session_idle_minutes: f64,
    /// Least number of historical units for a baseline.
    pub baseline_minimum: u64,
    /// Minutes between looks: a look falls on a whole multiple of this length, counted from the epoch, so that the
    /// looks of a trial do not depend on when the process happened to start. Above 0 and at most a day.
    pub look_minutes: f64,
    /// Seconds after such a boundary at which its look is held, so that records written at the boundary have arrived.
    /// At least 0, and less than the time between two looks.
    pub look_lag_seconds: f64,
    /// Attributes of the event that starts a unit (`TASK_STARTED`) that are numbers known before it is assigned to an arm,
    /// such as the size of what is asked. At most [`MOST_COVARIATES`]. Never anything that the configuration of the agent
    /// has a part in.
    pub covariates: Vec<String>,
    /// Attributes of the same event that together say which kind of task it is. At most [`MOST_STRATA_KEYS`].
    pub strata: Vec<String>,
}

/// Most attributes that may be named as covariates.
pub const MOST_COVARIATES: usize = 8;
/// Most attributes that may make up a stratum.
pub const MOST_STRATA_KEYS: usize = 4;
/// Longest name of such an attribute, bytes.
const LONGEST_ATTRIBUTE: usize = 128;

impl Default for TrialPolicy {
    fn default() -> Self {
        Self {
            test_duration_hours: 24.0,
            max_test_duration_hours: 72.0,
            margin: 0.10,
            error_margin_points: 0.02,
            rollback_threshold: -0.1,
            rollback_alpha: 0.075,
            horizon_alpha: 0.025,
            keep_alpha: 0.05,
            least_cost_ratio: 1.03,
            min_units_per_arm: 100,
            keep_requires: KeepRequires::Supported,
            keep_on: KeepOn::Better,
            on_inconclusive: OnInconclusive::Extend,
            allocation_evidence: 1_000.0,
            min_coverage: 0.80,
            max_crossover: 0.02,
            task_timeout_ms: None,
            focus: 0.3,
            from_start_weight: 0.7,
            restarts: 10,
            ramp_first_share: 0.1,
            ramp_full_share: 0.5,
            ramp_hours: 2.0,
            ramp_units_per_arm: 50,
            hold_back_share: 0.05,
            hold_back_days: 7.0,
            hold_back_alpha: 0.05,
            session_idle_minutes: 30.0,
            baseline_minimum: 20,
            look_minutes: 5.0,
            look_lag_seconds: 10.0,
            covariates: Vec::new(),
            strata: Vec::new(),
        }
    }
}

/// A policy value outside its range.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{field} is {value}: it must be {range}")]
pub struct PolicyError {
    /// The field's name.
    pub field: &'static str,
    /// The value given.
    pub value: f64,
    /// The range allowed, in words.
    pub range: &'static str,
}

impl TrialPolicy {
    /// Milliseconds after which an unfinished unit counts as failed: as configured, else three times the historical
    /// p99, else one hour.
    pub fn task_timeout(&self, historical_p99_ms: Option<f64>) -> f64 {
        let usable = |ms: &f64| ms.is_finite() && *ms > 0.0;
        self.task_timeout_ms
            .filter(usable)
            .or_else(|| historical_p99_ms.filter(usable).map(|p99| 3.0 * p99))
            .unwrap_or(3_600_000.0)
    }

    /// Checks every number against its range.
    ///
    /// # Errors
    ///
    /// The first field that is outside its range, with the range in words.
    pub fn validate(&self) -> Result<(), PolicyError> {
        const OPEN: &str = "above 0 and below 1";
        let open = |value: f64| value > 0.0 && value < 1.0;
        let unit = |value: f64| (0.0..=1.0).contains(&value);
        let positive = |value: f64| value.is_finite() && value > 0.0;
        let checks: [(&'static str, f64, bool, &'static str); 21] = [
            ("test_duration_hours", self.test_duration_hours, positive(self.test_duration_hours), "above 0"),
            (
                "max_test_duration_hours",
                self.max_test_duration_hours,
                self.max_test_duration_hours.is_finite() && self.max_test_duration_hours >= self.test_duration_hours,
                "at least test_duration_hours",
            ),
            ("margin", self.margin, open(self.margin), OPEN),
            ("error_margin_points", self.error_margin_points, open(self.error_margin_points), OPEN),
            (
                "rollback_threshold",
                self.rollback_threshold,
                (-1.0..=0.0).contains(&self.rollback_threshold),
                "from -1 to 0",
            ),
            ("rollback_alpha", self.rollback_alpha, open(self.rollback_alpha), OPEN),
            ("horizon_alpha", self.horizon_alpha, open(self.horizon_alpha), OPEN),
            ("keep_alpha", self.keep_alpha, open(self.keep_alpha), OPEN),
            (
                "least_cost_ratio",
                self.least_cost_ratio,
                self.least_cost_ratio.is_finite() && self.least_cost_ratio >= 1.0,
                "at least 1",
            ),
            (
                "allocation_evidence",
                self.allocation_evidence,
                self.allocation_evidence.is_finite() && self.allocation_evidence > 1.0,
                "above 1",
            ),
            ("min_coverage", self.min_coverage, unit(self.min_coverage), "from 0 to 1"),
            ("max_crossover", self.max_crossover, unit(self.max_crossover), "from 0 to 1"),
            ("focus", self.focus, self.focus > 0.0 && self.focus <= 1.0, "above 0 and at most 1"),
            ("from_start_weight", self.from_start_weight, unit(self.from_start_weight), "from 0 to 1"),
            ("ramp_first_share", self.ramp_first_share, open(self.ramp_first_share), OPEN),
            ("ramp_full_share", self.ramp_full_share, open(self.ramp_full_share), OPEN),
            ("hold_back_share", self.hold_back_share, open(self.hold_back_share), OPEN),
            (
                "hold_back_days",
                self.hold_back_days,
                self.hold_back_days.is_finite() && self.hold_back_days >= 0.0,
                "at least 0; 0 for no hold-back",
            ),
            ("hold_back_alpha", self.hold_back_alpha, open(self.hold_back_alpha), OPEN),
            (
                "look_minutes",
                self.look_minutes,
                self.look_minutes > 0.0 && self.look_minutes <= 1_440.0,
                "above 0 and at most 1440",
            ),
            (
                "look_lag_seconds",
                self.look_lag_seconds,
                self.look_lag_seconds >= 0.0 && self.look_lag_seconds < 60.0 * self.look_minutes,
                "at least 0 and less than look_minutes",
            ),
        ];
        match checks.into_iter().find(|check| !check.2) {
            Some((field, value, _, range)) => Err(PolicyError { field, value, range }),
            None => self.validate_names(),
        }
    }

    fn validate_names(&self) -> Result<(), PolicyError> {
        let lists = [
            ("covariates", &self.covariates, MOST_COVARIATES, "at most 8 names of 1 to 128 bytes"),
            ("strata", &self.strata, MOST_STRATA_KEYS, "at most 4 names of 1 to 128 bytes"),
        ];
        for (field, names, most, range) in lists {
            if names.len() > most || names.iter().any(|name| name.is_empty() || name.len() > LONGEST_ATTRIBUTE) {
                return Err(PolicyError { field, value: names.len() as f64, range });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid_and_survive_json() {
        let policy = TrialPolicy::default();
        assert_eq!(policy.validate(), Ok(()));
        let text = serde_json::to_string(&policy).unwrap();
        assert_eq!(serde_json::from_str::<TrialPolicy>(&text).unwrap(), policy);
        assert_eq!(serde_json::from_str::<TrialPolicy>("{}").unwrap(), policy);
    }

    #[test]
    fn a_value_out_of_range_is_named() {
        let policy = TrialPolicy { margin: f64::NAN, ..TrialPolicy::default() };
        assert_eq!(policy.validate().unwrap_err().field, "margin");
        let policy = TrialPolicy { max_test_duration_hours: 1.0, ..TrialPolicy::default() };
        assert_eq!(policy.validate().unwrap_err().field, "max_test_duration_hours");
        let policy = TrialPolicy { look_minutes: 0.0, ..TrialPolicy::default() };
        assert_eq!(policy.validate().unwrap_err().field, "look_minutes");
        let policy = TrialPolicy { look_minutes: 1.0, look_lag_seconds: 60.0, ..TrialPolicy::default() };
        assert_eq!(policy.validate().unwrap_err().field, "look_lag_seconds");
        for names in [vec![String::new()], vec!["x".repeat(129)], vec!["x".to_owned(); 9]] {
            let policy = TrialPolicy { covariates: names.clone(), ..TrialPolicy::default() };
            assert_eq!(policy.validate().unwrap_err().field, "covariates");
            let policy = TrialPolicy { strata: names, ..TrialPolicy::default() };
            assert_eq!(policy.validate().unwrap_err().field, "strata");
        }
    }

    #[test]
    fn the_timeout_falls_back_step_by_step() {
        let mut policy = TrialPolicy::default();
        let close = |a: f64, b: f64| (a - b).abs() < 1e-9;
        assert!(close(policy.task_timeout(None), 3_600_000.0));
        assert!(close(policy.task_timeout(Some(f64::NAN)), 3_600_000.0));
        assert!(close(policy.task_timeout(Some(1_000.0)), 3_000.0));
        policy.task_timeout_ms = Some(5.0);
        assert!(close(policy.task_timeout(Some(1_000.0)), 5.0));
    }
}
