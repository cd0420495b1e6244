//! The rules of detection.

use serde::{Deserialize, Serialize};

use super::{PolicyError, require};

/// Thresholds of the detectors. Those of the rules in the database are copied to the table `detection_settings`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DetectionPolicy {
    /// The same error is a problem when it occurs more often than this in 24 hours.
    pub error_threshold: u32,
    /// An operation has degraded when it is slower by more than this, relative (0.5 is 50 %).
    pub degradation_threshold: f64,
    /// Least calls on each side of a comparison of durations.
    pub baseline_minimum: u32,
    /// A slower operation matters only if it lost at least this much time a call, milliseconds.
    pub degradation_min_effect_ms: f64,
    /// Share of improvements taken back that is a problem, from 0 to 1.
    pub rollback_rate_threshold: f64,
    /// Days of event time that the rolling watch looks back from an entity's latest event.
    pub window_days: u32,
    /// Most tasks of an entity that one evaluation reads.
    pub window_max_tasks: u32,
    /// Least tasks before anything is said about shares of tasks.
    pub min_tasks: u32,
    /// Share of all tokens that has to go where it does no good, from 0 to 1.
    pub token_waste_share: f64,
    /// How many times the median task's tokens makes a task an outlier.
    pub token_outlier_factor: f64,
    /// Share of tasks with identical calls that is a problem, from 0 to 1.
    pub repeated_call_task_share: f64,
    /// Identical calls within a task that count as repeated.
    pub repeated_call_minimum: u32,
    /// Share of a task's critical path that makes a tool or another agent a bottleneck, from 0 to 1.
    pub bottleneck_share: f64,
    /// A metric moved to another level when it is worse by more than this, relative (0.2 is 20 %).
    pub change_point_threshold: f64,
    /// Longest tool subsequence looked at.
    pub pattern_max_length: u32,
    /// Family-wise error rate of a search for patterns.
    pub pattern_alpha: f64,
    /// Relabelings of a search for patterns.
    pub pattern_permutations: u32,
    /// Attributes whose values, together, make the strata within which labels are permuted.
    pub pattern_strata: Vec<String>,
    /// Pending opportunities beyond this raise an alert.
    pub backlog_alert: u32,
    /// Share of rollbacks beyond this raises an alert.
    pub rollback_alert: f64,
    /// Relative drop beyond this raises an alert.
    pub degraded_alert: f64,
    /// The same error this often in an hour raises an alert.
    pub recurring_failure_alert: u32,
    /// Days for which the watch does not bring up again what a person dismissed.
    pub dismissed_quiet_days: u32,
}

impl Default for DetectionPolicy {
    fn default() -> Self {
        Self {
            error_threshold: 5,
            degradation_threshold: 0.5,
            baseline_minimum: 20,
            degradation_min_effect_ms: 10.0,
            rollback_rate_threshold: 0.3,
            window_days: 7,
            window_max_tasks: 2_000,
            min_tasks: 20,
            token_waste_share: 0.2,
            token_outlier_factor: 3.0,
            repeated_call_task_share: 0.1,
            repeated_call_minimum: 3,
            bottleneck_share: 0.5,
            change_point_threshold: 0.2,
            pattern_max_length: 4,
            pattern_alpha: 0.05,
            pattern_permutations: 1_000,
            pattern_strata: vec!["task_class".to_owned(), "variant".to_owned()],
            backlog_alert: 50,
            rollback_alert: 0.3,
            degraded_alert: 0.2,
            recurring_failure_alert: 5,
            dismissed_quiet_days: 30,
        }
    }
}

impl DetectionPolicy {
    pub(super) fn check(&self) -> Result<(), PolicyError> {
        let positive = [
            ("detection.degradation_threshold", self.degradation_threshold),
            ("detection.token_outlier_factor", self.token_outlier_factor),
            ("detection.degraded_alert", self.degraded_alert),
            ("detection.change_point_threshold", self.change_point_threshold),
        ];
        for (setting, value) in positive {
            require(value > 0.0 && value.is_finite(), setting, "above 0", value)?;
        }
        let shares = [
            ("detection.rollback_rate_threshold", self.rollback_rate_threshold),
            ("detection.token_waste_share", self.token_waste_share),
            ("detection.repeated_call_task_share", self.repeated_call_task_share),
            ("detection.bottleneck_share", self.bottleneck_share),
            ("detection.rollback_alert", self.rollback_alert),
        ];
        for (setting, value) in shares {
            require((0.0..=1.0).contains(&value), setting, "from 0 to 1", value)?;
        }
        require(
            self.degradation_min_effect_ms >= 0.0 && self.degradation_min_effect_ms.is_finite(),
            "detection.degradation_min_effect_ms",
            "at least 0",
            self.degradation_min_effect_ms,
        )?;
        require(
            self.pattern_alpha > 0.0 && self.pattern_alpha < 1.0,
            "detection.pattern_alpha",
            "between 0 and 1",
            self.pattern_alpha,
        )?;
        let ranges = [
            ("detection.error_threshold", self.error_threshold, 1_000_000),
            ("detection.baseline_minimum", self.baseline_minimum, 1_000_000),
            ("detection.window_days", self.window_days, 365),
            ("detection.window_max_tasks", self.window_max_tasks, 100_000),
            ("detection.min_tasks", self.min_tasks, 100_000),
            ("detection.repeated_call_minimum", self.repeated_call_minimum, 1_000),
            ("detection.pattern_max_length", self.pattern_max_length, 6),
            ("detection.pattern_permutations", self.pattern_permutations, 100_000),
        ];
        for (setting, value, most) in ranges {
            require((1..=most).contains(&value), setting, "at least 1 and not absurdly large", value)?;
        }
        Ok(())
    }
}
