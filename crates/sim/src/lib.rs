//! Placeholder map.
#![forbid(unsafe_code)]

pub mod sample;
