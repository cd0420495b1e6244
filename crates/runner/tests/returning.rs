//! A solved problem stays solved until what happened since says otherwise.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::json;
use uplift_intake::{DecodeContext, Decoder, Item};
use uplift_model::opportunity::{OpportunityKind, OpportunityStatus};
use uplift_model::revision::Revision;
use uplift_model::{EntityKey, EntityType, Opportunity, Policy, Time};
use uplift_runner::clock::ManualClock;
use uplift_runner::{Engine, load, watch};
use uplift_store::rows::OpportunityFilter;
use uplift_store::sqlite::SqliteStore;
use uplift_store::{PageRequest, Write};

const CODER: EntityKey = EntityKey::new(EntityType::Agent, 1);

fn at(text: &str) -> Time {
    text.parse().unwrap()
}

async fn engine(now: &str) -> (Engine, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(at(now)));
    let store = Arc::new(SqliteStore::in_memory().unwrap());
    let engine = Engine::new(store, Policy::default(), clock.clone());
    watch::prepare(&engine).await.unwrap();
    (engine, clock)
}

async fn ingest(engine: &Engine, lines: &str) {
    let mut decoder = Decoder::new(&Policy::default().intake, DecodeContext { received_at: engine.now(), at: None });
    let mut items = Vec::new();
    decoder.push(lines.as_bytes(), &mut items);
    decoder.finish(&mut items);
    let event = |item| match item {
        Item::Event(decoded) => decoded.event,
        Item::Rejection(rejection) => panic!("{rejection:?}"),
    };
    let events: Vec<_> = items.into_iter().map(event).collect();
    let admission = engine.admit(events.len()).await;
    engine.ingest(admission, events).await.unwrap();
}

/// So many tasks on one day, the first of them with an error, from 10:00 on.
fn day(day: u32, n: u32, with_error: u32) -> String {
    let mut lines = String::new();
    for k in 0..n {
        let ts = |second: u32| format!("2026-02-{day:02}T{:02}:{:02}:{second:02}Z", 10 + k / 60, k % 60);
        let id = format!("{day}-{k}");
        let outcome = if k < with_error {
            r#""outcome":"ERROR","error_type":"LookupError","content":"no such thing""#
        } else {
            r#""outcome":"SUCCESS""#
        };
        let _ = writeln!(
            lines,
            r#"{{"id":"s{id}","ts":"{}","event_type":"TASK_STARTED","agent":"coder","task_id":"t{id}","attributes":{{"tools":["read","lint"]}}}}
{{"id":"c{id}","ts":"{}","event_type":"TOOL_EXECUTED","agent":"coder","tool":"read","task_id":"t{id}","duration_ms":20,{outcome}}}
{{"id":"d{id}","ts":"{}","event_type":"TASK_COMPLETED","agent":"coder","task_id":"t{id}","duration_ms":2000}}"#,
            ts(0),
            ts(1),
            ts(2)
        );
    }
    lines
}

async fn of(engine: &Engine, kind: OpportunityKind) -> Vec<Opportunity> {
    let filter = OpportunityFilter { kind: Some(kind), ..OpportunityFilter::default() };
    let mut found = engine.store().opportunities(filter, PageRequest::first(100)).await.unwrap().items;
    found.sort_by_key(|found| found.id);
    found
}

async fn solve(engine: &Engine, id: i64) {
    let status = OpportunityStatus::Completed;
    let close = Write::CloseOpportunity { id, status, reason: "solved by improvement 1".to_owned() };
    engine.commit(vec![Write::ClaimOpportunity { id }, close]).await.unwrap();
}

fn states(found: &[Opportunity]) -> Vec<OpportunityStatus> {
    found.iter().map(|found| found.status).collect()
}

#[tokio::test]
async fn an_error_is_back_only_when_half_as_many_tasks_have_it_again() {
    use OpportunityStatus::{Completed, Dismissed, Pending};
    let (engine, clock) = engine("2026-02-10T20:00:00Z").await;
    ingest(&engine, &day(10, 40, 20)).await;
    watch::settle(&engine).await.unwrap();
    let first = of(&engine, OpportunityKind::RecurringError).await.remove(0);
    assert!((first.finding.impact.tasks_affected - 0.5).abs() < 1e-9, "{:?}", first.finding.impact);
    solve(&engine, first.id).await;
    // What was there before does not bring it back, nor do the few on the old revision, though the rule marks them.
    for (date, with_error) in [(12, 7), (14, 8)] {
        clock.set(at(&format!("2026-02-{date}T20:00:00Z")));
        ingest(&engine, &day(date, 80, with_error)).await;
        watch::settle(&engine).await.unwrap();
        let found = of(&engine, OpportunityKind::RecurringError).await;
        assert_eq!(found[0].status, Completed);
        assert!(found[1..].iter().all(|mark| mark.status == Dismissed), "{:?}", states(&found));
        let said = found.last().unwrap().resolution.clone().unwrap();
        assert!(said.starts_with("withdrawn: solved; now ") && said.ends_with(" tasks"), "{said}");
    }
    clock.set(at("2026-02-16T20:00:00Z"));
    ingest(&engine, &day(16, 200, 190)).await;
    watch::settle(&engine).await.unwrap();
    let found = of(&engine, OpportunityKind::RecurringError).await;
    assert_eq!((found[0].id, found[0].status), (first.id, Pending));
    assert!(found[0].resolution.as_deref().unwrap().starts_with("back: "), "{:?}", found[0].resolution);
    assert!(found[1..].iter().all(|mark| mark.status == Dismissed));
    // It is the one that is kept up to date from now on.
    clock.set(at("2026-02-17T20:00:00Z"));
    ingest(&engine, &day(17, 60, 50)).await;
    watch::settle(&engine).await.unwrap();
    let found = of(&engine, OpportunityKind::RecurringError).await;
    assert_eq!(found.iter().filter(|found| found.status.is_open()).count(), 1);
}

#[tokio::test]
async fn a_return_is_seen_where_no_threshold_is_crossed_anew() {
    let (engine, clock) = engine("2026-02-10T10:30:00Z").await;
    ingest(&engine, &day(10, 40, 40)).await;
    watch::settle(&engine).await.unwrap();
    let id = of(&engine, OpportunityKind::RecurringError).await[0].id;
    solve(&engine, id).await;
    // The count of 24 hours never fell below the threshold, so the rule in the database does not fire.
    let later = day(10, 100, 100).replace("\"id\":\"", "\"id\":\"x").replace("T10:", "T12:").replace("T11:", "T13:");
    let later = later.replace("\"t10-", "\"u10-");
    clock.set(at("2026-02-10T14:00:00Z"));
    ingest(&engine, &later).await;
    watch::settle(&engine).await.unwrap();
    let found = of(&engine, OpportunityKind::RecurringError).await;
    assert_eq!(states(&found), [OpportunityStatus::Pending]);
    assert_eq!(found[0].id, id);
}

#[tokio::test]
async fn a_finding_of_the_window_comes_back_as_the_same_opportunity() {
    use OpportunityStatus::{Completed, Pending};
    let (engine, clock) = engine("2026-02-10T20:00:00Z").await;
    ingest(&engine, &day(10, 30, 0)).await;
    watch::settle(&engine).await.unwrap();
    let unused = of(&engine, OpportunityKind::UnusedTool).await;
    assert_eq!(unused[0].finding.fingerprint, "lint");
    solve(&engine, unused[0].id).await;
    for (date, n, expected) in [(11, 19, Completed), (12, 5, Pending)] {
        clock.set(at(&format!("2026-02-{date}T20:00:00Z")));
        ingest(&engine, &day(date, n, 0)).await;
        watch::settle(&engine).await.unwrap();
        let found = of(&engine, OpportunityKind::UnusedTool).await;
        assert_eq!(states(&found), [expected], "{date}");
    }
}

#[tokio::test]
async fn windows_begin_where_the_configuration_last_changed() {
    let (engine, clock) = engine("2026-02-10T20:00:00Z").await;
    ingest(&engine, &day(10, 30, 0)).await;
    let point = |model: &str| {
        let configuration = serde_json::from_value(json!({"model": model, "tools": [{"name": "lint"}]})).unwrap();
        Write::PointRevision { entity: CODER, revision: Box::new(Revision::seal(configuration).unwrap()) }
    };
    let tasks = async |engine: &Engine| load::window(engine, CODER).await.unwrap().unwrap().tasks.len();
    engine.commit(vec![point("a")]).await.unwrap();
    assert_eq!(tasks(&engine).await, 30, "that it became known changed nothing");
    clock.set(at("2026-02-11T10:09:30Z"));
    engine.commit(vec![point("b")]).await.unwrap();
    assert_eq!(tasks(&engine).await, 0);
    clock.set(at("2026-02-12T20:00:00Z"));
    ingest(&engine, &day(11, 25, 0)).await;
    assert_eq!(tasks(&engine).await, 15, "those that started before it run on the old one");
    watch::settle(&engine).await.unwrap();
    assert!(of(&engine, OpportunityKind::UnusedTool).await.is_empty(), "15 tasks say nothing yet");
    ingest(&engine, &day(12, 5, 0)).await;
    watch::settle(&engine).await.unwrap();
    assert_eq!(of(&engine, OpportunityKind::UnusedTool).await.len(), 1);
}
