//! The nouns of Uplift: what the rest of the house talks about.
//!
//! This crate knows serde and how to write things down. It never asks the time, rolls dice, opens a file
//! or a socket, and it imports no other crate of the house.
//!
//! In reading order:
//!
//! - [`time`]: moments and hours, in event time.
//! - [`entity`], [`relationship`]: what can be improved, and how the parts hang together.
//! - [`revision`], [`edit`], [`difference`], [`merge`]: immutable configurations, the closed set of changes to them,
//!   and how changes of two sides go together.
//! - [`event`], [`span`], [`operation`], [`fingerprint`]: what agents report.
//! - [`task`], [`rollup`]: what events are folded into.
//! - [`opportunity`], [`review`], [`alert`]: what was found.
//! - [`improvement`], [`check`], [`history`], [`process`]: what is done about it, what it has to pass, what came of it,
//!   and by which durable process.
//! - [`metric`], [`trial`], [`preflight`], [`verdict`]: what is measured, who is compared, what can be seen at all, and
//!   what was found.
//! - [`request`]: what agents ask for. [`notification`]: what others are told. [`access`]: who may do what.
//! - [`policy`]: every default, in one table.
#![forbid(unsafe_code)]

pub mod access;
pub mod alert;
pub mod check;
pub mod difference;
pub mod edit;
pub mod entity;
pub mod event;
pub mod fingerprint;
pub mod history;
pub mod improvement;
pub mod merge;
pub mod metric;
pub mod notification;
pub mod operation;
pub mod opportunity;
pub mod policy;
pub mod preflight;
pub mod process;
pub mod relationship;
pub mod request;
pub mod review;
pub mod revision;
pub mod rollup;
pub mod span;
pub mod task;
pub mod time;
pub mod trial;
pub mod verdict;

pub use entity::{Entity, EntityKey, EntityName, EntityState, EntityType};
pub use event::{Event, EventKind, Outcome};
pub use fingerprint::Fingerprint;
pub use opportunity::{Finding, Opportunity, OpportunityKind};
pub use policy::Policy;
pub use time::{Hour, Time};
