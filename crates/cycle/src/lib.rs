//! The verbs of Uplift: each step of the loop as a pure function on the nouns of `uplift-model`.
//!
//! Nothing here asks the time, rolls dice, waits, reads a file or a socket. What a step needs comes in as one
//! complete input; what it finds goes out as values. The steps never import each other.
//!
//! In reading order:
//!
//! - [`observe`]: what an event says, worked out before it is stored.
//! - [`detect`]: what could be better, and whether what was marked holds up.
#![forbid(unsafe_code)]

pub mod detect;
pub mod observe;

#[cfg(test)]
mod records;
