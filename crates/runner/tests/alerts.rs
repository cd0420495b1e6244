//! Alerts over a store in memory, raised by what really was reported: they hold, end after a while, and come back.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fmt::Write as _;
use std::sync::Arc;

use uplift_intake::{DecodeContext, Decoder, Item};
use uplift_model::alert::{Alert, AlertKind};
use uplift_model::{Policy, Time};
use uplift_runner::clock::ManualClock;
use uplift_runner::{Engine, watch};
use uplift_store::rows::{NewsKind, OpportunityFilter};
use uplift_store::sqlite::SqliteStore;
use uplift_store::{NewsReads, PageRequest};

struct World {
    engine: Engine,
    clock: Arc<ManualClock>,
    store: Arc<SqliteStore>,
    serial: u32,
}

impl World {
    async fn new() -> Self {
        let store = Arc::new(SqliteStore::in_memory().unwrap());
        let clock = Arc::new(ManualClock::at("2026-03-01T00:00:00Z".parse().unwrap()));
        let engine = Engine::new(store.clone(), Policy::default(), clock.clone());
        watch::prepare(&engine).await.unwrap();
        Self { engine, clock, store, serial: 0 }
    }

    /// Reports lines of JSON and looks at what came of them.
    async fn report(&self, lines: &str) {
        let mut decoder =
            Decoder::new(&Policy::default().intake, DecodeContext { received_at: self.engine.now(), at: None });
        let mut items = Vec::new();
        decoder.push(lines.as_bytes(), &mut items);
        decoder.finish(&mut items);
        let event = |item| match item {
            Item::Event(decoded) => decoded.event,
            Item::Rejection(rejection) => panic!("{rejection:?}"),
        };
        let events: Vec<_> = items.into_iter().map(event).collect();
        let admission = self.engine.admit(events.len()).await;
        self.engine.ingest(admission, events).await.unwrap();
        self.look().await;
    }

    async fn look(&self) {
        watch::settle(&self.engine).await.unwrap();
    }

    fn pass(&self, seconds: i64) {
        self.clock.set(self.engine.now().plus_micros(seconds * 1_000_000));
    }

    /// The alerts of a kind that hold.
    async fn holding(&self, kind: AlertKind) -> Vec<Alert> {
        let page = PageRequest::first(100);
        let all = self.engine.store().alerts(true, page).await.unwrap().items;
        all.into_iter().filter(|alert| alert.finding.kind == kind).collect()
    }

    /// The one that holds.
    async fn held(&self, kind: AlertKind) -> Alert {
        let mut held = self.holding(kind).await;
        assert_eq!(held.len(), 1, "{held:#?}");
        held.remove(0)
    }

    /// What became of alerts so far, with their numbers.
    async fn news(&self) -> Vec<(i64, String)> {
        let news = self.store.news(0, 10_000).await.unwrap();
        news.into_iter().filter(|news| news.kind == NewsKind::Alert).map(|news| (news.id, news.word)).collect()
    }

    /// Tasks within an hour in which a tool fails, once in each.
    fn errors(&mut self, day: &str, hour: u32, tool: &str, count: u32) -> String {
        let mut lines = String::new();
        for minute in 0..count {
            self.serial += 1;
            let id = self.serial;
            let _ = writeln!(
                lines,
                r#"{{"id":"e{id}","ts":"{day}T{hour:02}:{minute:02}:00Z","event_type":"TOOL_EXECUTED","agent":"support","tool":"{tool}","task_id":"t{id}","outcome":"ERROR","error_type":"ToolError","content":"it is gone"}}"#
            );
            let _ = writeln!(
                lines,
                r#"{{"id":"e{id}-end","ts":"{day}T{hour:02}:{minute:02}:01Z","event_type":"TASK_COMPLETED","agent":"support","task_id":"t{id}","duration_ms":1000}}"#
            );
        }
        lines
    }

    /// Thirty tasks of a day, of which so many fail.
    fn day(&mut self, day: &str, failed: u32) -> String {
        let mut lines = String::new();
        for number in 0..30 {
            self.serial += 1;
            let id = self.serial;
            let outcome = if number < failed { "FAILURE" } else { "SUCCESS" };
            let (hour, minute) = (number % 24, number % 60);
            let _ = writeln!(
                lines,
                r#"{{"id":"d{id}","ts":"{day}T{hour:02}:{minute:02}:00Z","event_type":"TASK_COMPLETED","agent":"clerk","task_id":"t{id}","outcome":"{outcome}","duration_ms":1000}}"#
            );
        }
        lines
    }
}

/// A name of letters only: numbers are masked.
fn letters(number: u32) -> String {
    [number / 26, number % 26].iter().map(|part| char::from(b'a' + u8::try_from(*part).unwrap())).collect()
}

#[tokio::test]
async fn a_backlog_is_raised_once_however_it_moves_about_its_threshold() {
    let mut world = World::new().await;
    let kind = AlertKind::OpportunityBacklog;
    let mut tools = 0;
    // Each tool fails once in each of six hours: an opportunity, and far from a recurring failure.
    let mut fail = |world: &mut World, count: u32| {
        let mut lines = String::new();
        for _ in 0..count {
            tools += 1;
            for hour in 0..6 {
                lines += &world.errors("2026-02-27", hour, &format!("tool-{}", letters(tools)), 1);
            }
        }
        lines
    };
    let pending = async |world: &World| world.engine.store().metrics().await.unwrap().opportunities_pending;
    let first = fail(&mut world, 45);
    world.report(&first).await;
    // What else was found of the agent counts, too.
    while pending(&world).await < 50 {
        let one = fail(&mut world, 1);
        world.report(&one).await;
    }
    assert_eq!(pending(&world).await, 50);
    assert!(world.holding(kind).await.is_empty(), "50 are not more than 50");
    let one = fail(&mut world, 1);
    world.report(&one).await;
    let raised = world.held(kind).await;
    assert_eq!((raised.finding.value, raised.finding.threshold, raised.finding.entity), (51.0, 50.0, None));

    let dismiss = async |world: &World, down_to: i64| {
        let all = OpportunityFilter::default();
        let found = world.engine.store().opportunities(all, PageRequest::first(100)).await.unwrap().items;
        let open = found.into_iter().filter(|found| found.status.is_open());
        for found in open.take(usize::try_from(pending(world).await - down_to).unwrap()) {
            world.engine.dismiss(found.id, "known".to_owned()).await.unwrap();
        }
        world.look().await;
        assert_eq!(pending(world).await, down_to);
    };
    // About the threshold it goes on, as the same alert and without a pause.
    dismiss(&world, 46).await;
    for seconds in [0, 3_600] {
        world.pass(seconds);
        world.look().await;
        let held = world.held(kind).await;
        assert_eq!((held.id, held.finding.value, held.quiet_since), (raised.id, 46.0, None));
    }
    // Below the lower one it is quiet, and not yet over.
    dismiss(&world, 45).await;
    let since = world.engine.now();
    world.pass(599);
    world.look().await;
    assert_eq!(world.held(kind).await.quiet_since, Some(since));
    // It comes back in time, and is as it was.
    let one = fail(&mut world, 1);
    world.report(&one).await;
    let held = world.held(kind).await;
    assert_eq!((held.id, held.quiet_since), (raised.id, None));
    dismiss(&world, 45).await;
    world.pass(600);
    world.look().await;
    assert!(world.holding(kind).await.is_empty());
    // Between the two thresholds nothing is raised; above the upper one it is another alert.
    let five = fail(&mut world, 5);
    world.report(&five).await;
    assert!(pending(&world).await == 50 && world.holding(kind).await.is_empty());
    let one = fail(&mut world, 1);
    world.report(&one).await;
    let again = world.held(kind).await;
    assert_ne!(again.id, raised.id);
    let word = |id: i64, word: &str| (id, word.to_owned());
    assert_eq!(
        world.news().await,
        [word(raised.id, "opened"), word(raised.id, "resolved"), word(again.id, "opened")]
    );
}

#[tokio::test]
async fn the_same_error_five_times_an_hour_is_raised_until_a_day_has_passed_without() {
    let mut world = World::new().await;
    let kind = AlertKind::RecurringFailure;
    let four = world.errors("2026-02-25", 10, "search", 4);
    world.report(&four).await;
    let four = world.errors("2026-02-25", 11, "search", 4);
    world.report(&four).await;
    assert!(world.holding(kind).await.is_empty(), "eight in two hours are not five in one");
    let five = world.errors("2026-02-25", 12, "search", 5);
    world.report(&five).await;
    let raised = world.held(kind).await;
    assert_eq!((raised.finding.value, raised.finding.threshold), (5.0, 5.0));
    assert!(raised.finding.message.starts_with("`support` failed 5 times within an hour"), "{raised:#?}");
    // More of the same is the same alert, with the worst hour; another tool has one of its own.
    let more = world.errors("2026-02-25", 13, "search", 9) + &world.errors("2026-02-25", 13, "fetch", 6);
    world.report(&more).await;
    let held = world.holding(kind).await;
    let values = |id: i64| held.iter().find(|alert| alert.id == id).map(|alert| alert.finding.value);
    assert_eq!((held.len(), values(raised.id)), (2, Some(9.0)));
    // The fleet works on for a day, and nothing fails.
    let quiet = world.day("2026-02-27", 0);
    world.report(&quiet).await;
    assert!(world.holding(kind).await.iter().all(|alert| alert.quiet_since.is_some()));
    world.pass(600);
    world.look().await;
    assert!(world.holding(kind).await.is_empty());
    let five = world.errors("2026-02-27", 20, "search", 5);
    world.report(&five).await;
    let again = world.held(kind).await;
    assert_ne!(again.id, raised.id);
    assert_eq!(again.finding.fingerprint, raised.finding.fingerprint);
}

#[tokio::test]
async fn a_fall_of_success_is_raised_and_over_when_success_is_back() {
    let mut world = World::new().await;
    let kind = AlertKind::DegradedPerformance;
    for day in 10..17 {
        let tasks = world.day(&format!("2026-02-{day}"), 0);
        world.report(&tasks).await;
    }
    assert!(world.holding(kind).await.is_empty());
    let mut ids = Vec::new();
    for (bad, good) in [("17", "18"), ("27", "28")] {
        let tasks = world.day(&format!("2026-02-{bad}"), 15);
        world.report(&tasks).await;
        let held = world.held(kind).await;
        assert_eq!((held.finding.fingerprint.as_str(), held.finding.value), ("success", 0.5), "{held:#?}");
        assert!(held.finding.message.contains("`clerk` fell from 100 % to 50 %"), "{held:#?}");
        ids.push(held.id);
        let tasks = world.day(&format!("2026-02-{good}"), 0);
        world.report(&tasks).await;
        assert_eq!(world.held(kind).await.quiet_since, Some(world.engine.now()));
        world.pass(600);
        world.look().await;
        assert!(world.holding(kind).await.is_empty());
        if bad == "17" {
            for day in 19..27 {
                let tasks = world.day(&format!("2026-02-{day}"), 0);
                world.report(&tasks).await;
            }
        }
    }
    assert_ne!(ids[0], ids[1]);
}

/// The moment from which an alert holds is one of the events, not of the clock.
#[tokio::test]
async fn alerts_about_old_records_are_of_their_own_time() {
    let mut world = World::new().await;
    let five = world.errors("2025-11-03", 12, "search", 5);
    world.report(&five).await;
    let raised = world.held(AlertKind::RecurringFailure).await;
    let of_events: Time = "2025-11-03T12:00:00Z".parse().unwrap();
    assert_eq!((raised.finding.at, raised.raised_at), (of_events, world.engine.now()));
}
