//! Opportunities that are worked on, given back, and opened again.

use uplift_model::entity::{EntityKey, EntityState, EntityType};
use uplift_model::improvement::{ImprovementStatus, ImprovementType};
use uplift_model::opportunity::{Finding, Impact, OpportunityKind, OpportunityStatus};
use uplift_model::policy::{ImprovementConfig, Mode};

use super::sample::{Subject, declare, finding, hour, step, take};
use super::scene::{new_improvement, take_to};
use crate::error::StoreError;
use crate::reads::Store;
use crate::rows::ClaimTerms;
use crate::writes::{ASKED_TYPE, NewImprovement, Write};

use ImprovementStatus as S;

const KIND: OpportunityKind = OpportunityKind::UnusedTool;

async fn open(store: &dyn Store, finding: Finding) -> i64 {
    let put = Write::PutFinding { finding: Box::new(finding), quiet_since: None };
    step(store, vec![put]).await.unwrap().opened[0]
}

async fn claimable(store: &dyn Store, hours: i64) -> Vec<i64> {
    store.claimable(hour(hours), 100).await.unwrap().iter().map(|opportunity| opportunity.id).collect()
}

/// Work is taken up once; given back it rests.
pub async fn what_is_claimed_comes_back(store: Subject) {
    let a = declare(&*store, EntityType::Agent, "a").await;
    let id = open(&*store, finding(a, KIND, "x")).await;
    let claim = || vec![Write::ClaimOpportunity { id }];
    let give_back = |hours| {
        vec![Write::ReturnOpportunity { id, not_before: hour(hours), reason: "nothing was shown".to_owned() }]
    };
    step(&*store, claim()).await.unwrap();
    assert_eq!(store.opportunity(id).await.unwrap().status, OpportunityStatus::InProgress);
    assert!(claimable(&*store, 500).await.is_empty());
    let refused = StoreError::NotOpen { id, status: OpportunityStatus::InProgress };
    assert_eq!(step(&*store, claim()).await.unwrap_err(), refused);
    // It is still brought up to date, and still the only one of its key.
    let put = Write::PutFinding {
        finding: Box::new(Finding { description: "more of it".into(), ..finding(a, KIND, "x") }),
        quiet_since: None,
    };
    assert!(step(&*store, vec![put]).await.unwrap().opened.is_empty());
    assert_eq!(store.opportunity(id).await.unwrap().finding.description, "more of it");

    step(&*store, give_back(200)).await.unwrap();
    let back = store.opportunity(id).await.unwrap();
    assert_eq!((back.status, back.resolution.as_deref()), (OpportunityStatus::Pending, Some("nothing was shown")));
    assert!(claimable(&*store, 199).await.is_empty());
    assert_eq!(claimable(&*store, 200).await, [id]);
    step(&*store, claim()).await.unwrap();
    assert_eq!(store.opportunity(id).await.unwrap().resolution, None);
    let close = Write::CloseOpportunity { id, status: OpportunityStatus::Dismissed, reason: "fine".into() };
    step(&*store, vec![close]).await.unwrap();
    // Closed by a person in the meantime: that stands.
    step(&*store, give_back(0)).await.unwrap();
    assert_eq!(store.opportunity(id).await.unwrap().status, OpportunityStatus::Dismissed);
    for missing in [
        Write::ClaimOpportunity { id: id + 1 },
        Write::ReturnOpportunity { id: id + 1, not_before: hour(0), reason: String::new() },
        Write::ReopenOpportunity { id: id + 1, not_before: hour(0), reason: String::new() },
    ] {
        assert!(matches!(step(&*store, vec![missing]).await, Err(StoreError::NotFound { .. })));
    }
}

/// A problem that is back is the same problem, unless it was found anew meanwhile.
pub async fn what_was_solved_may_come_back(store: Subject) {
    let a = declare(&*store, EntityType::Agent, "a").await;
    let id = open(&*store, finding(a, KIND, "x")).await;
    let close = |id, status| vec![Write::CloseOpportunity { id, status, reason: "done".to_owned() }];
    let reopen = |id| vec![Write::ReopenOpportunity { id, not_before: hour(150), reason: "it is back".to_owned() }];
    assert!(step(&*store, reopen(id)).await.unwrap().opened.is_empty());
    assert_eq!(store.completed(a, KIND, "x".into()).await.unwrap(), None);
    step(&*store, close(id, OpportunityStatus::Completed)).await.unwrap();
    let completed = store.completed(a, KIND, "x".into()).await.unwrap().unwrap();
    assert_eq!((completed.id, completed.updated_at), (id, hour(100)));
    assert_eq!(step(&*store, reopen(id)).await.unwrap().opened, [id]);
    let back = store.opportunity(id).await.unwrap();
    assert_eq!((back.status, back.resolution.as_deref()), (OpportunityStatus::Pending, Some("it is back")));
    assert!(claimable(&*store, 149).await.is_empty());
    assert_eq!(claimable(&*store, 150).await, [id]);

    step(&*store, close(id, OpportunityStatus::Completed)).await.unwrap();
    let next = open(&*store, finding(a, KIND, "x")).await;
    assert!(step(&*store, reopen(id)).await.unwrap().opened.is_empty());
    assert_eq!(store.opportunity(id).await.unwrap().status, OpportunityStatus::Completed);
    // The latest of them, whatever else has the same kind or name.
    let other = open(&*store, finding(a, KIND, "y")).await;
    for id in [next, other] {
        step(&*store, close(id, OpportunityStatus::Completed)).await.unwrap();
    }
    assert_eq!(store.completed(a, KIND, "x".into()).await.unwrap().unwrap().id, next);
    // What a person set aside stays there.
    let aside = open(&*store, finding(a, KIND, "z")).await;
    step(&*store, close(aside, OpportunityStatus::Dismissed)).await.unwrap();
    assert!(step(&*store, reopen(aside)).await.unwrap().opened.is_empty());
    assert_eq!(store.opportunity(aside).await.unwrap().status, OpportunityStatus::Dismissed);
}

/// The greatest first: by impact, confidence, how often it was seen, and number.
pub async fn claimable_ones_come_in_order(store: Subject) {
    let a = declare(&*store, EntityType::Agent, "a").await;
    let b = declare(&*store, EntityType::Agent, "b").await;
    let make = |entity, name: &str, share: f64, confidence: f64, count| {
        let mut made = finding(entity, KIND, name);
        made.impact = Impact::from_share(share, "");
        made.confidence = confidence;
        made.evidence.count = count;
        made
    };
    let mut ids = Vec::new();
    for made in [
        make(a, "low", 0.01, 0.99, 900),
        make(b, "unsure", 0.5, 0.5, 900),
        make(a, "sure", 0.5, 0.9, 7),
        make(b, "often", 0.5, 0.9, 70),
        make(b, "medium", 0.1, 0.9, 70),
        make(a, "later", 0.5, 0.9, 7),
    ] {
        ids.push(open(&*store, made).await);
    }
    let order = [3, 5, 2, 1, 4, 0].map(|place: usize| ids[place]);
    assert_eq!(claimable(&*store, 100).await, order);
    let first = store.claimable(hour(100), 2).await.unwrap();
    assert_eq!(first.iter().map(|opportunity| opportunity.id).collect::<Vec<_>>(), order[..2]);
}

/// What is marked only, whose entity is out of use or occupied, or what waits for a proposal, is left alone.
pub async fn what_cannot_be_worked_on_is_not_claimable(store: Subject) {
    let keys: Vec<EntityKey> = {
        let mut keys = Vec::new();
        for name in ["a", "b", "c"] {
            keys.push(declare(&*store, EntityType::Agent, name).await);
        }
        keys
    };
    let (a, b, c) = (keys[0], keys[1], keys[2]);
    let of_a = open(&*store, finding(a, KIND, "x")).await;
    let of_b = open(&*store, finding(b, KIND, "x")).await;
    let waiting = open(&*store, finding(b, KIND, "y")).await;
    let of_c = open(&*store, finding(c, KIND, "x")).await;
    // A rule of the database marks one; nobody has confirmed it.
    take(&*store, (0..6).map(|id| super::sample::broken(&id.to_string(), hour(1))).collect()).await;
    assert_eq!(super::sample::marks(&*store).await.len(), 1);
    assert_eq!(claimable(&*store, 100).await.len(), 4);

    let state = |state| vec![Write::SetEntityState { entity: c, state }];
    step(&*store, state(EntityState::Deprecated)).await.unwrap();
    let mut empty = new_improvement(b);
    (empty.status, empty.opportunity_id) = (ImprovementStatus::NeedsProposal, Some(waiting));
    empty.proposal.edits.clear();
    step(&*store, vec![Write::PutImprovement(Box::new(empty))]).await.unwrap();
    let put = |entity, opportunity_id| {
        vec![Write::PutImprovement(Box::new(NewImprovement { opportunity_id, ..new_improvement(entity) }))]
    };
    let id = step(&*store, put(a, Some(of_a))).await.unwrap().improvements[0];
    assert_eq!(claimable(&*store, 100).await, [of_b]);
    step(&*store, state(EntityState::Active)).await.unwrap();
    assert_eq!(claimable(&*store, 100).await, [of_c, of_b]);
    // An entity is free when its improvement has ended.
    for status in [S::AwaitingApproval, S::Queued, S::Validated, S::Testing, S::Deployed] {
        assert!(!claimable(&*store, 100).await.contains(&of_a), "before {status}");
        take_to(&*store, id, status).await.unwrap();
    }
    assert!(claimable(&*store, 100).await.contains(&of_a));
}

/// What an entity does not want done by itself is passed over, however much of it there is; of the rest, each entity's
/// greatest comes.
pub async fn only_what_is_wanted_comes(store: Subject) {
    let usual = |mode, min_confidence| ClaimTerms { mode, min_confidence };
    let own = |mode, min_confidence_threshold, auto_improve_enabled| ImprovementConfig {
        mode,
        min_confidence_threshold,
        auto_improve_enabled,
        ..ImprovementConfig::default()
    };
    // (name, its settings, wanted while the engine proposes, and while it observes)
    let table = [
        ("as_the_engine", own(None, None, true), true, false),
        ("observes", own(Some(Mode::Observe), None, true), false, false),
        ("off", own(Some(Mode::Auto), None, false), false, false),
        ("asks_for_more", own(Some(Mode::Auto), Some(0.95), true), false, false),
        ("asks_for_less", own(Some(Mode::Approve), Some(0.2), true), true, true),
    ];
    let mut ids = Vec::new();
    for (name, config, ..) in &table {
        let entity = declare(&*store, EntityType::Agent, name).await;
        step(&*store, vec![Write::SetEntityConfig { entity, config: config.clone() }]).await.unwrap();
        // The unwanted are the greatest, and many.
        let many = if *name == "observes" { 1_000 } else { 2 };
        let put = |nth: i32| {
            let mut finding = finding(entity, KIND, &nth.to_string());
            finding.impact = Impact::from_share(if *name == "observes" { 0.9 } else { 0.1 }, "");
            Write::PutFinding { finding: Box::new(finding), quiet_since: None }
        };
        let opened = step(&*store, (0..many).map(put).collect()).await.unwrap().opened;
        ids.push(opened.last().copied().unwrap());
    }
    let claimed = async |usual, limit| {
        let wanted = store.wanted(hour(100), usual, limit).await.unwrap();
        wanted.iter().map(|opportunity| opportunity.id).collect::<Vec<_>>()
    };
    let expected = |column: fn(&(bool, bool)) -> bool| -> Vec<i64> {
        let wanted = table.iter().zip(&ids).filter(|((_, _, proposes, observes), _)| column(&(*proposes, *observes)));
        wanted.map(|(_, id)| *id).rev().collect()
    };
    assert_eq!(claimed(usual(Mode::Propose, 0.8), 10).await, expected(|wanted| wanted.0));
    assert_eq!(claimed(usual(Mode::Observe, 0.8), 10).await, expected(|wanted| wanted.1));
    assert_eq!(claimed(usual(Mode::Propose, 0.8), 1).await.len(), 1);
    // Not sure enough for the engine; what an entity says itself stands.
    assert_eq!(claimed(usual(Mode::Propose, 0.91), 10).await, expected(|wanted| wanted.1));
}

/// What was asked for is what the opportunity says; other kinds are of their usual type, whatever a label says.
pub async fn a_request_asks_for_its_type(store: Subject) {
    let a = declare(&*store, EntityType::Agent, "a").await;
    let usual = OpportunityKind::usual_improvement;
    for (kind, label, expected) in [
        (OpportunityKind::Request, Some("performance_tuning"), ImprovementType::PerformanceTuning),
        (OpportunityKind::Request, Some("error_prevention"), ImprovementType::ErrorPrevention),
        (OpportunityKind::Request, Some("magic"), usual(OpportunityKind::Request)),
        (OpportunityKind::Request, None, usual(OpportunityKind::Request)),
        (KIND, Some("performance_tuning"), usual(KIND)),
    ] {
        let mut made = finding(a, kind, label.unwrap_or("none"));
        made.evidence.labels.extend(label.map(|label| (ASKED_TYPE.to_owned(), label.to_owned())));
        let id = open(&*store, made).await;
        assert_eq!(store.opportunity(id).await.unwrap().improvement_type, expected, "{kind} {label:?}");
    }
}
