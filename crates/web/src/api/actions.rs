//! `/api/improvements/...`: what people do: write a change, say yes or no, take back, ask for something, pause.

use std::str::FromStr;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::AppendHeaders;
use serde_json::Value;
use uplift_model::edit::{Edit, MAX_EDITS};
use uplift_model::entity::EntityKey;
use uplift_model::improvement::{Improvement as Model, ImprovementType, ProposalSource};
use uplift_runner::control::{OwnChange, Wish};

use super::entities::EnvironmentQuery;
use super::failures::{Failures, Missing, Moved, Unacceptable};
use super::improvements::entity_of;
use crate::access::Caller;
use crate::error::{ErrorCode, WebError};
use crate::extract::{Body, OptionalBody, Params, PathOf, selector};
use crate::state::AppState;
use crate::wire::action::{ActionBody, ChangeBody, FillBody, PauseBody, Paused, Triggered, WishBody};
use crate::wire::improvement::Improvement;

/// Who acts where nobody says.
const SOMEBODY: &str = "operator";
/// Longest name of who acts, in characters.
const MAX_BY_CHARS: usize = 200;
/// Longest reason, in characters.
pub(crate) const MAX_REASON_CHARS: usize = 1_000;
/// Longest rationale of a change, in characters.
const MAX_RATIONALE_CHARS: usize = 4_000;
/// Longest description of a wish, in characters.
const MAX_DESCRIPTION_CHARS: usize = 2_000;

pub(super) type Created<T> = (StatusCode, AppendHeaders<[(axum::http::HeaderName, String); 1]>, Json<T>);

/// What was made, and where it is from now on.
pub(super) fn created<T>(place: String, body: T) -> Created<T> {
    (StatusCode::CREATED, AppendHeaders([(LOCATION, place)]), Json(body))
}

/// A text of a body within its length; `usual` where it is missing.
pub(crate) fn words(name: &str, text: Option<String>, most: usize, usual: &str) -> Result<String, WebError> {
    let Some(text) = text else { return Ok(usual.to_owned()) };
    let text = text.trim();
    match text.chars().count() {
        0 => Err(WebError::new(ErrorCode::InvalidBody, format!("`{name}` is empty: leave it out, or say it"))),
        length if length > most => {
            let detail = format!("`{name}` has {length} characters, at most {most} are taken");
            Err(WebError::new(ErrorCode::InvalidBody, detail))
        }
        _ => Ok(text.to_owned()),
    }
}

/// Who acts: whoever the token says; without one, whoever the body says.
pub(super) fn actor(caller: &Caller, by: Option<String>) -> Result<String, WebError> {
    let by = words("by", by, MAX_BY_CHARS, SOMEBODY)?;
    Ok(if caller.known().is_some() { caller.name().to_owned() } else { by })
}

/// A name of a closed set.
pub(super) fn known<T>(name: &str, text: &str) -> Result<T, WebError>
where
    T: FromStr,
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error: T::Err| WebError::new(ErrorCode::InvalidValue, format!("`{name}`: {error}")))
}

/// Edits as typed, with errors that count them from 1 as all others do.
pub(crate) fn edits(values: Vec<Value>) -> Result<Vec<Edit>, WebError> {
    if values.len() > MAX_EDITS {
        let detail =
            format!("{} edits are more than the {MAX_EDITS} one improvement may have: split it", values.len());
        return Err(WebError::new(ErrorCode::InvalidEdit, detail));
    }
    let typed = values.into_iter().enumerate().map(|(index, value)| {
        serde_json::from_value(value)
            .map_err(|error| WebError::new(ErrorCode::InvalidEdit, format!("edit {}: {error}", index + 1)))
    });
    typed.collect()
}

/// Puts a change of one's own on record: it is checked and tried like any other.
#[utoipa::path(
    post, path = "/api/improvements", tag = "improvements", operation_id = "propose_improvement",
    request_body = ChangeBody,
    responses(
        (status = 201, body = Improvement, headers(("Location" = String, description = "Where its report is"))),
        Failures, Missing, Moved, Unacceptable,
    )
)]
pub(super) async fn propose(
    State(state): State<AppState>,
    caller: Caller,
    Body(body): Body<ChangeBody>,
) -> Result<Created<Improvement>, WebError> {
    let ((entity_type, entity, environment), body) = body.split();
    let written = written(&caller, body)?;
    let entity = state.engine.store().entity(selector(&entity_type, entity, environment)?).await?;
    let improvement = state.engine.propose_change(written(entity.key)).await?;
    Ok(created(format!("/api/improvements/{}", improvement.id), Improvement::of(improvement, &entity)))
}

/// Fills an improvement that waits for a proposal: it is checked and tried like any other from then on.
#[utoipa::path(
    post, path = "/api/improvements/{id}/propose", tag = "improvements", operation_id = "fill_improvement",
    params(("id" = i64, Path, description = "Its number")), request_body = FillBody,
    responses((status = 200, body = Improvement), Failures, Missing, Moved, Unacceptable)
)]
pub(super) async fn fill(
    State(state): State<AppState>,
    caller: Caller,
    PathOf(id): PathOf<i64>,
    Body(body): Body<FillBody>,
) -> Result<Json<Improvement>, WebError> {
    let written = written(&caller, body)?;
    let entity = state.engine.store().improvement(id).await?.entity;
    shown(&state, state.engine.fill_proposal(id, written(entity)).await?).await
}

/// A change as written, for whatever entity it is meant.
fn written(caller: &Caller, body: FillBody) -> Result<impl FnOnce(EntityKey) -> OwnChange, WebError> {
    let edits = edits(body.edits.unwrap_or_default())?;
    if edits.is_empty() == body.configuration.is_none() {
        let detail = "either `edits` or `configuration` is needed, not both";
        return Err(WebError::new(ErrorCode::InvalidBody, detail));
    }
    let improvement_type =
        body.improvement_type.as_deref().map(|name| known("improvement_type", name)).transpose()?;
    let proposed_by = match body.proposed_by.as_deref() {
        None => ProposalSource::Operator,
        Some(name) => known("proposed_by", name)?,
    };
    if proposed_by == ProposalSource::Rule {
        let detail = "`proposed_by` is operator, llm or agent: rules are part of Uplift";
        return Err(WebError::new(ErrorCode::InvalidValue, detail));
    }
    let rationale = words("rationale", body.rationale, MAX_RATIONALE_CHARS, "A change of our own.")?;
    let usual = if caller.known().is_some() { caller.name() } else { proposed_by.as_str() };
    let proposer = words("proposer", body.proposer, MAX_BY_CHARS, usual)?;
    let (configuration, comparison) = (body.configuration, body.comparison.unwrap_or_default());
    Ok(move |entity| OwnChange {
        entity,
        improvement_type,
        edits,
        configuration,
        rationale,
        proposed_by,
        proposer,
        comparison,
    })
}

async fn shown(state: &AppState, improvement: Model) -> Result<Json<Improvement>, WebError> {
    let entity = entity_of(state, improvement.entity).await?;
    Ok(Json(Improvement::of(improvement, &entity)))
}

/// Declares a route by which a person moves an improvement on, with a reason.
macro_rules! moves {
    ($(#[doc = $doc:literal] $name:ident $path:literal $operation:literal $usual:literal $act:ident;)+) => {$(
        #[doc = $doc]
        #[utoipa::path(
            post, path = $path, tag = "improvements", operation_id = $operation,
            params(("id" = i64, Path, description = "Its number")), request_body = Option<ActionBody>,
            responses((status = 200, body = Improvement), Failures, Missing, Moved)
        )]
        pub(super) async fn $name(
            State(state): State<AppState>,
            caller: Caller,
            PathOf(id): PathOf<i64>,
            OptionalBody(body): OptionalBody<ActionBody>,
        ) -> Result<Json<Improvement>, WebError> {
            let by = actor(&caller, body.by)?;
            let reason = words("reason", body.reason, MAX_REASON_CHARS, $usual)?;
            shown(&state, state.engine.$act(id, by, reason).await?).await
        }
    )+};
}

moves! {
    /// Says no to an improvement that waits.
    reject "/api/improvements/{id}/reject" "reject_improvement" "rejected by an operator" reject;
    /// Calls an improvement off, before or during its trial; what is in place stays.
    cancel "/api/improvements/{id}/cancel" "cancel_improvement" "called off by an operator" cancel;
    /// Takes a change back: the old revision returns to all traffic at once.
    rollback "/api/improvements/{id}/rollback" "roll_back_improvement" "taken back by an operator" roll_back;
}

/// Says yes to an improvement that waits for approval.
#[utoipa::path(
    post, path = "/api/improvements/{id}/approve", tag = "improvements", operation_id = "approve_improvement",
    params(("id" = i64, Path, description = "Its number")), request_body = Option<ActionBody>,
    responses((status = 200, body = Improvement), Failures, Missing, Moved)
)]
pub(super) async fn approve(
    State(state): State<AppState>,
    caller: Caller,
    PathOf(id): PathOf<i64>,
    OptionalBody(body): OptionalBody<ActionBody>,
) -> Result<Json<Improvement>, WebError> {
    let by = actor(&caller, body.by)?;
    // A yes needs no reason; one that is given is checked all the same.
    words("reason", body.reason, MAX_REASON_CHARS, "")?;
    shown(&state, state.engine.approve(id, by).await?).await
}

/// Asks for an improvement in words: an opportunity of an operator, and what proposers make of it.
#[utoipa::path(
    post, path = "/api/improvements/trigger-improvement/{entity_type}/{entity}", tag = "improvements",
    operation_id = "trigger_improvement",
    params(
        ("entity_type" = String, Path, description = "`agent`, `tool`, `context` or `process`"),
        ("entity" = String, Path, description = "Its name, or its id"),
        EnvironmentQuery,
    ),
    request_body = WishBody,
    responses(
        (status = 201, body = Triggered, headers(("Location" = String, description = "Where the opportunity is"))),
        Failures, Missing, Moved, Unacceptable,
    )
)]
pub(super) async fn trigger(
    State(state): State<AppState>,
    caller: Caller,
    PathOf((entity_type, entity)): PathOf<(String, String)>,
    Params(query): Params<EnvironmentQuery>,
    Body(body): Body<WishBody>,
) -> Result<Created<Triggered>, WebError> {
    let improvement_type: ImprovementType = known("improvement_type", &body.improvement_type)?;
    let description = words("description", Some(body.description), MAX_DESCRIPTION_CHARS, "")?;
    let asked_by = actor(&caller, body.by)?;
    let entity = state.engine.store().entity(selector(&entity_type, entity, query.environment)?).await?;
    let wish = Wish { entity: entity.key, improvement_type, description, asked_by };
    let triggered = state.engine.trigger(wish).await?;
    let place = format!("/api/improvements/opportunities/{}", triggered.opportunity.id);
    let improvements = triggered.improvements.into_iter().map(|one| Improvement::of(one, &entity)).collect();
    Ok(created(place, Triggered { opportunity: triggered.opportunity.into(), improvements }))
}

/// Pauses: no trial starts until `resume`; running ones can be called off at once.
#[utoipa::path(
    post, path = "/api/improvements/pause", tag = "improvements", operation_id = "pause",
    request_body = Option<PauseBody>, responses((status = 200, body = Paused), Failures)
)]
pub(super) async fn pause(
    State(state): State<AppState>,
    caller: Caller,
    OptionalBody(body): OptionalBody<PauseBody>,
) -> Result<Json<Paused>, WebError> {
    let by = actor(&caller, body.by)?;
    Ok(Json(state.engine.pause(body.rollback_running, by).await?.into()))
}

/// Lets trials start again.
#[utoipa::path(
    post, path = "/api/improvements/resume", tag = "improvements", operation_id = "resume",
    request_body = Option<ActionBody>, responses((status = 200, body = Paused), Failures)
)]
pub(super) async fn resume(
    State(state): State<AppState>,
    caller: Caller,
    OptionalBody(body): OptionalBody<ActionBody>,
) -> Result<Json<Paused>, WebError> {
    let by = actor(&caller, body.by)?;
    words("reason", body.reason, MAX_REASON_CHARS, "")?;
    Ok(Json(state.engine.resume(by).await?.into()))
}
