//! The watch over a store in memory: what comes in is found, confirmed, reviewed.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fmt::Write as _;
use std::sync::Arc;

use uplift_intake::{DecodeContext, Decoder, Item};
use uplift_model::event::Event;
use uplift_model::opportunity::{OpportunityKind, OpportunitySource, OpportunityStatus};
use uplift_model::{Opportunity, Policy, Time};
use uplift_runner::clock::ManualClock;
use uplift_runner::{Engine, watch};
use uplift_store::PageRequest;
use uplift_store::rows::OpportunityFilter;
use uplift_store::sqlite::SqliteStore;

fn now() -> Time {
    "2026-03-01T00:00:00Z".parse().unwrap()
}

async fn engine() -> Engine {
    let store = Arc::new(SqliteStore::in_memory().unwrap());
    let engine = Engine::new(store, Policy::default(), Arc::new(ManualClock::at(now())));
    watch::prepare(&engine).await.unwrap();
    engine
}

fn decode(lines: &str) -> Vec<Event> {
    let mut decoder = Decoder::new(&Policy::default().intake, DecodeContext { received_at: now(), at: None });
    let mut items = Vec::new();
    decoder.push(lines.as_bytes(), &mut items);
    decoder.finish(&mut items);
    let event = |item| match item {
        Item::Event(decoded) => decoded.event,
        Item::Rejection(rejection) => panic!("{rejection:?}"),
    };
    items.into_iter().map(event).collect()
}

async fn ingest(engine: &Engine, lines: &str) {
    let events = decode(lines);
    let admission = engine.admit(events.len()).await;
    engine.ingest(admission, events).await.unwrap();
}

async fn opportunities(engine: &Engine) -> Vec<Opportunity> {
    let page = PageRequest::first(100);
    engine.store().opportunities(OpportunityFilter::default(), page).await.unwrap().items
}

fn error(number: u32, minute: u32) -> String {
    format!(
        r#"{{"id":"e{number}","ts":"2026-02-27T10:{minute:02}:00Z","event_type":"TOOL_EXECUTED","agent":"support","tool":"get_order","task_id":"t{number}","outcome":"ERROR","error_type":"ToolError","content":"Order #{number}77 not found"}}
"#
    )
}

#[tokio::test]
async fn the_sixth_error_is_an_opportunity_with_evidence() {
    let engine = engine().await;
    ingest(&engine, &(1..=5).map(|n| error(n, n)).collect::<String>()).await;
    watch::settle(&engine).await.unwrap();
    assert!(opportunities(&engine).await.is_empty());
    ingest(&engine, &error(6, 6)).await;
    let report = watch::settle(&engine).await.unwrap();
    assert_eq!((report.confirmed, report.withdrawn), (1, 0));
    let found = opportunities(&engine).await;
    assert_eq!(found.len(), 1);
    let opportunity = &found[0];
    assert_eq!(opportunity.finding.kind, OpportunityKind::RecurringError);
    assert_eq!(opportunity.finding.source, OpportunitySource::Trigger);
    assert_eq!(opportunity.finding.evidence.count, 6);
    assert!(opportunity.confirmed && opportunity.finding.confidence > 0.0);
    let event = &opportunity.finding.evidence.events[0];
    let read = engine.store().event(event.trace_key.clone(), event.id.clone()).await.unwrap();
    assert_eq!(read.tool.as_deref(), Some("get_order"));
}

#[tokio::test]
async fn counts_go_on_while_it_is_open_and_a_dismissed_one_stays_away() {
    let engine = engine().await;
    ingest(&engine, &(1..=6).map(|n| error(n, n)).collect::<String>()).await;
    watch::settle(&engine).await.unwrap();
    ingest(&engine, &(7..=9).map(|n| error(n, n)).collect::<String>()).await;
    watch::settle(&engine).await.unwrap();
    let found = opportunities(&engine).await;
    assert_eq!(found[0].finding.evidence.count, 9);
    engine.dismiss(found[0].id, "known".to_owned()).await.unwrap();
    ingest(&engine, &(10..=12).map(|n| error(n, n)).collect::<String>()).await;
    watch::settle(&engine).await.unwrap();
    let found = opportunities(&engine).await;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].status, OpportunityStatus::Dismissed);
}

#[tokio::test]
async fn a_slower_tool_is_confirmed_and_a_trifle_is_withdrawn() {
    let engine = engine().await;
    let mut lines = String::new();
    for (tool, before, after) in [("search", 800.0, 2_000.0), ("clock", 0.1, 0.3)] {
        for day in 18..=26 {
            for hour in 0..12 {
                let ms = if day == 26 { after } else { before };
                let _ = write!(
                    lines,
                    r#"{{"id":"{tool}-{day}-{hour}","ts":"2026-02-{day}T{hour:02}:30:00Z","event_type":"TOOL_EXECUTED","agent":"researcher","tool":"{tool}","task_id":"{tool}-{day}-{hour}","outcome":"SUCCESS","duration_ms":{ms}}}
{{"id":"{tool}-{day}-{hour}b","ts":"2026-02-{day}T{hour:02}:40:00Z","event_type":"TOOL_EXECUTED","agent":"researcher","tool":"{tool}","task_id":"{tool}-{day}-{hour}","outcome":"SUCCESS","duration_ms":{ms}}}
"#
                );
            }
        }
    }
    ingest(&engine, &lines).await;
    let report = watch::settle(&engine).await.unwrap();
    assert_eq!((report.confirmed, report.withdrawn), (1, 1));
    let found = opportunities(&engine).await;
    let slow = found.iter().find(|found| found.status.is_open()).unwrap();
    assert_eq!(slow.finding.kind, OpportunityKind::PerformanceDegradation);
    assert_eq!(slow.finding.fingerprint, "tool:search");
    let trifle = found.iter().find(|found| !found.status.is_open()).unwrap();
    assert!(trifle.resolution.as_deref().unwrap().starts_with("withdrawn: "), "{:?}", trifle.resolution);
}

#[tokio::test]
async fn a_review_is_held_once_it_is_due_and_starts_the_counter_anew() {
    let engine = engine().await;
    let task = |n: u32| {
        format!(
            r#"{{"id":"d{n}","ts":"2026-02-27T10:{:02}:{:02}Z","event_type":"TASK_COMPLETED","agent":"coder","task_id":"t{n}","duration_ms":1000}}
"#,
            n / 60,
            n % 60
        )
    };
    ingest(&engine, &(0..99).map(task).collect::<String>()).await;
    assert_eq!(watch::settle(&engine).await.unwrap().reviews, 0);
    ingest(&engine, &(99..103).map(task).collect::<String>()).await;
    assert_eq!(watch::settle(&engine).await.unwrap().reviews, 1);
    let queue = engine.store().review_queue(false, PageRequest::first(10)).await.unwrap().items;
    assert_eq!((queue[0].tasks_since_review, queue[0].due), (0, None));
    let reviews = engine.store().reviews(queue[0].entity, 10).await.unwrap();
    assert_eq!((reviews.len(), reviews[0].tasks), (1, 103));
    assert_eq!(watch::settle(&engine).await.unwrap().reviews, 0);
}

#[tokio::test]
async fn the_running_watch_finds_it_within_a_second() {
    let engine = engine().await;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let running = tokio::spawn(watch::run(engine.clone(), stopped));
    ingest(&engine, &(1..=6).map(|n| error(n, n)).collect::<String>()).await;
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    loop {
        let found = opportunities(&engine).await;
        if found.first().is_some_and(|found| found.confirmed) {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "nothing was found");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    stop.send(true).unwrap();
    running.await.unwrap();
}

#[tokio::test]
async fn what_no_longer_holds_is_withdrawn_and_comes_back_as_the_same_opportunity() {
    let engine = engine().await;
    let task = |n: u32, day: u32, tool: &str| {
        format!(
            r#"{{"id":"s{n}","ts":"2026-02-{day}T10:00:00Z","event_type":"TASK_STARTED","agent":"coder","task_id":"t{n}","attributes":{{"tools":["read","lint"]}}}}
{{"id":"c{n}","ts":"2026-02-{day}T10:00:01Z","event_type":"TOOL_EXECUTED","agent":"coder","tool":"{tool}","task_id":"t{n}"}}
{{"id":"d{n}","ts":"2026-02-{day}T10:00:02Z","event_type":"TASK_COMPLETED","agent":"coder","task_id":"t{n}"}}
"#
        )
    };
    let unused = |found: Vec<Opportunity>| {
        found.into_iter().find(|found| found.finding.kind == OpportunityKind::UnusedTool).unwrap()
    };
    ingest(&engine, &(0..30).map(|n| task(n, 10, "read")).collect::<String>()).await;
    watch::settle(&engine).await.unwrap();
    let first = unused(opportunities(&engine).await);
    assert_eq!((first.finding.fingerprint.as_str(), first.status), ("lint", OpportunityStatus::Pending));
    ingest(&engine, &task(30, 10, "lint")).await;
    watch::settle(&engine).await.unwrap();
    let withdrawn = unused(opportunities(&engine).await);
    assert_eq!((withdrawn.id, withdrawn.status), (first.id, OpportunityStatus::Dismissed));
    assert_eq!(withdrawn.resolution.as_deref(), Some("withdrawn: no longer found"));
    ingest(&engine, &(31..61).map(|n| task(n, 20, "read")).collect::<String>()).await;
    watch::settle(&engine).await.unwrap();
    let again = unused(opportunities(&engine).await);
    assert_eq!((again.id, again.status), (first.id, OpportunityStatus::Pending));
    // A week later there is one task to look at, which says nothing either way.
    ingest(&engine, &task(61, 28, "lint")).await;
    watch::settle(&engine).await.unwrap();
    assert_eq!(unused(opportunities(&engine).await).status, OpportunityStatus::Pending);
}

#[tokio::test]
async fn what_other_programs_write_by_sql_is_taken_and_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("uplift.db");
    let store = Arc::new(SqliteStore::open(&path).unwrap());
    let engine = Engine::new(store, Policy::default(), Arc::new(ManualClock::at(now())));
    watch::prepare(&engine).await.unwrap();
    let sql = rusqlite::Connection::open(&path).unwrap();
    let first = error(1, 1);
    for line in [first.trim(), "not json", r#"{"id":"x","event_type":"NONSENSE","agent":"a"}"#] {
        sql.execute("INSERT INTO event_inbox (event) VALUES (?1)", [line]).unwrap();
    }
    // What is no text at all, and text that is no UTF-8.
    sql.execute_batch("INSERT INTO event_inbox (event) VALUES (x'7b7d'), (CAST(x'ff7b' AS TEXT))").unwrap();
    let report = watch::settle(&engine).await.unwrap();
    assert_eq!((report.inbox, report.inbox_rejected), (1, 4));
    let left = |table: &str| -> i64 {
        sql.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    };
    assert_eq!((left("event_inbox"), left("event_inbox_rejected"), left("events")), (0, 4, 1));
    sql.execute(
        "INSERT INTO rollup_errors (entity_type, entity_id, fingerprint, hour, n) VALUES ('agent', 1, 'theirs', 490000, 9)",
        [],
    )
    .unwrap();
    let report = watch::settle(&engine).await.unwrap();
    assert_eq!(report.confirmed, 1);
    let found = opportunities(&engine).await;
    assert_eq!((found[0].finding.fingerprint.as_str(), found[0].finding.evidence.count), ("theirs", 9));
    assert_eq!(found[0].entity_name, "support");
}
