//! `/api/improvements/...`: what is being tried, and what came of it.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use super::failures::{Failures, Missing};
use crate::error::WebError;
use crate::extract::{EntityQuery, Params, PathOf, named_entity, page, selector};
use crate::state::AppState;
use crate::wire::improvement::{Analytics, Decided, Effectiveness, Improvement};
use crate::wire::page::Page;

/// Which page.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PageQuery {
    /// Most items, from 1 to 1000; 50 where it is missing.
    limit: Option<String>,
    /// Where the page before ended.
    cursor: Option<String>,
}

/// Improvements that occupy an entity.
#[utoipa::path(
    get, path = "/api/improvements/active", tag = "improvements", operation_id = "list_active_improvements",
    params(PageQuery), responses((status = 200, body = Page<Improvement>), Failures)
)]
pub(super) async fn active(
    State(state): State<AppState>,
    Params(query): Params<PageQuery>,
) -> Result<Json<Page<Improvement>>, WebError> {
    let page = page(query.limit.as_deref(), query.cursor)?;
    Ok(Json(state.engine.store().active_improvements(page).await?.into()))
}

/// Which decided improvements.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct HistoryQuery {
    /// Only of this agent: a name or id.
    agent: Option<String>,
    /// Only of an entity of this type; with `entity`.
    entity_type: Option<String>,
    /// Only of this entity: a name or id.
    entity: Option<String>,
    /// The environment, for a name that is in several.
    environment: Option<String>,
    /// Most items, from 1 to 1000; 50 where it is missing.
    limit: Option<String>,
    /// Where the page before ended.
    cursor: Option<String>,
}

/// Decided improvements, the latest first.
#[utoipa::path(
    get, path = "/api/improvements/history", tag = "improvements", operation_id = "list_history",
    params(HistoryQuery), responses((status = 200, body = Page<Decided>), Failures, Missing)
)]
pub(super) async fn history(
    State(state): State<AppState>,
    Params(query): Params<HistoryQuery>,
) -> Result<Json<Page<Decided>>, WebError> {
    let page = page(query.limit.as_deref(), query.cursor)?;
    let HistoryQuery { agent, entity_type, entity, environment, .. } = query;
    let entity = named_entity(&state, EntityQuery { agent, entity_type, entity, environment }).await?;
    Ok(Json(state.engine.store().history(entity, page).await?.into()))
}

/// What came of each type of improvement.
#[utoipa::path(
    get, path = "/api/improvements/analytics", tag = "improvements", operation_id = "list_analytics",
    responses((status = 200, body = Page<Analytics>), Failures)
)]
pub(super) async fn analytics(State(state): State<AppState>) -> Result<Json<Page<Analytics>>, WebError> {
    Ok(Json(Page::whole(state.engine.store().analytics().await?)))
}

/// Which page of an entity's history.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct EffectivenessQuery {
    /// The environment, for a name that is in several.
    environment: Option<String>,
    /// Most items of the history, from 1 to 1000; 50 where it is missing.
    limit: Option<String>,
    /// Where the page before ended.
    cursor: Option<String>,
}

/// What improvements did for one entity.
#[utoipa::path(
    get, path = "/api/improvements/effectiveness/{entity_type}/{entity}", tag = "improvements",
    operation_id = "get_effectiveness",
    params(
        ("entity_type" = String, Path, description = "`agent`, `tool`, `context` or `process`"),
        ("entity" = String, Path, description = "Its name, or its id"),
        EffectivenessQuery,
    ),
    responses((status = 200, body = Effectiveness), Failures, Missing)
)]
pub(super) async fn effectiveness(
    State(state): State<AppState>,
    PathOf((entity_type, entity)): PathOf<(String, String)>,
    Params(query): Params<EffectivenessQuery>,
) -> Result<Json<Effectiveness>, WebError> {
    let page = page(query.limit.as_deref(), query.cursor)?;
    let store = state.engine.store();
    let entity = store.entity(selector(&entity_type, entity, query.environment)?).await?;
    let status = store.entity_status(entity.key).await?.into();
    let history = store.history(Some(entity.key), page).await?.into();
    Ok(Json(Effectiveness { entity: entity.into(), status, history }))
}
