//! Improvements and what came of them.

use serde::Serialize;
use serde_json::Value;
use uplift_cycle::decide::claims::Helped;
use uplift_model::Time;
use uplift_model::entity::Entity as ModelEntity;
use uplift_model::history::HistoryOutcome;
use uplift_model::improvement::Improvement as Model;
use uplift_runner::helped::WhatHelped;
use uplift_store::rows::{AnalyticsRow, EffectRow, HistoryRow};
use utoipa::ToSchema;

use super::entity::{Entity, EntityStatus, json};
use super::opportunity::Opportunity;
use super::page::Page;
use super::process::Process;
use super::trial::TrialReport;

/// A change to an entity, and how far it has come.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Improvement {
    /// Its number.
    id: i64,
    /// `agent`, `tool`, `context` or `process`.
    entity_type: &'static str,
    /// Its number within the type.
    entity_id: i64,
    /// That entity's name.
    entity_name: String,
    /// The entity's environment.
    environment: String,
    /// The opportunity it answers.
    opportunity_id: Option<i64>,
    /// One of the six types.
    improvement_type: &'static str,
    /// `rule`, `llm`, `agent` or `operator`.
    proposed_by: &'static str,
    /// The rule, the model, the agent or the person.
    proposer: String,
    /// The edits, in order; empty where nobody could fill it yet.
    #[schema(value_type = Vec<Object>)]
    edits: Value,
    /// Processes that come into being with it.
    #[schema(value_type = Vec<Object>)]
    processes: Value,
    /// `concurrent`, or `before_after` for the weaker comparison with the time before.
    #[schema(value_type = String)]
    comparison: Value,
    /// The revision they are applied to.
    base: Option<String>,
    /// The revision that comes out.
    candidate: Option<String>,
    /// Why this should help.
    rationale: String,
    /// What it is expected to gain.
    expected_impact: String,
    /// The same as a number, from 0 to 1.
    expected_gain: f64,
    /// From 0 to 1.
    confidence: f64,
    /// How far it has come: `proposed`, `validated`, `rejected`, `testing`, `deployed`, `rolled_back`,
    /// `needs_proposal`, `awaiting_approval`, `queued` or `cancelled`.
    status: &'static str,
    /// Who said yes, where somebody had to.
    approved_by: Option<String>,
    /// When it was proposed.
    #[schema(value_type = String, format = DateTime)]
    created_at: Time,
    /// When it last changed.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Time,
    /// Counts up with every change.
    version: i64,
}

impl Improvement {
    /// An improvement of this entity.
    pub(crate) fn of(improvement: Model, entity: &ModelEntity) -> Self {
        let proposal = improvement.proposal;
        Self {
            id: improvement.id,
            entity_type: improvement.entity.entity_type.as_str(),
            entity_id: improvement.entity.entity_id,
            entity_name: entity.name.clone(),
            environment: entity.environment.clone(),
            opportunity_id: improvement.opportunity_id,
            improvement_type: proposal.improvement_type.as_str(),
            proposed_by: proposal.proposed_by.as_str(),
            proposer: proposal.proposer,
            edits: json(&proposal.edits),
            processes: json(&proposal.processes),
            comparison: json(&proposal.comparison),
            base: improvement.base.map(|id| id.to_string()),
            candidate: improvement.candidate.map(|id| id.to_string()),
            rationale: proposal.rationale,
            expected_impact: proposal.expected_impact,
            expected_gain: proposal.expected_gain,
            confidence: proposal.confidence,
            status: improvement.status.as_str(),
            approved_by: improvement.approved_by,
            created_at: improvement.created_at,
            updated_at: improvement.updated_at,
            version: improvement.version,
        }
    }
}

/// Everything about one improvement.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ImprovementReport {
    /// The improvement.
    #[serde(flatten)]
    pub(crate) improvement: Improvement,
    /// The opportunity it answers.
    pub(crate) opportunity: Option<Opportunity>,
    /// What validation found, check by check: name, result (`passed`, `waits`, `refused`) and detail.
    #[schema(value_type = Vec<Object>)]
    pub(crate) checks: Value,
    /// What the trial can be expected to see; null before validation.
    #[schema(value_type = Option<Object>)]
    pub(crate) preflight: Value,
    /// The configuration that the edits are applied to: the one in place, as long as none is fixed.
    #[schema(value_type = Option<Object>)]
    pub(crate) base_configuration: Option<Value>,
    /// The configuration that comes out; null where the edits do not apply.
    #[schema(value_type = Option<Object>)]
    pub(crate) candidate_configuration: Option<Value>,
    /// Its trials, the latest first, each with its latest verdict.
    pub(crate) trials: Vec<TrialReport>,
    /// What became of it, the earliest entry first.
    pub(crate) history: Vec<DecidedReport>,
    /// The processes that work on it, with the steps they took, the latest first.
    pub(crate) process_instances: Vec<Process>,
}

/// An entry of the history with everything behind it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DecidedReport {
    /// The entry.
    #[serde(flatten)]
    decided: Decided,
    /// What a rollback goes (or went) back to.
    rollback_revision: Option<String>,
    /// A report for people, in Markdown.
    report: Option<String>,
    /// The decision with everything behind it.
    #[schema(value_type = Option<Object>)]
    verdict: Option<Value>,
}

impl DecidedReport {
    /// An entry, with what may be claimed of it.
    pub(crate) fn of(mut row: HistoryRow, helped: &WhatHelped) -> Self {
        Self {
            rollback_revision: row.rollback_revision.take().map(|id| id.to_string()),
            report: row.report.take(),
            verdict: row.verdict.take(),
            decided: Decided::of(row, helped),
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
    /// Whether it may be said that it helped, of what was kept; null where nothing could be claimed (not kept, compared
    /// with the time before, no goal).
    claim: Option<Claim>,
}

/// Whether it may be said that a kept improvement helped, at the fleet's `false_claims`.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct Claim {
    /// Whether it may be said.
    stands: bool,
    /// Whether the improvement was taken back for harm after the keep.
    withdrawn: bool,
    /// Natural logarithm of the evidence that it helped; null where none can be read.
    log_evidence: Option<f64>,
    /// Natural logarithm of the evidence that it takes, at its place among all trials.
    log_needed: f64,
}

impl From<&Helped> for Claim {
    fn from(helped: &Helped) -> Self {
        Self {
            stands: helped.stands,
            withdrawn: helped.withdrawn,
            log_evidence: helped.log_evidence.is_finite().then_some(helped.log_evidence),
            log_needed: helped.log_needed,
        }
    }
}

impl Decided {
    /// An entry, with what may be claimed of it.
    pub(crate) fn of(row: HistoryRow, helped: &WhatHelped) -> Self {
        let kept = row.outcome == HistoryOutcome::Kept.as_str();
        let claim = helped.improvements.get(&row.improvement_id).filter(|_| kept).map(Into::into);
        Self {
            claim,
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
    /// Kept ones of which it may be said that they helped, at the fleet's `false_claims`.
    helped: u64,
}

impl Analytics {
    /// A row, with how many claims stand.
    pub(crate) fn of(row: AnalyticsRow, helped: &WhatHelped) -> Self {
        Self {
            helped: helped.by_type.get(&row.improvement_type).copied().unwrap_or_default(),
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
    /// What the kept ones did.
    pub(crate) kept: Effect,
    /// What those did that were taken back for harm.
    pub(crate) rolled_back: Effect,
    /// Its decided improvements, the latest first.
    pub(crate) history: Page<Decided>,
}

/// What some improvements did, on average.
#[derive(Debug, Default, PartialEq, Serialize, ToSchema)]
pub(crate) struct Effect {
    /// How many.
    pub(crate) count: usize,
    /// Their mean effectiveness, from -1 to 1; null where none was measured.
    pub(crate) mean_effectiveness: Option<f64>,
    /// Lower end of its interval, the trials taken as independent.
    pub(crate) low: Option<f64>,
    /// Upper end of its interval.
    pub(crate) high: Option<f64>,
}

impl Effect {
    /// Of those that ended like this.
    pub(crate) fn of(rows: &[EffectRow], outcome: HistoryOutcome) -> Self {
        let rows: Vec<&EffectRow> = rows.iter().filter(|row| row.outcome == outcome.as_str()).collect();
        let measured: Vec<(f64, f64, f64)> = rows.iter().filter_map(|row| row.effectiveness).collect();
        if measured.is_empty() {
            return Self { count: rows.len(), ..Self::default() };
        }
        let n = measured.len() as f64;
        let mean = measured.iter().map(|(estimate, _, _)| estimate).sum::<f64>() / n;
        // Errors of independent estimates add up by their squares.
        let half = |width: fn(&(f64, f64, f64)) -> f64| {
            measured.iter().map(|one| width(one).powi(2)).sum::<f64>().sqrt() / n
        };
        Self {
            count: rows.len(),
            mean_effectiveness: Some(mean),
            low: Some((mean - half(|(estimate, low, _)| estimate - low)).max(-1.0)),
            high: Some((mean + half(|(estimate, _, high)| high - estimate)).min(1.0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(effectiveness: Option<(f64, f64, f64)>) -> EffectRow {
        EffectRow { outcome: "kept".to_owned(), effectiveness }
    }

    #[test]
    fn effects_are_averaged_with_their_intervals() {
        let of = |rows: &[EffectRow]| Effect::of(rows, HistoryOutcome::Kept);
        assert_eq!(of(&[]), Effect::default());
        assert_eq!(of(&[row(None)]), Effect { count: 1, ..Effect::default() });
        let one =
            of(&[row(Some((0.3, 0.1, 0.5))), row(None), EffectRow { outcome: "rolled_back".into(), ..row(None) }]);
        assert_eq!((one.count, one.mean_effectiveness), (2, Some(0.3)));
        assert!((one.low.unwrap() - 0.1).abs() < 1e-9 && (one.high.unwrap() - 0.5).abs() < 1e-9);
        let four = of(&[(0.2, 0.0, 0.4); 4].map(|interval| row(Some(interval))));
        assert!((four.low.unwrap() - 0.1).abs() < 1e-9 && (four.high.unwrap() - 0.3).abs() < 1e-9, "{four:?}");
    }
}
