//! When alerts end. When they are raised is part of the rules of detection.

use serde::{Deserialize, Serialize};

use super::{PolicyError, require};

/// When alerts end: below a threshold of their own, and for some time, so that none comes and goes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AlertsPolicy {
    /// An alert that was raised above a threshold holds until the value is no longer above this share of it, from 0.1
    /// to 1.
    pub clear_share: f64,
    /// How long the value has to stay there before the alert is resolved, minutes; 0 resolves it at once.
    pub clear_after_minutes: u32,
}

impl Default for AlertsPolicy {
    fn default() -> Self {
        Self { clear_share: 0.9, clear_after_minutes: 10 }
    }
}

impl AlertsPolicy {
    pub(super) fn check(&self) -> Result<(), PolicyError> {
        require((0.1..=1.0).contains(&self.clear_share), "alerts.clear_share", "from 0.1 to 1", self.clear_share)?;
        let minutes = self.clear_after_minutes;
        require(minutes <= 10_080, "alerts.clear_after_minutes", "from 0 to 10080 (a week)", minutes)
    }

    /// How long a value has to stay low, microseconds.
    pub fn clear_after_us(&self) -> i64 {
        i64::from(self.clear_after_minutes) * 60_000_000
    }
}
