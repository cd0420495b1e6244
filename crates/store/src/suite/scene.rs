//! Improvements and trials for the cases.

use std::collections::BTreeMap;

use uplift_model::edit::Edit;
use uplift_model::entity::{EntityKey, EntityType};
use uplift_model::improvement::{ImprovementStatus, ImprovementType, Proposal, ProposalSource};
use uplift_model::policy::trial::TrialPolicy;
use uplift_model::revision::{Configuration, Revision};
use uplift_model::trial::{AssignmentUnit, Baseline, Comparison, ShareStage, Trial, TrialKind, UnitRecord, UnitTask};
use uplift_model::verdict::{
    Allocation, Combined, Coverage, Decision, Findings, Interval, Method, Next, Phase, Reason, Verdict,
};

use super::sample::{declare, hour, step};
use crate::error::StoreResult;
use crate::reads::Store;
use crate::writes::{ImprovementChange, NewImprovement, NewTrial, Write};

/// A revision that is told from others by its model.
pub fn revision(model: &str) -> Revision {
    Revision::seal(Configuration { model: Some(model.to_owned()), ..Configuration::default() }).unwrap()
}

/// What every agent of these cases runs.
pub fn base() -> Revision {
    revision("base")
}

/// What is tried.
pub fn candidate() -> Revision {
    revision("candidate")
}

/// A proposal of a rule.
pub fn proposal() -> Proposal {
    Proposal {
        improvement_type: ImprovementType::InstructionUpdate,
        proposed_by: ProposalSource::Rule,
        proposer: "say_it".to_owned(),
        edits: vec![Edit::AppendGuideline { text: "Look twice.".to_owned() }],
        processes: Vec::new(),
        rationale: "once was not enough".to_owned(),
        expected_impact: "fewer errors".to_owned(),
        expected_gain: 0.25,
        confidence: 0.75,
        comparison: Comparison::Concurrent,
    }
}

/// An improvement to put on record, without a process.
pub fn new_improvement(entity: EntityKey) -> NewImprovement {
    NewImprovement {
        entity,
        opportunity_id: None,
        proposal: proposal(),
        status: ImprovementStatus::Proposed,
        process_due: None,
    }
}

/// Puts an improvement on record.
pub async fn propose(store: &dyn Store, entity: EntityKey) -> i64 {
    let put = Write::PutImprovement(Box::new(new_improvement(entity)));
    step(store, vec![put]).await.unwrap().improvements[0]
}

/// Changes an improvement from the version it has now.
///
/// # Errors
/// As the store says.
pub async fn change(store: &dyn Store, id: i64, change: ImprovementChange) -> StoreResult<()> {
    let expected_version = store.improvement(id).await.unwrap().version;
    let write = Write::ChangeImprovement { id, expected_version, change: Box::new(change) };
    step(store, vec![write]).await.map(drop)
}

/// Takes an improvement to a status.
///
/// # Errors
/// As the store says.
pub async fn take_to(store: &dyn Store, id: i64, status: ImprovementStatus) -> StoreResult<()> {
    change(store, id, ImprovementChange { status: Some(status), ..ImprovementChange::default() }).await
}

/// A trial that starts 10 hours after the start of the samples, half and half.
pub fn trial(kind: TrialKind, unit: AssignmentUnit) -> Trial {
    Trial {
        key: "key".to_owned(),
        kind,
        started_us: hour(10).micros(),
        unit,
        comparison: Comparison::Concurrent,
        stages: vec![ShareStage { from_us: hour(10).micros(), share: 0.1 }],
        metrics: Vec::new(),
        expected_units: 1_000.0,
        baseline: Baseline { units: 7, success_rate: Some(0.1 + 0.2), ..Baseline::default() },
        policy: TrialPolicy::default(),
    }
}

/// An agent that runs [`base`], and an improvement of it.
pub async fn improved(store: &dyn Store, agent: &str) -> (EntityKey, i64) {
    let entity = declare(store, EntityType::Agent, agent).await;
    let point = Write::PointRevision { entity, revision: Box::new(base()) };
    step(store, vec![point, Write::PutRevision(Box::new(candidate()))]).await.unwrap();
    (entity, propose(store, entity).await)
}

/// Starts a trial of [`candidate`] against [`base`].
///
/// # Errors
/// As the store says.
pub async fn start(store: &dyn Store, entity: EntityKey, improvement: i64, trial: Trial) -> StoreResult<i64> {
    Ok(step(store, vec![starting(entity, improvement, trial)]).await?.trials[0])
}

/// The write that starts a trial of [`candidate`] against [`base`].
pub fn starting(entity: EntityKey, improvement_id: i64, trial: Trial) -> Write {
    let (base, candidate) = (base().id().clone(), candidate().id().clone());
    Write::StartTrial(Box::new(NewTrial { improvement_id, entity, base, candidate, trial }))
}

/// An agent with a running trial.
pub async fn on_trial(store: &dyn Store, agent: &str, unit: AssignmentUnit) -> (EntityKey, i64) {
    let (entity, improvement) = improved(store, agent).await;
    (entity, start(store, entity, improvement, trial(TrialKind::Trial, unit)).await.unwrap())
}

/// The write that ends a trial.
pub fn ending(id: i64) -> Write {
    Write::EndTrial { id, ending: "enough".to_owned(), verdict: None }
}

/// A look that takes in everything up to a cursor.
pub fn look(id: i64, expected_cursor: i64, cursor: i64) -> Write {
    Write::SaveLook {
        id,
        expected_cursor,
        cursor,
        looked_us: hour(12).micros(),
        state: serde_json::json!({"seen": cursor}),
        verdict: None,
        summary: None,
        forget_before_us: 0,
    }
}

/// A verdict with nothing behind it.
pub fn verdict(text: &str) -> Verdict {
    Verdict {
        decision: Decision::Running,
        strength: None,
        next: Next::Continue,
        reasons: vec![Reason::TooEarly],
        deciding: Vec::new(),
        text: text.to_owned(),
        units_needed: Some(100),
        findings: Findings {
            at_us: hour(12).micros(),
            method: Method::Live,
            phase: Phase::Early,
            last: false,
            may_prove: true,
            watch_only: false,
            matured: [1, 2],
            immature: 3,
            late: 0,
            allocation: Allocation::default(),
            coverage: Coverage::default(),
            combined: Combined::default(),
            effectiveness: Interval { estimate: 0.25, low: -0.5, high: 0.75 },
            balance: 0.0,
            metrics: Vec::new(),
            interference: false,
        },
    }
}

/// Everything that changed since a cursor, read in batches of `limit`, the last word on each unit; and the cursor.
pub async fn read_on(
    store: &dyn Store,
    trial: i64,
    mut cursor: i64,
    limit: u32,
) -> (BTreeMap<String, UnitRecord>, i64) {
    let mut units = BTreeMap::new();
    loop {
        let batch = store.changed_units(trial, cursor, limit).await.unwrap();
        assert!(batch.units.len() <= limit as usize);
        units.extend(batch.units.into_iter().map(|unit| (unit.unit.clone(), unit)));
        cursor = batch.cursor;
        if !batch.more {
            return (units, cursor);
        }
    }
}

/// The units of a trial that are not empty, each with the names of its tasks.
pub async fn shown(store: &dyn Store, trial: i64) -> Vec<(String, Vec<String>)> {
    let (units, _) = read_on(store, trial, 0, 100).await;
    let named = |unit: UnitRecord| (unit.unit, unit.tasks.into_iter().map(|task: UnitTask| task.task_id).collect());
    units.into_values().filter(|unit| !unit.tasks.is_empty()).map(named).collect()
}
