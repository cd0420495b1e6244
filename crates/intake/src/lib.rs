//! From what senders write to what the house understands: wire JSON to model events.
//!
//! Synchronous, without clock, files or sockets: bytes come in as they arrive, items go out in order, and memory
//! is bounded by one item. It never panics on what a sender writes, and never refuses a whole stream for one bad
//! item.
//!
//! In reading order:
//!
//! - [`rejection`]: what is said of an item that cannot be taken, and where it stands.
//! - [`decoder`]: the way in: a stream of bytes, or one text.
//! - `framer`: where one item ends and the next begins.
//! - `scalar`, `wire`: an item as written, borrowed from the bytes.
//! - `fields`: checks on single values.
//! - `attributes`: attributes as sent, and unknown fields that are kept among them.
//! - `clocks`: times for events that bring none.
//! - `interpret`: from an item as written to a checked event.
//! - [`otlp`]: the way in for OpenTelemetry.
//! - [`redact`]: what is masked, shortened or dropped before anything is stored.
#![forbid(unsafe_code)]

mod attributes;
mod clocks;
pub mod decoder;
mod fields;
mod framer;
mod interpret;
pub mod otlp;
pub mod redact;
pub mod rejection;
mod scalar;
mod wire;

pub use decoder::{DecodeContext, Decoded, Decoder, Item, Warning, decode_one};
pub use rejection::{Place, Rejection, RejectionCode};
