//! The real binary from outside: processes, files, sockets and signals.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    unreachable_pub,
    reason = "all of it is a test: what is unexpected should stop it"
)]

mod access;
mod alerts;
mod browser;
mod control;
mod demo;
mod docs;
mod full_disk;
mod http;
mod import;
mod kill;
mod kill_otlp;
mod killing;
mod look;
mod mcp_clients;
mod migrate;
mod nodes;
mod notifications;
mod otlp_clients;
mod records;
mod replay;
mod sdk_python;
mod serve;
mod support;
mod top;
