//! The review queue.

use serde::Serialize;
use uplift_model::Time;
use uplift_model::review::ReviewCounter;
use utoipa::ToSchema;

/// An entity's review counter.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReviewQueueItem {
    /// `agent`, `tool`, `context` or `process`.
    entity_type: &'static str,
    /// Its number within the type.
    entity_id: i64,
    /// That entity's name.
    entity_name: String,
    /// Its environment.
    environment: String,
    /// What makes its review due: `threshold`, `periodic` or `hybrid`.
    kind: &'static str,
    /// Tasks from one review to the next.
    task_threshold: u32,
    /// Hours of event time from one review to the next.
    period_hours: u32,
    /// Tasks ended since the last review.
    tasks_since_review: i64,
    /// The last review, event time.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_review_at: Option<Time>,
    /// The latest event of the entity.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_event_at: Option<Time>,
    /// Why its review is due (`tasks` or `time`), if it is.
    due: Option<&'static str>,
}

impl From<ReviewCounter> for ReviewQueueItem {
    fn from(counter: ReviewCounter) -> Self {
        Self {
            entity_type: counter.entity.entity_type.as_str(),
            entity_id: counter.entity.entity_id,
            entity_name: counter.entity_name,
            environment: counter.environment,
            kind: counter.schedule.kind.as_str(),
            task_threshold: counter.schedule.task_threshold,
            period_hours: counter.schedule.period_hours,
            tasks_since_review: counter.tasks_since_review,
            last_review_at: counter.last_review_at,
            last_event_at: counter.last_event_at,
            due: counter.due.map(uplift_model::review::ReviewReason::as_str),
        }
    }
}
