//! What is old goes while the engine runs; a full disk stops nothing but writing.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fmt::Write as _;
use std::sync::Arc;

use uplift_intake::{DecodeContext, Decoder, Item};
use uplift_model::alert::{AlertKind, HealthStatus};
use uplift_model::event::Event;
use uplift_model::{Policy, Time};
use uplift_runner::clock::ManualClock;
use uplift_runner::retention::Stepped;
use uplift_runner::{Engine, processes, retention, watch};
use uplift_store::rows::EventFilter;
use uplift_store::sqlite::SqliteStore;
use uplift_store::{PageRequest, StoreError, SystemReads};

struct World {
    engine: Engine,
    clock: Arc<ManualClock>,
    store: Arc<SqliteStore>,
}

impl World {
    async fn new(policy: Policy) -> Self {
        let store = Arc::new(SqliteStore::in_memory().unwrap());
        let clock = Arc::new(ManualClock::at("2026-03-01T00:00:00Z".parse().unwrap()));
        let engine = Engine::new(store.clone(), policy, clock.clone());
        watch::prepare(&engine).await.unwrap();
        Self { engine, clock, store }
    }

    fn pass(&self, hours: i64) -> Time {
        let now = self.engine.now().plus_hours(hours);
        self.clock.set(now);
        now
    }

    /// Reports 10 tasks, each with a long text, under names that begin with `prefix`.
    async fn work(&self, prefix: &str) -> Result<u64, StoreError> {
        let mut lines = String::new();
        for number in 0..10 {
            let text = format!("{prefix}{number}").repeat(500);
            writeln!(
                lines,
                r#"{{"id":"{number}","event_type":"TASK_COMPLETED","agent":"a","task_id":"{prefix}{number}","outcome":"SUCCESS","content":"{text}"}}"#
            )
            .unwrap();
        }
        let events = self.decode(&lines);
        let admission = self.engine.admit(events.len()).await;
        Ok(self.engine.ingest(admission, events).await?.accepted)
    }

    fn decode(&self, lines: &str) -> Vec<Event> {
        let context = DecodeContext { received_at: self.engine.now(), at: None };
        let mut decoder = Decoder::new(&self.engine.policy().intake, context);
        let mut items = Vec::new();
        decoder.push(lines.as_bytes(), &mut items);
        decoder.finish(&mut items);
        let event = |item| match item {
            Item::Event(decoded) => decoded.event,
            Item::Rejection(rejection) => panic!("{rejection:?}"),
        };
        items.into_iter().map(event).collect()
    }

    /// Deletes until there is nothing more; how many events went.
    async fn delete(&self) -> u64 {
        let mut gone = 0;
        for _ in 0..10_000 {
            match retention::step(&self.engine, true).await.unwrap() {
                Stepped::Deleted(done) if done.more => gone += done.events,
                Stepped::Deleted(done) => return gone + done.events,
                Stepped::Nothing => return gone,
                Stepped::PutOff => panic!("nothing waits"),
            }
        }
        panic!("it does not come to an end: {gone}");
    }

    async fn on_record(&self) -> usize {
        let page = PageRequest::first(1_000);
        self.engine.store().events(EventFilter::default(), page).await.unwrap().items.len()
    }
}

#[tokio::test]
async fn only_the_node_with_the_lease_deletes_what_is_old() {
    let world = World::new(Policy::default()).await;
    assert_eq!(world.work("old").await, Ok(10));
    world.pass(20 * 24);
    assert_eq!(world.work("young").await, Ok(10));
    world.pass(11 * 24);
    assert_eq!(world.delete().await, 0, "it does not hold the lease");
    processes::tick(&world.engine).await.unwrap();
    assert_eq!(world.delete().await, 10);
    assert_eq!(world.on_record().await, 10);
    assert_eq!(world.store.task_counts().await.unwrap().tasks, 20);
    // Another node takes over: this one finds out at its next step.
    let other = Engine::new(world.store.clone(), Policy::default(), world.clock.clone());
    world.pass(100 * 24);
    processes::tick(&other).await.unwrap();
    assert!(matches!(retention::step(&world.engine, true).await, Err(StoreError::StaleLease { .. })));
    let stepped = retention::step(&other, true).await.unwrap();
    assert!(matches!(stepped, Stepped::Deleted(done) if done.events == 10), "{stepped:?}");
}

#[tokio::test]
async fn a_loaded_writer_is_left_alone() {
    let world = World::new(Policy::default()).await;
    world.work("old").await.unwrap();
    world.pass(40 * 24);
    processes::tick(&world.engine).await.unwrap();
    let waiting = world.engine.try_admit(5_000).unwrap();
    assert_eq!(retention::step(&world.engine, true).await, Ok(Stepped::PutOff));
    assert_eq!(world.on_record().await, 10);
    // But not for ever.
    let stepped = retention::step(&world.engine, false).await.unwrap();
    assert!(matches!(stepped, Stepped::Deleted(done) if done.events == 10), "{stepped:?}");
    drop(waiting);
}

#[tokio::test]
async fn the_oldest_hours_go_where_it_is_too_large() {
    let mut policy = Policy::default();
    policy.retention.raw_events_days = 0;
    let world = World::new(policy.clone()).await;
    for hour in 0..60 {
        world.work(&format!("h{hour:02}t")).await.unwrap();
        world.pass(1);
    }
    processes::tick(&world.engine).await.unwrap();
    assert_eq!(world.delete().await, 0, "there is no bound");
    let used = world.store.storage().await.unwrap().used_bytes;
    // A policy from a file could not be so small; the arithmetic is the same.
    policy.retention.max_bytes = used - (100 << 10);
    let world = World { engine: Engine::new(world.store.clone(), policy.clone(), world.clock.clone()), ..world };
    world.pass(1);
    processes::tick(&world.engine).await.unwrap();
    let gone = world.delete().await;
    // About 20 KiB an hour: the first hours went, whole, and no more than had to.
    assert!((30..=100).contains(&gone) && gone % 10 == 0, "{gone}");
    assert!(world.store.storage().await.unwrap().used_bytes <= policy.retention.max_bytes);
    // However small it should be: what is younger than the window for retries stays.
    policy.retention.max_bytes = 1;
    let world = World { engine: Engine::new(world.store.clone(), policy, world.clock.clone()), ..world };
    world.pass(1);
    processes::tick(&world.engine).await.unwrap();
    let gone = gone + world.delete().await;
    let left = world.on_record().await as u64;
    assert_eq!(gone + left, 600);
    // It is hour 62 now.
    assert!((460..=490).contains(&left), "{left}");
    assert_eq!(world.work("h59t").await, Ok(0), "a retry within the window");
}

#[tokio::test]
async fn a_full_disk_stops_nothing_but_writing_and_is_told() {
    let world = World::new(Policy::default()).await;
    world.work("a").await.unwrap();
    processes::tick(&world.engine).await.unwrap();
    world.store.bound_pages(1).await.unwrap();
    let mut taken = 1;
    while world.work(&format!("b{taken}t")).await.is_ok() {
        taken += 1;
        assert!(taken < 1_000, "it never fills");
    }
    let full = world.engine.disk().full().unwrap();
    assert_eq!((full.since, full.refused), (world.engine.now(), 1));
    // Reading goes on, and says what is wrong.
    assert_eq!(world.store.task_counts().await.unwrap().events, taken * 10);
    let health = world.engine.health().await.unwrap();
    assert_eq!(health.status, HealthStatus::NeedsAttention);
    assert!(health.factors.iter().any(|factor| factor.name == "disk_full"), "{health:?}");
    world.engine.snapshot().poll(world.engine.store(), world.engine.now()).await.unwrap();
    // Nothing dies of it: what fails is tried again.
    for _ in 0..3 {
        world.pass(1);
        let _either = processes::tick(&world.engine).await;
        let _either = watch::settle(&world.engine).await;
        assert!(matches!(world.work("c").await, Err(StoreError::DiskFull { .. })));
    }
    world.store.bound_pages(u32::MAX).await.unwrap();
    world.pass(1);
    assert_eq!(world.work("c").await, Ok(10), "no restart is needed");
    assert_eq!(world.engine.disk().full(), None);
    processes::tick(&world.engine).await.unwrap();
    world.clock.set(full.since.plus_hours(3).plus_micros(60_000_000));
    watch::settle(&world.engine).await.unwrap();
    // Now that it can be written, there is an alert, for an hour.
    let alerts = world.engine.store().alerts(true, PageRequest::first(10)).await.unwrap().items;
    let [alert] = &alerts[..] else { panic!("{alerts:?}") };
    assert_eq!((alert.finding.kind, alert.finding.entity), (AlertKind::DiskFull, None));
    assert!(alert.finding.message.contains("no room left"), "{}", alert.finding.message);
    world.pass(5);
    watch::settle(&world.engine).await.unwrap();
    world.pass(1);
    watch::settle(&world.engine).await.unwrap();
    assert!(world.engine.store().alerts(true, PageRequest::first(10)).await.unwrap().items.is_empty());
    assert_eq!(world.store.task_counts().await.unwrap().events, (taken + 1) * 10);
}
