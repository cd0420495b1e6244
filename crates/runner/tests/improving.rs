//! The loop over a store in memory: what is proposed is validated, tried on a share of the units beside a control,
//! watched, and kept or taken back.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::Arc;

use uplift_model::edit::Edit;
use uplift_model::entity::{DEFAULT_ENVIRONMENT, EntityKey, EntityName, EntityType};
use uplift_model::event::{Clock, EntityRef, Event, EventKind, Exposure, Outcome, Source};
use uplift_model::improvement::{Improvement, ImprovementStatus, ProposalSource};
use uplift_model::revision::{Configuration, Revision};
use uplift_model::time::MICROS_PER_HOUR;
use uplift_model::trial::{Comparison, TrialKind, bucket};
use uplift_model::{Policy, Time};
use uplift_runner::clock::ManualClock;
use uplift_runner::control::OwnChange;
use uplift_runner::{Engine, processes, watch};
use uplift_store::rows::{EntitySelector, TrialFilter};
use uplift_store::sqlite::SqliteStore;
use uplift_store::{PageRequest, Write};

const TASKS_AN_HOUR: i64 = 30;

/// An agent whose tasks depend on the configuration it is served.
struct World {
    engine: Engine,
    clock: Arc<ManualClock>,
    now: Time,
    agent: EntityKey,
    serial: i64,
    /// Success probability while the parameter `style` has a value.
    success: fn(Option<&str>) -> f64,
    /// Whether events say which arm they were in.
    stamped: bool,
}

fn policy() -> Policy {
    let mut policy = Policy::default();
    policy.engine.test_duration_hours = 12.0;
    policy.trial.max_test_duration_hours = 24.0;
    policy.trial.hold_back_days = 1.0;
    policy.trial.ramp_first_share = 0.3;
    policy.trial.ramp_units_per_arm = 20;
    policy
}

impl World {
    async fn new(success: fn(Option<&str>) -> f64, stamped: bool) -> Self {
        Self::under(policy(), success, stamped).await
    }

    async fn under(policy: Policy, success: fn(Option<&str>) -> f64, stamped: bool) -> Self {
        let now: Time = "2026-03-02T00:00:00Z".parse().unwrap();
        let clock = Arc::new(ManualClock::at(now));
        let engine = Engine::new(Arc::new(SqliteStore::in_memory().unwrap()), policy.clone(), clock.clone());
        watch::prepare(&engine).await.unwrap();
        let name = EntityName {
            environment: DEFAULT_ENVIRONMENT.to_owned(),
            entity_type: EntityType::Agent,
            name: "writer".to_owned(),
        };
        let declare = Write::DeclareEntity { name, config: policy.entity };
        let agent = engine.commit(vec![declare]).await.unwrap().entities[0];
        let mut configuration = Configuration::default();
        "Write.".clone_into(&mut configuration.instruction.text);
        let revision = Box::new(Revision::seal(configuration).unwrap());
        engine.commit(vec![Write::PointRevision { entity: agent, revision }]).await.unwrap();
        let mut world = Self { engine, clock, now, agent, serial: 0, success, stamped };
        world.live(24 * 7, false).await;
        world
    }

    /// Lets hours pass: tasks are served, run and reported; the loop ticks every five minutes.
    async fn live(&mut self, hours: i64, ticking: bool) {
        for _ in 0..hours * 12 {
            self.now = self.now.plus_micros(MICROS_PER_HOUR / 12);
            self.clock.set(self.now);
            let due = (self.serial_due() - self.serial).max(0);
            let mut events = Vec::new();
            for _ in 0..due {
                self.serial += 1;
                events.extend(self.task(self.serial));
            }
            if !events.is_empty() {
                let admission = self.engine.admit(events.len()).await;
                self.engine.ingest(admission, events).await.unwrap();
            }
            if ticking {
                processes::tick(&self.engine).await.unwrap();
            }
        }
    }

    fn serial_due(&self) -> i64 {
        let start: Time = "2026-03-02T00:00:00Z".parse().unwrap();
        (self.now.micros() - start.micros()) * TASKS_AN_HOUR / MICROS_PER_HOUR
    }

    fn task(&self, serial: i64) -> Vec<Event> {
        let name = format!("task-{serial}");
        let resolved = self
            .engine
            .snapshot()
            .resolve(None, EntityType::Agent, "writer", Some(&name), self.now.micros())
            .unwrap();
        let served: Configuration = serde_json::from_str(resolved.revision().configuration.get()).unwrap();
        let style = served.parameters.get("style").and_then(|style| style.as_str()).map(str::to_owned);
        let succeeded = bucket("luck", &name) < (self.success)(style.as_deref());
        let duration_ms = 1_000.0 + 2_000.0 * bucket("duration", &name);
        let exposures: Vec<Exposure> = resolved.exposure().into_iter().filter(|_| self.stamped).collect();
        let event = |id: &str, kind, after_us| Event {
            id: id.to_owned(),
            ts: self.now.plus_micros(after_us - 60_000_000),
            clock: Clock::Own,
            kind,
            environment: DEFAULT_ENVIRONMENT.to_owned(),
            entity: EntityRef::Key(self.agent),
            task_id: Some(name.clone()),
            parent_task_id: None,
            session_id: None,
            trace_id: None,
            span_id: None,
            tool: None,
            outcome: None,
            duration_ms: None,
            tokens_in: None,
            tokens_out: None,
            tokens_cached: None,
            cost_usd: None,
            error_type: None,
            content: None,
            attributes: None,
            exposures: exposures.clone(),
            source: Source::Environment,
            link: None,
        };
        let mut end = event("end", EventKind::TaskCompleted, (duration_ms * 1e3) as i64);
        end.outcome = Some(if succeeded { Outcome::Success } else { Outcome::Failure });
        end.duration_ms = Some(duration_ms);
        end.tokens_in = Some(1_000);
        end.cost_usd = Some(0.01 + 0.01 * bucket("cost", &name));
        let mut start = event("start", EventKind::TaskStarted, 0);
        // Known beforehand, and what shows only at the end.
        start.attributes = Some(format!("{{\"size\":{duration_ms}}}"));
        end.attributes = Some(format!("{{\"spent\":{duration_ms}}}"));
        vec![start, end]
    }

    async fn propose(&self, style: &str) -> Improvement {
        let change = OwnChange {
            entity: self.agent,
            improvement_type: None,
            edits: vec![
                Edit::AppendGuideline { text: format!("Write in {style} style.") },
                Edit::SetParameter { name: "style".to_owned(), value: style.into() },
            ],
            configuration: None,
            rationale: "A person thinks so.".to_owned(),
            proposed_by: ProposalSource::Operator,
            proposer: "ada".to_owned(),
            comparison: Comparison::Concurrent,
        };
        self.engine.propose_change(change).await.unwrap()
    }

    async fn improvement(&self, id: i64) -> Improvement {
        self.engine.store().improvement(id).await.unwrap()
    }

    async fn revision(&self) -> String {
        let selector =
            EntitySelector { entity_type: EntityType::Agent, id_or_name: "writer".to_owned(), environment: None };
        self.engine.store().entity(selector).await.unwrap().revision.unwrap()
    }
}

#[tokio::test]
async fn a_better_change_is_kept_and_watched() {
    let mut world = World::new(|style| if style == Some("plain") { 0.9 } else { 0.6 }, true).await;
    let before = world.revision().await;
    let improvement = world.propose("plain").await;
    world.live(1, true).await;
    let testing = world.improvement(improvement.id).await;
    assert_eq!(testing.status, ImprovementStatus::Testing, "{:#?}", testing.checks);
    world.live(11, true).await;
    assert_eq!(world.improvement(improvement.id).await.status, ImprovementStatus::Testing, "not before the horizon");
    assert_eq!(world.revision().await, before);
    world.live(2, true).await;
    let kept = world.improvement(improvement.id).await;
    let history = world.engine.store().history_of(improvement.id).await.unwrap();
    assert_eq!(kept.status, ImprovementStatus::Deployed, "{history:#?}");
    assert_eq!(Some(world.revision().await), kept.candidate.as_ref().map(ToString::to_string));
    assert_eq!(history.len(), 1);
    assert_eq!(history[0].outcome, "kept");
    assert!(history[0].effectiveness.unwrap() > 0.0 && history[0].report.is_some());
    let helped = world.engine.what_helped().await.unwrap();
    let claim = helped.improvements[&improvement.id];
    assert!(claim.stands && claim.log_evidence >= claim.log_needed, "{claim:?}");
    assert_eq!((helped.standing(), helped.by_type["instruction_update"]), (1, 1));
    let filter = TrialFilter { improvement_id: Some(improvement.id), running: true, ..TrialFilter::default() };
    let watching = world.engine.store().trials(filter.clone(), PageRequest::first(10)).await.unwrap().items;
    assert_eq!(watching.iter().map(|record| record.trial.kind).collect::<Vec<_>>(), [TrialKind::HoldBack]);
    world.live(26, true).await;
    assert!(world.engine.store().trials(filter, PageRequest::first(10)).await.unwrap().items.is_empty());
    assert_eq!(world.improvement(improvement.id).await.status, ImprovementStatus::Deployed);
}

#[tokio::test]
async fn harm_is_taken_back_early_and_exactly() {
    for stamped in [true, false] {
        let mut world = World::new(|style| if style == Some("terse") { 0.3 } else { 0.8 }, stamped).await;
        let before = world.revision().await;
        let improvement = world.propose("terse").await;
        let mut hours = 0;
        while world.improvement(improvement.id).await.status != ImprovementStatus::RolledBack {
            world.live(1, true).await;
            hours += 1;
            assert!(hours < 12, "harm of 50 points has to be seen before the horizon");
        }
        assert_eq!(world.revision().await, before);
        let history = world.engine.store().history_of(improvement.id).await.unwrap();
        assert_eq!(history.iter().map(|row| row.outcome.as_str()).collect::<Vec<_>>(), ["rolled_back"]);
        for serial in 0..200 {
            let unit = format!("later-{serial}");
            let resolved =
                world.engine.snapshot().resolve(None, EntityType::Agent, "writer", Some(&unit), world.now.micros());
            assert_eq!(resolved.unwrap().revision().id.to_string(), before);
        }
    }
}

#[tokio::test]
async fn a_change_without_effect_is_undecided_and_goes_back() {
    let mut world = World::new(|_| 0.8, true).await;
    let before = world.revision().await;
    let improvement = world.propose("blue").await;
    world.live(26, true).await;
    let history = world.engine.store().history_of(improvement.id).await.unwrap();
    assert_eq!(history.iter().map(|row| row.outcome.as_str()).collect::<Vec<_>>(), ["inconclusive"]);
    assert_eq!(world.revision().await, before);
}

#[tokio::test]
async fn what_is_known_before_a_unit_starts_narrows_the_comparison_and_what_comes_later_is_not_used() {
    let mut widths = Vec::new();
    for named in [None, Some("size"), Some("spent")] {
        let mut policy = policy();
        policy.trial.covariates = named.into_iter().map(str::to_owned).collect();
        let mut world = World::under(policy, |_| 0.8, true).await;
        let improvement = world.propose("blue").await;
        world.live(11, true).await;
        let filter = TrialFilter { improvement_id: Some(improvement.id), ..TrialFilter::default() };
        let trials = world.engine.store().trials(filter, PageRequest::first(1)).await.unwrap().items;
        let predictor = &trials[0].trial.baseline.predictor;
        assert_eq!(predictor.is_some(), named == Some("size"), "{named:?} {predictor:?}");
        let findings = &trials[0].verdict.as_ref().unwrap().findings;
        let duration = findings.metrics.iter().find(|metric| metric.name == "duration_ms").unwrap();
        widths.push(duration.effect.high - duration.effect.low);
    }
    assert!(widths[1] < 0.6 * widths[0], "{widths:?}");
    assert_eq!(widths[2].to_bits(), widths[0].to_bits(), "{widths:?}");
}
