//! What durations are measured of.

use std::fmt;

/// An operation of an agent whose calls, errors, durations and costs are rolled up by the hour.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// A whole task.
    Task,
    /// One call to a model.
    Llm,
    /// One call of a tool.
    Tool(String),
    /// A part of a task that another agent saw to. It is waited for, and not rolled up by the hour.
    Agent(String),
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Task => f.write_str("task"),
            Self::Llm => f.write_str("llm"),
            Self::Tool(name) => write!(f, "tool:{name}"),
            Self::Agent(name) => write!(f, "agent:{name}"),
        }
    }
}

impl Operation {
    /// Reads what [`Display`](fmt::Display) writes.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "task" => Some(Self::Task),
            "llm" => Some(Self::Llm),
            _ => {
                let tool = text.strip_prefix("tool:").map(|name| Self::Tool(name.to_owned()));
                tool.or_else(|| text.strip_prefix("agent:").map(|name| Self::Agent(name.to_owned())))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_round_trip() {
        let (tool, agent) = (Operation::Tool("a:b".into()), Operation::Agent("tool:c".into()));
        for operation in [Operation::Task, Operation::Llm, tool, agent] {
            assert_eq!(Operation::parse(&operation.to_string()), Some(operation));
        }
        assert_eq!(Operation::parse("other"), None);
    }
}
