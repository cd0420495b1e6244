//! `/api/improvements/status`: how the whole stands.

use std::time::Duration;

use axum::Json;
use axum::extract::State;

use uplift_runner::Engine;
use uplift_store::StoreResult;
use uplift_store::rows::TaskCounts;

use super::failures::Failures;
use crate::error::WebError;
use crate::kept::Answer;
use crate::state::AppState;
use crate::wire::status::{Counts, Status, Storage};

impl Answer for TaskCounts {
    const WHAT: &'static str = "how much was done";
    const QUICK: Duration = Duration::from_millis(5);

    async fn work_out(engine: &Engine) -> StoreResult<Self> {
        engine.store().task_counts().await
    }
}

/// How the whole stands.
#[utoipa::path(
    get, path = "/api/improvements/status", tag = "improvements", operation_id = "get_status",
    responses((status = 200, body = Status), Failures)
)]
pub(super) async fn status(State(state): State<AppState>) -> Result<Json<Status>, WebError> {
    let store = state.engine.store();
    let (counts, done) = (store.counts().await?, state.done.latest(&state.engine).await?);
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
        counts: Counts::new(counts, *done),
        storage: Storage::new(storage, full_since),
        system: system.into(),
        claims: (&*helped).into(),
    }))
}
