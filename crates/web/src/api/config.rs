//! `/api/improvements/config`: the policy in force, and changes to it while the server runs.

use axum::Json;
use axum::extract::State;
use serde_json::Value;
use uplift_runner::control::ControlError;

use super::failures::{Failures, Unacceptable};
use crate::error::{ErrorCode, WebError};
use crate::extract::Body;
use crate::state::AppState;
use crate::wire::entity::json;

/// Every setting in force; `paused` says whether the kill switch is on, `set_at_run_time` what overrides the file.
#[utoipa::path(
    get, path = "/api/improvements/config", tag = "improvements", operation_id = "get_config",
    responses((status = 200, body = Object), Failures)
)]
pub(super) async fn config(State(state): State<AppState>) -> Result<Json<Value>, WebError> {
    shown(&state).await
}

/// Changes some of the engine's settings, at once and for good: by their names, at the top or under `engine`, such as
/// `{"min_confidence_score": 0.9, "cooldown_period": "2h"}`. What is null goes back to the file's.
#[utoipa::path(
    put, path = "/api/improvements/config", tag = "improvements", operation_id = "set_config",
    request_body = Object, responses((status = 200, body = Object), Failures, Unacceptable)
)]
pub(super) async fn set(State(state): State<AppState>, Body(patch): Body<Value>) -> Result<Json<Value>, WebError> {
    state.engine.configure(patch).await.map_err(|error| match error {
        ControlError::Invalid { reason } => WebError::new(ErrorCode::InvalidSetting, reason),
        error => error.into(),
    })?;
    shown(&state).await
}

async fn shown(state: &AppState) -> Result<Json<Value>, WebError> {
    let mut shown = json(&*state.engine.policy());
    if let Some(fields) = shown.as_object_mut() {
        fields.insert("paused".to_owned(), state.engine.is_paused().into());
        fields.insert("set_at_run_time".to_owned(), state.engine.set_at_run_time().await?.into());
    }
    Ok(Json(shown))
}
