//! Reads: a small trait per noun.

mod attention;
mod detection;
mod requests;

use async_trait::async_trait;
use uplift_model::Time;
use uplift_model::access::{AuditRecord, Token};
use uplift_model::alert::Alert;
use uplift_model::entity::{Entity, EntityKey};
use uplift_model::history::TrackRecord;
use uplift_model::improvement::Improvement;
use uplift_model::opportunity::{Opportunity, OpportunityKind};
use uplift_model::process::ProcessInstance;
use uplift_model::relationship::Relationship;
use uplift_model::revision::{Configuration, RevisionId};
use uplift_model::task::Task;
use uplift_model::trial::{AssignmentUnit, TrialRecord, UnitRecord};

use crate::error::StoreResult;
use crate::notices::Notices;
use crate::page::{PageRequest, Paged};
use crate::rows::{
    AnalyticsRow, AuditFilter, ClaimTerms, Counts, EffectRow, EntityFilter, EntitySelector, EntityStatusRow,
    EventFilter, EventRecord, HistoryRow, ImprovementFilter, InboxRow, LeaseRow, MetricsRow, NodeRow,
    OpportunityFilter, OutboxRow, ProcessRow, RevisionSince, ServedRow, StorageRow, SystemStatusRow, TaskCounts,
    TaskFilter, TrialFilter, UnitBatch,
};
use crate::writes::Writes;

pub use attention::{NewsReads, TrendReads};
pub use detection::{DetectionReads, ReviewReads};
pub use requests::RequestReads;

/// Everything a store can do.
pub trait Store:
    EntityReads
    + EventReads
    + TaskReads
    + OpportunityReads
    + DetectionReads
    + ReviewReads
    + ImprovementReads
    + TrialReads
    + ProcessReads
    + Notices
    + SystemReads
    + NewsReads
    + TrendReads
    + AccessReads
    + RequestReads
    + Writes
    + Send
    + Sync
{
}

/// Entities, how they hang together, and their revisions.
#[async_trait]
pub trait EntityReads {
    /// Entities by type and id.
    ///
    /// # Errors
    /// On a cursor of another list, or when the engine fails.
    async fn entities(&self, filter: EntityFilter, page: PageRequest) -> StoreResult<Paged<Entity>>;

    /// One entity.
    ///
    /// # Errors
    /// When there is none, or its name is in several environments and none was given.
    async fn entity(&self, selector: EntitySelector) -> StoreResult<Entity>;

    /// Those of these entities that there are, in no order, each once.
    ///
    /// # Errors
    /// When the engine fails.
    async fn entities_of(&self, keys: Vec<EntityKey>) -> StoreResult<Vec<Entity>>;

    /// The ties from or to an entity; all ties where none is named.
    ///
    /// # Errors
    /// When the engine fails.
    async fn relationships(&self, entity: Option<EntityKey>) -> StoreResult<Vec<Relationship>>;

    /// A configuration by its address.
    ///
    /// # Errors
    /// When there is none.
    async fn revision(&self, id: RevisionId) -> StoreResult<Configuration>;

    /// Which revisions an entity ran, and since when: the latest first, at most `limit`.
    ///
    /// # Errors
    /// When the engine fails.
    async fn revision_trail(&self, entity: EntityKey, limit: u32) -> StoreResult<Vec<RevisionSince>>;

    /// The configurations that the code of an entity brought along, the latest first seen first.
    ///
    /// # Errors
    /// When the engine fails.
    async fn defaults(&self, entity: EntityKey) -> StoreResult<Vec<RevisionSince>>;

    /// What resolvers serve, entity by entity in the order of their keys: of the named ones, or page by page of all that
    /// run a revision. Consistent in itself: one read transaction.
    ///
    /// # Errors
    /// On a cursor of another list, or when the engine fails.
    async fn served(&self, entities: Option<Vec<EntityKey>>, page: PageRequest) -> StoreResult<Paged<ServedRow>>;
}

/// Events.
#[async_trait]
pub trait EventReads {
    /// Events, trace by trace, the latest trace first; those of a named task in time order; those of an error group
    /// entity by entity, the latest first.
    ///
    /// # Errors
    /// On a cursor of another list, or when the engine fails.
    async fn events(&self, filter: EventFilter, page: PageRequest) -> StoreResult<Paged<EventRecord>>;

    /// One event by its identity: in the only environment that has it, else in the default one.
    ///
    /// # Errors
    /// When there is none, or several environments have it and the default one has not.
    async fn event(&self, trace_key: String, id: String) -> StoreResult<EventRecord>;

    /// The oldest rows that other programs left in `event_inbox`.
    ///
    /// # Errors
    /// When the engine fails.
    async fn inbox(&self, limit: u32) -> StoreResult<Vec<InboxRow>>;
}

/// Tasks.
#[async_trait]
pub trait TaskReads {
    /// Tasks that somebody named, the latest trace first.
    ///
    /// # Errors
    /// On a cursor of another list, or when the engine fails.
    async fn tasks(&self, filter: TaskFilter, page: PageRequest) -> StoreResult<Paged<Task>>;

    /// One task by its id: in the only environment that has it, else in the default one.
    ///
    /// # Errors
    /// When there is none, or several environments have it and the default one has not.
    async fn task(&self, task_id: String) -> StoreResult<Task>;
}

/// Opportunities.
#[async_trait]
pub trait OpportunityReads {
    /// Opportunities, the open ones first, then by impact, confidence, how often they were seen, and number.
    ///
    /// # Errors
    /// On a cursor of another list, or when the engine fails.
    async fn opportunities(&self, filter: OpportunityFilter, page: PageRequest) -> StoreResult<Paged<Opportunity>>;

    /// One opportunity.
    ///
    /// # Errors
    /// When there is none.
    async fn opportunity(&self, id: i64) -> StoreResult<Opportunity>;

    /// Pending, confirmed opportunities that may be worked on at `now`: their entity is active, no open improvement
    /// occupies it, none of theirs waits for a proposal. By impact, confidence, occurrences and number.
    ///
    /// # Errors
    /// When the engine fails.
    async fn claimable(&self, now: Time, limit: u32) -> StoreResult<Vec<Opportunity>>;

    /// The first [`claimable`](Self::claimable) opportunity of each entity that wants something done by itself: its mode
    /// asks for more than reports, and it is sure enough. `usual` holds where an entity has no settings of its own.
    ///
    /// # Errors
    /// When the engine fails.
    async fn wanted(&self, now: Time, usual: ClaimTerms, limit: u32) -> StoreResult<Vec<Opportunity>>;

    /// The latest completed opportunity of a key, with the moment of its completion (its `updated_at`).
    ///
    /// # Errors
    /// When the engine fails.
    async fn completed(
        &self,
        entity: EntityKey,
        kind: OpportunityKind,
        fingerprint: String,
    ) -> StoreResult<Option<Opportunity>>;
}

/// Improvements and what came of them.
#[async_trait]
pub trait ImprovementReads {
    /// Improvements that occupy an entity.
    ///
    /// # Errors
    /// When the engine fails.
    async fn active_improvements(&self, page: PageRequest) -> StoreResult<Paged<Improvement>>;

    /// Improvements, the latest first.
    ///
    /// # Errors
    /// On a cursor of another list, or when the engine fails.
    async fn improvements(&self, filter: ImprovementFilter, page: PageRequest) -> StoreResult<Paged<Improvement>>;

    /// One improvement.
    ///
    /// # Errors
    /// When there is none.
    async fn improvement(&self, id: i64) -> StoreResult<Improvement>;

    /// Those of these improvements that there are, in no order, each once.
    ///
    /// # Errors
    /// When the engine fails.
    async fn improvements_of(&self, ids: Vec<i64>) -> StoreResult<Vec<Improvement>>;

    /// What became of an improvement, the earliest entry first.
    ///
    /// # Errors
    /// When the engine fails.
    async fn history_of(&self, improvement_id: i64) -> StoreResult<Vec<HistoryRow>>;

    /// What became of proposals, by kind of opportunity and proposer.
    ///
    /// # Errors
    /// When the engine fails.
    async fn track_records(&self) -> StoreResult<Vec<TrackRecord>>;

    /// The last change of an entity's configuration by an improvement: the end of its last trial, whatever the outcome.
    ///
    /// # Errors
    /// When the engine fails.
    async fn last_change(&self, entity: EntityKey) -> StoreResult<Option<Time>>;

    /// Decided improvements, the latest first.
    ///
    /// # Errors
    /// When the engine fails.
    async fn history(&self, entity: Option<EntityKey>, page: PageRequest) -> StoreResult<Paged<HistoryRow>>;

    /// What the decided improvements of an entity did, in no order.
    ///
    /// # Errors
    /// When the engine fails.
    async fn effects_of(&self, entity: EntityKey) -> StoreResult<Vec<EffectRow>>;

    /// The view `improvement_analytics`.
    ///
    /// # Errors
    /// When the engine fails.
    async fn analytics(&self) -> StoreResult<Vec<AnalyticsRow>>;

    /// The row of an entity in the view `self_improvement_status`.
    ///
    /// # Errors
    /// When there is no such entity.
    async fn entity_status(&self, entity: EntityKey) -> StoreResult<EntityStatusRow>;
}

/// Trials and what they rest on.
#[async_trait]
pub trait TrialReads {
    /// Trials, the latest first.
    ///
    /// # Errors
    /// On a cursor of another list, or when the engine fails.
    async fn trials(&self, filter: TrialFilter, page: PageRequest) -> StoreResult<Paged<TrialRecord>>;

    /// One trial.
    ///
    /// # Errors
    /// When there is none.
    async fn trial(&self, id: i64) -> StoreResult<TrialRecord>;

    /// The state that the monitor saved, if it has saved one.
    ///
    /// # Errors
    /// When there is no such trial.
    async fn trial_state(&self, id: i64) -> StoreResult<Option<serde_json::Value>>;

    /// Units that changed since `cursor`, whole, in the order of their changes; at most about `limit`.
    ///
    /// # Errors
    /// When the engine fails.
    async fn changed_units(&self, trial: i64, cursor: i64, limit: u32) -> StoreResult<UnitBatch>;

    /// Units of an entity whose tasks were first seen from `since` to before `until`, the latest at most `limit`, in the
    /// order of their start: the history that baselines rest on.
    ///
    /// # Errors
    /// When the engine fails.
    async fn past_units(
        &self,
        entity: EntityKey,
        unit: AssignmentUnit,
        since: Time,
        until: Time,
        limit: u32,
    ) -> StoreResult<Vec<UnitRecord>>;

    /// The summaries of a trial's looks, the earliest first: (microseconds since the Unix epoch, summary).
    ///
    /// # Errors
    /// When the engine fails.
    async fn looks(&self, trial: i64) -> StoreResult<Vec<(i64, serde_json::Value)>>;
}

/// Durable processes.
#[async_trait]
pub trait ProcessReads {
    /// Instances that are due, the longest due first.
    ///
    /// # Errors
    /// When the engine fails.
    async fn due_processes(&self, now: Time, limit: u32) -> StoreResult<Vec<ProcessInstance>>;

    /// When the next instance is due, if any runs.
    ///
    /// # Errors
    /// When the engine fails.
    async fn next_due(&self) -> StoreResult<Option<Time>>;

    /// Instances about a subject, with the steps they took, the latest instance first.
    ///
    /// # Errors
    /// When the engine fails.
    async fn processes_of(&self, subject: String) -> StoreResult<Vec<ProcessRow>>;

    /// The registry: (name, description, instances running).
    ///
    /// # Errors
    /// When the engine fails.
    async fn process_registry(&self) -> StoreResult<Vec<(String, String, i64)>>;

    /// Servers that are, or were lately, at work on this database, by name.
    ///
    /// # Errors
    /// When the engine fails.
    async fn nodes(&self) -> StoreResult<Vec<NodeRow>>;

    /// All leases that were ever claimed, by name.
    ///
    /// # Errors
    /// When the engine fails.
    async fn leases(&self) -> StoreResult<Vec<LeaseRow>>;

    /// Actions that wait to be carried out, the oldest first.
    ///
    /// # Errors
    /// When the engine fails.
    async fn outbox(&self, limit: u32) -> StoreResult<Vec<OutboxRow>>;
}

/// The system as a whole.
#[async_trait]
pub trait SystemReads {
    /// The number that every change of a pointer, a trial or a policy bumps.
    ///
    /// # Errors
    /// When the engine fails.
    async fn config_seq(&self) -> StoreResult<i64>;

    /// How much there is.
    ///
    /// # Errors
    /// When the engine fails.
    async fn counts(&self) -> StoreResult<Counts>;

    /// How much was done. Goes over all tasks: a fifth of a second for a million.
    ///
    /// # Errors
    /// When the engine fails.
    async fn task_counts(&self) -> StoreResult<TaskCounts>;

    /// What the database takes up, and what retention has left of it.
    ///
    /// # Errors
    /// When the engine fails.
    async fn storage(&self) -> StoreResult<StorageRow>;

    /// The view `self_improvement_metrics`.
    ///
    /// # Errors
    /// When the engine fails.
    async fn metrics(&self) -> StoreResult<MetricsRow>;

    /// The view `system_self_improvement_status`.
    ///
    /// # Errors
    /// When the engine fails.
    async fn system_status(&self) -> StoreResult<SystemStatusRow>;

    /// Alerts, the latest first.
    ///
    /// # Errors
    /// On a cursor of another list, or when the engine fails.
    async fn alerts(&self, active_only: bool, page: PageRequest) -> StoreResult<Paged<Alert>>;

    /// A setting as JSON, if it was ever written.
    ///
    /// # Errors
    /// When the engine fails.
    async fn setting(&self, name: String) -> StoreResult<Option<serde_json::Value>>;

    /// The names of the migrations that have run, in order.
    ///
    /// # Errors
    /// When the engine fails.
    async fn migrations(&self) -> StoreResult<Vec<String>>;
}

/// Tokens, and the audit log.
#[async_trait]
pub trait AccessReads {
    /// Tokens that are not revoked, by number; expired ones are among them.
    ///
    /// # Errors
    /// When the engine fails.
    async fn tokens_in_force(&self) -> StoreResult<Vec<Token>>;

    /// All tokens, the latest first.
    ///
    /// # Errors
    /// On a cursor of another list, or when the engine fails.
    async fn tokens(&self, page: PageRequest) -> StoreResult<Paged<Token>>;

    /// What was asked to be changed and by whom, the latest first.
    ///
    /// # Errors
    /// On a cursor of another list, or when the engine fails.
    async fn audit_log(&self, filter: AuditFilter, page: PageRequest) -> StoreResult<Paged<AuditRecord>>;
}
