//! From the store to the steps' inputs.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};
use uplift_cycle::detect::health::{Health, HealthInput, assess};
use uplift_cycle::detect::input::{
    CallSample, Decision, EntityWindow, ErrorMark, OperationMark, Step, TaskSample, TaskTimes,
};
use uplift_cycle::detect::returns;
use uplift_model::entity::Entity;
use uplift_model::operation::Operation;
use uplift_model::opportunity::OpportunityKind;
use uplift_model::rollup::OperationDelta;
use uplift_model::time::HOURS_PER_DAY;
use uplift_model::trial::TrialKind;
use uplift_model::{EntityKey, Time};
use uplift_store::rows::{CallRow, EntitySelector, EntityTrend, Mark, TaskRow, TrialFilter};
use uplift_store::{PageRequest, StoreError, StoreResult};

use crate::engine::Engine;

/// Hours before the marked one that the comparison of durations needs: a day and the week before it.
const HOURS_BEFORE: i64 = 191;
/// Hours after the marked one that may hold it in their last day.
const HOURS_AFTER: i64 = 23;
/// Attributes of a task's first event that list what the agent has, where no revision says so.
const DECLARED_TOOLS: &str = "tools";
const DECLARED_CONTEXTS: &str = "contexts";

/// What a rule in the database marked, with what a detector needs to judge it.
pub enum LoadedMark {
    /// A recurring error.
    Error(ErrorMark),
    /// A slower operation.
    Operation(OperationMark),
    /// Nothing that a rule here can judge.
    Unknown {
        /// The opportunity.
        opportunity_id: i64,
        /// Why it cannot be judged.
        reason: String,
    },
}

/// Loads what a mark is about.
///
/// # Errors
/// When the store cannot be read.
pub async fn mark(engine: &Engine, mark: &Mark) -> StoreResult<LoadedMark> {
    let opportunity = &mark.opportunity;
    let finding = &opportunity.finding;
    let (opportunity_id, entity, name) = (opportunity.id, finding.entity, opportunity.entity_name.clone());
    match finding.kind {
        OpportunityKind::RecurringError => {
            let fingerprint = finding.fingerprint.clone();
            let history = match engine.store().error_history(entity, fingerprint.clone()).await {
                Ok(history) => history,
                Err(StoreError::NotFound { .. }) => {
                    let reason = "no error group of this fingerprint is on record".to_owned();
                    return Ok(LoadedMark::Unknown { opportunity_id, reason });
                }
                Err(error) => return Err(error),
            };
            Ok(LoadedMark::Error(ErrorMark {
                opportunity_id,
                entity,
                entity_name: name,
                total: history.hours.iter().map(|(_, n)| n).sum(),
                last_seen_at: history.last_seen_at.unwrap_or(finding.last_seen_at),
                template: history.template,
                hours: history.hours,
                tasks_total: history.tasks_total,
                tasks_affected: history.tasks_affected,
                events: history.events,
            }))
        }
        OpportunityKind::PerformanceDegradation => {
            let Some(operation) = Operation::parse(&finding.fingerprint) else {
                let reason = "its fingerprint is not an operation".to_owned();
                return Ok(LoadedMark::Unknown { opportunity_id, reason });
            };
            operation_mark(engine, mark, operation).await.map(LoadedMark::Operation)
        }
        kind => Ok(LoadedMark::Unknown { opportunity_id, reason: format!("no rule marks {kind}") }),
    }
}

async fn operation_mark(engine: &Engine, mark: &Mark, operation: Operation) -> StoreResult<OperationMark> {
    let finding = &mark.opportunity.finding;
    let store = engine.store();
    // One that was withdrawn is judged again by the latest day on record, which the mark does not know of.
    let marked_hour = if mark.opportunity.status.is_open() {
        mark.marked_hour
    } else {
        let latest = entity(engine, finding.entity).await?.last_seen_at;
        latest.map_or(mark.marked_hour, |at| at.hour().plus(-HOURS_AFTER))
    };
    let (from, to) = (marked_hour.plus(-HOURS_BEFORE), marked_hour.plus(HOURS_AFTER));
    let history = store.operation_history(finding.entity, operation.to_string(), from, to).await?;
    let tasks = store.operation_hours(finding.entity, Operation::Task.to_string(), from, to).await?;
    let latest = history.hours.last().map_or(marked_hour, |(hour, _)| *hour);
    Ok(OperationMark {
        opportunity_id: mark.opportunity.id,
        entity: finding.entity,
        entity_name: mark.opportunity.entity_name.clone(),
        operation,
        hours: history.hours,
        marked_hour,
        tasks_total: tasks.iter().map(|(_, sum)| sum.n).sum(),
        events: history.events,
        last_seen_at: finding.last_seen_at.max(latest.start()),
    })
}

/// An entity by its key.
///
/// # Errors
/// When there is none.
pub async fn entity(engine: &Engine, key: EntityKey) -> StoreResult<Entity> {
    let selector =
        EntitySelector { entity_type: key.entity_type, id_or_name: key.entity_id.to_string(), environment: None };
    engine.store().entity(selector).await
}

/// When the configuration of an entity last changed: a change was kept, taken back, or came with its code. None where
/// it runs what it began with: that its configuration became known changed nothing.
///
/// # Errors
/// When the store cannot be read.
pub async fn changed_at(engine: &Engine, key: EntityKey) -> StoreResult<Option<Time>> {
    let trail = engine.store().revision_trail(key, 2).await?;
    Ok(trail.first().filter(|_| trail.len() > 1).map(|latest| latest.since))
}

/// Since when an entity runs one configuration; none while a trial runs on it.
async fn alike_since(engine: &Engine, key: EntityKey) -> StoreResult<Option<Time>> {
    let filter = TrialFilter { entity: Some(key), running: true, ..TrialFilter::default() };
    let running = engine.store().trials(filter, PageRequest::first(uplift_store::page::MAX_PAGE)).await?.items;
    if running.iter().any(|record| record.trial.kind == TrialKind::Trial) {
        return Ok(None);
    }
    Ok(Some(engine.store().last_change(key).await?.unwrap_or(Time::EARLIEST)))
}

/// The latest tasks of an entity that started after its configuration last changed; none where it has no events.
///
/// # Errors
/// When the store cannot be read.
pub async fn window(engine: &Engine, key: EntityKey) -> StoreResult<Option<EntityWindow>> {
    let policy = engine.policy();
    let detection = &policy.detection;
    let store = engine.store();
    let known = entity(engine, key).await?;
    let rows = store.entity_window(key, detection.window_days, detection.window_max_tasks).await?;
    let Some(as_of) = rows.as_of else { return Ok(None) };
    let (mut tools, mut contexts) = (BTreeSet::new(), BTreeSet::new());
    if let Some(revision) = &known.revision {
        let id = uplift_model::revision::RevisionId::from_stored(revision);
        let configuration = store.revision(id).await?;
        tools.extend(configuration.tools.into_iter().map(|tool| tool.name));
        contexts.extend(configuration.contexts);
    }
    let mut tool_calls = BTreeMap::new();
    let mut tasks = Vec::with_capacity(rows.tasks.len());
    for row in rows.tasks {
        for call in &row.calls {
            *tool_calls.entry(call.tool.clone()).or_insert(0) += 1;
        }
        let attributes: Map<String, Value> =
            row.attributes.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        if known.revision.is_none() {
            tools.extend(names_in(&attributes, DECLARED_TOOLS));
            contexts.extend(names_in(&attributes, DECLARED_CONTEXTS));
        }
        tasks.push(task(row, stratum(&attributes, &detection.pattern_strata)));
    }
    let window = EntityWindow {
        entity: key,
        entity_name: known.name,
        as_of,
        start: as_of.plus_hours(-24 * i64::from(detection.window_days)),
        alike_since: alike_since(engine, key).await?,
        tasks,
        declared_tools: tools.into_iter().collect(),
        declared_contexts: contexts.into_iter().collect(),
        tool_calls,
        context_reads: rows.context_reads.into_iter().collect(),
    };
    Ok(Some(match changed_at(engine, key).await? {
        Some(changed) => returns::window_since(window, changed),
        None => window,
    }))
}

fn task(row: TaskRow, stratum: String) -> TaskSample {
    let call = |call: CallRow| CallSample {
        tool: call.tool,
        failed: call.failed,
        call_hash: call.call_hash,
        event: call.event,
    };
    let step = |(operation, start, end)| Step { operation, start, end };
    let steps = row.steps.into_iter().map(step).collect();
    TaskSample {
        times: row.ran.map(|(start, end)| TaskTimes { start, end, steps }),
        trace_key: row.trace_key,
        task_id: row.task_id,
        outcome: row.outcome,
        ended_at: row.ended_at,
        duration_ms: row.duration_ms,
        tokens: row.tokens,
        cost_usd: row.cost_usd,
        errors: row.errors,
        stratum,
        calls: row.calls.into_iter().map(call).collect(),
    }
}

/// Names listed under `key`: texts, or objects with a `name`.
fn names_in(attributes: &Map<String, Value>, key: &str) -> Vec<String> {
    let listed = attributes.get(key).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let name = |value: &Value| value.as_str().or_else(|| value.get("name")?.as_str()).map(str::to_owned);
    listed.iter().filter_map(name).filter(|name| uplift_model::entity::check_name(name).is_ok()).collect()
}

/// The group within which tasks are compared: the values of these attributes, together.
pub(crate) fn stratum(attributes: &Map<String, Value>, keys: &[String]) -> String {
    let value = |key: &String| {
        attributes.get(key).map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
    };
    keys.iter().filter_map(value).collect::<Vec<_>>().join("/")
}

/// The health of the whole, from the numbers that the view `system_self_improvement_status` rests on, too.
///
/// # Errors
/// When the store cannot be read.
pub async fn health(engine: &Engine) -> StoreResult<Health> {
    let policy = engine.policy();
    let store = engine.store();
    let system = store.system_status().await?;
    let alerts = store.alerts(true, PageRequest::first(uplift_store::page::MAX_PAGE)).await?;
    let input = HealthInput {
        kept: system.metrics.kept,
        recent_decided: system.metrics.recent_decided,
        rollback_rate: system.metrics.rollback_rate,
        min_decisions: i64::from(policy.engine.rollback_rate_min_decisions),
        mean_effectiveness: system.metrics.mean_effectiveness,
        success_change: system.success_change,
        duration_change: system.duration_change,
        pending_opportunities: system.metrics.opportunities_pending,
        backlog_alert: i64::from(policy.detection.backlog_alert),
        alerts: alerts.items.into_iter().map(|alert| alert.finding).collect(),
        full_disk: engine.disk().full().map(|full| full.refused),
    };
    Ok(assess(&input, &policy.health))
}

/// Relative changes of success and of durations over all these agents, the last 24 hours against the 7 days before; none
/// where nothing is known.
pub(crate) fn changes(trends: &[EntityTrend]) -> (Option<f64>, Option<f64>) {
    let (mut recent, mut before) = (OperationDelta::default(), OperationDelta::default());
    for trend in trends {
        recent.merge(trend.recent);
        before.merge(trend.before);
    }
    let success = |sum: &OperationDelta| (sum.n > 0).then(|| (sum.n - sum.errors) as f64 / sum.n as f64);
    let change = |(now, then): (f64, f64)| (then > 0.0).then(|| now / then - 1.0);
    let success = success(&recent).zip(success(&before)).and_then(change);
    (success, recent.mean_ln().zip(before.mean_ln()).map(|(now, then)| (now - then).exp_m1()))
}

/// The trends of agents that are still at work: those that stopped more than a day before the fleet's latest hour say
/// nothing of today.
pub(crate) fn current(trends: Vec<EntityTrend>) -> Vec<EntityTrend> {
    let Some(latest) = trends.iter().map(|trend| trend.latest).max() else { return trends };
    trends.into_iter().filter(|trend| trend.latest >= latest.plus(-HOURS_PER_DAY)).collect()
}

/// Decisions since a moment.
///
/// # Errors
/// When the store cannot be read.
pub async fn decisions(engine: &Engine, since: Time) -> StoreResult<Vec<Decision>> {
    let rows = engine.store().decisions(since).await?;
    let decision = |row: uplift_store::rows::DecisionRow| Decision {
        entity: row.entity,
        entity_name: row.entity_name,
        decided_at: row.decided_at,
        rolled_back_for_harm: row.rolled_back_for_harm,
    };
    Ok(rows.into_iter().map(decision).collect())
}
