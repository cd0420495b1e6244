//! By what health is judged.

use serde::{Deserialize, Serialize};

use super::{PolicyError, require};

/// Points that are lost, and where one word ends and the next begins. The view `system_self_improvement_status` reads a
/// copy of this from the table `health_settings`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HealthPolicy {
    /// Points lost for each kind of alert that holds.
    pub alert_points: f64,
    /// Most points lost for rollbacks: all of them 30 percentage points beyond `rollback_free`.
    pub rollback_points: f64,
    /// The rollback rate that costs nothing, from 0 to 1.
    pub rollback_free: f64,
    /// Most points lost where kept improvements made things worse on average: all of them at -20 %.
    pub ineffective_points: f64,
    /// Most points lost while opportunities wait: all of them at `detection.backlog_alert`.
    pub backlog_points: f64,
    /// Most points lost where success fell against the week before: all of them at a fifth less.
    pub success_points: f64,
    /// Most points lost where tasks became slower against the week before: all of them at a quarter more.
    pub duration_points: f64,
    /// Points lost while there is no room to write.
    pub disk_full_points: f64,
    /// Health needs attention below this score.
    pub needs_attention_below: f64,
    /// Health is at best fair below this score.
    pub fair_below: f64,
    /// Health is at best fair beyond this rollback rate, from 0 to 1.
    pub fair_rollback_rate: f64,
    /// Health may be excellent from this score on.
    pub excellent_from: f64,
}

impl Default for HealthPolicy {
    fn default() -> Self {
        Self {
            alert_points: 15.0,
            rollback_points: 30.0,
            rollback_free: 0.1,
            ineffective_points: 10.0,
            backlog_points: 10.0,
            success_points: 20.0,
            duration_points: 10.0,
            disk_full_points: 30.0,
            needs_attention_below: 50.0,
            fair_below: 75.0,
            fair_rollback_rate: 0.2,
            excellent_from: 90.0,
        }
    }
}

impl HealthPolicy {
    pub(super) fn check(&self) -> Result<(), PolicyError> {
        for (setting, value) in [
            ("health.alert_points", self.alert_points),
            ("health.rollback_points", self.rollback_points),
            ("health.ineffective_points", self.ineffective_points),
            ("health.backlog_points", self.backlog_points),
            ("health.success_points", self.success_points),
            ("health.duration_points", self.duration_points),
            ("health.disk_full_points", self.disk_full_points),
            ("health.needs_attention_below", self.needs_attention_below),
            ("health.fair_below", self.fair_below),
            ("health.excellent_from", self.excellent_from),
        ] {
            require((0.0..=100.0).contains(&value), setting, "from 0 to 100", value)?;
        }
        for (setting, value) in
            [("health.rollback_free", self.rollback_free), ("health.fair_rollback_rate", self.fair_rollback_rate)]
        {
            require((0.0..=1.0).contains(&value), setting, "from 0 to 1", value)?;
        }
        require(
            self.needs_attention_below <= self.fair_below && self.fair_below <= self.excellent_from,
            "health.fair_below",
            "from health.needs_attention_below to health.excellent_from",
            self.fair_below,
        )
    }
}
