//! How much there is.

use serde::{Deserialize, Serialize};

/// How much there is, beside tasks and events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Agents, without those that come with Uplift.
    pub agents: i64,
    /// Tools, without those that come with Uplift.
    pub tools: i64,
    /// Groups of errors.
    pub error_groups: i64,
    /// Opportunities not yet acted on.
    pub opportunities_pending: i64,
    /// Opportunities with an improvement under way.
    pub opportunities_in_progress: i64,
    /// Improvements that occupy an entity.
    pub improvements_active: i64,
    /// Alerts that hold.
    pub alerts_active: i64,
}

/// How much was done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskCounts {
    /// Events.
    pub events: i64,
    /// Tasks that somebody named.
    pub tasks: i64,
    /// Those with outcome SUCCESS.
    pub tasks_succeeded: i64,
    /// Those with outcome FAILURE or ERROR.
    pub tasks_failed: i64,
}
