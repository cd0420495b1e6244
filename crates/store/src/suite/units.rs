//! Units of running trials: every change is seen once it is looked for, whatever the order of events.

use uplift_model::entity::{DEFAULT_ENVIRONMENT, EntityKey, EntityState, EntityType};
use uplift_model::event::{Event, EventKind, Exposure, Outcome, Source};
use uplift_model::time::Time;
use uplift_model::trial::{AssignmentUnit, TrialKind, UnitRecord};

use super::sample::{
    Dice, Subject, agent, batch, broken, call, event, hour, in_environment, of_agent, of_task, step, take,
};
use super::scene::{ending, improved, look, on_trial, propose, read_on, shown, start, starting, trial};
use crate::error::StoreError;
use crate::reads::Store;
use crate::writes::{StepCommit, Write};

pub(super) const TASK: AssignmentUnit = AssignmentUnit::Task;
const SESSION: AssignmentUnit = AssignmentUnit::Session;

/// So many seconds after the trials start.
pub(super) fn at(seconds: i64) -> Time {
    hour(10).plus_micros(seconds * 1_000_000)
}

/// Start and end of a task of `a`.
pub(super) fn task(name: &str, seconds: i64) -> Vec<Event> {
    let begun = event("1", EventKind::TaskStarted, at(seconds));
    let mut ended = event("9", EventKind::TaskCompleted, at(seconds + 5));
    ended.tokens_in = Some(30);
    ended.cost_usd = Some(0.5);
    [begun, ended].into_iter().map(|event| of_task(event, name)).collect()
}

fn in_session(events: Vec<Event>, session: &str) -> Vec<Event> {
    let with = |event| Event { session_id: Some(session.to_owned()), ..event };
    events.into_iter().map(with).collect()
}

pub(super) fn in_trace(events: Vec<Event>, trace: &str) -> Vec<Event> {
    let with = |event| Event { trace_id: Some(trace.to_owned()), ..event };
    events.into_iter().map(with).collect()
}

/// A judge's word.
pub(super) fn feedback(id: &str, task: &str, seconds: i64, attributes: &str) -> Event {
    let mut event = of_agent(of_task(event(id, EventKind::Feedback, at(seconds)), task), "judge");
    event.attributes = Some(attributes.to_owned());
    event.source = Source::Human;
    event
}

fn named(units: &[(&str, &[&str])]) -> Vec<(String, Vec<String>)> {
    units.iter().map(|(unit, tasks)| ((*unit).to_owned(), tasks.iter().map(ToString::to_string).collect())).collect()
}

/// A unit comes whole: its tasks with their totals, others' tasks of the trace, arms and scores.
pub async fn a_unit_comes_whole(store: Subject) {
    let (a, id) = on_trial(&*store, "a", TASK).await;
    let exposure = |arm: &str| Exposure { trial: id, arm: arm.to_owned(), revision: "r".to_owned() };
    let mut events = in_trace(task("t", 0), "x");
    events[0].exposures = vec![exposure("candidate")];
    events[1].exposures = vec![exposure("candidate")];
    let mut tried = call("2", "search", 3.0, at(2));
    tried.trace_id = Some("x".into());
    tried.tokens_in = Some(999);
    let mut child = in_trace(task("child", 1), "x").into_iter().map(|event| of_agent(event, "b")).collect::<Vec<_>>();
    child[0].id = "c1".into();
    child[0].parent_task_id = Some("t".into());
    child[1].id = "c9".into();
    child[1].outcome = Some(Outcome::Failure);
    child[1].tokens_in = None;
    child[1].duration_ms = Some(1.5);
    let mut wrong = in_trace(vec![of_agent(of_task(broken("c2", at(2)), "child"), "b")], "x");
    events.append(&mut child);
    events.append(&mut wrong);
    events.push(tried);
    take(&*store, events).await;
    take(
        &*store,
        vec![
            feedback("f1", "t", 60, r#"{"name":"quality","score":0.25}"#),
            feedback("f2", "t", 70, r#"{"name":"polite","score":true}"#),
            feedback("f3", "t", 80, r#"{"name":"polite","score":"very"}"#),
            feedback("f4", "t", 90, r#"{"score":1}"#),
        ],
    )
    .await;
    let batch = store.changed_units(id, 0, 10).await.unwrap();
    assert!(!batch.more && batch.cursor > 0);
    let [unit] = &batch.units[..] else { panic!("one unit: {batch:?}") };
    assert_eq!(unit.unit, "x");
    let b = agent(&*store, "b").await;
    let tasks: Vec<_> = unit
        .tasks
        .iter()
        .map(|task| {
            (task.task_id.as_str(), task.owner, task.parent.as_deref(), task.outcome, task.errors, task.tokens)
        })
        .collect();
    assert_eq!(
        tasks,
        [
            // The totals of its end stand above the sums.
            ("t", Some(a), None, Some(Outcome::Success), 0, 30),
            ("child", Some(b), Some("t"), Some(Outcome::Failure), 1, 0),
        ]
    );
    let [parent, child] = &unit.tasks[..] else { panic!("two tasks") };
    assert_eq!((parent.started_us, parent.ended, parent.duration_ms), (Some(at(0).micros()), true, Some(5_000.0)));
    assert_eq!((parent.trace_key.as_str(), child.duration_ms), ("x", Some(1.5)));
    assert!((parent.cost_usd - 0.5).abs() < 1e-9);
    assert_eq!(unit.exposures, [exposure("candidate")]);
    let scores = [
        ("quality".to_owned(), 0.25, at(60).micros(), Source::Human),
        ("polite".to_owned(), 1.0, at(70).micros(), Source::Human),
    ];
    assert_eq!(unit.scores, scores);
}

/// Only traces with a task of the entity's, first seen since the start of the trial.
pub async fn what_began_before_the_trial_is_left_out(store: Subject) {
    let (_, id) = on_trial(&*store, "a", TASK).await;
    let (_, other) = on_trial(&*store, "b", TASK).await;
    let mut events = [task("before", -1), task("at", 0), task("after", 1)].concat();
    events.extend(task("of b", 2).into_iter().map(|event| of_agent(event, "b")));
    events.extend(task("of c", 2).into_iter().map(|event| of_agent(event, "c")));
    // Outside of tasks; and in an environment of its own.
    let mut outside = event("o", EventKind::Error, at(3));
    outside.task_id = None;
    events.push(outside);
    events.extend(task("staged", 2).into_iter().map(|event| in_environment(event, "staging")));
    take(&*store, events).await;
    assert_eq!(shown(&*store, id).await, named(&[("after", &["after"]), ("at", &["at"])]));
    assert_eq!(store.changed_units(id, 0, 10).await.unwrap().units.len(), 2);
    assert_eq!(shown(&*store, other).await, named(&[("of b", &["of b"])]));

    // What shows late that it began before has to go: the unit comes once more, without anything.
    let (_, cursor) = read_on(&*store, id, 0, 10).await;
    take(&*store, vec![of_task(event("0", EventKind::LlmCall, at(-1)), "after")]).await;
    let batch = store.changed_units(id, cursor, 10).await.unwrap();
    assert_eq!(batch.units, [UnitRecord { unit: "after".into(), ..UnitRecord::default() }]);
    take(&*store, vec![of_task(event("3", EventKind::LlmCall, at(3)), "after")]).await;
    assert!(store.changed_units(id, batch.cursor, 10).await.unwrap().units.is_empty());
    assert_eq!(shown(&*store, id).await, named(&[("at", &["at"])]));
}

/// An event that is known already, or refused, is no change.
pub async fn duplicates_touch_nothing(store: Subject) {
    let (_, id) = on_trial(&*store, "a", TASK).await;
    take(&*store, task("t", 0)).await;
    let (_, cursor) = read_on(&*store, id, 0, 10).await;
    assert_eq!(take(&*store, task("t", 0)).await.duplicates, 2);
    let mut other = task("t", 0).remove(0);
    other.content = Some("something else".into());
    assert_eq!(take(&*store, vec![other]).await.refused.len(), 1);
    let batch = store.changed_units(id, cursor, 10).await.unwrap();
    assert_eq!((batch.units.len(), batch.cursor, batch.more), (0, cursor, false));
    take(&*store, vec![of_task(event("5", EventKind::LlmCall, at(3)), "t")]).await;
    assert_eq!(store.changed_units(id, cursor, 10).await.unwrap().units.len(), 1);
}

/// The traces of a session are one unit; what names none is a unit by itself.
pub async fn a_session_is_one_unit(store: Subject) {
    let (_, id) = on_trial(&*store, "a", SESSION).await;
    let events = [in_session(task("2", 10), "s"), in_session(task("1", 0), "s"), task("3", 5)].concat();
    take(&*store, events).await;
    assert_eq!(shown(&*store, id).await, named(&[("3", &["3"]), ("s", &["1", "2"])]));
    // One of them changes: all of it comes.
    let (_, cursor) = read_on(&*store, id, 0, 10).await;
    take(&*store, vec![of_task(event("5", EventKind::LlmCall, at(12)), "2")]).await;
    let batch = store.changed_units(id, cursor, 10).await.unwrap();
    assert_eq!((batch.units.len(), batch.units[0].tasks.len()), (1, 2));
    // The session of somebody else's task in the trace is not the entity's.
    let helper = in_session(task("h", 20), "z").into_iter().map(|event| of_agent(event, "helper")).collect();
    take(&*store, in_trace(helper, "y")).await;
    let mut own = in_trace(task("own", 20), "y");
    for event in &mut own {
        event.id.push('o');
    }
    take(&*store, own).await;
    assert!(shown(&*store, id).await.contains(&("y".to_owned(), vec!["h".to_owned(), "own".to_owned()])));
}

/// A trace that names its session late, or another one, goes over to it; what it has left comes again without it.
pub async fn a_trace_goes_over_to_its_session(store: Subject) {
    let (_, id) = on_trial(&*store, "a", SESSION).await;
    take(&*store, [task("1", 0), in_session(task("2", 10), "s")].concat()).await;
    let (units, cursor) = read_on(&*store, id, 0, 10).await;
    assert_eq!(units.keys().collect::<Vec<_>>(), ["1", "s"]);
    let late = |id: &str, session: &str| {
        let mut event = of_task(event(id, EventKind::LlmCall, at(3)), "1");
        event.session_id = Some(session.to_owned());
        event
    };
    take(&*store, vec![late("a", "s")]).await;
    let (units, cursor) = read_on(&*store, id, cursor, 10).await;
    assert_eq!((units["1"].tasks.len(), units["s"].tasks.len()), (0, 2));
    // Senders disagree: the least name, as for the task itself.
    take(&*store, vec![late("b", "r")]).await;
    let (units, cursor) = read_on(&*store, id, cursor, 10).await;
    assert_eq!((units["r"].tasks.len(), units["s"].tasks.len(), units.len()), (1, 1, 2));
    assert_eq!(shown(&*store, id).await, named(&[("r", &["1"]), ("s", &["2"])]));
    take(&*store, vec![late("c", "z")]).await;
    let (units, _) = read_on(&*store, id, cursor, 10).await;
    assert_eq!(units.keys().collect::<Vec<_>>(), ["r"]);
}

/// A task that was somebody else's, or nobody's, becomes a unit when it shows whose it is; and the other way round.
pub async fn owners_may_show_late(store: Subject) {
    let (_, id) = on_trial(&*store, "a", TASK).await;
    let (_, other) = on_trial(&*store, "b", TASK).await;
    // A call claims it for `b`, until its start says that it is `a`'s.
    take(&*store, vec![of_agent(of_task(call("5", "search", 1.0, at(3)), "t"), "b")]).await;
    assert_eq!(shown(&*store, other).await, named(&[("t", &["t"])]));
    let (_, cursor) = read_on(&*store, other, 0, 10).await;
    take(&*store, task("t", 0)).await;
    assert_eq!(shown(&*store, id).await, named(&[("t", &["t"])]));
    let batch = store.changed_units(other, cursor, 10).await.unwrap();
    assert_eq!(batch.units, [UnitRecord { unit: "t".into(), ..UnitRecord::default() }]);
    // Back and forth: any event, the end, the start.
    take(&*store, vec![of_task(call("5", "search", 1.0, at(3)), "u")]).await;
    take(&*store, vec![of_agent(task("u", 0).remove(1), "b")]).await;
    assert_eq!(shown(&*store, id).await, named(&[("t", &["t"])]));
    assert_eq!(shown(&*store, other).await, named(&[("u", &["u"])]));
    take(&*store, vec![task("u", 0).remove(0)]).await;
    assert_eq!(shown(&*store, id).await, named(&[("t", &["t"]), ("u", &["u"])]));
    assert!(shown(&*store, other).await.is_empty());
}

/// A task that was named without its trace moves to where it is at home, and its unit with it.
pub async fn a_moved_task_leaves_its_unit(store: Subject) {
    let (_, id) = on_trial(&*store, "a", TASK).await;
    take(&*store, vec![of_task(event("1", EventKind::TaskStarted, at(0)), "t")]).await;
    let (_, cursor) = read_on(&*store, id, 0, 10).await;
    take(&*store, in_trace(vec![of_task(event("9", EventKind::TaskCompleted, at(5)), "t")], "x")).await;
    let (units, _) = read_on(&*store, id, cursor, 10).await;
    assert_eq!((units["t"].tasks.len(), units["x"].tasks.len()), (0, 1));
    assert_eq!(units["x"].tasks[0].started_us, Some(at(0).micros()));
}

/// What changes while a look is under way comes with the next one.
pub async fn nothing_is_lost_between_reading_and_saving(store: Subject) {
    let (_, id) = on_trial(&*store, "a", TASK).await;
    let names: Vec<String> = (0..5).map(|number| format!("t{number}")).collect();
    take(&*store, names.iter().flat_map(|name| task(name, 0)).collect()).await;
    let batch = store.changed_units(id, 0, 2).await.unwrap();
    assert_eq!((batch.units.len(), batch.more), (2, true));
    let first = batch.units[0].unit.clone();
    take(&*store, vec![of_task(event("5", EventKind::LlmCall, at(2)), &first)]).await;
    step(&*store, vec![look(id, 0, batch.cursor)]).await.unwrap();
    let (units, cursor) = read_on(&*store, id, batch.cursor, 2).await;
    assert_eq!(units.len(), 4);
    assert!(units.contains_key(&first));
    // Whoever comes second with the same cursor is told.
    let error = step(&*store, vec![look(id, 0, cursor)]).await.unwrap_err();
    assert!(matches!(error, StoreError::VersionConflict { .. }));
    step(&*store, vec![look(id, batch.cursor, cursor)]).await.unwrap();
    let empty = store.changed_units(id, cursor, 2).await.unwrap();
    assert_eq!((empty.units.len(), empty.cursor, empty.more), (0, cursor, false));
}

/// The numbering goes on where it was, whatever fails or is forgotten in between.
pub async fn the_numbering_never_goes_back(store: Subject) {
    let (a, id) = on_trial(&*store, "a", TASK).await;
    let mut cursor = 0;
    for round in 0..4 {
        take(&*store, task(&format!("t{round}"), round)).await;
        let batch = store.changed_units(id, cursor, 10).await.unwrap();
        assert_eq!(batch.units.len(), 1, "round {round}");
        assert!(batch.cursor > cursor);
        let mut taken_in = look(id, cursor, batch.cursor);
        if let Write::SaveLook { forget_before_us, .. } = &mut taken_in {
            // Nothing is left in the table from here on.
            *forget_before_us = if round > 0 { at(3_600).micros() } else { 0 };
        }
        step(&*store, vec![taken_in]).await.unwrap();
        cursor = batch.cursor;
        // A commit that fails takes everything with it that is not in the database.
        let nobody = EntityKey::new(EntityType::Agent, 4_711);
        let bad = Write::SetEntityState { entity: nobody, state: EntityState::Active };
        assert!(step(&*store, vec![bad]).await.is_err());
    }
    step(&*store, vec![ending(id)]).await.unwrap();
    let next = propose(&*store, a).await;
    let next = start(&*store, a, next, trial(TrialKind::Trial, TASK)).await.unwrap();
    take(&*store, task("of the next", 9)).await;
    assert_eq!(shown(&*store, next).await, named(&[("of the next", &["of the next"])]));
}

/// An ended trial notes nothing and has nothing; a trial that starts in the same commit does.
pub async fn ended_trials_note_nothing(store: Subject) {
    let (a, id) = on_trial(&*store, "a", TASK).await;
    let next = propose(&*store, a).await;
    take(&*store, task("t", 0)).await;
    step(&*store, vec![ending(id)]).await.unwrap();
    take(&*store, task("u", 1)).await;
    let batch = store.changed_units(id, 0, 10).await.unwrap();
    assert_eq!((batch.units.len(), batch.cursor), (0, 0));
    let held = step(&*store, vec![starting(a, next, trial(TrialKind::HoldBack, TASK))]).await.unwrap().trials[0];
    take(&*store, task("v", 2)).await;
    assert_eq!(shown(&*store, held).await, named(&[("v", &["v"])]));
    let next = step(&*store, vec![starting(a, next, trial(TrialKind::Trial, TASK))]).await.unwrap().trials[0];
    assert!(shown(&*store, held).await.is_empty());
    take(&*store, task("v", 3).into_iter().map(|event| Event { id: event.id + "b", ..event }).collect()).await;
    assert_eq!(shown(&*store, next).await, named(&[("v", &["v"])]));
}

/// What is old and was taken in is forgotten, unit by unit: what is left of a unit is all of it.
pub async fn units_are_forgotten_whole(store: Subject) {
    let (_, id) = on_trial(&*store, "a", SESSION).await;
    let events = [
        in_session(task("old", 0), "over"),
        in_session(task("older", 0), "going on"),
        in_session(task("new", 3_600), "going on"),
        task("young", 3_600),
    ];
    take(&*store, events.concat()).await;
    let (_, cursor) = read_on(&*store, id, 0, 10).await;
    take(&*store, task("unread", 1)).await;
    let forget = |expected_cursor, cursor, before: i64| {
        let mut forget = look(id, expected_cursor, cursor);
        if let Write::SaveLook { forget_before_us, .. } = &mut forget {
            *forget_before_us = at(before).micros();
        }
        vec![forget]
    };
    step(&*store, forget(0, cursor, 600)).await.unwrap();
    let left = named(&[("going on", &["older", "new"]), ("unread", &["unread"]), ("young", &["young"])]);
    assert_eq!(shown(&*store, id).await, left);
    let (_, later) = read_on(&*store, id, cursor, 10).await;
    step(&*store, forget(cursor, later, 7_200)).await.unwrap();
    assert!(shown(&*store, id).await.is_empty());
    // A straggler brings its trace back.
    take(&*store, vec![of_task(event("5", EventKind::LlmCall, at(9)), "old")]).await;
    assert_eq!(shown(&*store, id).await, named(&[("over", &["old"])]));
    let (_, cursor) = read_on(&*store, id, 0, 10).await;
    assert!(cursor > later);
}

/// Everything that can happen to units, as events in a fixed order.
fn mixed() -> Vec<Event> {
    let mut events = Vec::new();
    for number in 0..12 {
        let name = format!("t{number}");
        let mut of_one = task(&name, 10 * number);
        match number % 6 {
            0 => of_one = in_session(of_one, &format!("s{}", number % 4)),
            1 => of_one = in_trace(of_one, &format!("x{}", number % 4)),
            // The session shows with one event only.
            2 => of_one[1].session_id = Some(format!("s{}", number % 4)),
            // The trace shows with one event only.
            3 => of_one[1].trace_id = Some(format!("x{number}")),
            // It began before.
            4 => of_one.push(of_task(event("0", EventKind::LlmCall, at(-5)), &name)),
            // Whose it is shows with one event only.
            _ => of_one.push(of_agent(of_task(call("5", "search", 1.0, at(10 * number + 1)), &name), "b")),
        }
        of_one[0].exposures = vec![Exposure { trial: 1, arm: "control".into(), revision: format!("r{number}") }];
        of_one.push(feedback(&format!("f{number}"), &name, 10 * number + 3, r#"{"name":"q","score":0.5}"#));
        for (place, event) in of_one.iter_mut().enumerate() {
            event.id = format!("{number}-{place}");
        }
        events.extend(of_one);
    }
    events
}

/// Whatever the order and grouping of events, and whenever they are looked at: the same units.
pub async fn any_order_gives_the_same_units(store: Subject) {
    let mut expected: Option<Vec<UnitRecord>> = None;
    for (seed, unit) in (0..24).map(|seed| (seed, if seed < 12 { TASK } else { SESSION })) {
        if seed == 12 {
            expected = None;
        }
        // A world of its own in the same store.
        let environment = format!("e{seed}");
        let mut dice = Dice::new(seed);
        let mut events = mixed();
        if seed % 12 > 0 {
            dice.shuffle(&mut events);
        }
        let mut events: Vec<Event> = events.into_iter().map(|event| in_environment(event, &environment)).collect();
        let id = in_world(&*store, &environment, unit).await;
        let (mut units, mut cursor) = (std::collections::BTreeMap::new(), 0);
        while !events.is_empty() {
            let rest = events.split_off((1 + dice.below(20)).min(events.len()));
            take(&*store, std::mem::replace(&mut events, rest)).await;
            if dice.below(3) == 0 || events.is_empty() {
                let (changed, next) = read_on(&*store, id, cursor, 1 + dice.below(5) as u32).await;
                units.extend(changed);
                cursor = next;
            }
        }
        // From the start it is the same as step by step.
        let mut whole = read_on(&*store, id, 0, 100).await.0;
        units.retain(|_, unit| !unit.tasks.is_empty());
        whole.retain(|_, unit| !unit.tasks.is_empty());
        assert_eq!(units, whole, "seed {seed}");
        let plain: Vec<UnitRecord> = whole.into_values().map(without_owners).collect();
        assert!(plain.len() > 5, "{plain:?}");
        assert_eq!(&plain, expected.get_or_insert_with(|| plain.clone()), "seed {seed}");
    }
}

/// Keys differ from world to world.
fn without_owners(mut unit: UnitRecord) -> UnitRecord {
    for task in &mut unit.tasks {
        task.owner = None;
    }
    unit
}

/// A trial of the agent `a` of an environment.
async fn in_world(store: &dyn Store, environment: &str, unit: AssignmentUnit) -> i64 {
    let (_, improvement) = improved(store, DEFAULT_ENVIRONMENT).await;
    let name = super::sample::name(environment, EntityType::Agent, "a");
    let declare = Write::DeclareEntity { name, config: uplift_model::policy::ImprovementConfig::default() };
    let entity = step(store, vec![declare]).await.unwrap().entities[0];
    assert!(improvement > 0);
    let improvement = propose(store, entity).await;
    start(store, entity, improvement, trial(TrialKind::Trial, unit)).await.unwrap()
}

/// The past by the same rules as a trial, the latest units, in the order of their start.
pub async fn the_past_is_made_of_the_same_units(store: Subject) {
    let (a, _) = improved(&*store, "a").await;
    let mut events =
        [task("1", 0), in_session(task("2", 10), "s"), task("3", 5), in_session(task("4", 20), "s")].concat();
    events.extend(task("of b", 2).into_iter().map(|event| of_agent(event, "b")));
    events.push(feedback("f", "3", 9, r#"{"name":"quality","score":0.5}"#));
    events.extend(in_trace(task("5", 30), "x"));
    take(&*store, events).await;
    let past = async |unit, since: i64, until: i64, limit| {
        let units = store.past_units(a, unit, at(since), at(until), limit).await.unwrap();
        units
            .into_iter()
            .map(|unit| (unit.unit, unit.tasks.into_iter().map(|task| task.task_id).collect()))
            .collect::<Vec<_>>()
    };
    let all = named(&[("1", &["1"]), ("3", &["3"]), ("2", &["2"]), ("4", &["4"]), ("x", &["5"])]);
    assert_eq!(past(TASK, 0, 100, 10).await, all);
    assert_eq!(past(TASK, 5, 20, 10).await, all[1..3]);
    assert_eq!(past(TASK, 0, 100, 2).await, all[3..]);
    assert_eq!(past(TASK, 0, 100, 0).await, []);
    let sessions = named(&[("1", &["1"]), ("3", &["3"]), ("s", &["2", "4"]), ("x", &["5"])]);
    assert_eq!(past(SESSION, 0, 100, 10).await, sessions);
    assert_eq!(past(SESSION, 0, 100, 2).await, sessions[2..]);
    let scored = store.past_units(a, TASK, at(5), at(6), 10).await.unwrap();
    assert_eq!(scored[0].scores, [("quality".to_owned(), 0.5, at(9).micros(), Source::Human)]);
    let nobody = EntityKey::new(EntityType::Agent, 4_711);
    assert!(store.past_units(nobody, TASK, at(0), at(100), 10).await.unwrap().is_empty());
}

/// Events of one commit that fails leave no units, and those that come with the next do.
pub async fn units_come_and_go_with_their_events(store: Subject) {
    let (_, id) = on_trial(&*store, "a", TASK).await;
    let commit = StepCommit { at: hour(100), writes: vec![ending(id), ending(id)], ..StepCommit::default() };
    assert!(store.commit_step(commit).await.is_err());
    let mut stranger = batch(task("t", 0));
    stranger.auto_register = false;
    assert_eq!(store.commit_intake(stranger).await.unwrap().accepted, 2);
    assert_eq!(shown(&*store, id).await, named(&[("t", &["t"])]));
}
