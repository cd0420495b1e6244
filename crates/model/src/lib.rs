//! The nouns of Uplift: plain values that every other crate shares.
//!
//! This crate never does input or output, never asks the time and never rolls dice. In reading order:
//! [`metric`] (what a trial measures), [`trial`] (who is compared, and how), [`policy`] (the numbers a decision
//! obeys), [`preflight`] (what can be seen at all), [`verdict`] (what was found, and why).
#![forbid(unsafe_code)]

pub mod metric;
pub mod policy;
pub mod preflight;
pub mod trial;
pub mod verdict;
