//! Durable processes.

use serde::Serialize;
use uplift_model::Time;
use uplift_model::process::ProcessInstance;
use uplift_store::rows::ProcessRow;
use utoipa::ToSchema;

/// Which processes there are, and which of them run.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Processes {
    /// The registry.
    pub(crate) registered: Vec<Registered>,
    /// Instances that run, the one that is due next first.
    pub(crate) running: Vec<Instance>,
    /// When the next one is due.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(crate) next_due: Option<Time>,
}

/// A process as registered.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Registered {
    /// Its name.
    name: String,
    /// What it does.
    description: String,
    /// Instances that run.
    running: i64,
}

impl From<(String, String, i64)> for Registered {
    fn from((name, description, running): (String, String, i64)) -> Self {
        Self { name, description, running }
    }
}

/// An instance of a process.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Instance {
    /// Its number.
    id: i64,
    /// The registered process.
    name: String,
    /// What it is about, such as `improvement/12`.
    subject: String,
    /// The state it goes on from.
    state: String,
    /// When it is due; null once it has ended.
    #[schema(value_type = Option<String>, format = DateTime)]
    wake_at: Option<Time>,
    /// Failed attempts at the current step.
    attempts: i64,
    /// The last failure.
    last_error: Option<String>,
}

impl From<ProcessInstance> for Instance {
    fn from(instance: ProcessInstance) -> Self {
        Self {
            id: instance.id,
            name: instance.name,
            subject: instance.subject,
            state: instance.state,
            wake_at: instance.wake_at,
            attempts: instance.attempts,
            last_error: instance.last_error,
        }
    }
}

/// An instance with the steps it took.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Process {
    /// The instance.
    #[serde(flatten)]
    instance: Instance,
    /// When it was started.
    #[schema(value_type = String, format = DateTime)]
    created_at: Time,
    /// When it ended.
    #[schema(value_type = Option<String>, format = DateTime)]
    ended_at: Option<Time>,
    /// Its steps, the earliest first.
    steps: Vec<ProcessStep>,
}

/// A step of a process.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProcessStep {
    /// When.
    #[schema(value_type = String, format = DateTime)]
    at: Time,
    /// The state before.
    from: String,
    /// The state after.
    to: String,
    /// What happened.
    note: Option<String>,
}

impl From<ProcessRow> for Process {
    fn from(row: ProcessRow) -> Self {
        let steps = row.steps.into_iter().map(|(at, from, to, note)| ProcessStep { at, from, to, note });
        Self {
            instance: row.instance.into(),
            created_at: row.created_at,
            ended_at: row.ended_at,
            steps: steps.collect(),
        }
    }
}
