//! From the store to validation: loads everything that the step looks at, in bounded reads, and calls it.

use std::collections::BTreeSet;

use rand::SeedableRng;
use rand::rngs::SmallRng;
use uplift_cycle::trial::{baseline, preflight};
use uplift_cycle::validate::{self, Dependant, TakenBack, Tasks, Validation};
use uplift_model::alert::AlertKind;
use uplift_model::edit::Edit;
use uplift_model::entity::{Entity, EntityKey, EntityType};
use uplift_model::history::HistoryOutcome;
use uplift_model::improvement::{Improvement, ImprovementStatus};
use uplift_model::metric::{Measure, MetricSpec, Purpose, standard_metrics};
use uplift_model::opportunity::Opportunity;
use uplift_model::policy::trial::TrialPolicy;
use uplift_model::preflight::{Advice, Preflight};
use uplift_model::relationship::{self, Relationship, RelationshipKind};
use uplift_model::revision::{Configuration, Revision, RevisionId};
use uplift_model::rollup::OperationDelta;
use uplift_model::time::{MICROS_PER_DAY, MICROS_PER_HOUR};
use uplift_model::trial::{Arm, Baseline, Comparison, TrialKind, UnitOutcome};
use uplift_model::{Policy, Time};
use uplift_store::page::MAX_PAGE;
use uplift_store::rows::{EntitySelector, EntityTrend, ImprovementFilter, TrialFilter};
use uplift_store::{PageRequest, StoreError, StoreResult};

use crate::engine::Engine;
use crate::processes::deploy::trial_policy;
use crate::{attached, known, load, units};

/// Days of history that baselines and preflights rest on.
const HISTORY_DAYS: i64 = 14;
/// Most units of it.
const MAX_HISTORY_UNITS: u32 = 5_000;
/// Shortest span that a rate of units a day is worked out from: a burst of minutes is not a day's traffic.
const LEAST_SPAN_US: i64 = 6 * MICROS_PER_HOUR;
/// Most dependants that are named; the others are listed by key.
const MAX_NAMED: usize = 10;
/// Most joined entities, used tools, or peers of a tool that are looked up.
const MAX_LOOKED_UP: usize = 50;
/// Most revisions of the past that are searched for tools the entity had.
const MAX_TRAIL: u32 = 20;
/// Most ended improvements that are searched for the same edits.
const MAX_TAKEN_BACK: u32 = 200;

/// What validation found, with what it was loaded for and the trial needs too.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What validation found.
    pub validation: Validation,
    /// The entity.
    pub entity: Entity,
    /// The revision in place.
    pub base: Option<Revision>,
    /// The opportunity it answers.
    pub opportunity: Option<Opportunity>,
    /// What a trial can be expected to see; none where there is nothing to change.
    pub preflight: Option<Preflight>,
    /// The entity's own history, as trials are judged by.
    pub baseline: Baseline,
    /// What a trial measures.
    pub trial_metrics: Vec<MetricSpec>,
    /// The units behind it, at most 5,000 of 14 days.
    pub history: Vec<UnitOutcome>,
    /// Units a day, both arms together.
    pub units_per_day: f64,
}

/// Loads what validation looks at and calls it. Reads only; the same store and time give the same answer.
///
/// # Errors
/// When the store cannot be read, or the entity, its revision or the opportunity is not there.
pub async fn load_and_validate(engine: &Engine, improvement: &Improvement) -> StoreResult<Loaded> {
    let policy = engine.policy();
    let now = engine.now();
    let entity = load::entity(engine, improvement.entity).await?;
    let base = match &entity.revision {
        Some(id) => Some(revision(engine, id).await?),
        None => None,
    };
    let opportunity = match improvement.opportunity_id {
        Some(id) => Some(engine.store().opportunity(id).await?),
        None => None,
    };
    let records = records(engine, improvement).await?;
    let queue = queue(engine, improvement, &entity).await?;
    let tools = tools(engine, improvement, &entity, base.as_ref()).await?;
    let recent = recent(engine, entity.key).await?;
    let taken_processes = attached::taken(engine, &entity, improvement).await?;
    let health = engine.health().await?;
    let alerts = engine.store().alerts(true, PageRequest::first(MAX_PAGE)).await?;
    let history = history(engine, &entity, now, &policy).await?;

    let (improvement, paused) = (improvement.clone(), engine.is_paused());
    let work = tokio::task::spawn_blocking(move || {
        let measured = measure(&improvement, &entity, base.is_some(), &history, now, &policy);
        let validation = validate::validate(&validate::Input {
            now,
            improvement: &improvement,
            entity: &entity,
            base: base.as_ref(),
            opportunity: opportunity.as_ref(),
            policy: &policy,
            paused,
            occupied_by: queue.occupied_by,
            joined_trials: &queue.joined_trials,
            dependants: &queue.dependants,
            last_change: records.last_change,
            running_trials: queue.running_trials,
            decided: records.decided,
            rolled_back: records.rolled_back,
            taken_back: &records.taken_back,
            health_score: health.score,
            high_rollback_rate: alerts.items.iter().any(|alert| alert.finding.kind == AlertKind::HighRollbackRate),
            recent: recent.0,
            before: recent.1,
            metrics: &measured.metrics,
            preflight: measured.preflight.as_ref(),
            known_tools: &tools.known,
            tools_in_use: &tools.in_use,
            taken_processes: &taken_processes,
        });
        Loaded {
            validation,
            entity,
            base,
            opportunity,
            preflight: measured.preflight,
            baseline: measured.baseline,
            trial_metrics: measured.metrics,
            history,
            units_per_day: measured.units_per_day,
        }
    });
    work.await.map_err(|error| {
        if error.is_panic() {
            StoreError::Engine { context: "validating an improvement", reason: "it panicked".to_owned() }
        } else {
            StoreError::Closed
        }
    })
}

async fn revision(engine: &Engine, id: &str) -> StoreResult<Revision> {
    let configuration = engine.store().revision(RevisionId::from_stored(id)).await?;
    Revision::seal(configuration).map_err(|error| StoreError::Invalid { reason: error.to_string() })
}

/// How earlier changes of the entity went.
struct Records {
    last_change: Option<Time>,
    decided: u64,
    rolled_back: u64,
    taken_back: Vec<TakenBack>,
}

async fn records(engine: &Engine, improvement: &Improvement) -> StoreResult<Records> {
    let (store, key) = (engine.store(), improvement.entity);
    let days = i64::from(engine.policy().engine.rollback_rate_days);
    let mut decisions = store.decisions(engine.now().plus_micros(-days.saturating_mul(MICROS_PER_DAY))).await?;
    decisions.retain(|decision| decision.entity == key);
    let filter = ImprovementFilter {
        entity: Some(key),
        status: vec![ImprovementStatus::RolledBack],
        ..ImprovementFilter::default()
    };
    let ended = store.improvements(filter, PageRequest::first(MAX_TAKEN_BACK)).await?;
    // An improvement that ended without an answer was rolled back too, and blocks nothing: the history knows which.
    let history = store.history(Some(key), PageRequest::first(MAX_TAKEN_BACK)).await?;
    let harmful: BTreeSet<i64> = history
        .items
        .iter()
        .filter(|entry| entry.outcome == HistoryOutcome::RolledBack.as_str())
        .map(|entry| entry.improvement_id)
        .collect();
    let taken_back = ended
        .items
        .into_iter()
        .filter(|earlier| harmful.contains(&earlier.id))
        .map(|earlier| TakenBack { improvement_id: earlier.id, edits: earlier.proposal.edits })
        .collect();
    Ok(Records {
        last_change: last_change(engine, key).await?,
        decided: decisions.len() as u64,
        rolled_back: decisions.iter().filter(|decision| decision.rolled_back_for_harm).count() as u64,
        taken_back,
    })
}

/// What else is going on, and what a change can reach.
struct Queue {
    occupied_by: Option<i64>,
    joined_trials: Vec<String>,
    dependants: Vec<Dependant>,
    running_trials: u64,
}

async fn queue(engine: &Engine, improvement: &Improvement, entity: &Entity) -> StoreResult<Queue> {
    let store = engine.store();
    let filter = ImprovementFilter {
        entity: Some(entity.key),
        status: vec![ImprovementStatus::Validated, ImprovementStatus::Testing],
        ..ImprovementFilter::default()
    };
    let others = store.improvements(filter, PageRequest::first(MAX_PAGE)).await?.items;
    let running = running_trials(engine).await?.into_iter().filter(|(_, id)| *id != improvement.id);
    let running: Vec<EntityKey> = running.map(|(entity, _)| entity).collect();
    let ties = store.relationships(None).await?;
    let joined = relationship::joined(&ties, entity.key);
    let mut joined_trials = Vec::new();
    for key in running.iter().filter(|key| joined.contains(key)) {
        joined_trials.push(named(engine, *key, joined_trials.len() < MAX_NAMED).await?);
    }
    Ok(Queue {
        occupied_by: others.iter().map(|other| other.id).find(|id| *id != improvement.id),
        joined_trials,
        dependants: dependants(engine, &ties, entity.key).await?,
        running_trials: running.len() as u64,
    })
}

async fn dependants(engine: &Engine, ties: &[Relationship], key: EntityKey) -> StoreResult<Vec<Dependant>> {
    let mut reached: Vec<(EntityKey, f64)> = relationship::impact(ties, key).into_iter().collect();
    reached.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let mut dependants = Vec::with_capacity(reached.len());
    for (key, strength) in reached {
        let name = named(engine, key, dependants.len() < MAX_NAMED).await?;
        dependants.push(Dependant { name, strength });
    }
    Ok(dependants)
}

/// An entity's name, or its key where that will do.
async fn named(engine: &Engine, key: EntityKey, look_up: bool) -> StoreResult<String> {
    if look_up { Ok(load::entity(engine, key).await?.name) } else { Ok(key.to_string()) }
}

/// Tools that matter to an improvement's edits.
#[derive(Default)]
struct Tools {
    /// Those the entity had as optional ones, or its peers have.
    known: BTreeSet<String>,
    /// Those the entity is known to use.
    in_use: BTreeSet<String>,
}

async fn tools(
    engine: &Engine,
    improvement: &Improvement,
    entity: &Entity,
    base: Option<&Revision>,
) -> StoreResult<Tools> {
    let store = engine.store();
    let mut tools = Tools::default();
    let assigned: Vec<&str> = improvement.proposal.edits.iter().filter_map(assigned).collect();
    if !assigned.is_empty() {
        let optional = |configuration: &Configuration| -> Vec<String> {
            configuration.tools.iter().filter(|tool| !tool.required).map(|tool| tool.name.clone()).collect()
        };
        tools.known.extend(base.map(|base| optional(base.configuration())).unwrap_or_default());
        for earlier in store.revision_trail(entity.key, MAX_TRAIL).await? {
            tools.known.extend(optional(&store.revision(earlier.revision).await?));
        }
    }
    for name in assigned {
        if !tools.known.contains(name) && peers_have(engine, entity, name).await? {
            tools.known.insert(name.to_owned());
        }
    }
    if !improvement.proposal.processes.is_empty() {
        let ties = store.relationships(Some(entity.key)).await?;
        let used = ties.iter().filter(|tie| tie.from == entity.key && tie.kind == RelationshipKind::Uses);
        for tie in used.filter(|tie| tie.to.entity_type == EntityType::Tool).take(MAX_LOOKED_UP) {
            tools.in_use.insert(load::entity(engine, tie.to).await?.name);
        }
    }
    Ok(tools)
}

fn assigned(edit: &Edit) -> Option<&str> {
    match edit {
        Edit::AssignTool { name, .. } => Some(name),
        _ => None,
    }
}

/// Whether another agent of the same environment has the tool in the configuration it runs. Traffic alone does not
/// count: an agent could claim to have called anything.
async fn peers_have(engine: &Engine, entity: &Entity, tool: &str) -> StoreResult<bool> {
    let store = engine.store();
    let selector = EntitySelector {
        entity_type: EntityType::Tool,
        id_or_name: tool.to_owned(),
        environment: Some(entity.environment.clone()),
    };
    let key = match store.entity(selector).await {
        Ok(found) => found.key,
        Err(StoreError::NotFound { .. }) => return Ok(false),
        Err(error) => return Err(error),
    };
    let ties = store.relationships(Some(key)).await?;
    let peers: BTreeSet<EntityKey> = ties
        .into_iter()
        .filter(|tie| tie.to == key && tie.kind == RelationshipKind::Uses && tie.from != entity.key)
        .map(|tie| tie.from)
        .filter(|from| from.entity_type == EntityType::Agent)
        .take(MAX_LOOKED_UP)
        .collect();
    for peer in peers {
        let peer = load::entity(engine, peer).await?;
        let Some(id) = peer.revision.filter(|_| peer.environment == entity.environment) else { continue };
        let configuration = store.revision(RevisionId::from_stored(id)).await?;
        if configuration.tools.iter().any(|held| held.name == tool) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The entity's last 24 hours, and the week before.
async fn recent(engine: &Engine, key: EntityKey) -> StoreResult<(Tasks, Tasks)> {
    let trends = engine.store().entity_trends().await?;
    Ok(trends.into_iter().find(|trend| trend.entity == key).map(|trend| stretches(&trend)).unwrap_or_default())
}

/// The last 24 hours of a trend, and the week before, as validation looks at them.
pub(crate) fn stretches(trend: &EntityTrend) -> (Tasks, Tasks) {
    let tasks = |sum: &OperationDelta| Tasks {
        known: sum.n.max(0) as u64,
        succeeded: sum.n.saturating_sub(sum.errors).max(0) as u64,
    };
    (tasks(&trend.recent), tasks(&trend.before))
}

/// When an entity was last changed: by the end of a trial, or because its pointer moved, whoever moved it.
pub(crate) async fn last_change(engine: &Engine, key: EntityKey) -> StoreResult<Option<Time>> {
    Ok(engine.store().last_change(key).await?.max(load::changed_at(engine, key).await?))
}

/// Entities on which trials run, with the improvements that are tried; hold-backs do not count.
pub(crate) async fn running_trials(engine: &Engine) -> StoreResult<Vec<(EntityKey, i64)>> {
    let filter = TrialFilter { running: true, ..TrialFilter::default() };
    let running = engine.store().trials(filter, PageRequest::first(MAX_PAGE)).await?.items;
    let trials = running.into_iter().filter(|record| record.trial.kind == TrialKind::Trial);
    Ok(trials.map(|record| (record.entity, record.improvement_id)).collect())
}

async fn history(engine: &Engine, entity: &Entity, now: Time, policy: &Policy) -> StoreResult<Vec<UnitOutcome>> {
    let unit = entity.improvement_config.unit.unwrap_or_default();
    let since = now.plus_micros(-HISTORY_DAYS * MICROS_PER_DAY);
    let records = engine.store().past_units(entity.key, unit, since, now, MAX_HISTORY_UNITS).await?;
    let mut history = Vec::with_capacity(records.len());
    for record in &records {
        let mut outcome = units::outcome(record, Arm::Control, false, &policy.metrics);
        known::note(engine, &policy.trial, record, &mut outcome).await?;
        history.push(outcome);
    }
    Ok(history)
}

/// What history says of a trial before it starts.
struct Measured {
    metrics: Vec<MetricSpec>,
    baseline: Baseline,
    preflight: Option<Preflight>,
    units_per_day: f64,
}

fn measure(
    improvement: &Improvement,
    entity: &Entity,
    has_base: bool,
    history: &[UnitOutcome],
    now: Time,
    policy: &Policy,
) -> Measured {
    let trial = trial_policy(policy, entity);
    let ended: Vec<UnitOutcome> = history.iter().filter(|unit| unit.ended).cloned().collect();
    let metrics = metrics(improvement, &ended, policy);
    let units_per_day = units_per_day(history, now);
    Measured {
        baseline: baseline::of_history(&ended, trial.baseline_minimum),
        preflight: has_base.then(|| look_ahead(improvement, &metrics, &ended, units_per_day, trial)),
        metrics,
        units_per_day,
    }
}

/// Units a day since the first one of the history, both arms together.
fn units_per_day(history: &[UnitOutcome], now: Time) -> f64 {
    let Some(first_us) = history.iter().map(|unit| unit.started_us).filter(|started_us| *started_us > 0).min() else {
        return 0.0;
    };
    let span_us = now.micros().saturating_sub(first_us).max(LEAST_SPAN_US);
    history.len() as f64 / (span_us as f64 / MICROS_PER_DAY as f64)
}

/// The goals of the improvement's type and the guardrails, of what the entity reports at all; where it has no history
/// yet, what every sender reports.
fn metrics(improvement: &Improvement, ended: &[UnitOutcome], policy: &Policy) -> Vec<MetricSpec> {
    let any = |part: fn(&UnitOutcome) -> bool| ended.iter().any(part);
    let mut reported = vec![Measure::Errors];
    let found = [
        (Measure::Success, any(|unit| unit.success.is_some())),
        (Measure::Duration, any(|unit| unit.duration_ms.is_some_and(|ms| ms > 0.0))),
        (Measure::Tokens, any(|unit| unit.tokens.is_some_and(|tokens| tokens > 0.0))),
        (Measure::Cost, any(|unit| unit.cost.is_some_and(|cost| cost > 0.0))),
    ];
    reported.extend(found.into_iter().filter_map(|(measure, is_reported)| is_reported.then_some(measure)));
    if ended.is_empty() {
        reported.extend([Measure::Success, Measure::Duration]);
    }
    let goals = Purpose::from(improvement.proposal.improvement_type).goals();
    let mut metrics = standard_metrics(goals, &reported);
    let scored: BTreeSet<&str> = ended.iter().flat_map(|unit| unit.scores.keys()).map(String::as_str).collect();
    let declared = policy.metrics.iter().filter(|declared| scored.contains(declared.metric.name.as_str()));
    metrics.extend(declared.map(|declared| MetricSpec::declared(declared.metric.clone(), declared.roles)));
    metrics
}

/// What the trial can be expected to see. The dice are seeded from the improvement's number: a repeated look says the
/// same.
fn look_ahead(
    improvement: &Improvement,
    metrics: &[MetricSpec],
    ended: &[UnitOutcome],
    units_per_day: f64,
    mut policy: TrialPolicy,
) -> Preflight {
    let before_after = improvement.proposal.comparison == Comparison::BeforeAfter;
    let mut share = policy.ramp_full_share;
    if before_after {
        // As many units from before as from after: half and half of twice the time.
        share = 0.5;
        policy.test_duration_hours *= 2.0;
        policy.max_test_duration_hours *= 2.0;
    }
    let mut dice = SmallRng::seed_from_u64(improvement.id.unsigned_abs());
    let input = preflight::Input { units_per_day, share, metrics, history: ended, policy: &policy };
    let mut preflight = preflight::check(&input, &mut dice);
    if before_after {
        preflight.text = format!(
            "this needs about {} tasks; this agent runs {units_per_day:.0} a day, and as much time before the change counts \
             as after it, so about {:.0} are expected in twice the time",
            preflight.units_needed, preflight.expected_units
        );
        if !preflight.enough {
            preflight.advice = vec![Advice::LongerTest];
            preflight.text.push_str(": test longer");
        }
    }
    preflight
}
