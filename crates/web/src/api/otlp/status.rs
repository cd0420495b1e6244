//! How refusals are said in OTLP: `google.rpc.Status`, and which of them are worth a retry.

use std::time::Duration;

use axum::http::StatusCode;
use prost::Message;
use tonic::Code;

use crate::error::{ErrorCode, WebError};

/// When to try again where the store failed for no reason that is known, seconds.
const PAUSE_AFTER_FAILURE_S: u64 = 10;
/// The type of the detail that makes `RESOURCE_EXHAUSTED` worth a retry.
const RETRY_INFO: &str = "type.googleapis.com/google.rpc.RetryInfo";

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<Any>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, Message)]
struct Any {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

/// `google.rpc.RetryInfo`.
#[derive(Clone, PartialEq, Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<Seconds>,
}

/// `google.protobuf.Duration`, of whole seconds.
#[derive(Clone, PartialEq, Message)]
struct Seconds {
    #[prost(int64, tag = "1")]
    seconds: i64,
}

/// A refusal.
pub(super) struct Refusal {
    /// The status over HTTP. Exporters try again after 429 and 503, and drop what any other was said of.
    pub(super) http: StatusCode,
    code: Code,
    message: String,
    /// When to try again, where that may help.
    pub(super) retry_after: Option<Duration>,
}

impl Refusal {
    pub(super) fn of(error: &WebError) -> Self {
        let code = error.code();
        if code.status().is_server_error() {
            tracing::error!(code = code.as_str(), %error, "telemetry could not be taken");
        }
        // A fault of the database may pass, and a retry of what was stored is harmless: it must not cost data.
        let passing = code == ErrorCode::StoreFailed;
        let http = if passing { StatusCode::SERVICE_UNAVAILABLE } else { code.status() };
        let retry_after_s = error.retry_after_s().or(passing.then_some(PAUSE_AFTER_FAILURE_S));
        Self {
            http,
            code: grpc_code(http, code),
            message: format!("{} ({}). {}", error.detail(), code.as_str(), code.remedy()),
            retry_after: retry_after_s.map(Duration::from_secs),
        }
    }

    /// As the body of an answer, in protobuf.
    pub(super) fn protobuf(&self) -> Vec<u8> {
        let details = self.retry_after.map(|after| Any {
            type_url: RETRY_INFO.to_owned(),
            value: RetryInfo { retry_delay: Some(Seconds { seconds: after.as_secs() as i64 }) }.encode_to_vec(),
        });
        RpcStatus { code: self.code as i32, message: self.message.clone(), details: details.into_iter().collect() }
            .encode_to_vec()
    }

    /// The same in JSON.
    pub(super) fn json(&self) -> Vec<u8> {
        serde_json::json!({ "code": self.code as i32, "message": self.message }).to_string().into_bytes()
    }

    /// As gRPC says it, with the details and the header that clients read the pause from.
    pub(super) fn grpc(&self) -> tonic::Status {
        let mut status = tonic::Status::with_details(self.code, self.message.clone(), self.protobuf().into());
        if let Some(after) = self.retry_after
            && let Ok(pause) = after.as_millis().to_string().parse()
        {
            status.metadata_mut().insert("grpc-retry-pushback-ms", pause);
        }
        status
    }
}

/// gRPC clients try again after `UNAVAILABLE`, and after `RESOURCE_EXHAUSTED` where it comes with a pause.
fn grpc_code(http: StatusCode, code: ErrorCode) -> Code {
    match (http.as_u16(), code) {
        (_, ErrorCode::BodyInterrupted) => Code::Cancelled,
        (401, _) => Code::Unauthenticated,
        (403, _) => Code::PermissionDenied,
        (408, _) => Code::DeadlineExceeded,
        (429, _) => Code::ResourceExhausted,
        (503, _) => Code::Unavailable,
        (404, _) => Code::Unimplemented,
        (400..=499, _) => Code::InvalidArgument,
        _ => Code::Internal,
    }
}

#[cfg(test)]
mod tests {
    use uplift_runner::Overloaded;
    use uplift_store::StoreError;

    use super::*;

    #[test]
    fn what_passes_is_worth_a_retry_and_nothing_else_is() {
        let engine = StoreError::Engine { context: "writing", reason: "no such thing".to_owned() };
        let table: [(WebError, u16, Code, Option<u64>); 7] = [
            (Overloaded { retry_after_s: 1 }.into(), 429, Code::ResourceExhausted, Some(1)),
            (StoreError::Closed.into(), 503, Code::Unavailable, Some(10)),
            (engine.into(), 503, Code::Unavailable, Some(10)),
            (WebError::new(ErrorCode::MalformedOtlp, "bad"), 400, Code::InvalidArgument, None),
            (WebError::new(ErrorCode::BodyTooLarge, "big"), 413, Code::InvalidArgument, None),
            (WebError::new(ErrorCode::SignalNotTaken, "no"), 404, Code::Unimplemented, None),
            (WebError::new(ErrorCode::InternalError, "bug"), 500, Code::Internal, None),
        ];
        for (error, http, code, retry_after_s) in table {
            let refusal = Refusal::of(&error);
            assert_eq!((refusal.http.as_u16(), refusal.code), (http, code), "{error}");
            assert_eq!(refusal.retry_after.map(|after| after.as_secs()), retry_after_s);
            let status = RpcStatus::decode(refusal.protobuf().as_slice()).unwrap();
            assert_eq!((status.code, status.details.len()), (code as i32, usize::from(retry_after_s.is_some())));
            assert_eq!(refusal.grpc().metadata().contains_key("grpc-retry-pushback-ms"), retry_after_s.is_some());
            assert!(!status.message.contains("no such thing"), "{}", status.message);
        }
    }
}
