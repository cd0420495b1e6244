//! Whom to tell, and messages on their way.

use serde::{Deserialize, Serialize};
use uplift_model::Time;
use uplift_model::notification::{Delivery as ModelDelivery, Target as ModelTarget};
use uplift_runner::notifying::targets::{SetTarget, Trial};
use utoipa::ToSchema;

/// Somebody to be told.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Target {
    /// Its name.
    name: String,
    /// Where to send: scheme, host and port. The rest of an address may be a key, and is not shown.
    url: String,
    /// `cloudevents`, `slack` or `alertmanager`.
    format: &'static str,
    /// What is wanted; everything where it is empty.
    kinds: Vec<&'static str>,
    /// Whether messages are signed.
    signed: bool,
    /// When it was set.
    #[schema(value_type = String, format = DateTime)]
    created_at: Time,
    /// By whom.
    created_by: String,
}

/// A target that was set, with its secret, which is shown this once.
#[derive(Serialize, ToSchema)]
pub(crate) struct MadeTarget {
    /// The target.
    #[serde(flatten)]
    target: Target,
    /// What messages are signed with.
    secret: String,
}

/// A target to set.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TargetBody {
    /// Its name: 1 to 64 letters, digits, `.`, `_` and `-`.
    pub(crate) name: String,
    /// Where to send.
    pub(crate) url: String,
    /// `cloudevents` (as where it is missing), `slack` or `alertmanager`.
    pub(crate) format: Option<String>,
    /// What is wanted, such as `alert.opened`; everything where it is missing or empty.
    pub(crate) kinds: Option<Vec<String>>,
    /// What to sign with, `whsec_` and 24 to 64 bytes in base64; made here where it is missing.
    pub(crate) secret: Option<String>,
}

/// How a trial of a target went.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TargetTrial {
    /// Whether it said that it has the message.
    delivered: bool,
    /// The HTTP status, if there was an answer.
    status: Option<u16>,
    /// What went wrong.
    error: Option<String>,
    /// The id of the message that was sent.
    message_id: String,
}

/// A message on its way to a target.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Delivery {
    /// Its number.
    id: i64,
    /// The target's name.
    target: String,
    /// The message's id: the same each time it is sent, and to all targets.
    message_id: String,
    /// What it is about, such as `alert.opened`.
    kind: &'static str,
    /// The same in one sentence.
    summary: String,
    /// `pending`, `delivered` or `dead` (given up).
    state: &'static str,
    /// How often it was tried.
    attempts: i64,
    /// Since when it waits.
    #[schema(value_type = String, format = DateTime)]
    created_at: Time,
    /// When it is tried next; null once it ended.
    #[schema(value_type = Option<String>, format = DateTime)]
    due_at: Option<Time>,
    /// When it was last tried.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_attempt_at: Option<Time>,
    /// The HTTP status of the last answer, if there was one.
    last_status: Option<u16>,
    /// Why the last try failed.
    last_error: Option<String>,
    /// When the target took it.
    #[schema(value_type = Option<String>, format = DateTime)]
    delivered_at: Option<Time>,
}

/// A delivery that was taken up again.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Revived {
    /// Its number.
    pub(crate) id: i64,
    /// `pending`.
    pub(crate) state: &'static str,
}

impl From<ModelTarget> for Target {
    fn from(target: ModelTarget) -> Self {
        let set = target.target;
        Self {
            url: set.shown_url(),
            name: set.name,
            format: set.format.as_str(),
            kinds: set.kinds.into_iter().map(uplift_model::notification::NotificationKind::as_str).collect(),
            signed: set.secret.is_some(),
            created_at: target.created_at,
            created_by: target.created_by,
        }
    }
}

impl From<SetTarget> for MadeTarget {
    fn from(set: SetTarget) -> Self {
        Self { target: set.target.into(), secret: set.secret }
    }
}

impl From<Trial> for TargetTrial {
    fn from(trial: Trial) -> Self {
        Self { delivered: trial.delivered, status: trial.status, error: trial.error, message_id: trial.message_id }
    }
}

impl From<ModelDelivery> for Delivery {
    fn from(delivery: ModelDelivery) -> Self {
        Self {
            id: delivery.id,
            target: delivery.target,
            message_id: delivery.message.id,
            kind: delivery.message.kind.as_str(),
            summary: delivery.message.summary,
            state: delivery.state.as_str(),
            attempts: delivery.attempts,
            created_at: delivery.created_at,
            due_at: delivery.due_at,
            last_attempt_at: delivery.last_attempt_at,
            last_status: delivery.last_status,
            last_error: delivery.last_error,
            delivered_at: delivery.delivered_at,
        }
    }
}
