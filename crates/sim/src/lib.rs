//! Simulation: planted truths, virtual time, and scores of what the product makes of them.
//!
//! Everything is seeded: the same seed gives the same numbers on any machine and any number of threads. Nothing here
//! decides by itself: the product's own steps run on what is made up.
//!
//! In reading order:
//!
//! - [`fleet`]: agents whose tasks go as the configuration they are served makes them go, with planted flaws and
//!   harmful proposals.
//! - [`sample`]: the records of a made-up fleet with planted flaws, to try detection on.
//! - [`decisions`]: whole trials through the product's own monitor and decide, many times over, and how they end.
//! - [`replay`]: the same with recorded runs.
//! - [`throughput`]: how fast a trial is looked at.
//! - [`chaos`]: crashes, jumping clocks and bad input against what must always hold.
#![forbid(unsafe_code)]

pub mod chaos;
pub mod decisions;
mod dice;
pub mod fleet;
pub mod replay;
pub mod sample;
pub mod throughput;
