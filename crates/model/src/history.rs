//! What came of improvements: the entry of `improvement_history`, and what is learnt from all of them.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::entity::{EntityKey, UnknownName};
use crate::improvement::ImprovementType;
use crate::opportunity::{OpportunityKind, names};
use crate::revision::RevisionId;
use crate::time::Time;
use crate::verdict::{Interval, Verdict};

names! {
    /// How an improvement ended.
    HistoryOutcome,
    "an outcome (kept, rolled_back, inconclusive, rejected, cancelled)",
    {
        /// Shown to help, and in place.
        Kept = "kept",
        /// Shown to harm, and taken back. Only this counts towards rollback rates, blocklists and track records.
        RolledBack = "rolled_back",
        /// Nothing was shown, or the comparison was broken; what became of the candidate is in the reason.
        Inconclusive = "inconclusive",
        /// A check refused it.
        Rejected = "rejected",
        /// A person or a change of circumstances called it off, before or after a keep.
        Cancelled = "cancelled",
    }
}

/// What was measured of one arm, or before and after: metric by metric.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MetricValues(pub std::collections::BTreeMap<String, f64>);

/// An entry of `improvement_history`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// The improvement.
    pub improvement_id: i64,
    /// What it changed.
    pub entity: EntityKey,
    /// Its type.
    pub improvement_type: ImprovementType,
    /// How it ended.
    pub outcome: HistoryOutcome,
    /// Why, in a sentence.
    pub reason: String,
    /// When its trial began; none where it never ran.
    pub started_at: Option<Time>,
    /// When it was decided.
    pub decided_at: Time,
    /// Control's values (or those of the time before), by metric.
    pub metrics_before: Option<MetricValues>,
    /// The candidate's values, by metric.
    pub metrics_after: Option<MetricValues>,
    /// How much better it is, with its interval, from -1 to 1.
    pub effectiveness: Option<Interval>,
    /// What a rollback goes (or went) back to.
    pub rollback_revision: Option<RevisionId>,
    /// The decision with everything behind it.
    pub verdict: Option<Verdict>,
    /// A report for people, in Markdown.
    pub report: String,
}

/// What became of proposals of one rule for one kind of opportunity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrackRecord {
    /// The kind of opportunity; none for requests without one.
    pub kind: Option<OpportunityKind>,
    /// The proposer's name.
    pub proposer: String,
    /// Kept.
    pub kept: i64,
    /// Taken back for harm.
    pub rolled_back: i64,
    /// Ended without an answer.
    pub inconclusive: i64,
    /// Mean effectiveness of the kept ones.
    pub mean_effectiveness: Option<f64>,
}
