//! How long the reads take that run often. Not for every run: `cargo test --release -p uplift-store --test speed --
//! --ignored --nocapture`.
#![allow(clippy::unwrap_used, reason = "these are tests")]

use std::future::Future;
use std::time::{Duration, Instant};

use uplift_model::event::{Event, EventKind};
use uplift_store::rows::{EventFilter, OpportunityFilter, TaskFilter};
use uplift_store::sqlite::SqliteStore;
use uplift_store::suite::sample::{agent, batch, broken, call, event, group, of_task, rollup, second};
use uplift_store::{DetectionReads, EventReads, OpportunityReads, PageRequest, SystemReads, TaskReads, Writes};

/// The window of the detectors: 2,000 tasks of ten events each.
const TASKS: i64 = 2_000;

fn task(number: i64) -> Vec<Event> {
    let (id, start) = (format!("task-{number}"), number * 120);
    let mut events = vec![event("0", EventKind::TaskStarted, second(start))];
    events[0].attributes = Some(format!(r#"{{"task_class":"{}"}}"#, number % 4));
    for place in 1..9 {
        let at = second(start + place);
        events.push(match (number + place) % 8 {
            0 => broken(&place.to_string(), at),
            1 | 2 => event(&place.to_string(), EventKind::LlmCall, at),
            tool => call(&place.to_string(), &format!("tool-{tool}"), 10.0 * tool as f64, at),
        });
    }
    events.push(event("9", EventKind::TaskCompleted, second(start + 10)));
    events.into_iter().map(|event| of_task(event, &id)).collect()
}

/// The best of a few runs.
async fn best<T>(name: &str, run: impl Fn() -> T) -> Duration
where
    T: Future,
{
    let mut best = Duration::MAX;
    for _ in 0..5 {
        let start = Instant::now();
        run().await;
        best = best.min(start.elapsed());
    }
    println!("{name:<20} {best:?}");
    best
}

#[tokio::test]
#[ignore = "measures time"]
async fn reads_are_fast_enough() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("speed.db")).unwrap();
    for tasks in (0..TASKS).collect::<Vec<_>>().chunks(100) {
        let events = tasks.iter().flat_map(|number| task(*number)).collect();
        store.commit_intake(batch(events)).await.unwrap();
    }
    assert_eq!(store.counts().await.unwrap().events, TASKS * 10);
    let a = agent(&store, "a").await;
    let window = store.entity_window(a, 7, 2_000).await.unwrap();
    assert_eq!(window.tasks.len(), TASKS as usize);

    let page = PageRequest::default;
    best("counts", || async { store.counts().await.unwrap() }).await;
    best("tasks", || async { store.tasks(TaskFilter::default(), page()).await.unwrap() }).await;
    best("events", || async { store.events(EventFilter::default(), page()).await.unwrap() }).await;
    best("opportunities", || async { store.opportunities(OpportunityFilter::default(), page()).await.unwrap() })
        .await;
    best("error_history", || async { store.error_history(a, group()).await.unwrap() }).await;
    best("operation_history", || async {
        store.operation_history(a, "tool:tool-5".into(), rollup(-999), rollup(999)).await.unwrap()
    })
    .await;
    best("entity_trends", || async { store.entity_trends().await.unwrap() }).await;
    best("error_hours", || async { store.error_hours(rollup(0), 5).await.unwrap() }).await;
    let window = best("entity_window", || async { store.entity_window(a, 7, 2_000).await.unwrap() }).await;
    assert!(window < Duration::from_millis(100), "{window:?}");
}
