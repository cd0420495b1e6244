//! OpenTelemetry: real bodies, every convention, hostile bodies.
#![allow(clippy::unwrap_used, reason = "what cannot be read fails the test")]

mod bodies;
#[path = "../../../../fuzz/check.rs"]
mod check;
mod common;
mod conventions;
mod corpus;
mod files;
mod hostile;
mod logs;
mod speed;
