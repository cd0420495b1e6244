//! Where an event stands in the tree of its trace: known in parts, in any order, and settled by the store.
//!
//! A span arrives with the id of its parent and nothing else of the tree. The task it counts for is that of the nearest
//! agent above it, and so are the entity and the tokens it counts for, unless it names its agent itself.

use serde::{Deserialize, Serialize};

/// What a span is to the tasks of its trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpanRole {
    /// An agent at work: a task of its own, whose id is the span's.
    Agent,
    /// A call, an error, or whatever else counts for the task of an agent above it.
    Work,
    /// None of these (a web request, a chain, a database query): it is kept because others hang from it, and counts for
    /// nothing, unless it is the root of a trace without any agent: then it stands for the task.
    Plain,
}

impl SpanRole {
    /// All of them, in the order of their codes.
    pub const ALL: [Self; 3] = [Self::Agent, Self::Work, Self::Plain];

    /// The number used in narrow tables: the place in [`ALL`](Self::ALL).
    pub const fn code(self) -> i64 {
        match self {
            Self::Agent => 0,
            Self::Work => 1,
            Self::Plain => 2,
        }
    }

    /// The role a [`code`](Self::code) stands for.
    pub fn from_code(code: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.code() == code)
    }
}

/// Where an event stands in the tree of its trace. The event's id is the span's, its `trace_id` the trace's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpanLink {
    /// The span above; none for the root of the trace.
    pub parent: Option<String>,
    /// What it is to the tasks of its trace.
    pub role: SpanRole,
    /// Whether the span names the entity the event is about. If not, the event's entity only stands in (it is the
    /// agent named as the service) until the agent above is known.
    pub names_entity: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_and_codes_are_inverse() {
        for role in SpanRole::ALL {
            assert_eq!(SpanRole::from_code(role.code()), Some(role));
        }
        assert_eq!(SpanRole::from_code(3), None);
    }
}
