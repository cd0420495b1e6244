//! What came of improvements, in numbers.

use serde::Serialize;
use uplift_model::Time;
use uplift_model::time::MICROS_PER_DAY;
use uplift_store::rows::{DayDecisions, DayTasks as DayTasksRow, EntityAnalyticsRow};
use utoipa::ToSchema;

use super::improvement::Analytics;
use super::status::Metrics;

/// What came of improvements: by type, by entity, over all, and day by day.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AnalyticsReport {
    /// By type.
    pub(crate) items: Vec<Analytics>,
    /// Always null: all types are on one page.
    pub(crate) next: Option<String>,
    /// Over all.
    pub(crate) system: Metrics,
    /// By entity, those with the most decisions first; the first 1000.
    pub(crate) by_entity: Vec<EntityAnalytics>,
    /// How many days the trends go back, the last one included.
    pub(crate) days: i64,
    /// What was decided day by day, by the server's clock; days without decisions are left out.
    pub(crate) daily_decisions: Vec<DailyDecisions>,
    /// What agents did day by day, in event time up to the fleet's latest day; by day and agent, without those that did
    /// nothing; the first 20,000.
    pub(crate) daily_tasks: Vec<DailyTasks>,
}

/// What came of an entity's improvements.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EntityAnalytics {
    /// `agent`, `tool`, `context` or `process`.
    entity_type: &'static str,
    /// Its number within the type.
    entity_id: i64,
    /// Its name.
    entity_name: String,
    /// Its environment.
    environment: String,
    /// Decided ones.
    total: i64,
    /// Kept.
    kept: i64,
    /// Taken back for harm.
    rolled_back: i64,
    /// Ended without an answer.
    inconclusive: i64,
    /// Share kept of those decided either way, from 0 to 1.
    success_rate: Option<f64>,
    /// Mean effectiveness of the kept ones.
    mean_effectiveness: Option<f64>,
}

/// The decisions of a day.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DailyDecisions {
    /// The day, such as `2026-01-31` (UTC).
    day: String,
    /// Improvements kept.
    kept: i64,
    /// Improvements taken back for harm.
    rolled_back: i64,
    /// Trials that ended without an answer.
    inconclusive: i64,
    /// Improvements that a check or a person refused.
    rejected: i64,
    /// Improvements that were called off.
    cancelled: i64,
}

/// The tasks of an agent on a day.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DailyTasks {
    /// The day, such as `2026-01-31` (UTC).
    day: String,
    /// The agent's number.
    agent_id: i64,
    /// Its name.
    agent: String,
    /// Its environment.
    environment: String,
    /// Ends of tasks.
    tasks: i64,
    /// Those that were failures or errors.
    failed: i64,
    /// Geometric mean of their durations, milliseconds; null where none is known.
    typical_ms: Option<f64>,
    /// Tokens read.
    tokens_in: i64,
    /// Tokens written.
    tokens_out: i64,
    /// Cost, dollars.
    cost_usd: f64,
}

/// A day, in days since 1970-01-01.
fn day(number: i64) -> String {
    Time::from_micros(number.saturating_mul(MICROS_PER_DAY)).to_string().chars().take_while(|c| *c != 'T').collect()
}

impl From<EntityAnalyticsRow> for EntityAnalytics {
    fn from(row: EntityAnalyticsRow) -> Self {
        Self {
            entity_type: row.entity.entity_type.as_str(),
            entity_id: row.entity.entity_id,
            entity_name: row.entity_name,
            environment: row.environment,
            total: row.total,
            kept: row.kept,
            rolled_back: row.rolled_back,
            inconclusive: row.inconclusive,
            success_rate: row.success_rate,
            mean_effectiveness: row.mean_effectiveness,
        }
    }
}

impl From<DayDecisions> for DailyDecisions {
    fn from(row: DayDecisions) -> Self {
        Self {
            day: day(row.day),
            kept: row.kept,
            rolled_back: row.rolled_back,
            inconclusive: row.inconclusive,
            rejected: row.rejected,
            cancelled: row.cancelled,
        }
    }
}

impl From<DayTasksRow> for DailyTasks {
    fn from(row: DayTasksRow) -> Self {
        let sums = row.sums;
        Self {
            day: day(row.day),
            agent_id: row.agent.entity_id,
            agent: row.agent_name,
            environment: row.environment,
            tasks: sums.n,
            failed: sums.errors,
            typical_ms: sums.mean_ln().map(f64::exp),
            tokens_in: sums.tokens_in,
            tokens_out: sums.tokens_out,
            cost_usd: sums.cost_nano as f64 / 1e9,
        }
    }
}
