//! Rolling reviews: every so many tasks, every so often, or both.

use serde::{Deserialize, Serialize};

use crate::entity::EntityKey;
use crate::entity::UnknownName;
use crate::opportunity::names;
use crate::time::Time;
use std::str::FromStr;

names! {
    /// What makes a review due.
    ReviewKind,
    "a kind of review (threshold, periodic, hybrid)",
    {
        /// So many tasks since the last one.
        Threshold = "threshold",
        /// So many hours of event time since the last one.
        Periodic = "periodic",
        /// Whichever comes first.
        Hybrid = "hybrid",
    }
}

names! {
    /// Why a review is due.
    ReviewReason,
    "a reason (tasks, time)",
    {
        /// The task count was reached.
        Tasks = "tasks",
        /// The time was up.
        Time = "time",
    }
}

/// When an entity is reviewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReviewSchedule {
    /// What makes a review due.
    pub kind: ReviewKind,
    /// Tasks from one review to the next, at least 1.
    pub task_threshold: u32,
    /// Hours of event time from one review to the next, at least 1.
    pub period_hours: u32,
}

impl Default for ReviewSchedule {
    fn default() -> Self {
        Self { kind: ReviewKind::Hybrid, task_threshold: 100, period_hours: 24 }
    }
}

/// An entity's counter, and whether its review is due.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReviewCounter {
    /// The entity.
    #[serde(flatten)]
    pub entity: EntityKey,
    /// Its name.
    pub entity_name: String,
    /// Its environment.
    pub environment: String,
    /// When it is reviewed.
    pub schedule: ReviewSchedule,
    /// Tasks ended since the last review.
    pub tasks_since_review: i64,
    /// The last review, event time.
    pub last_review_at: Option<Time>,
    /// The latest event of the entity, event time.
    pub last_event_at: Option<Time>,
    /// Why its review is due, if it is.
    pub due: Option<ReviewReason>,
}

/// A review that was held.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Review {
    /// The entity.
    pub entity: EntityKey,
    /// When, in event time.
    pub reviewed_at: Time,
    /// Why.
    pub reason: ReviewReason,
    /// How many tasks had ended since the one before.
    pub tasks: i64,
    /// How many findings came of it.
    pub findings: i64,
    /// What it saw, in one paragraph.
    pub summary: String,
}
