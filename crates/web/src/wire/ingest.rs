//! What became of events that were sent.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uplift_intake::{Place, Rejection, Warning as Kept};
use utoipa::ToSchema;

/// What became of the events of one request. What is accepted is durable.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct IngestReport {
    /// Stored now.
    pub(crate) accepted: u64,
    /// Stored before; nothing changed.
    pub(crate) duplicates: u64,
    /// Not taken, with the reason: the first of them.
    pub(crate) rejected: Vec<Rejected>,
    /// How many were not taken.
    pub(crate) rejected_count: u64,
    /// What the sender should know of events that were taken.
    pub(crate) warnings: Vec<Warning>,
    /// What else is to be said of saved telemetry.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) notes: Vec<String>,
}

/// An event that was not taken.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Rejected {
    /// Its place in the array, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<u64>,
    /// Its line of NDJSON, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    /// Its id, where one could be read.
    id: Option<String>,
    /// The stable name of the reason; its page is at `/errors/{code}`.
    code: &'static str,
    /// What is wrong, and what to do.
    detail: String,
}

impl Rejected {
    pub(crate) fn new(place: Place, id: Option<String>, code: &'static str, detail: String) -> Self {
        let (index, line) = match place {
            Place::Index(index) => (Some(index), None),
            Place::Line(line) => (None, Some(line)),
            Place::InboxRow(_) => (None, None),
        };
        Self { index, line, id, code, detail }
    }

    /// For the order of the list.
    pub(crate) fn place(&self) -> u64 {
        self.index.or(self.line).unwrap_or_default()
    }
}

impl From<Rejection> for Rejected {
    fn from(rejection: Rejection) -> Self {
        Self::new(rejection.place, rejection.id, rejection.code.as_str(), rejection.detail)
    }
}

/// Something a sender should know of events that were taken.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Warning {
    /// `unknown_field`.
    code: &'static str,
    /// The field.
    field: String,
    /// How many events had it.
    count: u64,
    /// What was done.
    detail: String,
}

impl From<Kept> for Warning {
    fn from(warning: Kept) -> Self {
        Self { code: "unknown_field", field: warning.field, count: warning.count, detail: warning.detail }
    }
}

/// An event as sent. Unknown fields are kept among the attributes.
#[derive(Debug, Deserialize, ToSchema)]
#[allow(dead_code, reason = "it describes the body to readers of the API; crates/intake reads it")]
pub(crate) struct EventBody {
    /// The sender's id, at most 128 bytes: sending an event again under the same id changes nothing.
    id: String,
    /// RFC 3339 with an offset, or milliseconds since the Unix epoch. Where it is missing, the event takes the
    /// latest time of its task, else the parameter `at`, else the time of its arrival.
    ts: Option<Value>,
    /// `TASK_STARTED`, `TASK_COMPLETED`, `TASK_FAILED`, `TOOL_EXECUTED`, `LLM_CALL`, `ERROR`, `CONTEXT_READ`,
    /// `FEEDBACK` or `HANDOFF`.
    event_type: String,
    /// Short for `entity_type: agent` and `entity`.
    agent: Option<String>,
    /// `agent`, `tool`, `context` or `process`.
    entity_type: Option<String>,
    /// A name, or an id as a number.
    entity: Option<String>,
    /// `default` where it is missing.
    environment: Option<String>,
    /// The tool that was called.
    tool: Option<String>,
    /// The task.
    task_id: Option<String>,
    /// The task that gave rise to it.
    parent_task_id: Option<String>,
    /// The session.
    session_id: Option<String>,
    /// The trace.
    trace_id: Option<String>,
    /// The span.
    span_id: Option<String>,
    /// `SUCCESS`, `FAILURE` or `ERROR`.
    outcome: Option<String>,
    /// Milliseconds.
    duration_ms: Option<f64>,
    /// Tokens read.
    tokens_in: Option<u64>,
    /// Tokens written.
    tokens_out: Option<u64>,
    /// Tokens read from a cache.
    tokens_cached: Option<u64>,
    /// US dollars.
    cost_usd: Option<f64>,
    /// Kind of error.
    error_type: Option<String>,
    /// Text; other JSON is kept as its text.
    content: Option<String>,
    /// An object.
    #[schema(value_type = Option<Object>)]
    attributes: Option<Value>,
    /// The arms its unit was given, as resolve answered.
    #[schema(value_type = Option<Vec<Object>>)]
    exposures: Option<Value>,
    /// `self`, `environment` or `human`.
    source: Option<String>,
}
