//! The wire format of an event, as a sender writes it.

use serde::Serialize;
use serde_json::Value;
use uplift_model::event::{EventKind, Outcome, Source};
use uplift_model::time::Time;

/// One event. What is `None` is left out of the line.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Record {
    pub(super) id: String,
    pub(super) ts: Time,
    pub(super) event_type: EventKind,
    pub(super) agent: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tool: Option<&'static str>,
    pub(super) task_id: String,
    pub(super) session_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) outcome: Option<Outcome>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) duration_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tokens_in: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tokens_out: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cost_usd: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) content: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) attributes: Option<Value>,
    pub(super) source: Source,
}

impl Record {
    /// The record as one line of NDJSON.
    pub(super) fn line(&self) -> String {
        // Strings, finite numbers and string keys always have a JSON form; an empty line would be one that
        // every reader refuses, so nothing could pass unseen.
        serde_json::to_string(self).unwrap_or_default()
    }
}
