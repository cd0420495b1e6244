//! What detectors look at.

use uplift_model::event::{Clock, Event, EventKind, Outcome};
use uplift_model::operation::Operation;
use uplift_model::opportunity::MAX_EVIDENCE_EVENTS;
use uplift_model::{EntityType, Time};

use super::sample::{
    Subject, agent, broken, call, declare, event, group, hour, of_agent, of_task, rollup, second, take,
};
use crate::error::StoreError;
use crate::rows::TaskRow;

/// A task of so many seconds that begins at the hour.
fn task(id: &str, hours: i64, kind: EventKind) -> Vec<Event> {
    let mut start = event(&format!("{id}-0"), EventKind::TaskStarted, hour(hours));
    start.attributes = Some(format!(r#"{{"task_class":"{id}"}}"#));
    let mut read = event(&format!("{id}-1"), EventKind::ContextRead, hour(hours).plus_micros(1));
    read.attributes = Some(r#"{"context":"guide"}"#.into());
    let mut end = event(&format!("{id}-2"), kind, hour(hours).plus_micros(2_000_000));
    (end.tokens_in, end.tokens_out, end.cost_usd) = (Some(70), Some(30), Some(0.5));
    [start, read, end].map(|event| of_task(event, id)).into()
}

/// The latest ended tasks, oldest first, none older than the days asked for.
pub async fn a_window_holds_the_latest_ended_tasks(store: Subject) {
    take(&*store, task("old", 0, EventKind::TaskCompleted)).await;
    take(&*store, task("first", 200, EventKind::TaskFailed)).await;
    take(&*store, task("second", 210, EventKind::TaskCompleted)).await;
    take(&*store, vec![of_task(event("r", EventKind::TaskStarted, hour(211)), "running")]).await;
    let others = task("other", 212, EventKind::TaskCompleted).into_iter().map(|event| of_agent(event, "b")).collect();
    take(&*store, others).await;
    let a = agent(&*store, "a").await;

    let window = store.entity_window(a, 7, 100).await.unwrap();
    assert_eq!(window.as_of, Some(hour(211)));
    assert_eq!(window.tasks.iter().map(|task| task.task_id.as_str()).collect::<Vec<_>>(), ["first", "second"]);
    assert_eq!(window.context_reads, [("guide".to_owned(), 2)]);
    let first = &window.tasks[0];
    assert_eq!((first.outcome, first.tokens, first.errors), (Some(Outcome::Failure), 100, 0));
    assert_eq!((first.ended_at, first.duration_ms), (Some(hour(200).plus_micros(2_000_000)), Some(2_000.0)));
    assert!((first.cost_usd - 0.5).abs() < 1e-12);
    assert_eq!(first.attributes.as_deref(), Some(r#"{"task_class":"first"}"#));

    assert_eq!(store.entity_window(a, 30, 100).await.unwrap().tasks.len(), 3);
    let latest = store.entity_window(a, 30, 1).await.unwrap().tasks;
    assert_eq!((latest.len(), latest[0].task_id.as_str()), (1, "second"));
    let silent = declare(&*store, EntityType::Agent, "silent").await;
    let window = store.entity_window(silent, 7, 100).await.unwrap();
    assert!(window.as_of.is_none() && window.tasks.is_empty() && window.context_reads.is_empty());
}

/// Calls are in time order, and in the order the sender counted where the times are the same.
pub async fn calls_come_in_time_order(store: Subject) {
    let mut events = task("t", 0, EventKind::TaskCompleted);
    for id in ["x-10", "x-9", "x-11"] {
        events.push(call(id, "search", 1.0, second(1)));
    }
    let mut repeated = call("z", "mail", 1.0, second(0));
    repeated.content = Some("{} => sent".into());
    let mut failed = call("y", "mail", 1.0, second(2));
    failed.outcome = Some(Outcome::Failure);
    failed.content = Some("{} => not sent".into());
    events.extend([repeated, failed, broken("w", second(2)), of_agent(call("v", "mail", 1.0, second(2)), "helper")]);
    let mut elsewhere = of_task(call("u", "mail", 1.0, second(1)), "part");
    elsewhere.trace_id = Some("t".into());
    events.push(elsewhere);
    take(&*store, events).await;

    let window = store.entity_window(agent(&*store, "a").await, 7, 100).await.unwrap();
    let task = window.tasks.iter().find(|task| task.task_id == "t").unwrap();
    let ids: Vec<&str> = task.calls.iter().map(|call| call.event.id.as_str()).collect();
    assert_eq!(ids, ["z", "x-9", "x-10", "x-11", "v", "w", "y"]);
    let failed: Vec<&str> = task.calls.iter().filter(|call| call.failed).map(|call| call.event.id.as_str()).collect();
    assert_eq!(failed, ["w", "y"]);
    assert!(task.calls[0].call_hash.is_some() && task.calls[0].call_hash == task.calls[6].call_hash);
    assert_eq!(task.calls[1].call_hash, None);
    assert!(task.calls.iter().all(|call| call.event.trace_key == "t"));
}

/// Tasks that make very many calls are fewer: memory stays bounded.
pub async fn a_window_holds_so_many_calls_at_the_most(store: Subject) {
    for place in 0..4 {
        let id = format!("t{place}");
        let mut events = task(&id, place, EventKind::TaskCompleted);
        let at = |n: i64| hour(place).plus_micros(n + 10);
        events.extend((0..120).map(|n| of_task(call(&format!("{id}-c{n}"), "search", 1.0, at(n)), &id)));
        take(&*store, events).await;
    }
    let a = agent(&*store, "a").await;
    let tasks = async |most| store.entity_window(a, 7, most).await.unwrap().tasks;
    let ids = |tasks: &[TaskRow]| tasks.iter().map(|task| task.task_id.clone()).collect::<Vec<_>>();
    let (all, some) = (tasks(100).await, tasks(4).await);
    assert_eq!((ids(&all), all[0].calls.len()), (["t0", "t1", "t2", "t3"].map(String::from).to_vec(), 120));
    // 200 calls for four tasks: two tasks, each with all of its own.
    assert_eq!((ids(&some), some[0].calls.len(), some[1].calls.len()), (vec!["t2".into(), "t3".into()], 120, 120));
}

/// What a task spent its time with: calls of models and tools, and parts that other agents saw to in its trace. Nothing
/// where times are not the sender's.
pub async fn a_task_has_its_steps(store: Subject) {
    let mut events = task("t", 0, EventKind::TaskCompleted);
    events[2].duration_ms = Some(1_500.0);
    let mut thought = of_task(event("m", EventKind::LlmCall, second(1)), "t");
    thought.duration_ms = Some(400.0);
    let mut end = of_agent(of_task(event("p", EventKind::TaskCompleted, second(2)), "part"), "helper");
    (end.trace_id, end.parent_task_id, end.duration_ms) = (Some("t".into()), Some("t".into()), Some(250.0));
    let mut unrelated = of_agent(of_task(event("q", EventKind::TaskCompleted, second(2)), "other"), "helper");
    (unrelated.trace_id, unrelated.duration_ms) = (Some("t".into()), Some(250.0));
    let untimed = of_task(event("n", EventKind::LlmCall, second(1)), "t");
    events.extend([thought, untimed, of_task(call("s", "search", 100.0, second(1)), "t"), end, unrelated]);
    take(&*store, events).await;
    let mut guessed = task("u", 1, EventKind::TaskCompleted);
    guessed[1].clock = Clock::Received;
    guessed.push(of_task(call("v", "search", 100.0, second(3_601)), "u"));
    take(&*store, guessed).await;

    let window = store.entity_window(agent(&*store, "a").await, 7, 100).await.unwrap();
    let of = |id: &str| window.tasks.iter().find(|task| task.task_id == id).unwrap();
    let ago = |end: Time, ms: i64| (end.plus_micros(-ms * 1_000), end);
    assert_eq!(of("t").ran, Some(ago(second(2), 1_500)));
    let steps = [
        (Operation::Llm, ago(second(1), 400)),
        (Operation::Tool("search".into()), ago(second(1), 100)),
        (Operation::Agent("helper".into()), ago(second(2), 250)),
    ];
    assert_eq!(of("t").steps, steps.map(|(operation, (start, end))| (operation, start, end)));
    assert_eq!((of("u").ran, of("u").steps.len(), of("u").calls.len()), (None, 0, 1));
}

/// The hours of an error group, its share of the tasks, and its latest events.
pub async fn an_error_group_has_its_history(store: Subject) {
    for place in 0..4 {
        let id = format!("t{place}");
        let mut events = task(&id, place, EventKind::TaskCompleted);
        if place < 3 {
            for error in 0..4 {
                let at = hour(place).plus_micros(error + 10);
                events.push(of_task(broken(&format!("{id}-e{error}"), at), &id));
            }
        }
        take(&*store, events).await;
    }
    take(&*store, vec![of_agent(broken("b", hour(9)), "b")]).await;
    let a = agent(&*store, "a").await;
    let history = store.error_history(a, group()).await.unwrap();
    assert_eq!(history.hours, [(rollup(0), 4), (rollup(1), 4), (rollup(2), 4)]);
    assert_eq!((history.tasks_total, history.tasks_affected), (3, 3));
    assert_eq!(history.template.error_type.as_deref(), Some("Timeout"));
    assert_eq!(history.template.fingerprint.to_string(), group());
    assert_eq!((history.events.len(), history.events[0].id.as_str()), (MAX_EVIDENCE_EVENTS, "t2-e3"));
    assert_eq!(history.last_seen_at, Some(hour(2).plus_micros(13)));
    for (entity, group) in
        [(a, "0123456789abcdef".to_owned()), (declare(&*store, EntityType::Agent, "c").await, group())]
    {
        assert!(matches!(store.error_history(entity, group).await, Err(StoreError::NotFound { .. })));
    }
}

/// The hours of an operation, and the slowest events of the last 24 of them.
pub async fn an_operation_has_its_slowest_events(store: Subject) {
    for place in 0..30 {
        let id = format!("t{place}");
        let mut events = task(&id, place, EventKind::TaskCompleted);
        let slow = call(&format!("{id}-c"), "search", 1_000.0 - place as f64, hour(place).plus_micros(10));
        events.push(of_task(slow, &id));
        events.push(of_task(call(&format!("{id}-m"), "mail", 9_000.0, hour(place).plus_micros(11)), &id));
        take(&*store, events).await;
    }
    let a = agent(&*store, "a").await;
    let history = store.operation_history(a, "tool:search".into(), rollup(3), rollup(28)).await.unwrap();
    assert_eq!((history.hours.len(), history.hours[0].0, history.hours[25].0), (26, rollup(3), rollup(28)));
    assert_eq!((history.hours[0].1.n, history.hours[0].1.sum_us), (1, 997_000));
    let hours = store.operation_hours(a, "tool:search".into(), rollup(3), rollup(28)).await.unwrap();
    assert_eq!(hours, history.hours);
    let ids: Vec<String> = history.events.iter().map(|event| event.id.clone()).collect();
    assert_eq!(ids, (5..15).map(|place| format!("t{place}-c")).collect::<Vec<_>>());
    let none = store.operation_history(a, "tool:none".into(), rollup(0), rollup(99)).await.unwrap();
    assert!(none.hours.is_empty() && none.events.is_empty());
    let other = store.operation_history(a, "other".into(), rollup(0), rollup(99)).await.unwrap();
    assert!(other.hours.is_empty() && other.events.is_empty());
}

/// The last day against the week before, and hours with many errors.
pub async fn trends_and_error_hours(store: Subject) {
    for (place, hours) in [0, 8, 9, 100, 175, 176, 199].into_iter().enumerate() {
        take(&*store, task(&format!("t{place}"), hours, EventKind::TaskCompleted)).await;
    }
    take(&*store, (0..6).map(|id| broken(&id.to_string(), hour(199))).collect()).await;
    take(&*store, (10..14).map(|id| broken(&id.to_string(), hour(198))).collect()).await;
    let a = agent(&*store, "a").await;
    let trends = store.entity_trends().await.unwrap();
    let [trend] = &trends[..] else { panic!("{trends:?}") };
    assert_eq!((trend.entity, trend.entity_name.as_str(), trend.latest), (a, "a", rollup(199)));
    // The last 24 hours are 176..=199, the week before 8..=175.
    assert_eq!((trend.recent.n, trend.before.n), (2, 4));

    let hours = store.error_hours(rollup(198), 5).await.unwrap();
    let [found] = &hours[..] else { panic!("{hours:?}") };
    assert_eq!((found.entity, &found.fingerprint, found.hour, found.n), (a, &group(), rollup(199), 6));
    assert_eq!((found.entity_name.as_str(), found.template.as_str()), ("a", "no answer within <n> s"));
    assert_eq!(store.error_hours(rollup(198), 1).await.unwrap().len(), 2);
    assert!(store.error_hours(rollup(200), 1).await.unwrap().is_empty());
}
