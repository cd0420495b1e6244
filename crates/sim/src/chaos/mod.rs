//! Reliability: the loop with processes that die at any commit, clocks that jump, reports that come late, twice, wrong or
//! not at all, and people who interfere; and what must hold all the same.
//!
//! In reading order:
//!
//! - [`faulty`]: a store that breaks when it is told to; [`ledger`]: what was committed, whoever was told of it.
//! - [`agents`]: a fleet whose tasks go as it is served; [`world`]: the fleet, the store and the processes.
//! - [`state`]: everything the store holds about the loop.
//! - [`invariants`]: what must hold at any moment, numbered; [`serving`]: what must hold of every answer.
//! - [`script`]: one fixed course of events, with a crash at any commit.
//! - [`seeds`]: any number of random courses, each replayed by its seed.

pub mod agents;
pub mod faulty;
pub mod invariants;
pub mod ledger;
pub mod script;
pub mod seeds;
pub mod serving;
pub mod state;
pub mod world;
