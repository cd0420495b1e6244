//! Tasks as read back.

use serde::Serialize;
use uplift_model::Time;
use uplift_model::task::Task as Model;
use utoipa::ToSchema;

/// What an agent did once.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Task {
    /// The trace it belongs to.
    trace_key: String,
    /// Its id.
    task_id: String,
    /// The environment.
    environment: String,
    /// `agent`, `tool`, `context` or `process`.
    entity_type: &'static str,
    /// Its number within the type.
    entity_id: i64,
    /// That entity's name.
    entity_name: String,
    /// The task that gave rise to it.
    parent_task_id: Option<String>,
    /// Its session.
    session_id: Option<String>,
    /// The first moment seen.
    #[schema(value_type = Option<String>, format = DateTime)]
    started_at: Option<Time>,
    /// The last moment seen.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_at: Option<Time>,
    /// Whether it has ended.
    ended: bool,
    /// `SUCCESS`, `FAILURE` or `ERROR`; null where unknown.
    outcome: Option<&'static str>,
    /// How long it took, milliseconds.
    duration_ms: Option<f64>,
    /// Events.
    events: i64,
    /// Model calls.
    llm_calls: i64,
    /// Tool calls.
    tool_calls: i64,
    /// Error events.
    errors: i64,
    /// Those of them that did not keep the task from success.
    errors_recovered: i64,
    /// Tokens read.
    tokens_in: i64,
    /// Tokens written.
    tokens_out: i64,
    /// Tokens read from a cache.
    tokens_cached: i64,
    /// Cost, US dollars.
    cost_usd: f64,
}

impl From<Model> for Task {
    fn from(task: Model) -> Self {
        Self {
            trace_key: task.trace_key,
            task_id: task.task_id,
            environment: task.environment,
            entity_type: task.entity.entity_type.as_str(),
            entity_id: task.entity.entity_id,
            entity_name: task.entity_name,
            parent_task_id: task.parent_task_id,
            session_id: task.session_id,
            started_at: task.started_at,
            last_at: task.last_at,
            ended: task.ended,
            outcome: task.outcome.map(uplift_model::Outcome::as_str),
            duration_ms: task.duration_ms,
            events: task.events,
            llm_calls: task.llm_calls,
            tool_calls: task.tool_calls,
            errors: task.errors,
            errors_recovered: task.errors_recovered,
            tokens_in: task.tokens_in,
            tokens_out: task.tokens_out,
            tokens_cached: task.tokens_cached,
            cost_usd: task.cost_usd,
        }
    }
}
