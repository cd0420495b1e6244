//! What must hold at any moment, numbered.

use std::collections::BTreeMap;
use std::fmt;

use uplift_model::Policy;
use uplift_model::Time;

use super::ledger::Entry;
use super::state::State;
use super::world::Seen;

mod decisions;
mod records;
mod rules;

/// What the invariants look at.
#[derive(Debug, Clone, Copy)]
pub struct Scene<'a> {
    /// What the store holds.
    pub state: &'a State,
    /// Everything that was ever committed.
    pub ledger: &'a [Entry],
    /// What the world saw.
    pub seen: &'a Seen,
    /// The settings that processes start with.
    pub policy: &'a Policy,
    /// The moment it is.
    pub now: Time,
}

/// One invariant.
pub struct Invariant {
    /// Its number.
    pub id: &'static str,
    /// What holds, in a sentence.
    pub says: &'static str,
    check: fn(&Scene<'_>) -> Result<(), String>,
}

/// An invariant that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Its number.
    pub id: &'static str,
    /// What was seen.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.id, self.what)
    }
}

/// What is seen of answers and calls while the world goes on, and not read from the store.
const ON_THE_SPOT: fn(&Scene<'_>) -> Result<(), String> = |_| Ok(());

/// All of them.
pub const INVARIANTS: [Invariant; 20] = [
    Invariant {
        id: "I1",
        says: "An entity has at most one improvement that is validated or testing, and at most one running trial.",
        check: rules::one_per_entity,
    },
    Invariant {
        id: "I2",
        says: "The statuses of an improvement are a path of those that may follow each other.",
        check: rules::status_paths,
    },
    Invariant {
        id: "I3",
        says: "Nothing is decided twice: a trial, and an improvement that never ran, has one entry in the history.",
        check: decisions::once,
    },
    Invariant {
        id: "I4",
        says: "After a rollback the entity runs the trial's base, byte for byte, or what came since without the change; \
               revisions never change.",
        check: decisions::rollback_is_exact,
    },
    Invariant {
        id: "I5",
        says: "No event that was acknowledged is lost, and none counts twice.",
        check: records::events_and_tasks,
    },
    Invariant {
        id: "I6",
        says: "The candidate is served to its share only, and to nobody 2 s after its trial ended with a rollback, or a \
               minute more where a resolver is cut off from the store.",
        check: ON_THE_SPOT,
    },
    Invariant {
        id: "I7",
        says: "A unit keeps its arm within a stage, and no ramp takes it from the candidate to control.",
        check: ON_THE_SPOT,
    },
    Invariant {
        id: "I8",
        says: "Nothing is kept before its test duration is over, nor on fewer units an arm than asked for.",
        check: decisions::no_early_keep,
    },
    Invariant { id: "I9", says: "No trial of an improvement begins while trials are paused.", check: rules::pause },
    Invariant {
        id: "I10",
        says: "No trial begins beyond max_concurrent_improvements, nor before the cooldown of its entity is over.",
        check: rules::concurrency_and_cooldown,
    },
    Invariant {
        id: "I11",
        says: "A write under a lease that has gone to somebody else changes nothing.",
        check: rules::leases,
    },
    Invariant {
        id: "I12",
        says: "Every improvement that was refused, called off, kept or taken back has an entry in the history with the \
               reason.",
        check: decisions::reasons,
    },
    Invariant {
        id: "I13",
        says: "What is tried is what was validated: the edits applied to the base; a trial whose base is no longer in place \
               is served to nobody, and restarts or ends.",
        check: decisions::complete_proposals,
    },
    Invariant {
        id: "I14",
        says: "An opportunity is in progress only while an improvement for it is.",
        check: rules::opportunities,
    },
    Invariant {
        id: "I15",
        says: "An improvement is testing exactly while its trial runs; a hold-back runs only for one that was kept.",
        check: rules::status_and_trial,
    },
    Invariant {
        id: "I16",
        says: "Nothing is forgotten: what is not decided has a process that will wake, and a healthy process has no errors.",
        check: records::nothing_forgotten,
    },
    Invariant {
        id: "I17",
        says: "Uplift's own events are on record once each, or wait in the outbox.",
        check: records::own_events,
    },
    Invariant {
        id: "I18",
        says: "A revision is what its address says, and never changes.",
        check: records::revisions,
    },
    Invariant { id: "I19", says: "The settings in force are always within their ranges.", check: rules::settings },
    Invariant {
        id: "I20",
        says: "The trail of an entity's revisions is only added to, and ends with the one in place.",
        check: records::trails,
    },
];

/// Every invariant that does not hold.
pub fn check(scene: &Scene<'_>) -> Vec<Violation> {
    let on_the_spot = scene.seen.wrong.iter().map(|(id, what)| Violation { id, what: what.clone() });
    let of_state = INVARIANTS.iter().filter_map(|invariant| {
        let what = (invariant.check)(scene).err()?;
        Some(Violation { id: invariant.id, what })
    });
    on_the_spot.chain(of_state).collect()
}

/// Says so unless it holds.
fn require(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}

/// Counts by key.
fn counts<K: Ord>(keys: impl Iterator<Item = K>) -> BTreeMap<K, usize> {
    let mut counts = BTreeMap::new();
    for key in keys {
        *counts.entry(key).or_default() += 1;
    }
    counts
}
