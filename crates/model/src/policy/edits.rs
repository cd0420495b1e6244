//! What an improvement may change at all.

use serde::{Deserialize, Serialize};

use super::{PolicyError, require};
use crate::revision::Section;

/// Bounds on edits. What lies outside waits for an operator, or is refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EditPolicy {
    /// Sections that no improvement may touch, whoever proposes it.
    pub frozen: Vec<Section>,
    /// Most of an instruction's characters that one improvement may replace, as a share from 0 to 1.
    pub max_instruction_change: f64,
    /// Most growth of the instruction with its guidelines by one improvement, characters.
    pub max_growth_chars: u32,
    /// Most guidelines an instruction may come to have.
    pub max_guidelines: u32,
    /// Most factor by which one improvement may raise or lower a numeric parameter.
    pub max_parameter_factor: f64,
}

impl Default for EditPolicy {
    fn default() -> Self {
        Self {
            frozen: Vec::new(),
            max_instruction_change: 0.5,
            max_growth_chars: 2_000,
            max_guidelines: 30,
            max_parameter_factor: 10.0,
        }
    }
}

impl EditPolicy {
    pub(super) fn check(&self) -> Result<(), PolicyError> {
        require(
            (0.0..=1.0).contains(&self.max_instruction_change),
            "edits.max_instruction_change",
            "from 0 to 1",
            self.max_instruction_change,
        )?;
        require(
            self.max_parameter_factor.is_finite() && self.max_parameter_factor >= 1.0,
            "edits.max_parameter_factor",
            "at least 1",
            self.max_parameter_factor,
        )
    }
}
