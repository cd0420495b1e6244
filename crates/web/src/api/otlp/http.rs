//! OTLP over HTTP: `POST /v1/traces` and `/v1/logs`.

use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use uplift_intake::otlp::{Encoding, Signal};

use super::status::Refusal;
use super::taking::{self, Taken};
use super::way::{Transport, Way};
use crate::access::Caller;
use crate::api::body::{Limit, PlainBody, Sender, Whole};
use crate::error::{ErrorCode, WebError};
use crate::extract::Peer;
use crate::state::AppState;

/// How long we wait altogether for the bytes of a body: exporters give up after 10 s by themselves.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";

/// Takes in spans as OpenTelemetry exporters send them. Success means that they are durable; sending them again
/// changes nothing.
///
/// The body is an `ExportTraceServiceRequest` in protobuf or JSON, optionally compressed with gzip; the answer comes in
/// the same form. Spans that cannot be taken are counted in `partial_success` and do not keep the others from being
/// stored. Refusals are a `google.rpc.Status`; 429 and 503 say in `Retry-After` when to come back.
#[utoipa::path(
    post, path = "/v1/traces", tag = "telemetry", operation_id = "export_traces",
    request_body(content((Vec<u8> = "application/x-protobuf"), (serde_json::Value = "application/json"))),
    responses(
        (status = 200, description = "An `ExportTraceServiceResponse`."),
        (status = 400, description = "Nothing of the body can be read."),
        (status = 408, description = "The body took too long to arrive."),
        (status = 413, description = "The body is larger than `otlp.max_request_bytes`."),
        (status = 415, description = "It is neither protobuf nor JSON, or compressed and not with gzip."),
        (status = 429, description = "Too many events wait; Retry-After says when to come back."),
        (status = 503, description = "The database cannot take it now; Retry-After says when to come back."),
    )
)]
pub(in crate::api) async fn traces(
    State(state): State<AppState>,
    caller: Caller,
    peer: Peer,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let sender = Sender { path: "/v1/traces", peer: peer.0, patience: PATIENCE };
    export(&state, &caller, Signal::Traces, sender, (&headers, body)).await
}

/// Takes in log records as OpenTelemetry exporters send them, among them the events of agents.
///
/// The body is an `ExportLogsServiceRequest`; all else is as with spans.
#[utoipa::path(
    post, path = "/v1/logs", tag = "telemetry", operation_id = "export_logs",
    request_body(content((Vec<u8> = "application/x-protobuf"), (serde_json::Value = "application/json"))),
    responses(
        (status = 200, description = "An `ExportLogsServiceResponse`."),
        (status = 400, description = "Nothing of the body can be read."),
        (status = 408, description = "The body took too long to arrive."),
        (status = 413, description = "The body is larger than `otlp.max_request_bytes`."),
        (status = 415, description = "It is neither protobuf nor JSON, or compressed and not with gzip."),
        (status = 429, description = "Too many events wait; Retry-After says when to come back."),
        (status = 503, description = "The database cannot take it now; Retry-After says when to come back."),
    )
)]
pub(in crate::api) async fn logs(
    State(state): State<AppState>,
    caller: Caller,
    peer: Peer,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let sender = Sender { path: "/v1/logs", peer: peer.0, patience: PATIENCE };
    export(&state, &caller, Signal::Logs, sender, (&headers, body)).await
}

/// Says that metrics are not taken: to accept and drop them would be a lie.
#[utoipa::path(
    post, path = "/v1/metrics", tag = "telemetry", operation_id = "export_metrics",
    responses((status = 404, description = "Metrics are not taken."))
)]
pub(in crate::api) async fn metrics(headers: HeaderMap) -> Response {
    let detail = "Uplift takes traces and logs, no metrics";
    let form = form(&headers).unwrap_or(Transport::HttpJson);
    refusal(form, &WebError::new(ErrorCode::SignalNotTaken, detail))
}

async fn export(
    state: &AppState,
    caller: &Caller,
    signal: Signal,
    sender: Sender,
    (headers, body): (&HeaderMap, Body),
) -> Response {
    let way = match form(headers) {
        Ok(transport) => Way { signal, transport },
        // JSON is what a person can read who has set the wrong header.
        Err(error) => return refusal(Transport::HttpJson, &error),
    };
    let ended = match read(state, sender, headers, body).await {
        Ok(whole) => taking::take(state, caller, way, whole).await,
        Err(error) => Err(error),
    };
    match taking::counted(way, ended) {
        Ok(taken) => answer(way, &taken),
        Err(error) => refusal(way.transport, &error),
    }
}

/// Reads the body, unless there is no room for any event at all.
async fn read(state: &AppState, sender: Sender, headers: &HeaderMap, body: Body) -> Result<Whole, WebError> {
    let most = state.engine.policy().otlp.max_request_bytes as u64;
    let mut body = PlainBody::new(headers, body, Limit { bytes: most, setting: "otlp.max_request_bytes" }, sender)?;
    let whole = match state.engine.try_admit(1) {
        Ok(_) => Whole::read(&mut body, &state.bodies).await,
        Err(overloaded) => Err(overloaded.into()),
    };
    if whole.is_err() {
        body.discard_rest();
    }
    whole
}

/// How a body is written, by its media type.
pub(in crate::api) fn encoding(headers: &HeaderMap) -> Result<Encoding, WebError> {
    form(headers).map(|transport| if transport == Transport::HttpJson { Encoding::Json } else { Encoding::Protobuf })
}

fn form(headers: &HeaderMap) -> Result<Transport, WebError> {
    let sent = headers.get(CONTENT_TYPE).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let named = sent.as_deref().unwrap_or_default();
    let essence = named.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case(PROTOBUF) {
        Ok(Transport::HttpProtobuf)
    } else if essence.eq_ignore_ascii_case(JSON) {
        Ok(Transport::HttpJson)
    } else {
        let shown: String = named.chars().take(64).collect();
        let detail = format!("Content-Type `{shown}` is neither {PROTOBUF} nor {JSON}");
        Err(WebError::new(ErrorCode::UnsupportedMediaType, detail))
    }
}

fn answer(way: Way, taken: &Taken) -> Response {
    match way.transport {
        Transport::HttpJson => written(StatusCode::OK, JSON, way.json(taken)),
        _ => written(StatusCode::OK, PROTOBUF, way.protobuf(taken)),
    }
}

fn refusal(form: Transport, error: &WebError) -> Response {
    let refusal = Refusal::of(error);
    let mut response = match form {
        Transport::HttpJson => written(refusal.http, JSON, refusal.json()),
        _ => written(refusal.http, PROTOBUF, refusal.protobuf()),
    };
    if let Some(after) = refusal.retry_after {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(after.as_secs()));
    }
    response
}

fn written(status: StatusCode, media_type: &'static str, body: Vec<u8>) -> Response {
    (status, [(CONTENT_TYPE, media_type)], body).into_response()
}
