//! Reviews and alerts.

use uplift_model::alert::AlertFinding;
use uplift_model::review::Review;

use super::{LINE, Step, json};
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

    pub(super) fn raise(&mut self, alert: &AlertFinding) -> Result<(), Fault> {
        let entity_type = alert.entity.map(|entity| entity.entity_type.as_str());
        let entity_id = alert.entity.map(|entity| entity.entity_id);
        self.connection
            .prepare_cached(
                "INSERT INTO improvement_alerts (kind, entity_type, entity_id, fingerprint, message, value, threshold,
                    at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
                 ON CONFLICT (kind, coalesce(entity_type, ''), coalesce(entity_id, 0), fingerprint)
                    WHERE resolved_at IS NULL
                 DO UPDATE SET message = excluded.message, value = excluded.value, threshold = excluded.threshold",
            )?
            .defer((
                alert.kind.as_str(),
                entity_type,
                entity_id,
                &alert.fingerprint,
                &alert.message,
                alert.value,
                alert.threshold,
                alert.at.micros(),
            ))?;
        Ok(())
    }

    pub(super) fn resolve_except(&mut self, alerts: &[AlertFinding]) -> Result<(), Fault> {
        let key = |kind: &str, entity_type: &str, entity_id: i64, fingerprint: &str| {
            format!("{kind}{LINE}{entity_type}{LINE}{entity_id}{LINE}{fingerprint}")
        };
        let kept: Vec<String> = alerts
            .iter()
            .map(|alert| {
                let entity_type = alert.entity.map_or("", |entity| entity.entity_type.as_str());
                let entity_id = alert.entity.map_or(0, |entity| entity.entity_id);
                key(alert.kind.as_str(), entity_type, entity_id, &alert.fingerprint)
            })
            .collect();
        self.connection
            .prepare_cached(&format!(
                "UPDATE improvement_alerts SET resolved_at = ?1
                 WHERE resolved_at IS NULL
                 AND kind || '{LINE}' || coalesce(entity_type, '') || '{LINE}' || coalesce(entity_id, 0) || '{LINE}'
                    || fingerprint NOT IN ({})",
                self.connection.elements("?2"),
            ))?
            .defer((self.at.micros(), json(&kept, "alerts")?))?;
        Ok(())
    }
}
