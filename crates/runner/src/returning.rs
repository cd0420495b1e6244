//! Solved problems: they are opened again only if what happened since says so.
//!
//! After a change was kept, windows and hourly counts still hold what came before it, and some traffic stays on the
//! old revision. [`returns`] judges what came afterwards; here it is loaded, and a solved opportunity is opened again
//! rather than another one made of the same problem.

use std::collections::BTreeSet;
use std::sync::Arc;

use uplift_cycle::detect::input::{EntityWindow, Judgement};
use uplift_cycle::detect::returns::{self, Since};
use uplift_cycle::detect::{degradation, errors};
use uplift_model::operation::Operation;
use uplift_model::opportunity::{Finding, Opportunity, OpportunityKind, OpportunityStatus};
use uplift_model::{EntityKey, Hour};
use uplift_store::rows::{Mark, OpportunityFilter};
use uplift_store::{PageRequest, StoreResult, Write};

use crate::engine::Engine;
use crate::load::{self, LoadedMark};
use crate::watch;

/// Most solved and most open opportunities of an entity that are looked at in one go.
const MOST: u32 = 100;
/// The number in the evidence of a slower operation that says how long it took before.
const BEFORE: &str = "geometric_mean_ms_7_days_before";

/// What is to be done about a mark whose problem was solved before.
pub(crate) struct Known {
    /// Whether it is back.
    pub(crate) is_back: bool,
    /// Why the mark itself is withdrawn.
    pub(crate) reason: String,
    /// What opens the solved one again, if it is back.
    pub(crate) writes: Vec<Write>,
}

/// What is to be done about a mark whose problem was solved before; none where it never was.
pub(crate) async fn marked(engine: &Engine, mark: &Mark) -> StoreResult<Option<Known>> {
    let finding = &mark.opportunity.finding;
    let (entity, kind) = (finding.entity, finding.kind);
    let Some(done) = engine.store().completed(entity, kind, finding.fingerprint.clone()).await? else {
        return Ok(None);
    };
    let (since, again) = since_solved(engine, mark, &done).await?;
    let is_back = since.is_back();
    let reason = if is_back { format!("opportunity {} is open again", done.id) } else { since.reason() };
    let writes = if is_back { reopen(engine, &done, since, again) } else { Vec::new() };
    Ok(Some(Known { is_back, reason, writes }))
}

/// Solved problems of an entity that rules in the database mark and that are back: those rules fire on crossing their
/// thresholds only, and the count that was above before the change stays above after it if nothing changed.
pub(crate) async fn solved_marks(engine: &Engine, entity: EntityKey) -> StoreResult<Vec<Write>> {
    let mut writes = Vec::new();
    let mut open = None;
    let mut seen = BTreeSet::new();
    for kind in [OpportunityKind::RecurringError, OpportunityKind::PerformanceDegradation] {
        for done in of(engine, entity, &[OpportunityStatus::Completed], Some(kind)).await? {
            if open.is_none() {
                open = Some(open_keys(engine, entity).await?);
            }
            let key = (kind, done.finding.fingerprint.clone());
            // Only the latest of a key counts, and none where one is open.
            if open.as_ref().is_some_and(|open| open.contains(&key)) || !seen.insert(key) {
                continue;
            }
            let mark = Mark { marked_hour: done.finding.last_seen_at.hour(), opportunity: done };
            if let Some(known) = marked(engine, &mark).await? {
                writes.extend(known.writes);
            }
        }
    }
    Ok(writes)
}

/// The findings that may be put on record: those of solved problems only if these are back. With them what opens these
/// again, to be written first.
pub(crate) async fn findings(
    engine: &Engine,
    window: &EntityWindow,
    found: Vec<Finding>,
) -> StoreResult<(Vec<Finding>, Vec<Write>)> {
    let (mut kept, mut writes) = (Vec::with_capacity(found.len()), Vec::new());
    if found.is_empty() {
        return Ok((kept, writes));
    }
    let open = open_keys(engine, window.entity).await?;
    for finding in found {
        let key = (finding.kind, finding.fingerprint.clone());
        let solved = engine.store().completed(window.entity, key.0, key.1.clone());
        let done = if open.contains(&key) { None } else { solved.await? };
        let Some(done) = done else {
            kept.push(finding);
            continue;
        };
        let source = finding.source;
        if let Some((mut again, since)) = found_again(engine, window, finding, &done).await? {
            again.source = source;
            writes.push(opening(engine, &done, since));
            kept.push(again);
        }
    }
    Ok((kept, writes))
}

/// The finding as it stands since its problem was solved, if it is back.
async fn found_again(
    engine: &Engine,
    window: &EntityWindow,
    finding: Finding,
    done: &Opportunity,
) -> StoreResult<Option<(Finding, Since)>> {
    // The calls that became a process are still made, and reported, one by one.
    if finding.kind == OpportunityKind::RepeatedSequence {
        return Ok(None);
    }
    let policy = engine.policy();
    let (tasks, again) = if done.updated_at <= window.start {
        (window.tasks.len(), Some(finding))
    } else {
        let since = returns::window_since(window.clone(), done.updated_at);
        let tasks = since.tasks.len();
        let key = (finding.kind, finding.fingerprint);
        let found = watch::compute(Arc::new(since), policy.clone()).await?;
        (tasks, found.into_iter().find(|found| found.kind == key.0 && found.fingerprint == key.1))
    };
    let Some(again) = again else { return Ok(None) };
    let touched = (again.impact.tasks_affected * tasks as f64).round() as i64;
    let original = done.finding.impact.tasks_affected;
    let since = returns::judge(original, touched, tasks as i64, policy.detection.min_tasks);
    Ok(since.is_back().then_some((again, since)))
}

/// What came of a solved problem that rules mark, and the finding as it stands now, if there is one.
async fn since_solved(engine: &Engine, mark: &Mark, done: &Opportunity) -> StoreResult<(Since, Option<Finding>)> {
    let policy = engine.policy();
    let detection = &policy.detection;
    // The hour in which it was solved holds both.
    let from = done.updated_at.hour().plus(1);
    let original = done.finding.impact.tasks_affected;
    let nothing = returns::judge(original, 0, 0, detection.min_tasks);
    match load::mark(engine, mark).await? {
        LoadedMark::Error(loaded) => {
            let until = loaded.hours.last().map_or(from, |(hour, _)| *hour).max(done.updated_at.hour());
            let tasks = tasks_between(engine, loaded.entity, from, until.plus(HOURS_AHEAD)).await?;
            let since = returns::errors_since(&loaded, from, tasks);
            let Judgement::Confirmed(finding) = errors::judge(&since, detection) else {
                return Ok((returns::judge(original, 0, tasks, detection.min_tasks), None));
            };
            let judged = returns::judge(original, since.tasks_affected, tasks, detection.min_tasks);
            Ok((judged, Some(finding)))
        }
        LoadedMark::Operation(loaded) => {
            let operation = loaded.operation.to_string();
            let until = engine.now().hour().max(mark.marked_hour).plus(HOURS_AHEAD);
            let hours = engine.store().operation_hours(loaded.entity, operation, from, until).await?;
            let Some(before) = done.finding.evidence.numbers.get(BEFORE) else { return Ok((nothing, None)) };
            let threshold = detection.degradation_threshold;
            let (slow, calls) = returns::slow_since(&hours, from, *before, threshold);
            // Every call of the operation was slower, so its share is of the calls.
            let judged = returns::judge(1.0, slow, calls, detection.baseline_minimum);
            let finding = match degradation::judge(&loaded, detection) {
                Judgement::Confirmed(finding) => Some(finding),
                Judgement::Withdrawn { .. } => None,
            };
            Ok((judged, finding))
        }
        LoadedMark::Unknown { .. } => Ok((nothing, None)),
    }
}

/// Hours after the last error, or after now, that are read too: the entity's clock may be ahead of ours.
const HOURS_AHEAD: i64 = 24 * 365;

async fn tasks_between(engine: &Engine, entity: EntityKey, from: Hour, to: Hour) -> StoreResult<i64> {
    let tasks = engine.store().operation_hours(entity, Operation::Task.to_string(), from, to).await?;
    Ok(tasks.iter().map(|(_, sum)| sum.n).sum())
}

fn reopen(engine: &Engine, done: &Opportunity, since: Since, again: Option<Finding>) -> Vec<Write> {
    let mut writes = vec![opening(engine, done, since)];
    writes.extend(again.map(|finding| Write::PutFinding { finding: Box::new(finding), quiet_since: None }));
    writes
}

fn opening(engine: &Engine, done: &Opportunity, since: Since) -> Write {
    Write::ReopenOpportunity { id: done.id, not_before: engine.now(), reason: since.reason() }
}

/// What is open of an entity, by kind and fingerprint.
async fn open_keys(engine: &Engine, entity: EntityKey) -> StoreResult<BTreeSet<(OpportunityKind, String)>> {
    let open = [OpportunityStatus::Pending, OpportunityStatus::InProgress];
    let open = of(engine, entity, &open, None).await?;
    Ok(open.into_iter().map(|open| (open.finding.kind, open.finding.fingerprint)).collect())
}

async fn of(
    engine: &Engine,
    entity: EntityKey,
    status: &[OpportunityStatus],
    kind: Option<OpportunityKind>,
) -> StoreResult<Vec<Opportunity>> {
    let filter =
        OpportunityFilter { entity: Some(entity), status: status.to_vec(), kind, ..OpportunityFilter::default() };
    Ok(engine.store().opportunities(filter, PageRequest::first(MOST)).await?.items)
}
