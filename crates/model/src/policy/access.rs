//! Who is let in, and how often.

use serde::{Deserialize, Serialize};

use super::{PolicyError, require};

/// When tokens are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokensNeeded {
    /// Where the server can be reached from other machines, or a proxy stands before it.
    #[default]
    Auto,
    /// Everywhere, on the loopback interface too.
    Always,
}

/// Who is let in, and how often.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AccessPolicy {
    /// When tokens are asked for.
    pub tokens: TokensNeeded,
    /// Requests a second that one token may make over time.
    pub requests_per_second: u32,
    /// Requests that one token may make at once.
    pub burst: u32,
    /// Wrong tokens a minute that one address may present before it is turned away for a while.
    pub failures_per_minute: u32,
    /// How long a session of the dashboard lasts, hours.
    pub session_hours: u32,
    /// How long the audit log is kept, days.
    pub audit_days: u32,
}

impl Default for AccessPolicy {
    fn default() -> Self {
        Self {
            tokens: TokensNeeded::Auto,
            requests_per_second: 2_000,
            burst: 4_000,
            failures_per_minute: 20,
            session_hours: 12,
            audit_days: 400,
        }
    }
}

impl AccessPolicy {
    pub(super) fn check(&self) -> Result<(), PolicyError> {
        let rate = self.requests_per_second;
        require((1..=1_000_000).contains(&rate), "access.requests_per_second", "from 1 to 1000000", rate)?;
        require((1..=1_000_000).contains(&self.burst), "access.burst", "from 1 to 1000000", self.burst)?;
        let failures = self.failures_per_minute;
        require((1..=10_000).contains(&failures), "access.failures_per_minute", "from 1 to 10000", failures)?;
        let hours = self.session_hours;
        require((1..=720).contains(&hours), "access.session_hours", "from 1 to 720", hours)?;
        require((1..=3_650).contains(&self.audit_days), "access.audit_days", "from 1 to 3650", self.audit_days)
    }
}
