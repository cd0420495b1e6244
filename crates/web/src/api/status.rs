//! `/api/improvements/status`: how the whole stands.

use axum::Json;
use axum::extract::State;

use super::failures::Failures;
use crate::error::WebError;
use crate::state::AppState;
use crate::wire::status::{Status, Storage};

/// How the whole stands.
#[utoipa::path(
    get, path = "/api/improvements/status", tag = "improvements", operation_id = "get_status",
    responses((status = 200, body = Status), Failures)
)]
pub(super) async fn status(State(state): State<AppState>) -> Result<Json<Status>, WebError> {
    let store = state.engine.store();
    let counts = store.counts().await?;
    let system = store.system_status().await?;
    let storage = store.storage().await?;
    let full_since = state.engine.disk().full().map(|full| full.since);
    let health = state.engine.health().await?;
    let helped = state.engine.what_helped().await?;
    Ok(Json(Status {
        version: env!("CARGO_PKG_VERSION"),
        mode: state.engine.policy().engine.mode.as_str(),
        paused: state.engine.is_paused(),
        now: state.engine.now(),
        health: health.into(),
        active_alerts: counts.alerts_active,
        counts: counts.into(),
        storage: Storage::new(storage, full_since),
        system: system.into(),
        claims: (&*helped).into(),
    }))
}
