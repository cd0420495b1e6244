//! What can be improved: agents, tools, contexts and processes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::policy::ImprovementConfig;
use crate::time::Time;

/// The environment of everything that names none.
pub const DEFAULT_ENVIRONMENT: &str = "default";

/// Longest accepted name of an entity, tool or environment, in bytes.
pub const MAX_NAME_BYTES: usize = 200;

/// The kinds of entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntityType {
    /// An LLM agent.
    Agent,
    /// Something agents call.
    Tool,
    /// A document agents are given.
    Context,
    /// A fixed sequence of steps.
    Process,
}

/// Where an entity stands in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntityState {
    /// In use; may be improved.
    #[default]
    Active,
    /// Switched off for now.
    Inactive,
    /// To be replaced; no new improvements.
    Deprecated,
    /// Out of use.
    Archived,
    /// Out of order.
    Failed,
}

/// A text that names none of a closed set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {expected}")]
pub struct UnknownName {
    /// The text as given, clipped.
    pub text: String,
    /// The names that would have been understood, in words.
    pub expected: &'static str,
}

impl UnknownName {
    /// Says that `text` is not one of `expected`.
    pub fn new(text: &str, expected: &'static str) -> Self {
        Self { text: text.chars().take(64).collect(), expected }
    }
}

impl EntityType {
    /// All of them, in the order of their codes.
    pub const ALL: [Self; 4] = [Self::Agent, Self::Tool, Self::Context, Self::Process];

    /// The name used on the wire, in paths and in SQL.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Tool => "tool",
            Self::Context => "context",
            Self::Process => "process",
        }
    }

    /// The number used in narrow tables.
    pub const fn code(self) -> i64 {
        match self {
            Self::Agent => 0,
            Self::Tool => 1,
            Self::Context => 2,
            Self::Process => 3,
        }
    }

    /// The kind a [`code`](Self::code) stands for.
    pub fn from_code(code: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }
}

impl fmt::Display for EntityType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for EntityType {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| UnknownName::new(text, "an entity type (agent, tool, context, process)"))
    }
}

impl EntityState {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Active, Self::Inactive, Self::Deprecated, Self::Archived, Self::Failed];

    /// The name used on the wire and in SQL.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Inactive => "inactive",
            Self::Deprecated => "deprecated",
            Self::Archived => "archived",
            Self::Failed => "failed",
        }
    }
}

impl FromStr for EntityState {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| UnknownName::new(text, "an entity state (active, inactive, deprecated, archived, failed)"))
    }
}

/// The key of an entity: ids count up per type, over all environments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EntityKey {
    /// Its kind.
    pub entity_type: EntityType,
    /// Its number within the kind, from 1.
    pub entity_id: i64,
}

impl EntityKey {
    /// A key from its parts.
    pub const fn new(entity_type: EntityType, entity_id: i64) -> Self {
        Self { entity_type, entity_id }
    }
}

impl fmt::Display for EntityKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.entity_type, self.entity_id)
    }
}

/// What events and people call an entity: unique per environment and type.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EntityName {
    /// The environment, [`DEFAULT_ENVIRONMENT`] where none is named.
    pub environment: String,
    /// Its kind.
    pub entity_type: EntityType,
    /// Its name.
    pub name: String,
}

/// Why a name cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing is left after trimming.
    #[error("a name must not be empty")]
    Empty,
    /// Longer than [`MAX_NAME_BYTES`].
    #[error("a name has at most {MAX_NAME_BYTES} bytes, this one has {bytes}")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// All digits: such path segments are ids.
    #[error("`{name}` is all digits, which would be read as an id: give it a letter")]
    AllDigits {
        /// The name.
        name: String,
    },
    /// A control character.
    #[error("a name must not contain control characters")]
    Control,
}

/// Checks that `name` can name an entity.
///
/// # Errors
/// When it is empty, too long, all digits, or holds control characters.
pub fn check_name(name: &str) -> Result<(), NameError> {
    if name.trim().is_empty() {
        Err(NameError::Empty)
    } else if name.len() > MAX_NAME_BYTES {
        Err(NameError::TooLong { bytes: name.len() })
    } else if name.bytes().all(|byte| byte.is_ascii_digit()) {
        Err(NameError::AllDigits { name: name.to_owned() })
    } else if name.chars().any(char::is_control) {
        Err(NameError::Control)
    } else {
        Ok(())
    }
}

/// An entity as stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entity {
    /// Its key.
    #[serde(flatten)]
    pub key: EntityKey,
    /// Its environment.
    pub environment: String,
    /// Its name.
    pub name: String,
    /// Where it stands in its life.
    pub state: EntityState,
    /// Its own settings, which override the engine's.
    pub improvement_config: ImprovementConfig,
    /// The revision it runs outside of trials, if one is known.
    pub revision: Option<String>,
    /// When it was first seen or declared.
    pub created_at: Time,
    /// The latest event time seen of it.
    pub last_seen_at: Option<Time>,
    /// Counts up with every change; writers name the version they expect.
    pub version: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_read_as_ids_are_refused() {
        assert_eq!(check_name("42"), Err(NameError::AllDigits { name: "42".into() }));
        assert_eq!(check_name("agent-42"), Ok(()));
        assert_eq!(check_name("  "), Err(NameError::Empty));
        assert_eq!(check_name("a\nb"), Err(NameError::Control));
        assert!(matches!(check_name(&"x".repeat(201)), Err(NameError::TooLong { bytes: 201 })));
    }

    #[test]
    fn codes_and_names_are_inverse() {
        for kind in EntityType::ALL {
            assert_eq!(EntityType::from_code(kind.code()), Some(kind));
            assert_eq!(kind.as_str().parse(), Ok(kind));
        }
        for state in EntityState::ALL {
            assert_eq!(state.as_str().parse(), Ok(state));
        }
        assert!("robot".parse::<EntityType>().unwrap_err().to_string().contains("agent, tool"));
    }
}
