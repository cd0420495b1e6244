//! `ImprovementMonitoringProcess`: looks at a trial at fixed boundaries, and acts on what the looks decide.

use serde_json::{Value, json};
use uplift_cycle::decide;
use uplift_cycle::monitor::{Monitor, State};
use uplift_cycle::trial::{exposure, ramp};
use uplift_model::entity::{Entity, EntityState};
use uplift_model::improvement::Improvement;
use uplift_model::metric::DeclaredMetric;
use uplift_model::process::{Lease, ProcessInstance};
use uplift_model::time::MICROS_PER_HOUR;
use uplift_model::trial::{Comparison, Trial, TrialKind, TrialRecord, UnitRecord};
use uplift_model::verdict::{Next, Verdict};
use uplift_model::{Time, policy::trial::TrialPolicy};
use uplift_store::rows::TrialFilter;
use uplift_store::{PageRequest, StoreError, StoreResult, Write};

use super::deploy::PROPAGATION_US;
use super::ending::{self, Case};
use super::{Report, commit, improvement_of, settle, step};
use crate::engine::Engine;
use crate::{known, load, units};

/// The state during the trial.
pub(crate) const TESTING: &str = "testing";
/// The state after a keep.
pub(crate) const HOLD_BACK: &str = "hold_back";
/// The state in which it ends.
pub(crate) const DONE: &str = "done";

/// Changed units read at once.
const UNITS: u32 = 2_000;
/// Reads of changed units in one step; what is left comes with the next one, before any look.
const READS: usize = 25;
/// Units of the time before that a comparison of before and after looks at.
const BEFORE_UNITS: u32 = 20_000;

/// Steps all instances that are due. What only goes on is committed together.
pub(super) async fn step_all(
    engine: &Engine,
    lease: &Lease,
    due: Vec<ProcessInstance>,
    report: &mut Report,
) -> StoreResult<()> {
    let mut together: Vec<(ProcessInstance, Vec<Write>)> = Vec::new();
    for instance in due {
        match step_one(engine, lease, &instance, report).await {
            Ok(Some(writes)) => together.push((instance, writes)),
            Ok(None) => {}
            Err(error) => settle(engine, lease, &instance, Err(error), report).await?,
        }
    }
    if together.is_empty() {
        return Ok(());
    }
    let all = together.iter().flat_map(|(_, writes)| writes.iter().cloned()).collect();
    match commit(engine, lease, all).await {
        Ok(_) => Ok(()),
        Err(error @ (StoreError::Closed | StoreError::StaleLease { .. })) => Err(error),
        // One of them stands in the way: each goes by itself, and only that one is noted.
        Err(_) => {
            for (instance, writes) in together {
                let result = commit(engine, lease, writes).await.map(drop);
                settle(engine, lease, &instance, result, report).await?;
            }
            Ok(())
        }
    }
}

/// One step: the writes where the trial goes on; none where it ended and everything is committed.
async fn step_one(
    engine: &Engine,
    lease: &Lease,
    instance: &ProcessInstance,
    report: &mut Report,
) -> StoreResult<Option<Vec<Write>>> {
    let improvement = engine.store().improvement(improvement_of(instance)?).await?;
    let Some(record) = running(engine, improvement.id).await? else {
        return Ok(Some(vec![step(instance, DONE, None, Some("no trial runs any more".to_owned()))]));
    };
    let entity = load::entity(engine, improvement.entity).await?;
    let case = Case {
        engine,
        lease: Some(lease),
        instance: Some(instance),
        improvement: &improvement,
        entity: &entity,
        record: &record,
    };
    if let Some(changed) = circumstances(&entity, &record) {
        ending::circumstances_changed(&case, changed).await?;
        return Ok(None);
    }
    let mut watched = Watched::load(engine, &improvement, &record).await?;
    if watched.more {
        let writes = vec![
            watched.saved(&record, record.looked_us, None)?,
            step(instance, &instance.state, Some(engine.now()), None),
        ];
        return Ok(Some(writes));
    }
    let looked = watched.look(&record, engine.now().micros());
    report.looks += looked.looks;
    let save = watched.saved(&record, looked.at_us, looked.verdict.as_ref())?;
    match looked.verdict {
        Some(verdict) if verdict.next != Next::Continue => {
            ending::decided(&case, verdict, vec![save], report).await?;
            Ok(None)
        }
        verdict => {
            let mut writes = vec![save];
            writes.extend(verdict.and_then(|verdict| grown(engine, &record, &verdict)));
            let wake_at = Some(due_after(&record.trial.policy, looked.at_us));
            writes.push(step(instance, &instance.state, wake_at, None));
            Ok(Some(writes))
        }
    }
}

/// The trial of an improvement that runs now.
pub(crate) async fn running(engine: &Engine, improvement_id: i64) -> StoreResult<Option<TrialRecord>> {
    let filter = TrialFilter { improvement_id: Some(improvement_id), running: true, ..TrialFilter::default() };
    Ok(engine.store().trials(filter, PageRequest::first(1)).await?.items.into_iter().next())
}

/// What changed around a trial so that it cannot go on as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Changed {
    /// The entity is no longer in use.
    Retired(EntityState),
    /// Somebody made the entity run another revision.
    Revision,
}

fn circumstances(entity: &Entity, record: &TrialRecord) -> Option<Changed> {
    if entity.state != EntityState::Active {
        return Some(Changed::Retired(entity.state));
    }
    let expected = match record.trial.kind {
        TrialKind::Trial => &record.base,
        TrialKind::HoldBack => &record.candidate,
    };
    (entity.revision.as_deref() != Some(expected.as_str())).then_some(Changed::Revision)
}

/// The length between two looks, microseconds.
fn interval_us(policy: &TrialPolicy) -> i64 {
    ((policy.look_minutes * 60e6) as i64).max(1)
}

/// The first boundary after a moment.
fn boundary_after(policy: &TrialPolicy, us: i64) -> i64 {
    let interval = interval_us(policy);
    us.div_euclid(interval).saturating_add(1).saturating_mul(interval)
}

/// When the look at the first boundary after a moment is due.
fn due_after(policy: &TrialPolicy, us: i64) -> Time {
    Time::from_micros(boundary_after(policy, us).saturating_add((policy.look_lag_seconds * 1e6) as i64))
}

/// When a trial is first looked at.
pub(crate) fn first_look(trial: &Trial) -> Time {
    due_after(&trial.policy, trial.started_us)
}

/// The next stage of the ramp, if it is due.
fn grown(engine: &Engine, record: &TrialRecord, verdict: &Verdict) -> Option<Write> {
    if record.trial.kind != TrialKind::Trial || record.trial.comparison != Comparison::Concurrent {
        return None;
    }
    let findings = &verdict.findings;
    let from_us = engine.now().plus_micros(PROPAGATION_US).micros();
    let stage = ramp::next_stage(&record.trial, findings.allocation.assigned, findings.interference, from_us)?;
    Some(Write::AddStage { id: record.id, stage })
}

/// A trial with its monitor and what changed since the last look.
struct Watched {
    monitor: Monitor,
    cursor: i64,
    more: bool,
}

/// What the looks of a step came to.
struct Looked {
    looks: u64,
    at_us: i64,
    verdict: Option<Verdict>,
}

impl Watched {
    async fn load(engine: &Engine, improvement: &Improvement, record: &TrialRecord) -> StoreResult<Self> {
        let state = engine.store().trial_state(record.id).await?;
        let mut monitor = match state {
            Some(state) => Monitor::resume(&record.trial, readable(record.id, state)?),
            None => Monitor::new(&record.trial),
        };
        let metrics = engine.policy().metrics.clone();
        if record.looked_us <= record.trial.started_us && record.cursor == 0 {
            before(engine, improvement, record, &metrics, &mut monitor).await?;
        }
        let (mut cursor, mut more) = (record.cursor, true);
        for _ in 0..READS {
            let batch = engine.store().changed_units(record.id, cursor, UNITS).await?;
            for unit in &batch.units {
                take_in(engine, record, unit, &metrics, &mut monitor).await?;
            }
            (cursor, more) = (batch.cursor.max(cursor), batch.more);
            if !more {
                break;
            }
        }
        Ok(Self { monitor, cursor, more })
    }

    /// Looks at every boundary that is due, in order, until one decides.
    fn look(&mut self, record: &TrialRecord, now_us: i64) -> Looked {
        let policy = &record.trial.policy;
        let lag_us = (policy.look_lag_seconds * 1e6) as i64;
        let mut looked = Looked { looks: 0, at_us: record.looked_us, verdict: None };
        let mut at_us = boundary_after(policy, record.looked_us);
        while at_us.saturating_add(lag_us) <= now_us {
            looked.looks += 1;
            looked.at_us = at_us;
            let look = self.monitor.look(at_us);
            let next = boundary_after(policy, at_us);
            let last = next.saturating_add(lag_us) > now_us;
            let due =
                decide::is_due(look.log_combined, look.log_allocation, look.crossover, look.horizon_reached, policy);
            if due || last {
                let verdict = decide::decide(&self.monitor.findings(at_us), policy);
                let decided = verdict.next != Next::Continue;
                looked.verdict = Some(verdict);
                if decided {
                    break;
                }
            }
            at_us = next;
        }
        looked
    }

    fn saved(&self, record: &TrialRecord, looked_us: i64, verdict: Option<&Verdict>) -> StoreResult<Write> {
        let state = serde_json::to_value(self.monitor.state())
            .map_err(|error| StoreError::Engine { context: "saving a trial's state", reason: error.to_string() })?;
        let hour = |us: i64| us.div_euclid(MICROS_PER_HOUR);
        let summary = verdict.filter(|_| hour(looked_us) > hour(record.looked_us)).map(summary);
        Ok(Write::SaveLook {
            id: record.id,
            expected_cursor: record.cursor,
            cursor: self.cursor,
            looked_us,
            state,
            verdict: verdict.cloned().map(Box::new),
            summary,
            forget_before_us: looked_us.saturating_sub(memory_us(record)),
        })
    }
}

/// How long a unit may still change what a look says, microseconds: as long as it may run and be scored, twice over.
fn memory_us(record: &TrialRecord) -> i64 {
    let policy = &record.trial.policy;
    let timeout_ms = policy.task_timeout(record.trial.baseline.duration.map(|duration| duration.p99));
    let windows = record.trial.metrics.iter().filter_map(|spec| match &spec.measure {
        uplift_model::metric::Measure::Custom(custom) => Some(custom.attribution_window_ms),
        _ => None,
    });
    let idle_ms = policy.session_idle_minutes * 60e3;
    (2e3 * (timeout_ms + idle_ms + windows.fold(0.0, f64::max))) as i64
}

fn readable(trial: i64, state: Value) -> StoreResult<State> {
    serde_json::from_value(state).map_err(|error| StoreError::Corrupt {
        place: format!("trial {trial}"),
        what: "a trial's state",
        reason: error.to_string(),
    })
}

async fn take_in(
    engine: &Engine,
    record: &TrialRecord,
    unit: &UnitRecord,
    metrics: &[DeclaredMetric],
    monitor: &mut Monitor,
) -> StoreResult<()> {
    let Some(started_us) = units::started(unit) else { return Ok(()) };
    let concurrent = record.trial.comparison == Comparison::Concurrent;
    if started_us < record.trial.started_us && concurrent {
        return Ok(());
    }
    let exposed = exposure::arm_of(record, unit, started_us);
    let mut outcome = units::outcome(unit, exposed.arm, exposed.crossed, metrics);
    // What is predicted may be taken off because chance gave both arms the same units; before and after, nothing did.
    if concurrent && record.trial.baseline.predictor.is_some() {
        known::note(engine, &record.trial.policy, unit, &mut outcome).await?;
    }
    monitor.record(&outcome);
    Ok(())
}

/// For a comparison of before and after: the units of the time before, without the window that raised the opportunity,
/// because what is picked for being bad gets better by itself.
async fn before(
    engine: &Engine,
    improvement: &Improvement,
    record: &TrialRecord,
    metrics: &[DeclaredMetric],
    monitor: &mut Monitor,
) -> StoreResult<()> {
    if record.trial.comparison != Comparison::BeforeAfter {
        return Ok(());
    }
    let start = Time::from_micros(record.trial.started_us);
    let raised = match improvement.opportunity_id {
        Some(id) => engine.store().opportunity(id).await?.finding.evidence.window_start,
        None => None,
    };
    let until = raised.map_or(start, |raised| raised.min(start));
    let span_us = (record.trial.policy.max_test_duration_hours * MICROS_PER_HOUR as f64) as i64;
    let since = until.plus_micros(-2 * span_us);
    let unit = record.trial.unit;
    for unit in engine.store().past_units(record.entity, unit, since, until, BEFORE_UNITS).await? {
        take_in(engine, record, &unit, metrics, monitor).await?;
    }
    Ok(())
}

/// What a chart needs of a look.
fn summary(verdict: &Verdict) -> Value {
    let findings = &verdict.findings;
    let metrics: serde_json::Map<String, Value> = findings
        .metrics
        .iter()
        .map(|metric| {
            let point = json!({
                "control": metric.control, "candidate": metric.candidate, "n": metric.n,
                "estimate": metric.effect.estimate, "low": metric.effect.low, "high": metric.effect.high,
            });
            (metric.name.clone(), point)
        })
        .collect();
    json!({
        "matured": findings.matured,
        "log_evidence": findings.combined.log_evidence,
        "log_threshold": findings.combined.log_threshold,
        "effectiveness": findings.effectiveness,
        "metrics": metrics,
    })
}
