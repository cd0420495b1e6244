//! `/api/improvements/...`: what is being tried, and what came of it.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use uplift_model::edit;
use uplift_model::entity::{Entity, EntityKey};
use uplift_model::history::HistoryOutcome;
use uplift_model::improvement::{Improvement as Model, ImprovementStatus};
use uplift_model::revision::{Configuration, Revision, RevisionId};
use uplift_store::rows::{EntitySelector, HistoryRow, ImprovementFilter, TrialFilter};
use uplift_store::{PageRequest, Paged};
use utoipa::IntoParams;

use super::failures::{Failures, Missing};
use crate::error::WebError;
use crate::extract::{EntityQuery, Params, PathOf, named_entity, page, parse, selector};
use crate::state::AppState;
use crate::wire::entity::json;
use crate::wire::improvement::{Decided, DecidedReport, Effect, Effectiveness, Improvement, ImprovementReport};
use crate::wire::page::Page;
use crate::wire::trial::TrialReport;

/// Trials of one improvement that are shown: one, its hold-back, and restarts of it.
const MAX_TRIALS: u32 = 50;

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

/// The entities that a list is about, each read once.
pub(crate) struct Entities<'a> {
    state: &'a AppState,
    known: BTreeMap<EntityKey, Entity>,
}

impl<'a> Entities<'a> {
    /// These are asked for at once, others when they are needed.
    pub(crate) async fn of(state: &'a AppState, keys: impl IntoIterator<Item = EntityKey>) -> Result<Self, WebError> {
        let keys: BTreeSet<EntityKey> = keys.into_iter().collect();
        let found = if keys.is_empty() {
            Vec::new()
        } else {
            state.engine.store().entities_of(keys.into_iter().collect()).await?
        };
        Ok(Self { state, known: found.into_iter().map(|entity| (entity.key, entity)).collect() })
    }

    /// The entity of this key.
    pub(crate) async fn get(&mut self, key: EntityKey) -> Result<&Entity, WebError> {
        match self.known.entry(key) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(place) => Ok(place.insert(entity_of(self.state, key).await?)),
        }
    }
}

/// The entity of this key.
pub(crate) async fn entity_of(state: &AppState, key: EntityKey) -> Result<Entity, WebError> {
    let selector =
        EntitySelector { entity_type: key.entity_type, id_or_name: key.entity_id.to_string(), environment: None };
    Ok(state.engine.store().entity(selector).await?)
}

async fn with_names(state: &AppState, found: Paged<Model>) -> Result<Json<Page<Improvement>>, WebError> {
    let mut entities = Entities::of(state, found.items.iter().map(|improvement| improvement.entity)).await?;
    let mut improvements = Vec::with_capacity(found.items.len());
    for improvement in found.items {
        let entity = entities.get(improvement.entity).await?;
        improvements.push(Improvement::of(improvement, entity));
    }
    Ok(Json(Page::part(improvements, found.next)))
}

/// Which improvements.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ImprovementsQuery {
    /// Only in these statuses, separated by commas, such as `testing,awaiting_approval`.
    status: Option<String>,
    /// Only for this opportunity.
    opportunity: Option<String>,
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

/// Improvements, the latest first.
#[utoipa::path(
    get, path = "/api/improvements", tag = "improvements", operation_id = "list_improvements",
    params(ImprovementsQuery), responses((status = 200, body = Page<Improvement>), Failures, Missing)
)]
pub(super) async fn list(
    State(state): State<AppState>,
    Params(query): Params<ImprovementsQuery>,
) -> Result<Json<Page<Improvement>>, WebError> {
    let page = page(query.limit.as_deref(), query.cursor)?;
    let status = query.status.as_deref().map(|names| names.split(',').map(|name| parse("status", Some(name.trim()))));
    let status: Vec<Option<ImprovementStatus>> = status.into_iter().flatten().collect::<Result<_, _>>()?;
    let mut filter = ImprovementFilter {
        entity: None,
        status: status.into_iter().flatten().collect(),
        opportunity_id: parse("opportunity", query.opportunity.as_deref())?,
    };
    let ImprovementsQuery { agent, entity_type, entity, environment, .. } = query;
    filter.entity = named_entity(&state, EntityQuery { agent, entity_type, entity, environment }).await?;
    with_names(&state, state.engine.store().improvements(filter, page).await?).await
}

/// Everything about one improvement: what is changed and why, what was checked, tried and decided.
#[utoipa::path(
    get, path = "/api/improvements/{id}", tag = "improvements", operation_id = "get_improvement",
    params(("id" = i64, Path, description = "Its number")),
    responses((status = 200, body = ImprovementReport), Failures, Missing)
)]
pub(super) async fn one(
    State(state): State<AppState>,
    PathOf(id): PathOf<i64>,
) -> Result<Json<ImprovementReport>, WebError> {
    let store = state.engine.store();
    let improvement = store.improvement(id).await?;
    let entity = entity_of(&state, improvement.entity).await?;
    let opportunity = match improvement.opportunity_id {
        Some(id) => Some(store.opportunity(id).await?.into()),
        None => None,
    };
    let (base, candidate) = configurations(&state, &improvement, &entity).await?;
    let filter = TrialFilter { improvement_id: Some(id), ..TrialFilter::default() };
    let trials = store.trials(filter, PageRequest::first(MAX_TRIALS)).await?.items;
    let now = state.engine.now();
    let helped = state.engine.what_helped().await?;
    Ok(Json(ImprovementReport {
        opportunity,
        checks: json(&improvement.checks),
        preflight: json(&improvement.preflight),
        base_configuration: base.as_ref().map(json),
        candidate_configuration: candidate.as_ref().map(json),
        trials: trials.iter().map(|record| TrialReport::of(record, &entity, now)).collect(),
        history: store.history_of(id).await?.into_iter().map(|row| DecidedReport::of(row, &helped)).collect(),
        process_instances: store
            .processes_of(format!("improvement/{id}"))
            .await?
            .into_iter()
            .map(Into::into)
            .collect(),
        improvement: Improvement::of(improvement, &entity),
    }))
}

/// What an improvement starts from and leads to: as fixed by validation, or as it would be on what is in place.
pub(crate) async fn configurations(
    state: &AppState,
    improvement: &Model,
    entity: &Entity,
) -> Result<(Option<Configuration>, Option<Configuration>), WebError> {
    let store = state.engine.store();
    let in_place = || entity.revision.clone().map(RevisionId::from_stored);
    let Some(base) = improvement.base.clone().or_else(in_place) else { return Ok((None, None)) };
    let base = store.revision(base).await?;
    let candidate = if let Some(id) = &improvement.candidate {
        Some(store.revision(id.clone()).await?)
    } else {
        let sealed = Revision::seal(base.clone()).ok();
        let applied = sealed.and_then(|base| edit::apply(&base, &improvement.proposal.edits).ok());
        applied.map(|candidate| candidate.configuration().clone())
    };
    Ok((Some(base), candidate))
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
    with_names(&state, state.engine.store().active_improvements(page).await?).await
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
    let found = state.engine.store().history(entity, page).await?;
    Ok(Json(decided(&state, found).await?))
}

/// A page of the history, with what may be claimed.
async fn decided(state: &AppState, found: Paged<HistoryRow>) -> Result<Page<Decided>, WebError> {
    let helped = state.engine.what_helped().await?;
    Ok(Page::part(found.items.into_iter().map(|row| Decided::of(row, &helped)).collect(), found.next))
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

/// What improvements did for one entity; the averages are of its latest 1000 decided ones.
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
    let effects = store.effects_of(entity.key).await?;
    let of = |outcome| Effect::of(&effects, outcome);
    let (kept, rolled_back) = (of(HistoryOutcome::Kept), of(HistoryOutcome::RolledBack));
    let history = self::decided(&state, store.history(Some(entity.key), page).await?).await?;
    Ok(Json(Effectiveness { entity: entity.into(), status, kept, rolled_back, history }))
}
