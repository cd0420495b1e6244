//! What reads return, beyond the nouns of `model`; and by what they choose.

mod access;
mod attention;
mod counts;
mod filters;
mod nodes;
mod requests;

use serde::{Deserialize, Serialize};
use uplift_model::alert::HealthStatus;
use uplift_model::entity::{EntityKey, EntityState};
use uplift_model::event::{Clock, EventKind, Exposure, Outcome, Source};
use uplift_model::fingerprint::ErrorTemplate;
use uplift_model::operation::Operation;
use uplift_model::opportunity::{EventRef, Opportunity};
use uplift_model::process::ProcessInstance;
use uplift_model::revision::RevisionId;
use uplift_model::rollup::OperationDelta;
use uplift_model::trial::{TrialRecord, UnitRecord};
use uplift_model::{Hour, Time};

pub use self::access::AuditFilter;
pub use self::attention::{
    ACKNOWLEDGED, DayDecisions, DayTasks, DeliveryCounts, DeliveryFilter, EntityAnalyticsRow, NewsKind, NewsRow,
    OPENED, RESOLVED,
};
pub use self::counts::{Counts, TaskCounts};
pub use self::filters::{
    ClaimTerms, EntityFilter, EntitySelector, EventFilter, ImprovementFilter, OpportunityFilter, TaskFilter,
    TrialFilter,
};
pub use self::nodes::{LeaseRow, NodeRow};
pub use self::requests::RequestFilter;

/// A revision and the moment from which on it was run, or at which it was first seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevisionSince {
    /// The revision.
    pub revision: RevisionId,
    /// The moment.
    pub since: Time,
}

/// What resolvers serve of one entity.
#[derive(Debug, Clone, PartialEq)]
pub struct ServedRow {
    /// The entity.
    pub entity: EntityKey,
    /// Its environment.
    pub environment: String,
    /// Its name.
    pub name: String,
    /// Where it stands in its life.
    pub state: EntityState,
    /// The revision it runs.
    pub revision: Option<RevisionId>,
    /// That revision's configuration, as JSON.
    pub configuration: Option<String>,
    /// The latest configuration that its code brought along.
    pub defaults: Option<RevisionId>,
    /// The trial that runs on it, with the configuration of its other arm: (trial, control, candidate), the last two as
    /// JSON.
    pub trial: Option<(Box<TrialRecord>, String, String)>,
}

/// Units of a trial that changed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct UnitBatch {
    /// The units, whole.
    pub units: Vec<UnitRecord>,
    /// The cursor after them.
    pub cursor: i64,
    /// Whether there are more.
    pub more: bool,
}

/// A process instance with the steps it took.
#[derive(Debug, Clone, PartialEq)]
pub struct ProcessRow {
    /// The instance.
    pub instance: ProcessInstance,
    /// When it was started.
    pub created_at: Time,
    /// When it ended.
    pub ended_at: Option<Time>,
    /// Its steps, the earliest first: (when, from, to, note).
    pub steps: Vec<(Time, String, String, Option<String>)>,
}

/// An action that waits to be carried out.
#[derive(Debug, Clone, PartialEq)]
pub struct OutboxRow {
    /// Its number.
    pub id: i64,
    /// What kind of action.
    pub kind: String,
    /// What it needs.
    pub payload: serde_json::Value,
    /// When it was decided.
    pub created_at: Time,
    /// How often it was tried in vain.
    pub attempts: i64,
}

/// An event as read back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventRecord {
    /// The first half of its identity.
    pub trace_key: String,
    /// The sender's id.
    pub id: String,
    /// When.
    pub ts: Time,
    /// Where the time comes from.
    pub clock: Clock,
    /// Its kind.
    pub event_type: EventKind,
    /// The environment.
    pub environment: String,
    /// Whom it is about.
    #[serde(flatten)]
    pub entity: EntityKey,
    /// That entity's name.
    pub entity_name: String,
    /// The task.
    pub task_id: Option<String>,
    /// The task that gave rise to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_task_id: Option<String>,
    /// The session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// The span.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub span_id: Option<String>,
    /// The tool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    /// How it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<f64>,
    /// Tokens read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_in: Option<i64>,
    /// Tokens written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_out: Option<i64>,
    /// Tokens read from a cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_cached: Option<i64>,
    /// US dollars.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<f64>,
    /// Kind of error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_type: Option<String>,
    /// The group of errors it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// Text as sent: untrusted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// Attributes as sent: untrusted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attributes: Option<serde_json::Value>,
    /// Arms its unit was given.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub exposures: Vec<Exposure>,
    /// Who says so.
    pub source: Source,
}

/// A tool call within a task.
#[derive(Debug, Clone, PartialEq)]
pub struct CallRow {
    /// The tool.
    pub tool: String,
    /// Whether it ended in an error or a failure.
    pub failed: bool,
    /// Equal for equal calls, where arguments are known.
    pub call_hash: Option<i64>,
    /// The event.
    pub event: EventRef,
}

/// A task with what detectors look at.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskRow {
    /// The trace.
    pub trace_key: String,
    /// The task.
    pub task_id: String,
    /// Its outcome.
    pub outcome: Option<Outcome>,
    /// The last moment seen, once it has ended.
    pub ended_at: Option<Time>,
    /// Milliseconds.
    pub duration_ms: Option<f64>,
    /// Tokens read and written.
    pub tokens: i64,
    /// US dollars.
    pub cost_usd: f64,
    /// Error events.
    pub errors: i64,
    /// Attributes of the event that gave it its owner, as a JSON object.
    pub attributes: Option<String>,
    /// Tool calls, in time order.
    pub calls: Vec<CallRow>,
    /// When it ran, where all its events bear their senders' times and it is one of the latest 300: begin and end.
    pub ran: Option<(Time, Time)>,
    /// Calls, and parts that other agents saw to, that took time: what, begin and end, by their ends.
    pub steps: Vec<(Operation, Time, Time)>,
}

/// The latest tasks of an entity.
#[derive(Debug, Clone, PartialEq)]
pub struct EntityWindowRows {
    /// The latest event of the entity; none where there was no event.
    pub as_of: Option<Time>,
    /// Ended tasks, oldest first.
    pub tasks: Vec<TaskRow>,
    /// Contexts read in these tasks, with counts.
    pub context_reads: Vec<(String, i64)>,
}

/// An error group of one entity.
#[derive(Debug, Clone, PartialEq)]
pub struct ErrorHistory {
    /// What its members share.
    pub template: ErrorTemplate,
    /// Errors by hour, ascending.
    pub hours: Vec<(Hour, i64)>,
    /// Tasks of the entity in these hours.
    pub tasks_total: i64,
    /// Those of them with this error.
    pub tasks_affected: i64,
    /// Some of the events, latest first.
    pub events: Vec<EventRef>,
    /// The latest of them.
    pub last_seen_at: Option<Time>,
}

/// An operation of one entity by the hour.
#[derive(Debug, Clone, PartialEq)]
pub struct OperationHistory {
    /// Sums by hour, ascending.
    pub hours: Vec<(Hour, OperationDelta)>,
    /// Some of the slowest events of the last 24 of these hours.
    pub events: Vec<EventRef>,
}

/// What a rule in the database marked, and what it is about.
#[derive(Debug, Clone, PartialEq)]
pub struct Mark {
    /// The opportunity.
    pub opportunity: Opportunity,
    /// The hour whose change crossed the threshold.
    pub marked_hour: Hour,
}

/// A row of `event_inbox`: written by programs other than Uplift.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboxRow {
    /// Its number.
    pub seq: i64,
    /// An event as JSON, in the wire format.
    pub event: String,
}

/// What the database takes up, and what retention has left of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageRow {
    /// Size of the database file, bytes. It never shrinks by itself: room that became free is used again.
    pub file_bytes: u64,
    /// What is in use of it, bytes.
    pub used_bytes: u64,
    /// Size of the write-ahead log, bytes.
    pub wal_bytes: u64,
    /// The hour of arrival from which on raw events are on record; none where there are none. Of traces that went on
    /// for longer, older ones are, too.
    pub events_since: Option<Hour>,
    /// The hour of arrival from which on tasks are on record whose raw events are gone; none where there are none.
    pub tasks_since: Option<Hour>,
    /// Raw events that retention has deleted so far.
    pub events_deleted: u64,
    /// Texts and attributes that it has deleted so far.
    pub texts_deleted: u64,
    /// Tasks that it has deleted so far.
    pub tasks_deleted: u64,
    /// When it last deleted anything.
    pub last_deleted_at: Option<Time>,
}

/// A row of the view `improvement_analytics`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AnalyticsRow {
    /// The type of improvement.
    pub improvement_type: String,
    /// Decided ones.
    pub total: i64,
    /// Kept.
    pub kept: i64,
    /// Taken back for harm.
    pub rolled_back: i64,
    /// Ended without an answer.
    pub inconclusive: i64,
    /// Share kept of those decided either way, from 0 to 1.
    pub success_rate: Option<f64>,
    /// Mean effectiveness of the kept ones.
    pub mean_effectiveness: Option<f64>,
}

/// A row of `improvement_history`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HistoryRow {
    /// The improvement.
    pub improvement_id: i64,
    /// What it changed.
    #[serde(flatten)]
    pub entity: EntityKey,
    /// That entity's name.
    pub entity_name: String,
    /// Its type.
    pub improvement_type: String,
    /// How it ended: `kept`, `rolled_back`, `inconclusive`, `rejected` or `cancelled`.
    pub outcome: String,
    /// Why, in words.
    pub reason: Option<String>,
    /// When its trial began.
    pub started_at: Option<Time>,
    /// When it was decided.
    pub decided_at: Time,
    /// Measured before, as JSON.
    pub metrics_before: Option<serde_json::Value>,
    /// Measured after, as JSON.
    pub metrics_after: Option<serde_json::Value>,
    /// How much better, from -1 to 1.
    pub effectiveness: Option<f64>,
    /// Lower end of its interval.
    pub effectiveness_low: Option<f64>,
    /// Upper end of its interval.
    pub effectiveness_high: Option<f64>,
    /// What a rollback goes (or went) back to.
    pub rollback_revision: Option<RevisionId>,
    /// A report for people, in Markdown.
    pub report: Option<String>,
    /// The decision with everything behind it, as JSON.
    pub verdict: Option<serde_json::Value>,
}

/// What a decided improvement did, without what is told of it.
#[derive(Debug, Clone, PartialEq)]
pub struct EffectRow {
    /// How it ended, as in [`HistoryRow`].
    pub outcome: String,
    /// How much better with its interval, from -1 to 1: estimate, low, high. None where it was not measured.
    pub effectiveness: Option<(f64, f64, f64)>,
}

/// A row of the view `self_improvement_status`: one entity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EntityStatusRow {
    /// The entity.
    #[serde(flatten)]
    pub entity: EntityKey,
    /// Its name.
    pub entity_name: String,
    /// Its environment.
    pub environment: String,
    /// Whether it may be improved by itself.
    pub auto_improve_enabled: bool,
    /// Open opportunities.
    pub open_opportunities: i64,
    /// Improvements that occupy it.
    pub active_improvements: i64,
    /// Kept.
    pub kept: i64,
    /// Taken back for harm.
    pub rolled_back: i64,
    /// The last decision.
    pub last_decided_at: Option<Time>,
    /// Tasks since its last review.
    pub tasks_since_review: i64,
    /// Why its review is due, if it is.
    pub review_due: Option<String>,
}

/// The row of the view `self_improvement_metrics`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricsRow {
    /// Decided improvements.
    pub decided: i64,
    /// Kept.
    pub kept: i64,
    /// Taken back for harm.
    pub rolled_back: i64,
    /// Ended without an answer.
    pub inconclusive: i64,
    /// Taken back of those decided either way, lately by the engine's clock (`engine.rollback_rate_days`), from 0 to 1.
    pub rollback_rate: Option<f64>,
    /// Mean effectiveness of the kept ones.
    pub mean_effectiveness: Option<f64>,
    /// Opportunities not yet acted on.
    pub opportunities_pending: i64,
    /// Alerts that hold.
    pub alerts_active: i64,
    /// Decided either way in the time that the rollback rate looks back.
    pub recent_decided: i64,
}

/// The row of the view `system_self_improvement_status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SystemStatusRow {
    /// In a word.
    pub health: HealthStatus,
    /// From 0 to 100.
    pub score: f64,
    /// The engine's clock when it last ticked.
    pub clock: Option<Time>,
    /// The numbers behind it.
    pub metrics: MetricsRow,
    /// Relative change of success, the last 24 hours against the week before, as the engine last measured it.
    pub success_change: Option<f64>,
    /// Relative change of durations in the same times; positive is slower.
    pub duration_change: Option<f64>,
}

/// An improvement's decision, for rollback rates.
#[derive(Debug, Clone, PartialEq)]
pub struct DecisionRow {
    /// What it changed.
    pub entity: EntityKey,
    /// That entity's name.
    pub entity_name: String,
    /// When.
    pub decided_at: Time,
    /// Whether it was taken back for harm.
    pub rolled_back_for_harm: bool,
    /// How much better, from -1 to 1.
    pub effectiveness: Option<f64>,
}

/// Sums of an entity's tasks over two stretches of event time, for alerts.
#[derive(Debug, Clone, PartialEq)]
pub struct EntityTrend {
    /// The entity.
    pub entity: EntityKey,
    /// Its name.
    pub entity_name: String,
    /// The last 24 hours up to its latest hour.
    pub recent: OperationDelta,
    /// The 7 days before.
    pub before: OperationDelta,
    /// Its latest hour with tasks.
    pub latest: Hour,
}

/// The count of an error group in one hour, for alerts.
#[derive(Debug, Clone, PartialEq)]
pub struct ErrorHour {
    /// The entity.
    pub entity: EntityKey,
    /// Its name.
    pub entity_name: String,
    /// The group.
    pub fingerprint: String,
    /// What its members share.
    pub template: String,
    /// The hour.
    pub hour: Hour,
    /// Errors in it.
    pub n: i64,
}
