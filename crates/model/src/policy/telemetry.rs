//! How OpenTelemetry is taken in, and what models cost.

use serde::{Deserialize, Serialize};

use super::{PolicyError, require};

/// How traces and logs are taken in over OTLP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OtlpPolicy {
    /// Largest request after decompression, bytes.
    pub max_request_bytes: usize,
    /// Most spans or log records of one request; those beyond are refused, and said to be.
    pub max_items: usize,
    /// Most attributes of one span, and entries of one list or map; those beyond are left out, and said to be.
    pub max_attributes: usize,
    /// How deeply values may be nested.
    pub max_depth: usize,
    /// A trace that has been quiet for this long is settled without the spans that are missing from it, seconds.
    pub settle_seconds: u32,
    /// Another address that takes telemetry over gRPC, host and port; `none` for none. The server's own takes it anyway.
    pub grpc_listen: String,
}

impl Default for OtlpPolicy {
    fn default() -> Self {
        Self {
            max_request_bytes: 16 << 20,
            max_items: 50_000,
            max_attributes: 1_024,
            max_depth: 16,
            settle_seconds: 10,
            grpc_listen: "127.0.0.1:4317".to_owned(),
        }
    }
}

impl OtlpPolicy {
    pub(super) fn check(&self) -> Result<(), PolicyError> {
        let bytes = self.max_request_bytes;
        require((1_024..=1 << 28).contains(&bytes), "otlp.max_request_bytes", "from 1024 to 268435456", bytes)?;
        let items = self.max_items;
        require((1..=1_000_000).contains(&items), "otlp.max_items", "from 1 to 1000000", items)?;
        let attributes = self.max_attributes;
        require((1..=100_000).contains(&attributes), "otlp.max_attributes", "from 1 to 100000", attributes)?;
        require((1..=64).contains(&self.max_depth), "otlp.max_depth", "from 1 to 64", self.max_depth)?;
        let settle = self.settle_seconds;
        require((1..=3_600).contains(&settle), "otlp.settle_seconds", "from 1 to 3600", settle)?;
        let listen = &self.grpc_listen;
        require((1..=255).contains(&listen.len()), "otlp.grpc_listen", "an address or `none`", listen)
    }
}

/// What a model costs where a call reports tokens and no cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelPrice {
    /// The model as reported; a `*` stands for any letters. The first price that fits counts.
    pub model: String,
    /// US dollars for a million tokens read, cached ones apart.
    pub input: f64,
    /// US dollars for a million tokens written.
    pub output: f64,
    /// US dollars for a million tokens read from a cache; as `input` if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached: Option<f64>,
}

impl ModelPrice {
    pub(super) fn check(&self) -> Result<(), PolicyError> {
        let fine = |price: f64| price.is_finite() && (0.0..=1e6).contains(&price);
        require(!self.model.is_empty() && self.model.len() <= 128, "prices.model", "1 to 128 bytes", &self.model)?;
        require(fine(self.input), "prices.input", "from 0 to 1000000", self.input)?;
        require(fine(self.output), "prices.output", "from 0 to 1000000", self.output)?;
        let cached = self.cached.unwrap_or(self.input);
        require(fine(cached), "prices.cached", "from 0 to 1000000", cached)
    }
}
