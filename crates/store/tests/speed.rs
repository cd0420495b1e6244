//! How long the reads take that run often. Not for every run: `cargo test --release -p uplift-store --test speed --
//! --ignored --nocapture`.
#![allow(clippy::unwrap_used, reason = "these are tests")]

use std::future::Future;
use std::time::{Duration, Instant};

use uplift_model::entity::EntityName;
use uplift_model::event::{Event, EventKind};
use uplift_model::policy::ImprovementConfig;
use uplift_model::trial::{AssignmentUnit, Trial, TrialKind};
use uplift_model::{EntityKey, EntityType};
use uplift_store::rows::{EventFilter, OpportunityFilter, TaskFilter};
use uplift_store::sqlite::SqliteStore;
use uplift_store::suite::sample::{agent, batch, broken, call, event, group, hour, of_task, rollup, second, step};
use uplift_store::suite::scene::{candidate, improved, look, new_improvement, revision, start, starting, trial};
use uplift_store::{
    DetectionReads, EntityReads, EventReads, OpportunityReads, PageRequest, SystemReads, TaskReads, TrialReads,
    Write, Writes,
};

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
    assert_eq!(store.task_counts().await.unwrap().events, TASKS * 10);
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

/// A trial that everything of the samples falls into.
fn from_the_start(unit: AssignmentUnit) -> Trial {
    let mut trial = trial(TrialKind::Trial, unit);
    trial.started_us = second(0).micros();
    trial.stages[0].from_us = second(0).micros();
    trial
}

#[tokio::test]
#[ignore = "measures time"]
async fn units_cost_little() {
    for round in 0..3 {
        for unit in [None, Some(AssignmentUnit::Task), Some(AssignmentUnit::Session)] {
            let folder = tempfile::tempdir().unwrap();
            let store = SqliteStore::open(&folder.path().join("speed.db")).unwrap();
            let (a, improvement) = improved(&store, "a").await;
            let mut id = 0;
            if let Some(unit) = unit {
                id = start(&store, a, improvement, from_the_start(unit)).await.unwrap();
            }
            let batches: Vec<_> = (0..10_000)
                .collect::<Vec<_>>()
                .chunks(40)
                .map(|tasks| {
                    let mut events: Vec<Event> = tasks.iter().flat_map(|number| task(*number)).collect();
                    for (place, event) in events.iter_mut().enumerate() {
                        event.session_id = Some(format!("session-{}", (tasks[0] + place as i64 / 10) / 5));
                    }
                    batch(events)
                })
                .collect();
            let begin = Instant::now();
            for batch in batches {
                store.commit_intake(batch).await.unwrap();
            }
            let took = begin.elapsed();
            println!("{round} intake, unit {unit:?}: {:.0} events/s", 100_000.0 / took.as_secs_f64());
            if let Some(unit) = unit {
                read_units(&store, a, id, unit).await;
            }
        }
    }
}

async fn read_units(store: &SqliteStore, entity: EntityKey, id: i64, unit: AssignmentUnit) {
    let (mut cursor, mut read, begin) = (0, 0, Instant::now());
    let mut saving = Duration::ZERO;
    loop {
        let batch = store.changed_units(id, cursor, 1_000).await.unwrap();
        read += batch.units.len();
        let mut look = look(id, cursor, batch.cursor);
        if let Write::SaveLook { forget_before_us, .. } = &mut look {
            *forget_before_us = second(600_000).micros();
        }
        let save = Instant::now();
        step(store, vec![look]).await.unwrap();
        saving += save.elapsed();
        cursor = batch.cursor;
        if !batch.more {
            break;
        }
    }
    println!("  changed: {read} units in {:?}, of which saving {saving:?}", begin.elapsed());
    best("  past_units, 2,000", || async {
        store.past_units(entity, unit, second(0), hour(10_000), 2_000).await.unwrap()
    })
    .await;
}

#[tokio::test]
#[ignore = "measures time"]
async fn a_hundred_thousand_entities_are_served_quickly() {
    const ENTITIES: usize = 100_000;
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("speed.db")).unwrap();
    step(&store, vec![Write::PutRevision(Box::new(candidate())), Write::PutRevision(Box::new(revision("base")))])
        .await
        .unwrap();
    for chunk in (0..ENTITIES).collect::<Vec<_>>().chunks(5_000) {
        let declare = |number: &usize| Write::DeclareEntity {
            name: EntityName {
                environment: "default".into(),
                entity_type: EntityType::Agent,
                name: format!("n{number}"),
            },
            config: ImprovementConfig::default(),
        };
        let keys = step(&store, chunk.iter().map(declare).collect()).await.unwrap().entities;
        let point = |(place, key): (usize, &EntityKey)| {
            let revision = Box::new(revision(&format!("m{}", chunk[place] % 5_000)));
            [
                Write::NoteDefaults { entity: *key, revision: revision.clone() },
                Write::PointRevision { entity: *key, revision },
            ]
        };
        step(&store, keys.iter().enumerate().flat_map(point).collect()).await.unwrap();
        let put = Write::PutImprovement(Box::new(new_improvement(keys[0])));
        let improvement = step(&store, vec![put]).await.unwrap().improvements[0];
        let trial = trial(TrialKind::Trial, AssignmentUnit::Task);
        step(&store, vec![starting(keys[0], improvement, trial)]).await.unwrap();
    }
    let all = best("served", || async {
        let (mut rows, mut trials, mut page) = (0, 0, PageRequest::first(1_000));
        loop {
            let served = store.served(None, page).await.unwrap();
            rows += served.items.len();
            trials += served.items.iter().filter(|row| row.trial.is_some()).count();
            let Some(cursor) = served.next else { break };
            page = PageRequest { limit: 1_000, cursor: Some(cursor) };
        }
        assert_eq!((rows, trials), (ENTITIES, 20));
    })
    .await;
    assert!(all < Duration::from_secs(5), "{all:?}");
}
