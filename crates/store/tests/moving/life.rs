//! A fleet in the middle of everything goes on on the other side as if nothing had happened.

use std::collections::BTreeMap;
use std::fmt::Debug;

use serde_json::json;
use uplift_model::alert::{AlertFinding, AlertKind};
use uplift_model::entity::{EntityKey, EntityType};
use uplift_model::event::{Event, EventKind, Exposure, Outcome};
use uplift_model::history::{HistoryEntry, HistoryOutcome, MetricValues};
use uplift_model::improvement::ImprovementType;
use uplift_model::opportunity::OpportunityKind;
use uplift_model::policy::ImprovementConfig;
use uplift_model::process::Lease;
use uplift_model::span::{SpanLink, SpanRole};
use uplift_model::trial::AssignmentUnit;
use uplift_model::verdict::Interval;
use uplift_store::moving::Plan;
use uplift_store::rows::{
    EntityFilter, EventFilter, ImprovementFilter, NodeRow, OpportunityFilter, TaskFilter, TrialFilter,
};
use uplift_store::sqlite::SqliteStore;
use uplift_store::suite::sample::{
    START, broken, call, event, finding, group, hour, name, of_agent, of_task, rollup, second, step, take, whole,
};
use uplift_store::suite::scene::{improved, look, on_trial, verdict};
use uplift_store::suite::scratch;
use uplift_store::writes::attention::AlertWrite;
use uplift_store::writes::{StepCommit, Write};
use uplift_store::{IntakeBatch, SqlStore, Store};

use crate::{file, run};

/// A task of the agent on trial, with the arm it ran.
fn tried(trial: i64, task: &str, minutes: i64, arm: &str) -> Vec<Event> {
    let at = |seconds| hour(10).plus_micros((minutes * 60 + seconds) * 1_000_000);
    let exposure = Exposure { trial, arm: arm.to_owned(), revision: "r".to_owned() };
    let mut begun = event("1", EventKind::TaskStarted, at(0));
    begun.exposures = vec![exposure];
    begun.attributes = Some(format!(r#"{{"task_class":"{arm}"}}"#));
    let mut ended = event("9", EventKind::TaskCompleted, at(7));
    (ended.outcome, ended.tokens_in, ended.cost_usd) = (Some(Outcome::Success), Some(70), Some(0.25));
    let used = call("2", "search", 30.5, at(3));
    [begun, used, ended].map(|event| of_agent(of_task(event, task), "tried")).into()
}

/// A span of a trace whose root has not come yet.
fn span(id: &str, parent: &str, role: SpanRole) -> Event {
    let mut event = event(id, EventKind::LlmCall, second(50));
    event.trace_id = Some("0af7651916cd43dd8448eb211c80319c".to_owned());
    event.task_id = None;
    event.tokens_in = Some(11);
    event.link = Some(SpanLink { parent: Some(parent.to_owned()), role, names_entity: false });
    of_agent(event, "service")
}

/// A batch of events for every run: those before the move, and sent again after it.
fn before(trial: i64) -> Vec<Event> {
    let mut events: Vec<Event> = (0..7).map(|n| broken(&format!("b{n}"), second(n))).collect();
    events.extend(
        (0..6).flat_map(|n| tried(trial, &format!("u{n}"), n, if n % 2 == 0 { "control" } else { "candidate" })),
    );
    events.extend([span("s1", "s0", SpanRole::Work), span("s0", "root", SpanRole::Plain)]);
    events
}

/// Something of everything; gives the trial that runs and what it is on.
async fn live(store: &dyn Store) -> (EntityKey, i64) {
    let (tried, trial) = on_trial(store, "tried", AssignmentUnit::Task).await;
    take(store, before(trial)).await;
    let units = store.changed_units(trial, 0, 3).await.unwrap();
    let mut first = look(trial, 0, units.cursor);
    if let Write::SaveLook { verdict: said, summary, state, .. } = &mut first {
        *said = Some(Box::new(verdict("too early")));
        *summary = Some(json!({"n": [1, 2], "p": 0.1 + 0.2}));
        *state = json!({"seen": {"control": 1e-300, "candidate": "ü"}});
    }
    let alert = AlertFinding {
        kind: AlertKind::DegradedPerformance,
        entity: Some(tried),
        fingerprint: "f".into(),
        message: "slower".into(),
        value: 0.5,
        threshold: 0.25,
        at: hour(3),
    };
    let found =
        Write::PutFinding { finding: Box::new(finding(tried, OpportunityKind::TokenWaste, "x")), quiet_since: None };
    let started = Write::StartProcess {
        name: "ImprovementProcess".into(),
        subject: "improvement/77".into(),
        state: "validate".into(),
        wake_at: hour(11),
    };
    let leased = Write::ClaimLease { name: "ImprovementProcess/1".into(), holder: "w".into(), ttl_us: 9_000_000_000 };
    let node = NodeRow { node: "n".into(), url: None, version: "1".into(), started_at: hour(99), seen_at: hour(100) };
    let (_, other) = improved(store, "kept").await;
    let kept = HistoryEntry {
        improvement_id: other,
        entity: store.improvement(other).await.unwrap().entity,
        improvement_type: ImprovementType::InstructionUpdate,
        outcome: HistoryOutcome::Kept,
        reason: "better".into(),
        started_at: Some(hour(1)),
        decided_at: hour(2),
        metrics_before: Some(MetricValues(BTreeMap::from([("errors".to_owned(), 0.1 + 0.2)]))),
        metrics_after: None,
        effectiveness: Some(Interval { estimate: 0.5, low: 0.25, high: 0.75 }),
        rollback_revision: None,
        report: "# better".into(),
        verdict: None,
    };
    let writes = vec![
        first,
        found,
        started,
        leased,
        Write::Alerts(AlertWrite::Raise(alert)),
        Write::SetSetting { name: "policy".into(), value: json!({"engine": {"mode": "approve"}}) },
        Write::NoteNode(node),
        Write::RecordHistory(Box::new(kept)),
    ];
    let outbox = vec![("webhook".to_owned(), json!({"n": 1})), ("report".to_owned(), json!({"n": 2}))];
    store.commit_step(StepCommit { at: hour(100), writes, outbox, ..StepCommit::default() }).await.unwrap();
    // The largest number is gone, and not to be given again.
    let done = store.outbox(10).await.unwrap().iter().map(|row| row.id).max().unwrap();
    step(store, vec![Write::FinishOutbox { id: done }]).await.unwrap();
    (tried, trial)
}

/// What a store answers on single entities and trials.
async fn answers_of_each(store: &dyn Store) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = Vec::new();
    let mut note = |what: &str, answer: &dyn Debug| all.push((what.to_owned(), format!("{answer:#?}")));
    for entity in store.entities(EntityFilter::default(), whole()).await.unwrap().items {
        let key = entity.key;
        note("of", &key);
        if let Some(id) = &entity.revision {
            note("revision", &store.revision(uplift_model::revision::RevisionId::from_stored(id.clone())).await);
        }
        note("trail", &store.revision_trail(key, 10).await);
        note("defaults", &store.defaults(key).await);
        note("open marks", &store.open_marks(key).await);
        note("errors", &store.error_history(key, group()).await);
        for operation in ["task", "llm", "tool:search"] {
            note(operation, &store.operation_history(key, operation.into(), rollup(-1), rollup(99)).await);
        }
        note("window", &store.entity_window(key, 7, 100).await);
        note("reviews", &store.reviews(key, 10).await);
        note("last change", &store.last_change(key).await);
        note("status", &store.entity_status(key).await);
        note("past", &store.past_units(key, AssignmentUnit::Task, START, hour(99), 100).await);
    }
    for trial in 1..=2 {
        note("trial", &store.trial(trial).await);
        note("state", &store.trial_state(trial).await);
        note("looks", &store.looks(trial).await);
        note("units", &store.changed_units(trial, 0, 100).await);
        note("history of", &store.history_of(trial).await);
    }
    all
}

/// What a store answers to everything that can be asked.
async fn answers(store: &dyn Store) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = Vec::new();
    let mut note = |what: &str, answer: &dyn Debug| all.push((what.to_owned(), format!("{answer:#?}")));
    macro_rules! ask {
        ($($call:ident($($argument:expr),*)),+ $(,)?) => {
            $(note(stringify!($call($($argument),*)), &store.$call($($argument),*).await);)+
        };
    }
    ask![
        entities(EntityFilter { built_in: true, ..EntityFilter::default() }, whole()),
        relationships(None),
        served(None, whole()),
        events(EventFilter::default(), whole()),
        event("t".into(), "b3".into()),
        inbox(10),
        tasks(TaskFilter::default(), whole()),
        task("u1".into()),
        opportunities(OpportunityFilter::default(), whole()),
        claimable(hour(200), 10),
        unconfirmed_marks(10),
        decisions(START),
        entity_trends(),
        error_hours(rollup(0), 1),
        review_queue(false, whole()),
        active_improvements(whole()),
        improvements(ImprovementFilter::default(), whole()),
        track_records(),
        history(None, whole()),
        analytics(),
        trials(TrialFilter::default(), whole()),
        due_processes(hour(200), 10),
        next_due(),
        processes_of("improvement/77".into()),
        process_registry(),
        nodes(),
        leases(),
        outbox(10),
        config_seq(),
        counts(),
        task_counts(),
        metrics(),
        system_status(),
        alerts(false, whole()),
        setting("policy".into()),
        migrations(),
    ];
    let storage = store.storage().await.unwrap();
    note("storage", &(storage.events_since, storage.tasks_since, storage.events_deleted, storage.last_deleted_at));
    all.extend(answers_of_each(store).await);
    all
}

async fn same(file: &dyn Store, server: &dyn Store) {
    for ((what, here), (_, there)) in answers(file).await.into_iter().zip(answers(server).await) {
        assert_eq!(here, there, "{what}");
    }
}

/// What goes on after the move, and what came of each step.
async fn go_on(store: &dyn Store, trial: i64) -> Vec<String> {
    let mut came = Vec::new();
    // The senders did not hear that their events were taken.
    let again = take(store, before(trial)).await;
    assert_eq!((again.accepted, again.duplicates), (0, before(trial).len() as u64), "{:?}", again.refused);
    let cursor = store.trial(trial).await.unwrap().cursor;
    let left = store.changed_units(trial, cursor, 100).await.unwrap();
    assert!(!left.units.is_empty() && !left.more, "the units that were not looked at yet");
    // The next event of a unit that was there, and a new unit.
    let mut more = vec![of_agent(of_task(call("3", "fetch", 5.0, hour(11)), "u1"), "tried")];
    more.extend(tried(trial, "u9", 70, "candidate"));
    came.push(format!("{:?}", take(store, more).await));
    let changed = store.changed_units(trial, left.cursor, 100).await.unwrap();
    let names: Vec<&str> = changed.units.iter().map(|unit| unit.unit.as_str()).collect();
    assert_eq!(names, ["u1", "u9"]);
    assert!(changed.cursor > left.cursor);
    came.push(format!("{changed:?}"));
    came.push(format!("{:?}", step(store, vec![look(trial, cursor, changed.cursor)]).await));
    // The root of the trace comes after all, and what waited is counted.
    let mut root = span("root", "", SpanRole::Agent);
    root.kind = EventKind::TaskCompleted;
    if let Some(link) = &mut root.link {
        (link.parent, link.names_entity) = (None, true);
    }
    root.task_id = Some("root".into());
    came.push(format!("{:?}", take(store, vec![of_agent(root, "planner")]).await));
    let settle = IntakeBatch {
        settle_before: Some(hour(1_000)),
        stands_for: Vec::new(),
        ..uplift_store::suite::sample::batch(vec![broken("z", second(9))])
    };
    came.push(format!("{:?}", store.commit_intake(settle).await));
    // Whoever holds the lease goes on under it, and others are kept out.
    let lease = Lease { name: "ImprovementProcess/1".into(), holder: "w".into(), epoch: 1 };
    let outbox = vec![("webhook".to_owned(), json!({"n": 3}))];
    let under = StepCommit { at: hour(101), lease: Some(lease), outbox, ..StepCommit::default() };
    came.push(format!("{:?}", store.commit_step(under).await.unwrap()));
    let claim = Write::ClaimLease { name: "ImprovementProcess/1".into(), holder: "other".into(), ttl_us: 1 };
    step(store, vec![claim]).await.unwrap_err();
    let declared = Write::DeclareEntity {
        name: name("default", EntityType::Agent, "new"),
        config: ImprovementConfig::default(),
    };
    came.push(format!("{:?}", step(store, vec![declared]).await));
    let (_, next) = on_trial(store, "next", AssignmentUnit::Task).await;
    came.push(format!("{next} {:?}", store.outbox(10).await));
    came
}

#[tokio::test]
async fn running_trials_keep_arms_and_evidence() {
    let Some(target) = scratch::make().await else { return };
    let (path, _folder) = file().await;
    let store = SqliteStore::open(&path).unwrap();
    let (_, trial) = live(&store).await;
    store.close().await;
    run(&path, &target, Plan::Move).unwrap();

    let file = SqliteStore::open(&path).unwrap();
    let server = SqlStore::connect(&target.address()).await.unwrap();
    same(&file, &server).await;
    let events = answers(&server).await.iter().map(|(_, answer)| answer.len()).sum::<usize>();
    assert!(events > 20_000, "there is something to compare");
    // Both go on from here, and stay the same.
    let (here, there) = (go_on(&file, trial).await, go_on(&server, trial).await);
    assert_eq!(here, there);
    same(&file, &server).await;
    file.close().await;
    server.close().await;
}
