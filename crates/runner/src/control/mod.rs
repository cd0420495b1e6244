//! What people do: approve, reject, cancel, roll back, pause, try their own change.
//!
//! In reading order: [`OwnChange`] and [`Wish`] (`propose`), a start on an opportunity (`start`), what is said to
//! improvements (`answer`), the kill switch (`switch`).

mod answer;
mod propose;
mod start;
mod switch;

use serde::{Deserialize, Serialize};
use uplift_model::edit::{Edit, EditError};
use uplift_model::entity::{Entity, EntityKey};
use uplift_model::improvement::{Improvement, ImprovementStatus, ImprovementType, ProposalSource};
use uplift_model::opportunity::Opportunity;
use uplift_model::policy::PolicyError;
use uplift_model::revision::Configuration;
use uplift_model::trial::Comparison;
use uplift_store::StoreError;

use crate::engine::Engine;
use crate::load;

/// Why an action of a person cannot be carried out.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ControlError {
    /// The store said no.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The improvement is not where the action makes sense.
    #[error("improvement {id} is {status}: it cannot be {action}; {remedy}")]
    WrongStatus {
        /// The improvement.
        id: i64,
        /// How far it has come.
        status: ImprovementStatus,
        /// What was asked, as a participle such as `approved`.
        action: &'static str,
        /// What can be done instead.
        remedy: &'static str,
    },
    /// The alert is not one with which that can be done.
    #[error("alert {id}: {reason}")]
    Alert {
        /// The alert.
        id: i64,
        /// Why not.
        reason: &'static str,
    },
    /// The edits cannot be applied.
    #[error("{0}")]
    Edit(#[from] EditError),
    /// A setting is out of range.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The settings are not, or no longer, those that were meant to be changed.
    #[error("the settings are not those that were meant to be changed")]
    Changed {
        /// Their tag now.
        current: String,
    },
    /// The request itself is wrong.
    #[error("{reason}")]
    Invalid {
        /// What is wrong, and what would be right.
        reason: String,
    },
}

/// A change that somebody wrote themselves: edits, or a whole configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct OwnChange {
    /// What it changes.
    pub entity: EntityKey,
    /// Its type; where it is missing, the type that allows all edits.
    pub improvement_type: Option<ImprovementType>,
    /// Edits, in order.
    pub edits: Vec<Edit>,
    /// Instead of edits: the whole configuration, which is taken apart into edits.
    pub configuration: Option<Configuration>,
    /// Why.
    pub rationale: String,
    /// Who wrote it: `operator` for people, `llm` or `agent` for what waits for approval by default.
    pub proposed_by: ProposalSource,
    /// The name of who asks.
    pub proposer: String,
    /// How control is measured.
    pub comparison: Comparison,
}

/// What a person wants improved, in words.
#[derive(Debug, Clone, PartialEq)]
pub struct Wish {
    /// What it is about.
    pub entity: EntityKey,
    /// The type of improvement wanted.
    pub improvement_type: ImprovementType,
    /// What should change.
    pub description: String,
    /// Who asks.
    pub asked_by: String,
}

/// What a wish became.
#[derive(Debug, Clone, PartialEq)]
pub struct Triggered {
    /// The opportunity.
    pub opportunity: Opportunity,
    /// The improvements written for it: at least one, `needs_proposal` where no proposer could fill it.
    pub improvements: Vec<Improvement>,
}

/// What the kill switch did.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Paused {
    /// Whether trials are paused now.
    pub paused: bool,
    /// Improvements whose running trials were called off.
    pub rolled_back: Vec<i64>,
    /// Trials that go on.
    pub still_running: Vec<i64>,
}

/// Longest rationale or reason, in characters.
const MAX_TEXT_CHARS: usize = 4_000;

impl Engine {
    async fn entity_of(&self, key: EntityKey) -> Result<Entity, ControlError> {
        Ok(load::entity(self, key).await?)
    }

    async fn first_of(&self, ids: &[i64]) -> Result<Improvement, ControlError> {
        let missing = || StoreError::Engine {
            context: "putting an improvement on record",
            reason: "it has no number".to_owned(),
        };
        Ok(self.store().improvement(*ids.first().ok_or_else(missing)?).await?)
    }
}

fn wrong(improvement: &Improvement, action: &'static str, remedy: &'static str) -> ControlError {
    ControlError::WrongStatus { id: improvement.id, status: improvement.status, action, remedy }
}

/// A text from a person: trimmed, without control characters but line breaks, and not too long.
pub(crate) fn checked_text(what: &str, text: &str) -> Result<String, ControlError> {
    let text: String = text.trim().chars().filter(|c| *c == '\n' || !c.is_control()).collect();
    if text.chars().count() > MAX_TEXT_CHARS {
        return Err(ControlError::Invalid { reason: format!("`{what}` has more than {MAX_TEXT_CHARS} characters") });
    }
    Ok(text)
}
