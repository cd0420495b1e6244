//! `/api/improvements/opportunities`: what could be better.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use uplift_model::opportunity::OpportunityStatus;
use uplift_store::StoreError;
use uplift_store::rows::OpportunityFilter;
use utoipa::IntoParams;

use super::failures::{Failures, Missing, Moved};
use super::improvements::entity_of;
use crate::error::{ErrorCode, WebError};
use crate::extract::{Body, EntityQuery, Params, PathOf, named_entity, page, parse, text};
use crate::problem::Problem;
use crate::state::AppState;
use crate::wire::action::Triggered;
use crate::wire::improvement::Improvement;
use crate::wire::opportunity::{Dismissal, Opportunity};
use crate::wire::page::Page;

/// Longest reason of a dismissal, in characters.
const MAX_REASON_CHARS: usize = 1_000;

/// Which opportunities.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct OpportunitiesQuery {
    /// Only in these states, separated by commas: `pending`, `in_progress`, `completed`, `dismissed`.
    status: Option<String>,
    /// Only of this kind, such as `recurring_error`.
    kind: Option<String>,
    /// Only from this source.
    source: Option<String>,
    /// Only of this impact: `low`, `medium` or `high`.
    impact: Option<String>,
    /// Only of this agent: a name or id.
    agent: Option<String>,
    /// Only of an entity of this type; with `entity`.
    entity_type: Option<String>,
    /// Only of this entity: a name or id.
    entity: Option<String>,
    /// Only in this environment.
    environment: Option<String>,
    /// Most items, from 1 to 1000; 50 where it is missing.
    limit: Option<String>,
    /// Where the page before ended.
    cursor: Option<String>,
}

/// Opportunities, the open ones first, then by impact, confidence and number.
#[utoipa::path(
    get, path = "/api/improvements/opportunities", tag = "opportunities", operation_id = "list_opportunities",
    params(OpportunitiesQuery), responses((status = 200, body = Page<Opportunity>), Failures, Missing)
)]
pub(super) async fn list(
    State(state): State<AppState>,
    Params(query): Params<OpportunitiesQuery>,
) -> Result<Json<Page<Opportunity>>, WebError> {
    let page = page(query.limit.as_deref(), query.cursor)?;
    let mut filter = OpportunityFilter {
        entity: None,
        status: statuses(query.status.as_deref())?,
        kind: parse("kind", query.kind.as_deref())?,
        source: parse("source", query.source.as_deref())?,
        impact: parse("impact", query.impact.as_deref())?,
        environment: text("environment", query.environment.clone())?,
    };
    let OpportunitiesQuery { agent, entity_type, entity, environment, .. } = query;
    filter.entity = named_entity(&state, EntityQuery { agent, entity_type, entity, environment }).await?;
    Ok(Json(state.engine.store().opportunities(filter, page).await?.into()))
}

fn statuses(list: Option<&str>) -> Result<Vec<OpportunityStatus>, WebError> {
    let Some(list) = list else { return Ok(Vec::new()) };
    list.split(',').map(|name| name.trim().parse().map_err(|error| WebError::parameter("status", error))).collect()
}

/// One opportunity, with whether the events of its evidence are still there.
#[utoipa::path(
    get, path = "/api/improvements/opportunities/{id}", tag = "opportunities", operation_id = "get_opportunity",
    params(("id" = i64, Path, description = "Its number")),
    responses((status = 200, body = Opportunity), Failures, Missing)
)]
pub(super) async fn one(
    State(state): State<AppState>,
    PathOf(id): PathOf<i64>,
) -> Result<Json<Opportunity>, WebError> {
    let store = state.engine.store();
    let found = store.opportunity(id).await?;
    let mut on_record = Vec::with_capacity(found.finding.evidence.events.len());
    for event in &found.finding.evidence.events {
        on_record.push(match store.event(event.trace_key.clone(), event.id.clone()).await {
            // Or several environments have it.
            Ok(_) | Err(StoreError::Ambiguous { .. }) => true,
            Err(StoreError::NotFound { .. }) => false,
            Err(error) => return Err(error.into()),
        });
    }
    Ok(Json(Opportunity::from(found).with_events_on_record(&on_record)))
}

/// Sets an opportunity aside. The watch does not bring it up again for a while.
#[utoipa::path(
    post, path = "/api/improvements/opportunities/{id}/dismiss", tag = "opportunities",
    operation_id = "dismiss_opportunity", params(("id" = i64, Path, description = "Its number")),
    request_body = Dismissal,
    responses(
        (status = 200, body = Opportunity), Failures, Missing,
        (status = 409, description = "It is not open.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn dismiss(
    State(state): State<AppState>,
    PathOf(id): PathOf<i64>,
    Body(dismissal): Body<Dismissal>,
) -> Result<Json<Opportunity>, WebError> {
    let reason = dismissal.reason.trim();
    if reason.is_empty() || reason.chars().count() > MAX_REASON_CHARS {
        let detail = format!("`reason` must have from 1 to {MAX_REASON_CHARS} characters");
        return Err(WebError::new(ErrorCode::InvalidBody, detail));
    }
    Ok(Json(state.engine.dismiss(id, reason.to_owned()).await?.into()))
}

/// Makes an improvement of a pending opportunity at once, whatever the mode and however sure it is. Where one is under way
/// already, that is the answer.
#[utoipa::path(
    post, path = "/api/improvements/opportunities/{id}/start", tag = "opportunities",
    operation_id = "start_opportunity", params(("id" = i64, Path, description = "Its number")),
    responses((status = 200, body = Triggered), Failures, Missing, Moved)
)]
pub(super) async fn start(
    State(state): State<AppState>,
    PathOf(id): PathOf<i64>,
) -> Result<Json<Triggered>, WebError> {
    let triggered = state.engine.start(id).await?;
    let entity = entity_of(&state, triggered.opportunity.finding.entity).await?;
    let improvements = triggered.improvements.into_iter().map(|one| Improvement::of(one, &entity)).collect();
    Ok(Json(Triggered { opportunity: triggered.opportunity.into(), improvements }))
}
