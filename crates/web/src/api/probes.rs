//! What machines ask: alive, ready, metrics, the description of the API, the pages of errors.

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use uplift_store::page::MAX_PAGE;
use uplift_store::{PageRequest, StoreResult};

use super::failures::Missing;
use crate::error::{ErrorCode, WebError};
use crate::extract::PathOf;
use crate::pages;
use crate::problem::Problem;
use crate::state::AppState;
use crate::telemetry;

/// Whether the process is alive.
#[utoipa::path(
    get, path = "/healthz", tag = "operations", operation_id = "healthz",
    responses((status = 200, body = String, content_type = "text/plain"))
)]
pub(super) async fn alive() -> &'static str {
    "alive\n"
}

/// Whether the server takes requests, its store answers, and there is room to write.
#[utoipa::path(
    get, path = "/readyz", tag = "operations", operation_id = "readyz",
    responses(
        (status = 200, body = String, content_type = "text/plain"),
        (status = 503, description = "Not now.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn ready(State(state): State<AppState>) -> Result<&'static str, WebError> {
    if !state.engine.is_ready() {
        return Err(WebError::new(ErrorCode::NotReady, "the server is starting or shutting down"));
    }
    if let Some(full) = state.engine.disk().full() {
        let detail =
            format!("no room to write since {}: events are refused; reading and resolving go on", full.since);
        return Err(WebError::new(ErrorCode::DiskFull, detail));
    }
    match state.engine.store().migrations().await {
        Ok(_) => Ok("ready\n"),
        Err(error) => {
            tracing::warn!(%error, "the store does not answer");
            Err(WebError::new(ErrorCode::NotReady, "the store does not answer"))
        }
    }
}

/// The page about an error code.
#[utoipa::path(
    get, path = "/errors/{code}", tag = "operations", operation_id = "get_error_page",
    params(("code" = String, Path, description = "The code")),
    responses((status = 200, body = String, content_type = "text/plain"), Missing)
)]
pub(super) async fn error_page(PathOf(code): PathOf<String>) -> Result<Response, WebError> {
    let page = pages::page(&code).ok_or_else(|| {
        let shown: String = code.chars().take(64).collect();
        WebError::new(ErrorCode::NotFound, format!("there is no error code `{shown}`"))
    })?;
    Ok(([(CONTENT_TYPE, "text/plain; charset=utf-8")], page).into_response())
}

/// The metrics, as Prometheus reads them.
#[utoipa::path(
    get, path = "/metrics", tag = "operations", operation_id = "get_metrics",
    responses((status = 200, body = String, content_type = "text/plain"))
)]
pub(super) async fn metrics(State(state): State<AppState>) -> Response {
    telemetry::queued(state.engine.queued_events());
    if let Err(error) = measure(&state).await {
        // The rest is worth more than an answer that is whole.
        tracing::warn!(%error, "how the whole stands could not be measured");
    }
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], state.prometheus.render()).into_response()
}

/// Notes how the whole stands.
async fn measure(state: &AppState) -> StoreResult<()> {
    let store = state.engine.store();
    let alerts = store.alerts(true, PageRequest::first(MAX_PAGE)).await?.items;
    telemetry::standing(&state.engine.health().await?, &alerts, store.delivery_counts().await?);
    Ok(())
}

/// The description of the API as an answer.
pub(crate) fn openapi_answer(document: &str) -> Response {
    ([(CONTENT_TYPE, "application/json")], document.to_owned()).into_response()
}
