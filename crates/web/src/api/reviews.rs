//! `/api/improvements/review-queue`: whose review is due.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use super::failures::Failures;
use crate::error::WebError;
use crate::extract::{Params, page, parse_flag};
use crate::state::AppState;
use crate::wire::page::Page;
use crate::wire::review::ReviewQueueItem;

/// Which counters.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct QueueQuery {
    /// Only those whose review is due.
    due_only: Option<String>,
    /// Most items, from 1 to 1000; 50 where it is missing.
    limit: Option<String>,
    /// Where the page before ended.
    cursor: Option<String>,
}

/// Review counters, due ones first.
#[utoipa::path(
    get, path = "/api/improvements/review-queue", tag = "improvements", operation_id = "list_review_queue",
    params(QueueQuery), responses((status = 200, body = Page<ReviewQueueItem>), Failures)
)]
pub(super) async fn queue(
    State(state): State<AppState>,
    Params(query): Params<QueueQuery>,
) -> Result<Json<Page<ReviewQueueItem>>, WebError> {
    let page = page(query.limit.as_deref(), query.cursor)?;
    let due_only = parse_flag("due_only", query.due_only.as_deref())?.unwrap_or_default();
    Ok(Json(state.engine.store().review_queue(due_only, page).await?.into()))
}
