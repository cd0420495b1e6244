//! `/api/improvements/config`: the policy in force, and changes to it while the server runs.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use uplift_runner::control::ControlError;
use uplift_runner::settings;

use super::failures::{Changed, Failures, Unacceptable};
use crate::error::{ErrorCode, WebError};
use crate::extract::{Body, IfMatch, changed, tagged};
use crate::state::AppState;

/// Every setting in force; `paused` says whether the kill switch is on, `set_at_run_time` what overrides the file. The
/// header `ETag` names this state of them.
#[utoipa::path(
    get, path = "/api/improvements/config", tag = "improvements", operation_id = "get_config",
    responses(
        (status = 200, body = Object, headers(("ETag" = String, description = "Names this state."))),
        Failures,
    )
)]
pub(super) async fn config(State(state): State<AppState>) -> Result<Response, WebError> {
    shown(&state).await
}

/// Changes some of the engine's settings, at once and for good: by their names, at the top or under `engine`, such as
/// `{"min_confidence_score": 0.9, "cooldown_period": "2h"}`. What is null goes back to the file's. With the header
/// `If-Match`, only if the settings are still in the state it names; the answer names the new one.
#[utoipa::path(
    put, path = "/api/improvements/config", tag = "improvements", operation_id = "set_config",
    params(("If-Match" = Option<String>, Header, description = "The `ETag` of the settings that are to be changed")),
    request_body = Object,
    responses(
        (status = 200, body = Object, headers(("ETag" = String, description = "Names the new state."))),
        Failures, Changed, Unacceptable,
    )
)]
pub(super) async fn set(
    State(state): State<AppState>,
    wanted: IfMatch,
    Body(patch): Body<Value>,
) -> Result<Response, WebError> {
    match state.engine.configure_if(patch, |current| wanted.allows(Some(current))).await {
        Ok(_) => shown(&state).await,
        Err(ControlError::Changed { current }) => Ok(changed("the configuration", Some(&current))),
        Err(ControlError::Invalid { reason }) => Err(WebError::new(ErrorCode::InvalidSetting, reason)),
        Err(error) => Err(error.into()),
    }
}

async fn shown(state: &AppState) -> Result<Response, WebError> {
    let shown = state.engine.settings().await?;
    let tag = settings::tag(&shown);
    Ok(tagged(Json(shown).into_response(), &tag))
}
