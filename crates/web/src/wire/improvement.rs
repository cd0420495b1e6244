//! Improvements and what came of them.

use serde::Serialize;
use serde_json::Value;
use uplift_model::Time;
use uplift_model::improvement::Improvement as Model;
use uplift_store::rows::{AnalyticsRow, HistoryRow};
use utoipa::ToSchema;

use super::entity::{Entity, EntityStatus, json};
use super::page::Page;

/// An improvement under way.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Improvement {
    /// Its number.
    id: i64,
    /// `agent`, `tool`, `context` or `process`.
    entity_type: &'static str,
    /// Its number within the type.
    entity_id: i64,
    /// The opportunity it answers.
    opportunity_id: Option<i64>,
    /// One of the six types.
    improvement_type: &'static str,
    /// `rule`, `llm`, `agent` or `operator`.
    proposed_by: &'static str,
    /// The edits, in order.
    #[schema(value_type = Vec<Object>)]
    edits: Value,
    /// The revision they are applied to.
    base: Option<String>,
    /// The revision that comes out.
    candidate: Option<String>,
    /// Why this should help.
    rationale: String,
    /// What it is expected to gain.
    expected_impact: String,
    /// From 0 to 1.
    confidence: f64,
    /// How far it has come.
    status: &'static str,
    /// When it was proposed.
    #[schema(value_type = String, format = DateTime)]
    created_at: Time,
    /// When it last changed.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Time,
}

impl From<Model> for Improvement {
    fn from(improvement: Model) -> Self {
        Self {
            id: improvement.id,
            entity_type: improvement.entity.entity_type.as_str(),
            entity_id: improvement.entity.entity_id,
            opportunity_id: improvement.opportunity_id,
            improvement_type: improvement.improvement_type.as_str(),
            proposed_by: improvement.proposed_by.as_str(),
            edits: json(&improvement.edits),
            base: improvement.base.map(|id| id.to_string()),
            candidate: improvement.candidate.map(|id| id.to_string()),
            rationale: improvement.rationale,
            expected_impact: improvement.expected_impact,
            confidence: improvement.confidence,
            status: improvement.status.as_str(),
            created_at: improvement.created_at,
            updated_at: improvement.updated_at,
        }
    }
}

/// A decided improvement.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Decided {
    /// The improvement.
    improvement_id: i64,
    /// `agent`, `tool`, `context` or `process`.
    entity_type: &'static str,
    /// Its number within the type.
    entity_id: i64,
    /// That entity's name.
    entity_name: String,
    /// One of the six types.
    improvement_type: String,
    /// `kept`, `rolled_back`, `inconclusive`, `rejected` or `cancelled`.
    outcome: String,
    /// Why, in words.
    reason: Option<String>,
    /// When its trial began.
    #[schema(value_type = Option<String>, format = DateTime)]
    started_at: Option<Time>,
    /// When it was decided.
    #[schema(value_type = String, format = DateTime)]
    decided_at: Time,
    /// Measured before.
    #[schema(value_type = Option<Object>)]
    metrics_before: Option<Value>,
    /// Measured after.
    #[schema(value_type = Option<Object>)]
    metrics_after: Option<Value>,
    /// How much better, from -1 to 1.
    effectiveness: Option<f64>,
    /// Lower end of its interval.
    effectiveness_low: Option<f64>,
    /// Upper end of its interval.
    effectiveness_high: Option<f64>,
}

impl From<HistoryRow> for Decided {
    fn from(row: HistoryRow) -> Self {
        Self {
            improvement_id: row.improvement_id,
            entity_type: row.entity.entity_type.as_str(),
            entity_id: row.entity.entity_id,
            entity_name: row.entity_name,
            improvement_type: row.improvement_type,
            outcome: row.outcome,
            reason: row.reason,
            started_at: row.started_at,
            decided_at: row.decided_at,
            metrics_before: row.metrics_before,
            metrics_after: row.metrics_after,
            effectiveness: row.effectiveness,
            effectiveness_low: row.effectiveness_low,
            effectiveness_high: row.effectiveness_high,
        }
    }
}

/// What came of one type of improvement.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Analytics {
    /// One of the six types.
    improvement_type: String,
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

impl From<AnalyticsRow> for Analytics {
    fn from(row: AnalyticsRow) -> Self {
        Self {
            improvement_type: row.improvement_type,
            total: row.total,
            kept: row.kept,
            rolled_back: row.rolled_back,
            inconclusive: row.inconclusive,
            success_rate: row.success_rate,
            mean_effectiveness: row.mean_effectiveness,
        }
    }
}

/// What improvements did for one entity.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Effectiveness {
    /// The entity.
    pub(crate) entity: Entity,
    /// How its improvement stands.
    pub(crate) status: EntityStatus,
    /// Its decided improvements, the latest first.
    pub(crate) history: Page<Decided>,
}
