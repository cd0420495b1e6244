//! An event as it is sent.

use serde::Serialize;
use serde_json::Value;
use uplift_model::event::{EventKind, Outcome, Source};
use uplift_model::time::Time;

/// One event. What is `None` is not sent.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Record {
    /// Unique within the task.
    pub id: String,
    /// When it happened.
    pub ts: Time,
    /// What happened.
    pub event_type: EventKind,
    /// To whom.
    pub agent: &'static str,
    /// The tool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool: Option<&'static str>,
    /// The task.
    pub task_id: String,
    /// How it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<f64>,
    /// Tokens read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_in: Option<u64>,
    /// Tokens written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_out: Option<u64>,
    /// US dollars.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<f64>,
    /// Kind of error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_type: Option<&'static str>,
    /// Text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// An object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attributes: Option<Value>,
    /// The arms the task was given, as they were served.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exposures: Option<Value>,
    /// Who says so.
    pub source: Source,
}

impl Record {
    /// The record as one line of NDJSON.
    pub fn line(&self) -> String {
        // Strings, finite numbers and string keys always have a JSON form; an empty line would be one that every reader
        // refuses, so nothing could pass unseen.
        serde_json::to_string(self).unwrap_or_default()
    }
}
