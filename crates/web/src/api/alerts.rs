//! `/api/improvements/alerts`: what needs attention.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use super::actions::actor;
use super::failures::{Failures, Missing, Moved};
use crate::access::Caller;
use crate::error::WebError;
use crate::extract::{OptionalBody, Params, PathOf, page, parse_flag};
use crate::state::AppState;
use crate::wire::alert::{AcknowledgeBody, Alert, ResolveBody};
use crate::wire::page::Page;

/// Which alerts.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AlertsQuery {
    /// Only those that hold (`true`, as where it is missing), or all (`false`).
    active_only: Option<String>,
    /// Most items, from 1 to 1000; 50 where it is missing.
    limit: Option<String>,
    /// Where the page before ended.
    cursor: Option<String>,
}

/// Alerts, the latest first.
#[utoipa::path(
    get, path = "/api/improvements/alerts", tag = "improvements", operation_id = "list_alerts",
    params(AlertsQuery), responses((status = 200, body = Page<Alert>), Failures)
)]
pub(super) async fn list(
    State(state): State<AppState>,
    Params(query): Params<AlertsQuery>,
) -> Result<Json<Page<Alert>>, WebError> {
    let page = page(query.limit.as_deref(), query.cursor)?;
    let active_only = parse_flag("active_only", query.active_only.as_deref())?.unwrap_or(true);
    Ok(Json(state.engine.store().alerts(active_only, page).await?.into()))
}

/// One alert.
#[utoipa::path(
    get, path = "/api/improvements/alerts/{id}", tag = "improvements", operation_id = "get_alert",
    params(("id" = i64, Path, description = "Its number")),
    responses((status = 200, body = Alert), Failures, Missing)
)]
pub(super) async fn one(State(state): State<AppState>, PathOf(id): PathOf<i64>) -> Result<Json<Alert>, WebError> {
    Ok(Json(state.engine.store().alert(id).await?.into()))
}

/// Says that somebody looks after an alert. It goes on to hold; the last word counts.
#[utoipa::path(
    post, path = "/api/improvements/alerts/{id}/acknowledge", tag = "improvements", operation_id = "acknowledge_alert",
    params(("id" = i64, Path, description = "Its number")), request_body = Option<AcknowledgeBody>,
    responses((status = 200, body = Alert), Failures, Missing, Moved)
)]
pub(super) async fn acknowledge(
    State(state): State<AppState>,
    caller: Caller,
    PathOf(id): PathOf<i64>,
    OptionalBody(body): OptionalBody<AcknowledgeBody>,
) -> Result<Json<Alert>, WebError> {
    let by = actor(&caller, body.by)?;
    Ok(Json(state.engine.acknowledge_alert(id, &by, body.note.as_deref()).await?.into()))
}

/// Says that a recurring failure is dealt with: only errors from the next hour on raise it again. Other alerts end by
/// themselves.
#[utoipa::path(
    post, path = "/api/improvements/alerts/{id}/resolve", tag = "improvements", operation_id = "resolve_alert",
    params(("id" = i64, Path, description = "Its number")), request_body = Option<ResolveBody>,
    responses((status = 200, body = Alert), Failures, Missing, Moved)
)]
pub(super) async fn resolve(
    State(state): State<AppState>,
    caller: Caller,
    PathOf(id): PathOf<i64>,
    OptionalBody(body): OptionalBody<ResolveBody>,
) -> Result<Json<Alert>, WebError> {
    let by = actor(&caller, body.by)?;
    Ok(Json(state.engine.resolve_alert(id, &by).await?.into()))
}
