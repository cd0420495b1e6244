//! Events in: stored once, refused one by one, entities registered.

use serde_json::json;
use uplift_model::access::Bound;
use uplift_model::entity::{EntityKey, EntityType};
use uplift_model::event::{EntityRef, Event, EventKind, Exposure, Outcome};
use uplift_model::relationship::{RelationshipKind, RelationshipSource};

use super::sample::{
    Subject, agent, batch, broken, call, event, group, hour, in_environment, of_agent, rollup, second, select, step,
    take, whole,
};
use crate::error::StoreError;
use crate::rows::{Counts, EntityFilter, EntitySelector, EventFilter, TaskCounts, TaskFilter};
use crate::writes::{IntakeBatch, RefusalReason, StepCommit, Write};

/// A task with one event of each sort.
fn script() -> Vec<Event> {
    let mut start = event("1", EventKind::TaskStarted, second(0));
    start.session_id = Some("s".into());
    start.parent_task_id = Some("p".into());
    start.attributes = Some(r#"{"task_class":"x"}"#.into());
    let mut model = event("2", EventKind::LlmCall, second(1));
    (model.tokens_in, model.tokens_out, model.tokens_cached) = (Some(100), Some(20), Some(40));
    (model.cost_usd, model.duration_ms) = (Some(0.25), Some(900.0));
    let mut good = call("3", "search", 50.0, second(2));
    good.content = Some("{\"q\":1} => found".into());
    good.exposures = vec![Exposure { trial: 3, arm: "control".into(), revision: "r".into() }];
    good.span_id = Some("span".into());
    let bad = broken("4", second(3));
    let mut end = event("5", EventKind::TaskCompleted, second(4));
    end.duration_ms = Some(4_000.0);
    vec![start, model, good, bad, end]
}

/// What was sent can be read back, and is folded into its task and rollups.
pub async fn stores_and_folds(store: Subject) {
    let receipt = take(&*store, script()).await;
    let a = agent(&*store, "a").await;
    assert_eq!((receipt.accepted, receipt.duplicates, receipt.refused.len()), (5, 0, 0));
    assert_eq!(receipt.touched, [a]);

    let task = store.task("t".into()).await.unwrap();
    assert_eq!((task.trace_key.as_str(), task.task_id.as_str(), task.environment.as_str()), ("t", "t", "default"));
    assert_eq!((task.entity, task.entity_name.as_str()), (a, "a"));
    assert_eq!((task.parent_task_id.as_deref(), task.session_id.as_deref()), (Some("p"), Some("s")));
    assert_eq!((task.started_at, task.last_at, task.ended), (Some(second(0)), Some(second(4)), true));
    assert_eq!((task.outcome, task.duration_ms), (Some(Outcome::Success), Some(4_000.0)));
    assert_eq!((task.events, task.llm_calls, task.tool_calls, task.errors, task.errors_recovered), (5, 1, 2, 1, 1));
    assert_eq!((task.tokens_in, task.tokens_out, task.tokens_cached), (100, 20, 40));
    assert!((task.cost_usd - 0.25).abs() < 1e-12);
    assert_eq!(store.tasks(TaskFilter::default(), whole()).await.unwrap().items, [task]);

    let filter = EventFilter { task_id: Some("t".into()), ..EventFilter::default() };
    let events = store.events(filter, whole()).await.unwrap().items;
    assert_eq!(events.iter().map(|event| event.id.as_str()).collect::<Vec<_>>(), ["1", "2", "3", "4", "5"]);
    assert_eq!(events[0].attributes, Some(json!({"task_class": "x"})));
    assert_eq!(events[2].content.as_deref(), Some("{\"q\":1} => found"));
    assert_eq!((events[2].exposures[0].trial, events[2].span_id.as_deref()), (3, Some("span")));
    assert_eq!((events[3].error_type.as_deref(), events[3].fingerprint.clone()), (Some("Timeout"), Some(group())));
    assert_eq!((events[3].tool.as_deref(), events[3].outcome), (Some("search"), Some(Outcome::Error)));
    assert_eq!((events[1].task_id.as_deref(), events[1].session_id.as_deref()), (Some("t"), Some("s")));
    assert_eq!(store.event("t".into(), "3".into()).await.unwrap(), events[2]);
    assert!(matches!(store.event("t".into(), "9".into()).await, Err(StoreError::NotFound { .. })));

    for (operation, n, errors, timed) in [("task", 1, 0, 1), ("llm", 1, 0, 1), ("tool:search", 2, 1, 2)] {
        let history = store.operation_history(a, operation.into(), rollup(-1), rollup(1)).await.unwrap();
        let [(hour, sums)] = history.hours[..] else { panic!("{operation}: {:?}", history.hours) };
        assert_eq!((hour, sums.n, sums.errors, sums.timed), (rollup(0), n, errors, timed), "{operation}");
    }
    let errors = store.error_history(a, group()).await.unwrap();
    assert_eq!(errors.hours, [(rollup(0), 1)]);
    let expected = Counts { agents: 1, tools: 1, error_groups: 1, ..Counts::default() };
    assert_eq!(store.counts().await.unwrap(), expected);
    let expected = TaskCounts { events: 5, tasks: 1, tasks_succeeded: 1, tasks_failed: 0 };
    assert_eq!(store.task_counts().await.unwrap(), expected);
    let entity = store.entity(select(EntityType::Agent, "a")).await.unwrap();
    assert_eq!(entity.last_seen_at, Some(second(4)));
}

/// Who stands for some begins and ends their tasks only; what happens within a task may come from anybody.
pub async fn nobody_ends_the_tasks_of_others(store: Subject) {
    let sent = |who: &str, id: &str, kind, at| {
        let mut event = of_agent(event(id, kind, second(at)), who);
        event.outcome = (kind == EventKind::TaskCompleted).then_some(Outcome::Success);
        event
    };
    let from = async |names: &[&str], events| {
        let stands_for = names.iter().map(|name| format!("default:agent/{name}").parse::<Bound>().unwrap()).collect();
        store.commit_intake(IntakeBatch { stands_for, ..batch(events) }).await.unwrap()
    };
    // What b does within the task comes before a has begun it, and takes nothing from a.
    assert_eq!(from(&["b"], vec![of_agent(call("1", "search", 5.0, second(3)), "b")]).await.accepted, 1);
    assert_eq!(from(&["a"], vec![sent("a", "2", EventKind::TaskStarted, 2)]).await.accepted, 1);
    let before = store.task("t".into()).await.unwrap();
    for (id, kind, at) in
        [("3", EventKind::TaskStarted, 0), ("4", EventKind::TaskCompleted, 9), ("5", EventKind::TaskFailed, 9)]
    {
        let receipt = from(&["b"], vec![sent("b", id, kind, at)]).await;
        let refused: Vec<_> = receipt.refused.into_iter().map(|refusal| refusal.reason).collect();
        assert_eq!(
            (receipt.accepted, refused),
            (0, vec![RefusalReason::OthersTask { task: "t".into() }]),
            "{kind:?}"
        );
    }
    assert_eq!(store.task("t".into()).await.unwrap(), before);
    assert_eq!((before.entity_name.as_str(), before.outcome), ("a", None));
    // Its own end, the work of b within it, and whoever stands for both, are taken.
    assert_eq!(from(&["b"], vec![of_agent(call("6", "search", 5.0, second(5)), "b")]).await.accepted, 1);
    assert_eq!(from(&["b", "a"], vec![sent("b", "7", EventKind::TaskFailed, 6)]).await.accepted, 1);
    assert_eq!(from(&["a"], vec![sent("a", "8", EventKind::TaskCompleted, 7)]).await.accepted, 1);
    let after = store.task("t".into()).await.unwrap();
    assert_eq!((after.entity_name.as_str(), after.outcome), ("a", Some(Outcome::Success)));
    // Nobody in particular is bound by nothing, as before there were tokens.
    assert_eq!(take(&*store, vec![sent("b", "9", EventKind::TaskCompleted, 8)]).await.accepted, 1);
}

/// A retry, whole or in part, is recognised.
pub async fn duplicates_change_nothing(store: Subject) {
    take(&*store, script()).await;
    let before = (store.task("t".into()).await.unwrap(), store.task_counts().await.unwrap());
    let a = agent(&*store, "a").await;
    let tools = store.operation_history(a, "tool:search".into(), rollup(0), rollup(0)).await.unwrap();

    let receipt = take(&*store, script()).await;
    assert_eq!((receipt.accepted, receipt.duplicates), (0, 5));
    assert!(receipt.touched.is_empty() && receipt.refused.is_empty());
    let mut twice = script()[1..3].to_vec();
    twice.extend(script()[2..4].to_vec());
    assert_eq!(take(&*store, twice).await.duplicates, 4);
    assert_eq!((store.task("t".into()).await.unwrap(), store.task_counts().await.unwrap()), before);
    let again = store.operation_history(a, "tool:search".into(), rollup(0), rollup(0)).await.unwrap();
    assert_eq!(again, tools);

    let mut within = call("6", "search", 1.0, second(9));
    within.content = Some("once".into());
    let receipt = take(&*store, vec![within.clone(), within]).await;
    assert_eq!((receipt.accepted, receipt.duplicates), (1, 1));
}

/// Another event under the same identity is refused; the first one stays.
pub async fn a_conflicting_duplicate_is_refused_and_named(store: Subject) {
    take(&*store, script()).await;
    let mut other = call("3", "search", 51.0, second(2));
    other.content = Some("another".into());
    let receipt = take(&*store, vec![call("6", "search", 1.0, second(5)), other.clone()]).await;
    assert_eq!((receipt.accepted, receipt.refused.len(), receipt.refused[0].index), (1, 1, 1));
    let reason = RefusalReason::Conflict { id: "3".into(), trace_key: "t".into() };
    assert_eq!(receipt.refused[0].reason, reason);
    assert_eq!(store.event("t".into(), "3".into()).await.unwrap().duration_ms, Some(50.0));

    // Within one batch the first in the sender's order stands.
    let mut first = call("7", "search", 1.0, second(6));
    first.trace_id = Some("x".into());
    let mut second_one = first.clone();
    second_one.duration_ms = Some(2.0);
    let receipt = take(&*store, vec![first, second_one]).await;
    assert_eq!((receipt.accepted, receipt.refused[0].index), (1, 1));
    assert_eq!(store.event("x".into(), "7".into()).await.unwrap().duration_ms, Some(1.0));
}

/// An id that nobody has is refused, by its place.
pub async fn an_unknown_id_is_refused_and_the_rest_taken(store: Subject) {
    take(&*store, script()).await;
    let a = agent(&*store, "a").await;
    let mut stranger = event("6", EventKind::LlmCall, second(6));
    stranger.entity = EntityRef::Key(EntityKey::new(EntityType::Agent, 4_711));
    let mut known = event("7", EventKind::LlmCall, second(7));
    known.entity = EntityRef::Key(a);
    let receipt = take(&*store, vec![stranger, known]).await;
    assert_eq!((receipt.accepted, receipt.refused.len(), receipt.refused[0].index), (1, 1, 0));
    assert_eq!(receipt.refused[0].reason, RefusalReason::UnknownEntity { entity: "agent/4711".into() });
    assert_eq!(store.task("t".into()).await.unwrap().events, 6);
}

/// Without `auto_register` only those are taken who were declared, and nobody is added.
pub async fn strangers_are_refused_without_auto_register(store: Subject) {
    let declared = super::sample::declare(&*store, EntityType::Agent, "known").await;
    let events = vec![event("1", EventKind::TaskStarted, second(0)), of_agent(broken("2", second(1)), "known")];
    let mut closed = batch(events);
    closed.auto_register = false;
    let receipt = store.commit_intake(closed).await.unwrap();
    assert_eq!((receipt.accepted, receipt.touched), (1, vec![declared]));
    assert_eq!(receipt.refused[0].index, 0);
    assert_eq!(receipt.refused[0].reason, RefusalReason::NotRegistered { entity: "agent `a`".into() });
    let all = store.entities(EntityFilter::default(), whole()).await.unwrap().items;
    assert_eq!(all.iter().map(|entity| entity.name.as_str()).collect::<Vec<_>>(), ["known"]);
}

/// Agents and tools appear with the first event that names them, and the tie between them.
pub async fn agents_and_tools_register_themselves(store: Subject) {
    take(&*store, vec![call("1", "search", 1.0, second(0)), call("2", "mail", 1.0, second(1))]).await;
    let all = store.entities(EntityFilter::default(), whole()).await.unwrap().items;
    let names: Vec<String> = all.iter().map(|entity| format!("{} {}", entity.key, entity.name)).collect();
    assert_eq!(names, ["agent/1 a", "tool/1 search", "tool/2 mail"]);
    let ties = store.relationships(Some(all[0].key)).await.unwrap();
    assert_eq!(ties.len(), 2);
    for tie in &ties {
        assert_eq!(
            (tie.from, tie.kind, tie.source),
            (all[0].key, RelationshipKind::Uses, RelationshipSource::Learnt)
        );
    }
    assert_eq!(store.relationships(Some(all[1].key)).await.unwrap(), [ties[0].clone()]);
    // What comes with Uplift is listed on request only.
    let filter = EntityFilter { built_in: true, entity_type: Some(EntityType::Agent), ..EntityFilter::default() };
    let built_in = store.entities(filter, whole()).await.unwrap().items;
    assert!(built_in.iter().any(|entity| entity.name == "optimizer" && entity.environment == "uplift"));
}

/// The same names and ids in two environments are different things.
pub async fn environments_do_not_mix(store: Subject) {
    take(&*store, script()).await;
    let staging: Vec<Event> = script()[..3].iter().map(|event| in_environment(event.clone(), "staging")).collect();
    let receipt = take(&*store, staging).await;
    assert_eq!((receipt.accepted, receipt.duplicates), (3, 0));

    let tasks = store.tasks(TaskFilter::default(), whole()).await.unwrap().items;
    let shown: Vec<_> = tasks.iter().map(|task| (task.environment.as_str(), task.events, task.ended)).collect();
    assert_eq!(shown, [("staging", 3, false), ("default", 5, true)]);
    assert_ne!(tasks[0].entity, tasks[1].entity);
    assert_eq!(store.task("t".into()).await.unwrap().environment, "default");
    assert_eq!(store.event("t".into(), "1".into()).await.unwrap().environment, "default");
    let ids = |environment: &str| EntityFilter { environment: Some(environment.into()), ..EntityFilter::default() };
    assert_eq!(store.entities(ids("staging"), whole()).await.unwrap().items.len(), 2);
    let ties = store.relationships(Some(tasks[0].entity)).await.unwrap();
    let tool = store.entities(ids("staging"), whole()).await.unwrap().items[1].key;
    assert_eq!((ties.len(), ties[0].to), (1, tool));
}

/// Names are unique within an environment; what is not found is hinted at.
pub async fn names_are_found_or_hinted_at(store: Subject) {
    let mut events = Vec::new();
    for (place, (environment, agent)) in
        [("default", "researcher"), ("staging", "researcher"), ("staging", "planner"), ("test", "planner")]
            .into_iter()
            .enumerate()
    {
        let event = event(&place.to_string(), EventKind::TaskStarted, second(0));
        events.push(of_agent(in_environment(event, environment), agent));
    }
    take(&*store, events).await;
    let find = async |name: &str, environment: Option<&str>| {
        let environment = environment.map(str::to_owned);
        store.entity(EntitySelector { environment, ..select(EntityType::Agent, name) }).await
    };
    let found = find("researcher", None).await.unwrap();
    assert_eq!(found.environment, "default");
    assert_eq!(find(&found.key.entity_id.to_string(), None).await.unwrap(), found);
    assert_eq!(find("planner", Some("test")).await.unwrap().environment, "test");
    let ambiguous = find("planner", None).await.unwrap_err();
    assert!(matches!(&ambiguous, StoreError::Ambiguous { environments, .. } if environments == "staging, test"));
    let error = find("reseacher", None).await.unwrap_err().to_string();
    assert!(error.contains("`researcher`") && !error.contains("planner"), "{error}");
    for nobody in ["99999999999999999999", "77", "zzz", ""] {
        assert!(matches!(find(nobody, None).await, Err(StoreError::NotFound { .. })), "{nobody}");
    }
    let elsewhere = find("planner", Some("default")).await.unwrap_err().to_string();
    assert!(elsewhere.contains("staging"), "{elsewhere}");
}

/// The engine's clock follows arrivals and ticks, forward only.
pub async fn the_clock_never_goes_back(store: Subject) {
    assert_eq!(store.system_status().await.unwrap().clock, None);
    take(&*store, vec![event("1", EventKind::TaskStarted, hour(9))]).await;
    assert_eq!(store.system_status().await.unwrap().clock, Some(hour(10)));
    let tick = |at| StepCommit { at, writes: vec![Write::Tick], ..StepCommit::default() };
    store.commit_step(tick(hour(12))).await.unwrap();
    store.commit_step(tick(hour(11))).await.unwrap();
    take(&*store, vec![event("2", EventKind::TaskStarted, hour(1))]).await;
    assert_eq!(store.system_status().await.unwrap().clock, Some(hour(12)));
}

/// Empty batches and commits are fine.
pub async fn nothing_is_nothing(store: Subject) {
    let receipt = take(&*store, Vec::new()).await;
    assert_eq!((receipt.accepted, receipt.touched.len()), (0, 0));
    step(&*store, Vec::new()).await.unwrap();
    assert_eq!(store.counts().await.unwrap(), Counts::default());
    assert_eq!(store.task_counts().await.unwrap(), TaskCounts::default());
}
