//! What the rules of detection look at, loaded complete before any of them runs.

use std::collections::BTreeMap;

use uplift_model::event::Outcome;
use uplift_model::fingerprint::ErrorTemplate;
use uplift_model::operation::Operation;
use uplift_model::opportunity::{EventRef, Finding};
use uplift_model::rollup::OperationDelta;
use uplift_model::{EntityKey, Hour, Time};

/// One tool call of a task.
#[derive(Debug, Clone, PartialEq)]
pub struct CallSample {
    /// The tool.
    pub tool: String,
    /// Whether the call broke or failed.
    pub failed: bool,
    /// A hash of tool and arguments, where the arguments are known: equal calls have equal hashes.
    pub call_hash: Option<i64>,
    /// The event that reports it.
    pub event: EventRef,
}

/// A call, or a part that another agent saw to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What it was: a model call, a tool, another agent.
    pub operation: Operation,
    /// When it began.
    pub start: Time,
    /// When it ended.
    pub end: Time,
}

/// When a task ran, and its steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskTimes {
    /// When it began.
    pub start: Time,
    /// When it ended.
    pub end: Time,
    /// Its steps whose duration is known, in any order.
    pub steps: Vec<Step>,
}

/// One task of a window.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskSample {
    /// The trace it belongs to.
    pub trace_key: String,
    /// Its id.
    pub task_id: String,
    /// How it ended, where known.
    pub outcome: Option<Outcome>,
    /// When it ended, event time.
    pub ended_at: Option<Time>,
    /// How long it took, milliseconds, where known.
    pub duration_ms: Option<f64>,
    /// Tokens read and written.
    pub tokens: i64,
    /// Cost, US dollars.
    pub cost_usd: f64,
    /// Error events.
    pub errors: i64,
    /// The group within which tasks are compared, such as its class of work; empty where there is one group.
    pub stratum: String,
    /// Its tool calls in the order of time.
    pub calls: Vec<CallSample>,
    /// What it spent its time with, where all its events bear their senders' times.
    pub times: Option<TaskTimes>,
}

/// The latest tasks of one entity.
#[derive(Debug, Clone, PartialEq)]
pub struct EntityWindow {
    /// Whose tasks they are.
    pub entity: EntityKey,
    /// Its name.
    pub entity_name: String,
    /// The latest event time of the entity.
    pub as_of: Time,
    /// Where the window starts, event time.
    pub start: Time,
    /// Since when its tasks have all run the same configuration; none while some of them run another on trial.
    pub alike_since: Option<Time>,
    /// The tasks, the oldest first.
    pub tasks: Vec<TaskSample>,
    /// Tools its revision gives it.
    pub declared_tools: Vec<String>,
    /// Contexts its revision gives it.
    pub declared_contexts: Vec<String>,
    /// Calls in the window, by tool.
    pub tool_calls: BTreeMap<String, i64>,
    /// Reads in the window, by context.
    pub context_reads: BTreeMap<String, i64>,
}

/// A recurring error that a rule in the database marked.
#[derive(Debug, Clone, PartialEq)]
pub struct ErrorMark {
    /// The opportunity that the mark opened.
    pub opportunity_id: i64,
    /// Whose error it is.
    pub entity: EntityKey,
    /// Its name.
    pub entity_name: String,
    /// The group of errors.
    pub template: ErrorTemplate,
    /// How often it occurred, by hour: all hours on record, ascending.
    pub hours: Vec<(Hour, i64)>,
    /// How often it occurred in all.
    pub total: i64,
    /// Tasks of the entity in the span of [`hours`](Self::hours).
    pub tasks_total: i64,
    /// Those of them with the error.
    pub tasks_affected: i64,
    /// Some of the events.
    pub events: Vec<EventRef>,
    /// The latest of them, event time.
    pub last_seen_at: Time,
}

/// A slower operation that a rule in the database marked.
#[derive(Debug, Clone, PartialEq)]
pub struct OperationMark {
    /// The opportunity that the mark opened.
    pub opportunity_id: i64,
    /// Whose operation it is.
    pub entity: EntityKey,
    /// Its name.
    pub entity_name: String,
    /// The operation.
    pub operation: Operation,
    /// Its sums by hour, ascending: at least the hours from `marked_hour - 191` to `marked_hour + 23` that have any.
    pub hours: Vec<(Hour, OperationDelta)>,
    /// The hour whose change set the mark.
    pub marked_hour: Hour,
    /// Tasks of the entity in the span of [`hours`](Self::hours).
    pub tasks_total: i64,
    /// Some of the slow calls.
    pub events: Vec<EventRef>,
    /// The latest of them, event time.
    pub last_seen_at: Time,
}

/// What became of a mark.
#[derive(Debug, Clone, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "one is made at a time and taken apart at once")]
pub enum Judgement {
    /// It holds: this is what was found.
    Confirmed(Finding),
    /// It does not hold.
    Withdrawn {
        /// Why not, in a sentence for people.
        reason: String,
    },
}

/// A decided improvement: kept, or taken back. Inconclusive endings are none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The entity that was changed.
    pub entity: EntityKey,
    /// Its name.
    pub entity_name: String,
    /// When it was decided, event time.
    pub decided_at: Time,
    /// Whether it was taken back because it did harm.
    pub rolled_back_for_harm: bool,
}
