//! The improvement cycle as pure, synchronous steps: no clock, no input or output, no dice of its own.
//!
//! A step takes model types and gives model types, and never imports another step; all may use [`stats`].
#![forbid(unsafe_code)]

pub mod decide;
pub mod judge;
pub mod monitor;
pub mod stats;
pub mod trial;
