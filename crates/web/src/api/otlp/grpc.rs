//! OTLP over gRPC. Messages are handed on as bytes: they are decoded, limited and refused as over HTTP.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use bytes::{Buf, BufMut};
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::server::Grpc;
use tonic::{Code, Status};
use uplift_intake::otlp::Signal;

use super::http::PATIENCE;
use super::status::Refusal;
use super::taking;
use super::way::{Transport, Way};
use crate::access::Caller;
use crate::api::body::{Arriving, Held, Sender, Whole};
use crate::error::{ErrorCode, WebError};
use crate::extract::Peer;
use crate::state::AppState;
use crate::telemetry;

/// Where exporters send spans.
pub(crate) const TRACES: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
/// Where exporters send log records.
pub(crate) const LOGS: &str = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";
/// What the media type of every gRPC request begins with.
const GRPC: &[u8] = b"application/grpc";

/// Takes in spans.
pub(crate) async fn traces(State(state): State<AppState>, caller: Caller, peer: Peer, request: Request) -> Response {
    let sender = Sender { path: TRACES, peer: peer.0, patience: PATIENCE };
    export(state, caller, Signal::Traces, sender, request).await
}

/// Takes in log records.
pub(crate) async fn logs(State(state): State<AppState>, caller: Caller, peer: Peer, request: Request) -> Response {
    let sender = Sender { path: LOGS, peer: peer.0, patience: PATIENCE };
    export(state, caller, Signal::Logs, sender, request).await
}

/// What clients of services that are not here are told, in their own words; none for other requests.
pub(crate) fn unimplemented(request: &Request) -> Option<Response> {
    let detail = "Uplift takes traces and logs over gRPC, nothing else";
    is_grpc(request).then(|| said(&Refusal::of(&WebError::new(ErrorCode::SignalNotTaken, detail)).grpc()))
}

/// A refusal before anything was read, in the words of gRPC; none for other requests.
pub(crate) fn refusal(request: &Request, error: &WebError) -> Option<Response> {
    is_grpc(request).then(|| said(&Refusal::of(error).grpc()))
}

fn is_grpc(request: &Request) -> bool {
    request.headers().get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(GRPC))
}

/// An answer that is only a status.
fn said(status: &Status) -> Response {
    status.clone().into_http::<Body>()
}

async fn export(state: AppState, caller: Caller, signal: Signal, sender: Sender, request: Request) -> Response {
    let way = Way { signal, transport: Transport::Grpc };
    if !is_grpc(&request) {
        let detail = "this path takes gRPC only: send protobuf or JSON to /v1/traces or /v1/logs";
        return WebError::new(ErrorCode::UnsupportedMediaType, detail).into_response();
    }
    if let Err(overloaded) = state.engine.try_admit(1) {
        return refused(way, overloaded.into());
    }
    let most = state.engine.policy().otlp.max_request_bytes;
    let request = request.map(|body| measured(Arriving::new(body, sender), Held::none_of(&state.bodies)));
    let mut grpc = Grpc::new(Raw).accept_compressed(CompressionEncoding::Gzip).max_decoding_message_size(most);
    let read = Arc::new(AtomicBool::new(false));
    let reached = Arc::clone(&read);
    let service = tower::service_fn(move |message: tonic::Request<Bytes>| {
        reached.store(true, Ordering::Relaxed);
        let (state, caller) = (state.clone(), caller.clone());
        async move { take(&state, &caller, way, message.into_inner()).await }
    });
    let response = grpc.unary(service, request).await;
    // Exporters take the library's status for what is too large as worth a retry.
    let too_large = response.headers().get("grpc-status") == Some(&HeaderValue::from(Code::OutOfRange as i32));
    if too_large {
        let detail = format!("the message has more than {most} bytes (otlp.max_request_bytes)");
        return refused(way, WebError::new(ErrorCode::BodyTooLarge, detail));
    }
    if !read.load(Ordering::Relaxed) {
        telemetry::otlp_request(way, "unreadable");
    }
    response.map(Body::new)
}

fn refused(way: Way, error: WebError) -> Response {
    match taking::counted(way, Err(error)) {
        Ok(_) => said(&Status::internal("")),
        Err(error) => said(&Refusal::of(&error).grpc()),
    }
}

async fn take(state: &AppState, caller: &Caller, way: Way, bytes: Bytes) -> Result<tonic::Response<Bytes>, Status> {
    let mut held = Held::none_of(&state.bodies);
    let ended = match held.grow(bytes.len()) {
        Ok(()) => taking::take(state, caller, way, Whole { bytes, held }).await,
        Err(error) => Err(error),
    };
    let taken = taking::counted(way, ended).map_err(|error| Refusal::of(&error).grpc())?;
    Ok(tonic::Response::new(way.protobuf(&taken).into()))
}

/// The body as it arrives, within the limits on time and memory; what is wrong reaches the client as its status.
fn measured(arriving: Arriving, held: Held) -> Body {
    Body::from_stream(futures::stream::try_unfold((arriving, held), |(mut arriving, mut held)| async move {
        let refuse = |error: WebError| Refusal::of(&error).grpc();
        let Some(bytes) = arriving.next().await.map_err(refuse)? else { return Ok(None) };
        held.grow(bytes.len()).map_err(refuse)?;
        Ok::<_, Status>(Some((bytes, (arriving, held))))
    }))
}

/// Messages as bytes.
#[derive(Debug, Clone, Copy)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}
