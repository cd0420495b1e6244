//! `/api/improvements/analytics`: what came of improvements, in numbers.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use uplift_model::Time;
use uplift_model::time::MICROS_PER_DAY;
use utoipa::IntoParams;

use super::failures::Failures;
use crate::error::{ErrorCode, WebError};
use crate::extract::{Params, parse};
use crate::state::AppState;
use crate::wire::analytics::AnalyticsReport;
use crate::wire::improvement::Analytics;

/// Days of the daily trends where nobody says.
const DEFAULT_DAYS: i64 = 30;
/// Most days.
const MAX_DAYS: i64 = 365;
/// Most entities.
const MAX_ENTITIES: u32 = 1_000;
/// Most rows of agents and days.
const MAX_TASK_ROWS: u32 = 20_000;

/// How far trends go back.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AnalyticsQuery {
    /// Days of the daily trends, from 1 to 365, today included; 30 where it is missing.
    days: Option<String>,
}

/// What came of improvements: by type, by entity, over all, and day by day.
#[utoipa::path(
    get, path = "/api/improvements/analytics", tag = "improvements", operation_id = "list_analytics",
    params(AnalyticsQuery), responses((status = 200, body = AnalyticsReport), Failures)
)]
pub(super) async fn analytics(
    State(state): State<AppState>,
    Params(query): Params<AnalyticsQuery>,
) -> Result<Json<AnalyticsReport>, WebError> {
    let days: i64 = parse("days", query.days.as_deref())?.unwrap_or(DEFAULT_DAYS);
    if !(1..=MAX_DAYS).contains(&days) {
        let detail = format!("`days` must be from 1 to {MAX_DAYS}, not {days}");
        return Err(WebError::new(ErrorCode::InvalidParameter, detail));
    }
    let (engine, store) = (&state.engine, state.engine.store());
    let helped = engine.what_helped().await?;
    let now = engine.now();
    let today = Time::from_micros(now.day() * MICROS_PER_DAY);
    let since = today.plus_micros((1 - days) * MICROS_PER_DAY);
    let by_type = store.analytics().await?;
    let by_entity = store.analytics_by_entity(MAX_ENTITIES).await?;
    let decisions = store.decisions_by_day(since).await?;
    // Tasks are counted in event time: what was imported is shown by its own last days.
    let latest = store.entity_trends().await?.into_iter().map(|trend| trend.latest).max();
    let to = latest.unwrap_or_else(|| now.hour());
    let from = Time::from_micros(to.start().day() * MICROS_PER_DAY).plus_micros((1 - days) * MICROS_PER_DAY).hour();
    let tasks = store.tasks_by_day(None, from, to, MAX_TASK_ROWS).await?;
    Ok(Json(AnalyticsReport {
        items: by_type.into_iter().map(|row| Analytics::of(row, &helped)).collect(),
        next: None,
        system: store.metrics().await?.into(),
        by_entity: by_entity.into_iter().map(Into::into).collect(),
        days,
        daily_decisions: decisions.into_iter().map(Into::into).collect(),
        daily_tasks: tasks.into_iter().map(Into::into).collect(),
    }))
}
