//! What was found: findings, and the opportunities they become.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::entity::{EntityKey, UnknownName};
use crate::improvement::ImprovementType;
use crate::time::Time;

/// Most event references kept as evidence of one opportunity.
pub const MAX_EVIDENCE_EVENTS: usize = 10;

macro_rules! names {
    ($(#[$doc:meta])* $name:ident, $expected:literal, { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $text)] $variant),+ }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name used on the wire and in SQL.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl FromStr for $name {
            type Err = UnknownName;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::ALL.iter().copied().find(|value| value.as_str() == text)
                    .ok_or_else(|| UnknownName::new(text, $expected))
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}
pub(crate) use names;

names! {
    /// What kind of thing was found.
    OpportunityKind,
    "a kind of opportunity (see docs/detection.md)",
    {
        /// The same error, more than 5 times in 24 hours.
        RecurringError = "recurring_error",
        /// An operation more than 50 % slower than in the week before.
        PerformanceDegradation = "performance_degradation",
        /// Too many of its improvements were taken back.
        HighRollbackRate = "high_rollback_rate",
        /// Tokens go where they do no good.
        TokenWaste = "token_waste",
        /// The same call with the same arguments, again and again within a task.
        RepeatedCalls = "repeated_calls",
        /// A tool it has and never uses.
        UnusedTool = "unused_tool",
        /// A context it is given and never reads.
        UnusedContext = "unused_context",
        /// A sequence of tool calls that goes with failure.
        FailurePattern = "failure_pattern",
        /// A sequence of tool calls that goes with success.
        SuccessPattern = "success_pattern",
        /// The same sequence of tool calls in most tasks, time after time.
        RepeatedSequence = "repeated_sequence",
        /// Where most of the time goes.
        Bottleneck = "bottleneck",
        /// A metric moved to another level.
        ChangePoint = "change_point",
        /// Somebody asked for it.
        Request = "request",
    }
}

names! {
    /// Who found it.
    OpportunitySource,
    "a source (monitor, pattern, review, trigger, prediction, agent, operator)",
    {
        /// The rolling watch over metrics.
        Monitor = "monitor",
        /// Pattern mining.
        Pattern = "pattern",
        /// A rolling review.
        Review = "review",
        /// A rule in the database.
        Trigger = "trigger",
        /// A forecast.
        Prediction = "prediction",
        /// An agent's request.
        Agent = "agent",
        /// A person's request.
        Operator = "operator",
    }
}

names! {
    /// How far it has come.
    OpportunityStatus,
    "a status (pending, in_progress, completed, dismissed)",
    {
        /// Found, nothing done yet.
        Pending = "pending",
        /// An improvement is on its way.
        InProgress = "in_progress",
        /// Solved by a kept improvement.
        Completed = "completed",
        /// Set aside by a person, or withdrawn because it did not hold up.
        Dismissed = "dismissed",
    }
}

names! {
    /// How much there is to gain.
    ImpactLevel,
    "an impact (low, medium, high)",
    {
        /// Little.
        Low = "low",
        /// Something.
        Medium = "medium",
        /// Much.
        High = "high",
    }
}

impl OpportunityStatus {
    /// Whether it still waits for its end.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Pending | Self::InProgress)
    }
}

impl OpportunityKind {
    /// The type of improvement that usually answers it.
    pub const fn usual_improvement(self) -> ImprovementType {
        match self {
            Self::RecurringError | Self::HighRollbackRate => ImprovementType::ErrorPrevention,
            Self::PerformanceDegradation
            | Self::TokenWaste
            | Self::RepeatedCalls
            | Self::Bottleneck
            | Self::ChangePoint => ImprovementType::PerformanceTuning,
            Self::UnusedTool => ImprovementType::ToolReassignment,
            Self::UnusedContext => ImprovementType::ContextOptimization,
            Self::FailurePattern | Self::Request => ImprovementType::InstructionUpdate,
            Self::SuccessPattern | Self::RepeatedSequence => ImprovementType::ProcessAutomation,
        }
    }
}

/// An event one can look up: the two halves of its identity.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EventRef {
    /// Its trace key.
    pub trace_key: String,
    /// Its id.
    pub id: String,
}

/// Why a finding is believed: enough to reproduce it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Evidence {
    /// The rule that fired, by name.
    pub rule: String,
    /// How often what it counts was seen.
    pub count: i64,
    /// Start of the window looked at, event time.
    pub window_start: Option<Time>,
    /// End of the window looked at, event time.
    pub window_end: Option<Time>,
    /// The numbers behind it, by name; units are in the names.
    pub numbers: BTreeMap<String, f64>,
    /// Names behind it: tools, contexts, masked templates.
    pub labels: BTreeMap<String, String>,
    /// Some of the events, at most [`MAX_EVIDENCE_EVENTS`].
    pub events: Vec<EventRef>,
    /// Some of the tasks, at most as many.
    pub tasks: Vec<String>,
}

/// How much there is to gain, and why we think so.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Impact {
    /// In a word.
    pub level: ImpactLevel,
    /// Share of the entity's tasks that are touched, from 0 to 1.
    pub tasks_affected: f64,
    /// What a fix would be expected to gain over a day of the traffic seen, in words.
    pub expected_gain: String,
}

impl Impact {
    /// High from a quarter of the tasks on, medium from a twentieth on.
    pub fn from_share(tasks_affected: f64, expected_gain: impl Into<String>) -> Self {
        let share = if tasks_affected.is_finite() { tasks_affected.clamp(0.0, 1.0) } else { 0.0 };
        let level = if share >= 0.25 {
            ImpactLevel::High
        } else if share >= 0.05 {
            ImpactLevel::Medium
        } else {
            ImpactLevel::Low
        };
        Self { level, tasks_affected: share, expected_gain: expected_gain.into() }
    }
}

/// Something that could be better, as a detector states it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Whom it concerns.
    pub entity: EntityKey,
    /// What kind of thing.
    pub kind: OpportunityKind,
    /// What tells it from others of its kind for the same entity: an error's fingerprint, an operation, a name.
    pub fingerprint: String,
    /// Who found it.
    pub source: OpportunitySource,
    /// One sentence for people; texts from events appear in it only masked and clipped.
    pub description: String,
    /// How sure we are, from 0 to 1.
    pub confidence: f64,
    /// How much there is to gain.
    pub impact: Impact,
    /// Why we believe it.
    pub evidence: Evidence,
    /// The latest event time that supports it.
    pub last_seen_at: Time,
}

/// A finding on record. At most one is open per (entity, kind, fingerprint).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Opportunity {
    /// Its number.
    pub id: i64,
    /// What was found.
    #[serde(flatten)]
    pub finding: Finding,
    /// The entity's name.
    pub entity_name: String,
    /// The entity's environment.
    pub environment: String,
    /// How far it has come.
    pub status: OpportunityStatus,
    /// Whether a detector has confirmed what a rule in the database marked.
    pub confirmed: bool,
    /// The type of improvement that usually answers it.
    pub improvement_type: ImprovementType,
    /// When it was found.
    pub created_at: Time,
    /// When it last changed.
    pub updated_at: Time,
    /// Why it was closed, if it was.
    pub resolution: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for kind in OpportunityKind::ALL {
            assert_eq!(kind.as_str().parse(), Ok(*kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
        assert!("urgent".parse::<ImpactLevel>().unwrap_err().to_string().contains("low, medium, high"));
    }

    #[test]
    fn impact_levels_by_share_of_tasks() {
        for (share, level) in [
            (0.0, ImpactLevel::Low),
            (0.05, ImpactLevel::Medium),
            (0.25, ImpactLevel::High),
            (f64::NAN, ImpactLevel::Low),
        ] {
            assert_eq!(Impact::from_share(share, "").level, level);
        }
    }
}
