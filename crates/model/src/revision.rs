//! Immutable, content-addressed configurations.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::entity::UnknownName;
use crate::opportunity::names;

/// The address of a revision: the BLAKE3 hash of its canonical JSON, 32 bytes as 64 hex digits.
///
/// Equal configurations have equal ids, so a rollback is a pointer move and cannot lose anything.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RevisionId(String);

impl RevisionId {
    /// The id as 64 hex digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// An id as it was stored; it is not checked against any configuration.
    pub fn from_stored(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for RevisionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

names! {
    /// A part of a configuration.
    Section,
    "a section (instruction, guidelines, contexts, tools, model, parameters, guards, processes)",
    {
        /// The body of the instruction.
        Instruction = "instruction",
        /// Its guidelines.
        Guidelines = "guidelines",
        /// Documents.
        Contexts = "contexts",
        /// Tools.
        Tools = "tools",
        /// The model.
        Model = "model",
        /// Parameters.
        Parameters = "parameters",
        /// Checks on arguments and results.
        Guards = "guards",
        /// Attached processes.
        Processes = "processes",
    }
}

/// One numbered bullet of an instruction: it can be added, withdrawn, and credited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guideline {
    /// Its number within the instruction, never used again after a withdrawal.
    pub number: u32,
    /// What it says.
    pub text: String,
}

/// What an agent is told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Instruction {
    /// The body.
    pub text: String,
    /// The bullets below it.
    pub guidelines: Vec<Guideline>,
    /// The number the next guideline gets; counts up only.
    pub next_guideline: u32,
}

/// A tool as an agent has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolUse {
    /// The tool's name.
    pub name: String,
    /// Whether the agent always has it; an optional one can be taken away by an improvement.
    #[serde(default)]
    pub required: bool,
}

/// What a guard looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GuardTarget {
    /// The arguments, before the call.
    Arguments,
    /// The result, after it.
    Result,
}

/// A check on a tool's arguments or results.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guard {
    /// Its name, unique within the revision.
    pub name: String,
    /// The tool it guards.
    pub tool: String,
    /// What it looks at.
    pub target: GuardTarget,
    /// What must hold.
    pub check: GuardCheck,
}

/// What a guard demands of one field (a top-level key of the JSON arguments or result).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "check", rename_all = "snake_case", deny_unknown_fields)]
pub enum GuardCheck {
    /// The field is there and not empty.
    Required {
        /// The field.
        field: String,
    },
    /// The field is a text of a length in this range.
    Length {
        /// The field.
        field: String,
        /// Least length in characters.
        min: u32,
        /// Greatest length in characters.
        max: u32,
    },
    /// The field is a number in this range.
    Range {
        /// The field.
        field: String,
        /// Least value.
        min: f64,
        /// Greatest value.
        max: f64,
    },
    /// The field has this JSON type (`string`, `number`, `boolean`, `array`, `object`).
    Type {
        /// The field.
        field: String,
        /// The type's name.
        json_type: String,
    },
}

/// A configuration of an entity. Keys it does not know are kept in [`extra`](Self::extra).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Configuration {
    /// What it is told.
    #[serde(skip_serializing_if = "is_default")]
    pub instruction: Instruction,
    /// The documents it is given, by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub contexts: Vec<String>,
    /// The tools it has.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<ToolUse>,
    /// The model that runs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Temperature, `max_tokens`, `timeout_ms`, retries, cache, batch size, concurrency, ...
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, Value>,
    /// Checks on tool arguments and results.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub guards: Vec<Guard>,
    /// The processes attached to it, by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub processes: Vec<String>,
    /// Everything else, as it came.
    #[serde(flatten)]
    pub extra: BTreeMap<String, Value>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// An immutable configuration with its address.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Revision {
    id: RevisionId,
    configuration: Configuration,
}

/// Why a configuration cannot be addressed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the configuration cannot be written as JSON: {reason}")]
pub struct RevisionError {
    /// What the encoder said.
    pub reason: String,
}

impl Revision {
    /// Seals a configuration: from here on it has an address and does not change.
    ///
    /// # Errors
    /// When a number in it has no JSON form (NaN or infinite).
    pub fn seal(configuration: Configuration) -> Result<Self, RevisionError> {
        let reason = |error: serde_json::Error| RevisionError { reason: error.to_string() };
        for guard in &configuration.guards {
            if let GuardCheck::Range { min, max, .. } = &guard.check
                && !(min.is_finite() && max.is_finite())
            {
                return Err(RevisionError {
                    reason: format!("guard `{}` has a range that is not finite", guard.name),
                });
            }
        }
        // serde_json's maps are sorted, so going through Value gives the keys one order whatever the input had.
        let canonical = serde_json::to_value(&configuration).map_err(reason)?;
        let bytes = serde_json::to_vec(&canonical).map_err(reason)?;
        Ok(Self { id: RevisionId(blake3::hash(&bytes).to_hex().to_string()), configuration })
    }

    /// Its address.
    pub fn id(&self) -> &RevisionId {
        &self.id
    }

    /// What it says.
    pub fn configuration(&self) -> &Configuration {
        &self.configuration
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_configurations_have_equal_addresses_whatever_the_key_order() {
        let one: Configuration =
            serde_json::from_str(r#"{"model":"m","parameters":{"b":1,"a":2},"colour":"red","size":3}"#).unwrap();
        let two: Configuration =
            serde_json::from_str(r#"{"size":3,"colour":"red","parameters":{"a":2,"b":1},"model":"m"}"#).unwrap();
        let other: Configuration = serde_json::from_str(r#"{"model":"n"}"#).unwrap();
        let id = |configuration: &Configuration| Revision::seal(configuration.clone()).unwrap().id().clone();
        assert_eq!(id(&one), id(&two));
        assert_ne!(id(&one), id(&other));
        assert_eq!(id(&one).as_str().len(), 64);
    }

    #[test]
    fn unknown_keys_survive_a_round_trip() {
        let text = r#"{"model":"m","graph":{"nodes":[1,2]}}"#;
        let read: Configuration = serde_json::from_str(text).unwrap();
        let written = serde_json::to_value(&read).unwrap();
        assert_eq!(written, serde_json::from_str::<Value>(text).unwrap());
    }

    #[test]
    fn a_range_without_bounds_is_refused() {
        let guard = Guard {
            name: "g".into(),
            tool: "t".into(),
            target: GuardTarget::Result,
            check: GuardCheck::Range { field: "f".into(), min: 0.0, max: f64::NAN },
        };
        let configuration = Configuration { guards: vec![guard], ..Configuration::default() };
        assert!(Revision::seal(configuration).unwrap_err().reason.contains("guard `g`"));
    }
}
