//! The HTTP side: one router over the engine.
//!
//! It translates and nothing else: requests to calls of the engine and reads of the store, results to wire types
//! of its own, errors to problems with a stable code. It decides nothing, keeps no state beside the engine's, and
//! never lets a client going away cut a write in half.
//!
//! In reading order:
//!
//! - [`state`]: what every handler can reach.
//! - [`listen`]: where a server may listen.
//! - [`error`], [`problem`], [`pages`]: what can go wrong, how it is said, and the page about it.
//! - `guard`: whom it answers (Host and Origin); `access`: who asks, and whether they may.
//! - `telemetry`: what is counted.
//! - `extract`: parameters and bodies, with errors that name them.
//! - `wire`: the types on the wire, one file per noun.
//! - `api`: the routes, one file per noun; `mcp`: the same for agents, as tools.
//! - `ofrep`: what is resolved, for clients of `OpenFeature`.
//! - [`router`]: all of it together.
//! - [`serve`], [`tls`]: connections, what they may not do, and how they are sealed.
#![forbid(unsafe_code)]

mod access;
mod api;
mod dashboard;
pub mod error;
mod extract;
mod guard;
mod kept;
pub mod listen;
mod listeners;
mod mcp;
mod ofrep;
pub mod pages;
pub mod problem;
mod router;
pub mod serve;
pub mod state;
mod telemetry;
pub mod tls;
mod wire;

pub use access::Guarding;
pub use error::{ErrorCode, WebError};
pub use listen::{Kept, ListenError, check_listen, is_loopback};
pub use router::{grpc_router, openapi, router};
pub use serve::{ConnectionLimits, serve};
pub use state::AppState;
pub use tls::{Tls, TlsError};
