//! The verbs of Uplift: each step of the loop as a pure function on the nouns of `uplift-model`.
//!
//! Nothing here asks the time, rolls dice, waits, reads a file or a socket. What a step needs comes in as one
//! complete input; what it finds goes out as values. The steps never import each other.
//!
//! In reading order:
//!
//! - [`observe`]: what an event says, worked out before it is stored.
//! - [`detect`]: what could be better, and whether what was marked holds up.
//! - [`propose`]: from an opportunity to changes that could answer it.
//! - [`validate`]: whether a change may go on trial, check by check.
//! - [`trial`]: who gets which arm, how a share ramps up, what a trial can see at all.
//! - [`monitor`]: matured outcomes to evidence, metric by metric.
//! - [`decide`]: from the evidence and the policy to a verdict that explains itself.
//! - [`document`]: what became of a change, as a record and a report.
//! - [`judge`]: the same question asked of recorded runs.
//! - [`stats`]: the mathematics the steps share.
#![forbid(unsafe_code)]

pub mod decide;
pub mod detect;
pub mod document;
pub mod judge;
pub mod monitor;
pub mod observe;
pub mod propose;
pub mod stats;
pub mod trial;
pub mod validate;

#[cfg(test)]
mod records;
