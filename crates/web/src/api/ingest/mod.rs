//! `POST /api/events`: what agents report, as a JSON array or NDJSON; below it, saved requests of OpenTelemetry.

mod pipeline;
pub(super) mod saved;

use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use uplift_intake::{DecodeContext, Decoder, Item};
use uplift_model::Time;
use utoipa::IntoParams;

use self::pipeline::Pipeline;
use super::body::{Limit, PlainBody, Sender};
use super::failures::Failures;
use crate::access::Caller;
use crate::error::{ErrorCode, WebError};
use crate::extract::{Params, Peer, parse};
use crate::problem::Problem;
use crate::state::AppState;
use crate::wire::ingest::{EventBody, IngestReport};

/// How long we wait altogether for the bytes of a body, which may be a whole archive.
const PATIENCE: Duration = Duration::from_mins(10);

/// How events are taken.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct IngestQuery {
    /// The time of events without one, RFC 3339; their arrival where it is missing.
    at: Option<String>,
}

/// Takes in events. Success means that they are durable; sending them again changes nothing.
///
/// The body is a JSON array of events or NDJSON (one event on each line), optionally compressed with gzip. Events
/// that cannot be taken are listed with their place and the reason, and do not keep the others from being stored.
#[utoipa::path(
    post, path = "/api/events", tag = "events", operation_id = "send_events", params(IngestQuery),
    request_body(content((Vec<EventBody> = "application/json"), (String = "application/x-ndjson"))),
    responses(
        (status = 200, body = IngestReport),
        (status = 413, description = "The body is too large; `accepted` says what was stored.", body = Problem,
            content_type = "application/problem+json"),
        (status = 415, description = "It is compressed, and not with gzip.", body = Problem,
            content_type = "application/problem+json"),
        (status = 422, description = "Every event was rejected; `rejected` says why.", body = Problem,
            content_type = "application/problem+json"),
        (status = 429, description = "Too many events wait; Retry-After says when to come back.", body = Problem,
            content_type = "application/problem+json"),
        Failures,
    )
)]
pub(super) async fn ingest(
    State(state): State<AppState>,
    Params(query): Params<IngestQuery>,
    caller: Caller,
    peer: Peer,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let received_at = state.engine.now();
    let context = match given_time(&state, query.at.as_deref(), received_at) {
        Ok(at) => DecodeContext { received_at, at },
        Err(error) => return error.into_response(),
    };
    let limits = state.engine.policy().intake.clone();
    let most = Limit { bytes: limits.max_body_bytes, setting: "intake.max_body_bytes" };
    let sender = Sender { path: "/api/events", peer: peer.0, patience: PATIENCE };
    let mut body = match PlainBody::new(&headers, body, most, sender) {
        Ok(body) => body,
        Err(error) => return error.into_response(),
    };
    let mut decoder = Decoder::new(&limits, context);
    let mut pipeline = Pipeline::new(&state, caller, &limits);
    let outcome = read(&mut body, &mut decoder, &mut pipeline).await;
    let (mut report, store_failure, all_syntax) = pipeline.finish().await;
    report.warnings = decoder.warnings().into_iter().map(Into::into).collect();
    ended(body, outcome.err().or(store_failure), report, all_syntax)
}

/// The answer to a body, whatever came of it.
fn ended(body: PlainBody, failure: Option<WebError>, report: IngestReport, all_syntax: bool) -> Response {
    match failure {
        Some(error) => {
            body.discard_rest();
            let mut problem = Problem::from(error);
            if report.accepted > 0 {
                problem.detail.push_str("; events that were stored before are kept, `accepted` says how many");
            }
            problem.with(&report).into_response()
        }
        None => answer(report, all_syntax),
    }
}

fn given_time(state: &AppState, at: Option<&str>, now: Time) -> Result<Option<Time>, WebError> {
    let at: Option<Time> = parse("at", at)?;
    let latest = now.plus_micros(state.engine.policy().intake.max_ahead_ms.saturating_mul(1_000));
    match at {
        Some(at) if at < Time::EARLIEST || at > latest => {
            Err(WebError::parameter("at", format!("must be from {} to {latest}, not {at}", Time::EARLIEST)))
        }
        at => Ok(at),
    }
}

/// Plain bytes that are decoded without a pause.
const DECODED_AT_ONCE: usize = 16 << 10;

async fn read(body: &mut PlainBody, decoder: &mut Decoder, pipeline: &mut Pipeline) -> Result<(), WebError> {
    let mut items: Vec<Item> = Vec::new();
    pipeline.check_room()?;
    while let Some(bytes) = body.next().await? {
        // A few compressed bytes can be a great many items: others have their turn in between, and a client that has
        // left is noticed.
        for piece in bytes.chunks(DECODED_AT_ONCE) {
            decoder.push(piece, &mut items);
            pipeline.take(&mut items).await?;
            tokio::task::yield_now().await;
        }
    }
    decoder.finish(&mut items);
    pipeline.take(&mut items).await?;
    pipeline.flush().await
}

fn answer(report: IngestReport, all_syntax: bool) -> Response {
    // An empty array says nothing, and nothing is wrong with it.
    if report.accepted + report.duplicates > 0 || report.rejected_count == 0 {
        return Json(report).into_response();
    }
    let (code, detail) = if all_syntax {
        (ErrorCode::MalformedBody, "nothing in the body could be read as JSON")
    } else {
        (ErrorCode::AllRejected, "none of the events could be taken")
    };
    Problem::new(code, detail).with(&report).into_response()
}
