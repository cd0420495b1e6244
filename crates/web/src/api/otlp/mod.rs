//! OpenTelemetry: spans and log records over OTLP/HTTP and OTLP/gRPC.
//!
//! In reading order:
//!
//! - [`way`]: which signal, carried how.
//! - [`taking`]: from a body to durable events, the same for every way.
//! - [`status`]: how refusals are said: `google.rpc.Status`, and which of them are worth a retry.
//! - [`http`]: `POST /v1/traces` and `/v1/logs`.
//! - [`grpc`]: the services of the same names.

pub(crate) mod grpc;
pub(super) mod http;
mod status;
mod taking;
mod way;

pub(crate) use way::Way;
