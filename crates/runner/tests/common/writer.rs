//! An agent in a made-up world, over a store in memory.

use std::sync::Arc;

use uplift_model::edit::Edit;
use uplift_model::entity::{DEFAULT_ENVIRONMENT, EntityKey, EntityName, EntityType};
use uplift_model::event::{Clock, EntityRef, Event, EventKind, Exposure, Outcome, Source};
use uplift_model::improvement::{Improvement, ProposalSource};
use uplift_model::revision::{Configuration, Revision};
use uplift_model::time::MICROS_PER_HOUR;
use uplift_model::trial::{Comparison, bucket};
use uplift_model::{Policy, Time};
use uplift_runner::clock::ManualClock;
use uplift_runner::control::OwnChange;
use uplift_runner::{Engine, processes, watch};
use uplift_store::Write;
use uplift_store::rows::EntitySelector;
use uplift_store::sqlite::SqliteStore;

const TASKS_AN_HOUR: i64 = 30;

/// An agent whose tasks depend on the configuration it is served.
pub(crate) struct World {
    pub(crate) engine: Engine,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) now: Time,
    agent: EntityKey,
    serial: i64,
    /// Success probability while the parameter `style` has a value.
    success: fn(Option<&str>) -> f64,
    /// Whether events say which arm they were in.
    stamped: bool,
}

pub(crate) fn policy() -> Policy {
    let mut policy = Policy::default();
    policy.engine.test_duration_hours = 12.0;
    policy.trial.max_test_duration_hours = 24.0;
    policy.trial.hold_back_days = 1.0;
    policy.trial.ramp_first_share = 0.3;
    policy.trial.ramp_units_per_arm = 20;
    policy
}

/// The edit that changes how tasks go.
pub(crate) fn set(style: &str) -> Edit {
    Edit::SetParameter { name: "style".to_owned(), value: style.into() }
}

impl World {
    pub(crate) async fn new(success: fn(Option<&str>) -> f64, stamped: bool) -> Self {
        Self::under(policy(), success, stamped).await
    }

    pub(crate) async fn under(policy: Policy, success: fn(Option<&str>) -> f64, stamped: bool) -> Self {
        Self::after(24 * 7, policy, success, stamped).await
    }

    /// With this many hours of work behind it.
    pub(crate) async fn after(hours: i64, policy: Policy, success: fn(Option<&str>) -> f64, stamped: bool) -> Self {
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
        world.live(hours, false).await;
        world
    }

    /// Lets hours pass: tasks are served, run and reported; the loop ticks every five minutes.
    pub(crate) async fn live(&mut self, hours: i64, ticking: bool) {
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

    pub(crate) fn serial_due(&self) -> i64 {
        let start: Time = "2026-03-02T00:00:00Z".parse().unwrap();
        (self.now.micros() - start.micros()) * TASKS_AN_HOUR / MICROS_PER_HOUR
    }

    pub(crate) fn task(&self, serial: i64) -> Vec<Event> {
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

    pub(crate) async fn propose(&self, style: &str) -> Improvement {
        let guideline = Edit::AppendGuideline { text: format!("Write in {style} style.") };
        self.propose_by(ProposalSource::Operator, vec![guideline, set(style)], "A person thinks so.").await
    }

    pub(crate) async fn propose_by(&self, by: ProposalSource, edits: Vec<Edit>, rationale: &str) -> Improvement {
        let change = OwnChange {
            entity: self.agent,
            improvement_type: None,
            edits,
            configuration: None,
            rationale: rationale.to_owned(),
            proposed_by: by,
            proposer: "ada".to_owned(),
            comparison: Comparison::Concurrent,
        };
        self.engine.propose_change(change).await.unwrap()
    }

    pub(crate) async fn improvement(&self, id: i64) -> Improvement {
        self.engine.store().improvement(id).await.unwrap()
    }

    pub(crate) async fn revision(&self) -> String {
        let selector =
            EntitySelector { entity_type: EntityType::Agent, id_or_name: "writer".to_owned(), environment: None };
        self.engine.store().entity(selector).await.unwrap().revision.unwrap()
    }
}
