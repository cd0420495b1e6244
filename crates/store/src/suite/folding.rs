//! Events into tasks and rollups: the same whatever the order and grouping.

use uplift_model::event::{Clock, EntityRef, Event, EventKind, Outcome};
use uplift_model::rollup::OperationDelta;
use uplift_model::task::Task;
use uplift_model::{EntityKey, EntityType, Hour};

use super::sample::{
    Dice, Subject, agent, broken, call, event, group, in_environment, of_agent, of_task, rollup, second, take, whole,
};
use crate::reads::Store;
use crate::rows::{EntitySelector, EventFilter, TaskFilter};

/// Three events of the task `t` of the trace `x`; only the first names the trace.
fn linked() -> [Event; 3] {
    let mut start = event("1", EventKind::TaskStarted, second(1));
    start.trace_id = Some("x".into());
    start.session_id = Some("s".into());
    [start, broken("2", second(2)), event("3", EventKind::TaskCompleted, second(3))]
}

/// The same task, whichever of its events came first, and however it is asked for.
pub async fn late_links_give_the_same_task(store: Subject) {
    let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    let mut seen: Vec<Task> = Vec::new();
    for (run, order) in orders.into_iter().enumerate() {
        // A task of its own for each order.
        let (task, trace) = (format!("t{run}"), format!("x{run}"));
        for place in order {
            let mut event = of_task(linked()[place].clone(), &task);
            event.trace_id = event.trace_id.map(|_| trace.clone());
            assert_eq!(take(&*store, vec![event]).await.accepted, 1);
        }
        let mut found = store.task(task.clone()).await.unwrap();
        assert_eq!((&found.trace_key, &found.task_id), (&trace, &task), "{order:?}");
        assert_eq!((found.events, found.ended, found.errors), (3, true, 1), "{order:?}");
        let filter = EventFilter { task_id: Some(task.clone()), ..EventFilter::default() };
        let events = store.events(filter, whole()).await.unwrap().items;
        let ids: Vec<_> = events.iter().map(|event| event.id.as_str()).collect();
        assert_eq!(ids, ["1", "2", "3"], "{order:?}");
        for event in &events {
            let what = (event.task_id.as_ref(), event.session_id.as_deref());
            assert_eq!(what, (Some(&task), Some("s")), "{order:?} {}", event.id);
        }
        (found.trace_key, found.task_id) = (String::new(), String::new());
        seen.push(found);
    }
    assert!(seen.iter().all(|task| *task == seen[0]), "{seen:?}");
    let all = store.tasks(TaskFilter::default(), whole()).await.unwrap().items;
    assert_eq!(all.len(), orders.len());
}

/// A trace may bear the name of a task of another trace: whichever comes first, and in one batch or two.
pub async fn a_trace_named_like_a_task_is_that_task(store: Subject) {
    let mut named_like = event("1", EventKind::TaskStarted, second(1));
    named_like.trace_id = Some("t".into());
    let mut at_home = event("2", EventKind::TaskCompleted, second(2));
    at_home.trace_id = Some("x".into());
    for (run, order) in [[0, 1], [1, 0], [0, 1], [1, 0]].into_iter().enumerate() {
        let task = format!("t{run}");
        let renamed = [named_like.clone(), at_home.clone()].map(|event| {
            let trace = event.trace_id.as_deref().map(|trace| format!("{trace}{run}"));
            Event { trace_id: trace, ..of_task(event, &task) }
        });
        let events: Vec<Event> = order.into_iter().map(|place| renamed[place].clone()).collect();
        if run < 2 {
            for event in events {
                take(&*store, vec![event]).await;
            }
        } else {
            take(&*store, events).await;
        }
        let found = store.task(task.clone()).await.unwrap();
        assert_eq!((found.trace_key, found.events), (format!("x{run}"), 2), "{order:?}");
    }
    assert_eq!(store.tasks(TaskFilter::default(), whole()).await.unwrap().items.len(), 4);
}

/// What is refused leaves no trace, not even a link.
pub async fn a_refused_event_links_nothing(store: Subject) {
    let mut first = event("1", EventKind::TaskStarted, second(1));
    first.trace_id = Some("x".into());
    let mut conflict = of_task(first.clone(), "other");
    conflict.content = Some("changed".into());
    take(&*store, vec![first]).await;
    assert_eq!(take(&*store, vec![conflict]).await.refused.len(), 1);
    take(&*store, vec![of_task(event("2", EventKind::TaskStarted, second(2)), "other")]).await;
    assert_eq!(store.task("other".into()).await.unwrap().trace_key, "other");
}

/// An entity named by its key is where it is, whatever environment the event names.
pub async fn a_key_brings_its_environment_along(store: Subject) {
    take(&*store, vec![in_environment(event("1", EventKind::TaskStarted, second(1)), "staging")]).await;
    let mut end = of_task(event("2", EventKind::TaskCompleted, second(2)), "u");
    end.entity = EntityRef::Key(EntityKey::new(EntityType::Agent, 1));
    take(&*store, vec![end]).await;
    assert_eq!(store.task("u".into()).await.unwrap().environment, "staging");
}

/// What senders report who know only the task counts among its calls.
pub async fn calls_of_linked_tasks_are_found(store: Subject) {
    let [start, call, end] = linked();
    take(&*store, vec![call]).await;
    take(&*store, vec![start, end]).await;
    let window = store.entity_window(agent(&*store, "a").await, 7, 10).await.unwrap();
    let [task] = &window.tasks[..] else { panic!("{window:?}") };
    assert_eq!((task.trace_key.as_str(), task.task_id.as_str(), task.calls.len()), ("x", "t", 1));
    assert!(task.calls[0].failed);
    let event = &task.calls[0].event;
    assert_eq!(store.event(event.trace_key.clone(), event.id.clone()).await.unwrap().id, "2");
}

/// Events of some tasks of two agents over several hours; some know their trace, some only their task.
fn traffic(dice: &mut Dice) -> Vec<Event> {
    let mut events = Vec::new();
    for task in 0..8 {
        let id = format!("t{task}");
        let trace = (task % 2 == 0).then(|| format!("x{}", task / 4));
        let owner = if task % 3 == 0 { "b" } else { "a" };
        for place in 0..(3 + dice.below(5)) {
            let at = second(task * 1_800 + place as i64 * 60 + dice.below(50) as i64);
            let name = format!("{task}-{place}");
            let mut made = match dice.below(5) {
                0 => broken(&name, at),
                1 => event(&name, EventKind::LlmCall, at),
                _ => call(&name, ["search", "mail"][dice.below(2)], 1.0 + dice.below(900) as f64, at),
            };
            if place == 0 {
                made = event(&name, EventKind::TaskStarted, at);
                made.attributes = Some(format!(r#"{{"task_class":"{}"}}"#, dice.below(3)));
            }
            made.tokens_in = Some(dice.below(1_000) as u64);
            made.cost_usd = Some(dice.below(1_000) as f64 / 1e4);
            // The first event of a task knows its trace, the others perhaps.
            made.trace_id = trace.clone().filter(|_| place == 0 || dice.below(2) == 0);
            events.push(of_agent(of_task(made, &id), if dice.below(4) == 0 { "c" } else { owner }));
        }
        let kind = if dice.below(3) == 0 { EventKind::TaskFailed } else { EventKind::TaskCompleted };
        let end = event(&format!("{task}-end"), kind, second(task * 1_800 + 900));
        events.push(of_agent(of_task(end, &id), owner));
    }
    events
}

/// What an environment looks like, without what tells it from the others.
async fn picture(store: &dyn Store, environment: &str) -> Picture {
    let tasks = store.tasks(TaskFilter::default(), whole()).await.unwrap().items;
    let mut tasks: Vec<Task> = tasks.into_iter().filter(|task| task.environment == environment).collect();
    tasks.sort_by(|a, b| a.task_id.cmp(&b.task_id));
    for task in &mut tasks {
        task.environment.clear();
        task.entity = EntityKey::new(EntityType::Agent, 1);
    }
    let mut rollups = Vec::new();
    for name in ["a", "b", "c"] {
        let selector = EntitySelector {
            entity_type: EntityType::Agent,
            id_or_name: name.into(),
            environment: Some(environment.into()),
        };
        let Ok(entity) = store.entity(selector).await else { continue };
        for operation in ["task", "llm", "tool:search", "tool:mail"] {
            let history =
                store.operation_history(entity.key, operation.into(), rollup(-1), rollup(99)).await.unwrap();
            rollups.push((format!("{name} {operation}"), history.hours));
        }
        if let Ok(errors) = store.error_history(entity.key, group()).await {
            let hours = errors.hours.into_iter().map(|(hour, n)| (hour, OperationDelta { n, ..Default::default() }));
            rollups.push((format!("{name} errors"), hours.collect()));
        }
    }
    Picture { tasks, rollups }
}

#[derive(Debug, PartialEq)]
struct Picture {
    tasks: Vec<Task>,
    rollups: Vec<(String, Vec<(Hour, OperationDelta)>)>,
}

/// The same tasks and rollups from the same events in any order and any batches, some sent twice.
pub async fn order_does_not_matter(store: Subject) {
    for seed in 0..4 {
        let events = traffic(&mut Dice::new(seed));
        let mut expected = None;
        for run in 0..4 {
            let environment = format!("run-{seed}-{run}");
            let mut dice = Dice::new(seed * 100 + run);
            let mut events: Vec<Event> =
                events.iter().map(|event| in_environment(event.clone(), &environment)).collect();
            let again: Vec<Event> = events.iter().filter(|_| dice.below(4) == 0).cloned().collect();
            events.extend(again);
            if run > 0 {
                dice.shuffle(&mut events);
            }
            while !events.is_empty() {
                let rest = events.split_off(events.len().min(1 + dice.below(20)));
                assert!(take(&*store, events).await.refused.is_empty());
                events = rest;
            }
            let seen = picture(&*store, &environment).await;
            assert_eq!(seen.tasks.len(), 8);
            let expected = expected.get_or_insert_with(|| picture_of(&seen));
            assert_eq!(seen, *expected, "seed {seed}, run {run}");
        }
    }
}

fn picture_of(seen: &Picture) -> Picture {
    Picture { tasks: seen.tasks.clone(), rollups: seen.rollups.clone() }
}

/// Attempts of one task are one task; the latest ending counts, whichever arrives last.
pub async fn the_last_attempt_counts(store: Subject) {
    take(&*store, vec![event("2", EventKind::TaskCompleted, second(9))]).await;
    take(&*store, vec![event("1", EventKind::TaskFailed, second(5))]).await;
    let task = store.task("t".into()).await.unwrap();
    assert_eq!((task.outcome, task.events), (Some(Outcome::Success), 2));
    assert_eq!(store.task_counts().await.unwrap().tasks, 1);
}

/// Events that name neither trace nor task are kept, and are no task.
pub async fn events_outside_tasks_are_no_task(store: Subject) {
    let mut outside = broken("1", second(1));
    outside.task_id = None;
    let mut unclocked = broken("2", second(2));
    (unclocked.task_id, unclocked.clock) = (None, Clock::Received);
    take(&*store, vec![outside, unclocked]).await;
    let counts = store.task_counts().await.unwrap();
    assert_eq!((counts.events, counts.tasks), (2, 0));
    assert!(store.tasks(TaskFilter::default(), whole()).await.unwrap().items.is_empty());
    let events = store.events(EventFilter::default(), whole()).await.unwrap().items;
    assert_eq!(events.iter().filter(|event| event.task_id.is_none()).count(), 2);
    let a = agent(&*store, "a").await;
    let history = store.error_history(a, group()).await.unwrap();
    assert_eq!((history.hours, history.tasks_affected), (vec![(rollup(0), 2)], 0));
}
