//! How the whole stands.

use serde::Serialize;
use uplift_cycle::detect::health::{Factor, Health as ModelHealth};
use uplift_model::{Hour, Time};
use uplift_runner::helped::WhatHelped;
use uplift_store::rows::{Counts as CountsRow, MetricsRow, StorageRow, SystemStatusRow, TaskCounts};
use utoipa::ToSchema;

/// How the whole stands.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Status {
    /// This server's version.
    pub(crate) version: &'static str,
    /// `observe`, `propose`, `approve` or `auto`.
    pub(crate) mode: &'static str,
    /// Whether the kill switch is on: no trial starts.
    pub(crate) paused: bool,
    /// The server's time.
    #[schema(value_type = String, format = DateTime)]
    pub(crate) now: Time,
    /// Health, as it is now.
    pub(crate) health: Health,
    /// Alerts that hold.
    pub(crate) active_alerts: i64,
    /// How much there is. Where there are millions of tasks, these and their events are counted now and then: the
    /// numbers are seconds old, a minute at the most.
    pub(crate) counts: Counts,
    /// What the database takes up, and what retention has left of it.
    pub(crate) storage: Storage,
    /// The system's row as the database shows it to other programs.
    pub(crate) system: System,
    /// What may be claimed of what was kept.
    pub(crate) claims: Claims,
}

/// What may be claimed of what was kept, over all improvements.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Claims {
    /// Kept improvements of which it may be said that they helped.
    helped: usize,
    /// Kept improvements of which that could have been said.
    possible: usize,
    /// Expected share of false ones among those sayings, at most: the setting `engine.false_claims`.
    false_claims: f64,
}

impl From<&WhatHelped> for Claims {
    fn from(helped: &WhatHelped) -> Self {
        Self { helped: helped.standing(), possible: helped.improvements.len(), false_claims: helped.false_claims }
    }
}

/// Health: a word, a score, and what made it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Health {
    /// `excellent`, `good`, `fair` or `needs_attention`.
    status: &'static str,
    /// From 0 to 100.
    score: f64,
    /// What made the score: 100 less what they cost.
    factors: Vec<HealthFactor>,
}

/// One part of a score.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HealthFactor {
    /// Its name.
    name: &'static str,
    /// What was measured.
    value: f64,
    /// Points that it costs of 100, at least 0.
    points_lost: f64,
    /// What was measured, in words.
    explanation: String,
    /// What would give the points back; empty where none are lost.
    remedy: String,
}

/// How much there is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Counts {
    /// Events.
    events: i64,
    /// Tasks that somebody named.
    tasks: i64,
    /// Those that succeeded.
    tasks_succeeded: i64,
    /// Those that did not.
    tasks_failed: i64,
    /// Agents.
    agents: i64,
    /// Tools.
    tools: i64,
    /// Groups of errors.
    error_groups: i64,
    /// Opportunities not yet acted on.
    opportunities_pending: i64,
    /// Opportunities with an improvement under way.
    opportunities_in_progress: i64,
    /// Improvements that occupy an entity.
    improvements_active: i64,
}

/// What the database takes up, and what retention has left of it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Storage {
    /// Size of the database file, bytes. Room that became free in it is used again.
    file_bytes: u64,
    /// What is in use of it, bytes.
    used_bytes: u64,
    /// Size of the write-ahead log, bytes.
    wal_bytes: u64,
    /// Raw events that arrived from then on are on record; none where there are none.
    #[schema(value_type = Option<String>, format = DateTime)]
    events_since: Option<Time>,
    /// Raw events that retention has deleted so far.
    events_deleted: u64,
    /// Texts and attributes of events that it has deleted so far.
    texts_deleted: u64,
    /// Tasks that it has deleted so far.
    tasks_deleted: u64,
    /// When it last deleted anything.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_deleted_at: Option<Time>,
    /// Since when there is no room to write, if there is none.
    #[schema(value_type = Option<String>, format = DateTime)]
    full_since: Option<Time>,
}

/// The system's row in the database.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct System {
    /// `excellent`, `good`, `fair` or `needs_attention`.
    health: &'static str,
    /// From 0 to 100.
    score: f64,
    /// When the engine last ticked.
    #[schema(value_type = Option<String>, format = DateTime)]
    clock: Option<Time>,
    /// The numbers behind it.
    metrics: Metrics,
}

/// What came of improvements so far.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Metrics {
    /// Decided.
    decided: i64,
    /// Kept.
    kept: i64,
    /// Taken back for harm.
    rolled_back: i64,
    /// Ended without an answer.
    inconclusive: i64,
    /// Taken back of those decided either way lately (`engine.rollback_rate_days`), from 0 to 1.
    rollback_rate: Option<f64>,
    /// Mean effectiveness of the kept ones.
    mean_effectiveness: Option<f64>,
    /// Opportunities not yet acted on.
    opportunities_pending: i64,
    /// Alerts that hold.
    alerts_active: i64,
    /// Decided either way in the time that the rollback rate looks back.
    recent_decided: i64,
}

impl From<ModelHealth> for Health {
    fn from(health: ModelHealth) -> Self {
        Self {
            status: health.status.as_str(),
            score: health.score,
            factors: health.factors.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<Factor> for HealthFactor {
    fn from(factor: Factor) -> Self {
        Self {
            name: factor.name,
            value: factor.value,
            points_lost: factor.points_lost,
            explanation: factor.explanation,
            remedy: factor.remedy,
        }
    }
}

impl Counts {
    pub(crate) fn new(row: CountsRow, done: TaskCounts) -> Self {
        Self {
            events: done.events,
            tasks: done.tasks,
            tasks_succeeded: done.tasks_succeeded,
            tasks_failed: done.tasks_failed,
            agents: row.agents,
            tools: row.tools,
            error_groups: row.error_groups,
            opportunities_pending: row.opportunities_pending,
            opportunities_in_progress: row.opportunities_in_progress,
            improvements_active: row.improvements_active,
        }
    }
}

impl Storage {
    /// As the store tells it; `full_since` is known by those who write.
    pub(crate) fn new(row: StorageRow, full_since: Option<Time>) -> Self {
        Self {
            file_bytes: row.file_bytes,
            used_bytes: row.used_bytes,
            wal_bytes: row.wal_bytes,
            events_since: row.events_since.map(Hour::start),
            events_deleted: row.events_deleted,
            texts_deleted: row.texts_deleted,
            tasks_deleted: row.tasks_deleted,
            last_deleted_at: row.last_deleted_at,
            full_since,
        }
    }
}

impl From<SystemStatusRow> for System {
    fn from(row: SystemStatusRow) -> Self {
        Self { health: row.health.as_str(), score: row.score, clock: row.clock, metrics: row.metrics.into() }
    }
}

impl From<MetricsRow> for Metrics {
    fn from(row: MetricsRow) -> Self {
        Self {
            decided: row.decided,
            kept: row.kept,
            rolled_back: row.rolled_back,
            inconclusive: row.inconclusive,
            rollback_rate: row.rollback_rate,
            mean_effectiveness: row.mean_effectiveness,
            opportunities_pending: row.opportunities_pending,
            alerts_active: row.alerts_active,
            recent_decided: row.recent_decided,
        }
    }
}
