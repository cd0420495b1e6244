//! Measures the loop that improves: how long a tick takes with so many trials among so many entities, what it keeps in
//! memory, and what running trials cost the intake. The store is a real file, the clock a virtual one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde::Serialize;
use uplift_model::edit::Edit;
use uplift_model::entity::{DEFAULT_ENVIRONMENT, EntityKey, EntityName, EntityType};
use uplift_model::event::{Clock, EntityRef, Event, EventKind, Source};
use uplift_model::improvement::{ImprovementStatus, ImprovementType, Proposal, ProposalSource};
use uplift_model::metric::{Measure, Purpose, standard_metrics};
use uplift_model::process::IMPROVEMENT_MONITORING_PROCESS;
use uplift_model::revision::{Configuration, Revision};
use uplift_model::trial::{AssignmentUnit, Baseline, Comparison, ShareStage, Trial, TrialKind};
use uplift_model::{Policy, Time};
use uplift_runner::clock::ManualClock;
use uplift_runner::{Engine, processes, watch};
use uplift_store::sqlite::SqliteStore;
use uplift_store::writes::{ImprovementChange, NewImprovement, NewTrial, Write};

use super::server::resident_bytes_of;

/// Writes in one commit of the preparation.
const CHUNK: usize = 500;
/// Events of one task.
const EVENTS_A_TASK: usize = 4;
/// Ticks without anything due, to take the middle of.
const IDLE_TICKS: usize = 21;
/// Looks of every trial that are measured.
const LOOKS: usize = 3;

/// One row of the table.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    /// Running trials.
    pub(crate) trials: usize,
    /// Entities with a configuration.
    pub(crate) entities: usize,
    /// Milliseconds of a tick with nothing due: the middle one.
    pub(crate) idle_tick_ms: f64,
    /// Milliseconds until every trial was looked at, when all of them are due at once.
    pub(crate) all_looks_ms: f64,
    /// The same for one trial.
    pub(crate) look_ms: f64,
    /// Events a second while trials run, in process, fsynced.
    pub(crate) intake_per_s: f64,
    /// The same events for entities without trials, in the same run.
    pub(crate) intake_without_per_s: f64,
    /// Memory of the process, bytes.
    pub(crate) resident_bytes: u64,
}

/// Measures one combination; `tasks` are started and ended for every trial between two looks.
pub(crate) async fn measure(trials: usize, entities: usize, tasks: usize) -> anyhow::Result<Row> {
    let folder = tempfile::Builder::new().prefix("uplift-bench-").tempdir()?;
    let store = Arc::new(SqliteStore::open(&folder.path().join("engine.db"))?);
    let start: Time = "2026-01-05T00:00:00Z".parse().context("a constant time")?;
    let clock = Arc::new(ManualClock::at(start));
    let engine = Engine::new(store.clone(), policy(), clock.clone());
    watch::prepare(&engine).await?;
    let keys = declare(&engine, entities).await?;
    let on_trial: Vec<EntityKey> = keys.iter().copied().take(trials).collect();
    start_trials(&engine, &on_trial, start).await?;
    clock.set(start.plus_micros(10_000_000));
    processes::tick(&engine).await?;
    let idle_tick_ms = idle(&engine).await?;
    let mut stage = Stage { engine: &engine, clock: &clock, now: start.plus_micros(10_000_000), serial: 0 };
    let (mut looking, mut taking, mut events) = (Duration::ZERO, Duration::ZERO, 0);
    for _ in 0..LOOKS {
        let (took, sent) = stage.report(&on_trial, tasks).await?;
        (taking, events) = (taking + took, events + sent);
        looking += stage.look().await?;
    }
    let others: Vec<EntityKey> = keys.iter().copied().rev().take(trials).collect();
    let (mut without, mut sent_without) = (Duration::ZERO, 0);
    // The same again for entities that have no trial; where all have one, they end first.
    if entities < 2 * trials {
        engine.pause(true, "bench".to_owned()).await?;
    }
    for _ in 0..LOOKS {
        let (took, sent) = stage.report(&others, tasks).await?;
        (without, sent_without) = (without + took, sent_without + sent);
    }
    let resident_bytes = resident_bytes_of(std::process::id())?;
    drop(engine);
    store.close().await;
    let looks = (LOOKS * trials.max(1)) as f64;
    Ok(Row {
        trials,
        entities,
        idle_tick_ms,
        all_looks_ms: 1e3 * looking.as_secs_f64() / LOOKS as f64,
        look_ms: 1e3 * looking.as_secs_f64() / looks,
        intake_per_s: events as f64 / taking.as_secs_f64().max(1e-9),
        intake_without_per_s: sent_without as f64 / without.as_secs_f64().max(1e-9),
        resident_bytes,
    })
}

fn policy() -> Policy {
    let mut policy = Policy::default();
    policy.engine.max_concurrent_improvements = 100_000;
    policy
}

async fn declare(engine: &Engine, entities: usize) -> anyhow::Result<Vec<EntityKey>> {
    let revision = |number: usize| {
        let mut configuration = Configuration { model: Some("model".to_owned()), ..Configuration::default() };
        configuration.parameters.insert("number".to_owned(), number.into());
        Revision::seal(configuration)
    };
    let mut keys = Vec::with_capacity(entities);
    for from in (0..entities).step_by(CHUNK) {
        let names = (from..entities.min(from + CHUNK)).map(|number| Write::DeclareEntity {
            name: EntityName {
                environment: DEFAULT_ENVIRONMENT.to_owned(),
                entity_type: EntityType::Agent,
                name: format!("agent-{number}"),
            },
            config: engine.policy().entity.clone(),
        });
        let receipt = engine.commit(names.collect()).await?;
        let mut writes = Vec::new();
        for (place, entity) in receipt.entities.iter().enumerate() {
            writes.push(Write::PointRevision { entity: *entity, revision: Box::new(revision(from + place)?) });
        }
        engine.commit(writes).await?;
        keys.extend(receipt.entities);
    }
    Ok(keys)
}

async fn start_trials(engine: &Engine, entities: &[EntityKey], start: Time) -> anyhow::Result<()> {
    let mut configuration = Configuration { model: Some("other".to_owned()), ..Configuration::default() };
    configuration.parameters.insert("candidate".to_owned(), true.into());
    let candidate = Revision::seal(configuration)?;
    for chunk in entities.chunks(CHUNK) {
        let put = chunk.iter().map(|entity| Write::PutImprovement(Box::new(improvement(*entity))));
        let receipt = engine.commit(put.collect()).await?;
        let mut writes = vec![Write::PutRevision(Box::new(candidate.clone()))];
        for (entity, id) in chunk.iter().zip(receipt.improvements) {
            let base = base_of(engine, *entity).await?;
            for (version, status) in [(1, ImprovementStatus::Validated), (2, ImprovementStatus::Testing)] {
                let change = ImprovementChange { status: Some(status), ..ImprovementChange::default() };
                writes.push(Write::ChangeImprovement { id, expected_version: version, change: Box::new(change) });
            }
            let trial = trial(id, start, &engine.policy());
            writes.push(Write::StartTrial(Box::new(NewTrial {
                improvement_id: id,
                entity: *entity,
                base,
                candidate: candidate.id().clone(),
                trial,
            })));
            writes.push(Write::StartProcess {
                name: IMPROVEMENT_MONITORING_PROCESS.to_owned(),
                subject: format!("improvement/{id}"),
                state: "testing".to_owned(),
                wake_at: start.plus_micros(310_000_000),
            });
        }
        engine.commit(writes).await?;
    }
    Ok(())
}

async fn base_of(engine: &Engine, entity: EntityKey) -> anyhow::Result<uplift_model::revision::RevisionId> {
    let trail = engine.store().revision_trail(entity, 1).await?;
    Ok(trail.into_iter().next().context("the entity was just given a revision")?.revision)
}

fn improvement(entity: EntityKey) -> NewImprovement {
    NewImprovement {
        entity,
        opportunity_id: None,
        proposal: Proposal {
            improvement_type: ImprovementType::PerformanceTuning,
            proposed_by: ProposalSource::Operator,
            proposer: "bench".to_owned(),
            edits: vec![Edit::SetParameter { name: "candidate".to_owned(), value: true.into() }],
            processes: Vec::new(),
            rationale: String::new(),
            expected_impact: String::new(),
            expected_gain: 0.0,
            confidence: 1.0,
            comparison: Comparison::Concurrent,
        },
        status: ImprovementStatus::Proposed,
        process_due: None,
    }
}

fn trial(improvement_id: i64, start: Time, policy: &Policy) -> Trial {
    let all = [Measure::Success, Measure::Errors, Measure::Duration, Measure::Tokens, Measure::Cost];
    Trial {
        key: format!("improvement/{improvement_id}/bench"),
        kind: TrialKind::Trial,
        started_us: start.micros(),
        unit: AssignmentUnit::Task,
        comparison: Comparison::Concurrent,
        stages: vec![ShareStage { from_us: start.micros(), share: 0.5 }],
        metrics: standard_metrics(Purpose::PerformanceTuning.goals(), &all),
        expected_units: 2_000.0,
        baseline: Baseline::default(),
        policy: policy.trial_policy(),
    }
}

async fn idle(engine: &Engine) -> anyhow::Result<f64> {
    let mut times = Vec::with_capacity(IDLE_TICKS);
    for _ in 0..IDLE_TICKS {
        let began = Instant::now();
        processes::tick(engine).await?;
        times.push(began.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    Ok(times[times.len() / 2])
}

/// The virtual world of one measurement.
struct Stage<'a> {
    engine: &'a Engine,
    clock: &'a ManualClock,
    now: Time,
    serial: usize,
}

impl Stage<'_> {
    /// Every entity starts and ends `tasks` tasks; how long it took to store them, and how many events they were.
    async fn report(&mut self, entities: &[EntityKey], tasks: usize) -> anyhow::Result<(Duration, usize)> {
        let mut events = Vec::with_capacity(entities.len() * tasks * EVENTS_A_TASK);
        for _ in 0..tasks {
            for entity in entities {
                self.serial += 1;
                events.extend(task(*entity, self.serial, self.now));
            }
        }
        let sent = events.len();
        let began = Instant::now();
        let mut waiting = events.into_iter().peekable();
        while waiting.peek().is_some() {
            let batch: Vec<Event> = waiting.by_ref().take(4_000).collect();
            let admission = self.engine.admit(batch.len()).await;
            self.engine.ingest(admission, batch).await?;
        }
        Ok((began.elapsed(), sent))
    }

    /// Moves time on to the next look and ticks until nothing is due.
    async fn look(&mut self) -> anyhow::Result<Duration> {
        self.now = self.now.plus_micros(300_000_000);
        self.clock.set(self.now);
        let began = Instant::now();
        while processes::tick(self.engine).await?.looks > 0 {}
        Ok(began.elapsed())
    }
}

fn task(entity: EntityKey, serial: usize, now: Time) -> Vec<Event> {
    let name = format!("bench-{serial}");
    let event = |number: i64, kind: EventKind| Event {
        id: format!("{number}"),
        ts: now.plus_micros(number * 1_000_000),
        clock: Clock::Own,
        kind,
        environment: DEFAULT_ENVIRONMENT.to_owned(),
        entity: EntityRef::Key(entity),
        task_id: Some(name.clone()),
        parent_task_id: None,
        session_id: None,
        trace_id: None,
        span_id: None,
        tool: (kind == EventKind::ToolExecuted).then(|| "search".to_owned()),
        outcome: None,
        duration_ms: Some(1_000.0 + serial as f64 % 700.0),
        tokens_in: (kind == EventKind::LlmCall).then_some(1_000),
        tokens_out: (kind == EventKind::LlmCall).then_some(100),
        tokens_cached: None,
        cost_usd: (kind == EventKind::LlmCall).then_some(0.01),
        error_type: None,
        content: None,
        attributes: None,
        exposures: Vec::new(),
        source: Source::Environment,
        link: None,
    };
    [EventKind::TaskStarted, EventKind::LlmCall, EventKind::ToolExecuted, EventKind::TaskCompleted]
        .into_iter()
        .enumerate()
        .map(|(number, kind)| event(number as i64, kind))
        .collect()
}
