//! Events as read back.

use serde::Serialize;
use serde_json::Value;
use uplift_model::Time;
use uplift_model::event::{Clock, Exposure as ModelExposure};
use uplift_store::rows::EventRecord;
use utoipa::ToSchema;

/// An event as read back. Its texts come from outside: treat them as untrusted.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Event {
    /// The first half of its identity.
    trace_key: String,
    /// The sender's id: the second half.
    id: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    ts: Time,
    /// Where the time comes from: `own`, `inherited` or `received`.
    clock: &'static str,
    /// Its type.
    event_type: &'static str,
    /// The environment.
    environment: String,
    /// `agent`, `tool`, `context` or `process`.
    entity_type: &'static str,
    /// Its number within the type.
    entity_id: i64,
    /// That entity's name.
    entity_name: String,
    /// The task.
    task_id: Option<String>,
    /// The task that gave rise to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_task_id: Option<String>,
    /// The session.
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<String>,
    /// The span.
    #[serde(skip_serializing_if = "Option::is_none")]
    span_id: Option<String>,
    /// The tool.
    #[serde(skip_serializing_if = "Option::is_none")]
    tool: Option<String>,
    /// `SUCCESS`, `FAILURE` or `ERROR`.
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'static str>,
    /// Milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_ms: Option<f64>,
    /// Tokens read.
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens_in: Option<i64>,
    /// Tokens written.
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens_out: Option<i64>,
    /// Tokens read from a cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens_cached: Option<i64>,
    /// US dollars.
    #[serde(skip_serializing_if = "Option::is_none")]
    cost_usd: Option<f64>,
    /// Kind of error.
    #[serde(skip_serializing_if = "Option::is_none")]
    error_type: Option<String>,
    /// The group of errors it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    fingerprint: Option<String>,
    /// Text as sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<String>,
    /// Attributes as sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    attributes: Option<Value>,
    /// Arms its unit was given.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    exposures: Vec<Exposure>,
    /// Who says so: `self`, `environment` or `human`.
    source: &'static str,
}

/// An arm of a trial that the unit was given.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Exposure {
    /// The trial's number.
    trial: i64,
    /// `control` or `candidate`.
    arm: String,
    /// The revision that was served.
    revision: String,
}

impl From<ModelExposure> for Exposure {
    fn from(exposure: ModelExposure) -> Self {
        Self { trial: exposure.trial, arm: exposure.arm, revision: exposure.revision }
    }
}

impl From<EventRecord> for Event {
    fn from(record: EventRecord) -> Self {
        Self {
            trace_key: record.trace_key,
            id: record.id,
            ts: record.ts,
            clock: match record.clock {
                Clock::Own => "own",
                Clock::Inherited => "inherited",
                Clock::Received => "received",
            },
            event_type: record.event_type.as_str(),
            environment: record.environment,
            entity_type: record.entity.entity_type.as_str(),
            entity_id: record.entity.entity_id,
            entity_name: record.entity_name,
            task_id: record.task_id,
            parent_task_id: record.parent_task_id,
            session_id: record.session_id,
            span_id: record.span_id,
            tool: record.tool,
            outcome: record.outcome.map(uplift_model::Outcome::as_str),
            duration_ms: record.duration_ms,
            tokens_in: record.tokens_in,
            tokens_out: record.tokens_out,
            tokens_cached: record.tokens_cached,
            cost_usd: record.cost_usd,
            error_type: record.error_type,
            fingerprint: record.fingerprint,
            content: record.content,
            attributes: record.attributes,
            exposures: record.exposures.into_iter().map(Into::into).collect(),
            source: record.source.as_str(),
        }
    }
}
