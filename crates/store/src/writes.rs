//! Writes: two.

pub mod access;
pub mod attention;
mod prune;
pub mod requests;

use async_trait::async_trait;
use serde_json::Value;
use uplift_model::Time;
use uplift_model::access::Bound;
use uplift_model::check::Check;
use uplift_model::entity::{EntityKey, EntityName, EntityState};
use uplift_model::event::PreparedEvent;
use uplift_model::history::HistoryEntry;
use uplift_model::improvement::{ImprovementStatus, Proposal};
use uplift_model::opportunity::{Finding, OpportunityKind, OpportunityStatus};
use uplift_model::policy::{DetectionPolicy, ImprovementConfig};
use uplift_model::preflight::Preflight;
use uplift_model::process::Lease;
use uplift_model::relationship::Relationship;
use uplift_model::review::{Review, ReviewSchedule};
use uplift_model::revision::{Revision, RevisionId};
use uplift_model::trial::{ShareStage, Trial};
use uplift_model::verdict::Verdict;

use self::access::AccessWrite;
use self::attention::{AlertWrite, HealthWrite, NotificationWrite};
pub use self::prune::{Prune, Pruned};
use self::requests::RequestWrite;
use crate::error::StoreResult;
use crate::rows::NodeRow;

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
    /// Traces that were quiet from this moment on are settled: spans that still wait for others are counted without
    /// them. A batch settles a bounded number of traces; the receipt says how many.
    pub settle_before: Option<Time>,
    /// Whom the sender stands for; nobody in particular where it is empty. Who stands for some begins and ends no tasks
    /// that others have begun or ended.
    pub stands_for: Vec<Bound>,
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
    /// Traces settled.
    pub settled: u64,
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
    /// It begins or ends a task of somebody for whom the sender does not stand.
    #[error(
        "task `{task}` was begun by another: an agent reports the beginning and the end of its own tasks, under ids of their own"
    )]
    OthersTask {
        /// The task.
        task: String,
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
    /// Improvements that were put on record, in order.
    pub improvements: Vec<i64>,
    /// Trials that were started, in order.
    pub trials: Vec<i64>,
    /// The lease that was claimed, if one was.
    pub lease: Option<Lease>,
    /// Of the leases claimed together, those that are held.
    pub leases: Vec<Lease>,
    /// Entities whose configuration as served may have changed: pointer, state, settings or trial.
    pub reconfigured: Vec<EntityKey>,
    /// What was deleted because it is old, where that was asked for.
    pub pruned: Option<Pruned>,
    /// Numbers of tokens, audit entries, targets and requests put on record, and of deliveries claimed, in order.
    pub recorded: Vec<i64>,
}

/// An improvement to put on record.
#[derive(Debug, Clone, PartialEq)]
pub struct NewImprovement {
    /// What it changes.
    pub entity: EntityKey,
    /// The opportunity it answers.
    pub opportunity_id: Option<i64>,
    /// What is proposed.
    pub proposal: Proposal,
    /// `proposed`, or `needs_proposal` where there are no edits.
    pub status: ImprovementStatus,
    /// When its `ImprovementProcess` is due for the first time; none where nothing can be done by itself.
    pub process_due: Option<Time>,
}

/// What changes of an improvement; `None` leaves it as it is.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ImprovementChange {
    /// How far it has come: one of the statuses that may follow.
    pub status: Option<ImprovementStatus>,
    /// What is proposed.
    pub proposal: Option<Box<Proposal>>,
    /// What the edits are applied to.
    pub base: Option<RevisionId>,
    /// What comes out.
    pub candidate: Option<RevisionId>,
    /// What validation found.
    pub checks: Option<Vec<Check>>,
    /// What the trial can be expected to see.
    pub preflight: Option<Preflight>,
    /// Who said yes.
    pub approved_by: Option<String>,
}

/// A trial to start.
#[derive(Debug, Clone, PartialEq)]
pub struct NewTrial {
    /// The improvement.
    pub improvement_id: i64,
    /// The entity.
    pub entity: EntityKey,
    /// What control runs; stored before.
    pub base: RevisionId,
    /// What the candidate arm runs; stored before.
    pub candidate: RevisionId,
    /// The declaration.
    pub trial: Trial,
}

/// The label in the evidence of a request that names the type of improvement that was asked for.
pub const ASKED_TYPE: &str = "improvement_type";

/// One change. New nouns add variants; no variant is a general "run this SQL".
#[derive(Debug, Clone, PartialEq)]
pub enum Write {
    /// Tokens, and the audit log.
    Access(AccessWrite),
    /// What agents ask for, and the order of work.
    Requests(RequestWrite),
    /// Declares an entity; does nothing where it exists.
    DeclareEntity {
        /// Its name.
        name: EntityName,
        /// Its settings.
        config: ImprovementConfig,
    },
    /// Declares an entity that runs a revision; refused as moved on where the name is taken.
    DeclareRunning {
        /// Its name.
        name: EntityName,
        /// Its settings.
        config: ImprovementConfig,
        /// The revision.
        revision: Box<Revision>,
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
    /// Stores a revision without making anybody run it.
    PutRevision(Box<Revision>),
    /// Notes a configuration that the code of an entity brought along as its defaults; known ones change nothing.
    NoteDefaults {
        /// The entity.
        entity: EntityKey,
        /// The configuration.
        revision: Box<Revision>,
    },
    /// Marks a pending opportunity as being worked on.
    ClaimOpportunity {
        /// The opportunity.
        id: i64,
    },
    /// Gives an opportunity back: pending again, not to be claimed before a moment. Does nothing where it was closed.
    ReturnOpportunity {
        /// The opportunity.
        id: i64,
        /// The moment.
        not_before: Time,
        /// Why.
        reason: String,
    },
    /// Opens a completed opportunity again, because the problem is back: pending, not before a moment. Does nothing where
    /// it is open, or where another one of its key is.
    ReopenOpportunity {
        /// The opportunity.
        id: i64,
        /// The moment.
        not_before: Time,
        /// Why.
        reason: String,
    },
    /// Puts an improvement on record and starts its process.
    PutImprovement(Box<NewImprovement>),
    /// Changes an improvement.
    ChangeImprovement {
        /// The improvement.
        id: i64,
        /// Its version when it was read.
        expected_version: i64,
        /// What changes.
        change: Box<ImprovementChange>,
    },
    /// Starts a trial; a running hold-back of the entity ends with it.
    StartTrial(Box<NewTrial>),
    /// Adds a stage to a running trial.
    AddStage {
        /// The trial.
        id: i64,
        /// The stage; later than all others.
        stage: ShareStage,
    },
    /// Saves what a look came to: state, cursor and boundary go together. Units whose changes were all taken in and that
    /// were last seen before `forget_before_us` are forgotten.
    SaveLook {
        /// The trial; must be running, and its cursor as it was read.
        id: i64,
        /// The cursor when it was read.
        expected_cursor: i64,
        /// The new cursor.
        cursor: i64,
        /// The boundary that was looked at, microseconds since the Unix epoch.
        looked_us: i64,
        /// The monitor's state.
        state: Value,
        /// What a full look said, where one was held.
        verdict: Option<Box<Verdict>>,
        /// A summary for charts, where one is due.
        summary: Option<Value>,
        /// Microseconds since the Unix epoch.
        forget_before_us: i64,
    },
    /// Ends a running trial and forgets its units.
    EndTrial {
        /// The trial.
        id: i64,
        /// How it ended, in a sentence.
        ending: String,
        /// The last verdict, where there is one.
        verdict: Option<Box<Verdict>>,
    },
    /// Writes an entry of the history.
    RecordHistory(Box<HistoryEntry>),
    /// Claims or renews a lease: refused while another holder's has not expired. The receipt has it.
    ClaimLease {
        /// What is leased.
        name: String,
        /// Who wants it.
        holder: String,
        /// How long, microseconds of the engine's clock from the commit's time.
        ttl_us: i64,
    },
    /// Claims those of these leases that nobody else holds, or renews them; the receipt tells which.
    ClaimLeases {
        /// What is leased.
        names: Vec<String>,
        /// Who claims.
        holder: String,
        /// How long they last, microseconds.
        ttl_us: i64,
    },
    /// Notes that a server is at work, and forgets those that have not been for a day.
    NoteNode(NodeRow),
    /// Gives a lease back, if it is held.
    ReleaseLease(Lease),
    /// Starts an instance of a registered process; does nothing where one runs for the subject.
    StartProcess {
        /// The registered process.
        name: String,
        /// What it is about, such as `improvement/12`.
        subject: String,
        /// Its first state.
        state: String,
        /// When it is due.
        wake_at: Time,
    },
    /// Takes a process instance from one state to the next (or the same) and notes the step where the state changes.
    StepProcess {
        /// The instance; must be in the state `from` and running.
        id: i64,
        /// The state it was read in.
        from: String,
        /// The state it goes on from.
        to: String,
        /// When it is due again; none ends it.
        wake_at: Option<Time>,
        /// What happened, in a sentence.
        note: Option<String>,
    },
    /// Notes that a step failed: attempts count up, and it is due again later.
    FailProcess {
        /// The instance.
        id: i64,
        /// What went wrong.
        error: String,
        /// When to try again.
        wake_at: Time,
    },
    /// Makes a running instance due no later than a moment; does nothing where none runs.
    WakeProcess {
        /// The registered process.
        name: String,
        /// What it is about; all instances of the process where it says nothing.
        subject: Option<String>,
        /// The moment.
        at: Time,
    },
    /// Marks an action of the outbox as carried out.
    FinishOutbox {
        /// Its number.
        id: i64,
    },
    /// Notes that an action of the outbox could not be carried out.
    FailOutbox {
        /// Its number.
        id: i64,
    },
    /// Records a review and starts its entity's counter anew.
    RecordReview(Review),
    /// What needs attention.
    Alerts(AlertWrite),
    /// Whom to tell, and messages on their way.
    Notifications(NotificationWrite),
    /// By what health is judged.
    Health(HealthWrite),
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
    /// Deletes what is old, in a small step; the receipt tells what, and whether there is more. Hourly sums, history,
    /// trials and what running trials rest on stay.
    Prune(Prune),
    /// Moves the engine's clock on; it never goes back.
    Tick,
}
