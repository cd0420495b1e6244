//! What was committed, in order: what really happened, whoever was told of it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use uplift_model::Time;
use uplift_model::entity::EntityKey;
use uplift_model::history::HistoryEntry;
use uplift_model::improvement::ImprovementStatus;
use uplift_model::process::Lease;
use uplift_model::revision::RevisionId;
use uplift_store::writes::{NewTrial, StepCommit, StepReceipt, Write};

/// One thing that was committed.
#[derive(Debug, Clone, PartialEq)]
pub enum Fact {
    /// An improvement was put on record.
    Proposed {
        /// Its number.
        improvement: i64,
        /// Where it began.
        status: ImprovementStatus,
    },
    /// An improvement changed its status.
    Moved {
        /// Its number.
        improvement: i64,
        /// Where it went.
        to: ImprovementStatus,
    },
    /// A trial began.
    Started {
        /// Its number.
        trial: i64,
        /// As declared.
        new: Box<NewTrial>,
    },
    /// A trial ended.
    Ended {
        /// Its number.
        trial: i64,
    },
    /// An entry of the history was written.
    Recorded(Box<HistoryEntry>),
    /// An entity was pointed at a revision.
    Pointed {
        /// The entity.
        entity: EntityKey,
        /// The revision.
        revision: RevisionId,
    },
    /// A setting was stored.
    Set {
        /// Its name.
        name: String,
        /// Its value.
        value: Value,
    },
    /// A lease was claimed or renewed.
    Claimed(Lease),
    /// An event of Uplift's own was promised.
    Promised {
        /// Its id.
        event: String,
        /// All of it, as JSON.
        payload: String,
    },
}

/// A fact with its commit.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The commit, counted from 0.
    pub commit: usize,
    /// The engine's time of the commit.
    pub at: Time,
    /// The lease it was written under.
    pub lease: Option<Lease>,
    /// What was committed.
    pub fact: Fact,
}

/// Everything that was committed through any way to the store.
#[derive(Debug, Default)]
pub struct Ledger {
    entries: Mutex<(usize, Vec<Entry>)>,
}

impl Ledger {
    fn lock(&self) -> MutexGuard<'_, (usize, Vec<Entry>)> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a commit that was written.
    pub(super) fn note(&self, commit: &StepCommit, receipt: &StepReceipt) {
        let mut entries = self.lock();
        let number = entries.0;
        entries.0 += 1;
        let mut improvements = receipt.improvements.iter().copied();
        let mut trials = receipt.trials.iter().copied();
        let mut entities = receipt.entities.iter().copied();
        let of_writes = commit.writes.iter().filter_map(|write| {
            Some(match write {
                Write::PutImprovement(new) => {
                    Fact::Proposed { improvement: improvements.next().unwrap_or_default(), status: new.status }
                }
                Write::ChangeImprovement { id, change, .. } => Fact::Moved { improvement: *id, to: change.status? },
                Write::StartTrial(new) => {
                    Fact::Started { trial: trials.next().unwrap_or_default(), new: new.clone() }
                }
                Write::EndTrial { id, .. } => Fact::Ended { trial: *id },
                Write::RecordHistory(entry) => Fact::Recorded(entry.clone()),
                Write::PointRevision { entity, revision } => {
                    Fact::Pointed { entity: *entity, revision: revision.id().clone() }
                }
                Write::DeclareRunning { revision, .. } => {
                    Fact::Pointed { entity: entities.next()?, revision: revision.id().clone() }
                }
                Write::DeclareEntity { .. } => {
                    entities.next();
                    return None;
                }
                Write::SetSetting { name, value } => Fact::Set { name: name.clone(), value: value.clone() },
                Write::ClaimLease { .. } => Fact::Claimed(receipt.lease.clone()?),
                _ => return None,
            })
        });
        let promised = commit.outbox.iter().filter_map(|(_, payload)| {
            Some(Fact::Promised { event: payload.get("id")?.as_str()?.to_owned(), payload: payload.to_string() })
        });
        let facts: Vec<Fact> = of_writes.chain(promised).collect();
        let (at, lease) = (commit.at, commit.lease.clone());
        let entry = |fact| Entry { commit: number, at, lease: lease.clone(), fact };
        entries.1.extend(facts.into_iter().map(entry));
    }

    /// All entries so far.
    pub fn entries(&self) -> Vec<Entry> {
        self.lock().1.clone()
    }

    /// The entries from the `from`-th on.
    pub fn since(&self, from: usize) -> Vec<Entry> {
        self.lock().1.get(from..).unwrap_or_default().to_vec()
    }
}
