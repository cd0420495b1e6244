//! Alerts on the health of the whole.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::entity::{EntityKey, UnknownName};
use crate::opportunity::names;
use crate::time::Time;

names! {
    /// The kinds of alert.
    AlertKind,
    "an alert (high_rollback_rate, degraded_performance, opportunity_backlog, recurring_failure)",
    {
        /// More than 30 % of decided improvements were taken back.
        HighRollbackRate = "high_rollback_rate",
        /// Success fell, or time rose, by more than 20 %.
        DegradedPerformance = "degraded_performance",
        /// More than 50 opportunities are pending.
        OpportunityBacklog = "opportunity_backlog",
        /// The same error 5 times or more in an hour.
        RecurringFailure = "recurring_failure",
    }
}

names! {
    /// The health of the whole, in a word.
    HealthStatus,
    "a health (excellent, good, fair, needs_attention)",
    {
        /// Improvements work, few are taken back.
        Excellent = "excellent",
        /// On the way up, stable.
        Good = "good",
        /// Mixed.
        Fair = "fair",
        /// Active alerts, or on the way down.
        NeedsAttention = "needs_attention",
    }
}

/// An alert as a detector states it. At most one is active per (kind, entity, fingerprint).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertFinding {
    /// Its kind.
    pub kind: AlertKind,
    /// Whom it concerns; none for the system as a whole.
    pub entity: Option<EntityKey>,
    /// What tells it from others of its kind.
    pub fingerprint: String,
    /// One sentence for people.
    pub message: String,
    /// The value that was measured.
    pub value: f64,
    /// The threshold it passed.
    pub threshold: f64,
    /// Since when, event time.
    pub at: Time,
}

/// An alert on record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// Its number.
    pub id: i64,
    /// What was stated.
    #[serde(flatten)]
    pub finding: AlertFinding,
    /// Whether it still holds.
    pub active: bool,
    /// When it was resolved.
    pub resolved_at: Option<Time>,
}
