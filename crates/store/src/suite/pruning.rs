//! What is old goes, whole and in small steps; what anything rests on stays.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use uplift_model::Time;
use uplift_model::entity::EntityType;
use uplift_model::event::{Event, EventKind, Outcome, Source};
use uplift_model::span::{SpanLink, SpanRole};
use uplift_model::trial::AssignmentUnit;

use super::sample::{
    Dice, START, Subject, agent, batch, broken, call, event, group, hour, of_agent, of_task, rollup, select, step,
    whole,
};
use super::scene::{ending, on_trial, read_on};
use crate::error::StoreError;
use crate::page::PageRequest;
use crate::reads::Store;
use crate::rows::{EventFilter, TaskFilter};
use crate::sqlite::SqliteStore;
use crate::writes::{IntakeBatch, Prune, Pruned, StepCommit, Write};

/// Takes events in that arrive at a moment.
async fn arrive(store: &dyn Store, events: Vec<Event>, received_at: Time) -> u64 {
    let batch = IntakeBatch { received_at, ..batch(events) };
    let receipt = store.commit_intake(batch).await.unwrap();
    assert!(receipt.refused.is_empty(), "{:?}", receipt.refused);
    receipt.accepted
}

/// One step of pruning.
async fn prune_once(store: &dyn Store, at: Time, events: i64, tasks: Option<i64>, rows: u32) -> Pruned {
    let old = |hours: i64| at.plus_hours(-hours).hour();
    let prune = Prune { events_before: Some(old(events)), tasks_before: tasks.map(old), rows };
    let commit = StepCommit { at, writes: vec![Write::Prune(prune)], ..StepCommit::default() };
    store.commit_step(commit).await.unwrap().pruned.unwrap()
}

/// Prunes to the end: events that arrived more than so many hours ago, and tasks. Returns what went in all.
async fn prune(store: &dyn Store, at: Time, events: i64, tasks: Option<i64>) -> Pruned {
    let mut all = Pruned::default();
    for _ in 0..100_000 {
        let done = prune_once(store, at, events, tasks, 50).await;
        all.events += done.events;
        all.texts += done.texts;
        all.tasks += done.tasks;
        if !done.more {
            return all;
        }
    }
    panic!("pruning does not come to an end: {all:?}");
}

/// The ids of the events on record, with their traces.
async fn on_record(store: &dyn Store) -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    let mut page = PageRequest::first(1_000);
    loop {
        let list = store.events(EventFilter::default(), page.clone()).await.unwrap();
        found.extend(list.items.into_iter().map(|event| (event.trace_key, event.id)));
        match list.next {
            Some(cursor) => page.cursor = Some(cursor),
            None => return found,
        }
    }
}

async fn ids(store: &dyn Store) -> Vec<String> {
    on_record(store).await.into_iter().map(|(trace, id)| format!("{trace}/{id}")).collect()
}

/// A task of one event.
fn ended(task: &str, id: &str, at: Time) -> Event {
    let mut event = of_task(event(id, EventKind::TaskCompleted, at), task);
    event.content = Some(format!("said in {task}"));
    event.attributes = Some(r#"{"tools":["search"]}"#.to_owned());
    event
}

/// By arrival, not by event time; a trace goes whole, once the latest of its events is old.
pub async fn old_traces_go_whole(store: Subject) {
    // Records of a year ago that come in now are as young as anything else.
    arrive(&*store, vec![ended("import", "1", START.plus_hours(-9_000))], hour(30)).await;
    arrive(&*store, vec![ended("old", "1", hour(0)), ended("long", "1", hour(0))], hour(31)).await;
    arrive(
        &*store,
        vec![call("2", "search", 5.0, hour(40))].into_iter().map(|e| of_task(e, "long")).collect(),
        hour(40),
    )
    .await;
    let counts = (store.counts().await.unwrap(), store.task_counts().await.unwrap());
    assert_eq!(prune(&*store, hour(79), 49, None).await, Pruned::default(), "nothing is old yet");
    let done = prune(&*store, hour(81), 49, None).await;
    // Their texts; the attributes are those that the long one uses, too.
    assert_eq!((done.events, done.texts, done.tasks), (2, 2, 0));
    assert_eq!(ids(&*store).await, ["long/1", "long/2"]);
    let long = store.event("long".to_owned(), "1".to_owned()).await.unwrap();
    assert_eq!(long.content.as_deref(), Some("said in long"));
    assert_eq!(long.attributes, Some(serde_json::json!({"tools": ["search"]})));
    // The tasks stay, and so does every sum.
    assert_eq!((store.counts().await.unwrap(), store.task_counts().await.unwrap()), counts);
    assert_eq!(store.task("old".to_owned()).await.unwrap().outcome, Some(Outcome::Success));
    let error = store.event("old".to_owned(), "1".to_owned()).await.unwrap_err();
    let StoreError::NotFound { hint, .. } = error else { panic!("{error}") };
    assert!(hint.contains("deleted because of their age"), "{hint}");
    let error = store.event("never".to_owned(), "1".to_owned()).await.unwrap_err();
    assert!(matches!(error, StoreError::NotFound { hint, .. } if hint.is_empty()));
    let storage = store.storage().await.unwrap();
    assert_eq!((storage.events_deleted, storage.texts_deleted, storage.tasks_deleted), (2, 2, 0));
    assert_eq!(storage.last_deleted_at, Some(hour(81)));
    assert!(storage.used_bytes > 0 && storage.used_bytes <= storage.file_bytes, "{storage:?}");
    assert_eq!((storage.events_since, storage.tasks_since), (Some(hour(40).hour()), Some(hour(30).hour())));
    // The long one's time comes, too, though nothing has come in since; its attributes are the last ones, and stay.
    let done = prune(&*store, hour(90), 49, None).await;
    assert_eq!((done.events, done.texts), (2, 1));
    assert_eq!(ids(&*store).await, Vec::<String>::new());
    assert_eq!(store.storage().await.unwrap().events_since, None);
}

/// Attributes that are in use by anything on record stay, and texts that come again after theirs went are stored anew.
pub async fn attributes_stay_while_they_are_used(store: Subject) {
    let with = |task: &str, id: &str, at: i64, attributes: &str| {
        let mut event = of_task(event(id, EventKind::TaskStarted, hour(at)), task);
        event.attributes = Some(attributes.to_owned());
        event
    };
    let (shared, alone, late) = (r#"{"a":"shared"}"#, r#"{"a":"alone"}"#, r#"{"a":"late"}"#);
    arrive(&*store, vec![with("t", "1", 0, shared), with("t", "2", 0, alone), with("k", "1", 0, late)], hour(0))
        .await;
    arrive(&*store, vec![with("u", "1", 20, shared)], hour(20)).await;
    arrive(&*store, vec![with("k", "2", 21, alone)], hour(21)).await;
    arrive(&*store, vec![with("k", "3", 30, shared)], hour(30)).await;
    for (at, expected) in [(10, 6), (12, 4), (31, 3), (33, 3), (41, 0)] {
        prune(&*store, hour(at), 10, None).await;
        let events = store.events(EventFilter::default(), whole()).await.unwrap().items;
        assert_eq!(events.len(), expected, "after {at} hours");
        assert!(events.iter().all(|event| event.attributes.is_some()), "after {at} hours: {events:?}");
    }
    arrive(&*store, vec![with("v", "1", 42, alone), with("v", "2", 42, late)], hour(42)).await;
    let texts = |id: &str| {
        let (store, id) = (Arc::clone(&store), id.to_owned());
        async move { store.event("v".to_owned(), id).await.unwrap().attributes.unwrap()["a"].to_string() }
    };
    assert_eq!((texts("1").await.as_str(), texts("2").await.as_str()), ("\"alone\"", "\"late\""));
}

/// However long a trace is, a step stays small, and what is killed in between goes on.
pub async fn long_traces_go_in_steps(store: Subject) {
    let events = (0..100).map(|id| ended("long", &format!("{id:03}"), hour(0))).collect();
    arrive(&*store, events, hour(0)).await;
    let mut gone = 0;
    for step in 0.. {
        let done = prune_once(&*store, hour(50), 10, None, 20).await;
        assert!(done.events <= 20 && done.events + done.texts <= 41, "{done:?}");
        gone += done.events;
        assert_eq!(on_record(&*store).await.len() as u64, 100 - gone);
        if !done.more {
            assert!(step >= 5, "{step} steps");
            break;
        }
    }
    assert_eq!(gone, 100);
    assert_eq!(store.task("long".to_owned()).await.unwrap().events, 100);
}

/// Traces that a running trial rests on stay until it ends, those of its judges too.
pub async fn what_a_trial_rests_on_stays(store: Subject) {
    let (a, trial) = on_trial(&*store, "a", AssignmentUnit::Task).await;
    let in_trace = |event: Event| Event { trace_id: Some("x".to_owned()), ..event };
    let mut judged = of_agent(of_task(event("f", EventKind::Feedback, hour(12)), "t"), "judge");
    judged.attributes = Some(r#"{"name":"quality","score":0.5}"#.to_owned());
    judged.source = Source::Human;
    arrive(&*store, vec![of_agent(ended("other", "1", hour(11)), "b")], hour(11)).await;
    arrive(&*store, vec![in_trace(ended("t", "1", hour(11)))], hour(11)).await;
    arrive(&*store, vec![judged], hour(12)).await;
    let units = read_on(&*store, trial, 0, 10).await.0;
    assert_eq!(units["x"].scores.len(), 1);
    for at in [100, 101, 150, 200] {
        prune(&*store, hour(at), 10, Some(20)).await;
        assert_eq!(ids(&*store).await, ["t/f", "x/1"]);
        assert_eq!(read_on(&*store, trial, 0, 10).await.0, units);
    }
    assert_eq!(store.task("other".to_owned()).await.unwrap_err(), StoreError::not_found("task", "other"));
    step(&*store, vec![ending(trial)]).await.unwrap();
    // Looked at again some hours later.
    prune(&*store, hour(210), 10, None).await;
    assert_eq!(ids(&*store).await, Vec::<String>::new());
    assert!(
        store.tasks(TaskFilter { entity: Some(a), ..TaskFilter::default() }, whole()).await.unwrap().items.len() == 1
    );
}

/// Tasks go long after their events; their names may come again.
pub async fn tasks_go_last(store: Subject) {
    let linked = |mut event: Event, trace: &str| {
        event.trace_id = Some(trace.to_owned());
        event
    };
    arrive(&*store, vec![ended("t", "1", hour(0)), linked(ended("k", "1", hour(0)), "x")], hour(0)).await;
    arrive(&*store, vec![of_task(call("2", "search", 1.0, hour(1)), "k")], hour(1)).await;
    let ops = |store: &Subject| {
        let store = Arc::clone(store);
        async move {
            let a = agent(&*store, "a").await;
            store.operation_history(a, "task".to_owned(), rollup(-9), rollup(999)).await.unwrap().hours
        }
    };
    let before = ops(&store).await;
    prune(&*store, hour(50), 10, Some(100)).await;
    assert!(ids(&*store).await.is_empty());
    assert_eq!(store.tasks(TaskFilter::default(), whole()).await.unwrap().items.len(), 2);
    let done = prune(&*store, hour(150), 10, Some(100)).await;
    assert_eq!(done.tasks, 2);
    assert!(store.tasks(TaskFilter::default(), whole()).await.unwrap().items.is_empty());
    assert_eq!(ops(&store).await, before);
    // What comes later under these names is new, and goes to no trace that is gone.
    arrive(&*store, vec![ended("t", "7", hour(160)), of_task(call("8", "search", 1.0, hour(160)), "k")], hour(160))
        .await;
    assert_eq!(ids(&*store).await, ["k/8", "t/7"]);
    assert_eq!(store.task("t".to_owned()).await.unwrap().events, 1);
    assert_eq!(store.task("k".to_owned()).await.unwrap().trace_key, "k");
}

/// What looks at tasks whole leaves out those whose events are gone.
pub async fn what_is_not_whole_is_not_looked_at(store: Subject) {
    let tried = |task: &str, at: i64| {
        vec![of_task(broken("1", hour(at)), task), ended(task, "9", hour(at).plus_micros(1_000_000))]
    };
    arrive(&*store, tried("old", 0), hour(0)).await;
    arrive(&*store, tried("young", 60), hour(60)).await;
    let a = agent(&*store, "a").await;
    let seen = |store: &Subject| {
        let store = Arc::clone(store);
        async move {
            let window = store.entity_window(a, 30, 100).await.unwrap();
            let past = store.past_units(a, AssignmentUnit::Task, START, hour(99), 100).await.unwrap();
            let errors = store.error_history(a, group()).await.unwrap();
            let tasks: Vec<_> = window.tasks.into_iter().map(|task| task.task_id).collect();
            let units: Vec<_> = past.into_iter().map(|unit| unit.unit).collect();
            (tasks, units, errors.tasks_affected, errors.tasks_total, errors.hours.len())
        }
    };
    let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(seen(&store).await, (names(&["old", "young"]), names(&["old", "young"]), 2, 2, 2));
    prune(&*store, hour(70), 48, None).await;
    assert_eq!(seen(&store).await, (names(&["young"]), names(&["young"]), 1, 1, 1));
    prune(&*store, hour(170), 48, None).await;
    assert!(matches!(store.error_history(a, group()).await, Err(StoreError::NotFound { .. })));
}

/// A clock that is set back or ahead deletes nothing before its time.
pub async fn clocks_may_jump(store: Subject) {
    for (task, at) in [("a", 0), ("b", 500), ("c", 1), ("d", 2)] {
        arrive(&*store, vec![ended(task, "1", hour(at))], hour(at)).await;
    }
    prune(&*store, hour(11), 10, None).await;
    assert_eq!(ids(&*store).await, ["b/1", "c/1", "d/1"]);
    prune(&*store, hour(40), 10, None).await;
    assert_eq!(ids(&*store).await, ["b/1"]);
    prune(&*store, hour(511), 10, None).await;
    assert!(ids(&*store).await.is_empty());
}

/// What the seeded history knows of a trace.
#[derive(Default)]
struct Known {
    /// When something last came in for it.
    last: i64,
    /// Its events, with whether they may, and whether they must, be gone.
    events: BTreeMap<String, (bool, bool)>,
}

/// A history of 60 days.
struct History {
    dice: Dice,
    traces: BTreeMap<String, Known>,
    /// What came in lately, to be sent again: (hour, event).
    sent: Vec<(i64, Event)>,
    number: usize,
}

/// Hours after which raw events go, of which a retry is recognised, and between two batches.
const WINDOW: i64 = 10 * 24;
const RETRY: i64 = 48;
const PACE: i64 = 3;
/// The agent on trial.
const TRIED: &str = "tried";

impl History {
    /// A batch that arrives so many hours after the start.
    fn batch(&mut self, at: i64) -> Vec<Event> {
        let mut events = Vec::new();
        for _ in 0..=self.dice.below(4) {
            self.number += 1;
            let task = match self.dice.below(10) {
                0..4 => format!("t{}", self.number),
                4..8 => format!("long{}", self.dice.below(6)),
                // Judged by somebody who knows only the task.
                8 => format!("unit{}", self.dice.below(1 + self.number / 40)),
                _ => format!("seldom{}", self.dice.below(40)),
            };
            events.extend(self.task(&task, at));
        }
        self.sent.retain(|(hour, _)| at - hour < RETRY);
        for _ in 0..self.dice.below(3) {
            if !self.sent.is_empty() {
                events.push(self.sent[self.dice.below(self.sent.len())].1.clone());
            }
        }
        let mut seen = BTreeSet::new();
        events.retain(|event| seen.insert((event.trace_key(), event.id.clone())));
        for event in &events {
            let known = self.traces.entry(event.trace_key()).or_default();
            known.last = at;
            if !known.events.contains_key(&event.id) {
                known.events.insert(event.id.clone(), (false, false));
                self.sent.push((at, event.clone()));
            }
        }
        events
    }

    fn task(&mut self, task: &str, at: i64) -> Vec<Event> {
        let id = |kind: &str| format!("{kind}{}", self.number);
        // Reported late, too: up to a day before it arrives.
        let when = hour(at).plus_micros(-3_600_000_000 * self.dice.below(24) as i64);
        let attributes = match self.dice.below(3) {
            0 => Some(format!("{{\"n\":{}}}", self.number)),
            1 => Some(format!("{{\"class\":{}}}", self.dice.below(5))),
            _ => None,
        };
        if task.starts_with("unit") {
            // Nothing of it was seen before the trial began.
            let when = when.max(hour(10));
            let mut work = of_agent(of_task(call(&id("c"), "search", 7.0, when), task), TRIED);
            work.trace_id = Some(format!("x{task}"));
            work.attributes = attributes;
            let mut judged = of_agent(of_task(event(&id("f"), EventKind::Feedback, when), task), "judge");
            judged.attributes = Some(format!("{{\"name\":\"quality\",\"score\":{}}}", self.dice.below(2)));
            judged.source = Source::Human;
            return vec![work, judged];
        }
        let mut tried =
            if self.dice.below(5) == 0 { broken(&id("e"), when) } else { call(&id("c"), "search", 7.0, when) };
        tried.attributes = attributes;
        let mut last = event(&id("z"), EventKind::TaskCompleted, when.plus_micros(1));
        last.content = Some(format!("done {}", self.number));
        [tried, last].into_iter().map(|event| of_task(event, task)).collect()
    }

    /// Notes that a step of pruning ran; `finished` where it came to its end.
    fn pruned(&mut self, at: i64, finished: bool, trial: bool) {
        for (key, known) in &mut self.traces {
            let held = trial && (key.starts_with("xunit") || key.starts_with("unit"));
            if known.last < at - WINDOW && !held {
                for fate in known.events.values_mut() {
                    *fate = (true, fate.1 || finished);
                }
            }
        }
    }
}

/// Whatever is asked of sums: the same with pruning as without.
async fn same_sums(store: &dyn Store, all: &dyn Store, trial: Option<i64>, at: i64) {
    assert_eq!(store.counts().await.unwrap(), all.counts().await.unwrap(), "hour {at}");
    assert_eq!(store.task_counts().await.unwrap(), all.task_counts().await.unwrap(), "hour {at}");
    for name in ["a", TRIED] {
        let Ok(entity) = store.entity(select(EntityType::Agent, name)).await else { continue };
        assert_eq!(entity, all.entity(select(EntityType::Agent, name)).await.unwrap());
        for operation in ["task", "tool:search", "llm"] {
            let (from, to) = (rollup(-99), rollup(at));
            let mine = store.operation_history(entity.key, operation.into(), from, to).await.unwrap();
            let theirs = all.operation_history(entity.key, operation.into(), from, to).await.unwrap();
            assert_eq!(mine.hours, theirs.hours, "{operation} of {name}, hour {at}");
        }
    }
    let list = |page: PageRequest| {
        (store.tasks(TaskFilter::default(), page.clone()), all.tasks(TaskFilter::default(), page))
    };
    let mut page = PageRequest::first(1_000);
    loop {
        let (mine, theirs) = list(page.clone());
        let mine = mine.await.unwrap();
        assert_eq!(mine, theirs.await.unwrap(), "hour {at}");
        match mine.next {
            Some(cursor) => page.cursor = Some(cursor),
            None => break,
        }
    }
    assert_eq!(
        store.review_queue(false, whole()).await.unwrap(),
        all.review_queue(false, whole()).await.unwrap(),
        "hour {at}"
    );
    if let Some(trial) = trial {
        assert_eq!(read_on(store, trial, 0, 1_000).await, read_on(all, trial, 0, 1_000).await, "hour {at}");
    }
}

/// Sixty days with traces that go on for long, retries, late reports and a trial: nothing younger than the window goes,
/// everything older does, and no sum, no task and no unit of the trial shows a difference.
pub async fn sums_show_no_difference(store: Subject) {
    let all: Subject = Arc::new(SqliteStore::in_memory().unwrap());
    let (_, trial) = on_trial(&*store, TRIED, AssignmentUnit::Task).await;
    let (_, same) = on_trial(&*all, TRIED, AssignmentUnit::Task).await;
    assert_eq!(trial, same);
    let mut history = History { dice: Dice::new(60), traces: BTreeMap::new(), sent: Vec::new(), number: 0 };
    let mut deleted = 0;
    for at in (PACE..=60 * 24).step_by(PACE as usize) {
        let running = at < 45 * 24;
        if at == 45 * 24 {
            step(&*store, vec![ending(trial)]).await.unwrap();
            step(&*all, vec![ending(trial)]).await.unwrap();
        }
        let events = history.batch(at);
        let known = arrive(&*store, events.clone(), hour(at)).await;
        assert_eq!(known, arrive(&*all, events, hour(at)).await, "a retry counted, or something new did not");
        let rows = 1 + history.dice.below(40) as u32;
        let done = prune_once(&*store, hour(at), WINDOW, None, rows).await;
        deleted += done.events;
        history.pruned(at, !done.more, running);
        if at % (5 * 24) == 0 {
            deleted += prune(&*store, hour(at), WINDOW, None).await.events;
            // What was held is looked at again some hours after the trial's end.
            history.pruned(at, running || at > 46 * 24, running);
            let left = on_record(&*store).await;
            for (trace, known) in &history.traces {
                for (id, (may, must)) in &known.events {
                    let there = left.contains(&(trace.clone(), id.clone()));
                    assert!(there || *may, "{trace}/{id} is gone at hour {at}, last seen at {}", known.last);
                    assert!(!there || !must, "{trace}/{id} is still there at hour {at}, last seen at {}", known.last);
                    if there {
                        let mine = store.event(trace.clone(), id.clone()).await.unwrap();
                        assert_eq!(mine, all.event(trace.clone(), id.clone()).await.unwrap());
                    }
                }
            }
            same_sums(&*store, &*all, running.then_some(trial), at).await;
        }
    }
    assert_eq!(deleted, store.storage().await.unwrap().events_deleted);
    assert!(deleted > 500, "only {deleted} events went");
    let left = on_record(&*store).await.len();
    assert!(left > 100, "only {left} events are left");
}

/// Spans that are no events go with their trace, in steps like events; one that waits for another goes too, and what
/// comes in for the trace later is taken as for a new one.
pub async fn spans_that_are_no_events_go_too(store: Subject) {
    let plain = |id: String, parent: &str| {
        let mut span = ended("unused", &id, hour(0));
        (span.task_id, span.trace_id) = (None, Some("x".to_owned()));
        let parent = Some(parent.to_owned());
        span.link = Some(SpanLink { parent, role: SpanRole::Plain, names_entity: false });
        span
    };
    let mut spans: Vec<Event> = (0..40).map(|id| plain(format!("s{id:02}"), "gone")).collect();
    let mut work = plain("work".to_owned(), "s00");
    work.kind = EventKind::LlmCall;
    work.link = Some(SpanLink { parent: Some("s00".to_owned()), role: SpanRole::Work, names_entity: false });
    spans.push(work);
    assert_eq!(arrive(&*store, spans, hour(0)).await, 41);
    let settle = IntakeBatch { settle_before: Some(hour(1)), received_at: hour(1), ..batch(Vec::new()) };
    assert_eq!(store.commit_intake(settle).await.unwrap().settled, 1);
    // Two traces: the last one stays.
    arrive(&*store, vec![ended("later", "1", hour(49))], hour(49)).await;
    let mut gone = 0;
    for _ in 0..50 {
        let done = prune_once(&*store, hour(50), 10, None, 20).await;
        assert!(done.events <= 20, "{done:?}");
        gone += done.events;
        if !done.more {
            break;
        }
    }
    assert_eq!(gone, 41);
    assert_eq!(store.storage().await.unwrap().events_deleted, 41);
    assert_eq!(ids(&*store).await, ["later/1"]);
    // The span that all of them hung from, at last.
    let mut root = plain("gone".to_owned(), "");
    root.link = Some(SpanLink { parent: None, role: SpanRole::Plain, names_entity: false });
    let again = plain("s00".to_owned(), "gone");
    assert_eq!(arrive(&*store, vec![root, again], hour(51)).await, 2);
    let settle = IntakeBatch { settle_before: Some(hour(60)), received_at: hour(60), ..batch(Vec::new()) };
    store.commit_intake(settle).await.unwrap();
    prune(&*store, hour(200), 10, Some(100)).await;
    assert_eq!(ids(&*store).await, Vec::<String>::new());
}
