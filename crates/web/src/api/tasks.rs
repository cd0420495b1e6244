//! `/api/tasks`: what agents did.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use uplift_store::StoreError;
use uplift_store::rows::TaskFilter;
use utoipa::IntoParams;

use super::failures::{Failures, Missing};
use crate::error::WebError;
use crate::extract::{EntityQuery, Params, PathOf, named_entity, page, parse, parse_flag, text};
use crate::state::AppState;
use crate::wire::page::Page;
use crate::wire::task::Task;

/// Which tasks.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct TasksQuery {
    /// Only this one; the other filters are then left aside.
    task_id: Option<String>,
    /// Only of this agent: a name or id.
    agent: Option<String>,
    /// Only of an entity of this type; with `entity`.
    entity_type: Option<String>,
    /// Only of this entity: a name or id.
    entity: Option<String>,
    /// The environment, for a name that is in several.
    environment: Option<String>,
    /// Only with this outcome: `SUCCESS`, `FAILURE` or `ERROR`.
    outcome: Option<String>,
    /// Only with errors (`true`), or only without (`false`).
    has_errors: Option<String>,
    /// Only of this session.
    session_id: Option<String>,
    /// Only seen last at or after this time, RFC 3339.
    since: Option<String>,
    /// Only seen first before this time, RFC 3339.
    until: Option<String>,
    /// Most items, from 1 to 1000; 50 where it is missing.
    limit: Option<String>,
    /// Where the page before ended.
    cursor: Option<String>,
}

/// Tasks that somebody named, the latest trace first.
#[utoipa::path(
    get, path = "/api/tasks", tag = "tasks", operation_id = "list_tasks", params(TasksQuery),
    responses((status = 200, body = Page<Task>), Failures, Missing)
)]
pub(super) async fn list(
    State(state): State<AppState>,
    Params(query): Params<TasksQuery>,
) -> Result<Json<Page<Task>>, WebError> {
    let page = page(query.limit.as_deref(), query.cursor)?;
    let mut filter = TaskFilter {
        entity: None,
        outcome: parse("outcome", query.outcome.as_deref())?,
        has_errors: parse_flag("has_errors", query.has_errors.as_deref())?,
        session_id: text("session_id", query.session_id)?,
        since: parse("since", query.since.as_deref())?,
        until: parse("until", query.until.as_deref())?,
    };
    if let Some(task_id) = text("task_id", query.task_id)? {
        return match state.engine.store().task(task_id).await {
            Ok(task) => Ok(Json(Page::whole([task]))),
            Err(StoreError::NotFound { .. }) => Ok(Json(Page::whole(Vec::<Task>::new()))),
            Err(error) => Err(error.into()),
        };
    }
    let TasksQuery { agent, entity_type, entity, environment, .. } = query;
    filter.entity = named_entity(&state, EntityQuery { agent, entity_type, entity, environment }).await?;
    Ok(Json(state.engine.store().tasks(filter, page).await?.into()))
}

/// One task. Slashes in its id are written as `%2F`; where that is a nuisance, use `/api/tasks?task_id=`.
#[utoipa::path(
    get, path = "/api/tasks/{task_id}", tag = "tasks", operation_id = "get_task",
    params(("task_id" = String, Path, description = "Its id, percent-encoded")),
    responses((status = 200, body = Task), Failures, Missing)
)]
pub(super) async fn one(
    State(state): State<AppState>,
    PathOf(task_id): PathOf<String>,
) -> Result<Json<Task>, WebError> {
    Ok(Json(state.engine.store().task(task_id).await?.into()))
}
