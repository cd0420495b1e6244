//! Simulation: planted truths, virtual time, and scores of what the product makes of them.
//!
//! [`decisions`] runs whole trials through the product's own monitor and decide, many times over, and counts how they
//! end; [`replay`] does the same with recorded runs,
//! [`throughput`] measures its speed. Everything is seeded: the same seed gives the same numbers on any machine and any number of threads.
#![forbid(unsafe_code)]

pub mod decisions;
pub mod replay;
pub mod throughput;
