//! `/api/improvements/requests`: what agents ask for, and what came of it.

use std::str::FromStr;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Value, json};
use uplift_cycle::validate::BUILT_IN_ENVIRONMENT;
use uplift_model::access::Role;
use uplift_model::entity::{DEFAULT_ENVIRONMENT, Entity, EntityType};
use uplift_model::opportunity::ImpactLevel;
use uplift_model::request::ImprovementRequest;
use uplift_runner::requests::{Asking, RequestError};
use uplift_store::StoreError;
use uplift_store::rows::{EntitySelector, RequestFilter};
use utoipa::IntoParams;

use super::actions::{Created, created, edits};
use super::failures::{Failures, Missing, Moved, Often, Unacceptable};
use crate::access::Caller;
use crate::error::{ErrorCode, WebError};
use crate::extract::{Body, Params, PathOf, page, parse_flag, selector, text};
use crate::state::AppState;
use crate::wire::improvement::Decided;
use crate::wire::page::Page;
use crate::wire::request::{Asked, Request, RequestBody};

/// Which requests.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct RequestsQuery {
    /// Only of this agent: a name or id. An agent's token sees its own.
    agent: Option<String>,
    /// The agent's environment, for a name that is in several.
    environment: Option<String>,
    /// Only for this opportunity.
    opportunity: Option<i64>,
    /// Only those whose answer is still to come.
    open: Option<String>,
    /// Most items, from 1 to 1000; 50 where it is missing.
    limit: Option<String>,
    /// Where the page before ended.
    cursor: Option<String>,
}

/// Takes what an agent asks for: it is checked against what is on record, opens or joins an opportunity, and starts by
/// itself where it is urgent and sure.
#[utoipa::path(
    post, path = "/api/improvements/requests", tag = "improvements", operation_id = "request_improvement",
    request_body = RequestBody,
    responses(
        (status = 201, body = Asked, headers(("Location" = String, description = "Where its status is"))),
        Failures, Missing, Moved, Unacceptable, Often,
    )
)]
pub(super) async fn ask(
    State(state): State<AppState>,
    caller: Caller,
    Body(body): Body<RequestBody>,
) -> Result<Created<Asked>, WebError> {
    let asked = asked(&state, &caller, body).await?;
    Ok(created(format!("/api/improvements/requests/{}", asked.0), asked.1))
}

/// The number of what was asked, and what it became.
pub(crate) async fn asked(state: &AppState, caller: &Caller, body: RequestBody) -> Result<(i64, Asked), WebError> {
    let asker = agent(state, caller, body.agent, body.environment).await?;
    let about = match body.about {
        None => asker.key,
        Some(about) if asker.environment == BUILT_IN_ENVIRONMENT => named(state, &about).await?.key,
        Some(about) if parts(&about) == (&asker.environment, &asker.name) => asker.key,
        // Said before it is looked up: whether there is such an agent is not for others to learn.
        Some(_) => return Err(RequestError::NotForOthers { agent: asker.name }.into()),
    };
    let asking = Asking {
        asker: asker.key,
        about,
        improvement_type: known("improvement_type", &body.improvement_type)?,
        description: body.description,
        rationale: body.rationale,
        evidence: body.evidence.filter(|evidence| !evidence.is_null()).unwrap_or_else(|| json!({})),
        priority: match body.priority.as_deref() {
            None => ImpactLevel::Medium,
            Some(priority) => known("priority", priority)?,
        },
        edits: edits(body.edits.unwrap_or_default())?,
        asked_by: caller.name().to_owned(),
    };
    let asked = state.engine.request_improvement(asking).await?;
    Ok((asked.request.id, asked.into()))
}

/// A name of a closed set.
pub(crate) fn known<T>(name: &str, text: &str) -> Result<T, WebError>
where
    T: FromStr,
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error: T::Err| WebError::new(ErrorCode::InvalidValue, format!("`{name}`: {error}")))
}

/// The agent that acts: the one that is named, if the caller may act for it; else the only one that the caller's token
/// stands for.
pub(crate) async fn agent(
    state: &AppState,
    caller: &Caller,
    name: Option<String>,
    environment: Option<String>,
) -> Result<Entity, WebError> {
    let named = match name {
        Some(name) => selector(EntityType::Agent.as_str(), name, environment)?,
        None => only(caller, environment)?,
    };
    let own = caller.own(state, named)?;
    Ok(state.engine.store().entity(own).await?)
}

fn only(caller: &Caller, environment: Option<String>) -> Result<EntitySelector, WebError> {
    if let [bound] = caller.entities()
        && bound.entity_type == EntityType::Agent
        && let Some(name) = &bound.name
    {
        let environment = environment.or_else(|| bound.environment.clone());
        return Ok(EntitySelector { entity_type: bound.entity_type, id_or_name: name.clone(), environment });
    }
    let detail = "`agent` is missing: only a token that stands for one agent can leave it out";
    Err(WebError::new(ErrorCode::InvalidBody, detail))
}

/// The environment and the name.
fn parts(about: &str) -> (&str, &str) {
    about.rsplit_once(':').unwrap_or((DEFAULT_ENVIRONMENT, about))
}

/// An agent as `name` or `environment:name`.
pub(crate) async fn named(state: &AppState, about: &str) -> Result<Entity, WebError> {
    let (environment, name) = parts(about);
    let who = selector(EntityType::Agent.as_str(), name.to_owned(), Some(environment.to_owned()))?;
    Ok(state.engine.store().entity(who).await?)
}

/// Requests, the latest first.
#[utoipa::path(
    get, path = "/api/improvements/requests", tag = "improvements", operation_id = "list_requests",
    params(RequestsQuery), responses((status = 200, body = Page<Request>), Failures, Missing)
)]
pub(super) async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Params(query): Params<RequestsQuery>,
) -> Result<Json<Page<Request>>, WebError> {
    let page = page(query.limit.as_deref(), query.cursor)?;
    let open = parse_flag("open", query.open.as_deref())?.unwrap_or(false);
    let environment = text("environment", query.environment)?;
    let asker = match text("agent", query.agent)? {
        None if caller.is_bound() => Some(agent(&state, &caller, None, environment).await?),
        None => None,
        Some(name) if caller.is_bound() => Some(agent(&state, &caller, Some(name), environment).await?),
        Some(name) => {
            let who = selector(EntityType::Agent.as_str(), name, environment)?;
            Some(state.engine.store().entity(who).await?)
        }
    };
    let filter = RequestFilter { asker: asker.map(|asker| asker.key), opportunity_id: query.opportunity, open };
    Ok(Json(state.engine.store().requests(filter, page).await?.into()))
}

/// One request: how far it has come and, once decided, the verdict with its numbers.
#[utoipa::path(
    get, path = "/api/improvements/requests/{id}", tag = "improvements", operation_id = "get_request",
    params(("id" = i64, Path, description = "Its number")),
    responses((status = 200, body = Request), Failures, Missing)
)]
pub(super) async fn one(
    State(state): State<AppState>,
    caller: Caller,
    PathOf(id): PathOf<i64>,
) -> Result<Json<Request>, WebError> {
    Ok(Json(status(&state, &caller, id).await?))
}

/// How far a request has come. An agent sees its own.
pub(crate) async fn status(state: &AppState, caller: &Caller, id: i64) -> Result<Request, WebError> {
    let request = state.engine.store().request(id).await?;
    may_see(caller, &request)?;
    let verdict = match state.engine.verdict_of(&request).await? {
        Some(row) => Some(Decided::of(row, &*state.engine.what_helped().await?)),
        None => None,
    };
    Ok(Request::from(request).with(verdict))
}

fn may_see(caller: &Caller, request: &ImprovementRequest) -> Result<(), WebError> {
    if !caller.is_bound() {
        return caller.require(Role::Viewer);
    }
    if caller.acts_for(&request.environment, request.asker.entity_type, &request.asker_name) {
        return Ok(());
    }
    // As if there were none: agents learn nothing about others.
    Err(StoreError::not_found("request", request.id).into())
}

/// What was asked for an opportunity, in the agents' own words, the latest first.
pub(crate) async fn asked_for(state: &AppState, opportunity: i64, most: u32) -> Result<Vec<Value>, WebError> {
    let filter = RequestFilter { opportunity_id: Some(opportunity), ..RequestFilter::default() };
    let found = state.engine.store().requests(filter, uplift_store::PageRequest::first(most)).await?;
    let words = |request: ImprovementRequest| {
        json!({ "agent": request.asker_name, "description": request.description, "rationale": request.rationale,
            "evidence": request.checked })
    };
    Ok(found.items.into_iter().map(words).collect())
}
