//! `/api/improvements/config`: the policy in force.

use axum::Json;
use axum::extract::State;
use serde_json::Value;

use super::failures::Failures;
use crate::state::AppState;
use crate::wire::entity::json;

/// Every setting in force.
#[utoipa::path(
    get, path = "/api/improvements/config", tag = "improvements", operation_id = "get_config",
    responses((status = 200, body = Object), Failures)
)]
pub(super) async fn config(State(state): State<AppState>) -> Json<Value> {
    Json(json(&*state.engine.policy()))
}
