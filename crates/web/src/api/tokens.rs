//! `/api/tokens`, `/api/audit`: who is let in, and what was done by whom.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CACHE_CONTROL;
use axum::response::AppendHeaders;
use serde::Deserialize;
use uplift_model::Time;
use uplift_model::access::{Bound, Role};
use uplift_runner::access::Wanted;
use uplift_store::rows::AuditFilter;
use utoipa::IntoParams;

use super::failures::{Failures, Missing, Unacceptable};
use crate::access::Caller;
use crate::error::{ErrorCode, WebError};
use crate::extract::{Body, Params, PathOf, page};
use crate::state::AppState;
use crate::wire::page::Page;
use crate::wire::token::{AuditEntry, MadeToken, Token, TokenBody};

/// Longest time until a token expires, where one is given.
const MAX_LIFE: Duration = Duration::from_hours(24 * 3_650);

/// Which part of a list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PageQuery {
    /// Most items, from 1 to 1000; 50 where it is missing.
    limit: Option<String>,
    /// Where the page before ended.
    cursor: Option<String>,
}

/// All tokens, revoked and expired ones among them; none of them can be read back.
#[utoipa::path(
    get, path = "/api/tokens", tag = "operations", operation_id = "list_tokens", params(PageQuery),
    responses((status = 200, body = Page<Token>), Failures)
)]
pub(super) async fn list(
    State(state): State<AppState>,
    Params(query): Params<PageQuery>,
) -> Result<Json<Page<Token>>, WebError> {
    let now = state.engine.now();
    let found = state.engine.store().tokens(page(query.limit.as_deref(), query.cursor)?).await?;
    let items = found.items.into_iter().map(|token| Token::of(token, now)).collect();
    Ok(Json(Page::part(items, found.next)))
}

/// Makes a token. The answer is the only place where it is ever shown.
#[utoipa::path(
    post, path = "/api/tokens", tag = "operations", operation_id = "create_token", request_body = TokenBody,
    responses((status = 201, body = MadeToken), Failures, Unacceptable)
)]
pub(super) async fn create(
    State(state): State<AppState>,
    caller: Caller,
    Body(body): Body<TokenBody>,
) -> Result<(StatusCode, AppendHeaders<[(axum::http::HeaderName, &'static str); 1]>, Json<MadeToken>), WebError> {
    let unacceptable =
        |name: &str, error: String| WebError::new(ErrorCode::InvalidValue, format!("`{name}`: {error}"));
    let role: Role = body
        .role
        .parse()
        .map_err(|error: uplift_model::entity::UnknownName| unacceptable("role", error.to_string()))?;
    let entities = body.entities.unwrap_or_default();
    let entities: Result<Vec<Bound>, WebError> = entities
        .iter()
        .map(|text| {
            text.parse()
                .map_err(|error: uplift_model::access::BoundError| unacceptable("entities", error.to_string()))
        })
        .collect();
    let now = state.engine.now();
    let expires_at = body.expires_in_seconds.map(|seconds| expiry(now, seconds)).transpose()?;
    let wanted = Wanted { name: body.name, role, entities: entities?, expires_at };
    let made = state.engine.make_token(wanted, caller.name()).await?;
    let shown = MadeToken { secret: made.secret, token: Token::of(made.token, now) };
    Ok((StatusCode::CREATED, AppendHeaders([(CACHE_CONTROL, "no-store")]), Json(shown)))
}

fn expiry(now: Time, seconds: u64) -> Result<Time, WebError> {
    if seconds == 0 || seconds > MAX_LIFE.as_secs() {
        let detail = format!("`expires_in_seconds` must be from 1 to {}, not {seconds}", MAX_LIFE.as_secs());
        return Err(WebError::new(ErrorCode::InvalidValue, detail));
    }
    Ok(now.plus_micros(i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1_000_000)))
}

/// Revokes a token: it opens nothing from now on, nor do the sessions that were begun with it.
#[utoipa::path(
    delete, path = "/api/tokens/{id}", tag = "operations", operation_id = "revoke_token",
    params(("id" = i64, Path, description = "Its number")),
    responses((status = 204, description = "It is revoked."), Failures, Missing)
)]
pub(super) async fn revoke(
    State(state): State<AppState>,
    caller: Caller,
    PathOf(id): PathOf<i64>,
) -> Result<StatusCode, WebError> {
    state.engine.revoke_token(id, caller.name()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// By whom.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AuditQuery {
    /// The name of a token, or `local`.
    actor: Option<String>,
    /// Most items, from 1 to 1000; 50 where it is missing.
    limit: Option<String>,
    /// Where the page before ended.
    cursor: Option<String>,
}

/// What was asked to be changed, and by whom; the latest first.
#[utoipa::path(
    get, path = "/api/audit", tag = "operations", operation_id = "read_audit_log", params(AuditQuery),
    responses((status = 200, body = Page<AuditEntry>), Failures)
)]
pub(super) async fn audit(
    State(state): State<AppState>,
    Params(query): Params<AuditQuery>,
) -> Result<Json<Page<AuditEntry>>, WebError> {
    let page = page(query.limit.as_deref(), query.cursor)?;
    Ok(Json(state.engine.store().audit_log(AuditFilter { actor: query.actor }, page).await?.into()))
}
