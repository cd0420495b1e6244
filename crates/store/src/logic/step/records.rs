//! Reviews.

use uplift_model::review::Review;

use super::Step;
use crate::logic::fault::Fault;

impl Step<'_> {
    pub(super) fn record_review(&mut self, review: &Review) -> Result<(), Fault> {
        let entity = (review.entity.entity_type.as_str(), review.entity.entity_id);
        self.connection
            .prepare_cached(
                "INSERT INTO reviews (entity_type, entity_id, reviewed_at, reason, tasks, findings, summary)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .defer((
                entity.0,
                entity.1,
                review.reviewed_at.micros(),
                review.reason.as_str(),
                review.tasks,
                review.findings,
                &review.summary,
            ))?;
        // What came in since the review was worked out stays counted.
        self.connection
            .prepare_cached(
                "UPDATE rolling_review_counters SET due = NULL,
                    tasks_since_review = CASE WHEN tasks_since_review > ?3 THEN tasks_since_review - ?3 ELSE 0 END,
                    period_start_at = ?4, last_review_at = ?4
                 WHERE entity_type = ?1 AND entity_id = ?2",
            )?
            .defer((entity.0, entity.1, review.tasks, review.reviewed_at.micros()))?;
        Ok(())
    }
}
