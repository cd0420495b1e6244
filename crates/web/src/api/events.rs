//! `/api/events`: what was reported.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use uplift_store::rows::EventFilter;
use utoipa::IntoParams;

use super::failures::{Failures, Missing};
use crate::error::WebError;
use crate::extract::{EntityQuery, Params, named_entity, page, parse, text};
use crate::state::AppState;
use crate::wire::event::Event;
use crate::wire::page::Page;

/// Which events.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct EventsQuery {
    /// Only of this task (or trace).
    task_id: Option<String>,
    /// Only of this agent: a name or id.
    agent: Option<String>,
    /// Only of an entity of this type; with `entity`.
    entity_type: Option<String>,
    /// Only of this entity: a name or id.
    entity: Option<String>,
    /// The environment, for a name that is in several.
    environment: Option<String>,
    /// Only of this type, such as `TOOL_EXECUTED`.
    event_type: Option<String>,
    /// Only with this outcome.
    outcome: Option<String>,
    /// Only of this tool.
    tool: Option<String>,
    /// Only errors of this group.
    fingerprint: Option<String>,
    /// Only at or after this time, RFC 3339.
    since: Option<String>,
    /// Only before this time, RFC 3339.
    until: Option<String>,
    /// Most items, from 1 to 1000; 50 where it is missing.
    limit: Option<String>,
    /// Where the page before ended.
    cursor: Option<String>,
}

/// Events, trace by trace, the latest trace first; within a named task in time order.
#[utoipa::path(
    get, path = "/api/events", tag = "events", operation_id = "list_events", params(EventsQuery),
    responses((status = 200, body = Page<Event>), Failures, Missing)
)]
pub(super) async fn list(
    State(state): State<AppState>,
    Params(query): Params<EventsQuery>,
) -> Result<Json<Page<Event>>, WebError> {
    let page = page(query.limit.as_deref(), query.cursor)?;
    let mut filter = EventFilter {
        task_id: text("task_id", query.task_id)?,
        entity: None,
        kind: parse("event_type", query.event_type.as_deref())?,
        outcome: parse("outcome", query.outcome.as_deref())?,
        tool: text("tool", query.tool)?,
        fingerprint: text("fingerprint", query.fingerprint)?,
        since: parse("since", query.since.as_deref())?,
        until: parse("until", query.until.as_deref())?,
    };
    let EventsQuery { agent, entity_type, entity, environment, .. } = query;
    filter.entity = named_entity(&state, EntityQuery { agent, entity_type, entity, environment }).await?;
    Ok(Json(state.engine.store().events(filter, page).await?.into()))
}

/// The identity of an event.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct LookupQuery {
    /// Its trace, else its task, else what `trace_key` says where it is listed.
    trace_key: String,
    /// The sender's id.
    id: String,
}

/// One event by its identity.
#[utoipa::path(
    get, path = "/api/events/lookup", tag = "events", operation_id = "get_event", params(LookupQuery),
    responses((status = 200, body = Event), Failures, Missing)
)]
pub(super) async fn lookup(
    State(state): State<AppState>,
    Params(query): Params<LookupQuery>,
) -> Result<Json<Event>, WebError> {
    Ok(Json(state.engine.store().event(query.trace_key, query.id).await?.into()))
}
