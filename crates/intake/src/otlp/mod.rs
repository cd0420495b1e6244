//! From OpenTelemetry to model events: OTLP traces and logs, in protobuf and JSON.
//!
//! Every span becomes one event, every log record that matters another. It never panics on what a sender writes, never
//! refuses a request for one bad span, and uses memory in proportion to what it keeps, not to what a length claims.
//! What is mapped to what is in `docs/opentelemetry.md`.
//!
//! In reading order:
//!
//! - [`proto`]: the messages and services themselves, for those who serve them.
//! - `view`: a span or record as the mapping sees it, borrowed from what it came in.
//! - `protobuf`, `json`, `message`: three ways to fill it.
//! - `collect`: counts, limits, and what is said of items.
//! - `origin`: where spans come from: environment, service, library.
//! - `keys`, `read`: what attributes mean, and what remains of them.
//! - `part`: whether a span is an agent, a call, or neither.
//! - `span`, `trail`, `log`: the mapping itself.
//! - `names`, `amounts`, `price`, `offered`, `exposure`, `text`: parts of it.
//! - [`file`]: what tools save.

mod amounts;
mod collect;
mod exposure;
pub mod file;
mod json;
mod keys;
mod log;
mod message;
mod names;
mod offered;
mod origin;
mod part;
mod price;
mod protobuf;
mod read;
mod span;
mod text;
mod trail;
mod view;

use uplift_model::Time;
use uplift_model::event::Event;
use uplift_model::policy::{IntakePolicy, ModelPrice, OtlpPolicy};

use collect::Collector;
use proto::{ExportLogsServiceRequest, ExportTraceServiceRequest};

/// How a body is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// `application/x-protobuf`.
    Protobuf,
    /// `application/json`.
    Json,
}

/// What a body holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Signal {
    /// `ExportTraceServiceRequest`: spans.
    Traces,
    /// `ExportLogsServiceRequest`: log records.
    Logs,
}

/// What is known of a request beside its body.
#[derive(Debug, Clone, Copy)]
pub struct OtlpContext<'a> {
    /// When it arrived.
    pub received_at: Time,
    /// Limits on requests.
    pub policy: &'a OtlpPolicy,
    /// Limits on events.
    pub intake: &'a IntakePolicy,
    /// What models cost where calls report none.
    pub prices: &'a [ModelPrice],
}

/// What came of a request.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Export {
    /// The events, in the order of the request.
    pub events: Vec<Event>,
    /// Spans or log records that were refused.
    pub rejected: u64,
    /// Why, and what was changed on the way in: at most [`MAX_NOTES`] texts of at most [`MAX_NOTE_BYTES`] each, for the
    /// message of a partial success.
    pub notes: Vec<String>,
}

/// Most notes of one request.
pub const MAX_NOTES: usize = 20;
/// Longest note, bytes.
pub const MAX_NOTE_BYTES: usize = 256;

/// A body of which nothing can be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct OtlpError {
    /// Where it breaks, why, and what to do.
    pub detail: String,
}

/// Reads a whole request.
///
/// # Errors
/// When the body cannot be read at all: nothing of it was taken.
pub fn decode(
    signal: Signal,
    encoding: Encoding,
    body: &[u8],
    context: &OtlpContext<'_>,
) -> Result<Export, OtlpError> {
    let most = context.policy.max_request_bytes;
    if body.len() > most {
        let detail = format!(
            "the body has {} bytes, more than the {most} of otlp.max_request_bytes: send smaller batches",
            body.len()
        );
        return Err(OtlpError { detail });
    }
    match encoding {
        Encoding::Protobuf => decode_protobuf(signal, body, context),
        Encoding::Json => decode_json(Some(signal), body, context),
    }
}

fn decode_protobuf(signal: Signal, body: &[u8], context: &OtlpContext<'_>) -> Result<Export, OtlpError> {
    let mut collector = Collector::new(context);
    let read = match signal {
        Signal::Traces => protobuf::traces(body, &mut collector),
        Signal::Logs => protobuf::logs(body, &mut collector),
    };
    read.map(|()| collector.finish()).map_err(|broken| {
        let remedy = if body.starts_with(GZIP) {
            "it is gzip: say so with `Content-Encoding: gzip`"
        } else if body.trim_ascii_start().starts_with(b"{") {
            "it looks like JSON: say so with `Content-Type: application/json`"
        } else {
            "send the bytes of one export request, whole"
        };
        OtlpError { detail: format!("the body is no {}: {}; {remedy}", signal.request(), broken.words()) }
    })
}

fn decode_json(signal: Option<Signal>, body: &[u8], context: &OtlpContext<'_>) -> Result<Export, OtlpError> {
    let request = signal.map_or("OTLP request", Signal::request);
    let text = std::str::from_utf8(body).map_err(|error| {
        let remedy = if body.starts_with(GZIP) {
            "it is gzip: say so with `Content-Encoding: gzip`"
        } else {
            "if it is protobuf, say so with `Content-Type: application/x-protobuf`"
        };
        let at = error.valid_up_to();
        OtlpError { detail: format!("the body is no {request} in JSON: it is not UTF-8 at byte {at}; {remedy}") }
    })?;
    let mut collector = Collector::new(context);
    // A request that holds nothing of what is wanted holds no items, which is allowed.
    json::request(text, signal, &mut collector).map_err(|error| {
        let said = error.to_string();
        let said = text::clip(&said, MAX_NOTE_BYTES);
        OtlpError { detail: format!("the body is no {request} in JSON: {said}; send one export request, whole") }
    })?;
    Ok(collector.finish())
}

/// What gzip begins with.
const GZIP: &[u8] = &[0x1F, 0x8B];

impl Signal {
    /// The name of its request.
    const fn request(self) -> &'static str {
        match self {
            Self::Traces => "ExportTraceServiceRequest",
            Self::Logs => "ExportLogsServiceRequest",
        }
    }
}

/// Maps spans that were decoded already, as gRPC does.
pub fn traces(request: ExportTraceServiceRequest, context: &OtlpContext<'_>) -> Export {
    let mut collector = Collector::new(context);
    message::traces(&request, &mut collector);
    collector.finish()
}

/// Maps log records that were decoded already, as gRPC does.
pub fn logs(request: ExportLogsServiceRequest, context: &OtlpContext<'_>) -> Export {
    let mut collector = Collector::new(context);
    message::logs(&request, &mut collector);
    collector.finish()
}

/// The messages and services of OTLP.
pub mod proto {
    pub use opentelemetry_proto::tonic::collector::logs::v1::{
        ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse, logs_service_server,
    };
    pub use opentelemetry_proto::tonic::collector::trace::v1::{
        ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse, trace_service_server,
    };
    pub use prost::Message;
}
