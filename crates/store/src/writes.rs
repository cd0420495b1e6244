//! Writes: two.

use async_trait::async_trait;
use serde_json::Value;
use uplift_model::Time;
use uplift_model::alert::AlertFinding;
use uplift_model::entity::{EntityKey, EntityName, EntityState};
use uplift_model::event::PreparedEvent;
use uplift_model::opportunity::{Finding, OpportunityKind, OpportunityStatus};
use uplift_model::policy::{DetectionPolicy, ImprovementConfig};
use uplift_model::process::Lease;
use uplift_model::relationship::Relationship;
use uplift_model::review::{Review, ReviewSchedule};
use uplift_model::revision::Revision;

use crate::error::StoreResult;

/// The two writes. An `Ok` from either means durable.
#[async_trait]
pub trait Writes {
    /// Takes in events: stores them, folds tasks and rollups, moves review counters, fires the rules; all of it or
    /// nothing. Events already known change nothing.
    ///
    /// # Errors
    /// When nothing of the batch was stored. Single events that cannot be taken are in the receipt instead.
    async fn commit_intake(&self, batch: IntakeBatch) -> StoreResult<IntakeReceipt>;

    /// Writes what a step decided; all of it or nothing.
    ///
    /// # Errors
    /// When a version or lease has moved on, a rule would be broken, or the engine fails.
    async fn commit_step(&self, commit: StepCommit) -> StoreResult<StepReceipt>;
}

/// Events to take in.
#[derive(Debug, Clone, PartialEq)]
pub struct IntakeBatch {
    /// The events, in the sender's order.
    pub events: Vec<PreparedEvent>,
    /// When they arrived.
    pub received_at: Time,
    /// Rows of `event_inbox` that these events came from, one an event, or none at all: deleted with the commit; those
    /// of refused events move to `event_inbox_rejected`.
    pub inbox: Vec<i64>,
    /// Unknown agents and tools register themselves.
    pub auto_register: bool,
    /// The settings of entities that register themselves.
    pub defaults: ImprovementConfig,
    /// When agents without a schedule of their own are reviewed.
    pub review: ReviewSchedule,
}

/// What became of a batch.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct IntakeReceipt {
    /// Stored now.
    pub accepted: u64,
    /// Stored before; nothing changed.
    pub duplicates: u64,
    /// Not taken, by place in the batch.
    pub refused: Vec<Refusal>,
    /// Whom the new events were about.
    pub touched: Vec<EntityKey>,
}

/// An event that was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Its place in the batch, from 0.
    pub index: usize,
    /// Why.
    pub reason: RefusalReason,
}

/// Why the store does not take an event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RefusalReason {
    /// Another event has the same identity.
    #[error("id `{id}` already stands for another event of trace `{trace_key}`: give this one an id of its own")]
    Conflict {
        /// The sender's id.
        id: String,
        /// The trace key.
        trace_key: String,
    },
    /// It names an entity by an id that does not exist.
    #[error("there is no {entity}: use its name, or declare it first")]
    UnknownEntity {
        /// As given.
        entity: String,
    },
    /// It names an unknown entity, and entities do not register themselves here.
    #[error("{entity} is not known and auto_register is off: declare it first")]
    NotRegistered {
        /// As given.
        entity: String,
    },
}

/// What a step decided.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StepCommit {
    /// The engine's time of the step.
    pub at: Time,
    /// The lease under which it was worked out, if one is needed.
    pub lease: Option<Lease>,
    /// Entities as they were when the input was read: (entity, version).
    pub expected_versions: Vec<(EntityKey, i64)>,
    /// What changes, in order.
    pub writes: Vec<Write>,
    /// Actions to carry out once this is committed: (kind, payload).
    pub outbox: Vec<(String, Value)>,
}

/// What came of a commit.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StepReceipt {
    /// Keys of entities that were declared, in order.
    pub entities: Vec<EntityKey>,
    /// Opportunities that were opened.
    pub opened: Vec<i64>,
}

/// One change. New nouns add variants; no variant is a general "run this SQL".
#[derive(Debug, Clone, PartialEq)]
pub enum Write {
    /// Declares an entity; does nothing where it exists.
    DeclareEntity {
        /// Its name.
        name: EntityName,
        /// Its settings.
        config: ImprovementConfig,
    },
    /// Moves an entity to a state.
    SetEntityState {
        /// The entity.
        entity: EntityKey,
        /// The state.
        state: EntityState,
    },
    /// Replaces an entity's own settings.
    SetEntityConfig {
        /// The entity.
        entity: EntityKey,
        /// The settings.
        config: ImprovementConfig,
    },
    /// Declares or learns a tie; a learnt one never replaces a declared one.
    PutRelationship(Relationship),
    /// Stores a revision and makes it the one the entity runs.
    PointRevision {
        /// The entity.
        entity: EntityKey,
        /// The revision.
        revision: Box<Revision>,
    },
    /// Opens an opportunity, or brings the open one of the same key up to date; one that was withdrawn is opened
    /// again. Not opened: what a person dismissed after `quiet_since`.
    PutFinding {
        /// What was found.
        finding: Box<Finding>,
        /// Dismissals since then are respected.
        quiet_since: Option<Time>,
    },
    /// Confirms, with evidence, what a rule marked.
    ConfirmOpportunity {
        /// The opportunity.
        id: i64,
        /// What was found.
        finding: Box<Finding>,
    },
    /// Withdraws what a rule marked and no evidence bears out.
    WithdrawOpportunity {
        /// The opportunity.
        id: i64,
        /// Why.
        reason: String,
    },
    /// Withdraws the pending opportunities of an entity that the rolling watch opened and no longer finds.
    WithdrawUnfound {
        /// The entity.
        entity: EntityKey,
        /// The kinds that were looked for.
        kinds: Vec<OpportunityKind>,
        /// What was found: (kind, fingerprint).
        found: Vec<(OpportunityKind, String)>,
    },
    /// Closes an opportunity: a person dismissed it, or it is solved.
    CloseOpportunity {
        /// The opportunity.
        id: i64,
        /// `completed` or `dismissed`.
        status: OpportunityStatus,
        /// Why.
        reason: String,
    },
    /// Records a review and starts its entity's counter anew.
    RecordReview(Review),
    /// Raises an alert, or brings the active one of the same key up to date.
    RaiseAlert(AlertFinding),
    /// Resolves every active alert that is not among these.
    ResolveAlertsExcept(Vec<AlertFinding>),
    /// Copies the thresholds of the rules in the database.
    SetDetection(DetectionPolicy),
    /// Stores a setting.
    SetSetting {
        /// Its name.
        name: String,
        /// Its value.
        value: Value,
    },
    /// Moves a row of `event_inbox` that cannot be taken to `event_inbox_rejected`.
    RejectInbox {
        /// The row.
        seq: i64,
        /// Why.
        reason: String,
    },
    /// Moves the engine's clock on; it never goes back.
    Tick,
}
