//! `POST /api/events/otlp`: requests of OpenTelemetry that were saved to a file.

use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use tokio::task::spawn_blocking;
use uplift_intake::otlp::file::FileDecoder;
use uplift_intake::otlp::{OtlpContext, OtlpError};
use uplift_model::Time;
use uplift_runner::Engine;

use super::{PATIENCE, Pipeline, ended};
use crate::access::Caller;
use crate::api::body::{Held, Limit, PlainBody, Sender};
use crate::api::failures::Failures;
use crate::api::otlp_form;
use crate::error::{ErrorCode, WebError};
use crate::extract::Peer;
use crate::problem::Problem;
use crate::state::AppState;
use crate::wire::ingest::IngestReport;

/// Takes in saved requests of OpenTelemetry, as collectors and trace stores write them to files. Success means that
/// all of them are durable; sending them again changes nothing.
///
/// The body is JSON (one `ExportTraceServiceRequest` or `ExportLogsServiceRequest`, an array of them, or one a line) or
/// protobuf (one, or each behind its length), as `Content-Type` says, optionally compressed with gzip. Exporters send to
/// `/v1/traces` and `/v1/logs` instead.
#[utoipa::path(
    post, path = "/api/events/otlp", tag = "events", operation_id = "send_saved_telemetry",
    request_body(content((serde_json::Value = "application/json"), (Vec<u8> = "application/x-protobuf"))),
    responses(
        (status = 200, body = IngestReport),
        (status = 413, description = "The body is too large; `accepted` says what was stored.", body = Problem,
            content_type = "application/problem+json"),
        (status = 415, description = "It is neither JSON nor protobuf, or compressed and not with gzip.",
            body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Every span was rejected.", body = Problem,
            content_type = "application/problem+json"),
        (status = 429, description = "Too many events wait; Retry-After says when to come back.", body = Problem,
            content_type = "application/problem+json"),
        Failures,
    )
)]
pub(in crate::api) async fn saved(
    State(state): State<AppState>,
    caller: Caller,
    peer: Peer,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let limits = state.engine.policy().intake.clone();
    let most = Limit { bytes: limits.max_body_bytes, setting: "intake.max_body_bytes" };
    let sender = Sender { path: "/api/events/otlp", peer: peer.0, patience: PATIENCE };
    let opened = otlp_form(&headers)
        .and_then(|encoding| Ok((FileDecoder::new(encoding), PlainBody::new(&headers, body, most, sender)?)));
    let (decoder, mut body) = match opened {
        Ok(opened) => opened,
        Err(error) => return error.into_response(),
    };
    let mut pipeline = Pipeline::new(&state, caller, &limits);
    let outcome = read(&state, &mut body, decoder, &mut pipeline).await;
    let (report, store_failure, all_syntax) = pipeline.finish().await;
    ended(body, outcome.err().or(store_failure), report, all_syntax)
}

async fn read(
    state: &AppState,
    body: &mut PlainBody,
    mut decoder: FileDecoder,
    pipeline: &mut Pipeline,
) -> Result<(), WebError> {
    pipeline.check_room()?;
    let received_at = state.engine.now();
    let mut held = Held::none_of(&state.bodies);
    while let Some(bytes) = body.next().await? {
        // What the decoder keeps is part of one request, which has to be in memory whole.
        held.grow(bytes.len())?;
        let work = move |context: &OtlpContext<'_>| {
            let mut exports = Vec::new();
            let pushed = decoder.push(&bytes, context, &mut |export| exports.push(export));
            (exports, pushed.map(|()| decoder))
        };
        let (exports, next) = apart(state.engine.clone(), received_at, work).await?;
        if !exports.is_empty() {
            held.give_back();
        }
        // What stands before a fault is stored, whatever follows it.
        pipeline.take_exports(exports).await?;
        decoder = match next {
            Ok(decoder) => decoder,
            Err(broken) => {
                pipeline.flush().await?;
                return Err(malformed(broken));
            }
        };
    }
    let work = move |context: &OtlpContext<'_>| {
        let mut exports = Vec::new();
        let finished = decoder.finish(context, &mut |export| exports.push(export));
        (exports, finished)
    };
    let (exports, finished) = apart(state.engine.clone(), received_at, work).await?;
    held.give_back();
    pipeline.take_exports(exports).await?;
    pipeline.flush().await?;
    finished.map_err(malformed)
}

/// On a thread of its own, because one request may be a whole file; others are answered meanwhile.
async fn apart<T: Send + 'static>(
    engine: Engine,
    received_at: Time,
    work: impl FnOnce(&OtlpContext<'_>) -> T + Send + 'static,
) -> Result<T, WebError> {
    let work = move || {
        let policy = engine.policy();
        work(&OtlpContext { received_at, policy: &policy.otlp, intake: &policy.intake, prices: &policy.prices })
    };
    let panicked = |_| WebError::new(ErrorCode::InternalError, "the server failed to read the request");
    spawn_blocking(work).await.map_err(panicked)
}

fn malformed(OtlpError { detail }: OtlpError) -> WebError {
    WebError::new(ErrorCode::MalformedOtlp, detail)
}
