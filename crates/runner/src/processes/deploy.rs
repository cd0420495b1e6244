//! From a validated improvement to a running trial.

use uplift_cycle::trial::ramp;
use uplift_cycle::validate::Outcome;
use uplift_model::entity::Entity;
use uplift_model::event::EventKind;
use uplift_model::improvement::{Improvement, ImprovementStatus};
use uplift_model::policy::trial::TrialPolicy;
use uplift_model::process::{IMPROVEMENT_MONITORING_PROCESS, Lease, ProcessInstance};
use uplift_model::revision::Revision;
use uplift_model::trial::{Comparison, ShareStage, Trial, TrialKind};
use uplift_model::{Policy, Time};
use uplift_store::StoreResult;
use uplift_store::writes::{ImprovementChange, NewTrial, Write};

use super::improve::{DONE, VALIDATE};
use super::watching::{TESTING, first_look};
use super::{Report, commit, commit_with, outbox, step, subject};
use crate::attached;
use crate::engine::Engine;
use crate::validating::{self, Loaded};

/// How far ahead of the commit a trial or a stage begins, microseconds: by then every resolver knows of it, so that no
/// unit is counted for an arm it was not served.
pub(crate) const PROPAGATION_US: i64 = 2_000_000;

/// Starts the trial, if everything still holds: other trials may have started since validation.
pub(super) async fn deploy(
    engine: &Engine,
    lease: &Lease,
    instance: &ProcessInstance,
    improvement: &Improvement,
    report: &mut Report,
) -> StoreResult<()> {
    let loaded = validating::load_and_validate(engine, improvement).await?;
    let candidate = match &loaded.validation.outcome {
        Outcome::Accepted(candidate) if is_the_same(improvement, &loaded, candidate) => candidate,
        _ => return look_again(engine, lease, instance, improvement).await,
    };
    let Some(base) = &loaded.base else { return look_again(engine, lease, instance, improvement).await };
    let mut writes = attached::declared(engine, &loaded.entity, improvement).await?;
    let trial = declare(engine, improvement, &loaded);
    let wake_at = first_look(&trial);
    let new = NewTrial {
        improvement_id: improvement.id,
        entity: improvement.entity,
        base: base.id().clone(),
        candidate: candidate.id().clone(),
        trial,
    };
    let testing = ImprovementChange { status: Some(ImprovementStatus::Testing), ..ImprovementChange::default() };
    writes.extend([
        Write::ChangeImprovement {
            id: improvement.id,
            expected_version: improvement.version,
            change: Box::new(testing),
        },
        Write::StartTrial(Box::new(new)),
        Write::StartProcess {
            name: IMPROVEMENT_MONITORING_PROCESS.to_owned(),
            subject: subject(improvement.id),
            state: TESTING.to_owned(),
            wake_at,
        },
        step(instance, DONE, None, Some("the trial began".to_owned())),
    ]);
    let text = loaded.preflight.as_ref().map_or_else(String::new, |preflight| preflight.text.clone());
    let told = outbox::event(EventKind::ImprovementStarted, improvement.id, improvement.entity, engine.now(), text);
    match commit_with(engine, lease, writes, vec![told]).await {
        Ok(_) => {
            report.started += 1;
            Ok(())
        }
        Err(error) => {
            engine.read_switch().await?;
            // Paused since it was validated: it waits like the others.
            if engine.is_paused() { look_again(engine, lease, instance, improvement).await } else { Err(error) }
        }
    }
}

/// A proposal is complete: what is deployed is what was validated, on the base it was validated on.
fn is_the_same(improvement: &Improvement, loaded: &Loaded, candidate: &Revision) -> bool {
    improvement.candidate.as_ref() == Some(candidate.id())
        && improvement.base.as_ref() == loaded.base.as_ref().map(Revision::id)
}

async fn look_again(
    engine: &Engine,
    lease: &Lease,
    instance: &ProcessInstance,
    improvement: &Improvement,
) -> StoreResult<()> {
    let queued = ImprovementChange { status: Some(ImprovementStatus::Queued), ..ImprovementChange::default() };
    let writes = vec![
        Write::ChangeImprovement {
            id: improvement.id,
            expected_version: improvement.version,
            change: Box::new(queued),
        },
        step(instance, VALIDATE, Some(engine.now()), Some("circumstances changed since validation".to_owned())),
    ];
    commit(engine, lease, writes).await.map(drop)
}

/// What a trial of this entity obeys.
pub(crate) fn trial_policy(policy: &Policy, entity: &Entity) -> TrialPolicy {
    let hours = entity.improvement_config.test_hours(&policy.engine);
    let whole = policy.trial_policy();
    TrialPolicy {
        test_duration_hours: hours,
        max_test_duration_hours: whole.max_test_duration_hours.max(hours),
        ..whole
    }
}

fn declare(engine: &Engine, improvement: &Improvement, loaded: &Loaded) -> Trial {
    let policy = trial_policy(&engine.policy(), &loaded.entity);
    let started_us = engine.now().plus_micros(PROPAGATION_US).micros();
    let comparison = improvement.proposal.comparison;
    let first = match comparison {
        Comparison::Concurrent => ramp::first_stage(&policy, started_us),
        Comparison::BeforeAfter => ShareStage { from_us: started_us, share: 1.0 },
    };
    Trial {
        key: format!("improvement/{}/{started_us}", improvement.id),
        kind: TrialKind::Trial,
        started_us,
        unit: loaded.entity.improvement_config.unit.unwrap_or_default(),
        comparison,
        stages: vec![first],
        metrics: loaded.trial_metrics.clone(),
        expected_units: loaded.units_per_day * policy.test_duration_hours / 24.0,
        baseline: loaded.baseline.clone(),
        policy,
    }
}

/// The watch after a keep: a small share stays on the old revision. None where the policy wants none, or where the
/// entity cannot be split.
pub(crate) fn hold_back(trial: &Trial, improvement_id: i64, now: Time) -> Option<Trial> {
    let policy = &trial.policy;
    if policy.hold_back_days <= 0.0 || trial.comparison == Comparison::BeforeAfter {
        return None;
    }
    let hours = policy.hold_back_days * 24.0;
    let started_us = now.plus_micros(PROPAGATION_US).micros();
    let scale = hours / policy.test_duration_hours.max(f64::MIN_POSITIVE);
    Some(Trial {
        key: format!("improvement/{improvement_id}/hold-back/{started_us}"),
        kind: TrialKind::HoldBack,
        started_us,
        stages: vec![ShareStage { from_us: started_us, share: 1.0 - policy.hold_back_share }],
        expected_units: trial.expected_units * scale,
        ..trial.clone()
    })
}
