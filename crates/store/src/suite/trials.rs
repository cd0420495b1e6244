//! Trials: one an entity, each decided once; and what is served meanwhile.

use serde_json::json;
use uplift_model::entity::EntityState;
use uplift_model::event::EventKind;
use uplift_model::improvement::ImprovementStatus;
use uplift_model::opportunity::OpportunityKind;
use uplift_model::policy::ImprovementConfig;
use uplift_model::process::IMPROVEMENT_PROCESS;
use uplift_model::trial::{AssignmentUnit, ShareStage, TrialKind};
use uplift_model::verdict::Interval;
use uplift_model::{EntityKey, EntityType};

use super::sample::{Subject, declare, event, finding, hour, of_agent, of_task, step, take, whole};
use super::scene::{
    base, candidate, ending, improved, look, on_trial, propose, revision, shown, start, starting, take_to, trial,
    verdict,
};
use crate::error::StoreError;
use crate::page::PageRequest;
use crate::rows::{ImprovementFilter, OpportunityFilter, ServedRow, TrialFilter};
use crate::writes::{ImprovementChange, NewTrial, StepCommit, Write};

const UNIT: AssignmentUnit = AssignmentUnit::Task;

/// Everything that was declared comes back, to the last digit.
pub async fn a_trial_is_read_back_as_declared(store: Subject) {
    let (a, improvement) = improved(&*store, "a").await;
    let declared = trial(TrialKind::Trial, AssignmentUnit::Session);
    let id = start(&*store, a, improvement, declared.clone()).await.unwrap();
    let stored = store.trial(id).await.unwrap();
    assert_eq!(stored.trial, declared);
    assert_eq!((stored.id, stored.improvement_id, stored.entity, stored.running), (id, improvement, a, true));
    assert_eq!((&stored.base, &stored.candidate), (base().id(), candidate().id()));
    assert_eq!((stored.cursor, stored.looked_us, stored.verdict.as_ref()), (0, hour(10).micros(), None));
    assert_eq!((stored.ended_at, stored.ending.as_deref()), (None, None));
    assert_eq!(store.trial_state(id).await.unwrap(), None);
    assert!(store.looks(id).await.unwrap().is_empty());
    assert!(matches!(store.trial(id + 1).await, Err(StoreError::NotFound { .. })));
    assert!(matches!(store.trial_state(id + 1).await, Err(StoreError::NotFound { .. })));
}

/// A second trial waits; a hold-back makes room.
pub async fn one_trial_runs_on_an_entity(store: Subject) {
    let (a, first) = on_trial(&*store, "a", UNIT).await;
    let (b, other) = improved(&*store, "b").await;
    let next = propose(&*store, a).await;
    let again = |kind| starting(a, next, trial(kind, UNIT));
    let occupied = StoreError::Occupied { entity: a, by: format!("trial {first}") };
    assert_eq!(step(&*store, vec![again(TrialKind::Trial)]).await.unwrap_err(), occupied);
    assert_eq!(step(&*store, vec![again(TrialKind::HoldBack)]).await.unwrap_err(), occupied);
    start(&*store, b, other, trial(TrialKind::Trial, UNIT)).await.unwrap();

    let second = step(&*store, vec![ending(first), again(TrialKind::HoldBack)]).await.unwrap().trials[0];
    let third = step(&*store, vec![again(TrialKind::Trial)]).await.unwrap().trials[0];
    let ended = store.trial(second).await.unwrap();
    assert_eq!((ended.running, ended.ended_at), (false, Some(hour(100))));
    assert_eq!(ended.ending.as_deref(), Some("the next trial began"));
    let running = store.trials(TrialFilter { running: true, ..TrialFilter::default() }, whole()).await.unwrap();
    assert_eq!(
        running.items.iter().filter(|trial| trial.entity == a).map(|trial| trial.id).collect::<Vec<_>>(),
        [third]
    );
    assert_eq!(running.items.len(), 2);
}

/// What a trial refers to has to be there.
pub async fn a_trial_needs_what_it_names(store: Subject) {
    let (a, improvement) = improved(&*store, "a").await;
    let (b, _) = improved(&*store, "b").await;
    let new = |entity, improvement_id, candidate: &str| {
        Write::StartTrial(Box::new(NewTrial {
            improvement_id,
            entity,
            base: base().id().clone(),
            candidate: revision(candidate).id().clone(),
            trial: trial(TrialKind::Trial, UNIT),
        }))
    };
    for bad in [
        new(a, improvement, "never stored"),
        new(a, improvement + 100, "candidate"),
        // An improvement of somebody else.
        new(b, improvement, "candidate"),
        new(EntityKey::new(EntityType::Agent, 4_711), improvement, "candidate"),
    ] {
        assert!(matches!(step(&*store, vec![bad.clone()]).await, Err(StoreError::NotFound { .. })), "{bad:?}");
    }
    let mut unreadable = trial(TrialKind::Trial, UNIT);
    unreadable.expected_units = f64::INFINITY;
    let mut backwards = trial(TrialKind::Trial, UNIT);
    backwards.stages.push(backwards.stages[0]);
    let mut whole_and_more = trial(TrialKind::Trial, UNIT);
    whole_and_more.stages[0].share = 1.01;
    for bad in [unreadable, backwards, whole_and_more] {
        let error = start(&*store, a, improvement, bad).await.unwrap_err();
        assert!(matches!(error, StoreError::Invalid { .. }), "{error}");
    }
    assert!(store.trials(TrialFilter::default(), whole()).await.unwrap().items.is_empty());
}

/// Stages are added at the end, to running trials, and nothing else changes.
pub async fn stages_follow_each_other(store: Subject) {
    let (_, id) = on_trial(&*store, "a", UNIT).await;
    let stage = |hours, share| ShareStage { from_us: hour(hours).micros(), share };
    let add = |hours, share| vec![Write::AddStage { id, stage: stage(hours, share) }];
    let before = store.trial(id).await.unwrap();
    step(&*store, add(12, 0.1 + 0.2)).await.unwrap();
    for (hours, share) in [(12, 0.5), (11, 0.5), (13, f64::NAN), (13, -0.1)] {
        let error = step(&*store, add(hours, share)).await.unwrap_err();
        assert!(matches!(error, StoreError::Invalid { .. }), "{error}");
    }
    let mut expected = before.clone();
    expected.trial.stages.push(stage(12, 0.1 + 0.2));
    assert_eq!(store.trial(id).await.unwrap(), expected);
    step(&*store, vec![ending(id)]).await.unwrap();
    assert!(matches!(step(&*store, add(14, 0.5)).await, Err(StoreError::VersionConflict { .. })));
    let missing = Write::AddStage { id: id + 1, stage: stage(14, 0.5) };
    assert!(matches!(step(&*store, vec![missing]).await, Err(StoreError::NotFound { .. })));
}

/// State, cursor and boundary go together, and only from the cursor that was read.
pub async fn a_look_is_saved_once(store: Subject) {
    let (_, id) = on_trial(&*store, "a", UNIT).await;
    let full = |expected_cursor, cursor, looked: i64, text: Option<&str>, summary| Write::SaveLook {
        id,
        expected_cursor,
        cursor,
        looked_us: hour(looked).micros(),
        state: json!({"at": looked}),
        verdict: text.map(|text| Box::new(verdict(text))),
        summary,
        forget_before_us: 0,
    };
    step(&*store, vec![full(0, 7, 11, Some("first"), Some(json!({"n": 1})))]).await.unwrap();
    // Nothing new to say: the last verdict stays.
    step(&*store, vec![full(7, 7, 12, None, None)]).await.unwrap();
    step(&*store, vec![full(7, 9, 13, None, Some(json!({"n": 2})))]).await.unwrap();
    let stored = store.trial(id).await.unwrap();
    assert_eq!((stored.cursor, stored.looked_us, stored.verdict), (9, hour(13).micros(), Some(verdict("first"))));
    assert_eq!(store.trial_state(id).await.unwrap(), Some(json!({"at": 13})));
    let looks = [(hour(11).micros(), json!({"n": 1})), (hour(13).micros(), json!({"n": 2}))];
    assert_eq!(store.looks(id).await.unwrap(), looks);
    // The same look again is the same look.
    step(&*store, vec![full(9, 9, 13, None, Some(json!({"n": 3})))]).await.unwrap();
    assert_eq!(store.looks(id).await.unwrap()[1].1, json!({"n": 3}));

    let what = format!("trial {id}");
    let moved = StoreError::VersionConflict { what, expected: "cursor 7".into() };
    assert_eq!(step(&*store, vec![full(7, 11, 14, None, None)]).await.unwrap_err(), moved);
    assert!(matches!(step(&*store, vec![full(9, 8, 14, None, None)]).await, Err(StoreError::Invalid { .. })));
    let mut broken = verdict("broken");
    broken.findings.effectiveness = Interval { estimate: f64::NEG_INFINITY, ..Interval::default() };
    let mut unreadable = full(9, 9, 14, None, None);
    if let Write::SaveLook { verdict, .. } = &mut unreadable {
        *verdict = Some(Box::new(broken));
    }
    assert!(matches!(step(&*store, vec![unreadable]).await, Err(StoreError::Invalid { .. })));
    assert_eq!(store.trial(id).await.unwrap().looked_us, hour(13).micros());
}

/// No decision twice.
pub async fn a_trial_ends_once(store: Subject) {
    let (_, id) = on_trial(&*store, "a", UNIT).await;
    let end = Write::EndTrial { id, ending: "kept".into(), verdict: Some(Box::new(verdict("better"))) };
    step(&*store, vec![end.clone()]).await.unwrap();
    let ended = store.trial(id).await.unwrap();
    assert_eq!((ended.running, ended.ending.as_deref()), (false, Some("kept")));
    assert_eq!((ended.ended_at, ended.verdict), (Some(hour(100)), Some(verdict("better"))));
    for late in [end, ending(id), look(id, 0, 0)] {
        let error = step(&*store, vec![late]).await.unwrap_err();
        assert!(matches!(error, StoreError::VersionConflict { .. }), "{error}");
    }
    assert_eq!(store.trial(id).await.unwrap().ending.as_deref(), Some("kept"));
    for missing in [ending(id + 1), look(id + 1, 0, 0)] {
        assert!(matches!(step(&*store, vec![missing]).await, Err(StoreError::NotFound { .. })));
    }
}

/// An entity rests from the end of its last trial on; the end of a hold-back is no change.
pub async fn the_last_change_is_the_end_of_a_trial(store: Subject) {
    let (a, first) = on_trial(&*store, "a", UNIT).await;
    let next = propose(&*store, a).await;
    assert_eq!(store.last_change(a).await.unwrap(), None);
    step(&*store, vec![ending(first)]).await.unwrap();
    assert_eq!(store.last_change(a).await.unwrap(), Some(hour(100)));
    let held = start(&*store, a, next, trial(TrialKind::HoldBack, UNIT)).await.unwrap();
    let late = StepCommit { at: hour(200), writes: vec![ending(held)], ..StepCommit::default() };
    store.commit_step(late).await.unwrap();
    assert_eq!(store.last_change(a).await.unwrap(), Some(hour(100)));
}

/// Lists hold what their filters let through, page by page, the latest first.
pub async fn trials_are_listed(store: Subject) {
    let (a, improvement) = improved(&*store, "a").await;
    let (_, elsewhere) = on_trial(&*store, "b", UNIT).await;
    let mut of_a = Vec::new();
    for _ in 0..3 {
        let id = start(&*store, a, improvement, trial(TrialKind::Trial, UNIT)).await.unwrap();
        of_a.insert(0, id);
        step(&*store, vec![ending(id)]).await.unwrap();
    }
    let first = store.trials(TrialFilter::default(), PageRequest::first(3)).await.unwrap();
    let rest = PageRequest { limit: 3, cursor: first.next.clone() };
    let second = store.trials(TrialFilter::default(), rest).await.unwrap();
    let ids: Vec<i64> = first.items.iter().chain(&second.items).map(|trial| trial.id).collect();
    assert_eq!((ids, second.next), ([of_a.clone(), vec![elsewhere]].concat(), None));
    for filter in [
        TrialFilter { entity: Some(a), ..TrialFilter::default() },
        TrialFilter { improvement_id: Some(improvement), ..TrialFilter::default() },
    ] {
        let page = store.trials(filter, whole()).await.unwrap();
        assert_eq!(page.items.iter().map(|trial| trial.id).collect::<Vec<_>>(), of_a);
    }
}

/// What is served of some entities.
async fn served(store: &Subject, entities: &[EntityKey]) -> Vec<ServedRow> {
    let page = store.served(Some(entities.to_vec()), PageRequest::first(1)).await.unwrap();
    assert_eq!(page.next, None);
    page.items
}

/// Every change of what is served is announced, and nothing else is.
pub async fn what_is_served_follows_its_changes(store: Subject) {
    let a = declare(&*store, EntityType::Agent, "a").await;
    let mut seq = store.config_seq().await.unwrap();
    let mut told = async |writes: Vec<Write>, changed: bool| {
        let receipt = step(&*store, writes.clone()).await.unwrap();
        let now = store.config_seq().await.unwrap();
        assert_eq!(
            (now > seq, receipt.reconfigured.clone()),
            (changed, if changed { vec![a] } else { Vec::new() }),
            "{writes:?}"
        );
        seq = now;
        receipt
    };
    let point = |revision| Write::PointRevision { entity: a, revision: Box::new(revision) };
    let note = |name| Write::NoteDefaults { entity: a, revision: Box::new(revision(name)) };
    told(vec![point(base())], true).await;
    told(vec![Write::PutRevision(Box::new(candidate()))], false).await;
    told(vec![note("base")], true).await;
    told(vec![note("base")], false).await;
    told(vec![note("other")], true).await;
    told(vec![note("base")], false).await;
    told(vec![Write::SetEntityState { entity: a, state: EntityState::Inactive }], true).await;
    told(vec![Write::SetEntityConfig { entity: a, config: ImprovementConfig::default() }], true).await;
    let put = Write::PutImprovement(Box::new(super::scene::new_improvement(a)));
    let improvement = told(vec![put], false).await.improvements[0];
    let id = told(vec![starting(a, improvement, trial(TrialKind::HoldBack, UNIT))], true).await.trials[0];
    let stage = ShareStage { from_us: hour(11).micros(), share: 0.5 };
    told(vec![Write::AddStage { id, stage }], true).await;
    told(vec![look(id, 0, 0)], false).await;
    let [row] = &served(&store, &[a]).await[..] else { panic!("one row") };
    assert_eq!((row.entity, row.environment.as_str(), row.name.as_str()), (a, "default", "a"));
    assert_eq!((row.state, row.revision.as_ref()), (EntityState::Inactive, Some(base().id())));
    assert_eq!(row.defaults.as_ref(), Some(revision("other").id()));
    assert_eq!(row.configuration.as_deref(), Some(r#"{"model":"base"}"#));
    let (running, control, other) = row.trial.clone().unwrap();
    assert_eq!((control.as_str(), other.as_str()), (r#"{"model":"base"}"#, r#"{"model":"candidate"}"#));
    assert_eq!(*running, store.trial(id).await.unwrap());
    // The hold-back and what ends it, in one commit: told once.
    let next = told(vec![starting(a, improvement, trial(TrialKind::Trial, UNIT))], true).await.trials[0];
    told(vec![ending(next), point(candidate())], true).await;
    let [row] = &served(&store, &[a]).await[..] else { panic!("one row") };
    assert_eq!((row.revision.as_ref(), row.trial.as_ref()), (Some(candidate().id()), None));
    // A setting is everybody's.
    let setting = Write::SetSetting { name: "paused".into(), value: json!(true) };
    assert!(step(&*store, vec![setting]).await.unwrap().reconfigured.is_empty());
    assert_eq!(store.config_seq().await.unwrap(), seq + 1);
}

/// Where an entity has been, and what its code brought along: the latest first.
pub async fn pointers_and_defaults_leave_a_trail(store: Subject) {
    let a = declare(&*store, EntityType::Agent, "a").await;
    let point = |model| Write::PointRevision { entity: a, revision: Box::new(revision(model)) };
    let note = |model| Write::NoteDefaults { entity: a, revision: Box::new(revision(model)) };
    step(&*store, vec![point("1"), point("2"), point("1")]).await.unwrap();
    let trail = store.revision_trail(a, 2).await.unwrap();
    assert_eq!((trail.len(), &trail[0].revision, &trail[1].revision), (2, revision("1").id(), revision("2").id()));
    assert_eq!(trail[0].since, hour(100));
    assert_eq!(store.revision_trail(a, 10).await.unwrap().len(), 3);
    step(&*store, vec![note("1"), note("3"), note("1")]).await.unwrap();
    let defaults = store.defaults(a).await.unwrap();
    assert_eq!(
        defaults.iter().map(|known| &known.revision).collect::<Vec<_>>(),
        [revision("3").id(), revision("1").id()]
    );
    let nobody = EntityKey::new(EntityType::Agent, 4_711);
    assert!(
        store.revision_trail(nobody, 10).await.unwrap().is_empty()
            && store.defaults(nobody).await.unwrap().is_empty()
    );
    let noted = Write::NoteDefaults { entity: nobody, revision: Box::new(revision("1")) };
    assert!(matches!(step(&*store, vec![noted]).await, Err(StoreError::NotFound { .. })));
    // What was put is there, whoever runs it.
    step(&*store, vec![Write::PutRevision(Box::new(revision("4")))]).await.unwrap();
    assert_eq!(store.revision(revision("4").id().clone()).await.unwrap(), *revision("4").configuration());
}

/// All that run a revision, page by page; named ones at once, whether they run one or not.
pub async fn pages_cover_what_is_served(store: Subject) {
    let mut keys = Vec::new();
    for (place, kind) in
        [EntityType::Tool, EntityType::Agent, EntityType::Agent, EntityType::Process].iter().enumerate()
    {
        keys.push(declare(&*store, *kind, &format!("n{place}")).await);
    }
    let idle = declare(&*store, EntityType::Agent, "idle").await;
    let point = |entity: &EntityKey| Write::PointRevision { entity: *entity, revision: Box::new(base()) };
    step(&*store, keys.iter().map(point).collect()).await.unwrap();
    let improvement = propose(&*store, keys[1]).await;
    take_to(&*store, improvement, ImprovementStatus::Validated).await.unwrap();
    step(&*store, vec![Write::PutRevision(Box::new(candidate()))]).await.unwrap();
    start(&*store, keys[1], improvement, trial(TrialKind::Trial, UNIT)).await.unwrap();
    let (mut seen, mut request) = (Vec::new(), PageRequest::first(2));
    loop {
        let page = store.served(None, request).await.unwrap();
        seen.extend(page.items.iter().map(|row| (row.entity, row.trial.is_some())));
        let Some(cursor) = page.next else { break };
        request = PageRequest { limit: 2, cursor: Some(cursor) };
    }
    let expected = [(keys[1], true), (keys[2], false), (keys[3], false), (keys[0], false)];
    assert_eq!(seen, expected);
    let nobody = EntityKey::new(EntityType::Agent, 4_711);
    let named = served(&store, &[idle, nobody, keys[0], idle]).await;
    assert_eq!(
        named.iter().map(|row| (row.entity, row.revision.is_some())).collect::<Vec<_>>(),
        [(idle, false), (keys[0], true)]
    );
    assert!(served(&store, &[]).await.is_empty());
    let bad = PageRequest { limit: 2, cursor: Some("n.1".into()) };
    assert!(matches!(store.served(None, bad).await, Err(StoreError::BadCursor { .. })));
}

/// What a store shows of everything that the loop writes.
async fn state(store: &Subject) -> Vec<String> {
    let (filter, all) = (ImprovementFilter::default(), TrialFilter::default());
    let mut shown = vec![format!(
        "{:?} {:?} {:?} {:?} {:?} {:?} {:?}",
        store.improvements(filter, whole()).await,
        store.trials(all.clone(), whole()).await,
        store.opportunities(OpportunityFilter::default(), whole()).await,
        store.history(None, whole()).await,
        store.process_registry().await,
        (store.outbox(100).await, store.next_due().await, store.config_seq().await, store.setting("s".into()).await),
        store.served(None, whole()).await,
    )];
    for trial in store.trials(all, whole()).await.unwrap().items {
        let state = (store.trial_state(trial.id).await, store.looks(trial.id).await);
        shown.push(format!("{state:?} {:?}", store.changed_units(trial.id, 0, 100).await));
    }
    shown
}

/// One write that cannot be, at whatever place, and nothing of the commit has happened.
pub async fn a_commit_of_the_loop_is_all_or_nothing(store: Subject) {
    let (a, first) = improved(&*store, "a").await;
    let (b, running) = on_trial(&*store, "b", UNIT).await;
    let found = Box::new(finding(a, OpportunityKind::TokenWaste, ""));
    let opened =
        step(&*store, vec![Write::PutFinding { finding: found, quiet_since: None }]).await.unwrap().opened[0];
    let of_b = |id| of_agent(of_task(event(id, EventKind::LlmCall, hour(11)), id), "b");
    take(&*store, vec![of_b("1")]).await;
    let change = |status, expected_version| Write::ChangeImprovement {
        id: first,
        expected_version,
        change: Box::new(ImprovementChange { status: Some(status), ..ImprovementChange::default() }),
    };
    let mut look = look(running, 0, 1);
    if let Write::SaveLook { forget_before_us, summary, .. } = &mut look {
        (*forget_before_us, *summary) = (i64::MAX, Some(json!({})));
    }
    let subject = format!("improvement/{first}");
    let (name, holder) = (IMPROVEMENT_PROCESS.to_owned(), "me".to_owned());
    let writes = vec![
        Write::ClaimLease { name: "tick".into(), holder, ttl_us: 1 },
        Write::PutRevision(Box::new(revision("new"))),
        Write::NoteDefaults { entity: a, revision: Box::new(revision("new")) },
        Write::PointRevision { entity: a, revision: Box::new(revision("new")) },
        Write::ClaimOpportunity { id: opened },
        Write::PutImprovement(Box::new(super::scene::new_improvement(a))),
        change(ImprovementStatus::Validated, 1),
        change(ImprovementStatus::Testing, 2),
        starting(a, first, trial(TrialKind::Trial, UNIT)),
        Write::StartProcess { name: name.clone(), subject, state: "validate".into(), wake_at: hour(1) },
        Write::WakeProcess { name, subject: None, at: hour(0) },
        look,
        Write::AddStage { id: running, stage: ShareStage { from_us: hour(11).micros(), share: 0.5 } },
        ending(running),
        Write::SetSetting { name: "s".into(), value: json!(1) },
    ];
    let commit = |writes| StepCommit {
        at: hour(100),
        writes,
        outbox: vec![("webhook".to_owned(), json!({}))],
        ..StepCommit::default()
    };
    let before = state(&store).await;
    for place in 0..=writes.len() {
        let mut broken = writes.clone();
        broken.insert(place, Write::FinishOutbox { id: 4_711 });
        assert!(matches!(store.commit_step(commit(broken)).await, Err(StoreError::NotFound { .. })));
        assert_eq!(state(&store).await, before, "place {place}");
    }
    // The lease was not taken, the trial of `b` runs and the one of `a` does not.
    take(&*store, vec![of_b("2"), of_task(event("3", EventKind::LlmCall, hour(11)), "3")]).await;
    assert_eq!(shown(&*store, running).await.len(), 2);
    let receipt = store.commit_step(commit(writes)).await.unwrap();
    assert_eq!((receipt.lease.unwrap().epoch, receipt.reconfigured), (1, vec![a, b]));
    assert_ne!(state(&store).await, before);
    take(&*store, vec![of_b("4"), of_task(event("5", EventKind::LlmCall, hour(11)), "5")]).await;
    assert!(shown(&*store, running).await.is_empty());
    assert_eq!(shown(&*store, receipt.trials[0]).await, [("5".to_owned(), vec!["5".to_owned()])]);
}
