//! Alerts.

use serde::{Deserialize, Serialize};
use uplift_model::Time;
use uplift_model::alert::{Acknowledgement, Alert as Model};
use utoipa::ToSchema;

use super::entity::Key;

/// An alert on the health of the whole, or of one entity.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Alert {
    /// Its number.
    id: i64,
    /// `high_rollback_rate`, `degraded_performance`, `opportunity_backlog`, `recurring_failure` or
    /// `disk_full`.
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
    /// `open`, `acknowledged` or `resolved`.
    state: &'static str,
    /// Whether it still holds.
    active: bool,
    /// When it was raised, by the server's clock.
    #[schema(value_type = String, format = DateTime)]
    raised_at: Time,
    /// Since when it is below the threshold at which it clears; null while it is above.
    #[schema(value_type = Option<String>, format = DateTime)]
    quiet_since: Option<Time>,
    /// Who looks after it, if somebody said so.
    acknowledged: Option<Acknowledged>,
    /// When it was resolved.
    #[schema(value_type = Option<String>, format = DateTime)]
    resolved_at: Option<Time>,
    /// Who resolved it by hand; null where it ended by itself.
    resolved_by: Option<String>,
}

/// That somebody looks after an alert.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Acknowledged {
    /// Who.
    by: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    at: Time,
    /// What they had to say.
    note: Option<String>,
}

/// What somebody says who acknowledges an alert.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AcknowledgeBody {
    /// Who looks after it, where the server knows nobody by a token.
    pub(crate) by: Option<String>,
    /// What they have to say, at most 1000 characters.
    pub(crate) note: Option<String>,
}

/// What somebody says who resolves an alert.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResolveBody {
    /// Who says that it is dealt with, where the server knows nobody by a token.
    pub(crate) by: Option<String>,
}

impl From<Acknowledgement> for Acknowledged {
    fn from(acknowledged: Acknowledgement) -> Self {
        Self { by: acknowledged.by, at: acknowledged.at, note: acknowledged.note }
    }
}

impl From<Model> for Alert {
    fn from(alert: Model) -> Self {
        let state = alert.state().as_str();
        let finding = alert.finding;
        Self {
            id: alert.id,
            state,
            kind: finding.kind.as_str(),
            entity: finding.entity.map(Into::into),
            fingerprint: finding.fingerprint,
            message: finding.message,
            value: finding.value,
            threshold: finding.threshold,
            at: finding.at,
            active: alert.active,
            raised_at: alert.raised_at,
            quiet_since: alert.quiet_since,
            acknowledged: alert.acknowledged.map(Into::into),
            resolved_at: alert.resolved_at,
            resolved_by: alert.resolved_by,
        }
    }
}
