//! `/api/resolve`: what an entity is to run. Answered from memory; only defaults that are new ask the store.

use std::time::Instant;

use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use uplift_runner::snapshot::defaults::{DefaultsError, Owner, Settled, settle};
use uplift_runner::snapshot::{Reason, Resolved, arm_name};
use uplift_store::StoreError;
use uplift_store::rows::EntitySelector;
use utoipa::IntoParams;

use super::failures::{Failures, Missing};
use crate::access::Caller;
use crate::error::{ErrorCode, WebError};
use crate::extract::{Body, Params, PathOf, is_known, selector, text};
use crate::problem::Problem;
use crate::state::AppState;
use crate::telemetry;
use crate::wire::resolve::{Resolution, ResolutionOrProblem, Resolutions, ResolveBody, ResolveManyBody};

/// Most entities in one question.
const MAX_ENTITIES: usize = 100;
/// Browsers say with this where a request comes from.
const FETCH_SITE: &str = "sec-fetch-site";

/// Who asks, and with which defaults.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ResolveQuery {
    /// What is assigned to an arm of a trial: the id of the task, or of the session.
    unit: Option<String>,
    /// The environment. Where it is missing: with defaults the default one, else also the only one that has the name.
    environment: Option<String>,
    /// The configuration that the code brings along, JSON.
    defaults: Option<String>,
}

/// What an entity is to run now, for this unit. With defaults, an unknown entity registers itself.
#[utoipa::path(
    get, path = "/api/resolve/{entity_type}/{entity}", tag = "entities", operation_id = "resolve",
    params(
        ("entity_type" = String, Path, description = "`agent`, `tool`, `context` or `process`"),
        ("entity" = String, Path, description = "Its name, or its id"),
        ResolveQuery,
    ),
    responses(
        (status = 200, body = Resolution<'static>),
        (status = 304, description = "As the tag in If-None-Match says."),
        (status = 422, description = "Defaults that cannot be taken.", body = Problem, content_type = "application/problem+json"),
        Failures, Missing,
    )
)]
pub(super) async fn by_query(
    State(state): State<AppState>,
    caller: Caller,
    PathOf((entity_type, entity)): PathOf<(String, String)>,
    Params(query): Params<ResolveQuery>,
    headers: HeaderMap,
) -> Result<Response, WebError> {
    if query.defaults.is_some() {
        refuse_strange_pages(&headers)?;
    }
    let who = caller.own(&state, selector(&entity_type, entity, query.environment)?)?;
    let unit = text("unit", query.unit)?;
    one(&state, who, unit.as_deref(), query.defaults.as_deref(), &headers).await
}

/// As with GET, for defaults that are too long for an address.
#[utoipa::path(
    post, path = "/api/resolve/{entity_type}/{entity}", tag = "entities", operation_id = "resolve_with_defaults",
    params(
        ("entity_type" = String, Path, description = "`agent`, `tool`, `context` or `process`"),
        ("entity" = String, Path, description = "Its name, or its id"),
    ),
    request_body = ResolveBody,
    responses(
        (status = 200, body = Resolution<'static>),
        (status = 304, description = "As the tag in If-None-Match says."),
        (status = 413, description = "More than 64 KiB.", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Defaults that cannot be taken.", body = Problem, content_type = "application/problem+json"),
        Failures, Missing,
    )
)]
pub(super) async fn by_body(
    State(state): State<AppState>,
    caller: Caller,
    PathOf((entity_type, entity)): PathOf<(String, String)>,
    headers: HeaderMap,
    Body(body): Body<ResolveBody>,
) -> Result<Response, WebError> {
    let who = caller.own(&state, selector(&entity_type, entity, body.environment)?)?;
    let unit = text("unit", body.unit)?;
    let defaults = body.defaults.as_ref().map(|defaults| defaults.get());
    one(&state, who, unit.as_deref(), defaults, &headers).await
}

/// What several entities are to run now, for one unit. Nobody registers by this.
#[utoipa::path(
    post, path = "/api/resolve", tag = "entities", operation_id = "resolve_many", request_body = ResolveManyBody,
    responses(
        (status = 200, body = Resolutions<'static>),
        (status = 413, description = "More than 64 KiB.", body = Problem, content_type = "application/problem+json"),
        Failures,
    )
)]
pub(super) async fn many(
    State(state): State<AppState>,
    caller: Caller,
    Body(body): Body<ResolveManyBody>,
) -> Result<Response, WebError> {
    if body.entities.len() > MAX_ENTITIES {
        let detail = format!("{} entities are more than {MAX_ENTITIES}: ask again for the rest", body.entities.len());
        return Err(WebError::new(ErrorCode::InvalidBody, detail));
    }
    let began = Instant::now();
    let unit = text("unit", body.unit)?;
    let mut found = Vec::with_capacity(body.entities.len());
    for name in body.entities {
        let who = selector(&name.entity_type, name.entity, body.environment.clone());
        found.push(match who.and_then(|who| caller.own(&state, who)) {
            Ok(who) => read(&state, &who, unit.as_deref()).await,
            Err(error) => Err(error),
        });
    }
    let results = found.iter().map(|found| match found {
        Ok(resolved) => {
            ResolutionOrProblem::Resolution(Box::new(Resolution::new(resolved, resolved.reason.as_str())))
        }
        Err(error) => ResolutionOrProblem::Problem(Box::new(error.clone().into())),
    });
    let response = answer(&Resolutions { results: results.collect() })?;
    let each = began.elapsed() / found.len().max(1) as u32;
    for resolved in found.iter().flatten() {
        telemetry::resolved(resolved.reason.as_str(), each);
    }
    Ok(response)
}

async fn one(
    state: &AppState,
    who: EntitySelector,
    unit: Option<&str>,
    defaults: Option<&str>,
    headers: &HeaderMap,
) -> Result<Response, WebError> {
    let began = Instant::now();
    let (resolved, settled) = match defaults {
        None => (read(state, &who, unit).await?, Settled::default()),
        Some(defaults) => bring(state, who, unit, defaults).await?,
    };
    let reason = if settled.older { Reason::OlderDefaults } else { resolved.reason }.as_str();
    let tag = tag(&resolved, reason)?;
    // What is said only once must not be lost to a client that knows the configuration already.
    let plain = settled.not_applied.is_empty() && settled.notice.is_none();
    let known = plain && is_known(headers, &tag);
    let mut response = if known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        answer(&Resolution::new(&resolved, reason).with(settled.not_applied, settled.notice))?
    };
    response.headers_mut().insert(ETAG, tag);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    telemetry::resolved(reason, began.elapsed());
    Ok(response)
}

/// From memory; where there is nothing, the store says what is missing.
pub(crate) async fn read(state: &AppState, who: &EntitySelector, unit: Option<&str>) -> Result<Resolved, WebError> {
    let (snapshot, now_us) = (state.engine.snapshot(), state.engine.now().micros());
    let environment = who.environment.as_deref();
    if let Some(resolved) = snapshot.resolve(environment, who.entity_type, &who.id_or_name, unit, now_us) {
        return Ok(resolved);
    }
    let entity = state.engine.store().entity(who.clone()).await.map_err(|error| match error {
        StoreError::NotFound { what, name, hint } => WebError::new(
            ErrorCode::NotFound,
            format!("there is no {what} `{name}`{hint}; send defaults with the question, and it registers itself"),
        ),
        error => error.into(),
    })?;
    // Another process may have given it one just now.
    snapshot.refresh(state.engine.store(), &[entity.key]).await?;
    snapshot.resolve_key(entity.key, unit, now_us).ok_or_else(|| {
        let detail = format!(
            "{} `{}` has no configuration yet; send defaults with the question, and they become its first",
            entity.key.entity_type, entity.name
        );
        WebError::new(ErrorCode::NotFound, detail)
    })
}

/// Settles the defaults first. An entity that is served goes on being served if the store cannot be asked now.
async fn bring(
    state: &AppState,
    who: EntitySelector,
    unit: Option<&str>,
    defaults: &str,
) -> Result<(Resolved, Settled), WebError> {
    let EntitySelector { entity_type, id_or_name, environment } = who;
    let environment = environment.or_else(|| Some(uplift_model::entity::DEFAULT_ENVIRONMENT.to_owned()));
    let owner = Owner { environment, entity_type, id_or_name };
    let settled = settle(&state.engine, owner.clone(), defaults).await;
    let now_us = state.engine.now().micros();
    let resolved = state.engine.snapshot().resolve(
        owner.environment.as_deref(),
        owner.entity_type,
        &owner.id_or_name,
        unit,
        now_us,
    );
    match (settled, resolved) {
        (Ok(settled), Some(resolved)) => Ok((resolved, settled)),
        (Err(DefaultsError::Store(error)), Some(resolved)) => {
            tracing::warn!(%error, entity = %resolved.served.key, "defaults could not be looked at; served what is in place");
            Ok((resolved, Settled::default()))
        }
        (Err(error), _) => Err(refused(error)),
        (Ok(_), None) => Err(WebError::new(ErrorCode::NotReady, "the configuration is stored, and not served yet")),
    }
}

fn refused(error: DefaultsError) -> WebError {
    match error {
        DefaultsError::Store(error) => error.into(),
        DefaultsError::Invalid { reason } => WebError::new(ErrorCode::InvalidValue, reason),
        error @ DefaultsError::NotRegistered { .. } => WebError::new(ErrorCode::NotFound, error.to_string()),
    }
}

/// A page on the web can make a browser send GET requests here without an Origin. They must not change anything.
fn refuse_strange_pages(headers: &HeaderMap) -> Result<(), WebError> {
    let strange = headers.get_all(FETCH_SITE).iter().any(|site| site != "same-origin" && site != "none");
    if strange {
        return Err(WebError::new(ErrorCode::OriginNotAllowed, "defaults are not taken from pages of other origins"));
    }
    Ok(())
}

/// Changes whenever the answer does: revision, trial, arm, and why.
fn tag(resolved: &Resolved, reason: &str) -> Result<HeaderValue, WebError> {
    let revision = resolved.revision().id.as_str();
    let text = match resolved.trial {
        Some((id, arm)) => format!("\"{revision}-{reason}-{id}-{}\"", arm_name(arm)),
        None => format!("\"{revision}-{reason}\""),
    };
    HeaderValue::from_str(&text).map_err(|error| WebError::new(ErrorCode::InternalError, error.to_string()))
}

fn answer(body: &impl serde::Serialize) -> Result<Response, WebError> {
    let bytes = serde_json::to_vec(body)
        .map_err(|error| WebError::new(ErrorCode::InternalError, format!("an answer cannot be written: {error}")))?;
    Ok(([(CONTENT_TYPE, "application/json")], bytes).into_response())
}
