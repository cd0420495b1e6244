//! Scores that tasks are given.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A score of a task.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FeedbackBody {
    /// The task, or its trace.
    pub(crate) task_id: String,
    /// What is scored: the name of a declared metric, or any other. `feedback` where it is missing.
    #[serde(default)]
    pub(crate) name: Option<String>,
    /// Yes or no, or a number; may be missing where there is a comment.
    #[serde(default)]
    pub(crate) score: Option<Score>,
    /// Why, in words.
    #[serde(default)]
    pub(crate) comment: Option<String>,
    /// `environment` (a test, an evaluator), `human` or `self`. Where it is missing: `self` for the token of an agent
    /// whose task it is, else `environment`.
    #[serde(default)]
    pub(crate) source: Option<String>,
    /// Who judges, where that is an agent of its own; else whose task it is. Needed only where the task is not known yet.
    #[serde(default)]
    pub(crate) agent: Option<String>,
    /// The environment; that of the task where it is missing.
    #[serde(default)]
    pub(crate) environment: Option<String>,
    /// Sending feedback again under the same id changes nothing. Made where it is missing.
    #[serde(default)]
    pub(crate) id: Option<String>,
    /// When it was given, RFC 3339; now where it is missing.
    #[serde(default)]
    pub(crate) ts: Option<String>,
}

/// A score.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum Score {
    /// Yes or no.
    Boolean(bool),
    /// A number.
    Number(f64),
}

/// What became of a score. It is durable.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FeedbackReceipt {
    /// The event's id.
    pub(crate) id: String,
    /// The task.
    pub(crate) task_id: String,
    /// Whether the task is known already; feedback may come first.
    pub(crate) task_known: bool,
    /// What was scored.
    pub(crate) name: String,
    /// Who says so: `self`, `environment` or `human`.
    pub(crate) source: &'static str,
    /// Whether it had been stored before, under the same id.
    pub(crate) duplicate: bool,
    /// Whether trials count it: it is a score for a declared metric, from the source that the metric wants, in time.
    pub(crate) counts: bool,
    /// Why it does not count, where it does not.
    pub(crate) note: Option<String>,
}
