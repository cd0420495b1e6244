//! `/api/processes`: which processes there are, and which of them run.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use super::failures::Failures;
use crate::error::WebError;
use crate::extract::{Params, page};
use crate::state::AppState;
use crate::wire::process::Processes;

/// Far enough ahead that every running instance is due by then: a hundred years of hours.
const HOURS_AHEAD: i64 = 876_000;

/// How many.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct LimitQuery {
    /// Most running instances, from 1 to 1000; 50 where it is missing.
    limit: Option<String>,
}

/// The registry of processes, and the instances that run, the one that is due next first.
#[utoipa::path(
    get, path = "/api/processes", tag = "improvements", operation_id = "list_processes", params(LimitQuery),
    responses((status = 200, body = Processes), Failures)
)]
pub(super) async fn list(
    State(state): State<AppState>,
    Params(query): Params<LimitQuery>,
) -> Result<Json<Processes>, WebError> {
    let limit = page(query.limit.as_deref(), None)?.limit;
    let store = state.engine.store();
    let registered = store.process_registry().await?.into_iter().map(Into::into).collect();
    let by_then = state.engine.now().plus_hours(HOURS_AHEAD);
    let running = store.due_processes(by_then, limit).await?.into_iter().map(Into::into).collect();
    Ok(Json(Processes { registered, running, next_due: store.next_due().await? }))
}
