//! What is done about an opportunity.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::check::Check;
use crate::edit::Edit;
use crate::entity::{EntityKey, UnknownName};
use crate::opportunity::names;
use crate::preflight::Preflight;
use crate::revision::RevisionId;
use crate::time::Time;
use crate::trial::Comparison;

names! {
    /// The six types of improvement.
    ImprovementType,
    "an improvement type (instruction_update, context_optimization, tool_reassignment, process_automation, \
     performance_tuning, error_prevention)",
    {
        /// Says more clearly what to do.
        InstructionUpdate = "instruction_update",
        /// Takes out what is not read, puts in what is missed.
        ContextOptimization = "context_optimization",
        /// Gives tools to those who use them well.
        ToolReassignment = "tool_reassignment",
        /// Turns what is done again and again into a process.
        ProcessAutomation = "process_automation",
        /// Timeouts, retries, caches, batches.
        PerformanceTuning = "performance_tuning",
        /// Checks before things go wrong.
        ErrorPrevention = "error_prevention",
    }
}

names! {
    /// How far an improvement has come.
    ImprovementStatus,
    "a status (proposed, validated, rejected, testing, deployed, rolled_back, needs_proposal, awaiting_approval, \
     queued, cancelled)",
    {
        /// Edits are there.
        Proposed = "proposed",
        /// It passed every check.
        Validated = "validated",
        /// A check refused it.
        Rejected = "rejected",
        /// Its trial runs.
        Testing = "testing",
        /// It was kept.
        Deployed = "deployed",
        /// It was taken back.
        RolledBack = "rolled_back",
        /// No proposer could fill it yet.
        NeedsProposal = "needs_proposal",
        /// A person has to say yes.
        AwaitingApproval = "awaiting_approval",
        /// It waits for its turn.
        Queued = "queued",
        /// Somebody called it off.
        Cancelled = "cancelled",
    }
}

impl ImprovementStatus {
    /// Whether it occupies its entity: one improvement per entity at a time.
    pub const fn is_active(self) -> bool {
        matches!(self, Self::Validated | Self::Testing | Self::AwaitingApproval | Self::Queued)
    }

    /// The statuses that may follow.
    pub const fn next(self) -> &'static [Self] {
        match self {
            Self::NeedsProposal => &[Self::Proposed, Self::Cancelled],
            Self::Proposed => {
                &[Self::Validated, Self::Rejected, Self::AwaitingApproval, Self::Queued, Self::Cancelled]
            }
            Self::AwaitingApproval => &[Self::Validated, Self::Queued, Self::Rejected, Self::Cancelled],
            Self::Queued => &[Self::Validated, Self::AwaitingApproval, Self::Rejected, Self::Cancelled],
            Self::Validated => &[Self::Testing, Self::Queued, Self::Rejected, Self::Cancelled],
            Self::Testing => &[Self::Deployed, Self::RolledBack, Self::Cancelled],
            Self::Deployed => &[Self::RolledBack],
            Self::Rejected | Self::RolledBack | Self::Cancelled => &[],
        }
    }
}

names! {
    /// Who wrote the edits.
    ProposalSource,
    "a proposer (rule, llm, agent, operator)",
    {
        /// A deterministic rule.
        Rule = "rule",
        /// A language model.
        Llm = "llm",
        /// An agent that asked.
        Agent = "agent",
        /// A person.
        Operator = "operator",
    }
}

/// A process that comes into being with an improvement that attaches it: a fixed order of tool calls. It holds
/// identifiers only, never values from events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProcessTemplate {
    /// The name of the process entity, in the environment of the improved entity.
    pub name: String,
    /// Tools in the order in which they are called.
    pub steps: Vec<String>,
}

/// What a proposer says: everything about a change but its place in the queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Proposal {
    /// Its type.
    pub improvement_type: ImprovementType,
    /// Who wrote the edits.
    pub proposed_by: ProposalSource,
    /// The rule that wrote them (`tool_timeout`, ...), the model, the agent's or the person's name: what priors and
    /// track records are learnt by.
    pub proposer: String,
    /// The edits, in order; empty where nobody could fill it yet.
    pub edits: Vec<Edit>,
    /// Processes that come into being with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub processes: Vec<ProcessTemplate>,
    /// Why this should help: a fixed template with identifiers and numbers from events, nothing else.
    pub rationale: String,
    /// What it is expected to gain, in words.
    pub expected_impact: String,
    /// The same as a number: relative gain of the goal times the share of tasks touched times the probability of a
    /// keep, from 0 to 1. The queue takes the best first.
    pub expected_gain: f64,
    /// How sure the proposer is, from 0 to 1.
    pub confidence: f64,
    /// How control will be measured.
    #[serde(default)]
    pub comparison: Comparison,
}

/// A typed change from a base to a candidate revision: complete and immutable, so nothing is left to choose when
/// it is deployed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Improvement {
    /// Its number.
    pub id: i64,
    /// What it changes.
    pub entity: EntityKey,
    /// The opportunity it answers.
    pub opportunity_id: Option<i64>,
    /// What is proposed.
    #[serde(flatten)]
    pub proposal: Proposal,
    /// What the edits are applied to.
    pub base: Option<RevisionId>,
    /// What comes out.
    pub candidate: Option<RevisionId>,
    /// How far it has come.
    pub status: ImprovementStatus,
    /// What validation found, check by check, the latest time.
    pub checks: Vec<Check>,
    /// What the trial can be expected to see.
    pub preflight: Option<Preflight>,
    /// Who said yes, where somebody had to.
    pub approved_by: Option<String>,
    /// When it was proposed.
    pub created_at: Time,
    /// When it last changed.
    pub updated_at: Time,
    /// Counts up with every change.
    pub version: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ended_improvement_stays_ended() {
        for status in [ImprovementStatus::Rejected, ImprovementStatus::RolledBack, ImprovementStatus::Cancelled] {
            assert!(status.next().is_empty());
        }
        assert_eq!(ImprovementStatus::Deployed.next(), [ImprovementStatus::RolledBack]);
    }
}
