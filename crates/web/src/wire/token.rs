//! Tokens, and the audit log.

use serde::{Deserialize, Serialize};
use uplift_model::Time;
use uplift_model::access::{AuditRecord, Token as Model};
use utoipa::ToSchema;

/// What a new token is to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TokenBody {
    /// Its name, under which actions are written down; of the tokens in force each has another.
    pub(crate) name: String,
    /// `viewer`, `agent`, `operator` or `admin`.
    pub(crate) role: String,
    /// Whom an agent's token stands for, such as `agent/researcher` or `production:agent/*`.
    pub(crate) entities: Option<Vec<String>>,
    /// When it expires, seconds from now; never where it is missing.
    pub(crate) expires_in_seconds: Option<u64>,
}

/// A token, without what its owner presents.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Token {
    /// Its number.
    id: i64,
    /// Its name.
    name: String,
    /// `viewer`, `agent`, `operator` or `admin`.
    role: &'static str,
    /// Whom it stands for, where it is an agent's.
    entities: Vec<String>,
    /// `in_force`, `expired` or `revoked`.
    state: &'static str,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Time,
    /// By whom.
    created_by: String,
    /// When it expires; null for never.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Time>,
    /// When it was revoked.
    #[schema(value_type = Option<String>, format = DateTime)]
    revoked_at: Option<Time>,
    /// By whom.
    revoked_by: Option<String>,
    /// When it was last used, to about ten minutes.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_used_at: Option<Time>,
}

impl Token {
    /// A token as it stands at a moment.
    pub(crate) fn of(token: Model, now: Time) -> Self {
        let state = match (token.revoked_at, token.is_in_force(now)) {
            (Some(_), _) => "revoked",
            (None, true) => "in_force",
            (None, false) => "expired",
        };
        Self {
            id: token.id,
            name: token.name,
            role: token.role.as_str(),
            entities: token.entities.iter().map(ToString::to_string).collect(),
            state,
            created_at: token.created_at,
            created_by: token.created_by,
            expires_at: token.expires_at,
            revoked_at: token.revoked_at,
            revoked_by: token.revoked_by,
            last_used_at: token.last_used_at,
        }
    }
}

/// A token that was just made.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MadeToken {
    /// What its owner presents, as `Authorization: Bearer TOKEN`. It is shown here and never again.
    #[serde(rename = "token")]
    pub(crate) secret: String,
    /// The rest of it.
    #[serde(flatten)]
    pub(crate) token: Token,
}

/// Something that somebody asked to be changed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditEntry {
    /// Its number.
    id: i64,
    /// When it was asked for.
    #[schema(value_type = String, format = DateTime)]
    at: Time,
    /// Who asked: the name of a token, or `local`.
    actor: String,
    /// In which role.
    role: &'static str,
    /// By which token.
    token_id: Option<i64>,
    /// From which address.
    peer: Option<String>,
    /// What: a method and the pattern of a path.
    action: String,
    /// Of what: the path.
    subject: String,
    /// What else is to be known of it.
    detail: Option<String>,
    /// The status of the answer; null while it is being worked on, and where nothing is known of it after a crash.
    status: Option<u16>,
    /// When it was answered.
    #[schema(value_type = Option<String>, format = DateTime)]
    ended_at: Option<Time>,
}

impl From<AuditRecord> for AuditEntry {
    fn from(record: AuditRecord) -> Self {
        let entry = record.entry;
        Self {
            id: record.id,
            at: entry.at,
            actor: entry.actor,
            role: entry.role.as_str(),
            token_id: entry.token_id,
            peer: entry.peer,
            action: entry.action,
            subject: entry.subject,
            detail: entry.detail,
            status: record.status,
            ended_at: record.ended_at,
        }
    }
}
