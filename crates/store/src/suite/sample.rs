//! Events, findings and calls for the cases.

use std::sync::Arc;

use uplift_model::entity::{DEFAULT_ENVIRONMENT, EntityKey, EntityName, EntityType};
use uplift_model::event::{Clock, EntityRef, Event, EventKind, Outcome, PreparedEvent, Source};
use uplift_model::fingerprint::{ErrorTemplate, Fingerprint};
use uplift_model::opportunity::{Evidence, Finding, Impact, OpportunityKind, OpportunitySource};
use uplift_model::policy::ImprovementConfig;
use uplift_model::review::ReviewSchedule;
use uplift_model::{Hour, Time};

use crate::error::StoreResult;
use crate::page::PageRequest;
use crate::reads::Store;
use crate::rows::{EntitySelector, Mark};
use crate::writes::{IntakeBatch, IntakeReceipt, StepCommit, StepReceipt, Write};

/// A store under test.
pub type Subject = Arc<dyn Store>;

/// When the samples begin: 2026-01-01T00:00:00Z.
pub const START: Time = Time::from_micros(1_767_225_600_000_000);

/// So many hours after the start.
pub fn hour(hours: i64) -> Time {
    START.plus_hours(hours)
}

/// The rollup hour so many hours after the start.
pub fn rollup(hours: i64) -> Hour {
    hour(hours).hour()
}

/// So many seconds after the start.
pub fn second(seconds: i64) -> Time {
    START.plus_micros(seconds * 1_000_000)
}

/// An event of the agent `a` in the task `t`.
pub fn event(id: &str, kind: EventKind, ts: Time) -> Event {
    Event {
        id: id.to_owned(),
        ts,
        clock: Clock::Own,
        kind,
        environment: DEFAULT_ENVIRONMENT.to_owned(),
        entity: EntityRef::Name(name(DEFAULT_ENVIRONMENT, EntityType::Agent, "a")),
        task_id: Some("t".to_owned()),
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
        exposures: Vec::new(),
        source: Source::Environment,
        link: None,
    }
}

/// The same event, of another task.
#[must_use]
pub fn of_task(mut event: Event, task: &str) -> Event {
    event.task_id = Some(task.to_owned());
    event
}

/// The same event, of another agent.
#[must_use]
pub fn of_agent(mut event: Event, agent: &str) -> Event {
    event.entity = EntityRef::Name(name(&event.environment, EntityType::Agent, agent));
    event
}

/// The same event, in another environment.
#[must_use]
pub fn in_environment(mut event: Event, environment: &str) -> Event {
    environment.clone_into(&mut event.environment);
    if let EntityRef::Name(name) = &mut event.entity {
        environment.clone_into(&mut name.environment);
    }
    event
}

/// A call of a tool that took so long.
pub fn call(id: &str, tool: &str, duration_ms: f64, ts: Time) -> Event {
    let mut event = event(id, EventKind::ToolExecuted, ts);
    event.tool = Some(tool.to_owned());
    event.outcome = Some(Outcome::Success);
    event.duration_ms = Some(duration_ms);
    event
}

/// A call of the tool `search` that broke.
pub fn broken(id: &str, ts: Time) -> Event {
    let mut event = call(id, "search", 30.0, ts);
    event.outcome = Some(Outcome::Error);
    event.error_type = Some("Timeout".to_owned());
    event.content = Some("no answer within 30 s".to_owned());
    event
}

/// The group of errors that [`broken`] calls belong to.
pub fn group() -> String {
    template("Timeout").fingerprint.to_string()
}

fn template(error_type: &str) -> ErrorTemplate {
    ErrorTemplate {
        fingerprint: Fingerprint::of(&[error_type]),
        error_type: Some(error_type.to_owned()),
        tool: Some("search".to_owned()),
        template: "no answer within <n> s".to_owned(),
    }
}

/// What intake would hand over; errors are grouped by their type.
pub fn prepare(event: Event) -> PreparedEvent {
    let error = event.is_error().then(|| template(event.error_type.as_deref().unwrap_or("Error")));
    PreparedEvent { digest: event.digest(), call_hash: event.call_hash(), error, event }
}

/// A batch of these events, received an hour after the latest of them.
pub fn batch(events: Vec<Event>) -> IntakeBatch {
    let latest = events.iter().map(|event| event.ts).max().unwrap_or(START);
    IntakeBatch {
        events: events.into_iter().map(prepare).collect(),
        received_at: latest.plus_hours(1),
        inbox: Vec::new(),
        auto_register: true,
        defaults: uplift_model::policy::ImprovementConfig::default(),
        review: ReviewSchedule::default(),
        settle_before: None,
        stands_for: Vec::new(),
    }
}

/// Takes events in.
pub async fn take(store: &dyn Store, events: Vec<Event>) -> IntakeReceipt {
    store.commit_intake(batch(events)).await.unwrap()
}

/// Commits writes, 100 hours after the start.
///
/// # Errors
/// As the store says.
pub async fn step(store: &dyn Store, writes: Vec<Write>) -> StoreResult<StepReceipt> {
    store.commit_step(StepCommit { at: hour(100), writes, ..StepCommit::default() }).await
}

/// A name.
pub fn name(environment: &str, entity_type: EntityType, name: &str) -> EntityName {
    EntityName { environment: environment.to_owned(), entity_type, name: name.to_owned() }
}

/// Declares an entity in the default environment.
pub async fn declare(store: &dyn Store, entity_type: EntityType, entity: &str) -> EntityKey {
    let name = name(DEFAULT_ENVIRONMENT, entity_type, entity);
    let write = Write::DeclareEntity { name, config: ImprovementConfig::default() };
    step(store, vec![write]).await.unwrap().entities[0]
}

/// Selects an entity by id or name, in no named environment.
pub fn select(entity_type: EntityType, id_or_name: &str) -> EntitySelector {
    EntitySelector { entity_type, id_or_name: id_or_name.to_owned(), environment: None }
}

/// The key of an agent.
pub async fn agent(store: &dyn Store, agent: &str) -> EntityKey {
    store.entity(select(EntityType::Agent, agent)).await.unwrap().key
}

/// The marks that no detector has judged yet.
pub async fn marks(store: &dyn Store) -> Vec<Mark> {
    store.unconfirmed_marks(100).await.unwrap()
}

/// A page that holds everything a case makes.
pub fn whole() -> PageRequest {
    PageRequest::first(1_000)
}

/// A finding of a watch.
pub fn finding(entity: EntityKey, kind: OpportunityKind, fingerprint: &str) -> Finding {
    Finding {
        entity,
        kind,
        fingerprint: fingerprint.to_owned(),
        source: OpportunitySource::Monitor,
        description: format!("{kind} {fingerprint}"),
        confidence: 0.9,
        impact: Impact::from_share(0.3, "a third of the tasks"),
        evidence: Evidence { rule: "sample".to_owned(), count: 7, ..Evidence::default() },
        last_seen_at: hour(1),
    }
}

/// A stream of numbers that is the same every time.
pub struct Dice(u64);

impl Dice {
    /// From a seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `end`, which is above 0.
    pub fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % end
    }

    /// Puts items into another order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for place in (1..items.len()).rev() {
            items.swap(place, self.below(place + 1));
        }
    }
}
