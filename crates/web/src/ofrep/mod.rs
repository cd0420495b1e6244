//! The OpenFeature Remote Evaluation Protocol: what an entity is to run, as feature flags that any OpenFeature SDK reads.
//!
//! A flag is a configuration (`agent/researcher`) or a field of it (`agent/researcher/parameters.timeout_ms`). Everything
//! is answered from memory, as `/api/resolve` does; nothing is decided here, and nobody registers by it.
//!
//! In reading order:
//!
//! - `context`: what a request says of itself.
//! - `flags`: which entity a flag is of, and which part of its configuration.
//! - `answer`: flags and failures as the protocol writes them.

mod answer;
mod context;
mod flags;

use std::time::Instant;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::post;
use utoipa::OpenApi;

use self::answer::{Evaluation, Evaluations, Failure, Flag, FlagFailure, body, known_or};
use self::context::{Asked, Context};
use crate::access::Caller;
use crate::problem::Problem;
use crate::state::AppState;
use crate::telemetry;

/// Flags that one bulk answer may hold.
const MAX_FLAGS: usize = 1_000;
/// Bytes of values that one bulk answer may hold.
const MAX_BULK_BYTES: usize = 4 << 20;

/// The description of the routes. They are not routed by it: flag keys have slashes, which take a pattern of their own.
#[derive(OpenApi)]
#[openapi(paths(one, many), tags((name = "ofrep", description = "The same for stock OpenFeature clients.")))]
pub(crate) struct Description;

/// The routes.
pub(crate) fn routes() -> Router<AppState> {
    Router::new().route("/ofrep/v1/evaluate/flags/{*key}", post(one)).route("/ofrep/v1/evaluate/flags", post(many))
}

/// One flag: a configuration, or a field of it.
#[utoipa::path(
    post, path = "/ofrep/v1/evaluate/flags/{key}", tag = "ofrep", operation_id = "ofrep_evaluate",
    params(("key" = String, Path, description = "`TYPE/NAME`, or `TYPE/NAME/FIELD`; slashes need not be encoded")),
    request_body = Asked,
    responses(
        (status = 200, body = Evaluation),
        (status = 304, description = "As the tag in If-None-Match says."),
        (status = 400, description = "The request or its context cannot be read.", body = FlagFailure),
        (status = 403, description = "The token does not stand for the entity.", body = FlagFailure),
        (status = 404, description = "There is no such flag.", body = FlagFailure),
        (status = 429, description = "Too often; Retry-After says when to come back.", body = Problem,
            content_type = "application/problem+json"),
    )
)]
pub(crate) async fn one(
    State(state): State<AppState>,
    caller: Caller,
    Path(key): Path<String>,
    headers: HeaderMap,
    request: Request,
) -> Response {
    let sent = Context::read(request).await;
    let began = Instant::now();
    let evaluated = sent.and_then(|context| {
        let found = flags::find(&state, &caller, &context, &key)?;
        let reason = found.resolved.reason.as_str();
        Ok((body(&Flag::of(&key, &found.resolved, found.value()))?, reason))
    });
    match evaluated {
        Ok((bytes, reason)) => {
            telemetry::resolved(reason, began.elapsed());
            known_or(&headers, bytes)
        }
        Err(failure) => failure.respond(Some(&key)),
    }
}

/// Several flags: those that the context names in `flags`, or for an agent's token all of its entities.
#[utoipa::path(
    post, path = "/ofrep/v1/evaluate/flags", tag = "ofrep", operation_id = "ofrep_evaluate_bulk",
    request_body = Asked,
    responses(
        (status = 200, body = Evaluations),
        (status = 304, description = "As the tag in If-None-Match says."),
        (status = 400, description = "The request or its context cannot be read, or asks for too much.", body = FlagFailure),
        (status = 429, description = "Too often; Retry-After says when to come back.", body = Problem,
            content_type = "application/problem+json"),
    )
)]
pub(crate) async fn many(
    State(state): State<AppState>,
    caller: Caller,
    headers: HeaderMap,
    request: Request,
) -> Response {
    let sent = Context::read(request).await;
    let began = Instant::now();
    let evaluated = sent.and_then(|context| {
        let keys = context.keys(&caller)?;
        let mut found = Vec::with_capacity(keys.len());
        for key in &keys {
            match flags::find_all(&state, &caller, &context, key) {
                Ok(all) => found.push((key, Ok(all))),
                Err(failure) => found.push((key, Err(failure))),
            }
        }
        let bytes = bulk(&found)?;
        let reasons: Vec<&str> =
            found.iter().filter_map(|(_, all)| Some(all.as_ref().ok()?.resolved.reason.as_str())).collect();
        Ok((bytes, reasons))
    });
    match evaluated {
        Ok((bytes, reasons)) => {
            let each = began.elapsed() / reasons.len().max(1) as u32;
            for reason in reasons {
                telemetry::resolved(reason, each);
            }
            known_or(&headers, bytes)
        }
        Err(failure) => failure.respond(None),
    }
}

/// The bulk answer.
fn bulk(found: &[(&String, Result<flags::All, Failure>)]) -> Result<Vec<u8>, Failure> {
    let (mut flags, mut bytes) = (Vec::new(), 0);
    for (key, all) in found {
        match all {
            Ok(all) => {
                for (key, value) in all.flags() {
                    bytes += value.get().len();
                    if flags.len() == MAX_FLAGS || bytes > MAX_BULK_BYTES {
                        return Err(Failure::too_much(format!(
                            "these are more than {MAX_FLAGS} flags, or more than {MAX_BULK_BYTES} bytes: name fewer"
                        )));
                    }
                    flags.push(Evaluation::Flag(Box::new(Flag::of(key, &all.resolved, value))));
                }
            }
            Err(failure) => flags.push(Evaluation::Failure(failure.of(Some(key)))),
        }
    }
    body(&Evaluations { flags })
}
