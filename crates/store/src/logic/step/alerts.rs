//! Alerts, by what health is judged, and news of what became of things.

use uplift_model::alert::AlertFinding;
use uplift_model::entity::EntityKey;
use uplift_model::time::MICROS_PER_DAY;

use super::Step;
use crate::error::StoreError;
use crate::logic::fault::Fault;
use crate::rows::{ACKNOWLEDGED, OPENED, RESOLVED};
use crate::sql::OptionalExtension;
use crate::writes::attention::{AlertWrite, HealthWrite};

impl Step<'_> {
    pub(super) fn alerts(&mut self, write: &AlertWrite) -> Result<(), Fault> {
        match write {
            AlertWrite::Raise(alert) => self.raise(alert),
            AlertWrite::Quiet { ids } => self.quiet(ids),
            AlertWrite::Resolve { ids, by } => self.resolve(ids, by.as_deref()),
            AlertWrite::Acknowledge { id, by, note } => self.acknowledge(*id, by, note.as_deref()),
        }
    }

    fn raise(&self, alert: &AlertFinding) -> Result<(), Fault> {
        let entity_type = alert.entity.map(|entity| entity.entity_type.as_str());
        let entity_id = alert.entity.map(|entity| entity.entity_id);
        let known: Option<i64> = self
            .connection
            .prepare_cached(
                "UPDATE improvement_alerts SET message = ?5, value = ?6, threshold = ?7, quiet_since = NULL
                 WHERE kind = ?1 AND coalesce(entity_type, '') = ?2 AND coalesce(entity_id, 0) = ?3
                    AND fingerprint = ?4 AND resolved_at IS NULL
                 RETURNING id",
            )?
            .query_row(
                (
                    alert.kind.as_str(),
                    entity_type.unwrap_or_default(),
                    entity_id.unwrap_or_default(),
                    &alert.fingerprint,
                    &alert.message,
                    alert.value,
                    alert.threshold,
                ),
                |row| row.get(0),
            )
            .optional()?;
        if known.is_some() {
            return Ok(());
        }
        let id: i64 = self
            .connection
            .prepare_cached(
                "INSERT INTO improvement_alerts (kind, entity_type, entity_id, fingerprint, message, value, threshold,
                    at, raised_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) RETURNING id",
            )?
            .query_row(
                (
                    alert.kind.as_str(),
                    entity_type,
                    entity_id,
                    &alert.fingerprint,
                    &alert.message,
                    alert.value,
                    alert.threshold,
                    alert.at.micros(),
                    self.at.micros(),
                ),
                |row| row.get(0),
            )?;
        self.alert_news(id, OPENED)
    }

    fn quiet(&self, ids: &[i64]) -> Result<(), Fault> {
        for id in ids {
            self.connection
                .prepare_cached(
                    "UPDATE improvement_alerts SET quiet_since = ?2
                     WHERE id = ?1 AND quiet_since IS NULL AND resolved_at IS NULL",
                )?
                .defer((*id, self.at.micros()))?;
        }
        Ok(())
    }

    fn resolve(&self, ids: &[i64], by: Option<&str>) -> Result<(), Fault> {
        for id in ids {
            let resolved = self
                .connection
                .prepare_cached(
                    "UPDATE improvement_alerts SET resolved_at = ?2, resolved_by = ?3
                     WHERE id = ?1 AND resolved_at IS NULL",
                )?
                .execute((*id, self.at.micros(), by))?;
            if resolved > 0 {
                self.alert_news(*id, RESOLVED)?;
            }
        }
        Ok(())
    }

    fn acknowledge(&self, id: i64, by: &str, note: Option<&str>) -> Result<(), Fault> {
        self.require("alert", "SELECT 1 FROM improvement_alerts WHERE id = ?1", id)?;
        let changed = self
            .connection
            .prepare_cached(
                "UPDATE improvement_alerts SET acknowledged_at = ?2, acknowledged_by = ?3, note = ?4
                 WHERE id = ?1 AND resolved_at IS NULL",
            )?
            .execute((id, self.at.micros(), by, note))?;
        if changed == 0 {
            return Err(StoreError::moved_on(format!("alert {id}"), "one that holds").into());
        }
        self.alert_news(id, ACKNOWLEDGED)
    }

    fn alert_news(&self, id: i64, word: &str) -> Result<(), Fault> {
        self.connection
            .prepare_cached(
                "INSERT INTO news (at, kind, word, subject_id, entity_type, entity_id)
                 SELECT CAST(?1 AS bigint), 'alert', CAST(?2 AS text), id, entity_type, entity_id
                 FROM improvement_alerts WHERE id = ?3",
            )?
            .defer((self.at.micros(), word, id))?;
        Ok(())
    }

    /// News of the status that an opportunity has reached.
    pub(super) fn opportunity_news(&self, id: i64) -> Result<(), Fault> {
        self.connection
            .prepare_cached(
                "INSERT INTO news (at, kind, word, subject_id, entity_type, entity_id)
                 SELECT CAST(?1 AS bigint), 'opportunity', status, id, entity_type, entity_id
                 FROM optimization_opportunities WHERE id = ?2",
            )?
            .defer((self.at.micros(), id))?;
        Ok(())
    }

    /// News of the status that an improvement has reached.
    pub(super) fn improvement_news(&self, id: i64) -> Result<(), Fault> {
        self.connection
            .prepare_cached(
                "INSERT INTO news (at, kind, word, subject_id, entity_type, entity_id)
                 SELECT CAST(?1 AS bigint), 'improvement', status, id, entity_type, entity_id
                 FROM improvements WHERE id = ?2",
            )?
            .defer((self.at.micros(), id))?;
        Ok(())
    }

    /// News of what became of an improvement.
    pub(super) fn verdict_news(&self, id: i64, entity: EntityKey, outcome: &str) -> Result<(), Fault> {
        self.connection
            .prepare_cached(
                "INSERT INTO news (at, kind, word, subject_id, entity_type, entity_id)
                 VALUES (?1, 'verdict', ?2, ?3, ?4, ?5)",
            )?
            .defer((self.at.micros(), outcome, id, entity.entity_type.as_str(), entity.entity_id))?;
        Ok(())
    }

    pub(super) fn health(&self, write: &HealthWrite) -> Result<(), Fault> {
        match write {
            HealthWrite::Settings { policy, backlog_alert, rollback_days, min_decisions } => {
                self.connection
                    .prepare_cached(
                        "UPDATE health_settings SET alert_points = ?1, rollback_points = ?2, rollback_free = ?3,
                            ineffective_points = ?4, backlog_points = ?5, backlog_alert = ?6, success_points = ?7,
                            duration_points = ?8, needs_attention_below = ?9, fair_below = ?10,
                            fair_rollback_rate = ?11, excellent_from = ?12, rollback_window_us = ?13,
                            min_decisions = ?14",
                    )?
                    .defer(crate::sql::params![
                        policy.alert_points,
                        policy.rollback_points,
                        policy.rollback_free,
                        policy.ineffective_points,
                        policy.backlog_points,
                        (*backlog_alert).max(1),
                        policy.success_points,
                        policy.duration_points,
                        policy.needs_attention_below,
                        policy.fair_below,
                        policy.fair_rollback_rate,
                        policy.excellent_from,
                        i64::from(*rollback_days) * MICROS_PER_DAY,
                        *min_decisions,
                    ])?;
            }
            HealthWrite::Trends { success_change, duration_change } => {
                let finite = |change: &Option<f64>| change.filter(|change| change.is_finite());
                self.connection
                    .prepare_cached(
                        "UPDATE health_trends SET success_change = ?1, duration_change = ?2, measured_at = ?3",
                    )?
                    .defer((finite(success_change), finite(duration_change), self.at.micros()))?;
            }
        }
        Ok(())
    }
}
