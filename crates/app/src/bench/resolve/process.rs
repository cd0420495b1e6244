//! In process: a look into memory.

use std::hint::black_box;
use std::time::{Duration, Instant};

use uplift_model::EntityType;
use uplift_runner::snapshot::Snapshot;

use super::fleet::{Dice, Fleet};

/// Resolves between two looks at the clock: about a millisecond.
const BATCH: u32 = 5_000;

/// Nanoseconds a resolve (median), entities and units at random, by name, in the default environment. What it takes to pick
/// them is measured too and left out.
pub(super) fn measure(fleet: &Fleet, time: Duration) -> f64 {
    let snapshot = Snapshot::default();
    fleet.put(&snapshot);
    let resolve = |name: &str, unit: &str| {
        let found = snapshot.resolve(Some("default"), EntityType::Agent, name, Some(unit), 2);
        black_box(&found);
    };
    let pick = |name: &str, unit: &str| {
        black_box((name.as_bytes().first(), unit.as_bytes().first()));
    };
    // Once beforehand, so that all pages of memory are there.
    each(fleet, time / 10, &resolve);
    (each(fleet, time, &resolve) - each(fleet, time / 10, &pick)).max(0.0)
}

/// The median over batches, so that what else the machine does meanwhile does not count.
fn each(fleet: &Fleet, time: Duration, act: &impl Fn(&str, &str)) -> f64 {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let mut batches = Vec::new();
    let began = Instant::now();
    while batches.is_empty() || began.elapsed() < time {
        let batch = Instant::now();
        for _ in 0..BATCH {
            let name = &fleet.names[dice.below(fleet.names.len())];
            let unit = &fleet.units[dice.below(fleet.units.len())];
            act(name, unit);
        }
        batches.push(batch.elapsed());
    }
    batches.sort_unstable();
    batches[batches.len() / 2].as_nanos() as f64 / f64::from(BATCH)
}
