//! `/api/trials`: who is compared, on how much, and what was seen so far.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use uplift_store::rows::TrialFilter;
use utoipa::IntoParams;

use super::failures::{Failures, Missing};
use super::improvements::{Entities, entity_of};
use crate::error::WebError;
use crate::extract::{EntityQuery, Params, PathOf, named_entity, page, parse, parse_flag};
use crate::state::AppState;
use crate::wire::entity::json;
use crate::wire::page::Page;
use crate::wire::trial::{Trial, TrialDetail, TrialReport};

/// Which trials.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct TrialsQuery {
    /// Only those that run.
    running: Option<String>,
    /// Only of this improvement.
    improvement: Option<String>,
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

/// Trials, the latest first.
#[utoipa::path(
    get, path = "/api/trials", tag = "improvements", operation_id = "list_trials", params(TrialsQuery),
    responses((status = 200, body = Page<Trial>), Failures, Missing)
)]
pub(super) async fn list(
    State(state): State<AppState>,
    Params(query): Params<TrialsQuery>,
) -> Result<Json<Page<Trial>>, WebError> {
    let page = page(query.limit.as_deref(), query.cursor)?;
    let mut filter = TrialFilter {
        entity: None,
        improvement_id: parse("improvement", query.improvement.as_deref())?,
        running: parse_flag("running", query.running.as_deref())?.unwrap_or_default(),
    };
    let TrialsQuery { agent, entity_type, entity, environment, .. } = query;
    filter.entity = named_entity(&state, EntityQuery { agent, entity_type, entity, environment }).await?;
    let found = state.engine.store().trials(filter, page).await?;
    let now = state.engine.now();
    let mut entities = Entities::of(&state, found.items.iter().map(|record| record.entity)).await?;
    let mut trials = Vec::with_capacity(found.items.len());
    for record in &found.items {
        trials.push(Trial::of(record, entities.get(record.entity).await?, now));
    }
    Ok(Json(Page::part(trials, found.next)))
}

/// One trial: as declared, its shares, and what its looks saw.
#[utoipa::path(
    get, path = "/api/trials/{id}", tag = "improvements", operation_id = "get_trial",
    params(("id" = i64, Path, description = "Its number")),
    responses((status = 200, body = TrialDetail), Failures, Missing)
)]
pub(super) async fn one(
    State(state): State<AppState>,
    PathOf(id): PathOf<i64>,
) -> Result<Json<TrialDetail>, WebError> {
    let store = state.engine.store();
    let record = store.trial(id).await?;
    let entity = entity_of(&state, record.entity).await?;
    let looks = store.looks(id).await?.into_iter().map(Into::into).collect();
    let report = TrialReport::of(&record, &entity, state.engine.now());
    Ok(Json(TrialDetail { report, declaration: json(&record.trial), looks }))
}
