//! Alerts on the health of the whole.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::entity::{EntityKey, UnknownName};
use crate::opportunity::names;
use crate::time::Time;

names! {
    /// The kinds of alert.
    AlertKind,
    "an alert (high_rollback_rate, degraded_performance, opportunity_backlog, recurring_failure, disk_full)",
    {
        /// More than 30 % of decided improvements were taken back.
        HighRollbackRate = "high_rollback_rate",
        /// Success fell, or time rose, by more than 20 %.
        DegradedPerformance = "degraded_performance",
        /// More than 50 opportunities are pending.
        OpportunityBacklog = "opportunity_backlog",
        /// The same error 5 times or more in an hour.
        RecurringFailure = "recurring_failure",
        /// Nothing could be written for want of room, within the last hour.
        DiskFull = "disk_full",
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

names! {
    /// How far an alert has come.
    AlertState,
    "the state of an alert (open, acknowledged, resolved)",
    {
        /// It holds, and nobody has said that they look after it.
        Open = "open",
        /// It holds, and somebody looks after it.
        Acknowledged = "acknowledged",
        /// It no longer holds.
        Resolved = "resolved",
    }
}

/// That somebody looks after an alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledgement {
    /// When.
    pub at: Time,
    /// Who.
    pub by: String,
    /// What they had to say; at most [`MAX_NOTE_CHARS`] characters.
    pub note: Option<String>,
}

/// Longest note on an alert, in characters.
pub const MAX_NOTE_CHARS: usize = 1_000;

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
    /// When it was raised, by the engine's clock.
    pub raised_at: Time,
    /// Since when it is below the threshold at which it clears, by the engine's clock; none while it is above.
    pub quiet_since: Option<Time>,
    /// Who looks after it, if somebody said so.
    pub acknowledged: Option<Acknowledgement>,
    /// When it was resolved.
    pub resolved_at: Option<Time>,
    /// Who resolved it by hand; none where it ended by itself.
    pub resolved_by: Option<String>,
}

impl Alert {
    /// How far it has come.
    pub fn state(&self) -> AlertState {
        if !self.active {
            AlertState::Resolved
        } else if self.acknowledged.is_some() {
            AlertState::Acknowledged
        } else {
            AlertState::Open
        }
    }
}
