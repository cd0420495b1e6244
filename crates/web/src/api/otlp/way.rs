//! Which signal, carried how.

use uplift_intake::otlp::proto::{
    ExportLogsPartialSuccess, ExportLogsServiceResponse, ExportTracePartialSuccess, ExportTraceServiceResponse,
    Message,
};
use uplift_intake::otlp::{Encoding, Signal};

use super::taking::Taken;

/// What carries a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    /// OTLP/HTTP with `application/x-protobuf`.
    HttpProtobuf,
    /// OTLP/HTTP with `application/json`.
    HttpJson,
    /// OTLP/gRPC.
    Grpc,
}

/// Which signal, carried how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Way {
    pub(super) signal: Signal,
    pub(super) transport: Transport,
}

impl Way {
    /// The signal as metrics name it.
    pub(crate) const fn signal(self) -> &'static str {
        match self.signal {
            Signal::Traces => "traces",
            Signal::Logs => "logs",
        }
    }

    /// What carries it, as metrics name it.
    pub(crate) const fn transport(self) -> &'static str {
        match self.transport {
            Transport::HttpProtobuf => "http_protobuf",
            Transport::HttpJson => "http_json",
            Transport::Grpc => "grpc",
        }
    }

    /// How bodies are written.
    pub(super) const fn encoding(self) -> Encoding {
        match self.transport {
            Transport::HttpProtobuf | Transport::Grpc => Encoding::Protobuf,
            Transport::HttpJson => Encoding::Json,
        }
    }

    /// The answer to what was taken, in protobuf. Where nothing was refused or remarked on, it has no partial success.
    pub(super) fn protobuf(self, taken: &Taken) -> Vec<u8> {
        let (rejected, error_message) = (taken.rejected as i64, taken.message.clone());
        match self.signal {
            Signal::Traces => ExportTraceServiceResponse {
                partial_success: taken
                    .is_partial()
                    .then_some(ExportTracePartialSuccess { rejected_spans: rejected, error_message }),
            }
            .encode_to_vec(),
            Signal::Logs => ExportLogsServiceResponse {
                partial_success: taken
                    .is_partial()
                    .then_some(ExportLogsPartialSuccess { rejected_log_records: rejected, error_message }),
            }
            .encode_to_vec(),
        }
    }

    /// The same in JSON, in which numbers of 64 bits are texts.
    pub(super) fn json(self, taken: &Taken) -> Vec<u8> {
        if !taken.is_partial() {
            return b"{}".to_vec();
        }
        let rejected = match self.signal {
            Signal::Traces => "rejectedSpans",
            Signal::Logs => "rejectedLogRecords",
        };
        let partial = serde_json::json!({ rejected: taken.rejected.to_string(), "errorMessage": taken.message });
        serde_json::json!({ "partialSuccess": partial }).to_string().into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_say_what_was_refused_and_nothing_else() {
        let whole = Taken::default();
        let partial = Taken { rejected: 3, message: "why".to_owned() };
        let remark = Taken { rejected: 0, message: "by the way".to_owned() };
        for (signal, field) in [(Signal::Traces, "rejectedSpans"), (Signal::Logs, "rejectedLogRecords")] {
            let way = Way { signal, transport: Transport::HttpJson };
            assert_eq!((way.protobuf(&whole), way.json(&whole)), (Vec::new(), b"{}".to_vec()));
            let json: serde_json::Value = serde_json::from_slice(&way.json(&partial)).unwrap();
            assert_eq!(json, serde_json::json!({"partialSuccess": {field: "3", "errorMessage": "why"}}));
            let read = ExportTraceServiceResponse::decode(way.protobuf(&partial).as_slice()).unwrap();
            let read = read.partial_success.unwrap();
            assert_eq!((read.rejected_spans, read.error_message.as_str()), (3, "why"));
            let read = ExportTraceServiceResponse::decode(way.protobuf(&remark).as_slice()).unwrap();
            assert_eq!(read.partial_success.map(|partial| partial.rejected_spans), Some(0));
        }
    }
}
