//! Spans of traces: the same tasks whatever came first, and when each is counted.

use uplift_model::event::{Event, EventKind, Exposure, Outcome};
use uplift_model::policy::ImprovementConfig;
use uplift_model::rollup::OperationDelta;
use uplift_model::span::{SpanLink, SpanRole};
use uplift_model::task::{OutcomeRule, Task};
use uplift_model::trial::AssignmentUnit;
use uplift_model::{EntityKey, EntityType, Hour};

use super::sample::{
    Dice, START, Subject, batch, broken, call, event, group, hour, in_environment, name, of_agent, rollup, second,
    select, take, whole,
};
use super::scene::on_trial;
use crate::reads::Store;
use crate::rows::{EntitySelector, EventFilter, TaskFilter};
use crate::writes::{IntakeBatch, IntakeReceipt, StepCommit, Write};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// An event as a span of [`TRACE`] below `parent`; the root where that is empty.
fn span(mut event: Event, parent: &str, role: SpanRole) -> Event {
    event.trace_id = Some(TRACE.to_owned());
    event.task_id = (role == SpanRole::Agent).then(|| event.id.clone());
    let parent = (!parent.is_empty()).then(|| parent.to_owned());
    event.link = Some(SpanLink { parent, role, names_entity: role == SpanRole::Agent });
    of_agent(event, "service")
}

/// An agent at work for ten seconds, which says nothing on its success.
fn works(id: &str, parent: &str, agent: &str, at: i64) -> Event {
    let mut event = event(id, EventKind::TaskCompleted, second(at));
    event.duration_ms = Some(10_000.0);
    of_agent(span(event, parent, SpanRole::Agent), agent)
}

fn asks(id: &str, parent: &str, at: i64) -> Event {
    let mut event = event(id, EventKind::LlmCall, second(at));
    (event.tokens_in, event.tokens_out, event.duration_ms) = (Some(100), Some(10), Some(500.0));
    span(event, parent, SpanRole::Work)
}

fn uses(id: &str, parent: &str, at: i64) -> Event {
    span(call(id, "search", 200.0, second(at)), parent, SpanRole::Work)
}

fn breaks(id: &str, parent: &str, at: i64) -> Event {
    span(broken(id, second(at)), parent, SpanRole::Work)
}

fn passes(id: &str, parent: &str, at: i64) -> Event {
    let mut event = event(id, EventKind::TaskCompleted, second(at));
    event.duration_ms = Some(5_000.0);
    span(event, parent, SpanRole::Plain)
}

fn by_name(mut event: Event, agent: &str) -> Event {
    if let Some(link) = &mut event.link {
        link.names_entity = true;
    }
    of_agent(event, agent)
}

/// Settles every trace that waits now.
async fn settle(store: &dyn Store) -> u64 {
    let batch = IntakeBatch { settle_before: Some(hour(1_000)), ..batch(Vec::new()) };
    store.commit_intake(batch).await.unwrap().settled
}

async fn tasks(store: &dyn Store) -> Vec<Task> {
    let mut tasks = store.tasks(TaskFilter::default(), whole()).await.unwrap().items;
    tasks.sort_by(|a, b| a.task_id.cmp(&b.task_id));
    tasks
}

/// Tasks as `id agent parent events/llm/tools/errors tokens`.
async fn shown(store: &dyn Store) -> Vec<String> {
    let show = |task: Task| {
        format!(
            "{} {} {} {}/{}/{}/{} {}",
            task.task_id,
            task.entity_name,
            task.parent_task_id.unwrap_or_else(|| "-".into()),
            task.events,
            task.llm_calls,
            task.tool_calls,
            task.errors,
            task.tokens_in
        )
    };
    tasks(store).await.into_iter().map(show).collect()
}

/// A trace as most exporters send it: the inner spans first, in many requests.
pub async fn calls_count_for_the_nearest_agent(store: Subject) {
    for event in [
        asks("l1", "b", 4),
        uses("t1", "c", 5),
        passes("c", "b", 6),
        works("b", "a", "writer", 8),
        breaks("t2", "a", 9),
        works("a", "r", "planner", 12),
        passes("r", "", 13),
    ] {
        assert_eq!(take(&*store, vec![event]).await.accepted, 1);
    }
    assert_eq!(shown(&*store).await, ["a planner - 3/0/1/1 0", "b writer a 3/1/1/0 100"]);
    let found = &tasks(&*store).await[1];
    assert_eq!((found.duration_ms, found.outcome, found.ended), (Some(10_000.0), None, true));
    assert_eq!(found.started_at, Some(second(-2)));
    let filter = EventFilter { kind: Some(EventKind::Handoff), ..EventFilter::default() };
    let hand_offs = store.events(filter, whole()).await.unwrap().items;
    let [hand_off] = &hand_offs[..] else { panic!("{hand_offs:?}") };
    assert_eq!((hand_off.entity_name.as_str(), hand_off.task_id.as_deref()), ("planner", Some("a")));
    // Nothing was counted for the service.
    assert!(store.entity(select(EntityType::Agent, "service")).await.is_err());
    assert_eq!(settle(&*store).await, 0);
}

/// Without an agent, the root of the trace is the task, whatever it is.
pub async fn a_root_stands_for_the_task(store: Subject) {
    for (roots, want) in [
        (vec![asks("l", "", 3)], "l service - 1/1/0/0 100"),
        (vec![asks("l", "r", 3), uses("t", "r", 3), passes("r", "", 5)], "r service - 2/1/1/0 100"),
        (vec![passes("r", "", 5), uses("t", "r", 3)], "r service - 1/0/1/0 0"),
    ] {
        let environment = format!("e{}{}", want.len(), roots.len());
        for event in roots {
            take(&*store, vec![in_environment(event, &environment)]).await;
        }
        let found: Vec<Task> =
            tasks(&*store).await.into_iter().filter(|task| task.environment == environment).collect();
        let [task] = &found[..] else { panic!("{found:?}") };
        assert_eq!((task.ended, task.outcome), (true, None), "{want}");
        assert!(shown(&*store).await.contains(&want.to_owned()), "{:?}", shown(&*store).await);
    }
    // A root that nothing hangs from is no task.
    take(&*store, vec![in_environment(passes("alone", "", 3), "other")]).await;
    assert_eq!(tasks(&*store).await.len(), 3);
}

/// Spans whose parents never come are counted after a while, and set right should they come after all.
pub async fn what_is_missing_is_settled_and_corrected(store: Subject) {
    take(&*store, vec![breaks("t", "gone", 1), asks("l", "gone", 2)]).await;
    assert!(shown(&*store).await.is_empty());
    let events = store.events(EventFilter::default(), whole()).await.unwrap().items;
    assert!(events.len() == 2 && events.iter().all(|event| event.task_id.is_none()), "{events:?}");
    let early = IntakeBatch { settle_before: Some(START), ..batch(Vec::new()) };
    assert_eq!(store.commit_intake(early).await.unwrap().settled, 0);
    assert_eq!((settle(&*store).await, settle(&*store).await), (1, 0));
    assert_eq!(shown(&*store).await, ["gone service - 2/1/1/1 100"]);
    let service = store.entity(select(EntityType::Agent, "service")).await.unwrap().key;
    assert_eq!(store.error_history(service, group()).await.unwrap().hours, [(rollup(0), 1)]);
    // It comes after all, and is an agent's.
    let receipt = take(&*store, vec![works("gone", "", "planner", 11)]).await;
    assert_eq!(receipt.accepted, 1);
    assert_eq!(shown(&*store).await, ["gone planner - 3/1/1/1 100"]);
    let planner = store.entity(select(EntityType::Agent, "planner")).await.unwrap().key;
    assert_eq!(store.error_history(planner, group()).await.unwrap().hours, [(rollup(0), 1)]);
    assert!(store.error_history(service, group()).await.map_or(true, |errors| errors.hours.is_empty()));
    let llm = |key| store.operation_history(key, "llm".into(), rollup(0), rollup(1));
    assert_eq!(llm(planner).await.unwrap().hours.len(), 1);
    assert!(llm(service).await.unwrap().hours.is_empty());
}

/// A lost span under a known root agent: its calls are that agent's.
pub async fn the_agent_at_the_root_takes_what_is_lost(store: Subject) {
    take(&*store, vec![uses("t", "lost", 1)]).await;
    settle(&*store).await;
    assert_eq!(shown(&*store).await, ["lost service - 1/0/1/0 0"]);
    take(&*store, vec![works("a", "", "planner", 11)]).await;
    assert_eq!(settle(&*store).await, 1);
    assert_eq!(shown(&*store).await, ["a planner - 2/0/1/0 0"]);
}

/// An error that names its agent is on record before its trace is known.
pub async fn named_errors_count_at_once(store: Subject) {
    take(&*store, vec![by_name(breaks("t", "gone", 1), "planner")]).await;
    let planner = store.entity(select(EntityType::Agent, "planner")).await.unwrap().key;
    let errors = || async { store.error_history(planner, group()).await.unwrap().hours };
    assert_eq!(errors().await, [(rollup(0), 1)]);
    assert!(shown(&*store).await.is_empty());
    take(&*store, vec![works("gone", "", "boss", 3)]).await;
    assert_eq!(errors().await, [(rollup(0), 1)]);
    assert_eq!(shown(&*store).await, ["gone boss - 2/0/1/1 0"]);
}

/// A call that two libraries report, one inside the other, is one call.
pub async fn a_call_inside_a_call_counts_once(store: Subject) {
    for order in [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]] {
        let environment = format!("e{order:?}").replace(['[', ']', ',', ' '], "");
        let spans = [asks("in", "c", 3), passes("c", "out", 4), asks("out", "a", 5), works("a", "", "planner", 9)];
        for place in order {
            take(&*store, vec![in_environment(spans[place].clone(), &environment)]).await;
        }
        let found: Vec<Task> =
            tasks(&*store).await.into_iter().filter(|task| task.environment == environment).collect();
        let [task] = &found[..] else { panic!("{found:?}") };
        assert_eq!((task.events, task.llm_calls, task.tokens_in), (3, 1, 100), "{order:?}");
    }
}

/// A session that one span names is the session of all tasks of its trace.
pub async fn a_session_is_the_whole_traces(store: Subject) {
    let mut told = asks("l", "a", 3);
    told.session_id = Some("s-2".into());
    let mut plain = passes("r", "", 20);
    plain.session_id = Some("s-1".into());
    take(&*store, vec![works("b", "a", "writer", 2)]).await;
    take(&*store, vec![told]).await;
    take(&*store, vec![works("a", "r", "planner", 9)]).await;
    let sessions = || async {
        tasks(&*store).await.into_iter().map(|task| task.session_id.unwrap_or_default()).collect::<Vec<_>>()
    };
    assert_eq!(sessions().await, ["s-2", "s-2"]);
    take(&*store, vec![plain]).await;
    assert_eq!(sessions().await, ["s-1", "s-1"]);
}

/// Sent again, spans change nothing; under the same id with other contents they are refused by name.
pub async fn spans_sent_again_change_nothing(store: Subject) {
    let spans = vec![uses("t", "c", 1), passes("c", "a", 2), works("a", "", "planner", 9), asks("w", "gone", 3)];
    assert_eq!(take(&*store, spans.clone()).await.accepted, 4);
    let before = shown(&*store).await;
    for again in [spans.clone(), [spans.clone(), spans.clone()].concat()] {
        let receipt = take(&*store, again.clone()).await;
        assert_eq!((receipt.accepted, receipt.duplicates), (0, again.len() as u64));
    }
    let mut other = passes("c", "a", 2);
    other.duration_ms = Some(1.0);
    let receipt = take(&*store, vec![uses("new", "a", 4), other]).await;
    assert_eq!((receipt.accepted, receipt.refused.len(), receipt.refused[0].index), (1, 1, 1));
    assert_eq!(before, ["a planner - 2/0/1/0 0"]);
    assert_eq!(shown(&*store).await, ["a planner - 3/0/2/0 0"]);
}

/// What ends without a word on its success is unknown, unless the agent's rule says otherwise.
pub async fn an_open_status_follows_the_agents_rule(store: Subject) {
    for (rule, outcome, want) in [
        (None, None, None),
        (None, Some(Outcome::Success), Some(Outcome::Success)),
        (Some(OutcomeRule::Completion), None, Some(Outcome::Success)),
        (Some(OutcomeRule::Completion), Some(Outcome::Error), Some(Outcome::Error)),
    ] {
        let environment = format!("e-{}-{}", rule.is_some(), outcome.is_some());
        let entity = name(&environment, EntityType::Agent, "planner");
        let config = ImprovementConfig { outcome: rule, ..Default::default() };
        let declare = StepCommit {
            at: hour(0),
            writes: vec![Write::DeclareEntity { name: entity, config }],
            ..StepCommit::default()
        };
        store.commit_step(declare).await.unwrap();
        let mut ends = in_environment(works("a", "", "planner", 9), &environment);
        if outcome == Some(Outcome::Error) {
            ends.kind = EventKind::TaskFailed;
        }
        ends.outcome = outcome;
        take(&*store, vec![ends]).await;
        let found = tasks(&*store).await.into_iter().find(|task| task.environment == environment).unwrap();
        assert_eq!(found.outcome, want, "{environment}");
    }
}

/// Where nobody registers by themselves, named strangers are refused and the rest is kept without a task.
pub async fn strangers_are_not_registered_by_spans(store: Subject) {
    let closed = |events| IntakeBatch { auto_register: false, ..batch(events) };
    let spans = vec![works("a", "", "planner", 9), uses("t", "r", 3), passes("r", "", 5)];
    let receipt: IntakeReceipt = store.commit_intake(closed(spans)).await.unwrap();
    assert_eq!((receipt.accepted, receipt.refused.len()), (2, 1));
    let end = IntakeBatch { settle_before: Some(hour(9)), ..closed(vec![uses("u", "gone", 3)]) };
    assert_eq!(store.commit_intake(end).await.unwrap().accepted, 1);
    assert!(tasks(&*store).await.is_empty());
    assert_eq!(store.counts().await.unwrap().agents, 0);
}

/// A few traces of agents, calls and whatever else, with lost parents and circles.
fn traffic(dice: &mut Dice) -> Vec<Event> {
    let mut events = Vec::new();
    for trace in 0..3 {
        let spans = 4 + dice.below(14);
        for place in 0..spans {
            let id = format!("{trace}{place:02}");
            let parent = match dice.below(12) {
                0 => String::new(),
                1 => format!("{trace}lost{}", dice.below(2)),
                // Mostly those before; now and then any, which makes circles.
                2 => format!("{trace}{:02}", dice.below(spans)),
                _ if place == 0 => String::new(),
                _ => format!("{trace}{:02}", dice.below(place)),
            };
            let at = 3_600 * trace + 60 * place as i64;
            let mut made = match dice.below(8) {
                0 | 1 => works(&id, &parent, ["a", "b"][dice.below(2)], at),
                2 | 3 => passes(&id, &parent, at),
                4 => breaks(&id, &parent, at),
                5 => uses(&id, &parent, at),
                _ => asks(&id, &parent, at),
            };
            let role = made.link.as_ref().map(|link| link.role);
            if role == Some(SpanRole::Work) && dice.below(4) == 0 {
                made = by_name(made, ["a", "b"][dice.below(2)]);
            }
            if dice.below(6) == 0 {
                made.session_id = Some(format!("s{}", dice.below(3)));
            }
            made.trace_id = Some(format!("trace{trace}"));
            events.push(made);
        }
    }
    events
}

/// Tasks and sums of an environment, without what tells it from the others.
#[derive(Debug, Clone, PartialEq)]
struct Picture {
    tasks: Vec<Task>,
    sums: Vec<(String, Vec<(Hour, OperationDelta)>)>,
}

async fn picture(store: &dyn Store, environment: &str) -> Picture {
    let mut tasks: Vec<Task> =
        tasks(store).await.into_iter().filter(|task| task.environment == environment).collect();
    for task in &mut tasks {
        task.environment.clear();
        task.entity = EntityKey::new(EntityType::Agent, 1);
    }
    let mut sums = Vec::new();
    for name in ["a", "b", "service"] {
        let selector = EntitySelector {
            entity_type: EntityType::Agent,
            id_or_name: name.into(),
            environment: Some(environment.into()),
        };
        // Registered for nothing, or not registered: the same.
        let Ok(entity) = store.entity(selector).await else { continue };
        for operation in ["task", "llm", "tool:search"] {
            let history = store.operation_history(entity.key, operation.into(), rollup(-1), rollup(99)).await;
            sums.push((format!("{name} {operation}"), history.unwrap().hours));
        }
        if let Ok(errors) = store.error_history(entity.key, group()).await {
            let hours = errors.hours.into_iter().map(|(hour, n)| (hour, OperationDelta { n, ..Default::default() }));
            sums.push((format!("{name} errors"), hours.collect()));
        }
    }
    sums.retain(|(_, hours)| !hours.is_empty());
    Picture { tasks, sums }
}

/// The same tasks and sums from the same spans in any order and any batches, some sent twice, the store forgetting what
/// it knew and settling in between.
pub async fn any_order_gives_the_same_tasks(store: Subject) {
    let mut counted = 0;
    for seed in 0..16 {
        let spans = traffic(&mut Dice::new(seed));
        let mut expected: Option<Picture> = None;
        for run in 0..5 {
            let environment = format!("run-{seed}-{run}");
            let mut dice = Dice::new(seed * 100 + run);
            let mut events: Vec<Event> =
                spans.iter().map(|span| in_environment(span.clone(), &environment)).collect();
            if run > 0 {
                let again: Vec<Event> = events.iter().filter(|_| dice.below(4) == 0).cloned().collect();
                events.extend(again);
                dice.shuffle(&mut events);
            }
            while !events.is_empty() {
                let most = if run == 0 { 1_000 } else { 1 + dice.below(12) };
                let rest = events.split_off(events.len().min(most));
                assert!(take(&*store, events).await.refused.is_empty());
                events = rest;
                if run > 1 && dice.below(4) == 0 {
                    settle(&*store).await;
                }
                if run > 2 && dice.below(3) == 0 {
                    forget(&*store).await;
                }
            }
            settle(&*store).await;
            let seen = picture(&*store, &environment).await;
            counted += seen.tasks.len();
            let expected = expected.get_or_insert_with(|| seen.clone());
            for (task, want) in seen.tasks.iter().zip(&expected.tasks) {
                assert_eq!(task, want, "seed {seed}, run {run}");
            }
            assert_eq!(&seen, expected, "seed {seed}, run {run}");
        }
    }
    assert!(counted > 100, "{counted}");
}

/// Makes the store drop what it remembers of the tables, as a restart does: a request that fails.
async fn forget(store: &dyn Store) {
    let nobody =
        Write::DeclareEntity { name: name("e", EntityType::Agent, "x"), config: ImprovementConfig::default() };
    let lease = uplift_model::process::Lease { name: "none".into(), holder: "nobody".into(), epoch: 99 };
    let commit = StepCommit { at: hour(1), lease: Some(lease), writes: vec![nobody], ..StepCommit::default() };
    assert!(store.commit_step(commit).await.is_err());
}

/// The span of the request says which arm was served; it is no event of anybody, and may come long after the others.
pub async fn exposures_of_plain_spans_count(store: Subject) {
    let (_, id) = on_trial(&*store, "a", AssignmentUnit::Task).await;
    let exposure = Exposure { trial: id, arm: "candidate".to_owned(), revision: "r".to_owned() };
    let of = |id: &str, parent: Option<&str>, role: SpanRole, seconds: i64| {
        let mut span = event(id, EventKind::TaskCompleted, hour(10).plus_micros(seconds * 1_000_000));
        span.trace_id = Some("x".into());
        span.task_id = (role == SpanRole::Agent).then(|| id.to_owned());
        span.link = Some(SpanLink { parent: parent.map(str::to_owned), role, names_entity: role == SpanRole::Agent });
        span
    };
    take(&*store, vec![of("agent", Some("request"), SpanRole::Agent, 5)]).await;
    let first = store.changed_units(id, 0, 10).await.unwrap();
    assert_eq!((first.units.len(), &first.units[0].exposures[..]), (1, &[][..]));
    let mut request = of("request", None, SpanRole::Plain, 6);
    request.exposures = vec![exposure.clone()];
    take(&*store, vec![request]).await;
    let then = store.changed_units(id, first.cursor, 10).await.unwrap();
    assert_eq!((then.units.len(), &then.units[0].exposures[..]), (1, &[exposure][..]));
}
