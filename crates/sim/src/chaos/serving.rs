//! What must hold of every answer that agents get.

use uplift_model::Time;
use uplift_model::entity::{Entity, EntityState};
use uplift_model::improvement::ImprovementStatus;
use uplift_model::revision::RevisionId;
use uplift_model::trial::{Arm, Comparison, TrialKind, TrialRecord, bucket};

use super::state::State;
use super::world::{Node, Seen};

/// The revision that a unit has to get, by what the store holds: what resolvers of the same state must say.
pub fn expected(entity: &Entity, running: Option<&TrialRecord>, unit: &str, now: Time) -> Option<RevisionId> {
    let in_place = RevisionId::from_stored(entity.revision.clone()?);
    if matches!(entity.state, EntityState::Inactive | EntityState::Archived | EntityState::Failed) {
        return Some(in_place);
    }
    let Some(record) = running else { return Some(in_place) };
    let trial = &record.trial;
    let against = if trial.kind == TrialKind::HoldBack { &record.candidate } else { &record.base };
    if *against != in_place {
        return Some(in_place);
    }
    let begun = trial.stages.iter().rev().find(|stage| stage.from_us <= now.micros());
    let Some(stage) = begun else { return Some(in_place) };
    if trial.comparison == Comparison::BeforeAfter || bucket(&trial.key, unit) < stage.share {
        return Some(record.candidate.clone());
    }
    Some(record.base.clone())
}

/// Asks a process for every entity and some units, and compares with what the store says. To be called once the process
/// has had the time to learn of the last commit.
pub fn probe(node: &Node, state: &State, units: &[String], now: Time, seen: &mut Seen) {
    for entity in &state.entities {
        let running = state.running(entity.key);
        for unit in units {
            let resolved = node.engine.snapshot().resolve_key(entity.key, Some(unit), now.micros());
            let served = resolved.as_ref().map(|resolved| resolved.revision().id.clone());
            let wanted = expected(entity, running, unit, now);
            if served != wanted {
                let text = format!(
                    "process {} serves {served:?} to unit {unit} of {}, and not {wanted:?}",
                    node.number, entity.name
                );
                seen.wrong.push(("I6", text));
            }
            let Some(exposure) = resolved.and_then(|resolved| resolved.exposure()) else { continue };
            let Some(record) = state.trials.iter().find(|record| record.id == exposure.trial) else { continue };
            let arm = if exposure.arm == "candidate" { Arm::Candidate } else { Arm::Control };
            let stage = record.trial.stage_at(now.micros());
            note_arm(seen, record.id, unit, stage, arm);
        }
    }
}

fn note_arm(seen: &mut Seen, trial: i64, unit: &str, stage: usize, arm: Arm) {
    let arms = seen.arms.entry((trial, unit.to_owned())).or_default();
    let before = *arms.entry(stage).or_insert(arm);
    let moved_back = arms.range(..stage).any(|(_, earlier)| *earlier == Arm::Candidate) && arm == Arm::Control;
    if before != arm || moved_back {
        seen.wrong.push(("I7", format!("unit {unit} of trial {trial} came to {arm:?} in stage {stage}: {arms:?}")));
    }
}

/// Asks a process that has been cut off from the store for longer than a minute: it may serve nothing that could have
/// been taken back without its knowledge.
pub fn probe_cut_off(node: &Node, state: &State, units: &[String], now: Time, seen: &mut Seen) {
    for entity in &state.entities {
        let taken_back = |id: &RevisionId| {
            entity.revision.as_deref() != Some(id.as_str())
                && state.trials.iter().any(|record| {
                    let status = state.improvement(record.improvement_id).map(|improvement| improvement.status);
                    record.entity == entity.key
                        && record.candidate == *id
                        && !record.running
                        && status == Some(ImprovementStatus::RolledBack)
                })
        };
        for unit in units {
            let Some(resolved) = node.engine.snapshot().resolve_key(entity.key, Some(unit), now.micros()) else {
                continue;
            };
            if !node.engine.snapshot().is_cut_off() || resolved.exposed || taken_back(&resolved.revision().id) {
                let text = format!(
                    "process {}, cut off, serves {} to unit {unit} of {}",
                    node.number,
                    resolved.revision().id,
                    entity.name
                );
                seen.wrong.push(("I6", text));
            }
        }
    }
}
