//! What both engines do, statement by statement.
//!
//! - `fault`: what goes wrong on the way.
//! - `requests`: what the writer is asked for, and how many requests share a commit.
//! - `dictionary` (with `cache`): names, entities and traces as numbers, with caches.
//! - `intake`, `event_row`, `task_row`, `sums`: events in, tasks and rollups folded.
//! - `spans`: events that came as spans: whose task each counts for, settled as the trace comes in.
//! - `ahead`: what a batch asks for, asked at once.
//! - `arrivals`, `prune`: when things came in, and how the old ones go.
//! - `units`: which traces are units of running trials, kept by the intake.
//! - `step`, `ties`: what a step of the loop decided.
//! - `reads`: one file per noun.

mod ahead;
mod arrivals;
mod cache;
pub(crate) mod dictionary;
mod event_row;
pub(crate) mod fault;
mod intake;
mod prune;
mod reads;
pub(crate) mod requests;
mod spans;
mod step;
mod sums;
mod task_row;
mod ties;
mod units;
