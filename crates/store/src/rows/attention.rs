//! Rows about news, deliveries and days.

use uplift_model::Time;
use uplift_model::entity::EntityKey;
use uplift_model::notification::DeliveryState;
use uplift_model::rollup::OperationDelta;

/// What news is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NewsKind {
    /// An alert was `opened`, `acknowledged` or `resolved`.
    Alert,
    /// An opportunity reached a status.
    Opportunity,
    /// An improvement reached a status.
    Improvement,
    /// What became of an improvement was written into the history; the word is the outcome.
    Verdict,
}

impl NewsKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Alert, Self::Opportunity, Self::Improvement, Self::Verdict];

    /// The name used on the wire and in SQL.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Alert => "alert",
            Self::Opportunity => "opportunity",
            Self::Improvement => "improvement",
            Self::Verdict => "verdict",
        }
    }
}

/// The word for an alert that was raised.
pub const OPENED: &str = "opened";
/// The word for an alert that somebody looks after.
pub const ACKNOWLEDGED: &str = "acknowledged";
/// The word for an alert that has ended.
pub const RESOLVED: &str = "resolved";

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewsRow {
    /// Its number: later news has a higher one.
    pub seq: i64,
    /// When, by the engine's clock.
    pub at: Time,
    /// What it is about.
    pub kind: NewsKind,
    /// What happened: the status that was reached.
    pub word: String,
    /// The number of the alert, the opportunity or the improvement.
    pub id: i64,
    /// Whom it concerns; none for the system as a whole.
    pub entity: Option<EntityKey>,
}

/// Which deliveries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeliveryFilter {
    /// Only those that have come so far.
    pub state: Option<DeliveryState>,
    /// Only those to this target.
    pub target_id: Option<i64>,
}

/// How many deliveries there are of those that matter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DeliveryCounts {
    /// They wait to be tried.
    pub pending: i64,
    /// They were given up.
    pub dead: i64,
}

/// The decisions of a day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DayDecisions {
    /// The day, in days since 1970-01-01 (UTC).
    pub day: i64,
    /// Improvements kept.
    pub kept: i64,
    /// Improvements taken back for harm.
    pub rolled_back: i64,
    /// Trials that ended without an answer.
    pub inconclusive: i64,
    /// Improvements that a check or a person refused.
    pub rejected: i64,
    /// Improvements that were called off.
    pub cancelled: i64,
}

/// The tasks of an agent on a day.
#[derive(Debug, Clone, PartialEq)]
pub struct DayTasks {
    /// The day, in days since 1970-01-01 (UTC).
    pub day: i64,
    /// The agent.
    pub agent: EntityKey,
    /// Its name.
    pub agent_name: String,
    /// Its environment.
    pub environment: String,
    /// Sums over the events that ended its tasks.
    pub sums: OperationDelta,
}

/// What came of an entity's improvements.
#[derive(Debug, Clone, PartialEq)]
pub struct EntityAnalyticsRow {
    /// The entity.
    pub entity: EntityKey,
    /// Its name.
    pub entity_name: String,
    /// Its environment.
    pub environment: String,
    /// Decided ones.
    pub total: i64,
    /// Kept.
    pub kept: i64,
    /// Taken back for harm.
    pub rolled_back: i64,
    /// Ended without an answer.
    pub inconclusive: i64,
    /// Share kept of those decided either way, from 0 to 1.
    pub success_rate: Option<f64>,
    /// Mean effectiveness of the kept ones.
    pub mean_effectiveness: Option<f64>,
}
