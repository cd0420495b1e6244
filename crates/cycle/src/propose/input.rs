//! What proposers look at, loaded complete before any of them runs.

use std::collections::BTreeMap;

use uplift_model::Time;
use uplift_model::edit::Edit;
use uplift_model::history::{HistoryOutcome, TrackRecord};
use uplift_model::opportunity::{Finding, Opportunity};
use uplift_model::revision::Revision;

/// The JSON type of a field, without its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum JsonType {
    /// `null`.
    Null,
    /// `true` or `false`.
    Boolean,
    /// A number.
    Number,
    /// A text.
    String,
    /// A list.
    Array,
    /// An object.
    Object,
}

impl JsonType {
    /// The name that guards use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean => "boolean",
            Self::Number => "number",
            Self::String => "string",
            Self::Array => "array",
            Self::Object => "object",
        }
    }
}

/// A field of arguments or of a result: never its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Its type.
    pub json_type: JsonType,
    /// Whether it is `null`, or a text, list or object with nothing in it.
    pub empty: bool,
}

/// The fields of a JSON object, by name. Names are as reported: untrusted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shape(pub BTreeMap<String, Field>);

impl Shape {
    /// Whether a field is there and not empty.
    pub fn has(&self, field: &str) -> bool {
        self.0.get(field).is_some_and(|field| !field.empty)
    }
}

/// One tool call of a task.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Call {
    /// The tool. Untrusted.
    pub tool: String,
    /// Whether the call broke or failed.
    pub failed: bool,
    /// The kind of error, where it broke. Untrusted.
    pub error_type: Option<String>,
    /// A status such as 503 that its message names, where it broke.
    pub status: Option<u16>,
    /// Equal for equal calls, where the arguments are known.
    pub call_hash: Option<i64>,
    /// How long it took, milliseconds, where known.
    pub duration_ms: Option<f64>,
    /// The form of its arguments, where known.
    pub arguments: Option<Shape>,
    /// The form of its result, where known.
    pub result: Option<Shape>,
}

/// One task.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Task {
    /// Whether it succeeded, where known.
    pub succeeded: Option<bool>,
    /// Its tool calls in the order of time.
    pub calls: Vec<Call>,
    /// The contexts it read. Untrusted.
    pub contexts: Vec<String>,
    /// Tokens written by each of its model calls, where known.
    pub written: Vec<i64>,
    /// Kinds of errors outside of tool calls. Untrusted.
    pub errors: Vec<String>,
}

/// Another agent of the same environment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Peer {
    /// Its latest tasks.
    pub tasks: Vec<Task>,
}

/// Edits that were tried on this entity before.
#[derive(Debug, Clone, PartialEq)]
pub struct Tried {
    /// The edits.
    pub edits: Vec<Edit>,
    /// What became of them.
    pub ending: HistoryOutcome,
    /// When that was decided.
    pub ended_at: Time,
}

/// Everything that proposers look at.
#[derive(Debug, Clone, PartialEq)]
pub struct Input {
    /// The engine's time.
    pub now: Time,
    /// What is to be answered.
    pub opportunity: Opportunity,
    /// Other findings about the same entity that are open: what a wish without evidence of its own may rest on.
    pub related: Vec<Finding>,
    /// What edits are applied to; nothing is proposed without it.
    pub base: Option<Revision>,
    /// The entity's latest tasks on this base, the oldest first.
    pub tasks: Vec<Task>,
    /// Other agents of its environment.
    pub peers: Vec<Peer>,
    /// What became of earlier proposals, everywhere.
    pub track_records: Vec<TrackRecord>,
    /// What was tried on this entity before.
    pub tried: Vec<Tried>,
}
