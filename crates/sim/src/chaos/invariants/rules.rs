//! Who may be where, and when.

use std::collections::{BTreeMap, BTreeSet};

use uplift_model::entity::EntityKey;
use uplift_model::improvement::ImprovementStatus;
use uplift_model::opportunity::OpportunityStatus;
use uplift_model::policy::EnginePolicy;
use uplift_model::process::Lease;
use uplift_model::trial::TrialKind;
use uplift_model::{Policy, Time};

use super::{Scene, counts, require};
use crate::chaos::ledger::Fact;

pub(super) fn one_per_entity(scene: &Scene<'_>) -> Result<(), String> {
    let state = scene.state;
    let busy = [ImprovementStatus::Validated, ImprovementStatus::Testing];
    let occupying = state.improvements.iter().filter(|improvement| busy.contains(&improvement.status));
    for (entity, improvements) in counts(occupying.map(|improvement| improvement.entity)) {
        require(improvements <= 1, || format!("{improvements} improvements occupy {entity}"))?;
    }
    let running = state.trials.iter().filter(|record| record.running);
    for (entity, trials) in counts(running.map(|record| record.entity)) {
        require(trials <= 1, || format!("{trials} trials run on {entity}"))?;
    }
    Ok(())
}

pub(super) fn status_paths(scene: &Scene<'_>) -> Result<(), String> {
    let mut statuses: BTreeMap<i64, ImprovementStatus> = BTreeMap::new();
    for entry in scene.ledger {
        match entry.fact {
            Fact::Proposed { improvement, status } => {
                statuses.insert(improvement, status);
            }
            Fact::Moved { improvement, to } => {
                let from = statuses.insert(improvement, to);
                let may = from.is_some_and(|from| from == to || from.next().contains(&to));
                require(may, || format!("improvement {improvement} went from {from:?} to {to}"))?;
            }
            _ => {}
        }
    }
    for improvement in &scene.state.improvements {
        let committed = statuses.get(&improvement.id);
        require(committed == Some(&improvement.status), || {
            format!("improvement {} is {}, and {committed:?} was committed", improvement.id, improvement.status)
        })?;
    }
    Ok(())
}

pub(super) fn status_and_trial(scene: &Scene<'_>) -> Result<(), String> {
    let state = scene.state;
    for improvement in &state.improvements {
        let running: Vec<TrialKind> = state
            .trials
            .iter()
            .filter(|record| record.running && record.improvement_id == improvement.id)
            .map(|record| record.trial.kind)
            .collect();
        let fits = match improvement.status {
            ImprovementStatus::Testing => running == [TrialKind::Trial],
            ImprovementStatus::Deployed => running.is_empty() || running == [TrialKind::HoldBack],
            _ => running.is_empty(),
        };
        require(fits, || {
            format!("improvement {} is {}, and these run: {running:?}", improvement.id, improvement.status)
        })?;
    }
    Ok(())
}

/// Whether the trial is one of an improvement that had none before: not a hold-back, not a restart.
fn is_first(kind: TrialKind, improvement: i64, begun: &mut BTreeSet<i64>) -> bool {
    kind == TrialKind::Trial && begun.insert(improvement)
}

pub(super) fn pause(scene: &Scene<'_>) -> Result<(), String> {
    let (mut paused, mut begun) = (false, BTreeSet::new());
    for entry in scene.ledger {
        match &entry.fact {
            Fact::Set { name, value } if name == "paused" => paused = value.as_bool().unwrap_or(false),
            Fact::Started { trial, new } if is_first(new.trial.kind, new.improvement_id, &mut begun) => {
                require(!paused, || format!("trial {trial} began at {} though trials are paused", entry.at))?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// The engine's settings with what was set at run time.
fn in_force(policy: &Policy, set: Option<&serde_json::Value>) -> Result<EnginePolicy, String> {
    let mut engine = serde_json::to_value(&policy.engine).map_err(|error| error.to_string())?;
    if let (Some(serde_json::Value::Object(set)), Some(fields)) = (set, engine.as_object_mut()) {
        fields.extend(set.clone());
    }
    serde_json::from_value(engine).map_err(|error| error.to_string())
}

pub(super) fn settings(scene: &Scene<'_>) -> Result<(), String> {
    let engine = in_force(scene.policy, scene.state.settings.as_ref())?;
    let policy = Policy { engine, ..scene.policy.clone() };
    policy.check().map_err(|error| error.to_string())
}

pub(super) fn concurrency_and_cooldown(scene: &Scene<'_>) -> Result<(), String> {
    // What is written in the moment of a change may have been worked out before it.
    let (mut engine, mut newer) = (scene.policy.engine.clone(), None::<(Time, EnginePolicy)>);
    let mut running: BTreeMap<i64, EntityKey> = BTreeMap::new();
    let (mut last, mut begun): (BTreeMap<EntityKey, Time>, _) = (BTreeMap::new(), BTreeSet::new());
    for entry in scene.ledger {
        if let Some((_, settings)) = newer.take_if(|(at, _)| *at != entry.at) {
            engine = settings;
        }
        match &entry.fact {
            Fact::Set { name, value } if name == "engine" => {
                if let Some((_, settings)) = newer.replace((entry.at, in_force(scene.policy, Some(value))?)) {
                    engine = settings;
                }
            }
            Fact::Started { trial, new } => {
                if is_first(new.trial.kind, new.improvement_id, &mut begun) {
                    let newest = newer.as_ref().map_or(&engine, |(_, settings)| settings);
                    let most = engine.max_concurrent_improvements.max(newest.max_concurrent_improvements) as usize;
                    require(running.len() < most, || {
                        format!("trial {trial} began beside {} others, {most} may run", running.len())
                    })?;
                    let rest_us = i64::try_from(engine.cooldown_period.min(newest.cooldown_period).as_micros())
                        .unwrap_or(i64::MAX);
                    let rested = last.get(&new.entity).is_none_or(|last| last.plus_micros(rest_us) <= entry.at);
                    require(rested, || {
                        format!("trial {trial} began at {}, the last one of {} ended {last:?}", entry.at, new.entity)
                    })?;
                }
                if new.trial.kind == TrialKind::Trial {
                    running.insert(*trial, new.entity);
                }
            }
            Fact::Ended { trial } => {
                if let Some(entity) = running.remove(trial) {
                    let at = last.get(&entity).map_or(entry.at, |before| entry.at.max(*before));
                    last.insert(entity, at);
                }
            }
            _ => {}
        }
    }
    Ok(())
}

pub(super) fn leases(scene: &Scene<'_>) -> Result<(), String> {
    let mut held: BTreeMap<&str, &Lease> = BTreeMap::new();
    for entry in scene.ledger {
        if let Some(lease) = &entry.lease {
            let now = held.get(lease.name.as_str());
            require(now == Some(&lease), || {
                format!("a commit at {} was written under {lease:?}, held was {now:?}", entry.at)
            })?;
        }
        if let Fact::Claimed(lease) = &entry.fact {
            let before = held.insert(&lease.name, lease);
            let forward = before.is_none_or(|before| {
                lease.epoch > before.epoch || (lease.epoch == before.epoch && lease.holder == before.holder)
            });
            require(forward, || format!("the lease went from {before:?} to {lease:?}"))?;
        }
    }
    Ok(())
}

pub(super) fn opportunities(scene: &Scene<'_>) -> Result<(), String> {
    let state = scene.state;
    for opportunity in state.opportunities.iter().filter(|one| one.status == OpportunityStatus::InProgress) {
        let worked_on = state.improvements.iter().any(|improvement| {
            improvement.opportunity_id == Some(opportunity.id)
                && improvement.status != ImprovementStatus::Deployed
                && !improvement.status.next().is_empty()
        });
        require(worked_on, || {
            format!("opportunity {} is in progress, and nothing is done about it", opportunity.id)
        })?;
    }
    Ok(())
}
