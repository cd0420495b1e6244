//! What agents ask for, and what was found of what they say.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::entity::{EntityKey, UnknownName};
use crate::history::HistoryOutcome;
use crate::improvement::ImprovementType;
use crate::opportunity::{ImpactLevel, names};
use crate::time::Time;

/// The tool by which agents ask.
pub const TOOL: &str = "request_improvement";
/// Longest description of a request, in characters.
pub const MAX_DESCRIPTION_CHARS: usize = 2_000;
/// Longest rationale of a request, in characters.
pub const MAX_RATIONALE_CHARS: usize = 4_000;
/// Longest evidence of a request as JSON, in bytes.
pub const MAX_EVIDENCE_BYTES: usize = 16 * 1024;
/// Most items of evidence that are looked up.
pub const MAX_ITEMS: usize = 20;

names! {
    /// What was found of one thing that an agent says.
    Found,
    "a finding (confirmed, wrong, unchecked)",
    {
        /// The records show it.
        Confirmed = "confirmed",
        /// The records show that it is not so.
        Wrong = "wrong",
        /// The records say nothing about it.
        Unchecked = "unchecked",
    }
}

names! {
    /// How far a request has come: as its improvement, or as its opportunity while it has none.
    RequestStatus,
    "a status of a request",
    {
        /// It waits for somebody to take it up.
        Pending = "pending",
        /// It is being worked on.
        InProgress = "in_progress",
        /// It was solved by something else.
        Completed = "completed",
        /// It was set aside.
        Dismissed = "dismissed",
        /// It waits for somebody to say which change would do.
        NeedsProposal = "needs_proposal",
        /// A change is written.
        Proposed = "proposed",
        /// An operator has to say yes.
        AwaitingApproval = "awaiting_approval",
        /// It waits for its turn.
        Queued = "queued",
        /// It passed every check.
        Validated = "validated",
        /// It is being tried.
        Testing = "testing",
        /// It was kept.
        Deployed = "deployed",
        /// It was tried and taken back.
        RolledBack = "rolled_back",
        /// A check or a person refused it.
        Rejected = "rejected",
        /// It was called off.
        Cancelled = "cancelled",
    }
}

impl RequestStatus {
    /// Whether an answer is still to come.
    pub const fn is_open(self) -> bool {
        !matches!(
            self,
            Self::Completed | Self::Dismissed | Self::Deployed | Self::RolledBack | Self::Rejected | Self::Cancelled
        )
    }
}

/// One thing that an agent says, and what was found of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckedItem {
    /// What is said: `failed_task`, `task`, `event`, `tool`, `time_wasted`, or `other`.
    pub claim: String,
    /// Of what: an id, a name, a value, as the agent gave it, clipped. Untrusted.
    pub subject: String,
    /// What was found.
    pub found: Found,
    /// In a sentence, which holds nothing that the agent said.
    pub detail: String,
}

/// A request to put on record.
#[derive(Debug, Clone, PartialEq)]
pub struct NewRequest {
    /// Who asks.
    pub asker: EntityKey,
    /// What is to be improved: usually whoever asks.
    pub about: EntityKey,
    /// The type of improvement that is asked for.
    pub improvement_type: ImprovementType,
    /// What should change, in the agent's words. Untrusted.
    pub description: String,
    /// Why, in the agent's words. Untrusted.
    pub rationale: String,
    /// What shows it, as the agent gave it. Untrusted.
    pub evidence: Value,
    /// What was found of it.
    pub checked: Vec<CheckedItem>,
    /// How urgent the agent says it is.
    pub priority: ImpactLevel,
    /// How much weight it has, from 0 to 1.
    pub confidence: f64,
    /// The opportunity that it opened or joined.
    pub opportunity_id: i64,
    /// Whether its own change is the improvement that the same commit puts on record last before it.
    pub brings_change: bool,
    /// Under which name it was asked.
    pub asked_by: String,
}

/// A request on record.
#[derive(Debug, Clone, PartialEq)]
pub struct ImprovementRequest {
    /// Its number.
    pub id: i64,
    /// Who asked.
    pub asker: EntityKey,
    /// Their name.
    pub asker_name: String,
    /// Their environment.
    pub environment: String,
    /// What is to be improved.
    pub about: EntityKey,
    /// Its name.
    pub about_name: String,
    /// The type of improvement that was asked for.
    pub improvement_type: ImprovementType,
    /// What should change, in the agent's words. Untrusted.
    pub description: String,
    /// Why, in the agent's words. Untrusted.
    pub rationale: String,
    /// What shows it, as the agent gave it. Untrusted.
    pub evidence: Value,
    /// What was found of it when it was asked.
    pub checked: Vec<CheckedItem>,
    /// How urgent the agent said it is.
    pub priority: ImpactLevel,
    /// How much weight it had, from 0 to 1.
    pub confidence: f64,
    /// The opportunity.
    pub opportunity_id: i64,
    /// The improvement that answers it, if there is one.
    pub improvement_id: Option<i64>,
    /// How far it has come.
    pub status: RequestStatus,
    /// Under which name it was asked.
    pub asked_by: String,
    /// When.
    pub at: Time,
}

/// What an agent has asked for before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AskingRecord {
    /// Improvements that it asked for and that were kept.
    pub kept: u64,
    /// Those that were taken back for harm.
    pub rolled_back: u64,
    /// Requests whose answer is still to come.
    pub open: u64,
    /// Requests of the last hour.
    pub in_hour: u64,
    /// When the first of them was.
    pub first_in_hour: Option<Time>,
    /// Requests of the last day.
    pub in_day: u64,
    /// When the first of them was.
    pub first_in_day: Option<Time>,
}

/// An answer to a request: an improvement for it was decided.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The entry of the history that says so; answers are numbered by it.
    pub decision: i64,
    /// The request.
    pub request_id: i64,
    /// Who asked.
    pub asker: EntityKey,
    /// Their name.
    pub asker_name: String,
    /// Their environment.
    pub environment: String,
    /// The improvement.
    pub improvement_id: i64,
    /// How it ended.
    pub outcome: HistoryOutcome,
    /// How much better it is, from -1 to 1, where that was measured.
    pub effectiveness: Option<f64>,
    /// When it was decided.
    pub at: Time,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::improvement::ImprovementStatus;
    use crate::opportunity::OpportunityStatus;

    #[test]
    fn every_status_of_what_answers_it_is_one_of_a_request() {
        for status in ImprovementStatus::ALL {
            let own: RequestStatus = status.as_str().parse().unwrap();
            let ended = status.next().is_empty() || *status == ImprovementStatus::Deployed;
            assert_eq!(own.is_open(), !ended, "{status}");
        }
        for status in OpportunityStatus::ALL {
            let own: RequestStatus = status.as_str().parse().unwrap();
            assert_eq!(own.is_open(), status.is_open(), "{status}");
        }
    }
}
