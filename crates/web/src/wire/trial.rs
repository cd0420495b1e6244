//! Trials: who is compared, on how much, and what was seen so far.

use serde::Serialize;
use serde_json::Value;
use uplift_model::Time;
use uplift_model::entity::Entity;
use uplift_model::trial::{ShareStage, TrialRecord};
use utoipa::ToSchema;

use super::entity::json;

/// A trial.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Trial {
    /// Its number.
    id: i64,
    /// The improvement on trial.
    improvement_id: i64,
    /// `agent`, `tool`, `context` or `process`.
    entity_type: &'static str,
    /// Its number within the type.
    entity_id: i64,
    /// That entity's name.
    entity_name: String,
    /// The entity's environment.
    environment: String,
    /// `trial`, or `hold_back` for the watch after a keep.
    #[schema(value_type = String)]
    kind: Value,
    /// `concurrent` or `before_after`.
    #[schema(value_type = String)]
    comparison: Value,
    /// What is assigned to an arm: `task` or `session`.
    #[schema(value_type = String)]
    unit: Value,
    /// True until it has ended.
    running: bool,
    /// The revision that control runs.
    base: String,
    /// The revision that the candidate arm runs.
    candidate: String,
    /// When it started.
    #[schema(value_type = String, format = DateTime)]
    started_at: Time,
    /// When something may be kept at the earliest.
    #[schema(value_type = String, format = DateTime)]
    horizon_at: Time,
    /// When it ends at the latest.
    #[schema(value_type = String, format = DateTime)]
    last_horizon_at: Time,
    /// Part of the units that get the candidate now.
    share: f64,
    /// Shares over time, ascending.
    stages: Vec<Stage>,
    /// Units seen so far: control, candidate; null before the first look.
    #[schema(value_type = Option<Vec<u64>>)]
    units: Option<[u64; 2]>,
    /// Those of them whose outcome is final: control, candidate.
    #[schema(value_type = Option<Vec<u64>>)]
    matured: Option<[u64; 2]>,
    /// The latest moment that was looked at.
    #[schema(value_type = String, format = DateTime)]
    looked_at: Time,
    /// What the latest full look decided: `running`, `keep`, `rollback`, `inconclusive` or `invalid_allocation`.
    #[schema(value_type = Option<String>)]
    decision: Option<Value>,
    /// The same in a sentence or two.
    decision_text: Option<String>,
    /// When it ended.
    #[schema(value_type = Option<String>, format = DateTime)]
    ended_at: Option<Time>,
    /// How it ended, in a sentence.
    ending: Option<String>,
}

/// A share of the candidate and the time from which it applies.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Stage {
    /// From when.
    #[schema(value_type = String, format = DateTime)]
    from: Time,
    /// Part of the units that get the candidate.
    share: f64,
}

impl From<&ShareStage> for Stage {
    fn from(stage: &ShareStage) -> Self {
        Self { from: Time::from_micros(stage.from_us), share: stage.share }
    }
}

impl Trial {
    /// A trial of this entity, as it stands at `now`.
    pub(crate) fn of(record: &TrialRecord, entity: &Entity, now: Time) -> Self {
        let trial = &record.trial;
        let until = record.ended_at.unwrap_or(now);
        let share = trial.stages.get(trial.stage_at(until.micros())).map_or(0.0, |stage| stage.share);
        let verdict = record.verdict.as_ref();
        Self {
            id: record.id,
            improvement_id: record.improvement_id,
            entity_type: record.entity.entity_type.as_str(),
            entity_id: record.entity.entity_id,
            entity_name: entity.name.clone(),
            environment: entity.environment.clone(),
            kind: json(&trial.kind),
            comparison: json(&trial.comparison),
            unit: json(&trial.unit),
            running: record.running,
            base: record.base.to_string(),
            candidate: record.candidate.to_string(),
            started_at: Time::from_micros(trial.started_us),
            horizon_at: Time::from_micros(trial.horizon_us()),
            last_horizon_at: Time::from_micros(trial.last_horizon_us()),
            share,
            stages: trial.stages.iter().map(Into::into).collect(),
            units: verdict.map(|verdict| verdict.findings.allocation.assigned),
            matured: verdict.map(|verdict| verdict.findings.matured),
            looked_at: Time::from_micros(record.looked_us),
            decision: verdict.map(|verdict| json(&verdict.decision)),
            decision_text: verdict.map(|verdict| verdict.text.clone()),
            ended_at: record.ended_at,
            ending: record.ending.clone(),
        }
    }
}

/// A trial with the numbers of its latest full look.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TrialReport {
    /// The trial.
    #[serde(flatten)]
    trial: Trial,
    /// The decision of the latest full look with everything behind it: reasons, findings metric by metric.
    #[schema(value_type = Option<Object>)]
    verdict: Option<Value>,
}

impl TrialReport {
    /// A trial of this entity, as it stands at `now`.
    pub(crate) fn of(record: &TrialRecord, entity: &Entity, now: Time) -> Self {
        Self { trial: Trial::of(record, entity, now), verdict: record.verdict.as_ref().map(json) }
    }
}

/// A trial whole.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TrialDetail {
    /// The trial.
    #[serde(flatten)]
    pub(crate) report: TrialReport,
    /// As declared: metrics with their roles, the history it is measured against, and the numbers its decisions obey.
    #[schema(value_type = Object)]
    pub(crate) declaration: Value,
    /// Summaries of its looks, the earliest first, for charts.
    pub(crate) looks: Vec<Look>,
}

/// What a look saw.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Look {
    /// The moment that was looked at.
    #[schema(value_type = String, format = DateTime)]
    at: Time,
    /// Matured units, evidence, effectiveness, and each metric with its interval.
    #[schema(value_type = Object)]
    summary: Value,
}

impl From<(i64, Value)> for Look {
    fn from((at_us, summary): (i64, Value)) -> Self {
        Self { at: Time::from_micros(at_us), summary }
    }
}
