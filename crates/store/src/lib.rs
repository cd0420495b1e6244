//! Where everything is kept.
//!
//! An async facade that every engine implements and one shared suite tests. Reads are a small trait per noun;
//! writes are two: [`Writes::commit_intake`] for what comes in and [`Writes::commit_step`] for what a step of the
//! loop decided, so there are two kinds of crash point. An `Ok` from either means durable.
//!
//! This crate never decides anything, never asks the time and never makes an id that matters outside of it: it
//! inserts data as it is. What it counts up itself are opportunities and alerts, whose identity is their natural key, and
//! improvements, trials and processes, whose numbers the receipt tells.
//!
//! In reading order:
//!
//! - [`error`], [`page`]: what can go wrong; how lists are cut.
//! - [`rows`]: what reads return, beyond the nouns of `model`.
//! - [`reads`], [`writes`], [`notices`]: the facade.
//! - [`store`]: a store in a database that speaks SQL; [`sqlite`], [`postgres`]: the two there are, each with a thread that
//!   writes; `pool`: connections for reading.
//! - `migrations`: the names of the migrations of both. `sql`: one way to talk to both; `logic`: what both do, statement by statement.
//! - [`moving`]: a database of SQLite carried over to PostgreSQL.
//! - `suite` (with the feature of that name): what every engine must pass.
#![forbid(unsafe_code)]

pub mod error;
mod logic;
mod migrations;
pub mod moving;
pub mod notices;
pub mod page;
mod pool;
pub mod postgres;
pub mod reads;
pub mod rows;
mod sql;
pub mod sqlite;
pub mod store;
#[cfg(any(test, feature = "suite"))]
pub mod suite;
pub mod writes;

pub use error::{StoreError, StoreResult};
pub use notices::{Notice, Notices};
pub use page::{PageRequest, Paged};
pub use reads::{
    AccessReads, DetectionReads, EntityReads, EventReads, ImprovementReads, NewsReads, OpportunityReads,
    ProcessReads, RequestReads, ReviewReads, Store, SystemReads, TaskReads, TrendReads, TrialReads,
};
pub use store::SqlStore;
pub use writes::{IntakeBatch, IntakeReceipt, Prune, Pruned, StepCommit, StepReceipt, Write, Writes};
