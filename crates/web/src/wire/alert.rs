//! Alerts.

use serde::Serialize;
use uplift_model::Time;
use uplift_model::alert::Alert as Model;
use utoipa::ToSchema;

use super::entity::Key;

/// An alert on the health of the whole, or of one entity.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Alert {
    /// Its number.
    id: i64,
    /// `high_rollback_rate`, `degraded_performance`, `opportunity_backlog` or `recurring_failure`.
    kind: &'static str,
    /// Whom it concerns; null for the system as a whole.
    entity: Option<Key>,
    /// What tells it from others of its kind.
    fingerprint: String,
    /// One sentence for people.
    message: String,
    /// What was measured.
    value: f64,
    /// The threshold it passed.
    threshold: f64,
    /// Since when, event time.
    #[schema(value_type = String, format = DateTime)]
    at: Time,
    /// Whether it still holds.
    active: bool,
    /// When it was resolved.
    #[schema(value_type = Option<String>, format = DateTime)]
    resolved_at: Option<Time>,
}

impl From<Model> for Alert {
    fn from(alert: Model) -> Self {
        let finding = alert.finding;
        Self {
            id: alert.id,
            kind: finding.kind.as_str(),
            entity: finding.entity.map(Into::into),
            fingerprint: finding.fingerprint,
            message: finding.message,
            value: finding.value,
            threshold: finding.threshold,
            at: finding.at,
            active: alert.active,
            resolved_at: alert.resolved_at,
        }
    }
}
