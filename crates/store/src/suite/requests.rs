//! What agents ask for.

use serde_json::json;
use uplift_model::entity::{EntityKey, EntityType};
use uplift_model::event::{EventKind, Outcome};
use uplift_model::history::{HistoryEntry, HistoryOutcome};
use uplift_model::improvement::{ImprovementStatus, ImprovementType};
use uplift_model::opportunity::{ImpactLevel, OpportunityKind, OpportunityStatus};
use uplift_model::request::{AskingRecord, CheckedItem, Found, NewRequest, RequestStatus};

use super::improvements::entry;
use super::sample::{Subject, agent, declare, event, finding, hour, in_environment, of_task, second, step, take};
use super::scene::{new_improvement, take_to};
use crate::error::StoreError;
use crate::page::PageRequest;
use crate::reads::Store;
use crate::rows::RequestFilter;
use crate::writes::requests::RequestWrite;
use crate::writes::{NewImprovement, Write};

use RequestStatus as S;

async fn opportunity(store: &dyn Store, about: EntityKey, name: &str) -> i64 {
    let found = Box::new(finding(about, OpportunityKind::Request, name));
    step(store, vec![Write::PutFinding { finding: found, quiet_since: None }]).await.unwrap().opened[0]
}

fn request(asker: EntityKey, opportunity_id: i64) -> NewRequest {
    NewRequest {
        asker,
        about: asker,
        improvement_type: ImprovementType::ContextOptimization,
        description: "Add the guide".into(),
        rationale: "It is <needed>".into(),
        evidence: json!({"failed_tasks": ["task_123"], "time_wasted": "15min"}),
        checked: vec![CheckedItem {
            claim: "failed_task".into(),
            subject: "task_123".into(),
            found: Found::Confirmed,
            detail: "it failed".into(),
        }],
        priority: ImpactLevel::High,
        confidence: 0.8,
        opportunity_id,
        brings_change: false,
        asked_by: "local".into(),
    }
}

fn put(request: NewRequest) -> Write {
    Write::Requests(RequestWrite::Put(Box::new(request)))
}

fn answering(entity: EntityKey, opportunity_id: i64) -> Write {
    let new = NewImprovement { opportunity_id: Some(opportunity_id), ..new_improvement(entity) };
    Write::PutImprovement(Box::new(new))
}

fn decided(improvement: i64, entity: EntityKey, outcome: HistoryOutcome, hours: i64) -> Write {
    let entry = HistoryEntry {
        decided_at: hour(hours),
        rollback_revision: None,
        ..entry(improvement, entity, outcome, 0.25)
    };
    Write::RecordHistory(Box::new(entry))
}

/// It comes back as it was asked, and follows what answers it.
pub async fn a_request_follows_its_answer(store: Subject) {
    let a = declare(&*store, EntityType::Agent, "a").await;
    let about = opportunity(&*store, a, "x").await;
    // What ended before it was asked for is not an answer.
    let before = step(&*store, vec![answering(a, about)]).await.unwrap().improvements[0];
    take_to(&*store, before, ImprovementStatus::Cancelled).await.unwrap();
    let asked = request(a, about);
    let put_at = crate::writes::StepCommit { at: hour(101), writes: vec![put(asked.clone())], ..Default::default() };
    let id = store.commit_step(put_at).await.unwrap().recorded[0];
    let found = store.request(id).await.unwrap();
    assert_eq!((found.asker, found.asker_name.as_str(), found.about_name.as_str()), (a, "a", "a"));
    assert_eq!((&found.description, &found.rationale), (&asked.description, &asked.rationale));
    assert_eq!((&found.evidence, &found.checked), (&asked.evidence, &asked.checked));
    assert_eq!((found.priority, found.confidence, found.at), (ImpactLevel::High, 0.8, hour(101)));
    assert_eq!((found.status, found.improvement_id), (S::Pending, None));

    let answer = step(&*store, vec![answering(a, about), Write::ClaimOpportunity { id: about }]).await.unwrap();
    let answer = answer.improvements[0];
    let found = store.request(id).await.unwrap();
    assert_eq!((found.status, found.improvement_id), (S::Proposed, Some(answer)));
    take_to(&*store, answer, ImprovementStatus::AwaitingApproval).await.unwrap();
    assert_eq!(store.request(id).await.unwrap().status, S::AwaitingApproval);

    // One with a change of its own follows that one.
    let brings = NewRequest { brings_change: true, ..request(a, about) };
    let both = step(&*store, vec![answering(a, about), put(brings.clone())]).await.unwrap();
    let own = store.request(both.recorded[0]).await.unwrap();
    assert_eq!((own.improvement_id, own.status), (Some(both.improvements[0]), S::Proposed));
    assert!(matches!(step(&*store, vec![put(brings)]).await, Err(StoreError::Invalid { .. })));

    let aside = opportunity(&*store, a, "y").await;
    let id = step(&*store, vec![put(request(a, aside))]).await.unwrap().recorded[0];
    let close =
        Write::CloseOpportunity { id: aside, status: OpportunityStatus::Dismissed, reason: "fine as it is".into() };
    step(&*store, vec![close]).await.unwrap();
    assert_eq!(store.request(id).await.unwrap().status, S::Dismissed);
    assert!(matches!(store.request(id + 1).await, Err(StoreError::NotFound { .. })));
}

/// Pages hold every request once, and filters hold.
pub async fn requests_are_listed(store: Subject) {
    let a = declare(&*store, EntityType::Agent, "a").await;
    let b = declare(&*store, EntityType::Agent, "b").await;
    let (x, y) = (opportunity(&*store, a, "x").await, opportunity(&*store, a, "y").await);
    let writes = [(a, x), (b, x), (a, y)].map(|(asker, about)| put(request(asker, about)));
    let ids = step(&*store, writes.into()).await.unwrap().recorded;
    let listed = async |filter: RequestFilter| {
        let mut found = Vec::new();
        let mut page = PageRequest { limit: 1, cursor: None };
        loop {
            let list = store.requests(filter.clone(), page.clone()).await.unwrap();
            found.extend(list.items.iter().map(|request| request.id));
            match list.next {
                Some(next) => page.cursor = Some(next),
                None => return found,
            }
        }
    };
    assert_eq!(listed(RequestFilter::default()).await, [ids[2], ids[1], ids[0]]);
    assert_eq!(listed(RequestFilter { asker: Some(a), ..Default::default() }).await, [ids[2], ids[0]]);
    assert_eq!(listed(RequestFilter { opportunity_id: Some(x), ..Default::default() }).await, [ids[1], ids[0]]);
    let close = Write::CloseOpportunity { id: x, status: OpportunityStatus::Dismissed, reason: "no".into() };
    step(&*store, vec![close]).await.unwrap();
    assert_eq!(listed(RequestFilter { open: true, ..Default::default() }).await, [ids[2]]);
    let foreign = PageRequest { limit: 1, cursor: Some("nonsense".into()) };
    assert!(store.requests(RequestFilter::default(), foreign).await.is_err());
}

/// What was kept and what did harm counts for whoever asked for it, once each; and answers reach them in order.
pub async fn askers_have_a_record(store: Subject) {
    use HistoryOutcome::{Inconclusive, Kept, RolledBack};
    let a = declare(&*store, EntityType::Agent, "a").await;
    let b = declare(&*store, EntityType::Agent, "b").await;
    let mut improvements = Vec::new();
    let start = store.last_decision().await.unwrap();
    let mut requests = Vec::new();
    for (name, outcomes) in [
        ("kept", &[(Kept, 101)][..]),
        ("harmful", &[(RolledBack, 101)][..]),
        ("kept, then harmful", &[(Kept, 101), (RolledBack, 102)][..]),
        ("unclear", &[(Inconclusive, 101)][..]),
        ("before", &[(Kept, 99)][..]),
    ] {
        let about = opportunity(&*store, a, name).await;
        // Asked twice by one, once by another.
        let asked = step(&*store, vec![put(request(a, about)), put(request(a, about)), put(request(b, about))]);
        requests.push(asked.await.unwrap().recorded);
        let id = step(&*store, vec![answering(a, about)]).await.unwrap().improvements[0];
        improvements.push(id);
        for (outcome, at) in outcomes {
            step(&*store, vec![decided(id, a, *outcome, *at)]).await.unwrap();
        }
    }
    for asker in [a, b] {
        let record = store.asking_record(asker, hour(100)).await.unwrap();
        assert_eq!((record.kept, record.rolled_back), (1, 2), "{asker}");
    }
    let record = store.asking_record(a, hour(100)).await.unwrap();
    assert_eq!((record.in_hour, record.first_in_hour, record.in_day, record.open), (10, Some(hour(100)), 10, 10));
    let later = store.asking_record(a, hour(101)).await.unwrap();
    assert_eq!((later.in_hour, later.first_in_hour, later.in_day), (0, None, 10));
    assert_eq!(store.asking_record(a, hour(124)).await.unwrap().in_day, 0);
    let nobody = declare(&*store, EntityType::Agent, "c").await;
    assert_eq!(store.asking_record(nobody, hour(100)).await.unwrap(), AskingRecord::default());

    let answers = store.answers(start, 100).await.unwrap();
    // Four decisions after it was asked, of one of which there are two; three requests each.
    assert_eq!(answers.len(), 15);
    assert_eq!((answers[0].request_id, answers[0].improvement_id), (requests[0][0], improvements[0]));
    assert_eq!((answers[0].outcome, answers[0].effectiveness), (Kept, Some(0.25)));
    assert_eq!((answers[2].asker, answers[2].asker_name.as_str()), (b, "b"));
    assert!(answers.windows(2).all(|two| two[0].decision <= two[1].decision));
    let last = store.last_decision().await.unwrap();
    assert!(store.answers(last, 100).await.unwrap().is_empty());
    assert_eq!(store.answers(start, 4).await.unwrap()[..], answers[..4]);
}

/// Tasks are looked up within an environment, under the name of their trace or their own.
pub async fn named_tasks_are_found(store: Subject) {
    let ended = |id: &str, task: &str, outcome| {
        let mut ended = of_task(event(id, EventKind::TaskFailed, second(5)), task);
        ended.outcome = Some(outcome);
        ended
    };
    let elsewhere = in_environment(ended("e2", "t1", Outcome::Failure), "production");
    take(&*store, vec![ended("e1", "t1", Outcome::Failure), elsewhere, ended("e3", "t2", Outcome::Failure)]).await;
    let names = ["t2", "t1", "nothing"].map(str::to_owned).to_vec();
    let found = store.named_tasks("default".into(), names.clone()).await.unwrap();
    assert_eq!(found.iter().map(|task| task.task_id.as_str()).collect::<Vec<_>>(), ["t2", "t1"]);
    assert_eq!(found[0].outcome, Some(Outcome::Failure));
    assert_eq!(found[0].entity, agent(&*store, &found[0].entity_name).await);
    let found = store.named_tasks("production".into(), names).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].environment, "production");
    // A trace that is no task itself means its tasks.
    let in_trace = |id: &str, task: &str| {
        let mut ended = ended(id, task, Outcome::Failure);
        ended.trace_id = Some("trace".to_owned());
        ended
    };
    take(&*store, vec![in_trace("e4", "t3"), in_trace("e5", "t4")]).await;
    let found = store.named_tasks("default".into(), vec!["trace".to_owned(), "t4".to_owned()]).await.unwrap();
    let found: Vec<_> = found.iter().map(|task| (task.trace_key.as_str(), task.task_id.as_str())).collect();
    assert_eq!(found, [("trace", "t3"), ("trace", "t4"), ("trace", "t4")]);
}

/// What is put first is worked on first; a new order replaces the old one.
pub async fn the_order_of_work_can_be_planned(store: Subject) {
    let a = declare(&*store, EntityType::Agent, "a").await;
    let mut ids = Vec::new();
    for name in ["x", "y", "z"] {
        ids.push(opportunity(&*store, a, name).await);
    }
    let order = async || {
        let claimable = store.claimable(hour(200), 100).await.unwrap();
        claimable.iter().map(|opportunity| opportunity.id).collect::<Vec<_>>()
    };
    let usual = order().await;
    let plan = |order: &[i64]| vec![Write::Requests(RequestWrite::Plan { order: order.to_vec() })];
    step(&*store, plan(&[usual[2], usual[0]])).await.unwrap();
    assert_eq!(order().await, [usual[2], usual[0], usual[1]]);
    step(&*store, plan(&[usual[1]])).await.unwrap();
    assert_eq!(order().await, [usual[1], usual[0], usual[2]]);
    let close = Write::CloseOpportunity { id: ids[0], status: OpportunityStatus::Dismissed, reason: "no".into() };
    step(&*store, vec![close]).await.unwrap();
    assert!(matches!(step(&*store, plan(&ids)).await, Err(StoreError::NotOpen { .. })));
    step(&*store, plan(&[])).await.unwrap();
}
