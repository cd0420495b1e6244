//! What is on record: events, processes, revisions.

use std::collections::BTreeSet;

use uplift_model::improvement::ImprovementStatus;
use uplift_model::process::{IMPROVEMENT_MONITORING_PROCESS, IMPROVEMENT_PROCESS};
use uplift_model::revision::{Revision, RevisionId};

use super::{Scene, counts, require};
use crate::chaos::ledger::Fact;

/// Errors of a step that are no fault: somebody else acted in the same moment.
const OVERTAKEN: [&str; 2] = ["has changed meanwhile", "is occupied by"];

pub(super) fn events_and_tasks(scene: &Scene<'_>) -> Result<(), String> {
    let (seen, counts) = (scene.seen, &scene.state.counts);
    let sure = seen.acknowledged.len() as i64;
    let most = sure + seen.unanswered.len() as i64;
    let (own_least, own_most) = match &scene.state.own_events {
        Some(own) => (own.len() as i64, own.len() as i64),
        None => (0, promised(scene).len() as i64),
    };
    let events = counts.events;
    require((sure + own_least..=most + own_most).contains(&events), || {
        format!("{events} events are stored; {sure} were acknowledged, {most} sent, {own_least} are our own")
    })?;
    let named = |ids: &BTreeSet<(String, String)>| ids.iter().map(|(task, _)| task.clone()).collect::<BTreeSet<_>>();
    if scene.state.own_events.is_some() {
        let sure = named(&seen.acknowledged);
        let most = sure.union(&named(&seen.unanswered)).count() as i64;
        require((sure.len() as i64..=most).contains(&counts.tasks), || {
            format!("{} tasks are stored; {} were acknowledged, {most} sent", counts.tasks, sure.len())
        })?;
    }
    Ok(())
}

/// Events that were promised, with all they say: the same event twice is one.
fn promised(scene: &Scene<'_>) -> BTreeSet<(String, String)> {
    let promised = scene.ledger.iter().filter_map(|entry| match &entry.fact {
        Fact::Promised { event, payload } => Some((event.clone(), payload.clone())),
        _ => None,
    });
    promised.collect()
}

pub(super) fn own_events(scene: &Scene<'_>) -> Result<(), String> {
    let promised = promised(scene);
    for (event, texts) in counts(promised.iter().map(|(event, _)| event)) {
        require(texts == 1, || format!("the event {event} was promised with {texts} different texts"))?;
    }
    let Some(own) = &scene.state.own_events else { return Ok(()) };
    for (event, times) in counts(own.iter().map(|(id, _)| id)) {
        require(times == 1, || format!("the event {event} is on record {times} times"))?;
    }
    let waiting: BTreeSet<&str> =
        scene.state.outbox.iter().filter_map(|row| row.payload.get("id").and_then(|id| id.as_str())).collect();
    let told: BTreeSet<&str> = own.iter().map(|(id, _)| id.as_str()).collect();
    for (event, _) in &promised {
        let found = told.contains(event.as_str()) || waiting.contains(event.as_str());
        require(found, || format!("the event {event} was promised and is nowhere"))?;
    }
    let known: BTreeSet<&str> = promised.iter().map(|(event, _)| event.as_str()).collect();
    match told.iter().find(|id| !known.contains(*id)) {
        Some(id) => Err(format!("the event {id} is on record, and nobody promised it")),
        None => Ok(()),
    }
}

pub(super) fn nothing_forgotten(scene: &Scene<'_>) -> Result<(), String> {
    let state = scene.state;
    let awake = |improvement: i64, name: &str| {
        let subject = format!("improvement/{improvement}");
        state.processes.iter().any(|row| {
            row.instance.subject == subject
                && row.instance.name == name
                && row.ended_at.is_none()
                && row.instance.wake_at.is_some()
        })
    };
    for improvement in &state.improvements {
        use ImprovementStatus as S;
        let held_back = state.trials.iter().any(|record| record.running && record.improvement_id == improvement.id);
        let process = match improvement.status {
            S::Proposed | S::AwaitingApproval | S::Queued | S::Validated => IMPROVEMENT_PROCESS,
            S::Testing => IMPROVEMENT_MONITORING_PROCESS,
            S::Deployed if held_back => IMPROVEMENT_MONITORING_PROCESS,
            _ => continue,
        };
        require(awake(improvement.id, process), || {
            format!("improvement {} is {}, and no {process} will wake", improvement.id, improvement.status)
        })?;
    }
    for row in state.processes.iter().filter(|row| row.ended_at.is_none()) {
        let Some(error) = &row.instance.last_error else { continue };
        require(OVERTAKEN.iter().any(|known| error.contains(known)), || {
            format!("{} {}: {error}", row.instance.name, row.instance.subject)
        })?;
    }
    Ok(())
}

pub(super) fn revisions(scene: &Scene<'_>) -> Result<(), String> {
    for (id, configuration) in &scene.state.revisions {
        let sealed = Revision::seal(configuration.clone()).map_err(|error| error.to_string())?;
        require(sealed.id() == id, || format!("revision {id} holds {}", sealed.id()))?;
        let text = serde_json::to_string(configuration).map_err(|error| error.to_string())?;
        let same = scene.seen.revisions.get(id.as_str()).is_none_or(|before| *before == text);
        require(same, || format!("revision {id} has changed"))?;
    }
    Ok(())
}

pub(super) fn trails(scene: &Scene<'_>) -> Result<(), String> {
    for entity in &scene.state.entities {
        let mut committed: Vec<&RevisionId> = scene
            .ledger
            .iter()
            .filter_map(|entry| match &entry.fact {
                Fact::Pointed { entity: pointed, revision } if *pointed == entity.key => Some(revision),
                _ => None,
            })
            .collect();
        committed.dedup();
        let mut trail: Vec<&RevisionId> =
            scene.state.trails.get(&entity.key).into_iter().flatten().rev().map(|since| &since.revision).collect();
        trail.dedup();
        require(trail == committed, || format!("{} ran {trail:?}, and {committed:?} was committed", entity.name))?;
        let last = trail.last().map(|revision| revision.as_str());
        require(last == entity.revision.as_deref(), || {
            format!("{} runs {:?}, not {last:?}", entity.name, entity.revision)
        })?;
    }
    Ok(())
}
