//! `/api/improvements/alerts`: what needs attention.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use super::failures::Failures;
use crate::error::WebError;
use crate::extract::{Params, page, parse_flag};
use crate::state::AppState;
use crate::wire::alert::Alert;
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
