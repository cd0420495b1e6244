//! What is decided, and what follows from it.

use std::collections::BTreeMap;

use uplift_model::edit::apply;
use uplift_model::entity::EntityKey;
use uplift_model::history::HistoryOutcome;
use uplift_model::improvement::ImprovementStatus;
use uplift_model::merge::merge;
use uplift_model::revision::{Revision, RevisionId};
use uplift_model::trial::{TrialKind, hours_us};
use uplift_store::writes::NewTrial;

use super::{Scene, counts, require};
use crate::chaos::ledger::{Entry, Fact};

pub(super) fn once(scene: &Scene<'_>) -> Result<(), String> {
    let rows = &scene.state.history;
    for ((improvement, started), entries) in counts(rows.iter().map(|row| (row.improvement_id, row.started_at))) {
        require(entries <= 1, || {
            format!("improvement {improvement} has {entries} entries for its trial of {started:?}")
        })?;
    }
    let answers = ["kept", "inconclusive"];
    let answered = rows.iter().filter(|row| answers.contains(&row.outcome.as_str()));
    for (improvement, entries) in counts(answered.map(|row| row.improvement_id)) {
        require(entries <= 1, || format!("improvement {improvement} was answered {entries} times"))?;
    }
    for (trial, ends) in counts(scene.ledger.iter().filter_map(|entry| match entry.fact {
        Fact::Ended { trial } => Some(trial),
        _ => None,
    })) {
        require(ends <= 1, || format!("trial {trial} ended {ends} times"))?;
    }
    Ok(())
}

/// The trials that ever began, by number.
fn trials(ledger: &[Entry]) -> BTreeMap<i64, &NewTrial> {
    let begun = ledger.iter().filter_map(|entry| match &entry.fact {
        Fact::Started { trial, new } => Some((*trial, new.as_ref())),
        _ => None,
    });
    begun.collect()
}

/// A revision that an entity runs, and whether somebody put it there by hand.
#[derive(Debug, Clone, PartialEq)]
struct InPlace {
    revision: RevisionId,
    by_hand: bool,
}

pub(super) fn rollback_is_exact(scene: &Scene<'_>) -> Result<(), String> {
    let trials = trials(scene.ledger);
    let mut in_place: BTreeMap<EntityKey, InPlace> = BTreeMap::new();
    for commit in scene.ledger.chunk_by(|a, b| a.commit == b.commit) {
        let moved = commit.iter().find_map(|entry| match entry.fact {
            Fact::Moved { improvement, to } => Some((improvement, to)),
            _ => None,
        });
        let before = in_place.clone();
        for entry in commit {
            if let Fact::Pointed { entity, revision } = &entry.fact {
                // A change that is taken out of what somebody set by hand leaves the rest of it there.
                let left = moved.is_some_and(|(_, to)| to == ImprovementStatus::RolledBack)
                    && before.get(entity).is_some_and(|before| before.by_hand);
                let by_hand = moved.is_none() || left;
                in_place.insert(*entity, InPlace { revision: revision.clone(), by_hand });
            }
        }
        let Some((improvement, to @ (ImprovementStatus::RolledBack | ImprovementStatus::Cancelled))) = moved else {
            continue;
        };
        let ended = commit.iter().find_map(|entry| match entry.fact {
            Fact::Ended { trial } => trials.get(&trial).copied(),
            _ => None,
        });
        let Some(entity) = scene.state.improvement(improvement).map(|one| one.entity) else { continue };
        let (before, after) = (before.get(&entity), in_place.get(&entity));
        match ended {
            Some(new) if new.trial.kind == TrialKind::Trial => after_trial(improvement, new, before, after)?,
            _ if to == ImprovementStatus::RolledBack => taken_out(scene, improvement, before, after)?,
            _ => require(before == after, || {
                format!("improvement {improvement} never ran, and its end replaced {before:?} by {after:?}")
            })?,
        }
    }
    Ok(())
}

/// The pointer never moves in a trial; what somebody set by hand meanwhile stays.
fn after_trial(
    improvement: i64,
    new: &NewTrial,
    before: Option<&InPlace>,
    after: Option<&InPlace>,
) -> Result<(), String> {
    let what =
        || format!("improvement {improvement}: {before:?} before its end, {after:?} after it, base {}", new.base);
    let (Some(before), Some(after)) = (before, after) else { return Err(what()) };
    require(before == after && (after.by_hand || after.revision != new.candidate), what)
}

/// A kept change that is taken back is taken out of what is in place, whoever set that: exactly the base where it is
/// the candidate, else everything that came since without the change.
fn taken_out(
    scene: &Scene<'_>,
    improvement: i64,
    before: Option<&InPlace>,
    after: Option<&InPlace>,
) -> Result<(), String> {
    let what = |why: &str| format!("taking improvement {improvement} back made {after:?} of {before:?}: {why}");
    let kept = scene.state.improvement(improvement).ok_or_else(|| what("it is not on record"))?;
    let (Some(before), Some(after), Some(base), Some(candidate)) = (before, after, &kept.base, &kept.candidate)
    else {
        return Err(what("a revision is not on record"));
    };
    if before.revision == *candidate {
        return require(after.revision == *base, || what(&format!("its base is {base}")));
    }
    let stored = |id: &RevisionId| scene.state.revisions.get(id).ok_or_else(|| what(&format!("{id} is gone")));
    let merged = merge(stored(candidate)?, stored(&before.revision)?, stored(base)?)
        .map_err(|conflicts| what(&format!("the same places were changed: {conflicts:?}")))?;
    let expected = Revision::seal(merged).map_err(|error| what(&error.to_string()))?;
    require(after.revision == *expected.id(), || what(&format!("{} was to be left", expected.id())))
}

pub(super) fn no_early_keep(scene: &Scene<'_>) -> Result<(), String> {
    let trials = trials(scene.ledger);
    for entry in scene.ledger {
        let Fact::Recorded(record) = &entry.fact else { continue };
        if record.outcome != HistoryOutcome::Kept {
            continue;
        }
        let trial = trials.values().find(|new| {
            new.improvement_id == record.improvement_id
                && Some(new.trial.started_us) == record.started_at.map(uplift_model::Time::micros)
        });
        let (Some(new), Some(verdict)) = (trial, &record.verdict) else {
            return Err(format!("improvement {} was kept without a trial", record.improvement_id));
        };
        let policy = &new.trial.policy;
        let over_us = new.trial.started_us + hours_us(policy.test_duration_hours);
        let matured = verdict.findings.matured;
        let enough = matured.iter().all(|units| *units >= policy.min_units_per_arm);
        require(record.decided_at.micros() >= over_us && enough, || {
            format!("improvement {} was kept at {} on {matured:?} units", record.improvement_id, record.decided_at)
        })?;
    }
    Ok(())
}

pub(super) fn reasons(scene: &Scene<'_>) -> Result<(), String> {
    for improvement in &scene.state.improvements {
        let outcomes: &[&str] = match improvement.status {
            ImprovementStatus::Rejected => &["rejected"],
            ImprovementStatus::Cancelled => &["cancelled"],
            ImprovementStatus::Deployed => &["kept", "inconclusive"],
            ImprovementStatus::RolledBack => &["rolled_back", "inconclusive", "cancelled"],
            _ => continue,
        };
        let last = scene.state.history.iter().rfind(|row| row.improvement_id == improvement.id);
        let told = last.is_some_and(|row| {
            let reason = row.reason.as_deref().unwrap_or_default();
            outcomes.contains(&row.outcome.as_str()) && !reason.is_empty()
        });
        require(told, || {
            let entry = last.map(|row| (&row.outcome, &row.reason));
            format!("improvement {} is {}, and its last entry is {entry:?}", improvement.id, improvement.status)
        })?;
    }
    Ok(())
}

pub(super) fn complete_proposals(scene: &Scene<'_>) -> Result<(), String> {
    let state = scene.state;
    let tried = [ImprovementStatus::Validated, ImprovementStatus::Testing, ImprovementStatus::Deployed];
    for improvement in state.improvements.iter().filter(|one| tried.contains(&one.status)) {
        let id = improvement.id;
        let (Some(base), Some(candidate)) = (&improvement.base, &improvement.candidate) else {
            return Err(format!("improvement {id} is {} without revisions", improvement.status));
        };
        let configuration = state.revisions.get(base).ok_or_else(|| format!("the base of {id} is gone"))?;
        let base = Revision::seal(configuration.clone()).map_err(|error| error.to_string())?;
        let applied = apply(&base, &improvement.proposal.edits).map_err(|error| error.to_string())?;
        require(applied.id() == candidate, || {
            format!("the candidate of improvement {id} is not what its edits make")
        })?;
    }
    for record in state.trials.iter().filter(|record| record.running) {
        let Some(improvement) = state.improvement(record.improvement_id) else {
            return Err(format!("trial {} is of no improvement", record.id));
        };
        let same = improvement.base.as_ref() == Some(&record.base)
            && improvement.candidate.as_ref() == Some(&record.candidate);
        require(same, || format!("trial {} does not try what improvement {} says", record.id, improvement.id))?;
    }
    Ok(())
}
