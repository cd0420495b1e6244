//! Improvements: how they come, how far they may go, and what is remembered of them.

use std::collections::BTreeMap;

use uplift_model::EntityType;
use uplift_model::check::{Check, CheckName, CheckResult};
use uplift_model::edit::Edit;
use uplift_model::entity::EntityKey;
use uplift_model::history::{HistoryEntry, HistoryOutcome, MetricValues};
use uplift_model::improvement::{
    Improvement, ImprovementStatus, ImprovementType, ProcessTemplate, Proposal, ProposalSource,
};
use uplift_model::opportunity::OpportunityKind;
use uplift_model::preflight::Preflight;
use uplift_model::process::IMPROVEMENT_PROCESS;
use uplift_model::trial::{AssignmentUnit, Comparison, TrialKind};
use uplift_model::verdict::Interval;

use super::sample::{Subject, declare, finding, hour, step, whole};
use super::scene::{
    base, candidate, change, improved, new_improvement, proposal, propose, start, take_to, trial, verdict,
};
use crate::error::StoreError;
use crate::page::PageRequest;

use crate::rows::ImprovementFilter;
use crate::writes::{ImprovementChange, NewImprovement, Write};

use ImprovementStatus as S;

/// All of it comes back as it was put, and its process waits.
pub async fn an_improvement_is_put_on_record_with_its_process(store: Subject) {
    let a = declare(&*store, EntityType::Agent, "a").await;
    let found = Box::new(finding(a, OpportunityKind::TokenWaste, ""));
    let opened =
        step(&*store, vec![Write::PutFinding { finding: found, quiet_since: None }]).await.unwrap().opened[0];
    let full = Proposal {
        processes: vec![ProcessTemplate { name: "tidy_up".into(), steps: vec!["search".into(), "mail".into()] }],
        comparison: Comparison::BeforeAfter,
        ..proposal()
    };
    let new = NewImprovement {
        opportunity_id: Some(opened),
        proposal: full.clone(),
        process_due: Some(hour(7)),
        ..new_improvement(a)
    };
    let receipt = step(&*store, vec![Write::PutImprovement(Box::new(new))]).await.unwrap();
    let [id] = receipt.improvements[..] else { panic!("one improvement") };
    let expected = Improvement {
        id,
        entity: a,
        opportunity_id: Some(opened),
        proposal: full,
        base: None,
        candidate: None,
        status: S::Proposed,
        checks: Vec::new(),
        preflight: None,
        approved_by: None,
        created_at: hour(100),
        updated_at: hour(100),
        version: 1,
    };
    assert_eq!(store.improvement(id).await.unwrap(), expected);
    assert_eq!(store.improvements_of(vec![id, id + 99, id]).await.unwrap(), std::slice::from_ref(&expected));
    let processes = store.processes_of(format!("improvement/{id}")).await.unwrap();
    let [process] = &processes[..] else { panic!("one process") };
    assert_eq!((process.instance.name.as_str(), process.instance.state.as_str()), (IMPROVEMENT_PROCESS, "validate"));
    assert_eq!((process.instance.wake_at, process.created_at), (Some(hour(7)), hour(100)));
    // Without a moment there is no process.
    let quiet = propose(&*store, a).await;
    assert!(store.processes_of(format!("improvement/{quiet}")).await.unwrap().is_empty());
}

/// What makes no sense is refused by name, and leaves nothing.
pub async fn nonsense_is_not_put_on_record(store: Subject) {
    let a = declare(&*store, EntityType::Agent, "a").await;
    let put = |new| vec![Write::PutImprovement(Box::new(new))];
    let with = |proposal| put(NewImprovement { proposal, ..new_improvement(a) });
    for bad in [
        with(Proposal { confidence: 1.5, ..proposal() }),
        with(Proposal { confidence: f64::NAN, ..proposal() }),
        with(Proposal { expected_gain: -0.1, ..proposal() }),
        with(Proposal { expected_gain: f64::INFINITY, ..proposal() }),
        with(Proposal { edits: Vec::new(), ..proposal() }),
        put(NewImprovement { status: S::NeedsProposal, ..new_improvement(a) }),
        put(NewImprovement { status: S::Validated, ..new_improvement(a) }),
    ] {
        let error = step(&*store, bad.clone()).await.unwrap_err();
        assert!(matches!(error, StoreError::Invalid { .. }), "{bad:?}: {error}");
    }
    for missing in [
        put(NewImprovement { opportunity_id: Some(4_711), ..new_improvement(a) }),
        put(new_improvement(EntityKey::new(EntityType::Agent, 4_711))),
    ] {
        assert!(matches!(step(&*store, missing).await, Err(StoreError::NotFound { .. })));
    }
    assert!(store.improvements(ImprovementFilter::default(), whole()).await.unwrap().items.is_empty());
    assert!(matches!(store.improvement(1).await, Err(StoreError::NotFound { .. })));
}

/// How each status is reached from the first one.
fn way_to(status: ImprovementStatus) -> &'static [ImprovementStatus] {
    match status {
        S::NeedsProposal | S::Proposed => &[],
        S::Validated => &[S::Validated],
        S::Rejected => &[S::Rejected],
        S::Testing => &[S::Validated, S::Testing],
        S::Deployed => &[S::Validated, S::Testing, S::Deployed],
        S::RolledBack => &[S::Validated, S::Testing, S::RolledBack],
        S::AwaitingApproval => &[S::AwaitingApproval],
        S::Queued => &[S::Queued],
        S::Cancelled => &[S::Cancelled],
    }
}

/// An improvement goes from status to status as the model says, and nowhere else.
pub async fn statuses_follow_each_other(store: Subject) {
    for from in S::ALL {
        let agent = declare(&*store, EntityType::Agent, from.as_str()).await;
        for to in S::ALL {
            let mut new = new_improvement(agent);
            if *from == S::NeedsProposal {
                new.status = S::NeedsProposal;
                new.proposal.edits.clear();
            }
            let put = Write::PutImprovement(Box::new(new));
            let id = step(&*store, vec![put]).await.unwrap().improvements[0];
            let moves = way_to(*from).iter().enumerate().map(|(place, status)| Write::ChangeImprovement {
                id,
                expected_version: place as i64 + 1,
                change: Box::new(ImprovementChange { status: Some(*status), ..ImprovementChange::default() }),
            });
            step(&*store, moves.collect()).await.unwrap();
            let proposal = (*from == S::NeedsProposal).then(|| {
                let edits = if *to == S::NeedsProposal { Vec::new() } else { proposal().edits };
                Box::new(Proposal { edits, ..proposal() })
            });
            let moved = ImprovementChange { status: Some(*to), proposal, ..ImprovementChange::default() };
            let result = change(&*store, id, moved).await;
            if from == to || from.next().contains(to) {
                result.unwrap_or_else(|error| panic!("{from} to {to}: {error}"));
                assert_eq!(store.improvement(id).await.unwrap().status, *to);
            } else {
                assert!(matches!(result, Err(StoreError::Invalid { .. })), "{from} to {to}: {result:?}");
                assert_eq!(store.improvement(id).await.unwrap().status, *from);
            }
            // Out of the way of the next one.
            let status = store.improvement(id).await.unwrap().status;
            if let Some(end) = status.next().iter().find(|next| **next == S::Cancelled) {
                take_to(&*store, id, *end).await.unwrap();
            }
        }
    }
}

/// A change keeps what it does not name, and counts the version up; an older version is refused.
pub async fn changes_are_made_from_the_latest_version(store: Subject) {
    let (_, id) = improved(&*store, "a").await;
    let checks = vec![Check::new(CheckName::Cooldown, CheckResult::Waits, "two hours to go")];
    let preflight = Preflight {
        expected_units: 12.5,
        units_needed: 40,
        enough: false,
        metrics: Vec::new(),
        advice: Vec::new(),
        text: "too few".into(),
    };
    let first = ImprovementChange {
        base: Some(base().id().clone()),
        candidate: Some(candidate().id().clone()),
        checks: Some(checks.clone()),
        preflight: Some(preflight.clone()),
        ..ImprovementChange::default()
    };
    change(&*store, id, first.clone()).await.unwrap();
    let second = ImprovementChange {
        status: Some(S::Queued),
        approved_by: Some("ada".into()),
        ..ImprovementChange::default()
    };
    change(&*store, id, second.clone()).await.unwrap();
    let stored = store.improvement(id).await.unwrap();
    assert_eq!((stored.base.as_ref(), stored.candidate.as_ref()), (Some(base().id()), Some(candidate().id())));
    assert_eq!((stored.checks, stored.preflight), (checks, Some(preflight)));
    assert_eq!((stored.status, stored.approved_by.as_deref(), stored.version), (S::Queued, Some("ada"), 3));
    for expected_version in [1, 2, 4] {
        let write = Write::ChangeImprovement { id, expected_version, change: Box::new(second.clone()) };
        let what = format!("improvement {id}");
        let refused = StoreError::VersionConflict { what, expected: format!("version {expected_version}") };
        assert_eq!(step(&*store, vec![write]).await.unwrap_err(), refused);
    }
    let write = Write::ChangeImprovement { id: id + 1, expected_version: 1, change: Box::new(second) };
    assert!(matches!(step(&*store, vec![write]).await, Err(StoreError::NotFound { .. })));
    let unknown = uplift_model::revision::RevisionId::from_stored("0".repeat(64));
    let lost = ImprovementChange { base: Some(unknown), ..ImprovementChange::default() };
    assert!(matches!(change(&*store, id, lost).await, Err(StoreError::NotFound { what: "revision", .. })));
    assert_eq!(store.improvement(id).await.unwrap().version, 3);
}

/// One is ready or on trial; others wait, or are told who is in the way.
pub async fn one_improvement_occupies_an_entity(store: Subject) {
    let (a, first) = improved(&*store, "a").await;
    let (_, elsewhere) = improved(&*store, "b").await;
    let second = propose(&*store, a).await;
    take_to(&*store, first, S::Validated).await.unwrap();
    let occupied = StoreError::Occupied { entity: a, by: format!("improvement {first}") };
    assert_eq!(take_to(&*store, second, S::Validated).await.unwrap_err(), occupied);
    take_to(&*store, elsewhere, S::Validated).await.unwrap();
    take_to(&*store, second, S::Queued).await.unwrap();
    take_to(&*store, first, S::Testing).await.unwrap();
    assert_eq!(take_to(&*store, second, S::Validated).await.unwrap_err(), occupied);
    take_to(&*store, first, S::Deployed).await.unwrap();
    take_to(&*store, second, S::Validated).await.unwrap();
    // What is taken back after it was kept is in nobody's way.
    take_to(&*store, first, S::RolledBack).await.unwrap();
}

/// Edits change while nobody has looked at them; what runs does not change at all.
pub async fn what_was_looked_at_does_not_change(store: Subject) {
    let (a, id) = improved(&*store, "a").await;
    let with = |proposal| ImprovementChange { proposal: Some(Box::new(proposal)), ..ImprovementChange::default() };
    let other = Proposal { edits: vec![Edit::AppendGuideline { text: "Look.".into() }], ..proposal() };
    let patient = Proposal { comparison: Comparison::BeforeAfter, ..other.clone() };
    let based = ImprovementChange { base: Some(base().id().clone()), ..ImprovementChange::default() };
    change(&*store, id, with(other.clone())).await.unwrap();
    take_to(&*store, id, S::AwaitingApproval).await.unwrap();
    assert!(matches!(change(&*store, id, with(proposal())).await, Err(StoreError::Invalid { .. })));
    change(&*store, id, with(patient.clone())).await.unwrap();
    change(&*store, id, based.clone()).await.unwrap();
    for status in [S::Validated, S::Testing] {
        take_to(&*store, id, status).await.unwrap();
    }
    // Between two trials it may be put on another base; on trial it stays what it is.
    change(&*store, id, based.clone()).await.unwrap();
    start(&*store, a, id, trial(TrialKind::Trial, AssignmentUnit::Task)).await.unwrap();
    for late in [with(patient.clone()), based] {
        assert!(matches!(change(&*store, id, late).await, Err(StoreError::Invalid { .. })));
    }
    assert_eq!(store.improvement(id).await.unwrap().proposal, patient);
    // What waits for a proposal is proposed with one, not without.
    let mut empty = new_improvement(a);
    (empty.status, empty.proposal.edits) = (S::NeedsProposal, Vec::new());
    let put = Write::PutImprovement(Box::new(empty));
    let id = step(&*store, vec![put]).await.unwrap().improvements[0];
    assert!(matches!(take_to(&*store, id, S::Proposed).await, Err(StoreError::Invalid { .. })));
    let filled = ImprovementChange { status: Some(S::Proposed), ..with(proposal()) };
    change(&*store, id, filled).await.unwrap();
    assert_eq!(store.improvement(id).await.unwrap().proposal, proposal());
}

/// Lists hold what their filters let through, page by page, the latest first.
pub async fn improvements_are_listed(store: Subject) {
    let (a, first) = improved(&*store, "a").await;
    let (_, second) = improved(&*store, "b").await;
    let mut of_a = vec![first];
    for _ in 0..4 {
        of_a.push(propose(&*store, a).await);
    }
    take_to(&*store, of_a[1], S::Rejected).await.unwrap();
    take_to(&*store, of_a[2], S::Queued).await.unwrap();
    of_a.reverse();
    let ids = |filter: ImprovementFilter| {
        let store = store.clone();
        async move {
            let (mut ids, mut request) = (Vec::new(), PageRequest::first(2));
            loop {
                let page = store.improvements(filter.clone(), request).await.unwrap();
                ids.extend(page.items.iter().map(|item| item.id));
                let Some(cursor) = page.next else { return ids };
                request = PageRequest { limit: 2, cursor: Some(cursor) };
            }
        }
    };
    let all = ImprovementFilter::default();
    assert_eq!(ids(ImprovementFilter { entity: Some(a), ..all.clone() }).await, of_a);
    assert_eq!(ids(ImprovementFilter { status: vec![S::Rejected, S::Queued], ..all.clone() }).await.len(), 2);
    assert_eq!(ids(all.clone()).await.len(), 6);
    assert!(ids(all.clone()).await.contains(&second));
    assert!(ids(ImprovementFilter { opportunity_id: Some(1), ..all.clone() }).await.is_empty());
    let bad = PageRequest { limit: 2, cursor: Some("x".into()) };
    assert!(matches!(store.improvements(all, bad).await, Err(StoreError::BadCursor { .. })));
}

pub(super) fn entry(
    improvement_id: i64,
    entity: EntityKey,
    outcome: HistoryOutcome,
    effectiveness: f64,
) -> HistoryEntry {
    HistoryEntry {
        improvement_id,
        entity,
        improvement_type: ImprovementType::InstructionUpdate,
        outcome,
        reason: "because".into(),
        started_at: Some(hour(1)),
        decided_at: hour(50),
        metrics_before: Some(MetricValues(BTreeMap::from([("errors".to_owned(), 0.5)]))),
        metrics_after: None,
        effectiveness: Some(Interval { estimate: effectiveness, low: -0.5, high: 0.5 }),
        rollback_revision: Some(base().id().clone()),
        verdict: Some(verdict("kept")),
        report: "# Report".into(),
    }
}

/// An entry of the history comes back whole.
pub async fn history_tells_what_became_of_it(store: Subject) {
    let (a, id) = improved(&*store, "a").await;
    let kept = entry(id, a, HistoryOutcome::Kept, 0.25);
    let gone = HistoryEntry {
        outcome: HistoryOutcome::RolledBack,
        decided_at: hour(60),
        verdict: None,
        effectiveness: None,
        started_at: None,
        ..kept.clone()
    };
    let record = |entry: &HistoryEntry| vec![Write::RecordHistory(Box::new(entry.clone()))];
    step(&*store, record(&kept)).await.unwrap();
    step(&*store, record(&gone)).await.unwrap();
    let rows = store.history_of(id).await.unwrap();
    let [first, second] = &rows[..] else { panic!("two entries") };
    assert_eq!((first.outcome.as_str(), first.entity_name.as_str()), ("kept", "a"));
    assert_eq!(
        (first.effectiveness, first.effectiveness_low, first.effectiveness_high),
        (Some(0.25), Some(-0.5), Some(0.5))
    );
    assert_eq!((first.rollback_revision.as_ref(), first.report.as_deref()), (Some(base().id()), Some("# Report")));
    assert_eq!(first.verdict, Some(serde_json::to_value(verdict("kept")).unwrap()));
    assert_eq!(first.metrics_before, Some(serde_json::json!({"errors": 0.5})));
    assert_eq!((second.outcome.as_str(), second.verdict.as_ref(), second.started_at), ("rolled_back", None, None));
    assert!(store.history_of(id + 1).await.unwrap().is_empty());
    let unreadable = entry(id, a, HistoryOutcome::Kept, f64::NAN);
    assert!(matches!(step(&*store, record(&unreadable)).await, Err(StoreError::Invalid { .. })));
    let unknown = entry(id + 1, a, HistoryOutcome::Kept, 0.1);
    assert!(matches!(step(&*store, record(&unknown)).await, Err(StoreError::NotFound { .. })));
    assert_eq!(store.history(Some(a), whole()).await.unwrap().items.len(), 2);
    let mut effects = store.effects_of(a).await.unwrap();
    effects.sort_by(|one, other| one.outcome.cmp(&other.outcome));
    let effects: Vec<_> = effects.iter().map(|row| (row.outcome.as_str(), row.effectiveness)).collect();
    assert_eq!(effects, [("kept", Some((0.25, -0.5, 0.5))), ("rolled_back", None)]);
}

/// Proposers are known by what became of their proposals in the end.
pub async fn track_records_count_the_last_word(store: Subject) {
    let a = declare(&*store, EntityType::Agent, "a").await;
    let point = Write::PointRevision { entity: a, revision: Box::new(base()) };
    let found = Box::new(finding(a, OpportunityKind::TokenWaste, ""));
    let opened = step(&*store, vec![point, Write::PutFinding { finding: found, quiet_since: None }]).await;
    let opened = opened.unwrap().opened[0];
    let put = |proposer: &str, opportunity_id| {
        let by = if proposer == "gpt" { ProposalSource::Llm } else { ProposalSource::Rule };
        let proposal = Proposal { proposer: proposer.into(), proposed_by: by, ..proposal() };
        Write::PutImprovement(Box::new(NewImprovement { opportunity_id, proposal, ..new_improvement(a) }))
    };
    let writes = vec![
        put("x", Some(opened)),
        put("x", Some(opened)),
        put("x", Some(opened)),
        put("x", None),
        put("gpt", Some(opened)),
    ];
    let ids = step(&*store, writes).await.unwrap().improvements;
    let decided = [
        (0, HistoryOutcome::Kept, 0.5),
        (1, HistoryOutcome::Kept, 0.25),
        (2, HistoryOutcome::Kept, 0.75),
        // It turned bad later.
        (2, HistoryOutcome::RolledBack, -0.5),
        (3, HistoryOutcome::Inconclusive, 0.0),
        (4, HistoryOutcome::Cancelled, 0.0),
    ];
    let entries = decided
        .iter()
        .map(|(place, outcome, value)| Write::RecordHistory(Box::new(entry(ids[*place], a, *outcome, *value))));
    step(&*store, entries.collect()).await.unwrap();
    let records = store.track_records().await.unwrap();
    let shown: Vec<_> = records
        .iter()
        .map(|record| (record.kind, record.proposer.as_str(), record.kept, record.rolled_back, record.inconclusive))
        .collect();
    assert_eq!(shown, [(None, "x", 0, 0, 1), (Some(OpportunityKind::TokenWaste), "x", 2, 1, 0)]);
    assert_eq!(records[0].mean_effectiveness, None);
    assert!((records[1].mean_effectiveness.unwrap() - 0.375).abs() < 1e-9);
}
