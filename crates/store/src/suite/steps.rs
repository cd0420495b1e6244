//! What steps of the loop write: all of it or nothing.

use std::collections::BTreeMap;

use serde_json::json;
use uplift_model::alert::{AlertFinding, AlertKind, HealthStatus};
use uplift_model::entity::{DEFAULT_ENVIRONMENT, EntityState};
use uplift_model::opportunity::{OpportunityKind, OpportunityStatus};
use uplift_model::policy::ImprovementConfig;
use uplift_model::process::Lease;
use uplift_model::relationship::{Relationship, RelationshipKind, RelationshipSource};
use uplift_model::revision::{Configuration, Revision, RevisionId, ToolUse};
use uplift_model::{EntityKey, EntityType};

use super::sample::{Subject, agent, call, declare, finding, hour, name, second, select, step, take, whole};
use crate::error::StoreError;
use crate::rows::{EntityFilter, OpportunityFilter};
use crate::writes::attention::AlertWrite;
use crate::writes::{StepCommit, Write};

/// A finding of the same key brings the open opportunity up to date.
pub async fn one_opportunity_is_open_for_a_problem(store: Subject) {
    let a = declare(&*store, EntityType::Agent, "a").await;
    let b = declare(&*store, EntityType::Agent, "b").await;
    let first = finding(a, OpportunityKind::UnusedTool, "mail");
    let put = |finding| Write::PutFinding { finding: Box::new(finding), quiet_since: None };
    let opened = step(&*store, vec![put(first.clone())]).await.unwrap().opened;
    assert_eq!(opened.len(), 1);
    let stored = store.opportunity(opened[0]).await.unwrap();
    assert_eq!(stored.finding, first);
    assert_eq!((stored.status, stored.confirmed), (OpportunityStatus::Pending, true));
    assert_eq!((stored.created_at, stored.entity_name.as_str()), (hour(100), "a"));

    let mut again = first.clone();
    again.confidence = 0.5;
    again.description = "again".into();
    again.last_seen_at = hour(5);
    assert!(step(&*store, vec![put(again.clone())]).await.unwrap().opened.is_empty());
    assert_eq!(store.opportunity(opened[0]).await.unwrap().finding, again);
    let others = vec![
        put(finding(b, OpportunityKind::UnusedTool, "mail")),
        put(finding(a, OpportunityKind::UnusedContext, "mail")),
        put(finding(a, OpportunityKind::UnusedTool, "search")),
    ];
    assert_eq!(step(&*store, others).await.unwrap().opened.len(), 3);
    let close =
        Write::CloseOpportunity { id: opened[0], status: OpportunityStatus::Completed, reason: "solved".into() };
    step(&*store, vec![close]).await.unwrap();
    // It came back after it was solved.
    assert_eq!(step(&*store, vec![put(again)]).await.unwrap().opened.len(), 1);
    assert_eq!(store.counts().await.unwrap().opportunities_pending, 4);
}

/// What was dismissed lately is not opened again by a watch.
pub async fn what_a_person_dismissed_is_respected(store: Subject) {
    let a = declare(&*store, EntityType::Agent, "a").await;
    let found = finding(a, OpportunityKind::TokenWaste, "");
    let put = |quiet_since| Write::PutFinding { finding: Box::new(found.clone()), quiet_since };
    let id = step(&*store, vec![put(None)]).await.unwrap().opened[0];
    let close = Write::CloseOpportunity { id, status: OpportunityStatus::Dismissed, reason: "fine".into() };
    step(&*store, vec![close]).await.unwrap();
    assert_eq!(store.opportunity(id).await.unwrap().resolution.as_deref(), Some("fine"));
    assert!(step(&*store, vec![put(Some(hour(100)))]).await.unwrap().opened.is_empty());
    assert_eq!(step(&*store, vec![put(Some(hour(101)))]).await.unwrap().opened.len(), 1);
}

/// An end is an end.
pub async fn what_is_closed_cannot_be_closed_again(store: Subject) {
    let a = declare(&*store, EntityType::Agent, "a").await;
    let found = Box::new(finding(a, OpportunityKind::TokenWaste, ""));
    let id =
        step(&*store, vec![Write::PutFinding { finding: found.clone(), quiet_since: None }]).await.unwrap().opened[0];
    let close = |status| Write::CloseOpportunity { id, status, reason: "done".into() };
    step(&*store, vec![close(OpportunityStatus::Completed)]).await.unwrap();
    let refused = StoreError::NotOpen { id, status: OpportunityStatus::Completed };
    assert_eq!(step(&*store, vec![close(OpportunityStatus::Dismissed)]).await.unwrap_err(), refused);
    let confirm = Write::ConfirmOpportunity { id, finding: found };
    assert_eq!(step(&*store, vec![confirm]).await.unwrap_err(), refused);
    let withdraw = Write::WithdrawOpportunity { id, reason: String::new() };
    assert_eq!(step(&*store, vec![withdraw]).await.unwrap_err(), refused);
    assert!(matches!(store.opportunity(id + 1).await, Err(StoreError::NotFound { .. })));
    assert_eq!(store.opportunity(id).await.unwrap().status, OpportunityStatus::Completed);
}

fn tie(from: EntityKey, kind: RelationshipKind, to: EntityKey) -> Relationship {
    Relationship { from, to, kind, strength: 0.5, source: RelationshipSource::Declared }
}

/// Dependence in a circle, and ties to nobody, are refused.
pub async fn circles_of_dependence_are_refused(store: Subject) {
    let a = declare(&*store, EntityType::Agent, "a").await;
    let b = declare(&*store, EntityType::Agent, "b").await;
    let c = declare(&*store, EntityType::Process, "c").await;
    let before = store.relationships(None).await.unwrap().len();
    let depends = |from, to| Write::PutRelationship(tie(from, RelationshipKind::DependsOn, to));
    step(&*store, vec![depends(a, b), depends(b, c)]).await.unwrap();
    let error = step(&*store, vec![depends(c, a)]).await.unwrap_err();
    assert!(matches!(&error, StoreError::Invalid { reason } if reason.contains("circle")), "{error}");
    assert!(matches!(step(&*store, vec![depends(a, a)]).await, Err(StoreError::Invalid { .. })));
    let nobody = EntityKey::new(EntityType::Agent, 4_711);
    assert!(matches!(step(&*store, vec![depends(a, nobody)]).await, Err(StoreError::NotFound { .. })));
    assert_eq!(store.relationships(None).await.unwrap().len(), before + 2);
    assert_eq!(store.relationships(Some(b)).await.unwrap().len(), 2);
}

/// Traffic does not overwrite what somebody declared; declaring overwrites what traffic showed.
pub async fn declared_ties_stand_above_learnt_ones(store: Subject) {
    let a = declare(&*store, EntityType::Agent, "a").await;
    let search = declare(&*store, EntityType::Tool, "search").await;
    let declared = tie(a, RelationshipKind::Uses, search);
    step(&*store, vec![Write::PutRelationship(declared.clone())]).await.unwrap();
    take(&*store, vec![call("1", "search", 1.0, second(0)), call("2", "mail", 1.0, second(0))]).await;
    let learnt = Relationship { strength: 0.9, source: RelationshipSource::Learnt, ..declared.clone() };
    step(&*store, vec![Write::PutRelationship(learnt)]).await.unwrap();
    assert_eq!(store.relationships(Some(search)).await.unwrap(), [declared]);
    let mail = store.entity(select(EntityType::Tool, "mail")).await.unwrap().key;
    assert_eq!(store.relationships(Some(mail)).await.unwrap()[0].source, RelationshipSource::Learnt);
    let now = tie(a, RelationshipKind::Uses, mail);
    step(&*store, vec![Write::PutRelationship(now.clone())]).await.unwrap();
    assert_eq!(store.relationships(Some(mail)).await.unwrap(), [now]);
}

fn configuration(model: &str) -> Configuration {
    Configuration {
        model: Some(model.to_owned()),
        contexts: vec!["guide".to_owned()],
        tools: vec![ToolUse { name: "search".to_owned(), required: true }],
        parameters: BTreeMap::from([("temperature".to_owned(), json!(0.25))]),
        extra: BTreeMap::from([("graph".to_owned(), json!({"nodes": [1, 2]}))]),
        ..Configuration::default()
    }
}

/// Equal configurations are one revision; a pointer moves back and forth, and nothing is lost.
pub async fn revisions_are_addressed_by_content(store: Subject) {
    let entity = declare(&*store, EntityType::Agent, "a").await;
    let (one, two) = (Revision::seal(configuration("m")).unwrap(), Revision::seal(configuration("n")).unwrap());
    for revision in [&one, &two, &one, &one] {
        let write = Write::PointRevision { entity, revision: Box::new(revision.clone()) };
        step(&*store, vec![write]).await.unwrap();
        let stored = store.entity(select(EntityType::Agent, "a")).await.unwrap();
        assert_eq!(stored.revision.as_deref(), Some(revision.id().as_str()));
    }
    for revision in [&one, &two] {
        assert_eq!(store.revision(revision.id().clone()).await.unwrap(), *revision.configuration());
    }
    let nothing = RevisionId::from_stored("0".repeat(64));
    assert!(matches!(store.revision(nothing).await, Err(StoreError::NotFound { .. })));
    let nobody = EntityKey::new(EntityType::Agent, 4_711);
    let write = Write::PointRevision { entity: nobody, revision: Box::new(one) };
    assert!(matches!(step(&*store, vec![write]).await, Err(StoreError::NotFound { .. })));
}

/// A name is given once: who finds it taken changes nothing of what has it, and nothing of the commit is written.
pub async fn a_name_is_declared_running_once(store: Subject) {
    let (one, two) = (Revision::seal(configuration("m")).unwrap(), Revision::seal(configuration("n")).unwrap());
    let declared = |revision: &Revision| {
        let name = name(DEFAULT_ENVIRONMENT, EntityType::Process, "nightly");
        let revision = Box::new(revision.clone());
        vec![Write::DeclareRunning { name, config: ImprovementConfig::default(), revision }]
    };
    let receipt = step(&*store, declared(&one)).await.unwrap();
    let stored = store.entity(select(EntityType::Process, "nightly")).await.unwrap();
    assert_eq!((receipt.entities, receipt.reconfigured), (vec![stored.key], vec![stored.key]));
    assert_eq!(stored.revision.as_deref(), Some(one.id().as_str()));
    assert_eq!(store.revision_trail(stored.key, 10).await.unwrap().len(), 1);
    for revision in [&two, &one] {
        let mut writes = vec![Write::SetSetting { name: "x".to_owned(), value: json!(1) }];
        writes.extend(declared(revision));
        let refused = step(&*store, writes).await.unwrap_err();
        assert!(matches!(refused, StoreError::VersionConflict { .. }), "{refused}");
        assert!(refused.to_string().contains("nightly"), "{refused}");
    }
    assert_eq!(store.entity(select(EntityType::Process, "nightly")).await.unwrap(), stored);
    assert_eq!(store.setting("x".to_owned()).await.unwrap(), None);
}

/// Whoever worked from an older version is told.
pub async fn versions_are_checked(store: Subject) {
    let entity = declare(&*store, EntityType::Agent, "a").await;
    let version = store.entity(select(EntityType::Agent, "a")).await.unwrap().version;
    let commit = StepCommit {
        at: hour(1),
        expected_versions: vec![(entity, version)],
        writes: vec![Write::SetEntityState { entity, state: EntityState::Inactive }],
        ..StepCommit::default()
    };
    store.commit_step(commit.clone()).await.unwrap();
    let stored = store.entity(select(EntityType::Agent, "a")).await.unwrap();
    assert_eq!((stored.state, stored.version), (EntityState::Inactive, version + 1));
    let error = store.commit_step(commit.clone()).await.unwrap_err();
    assert_eq!(error, StoreError::VersionConflict { what: "agent/1".into(), expected: format!("version {version}") });
    let nobody = vec![(EntityKey::new(EntityType::Agent, 4_711), 1)];
    let commit = StepCommit { expected_versions: nobody, ..commit };
    assert!(matches!(store.commit_step(commit).await, Err(StoreError::NotFound { .. })));
    // Declaring it again leaves it as it is.
    assert_eq!(declare(&*store, EntityType::Agent, "a").await, entity);
    assert_eq!(store.entity(select(EntityType::Agent, "a")).await.unwrap(), stored);
}

/// A lease that nobody holds is no lease.
pub async fn a_stale_lease_is_refused(store: Subject) {
    let lease = Lease { name: "ImprovementProcess/1".into(), holder: "somebody".into(), epoch: 3 };
    let entity = name(DEFAULT_ENVIRONMENT, EntityType::Agent, "a");
    let commit = StepCommit {
        at: hour(1),
        lease: Some(lease),
        writes: vec![Write::DeclareEntity { name: entity, config: ImprovementConfig::default() }],
        ..StepCommit::default()
    };
    let error = store.commit_step(commit).await.unwrap_err();
    assert_eq!(error, StoreError::StaleLease { name: "ImprovementProcess/1".into(), epoch: 3 });
    assert_eq!(store.counts().await.unwrap().agents, 0);
}

fn alert(kind: AlertKind, entity: Option<EntityKey>, value: f64) -> AlertFinding {
    AlertFinding {
        kind,
        entity,
        fingerprint: String::new(),
        message: format!("{kind} {value}"),
        value,
        threshold: 1.0,
        at: hour(3),
    }
}

/// One alert a problem while it lasts; the status of the whole follows.
pub async fn alerts_are_raised_and_resolved(store: Subject) {
    let a = declare(&*store, EntityType::Agent, "a").await;
    let backlog = alert(AlertKind::OpportunityBacklog, None, 60.0);
    let slow = alert(AlertKind::DegradedPerformance, Some(a), 0.4);
    let raise = |alert: &AlertFinding| Write::Alerts(AlertWrite::Raise(alert.clone()));
    step(&*store, vec![raise(&backlog), raise(&slow)]).await.unwrap();
    let worse = AlertFinding { at: hour(9), ..alert(AlertKind::DegradedPerformance, Some(a), 0.7) };
    step(&*store, vec![raise(&worse)]).await.unwrap();
    let active = store.alerts(true, whole()).await.unwrap().items;
    let shown: Vec<_> = active.iter().map(|alert| (alert.finding.kind, alert.finding.value, alert.active)).collect();
    assert_eq!(shown, [(AlertKind::DegradedPerformance, 0.7, true), (AlertKind::OpportunityBacklog, 60.0, true)]);
    // It holds since it was first raised.
    assert_eq!((active[0].finding.at, active[0].finding.entity), (hour(3), Some(a)));
    let status = store.system_status().await.unwrap();
    assert_eq!((status.health, status.metrics.alerts_active), (HealthStatus::NeedsAttention, 2));
    assert!((status.score - 70.0).abs() < 1e-9);

    let resolve = |ids| Write::Alerts(AlertWrite::Resolve { ids, by: None });
    step(&*store, vec![resolve(vec![active[0].id])]).await.unwrap();
    let active = store.alerts(true, whole()).await.unwrap().items;
    assert_eq!((active.len(), active[0].finding.kind), (1, AlertKind::OpportunityBacklog));
    let all = store.alerts(false, whole()).await.unwrap().items;
    assert_eq!((all.len(), all[0].resolved_at, all[0].active), (2, Some(hour(100)), false));
    step(&*store, vec![raise(&slow)]).await.unwrap();
    assert_eq!(store.alerts(false, whole()).await.unwrap().items.len(), 3);
    let all: Vec<i64> = store.alerts(true, whole()).await.unwrap().items.iter().map(|alert| alert.id).collect();
    step(&*store, vec![resolve(all)]).await.unwrap();
    assert_eq!(store.counts().await.unwrap().alerts_active, 0);
}

/// Settings are JSON, and the last one stands.
pub async fn settings_round_trip(store: Subject) {
    assert_eq!(store.setting("policy".into()).await.unwrap(), None);
    for value in [json!({"engine": {"mode": "auto", "n": 0.1}}), json!(null), json!([1, "\u{e9}\n"])] {
        let write = Write::SetSetting { name: "policy".into(), value: value.clone() };
        step(&*store, vec![write]).await.unwrap();
        assert_eq!(store.setting("policy".into()).await.unwrap(), Some(value));
    }
    let a = declare(&*store, EntityType::Agent, "a").await;
    let config = ImprovementConfig { auto_improve_enabled: false, ..ImprovementConfig::default() };
    step(&*store, vec![Write::SetEntityConfig { entity: a, config: config.clone() }]).await.unwrap();
    assert_eq!(store.entity(select(EntityType::Agent, "a")).await.unwrap().improvement_config, config);
    assert!(!store.entity_status(a).await.unwrap().auto_improve_enabled);
    let wrong = ImprovementConfig { max_rollback_rate: 2.0, ..ImprovementConfig::default() };
    let error = step(&*store, vec![Write::SetEntityConfig { entity: a, config: wrong }]).await.unwrap_err();
    assert!(matches!(error, StoreError::Invalid { .. }));
}

/// A write that fails takes those before it along; the store works on.
pub async fn a_commit_is_all_or_nothing(store: Subject) {
    take(&*store, vec![call("1", "search", 1.0, second(0))]).await;
    let a = agent(&*store, "a").await;
    let before = store.entities(EntityFilter::default(), whole()).await.unwrap().items;
    let declare_b = Write::DeclareEntity {
        name: name(DEFAULT_ENVIRONMENT, EntityType::Agent, "b"),
        config: ImprovementConfig::default(),
    };
    let writes = vec![
        declare_b.clone(),
        Write::SetEntityState { entity: a, state: EntityState::Failed },
        Write::PutFinding { finding: Box::new(finding(a, OpportunityKind::TokenWaste, "")), quiet_since: None },
        Write::SetSetting { name: "x".into(), value: json!(1) },
        Write::Alerts(AlertWrite::Raise(alert(AlertKind::OpportunityBacklog, None, 60.0))),
        Write::WithdrawOpportunity { id: 4_711, reason: String::new() },
        Write::Tick,
    ];
    let outbox = vec![("webhook".to_owned(), json!({}))];
    let commit = StepCommit { at: hour(500), writes, outbox, ..StepCommit::default() };
    assert!(matches!(store.commit_step(commit).await, Err(StoreError::NotFound { .. })));
    assert_eq!(store.entities(EntityFilter::default(), whole()).await.unwrap().items, before);
    assert!(store.opportunities(OpportunityFilter::default(), whole()).await.unwrap().items.is_empty());
    assert!(store.alerts(false, whole()).await.unwrap().items.is_empty());
    assert_eq!(store.setting("x".into()).await.unwrap(), None);
    assert_eq!(store.system_status().await.unwrap().clock, Some(second(0).plus_hours(1)));
    // What was rolled back is not remembered either: the same name gets its row now.
    let failing = Write::WithdrawOpportunity { id: 4_711, reason: String::new() };
    step(&*store, vec![declare_b.clone(), failing]).await.unwrap_err();
    let key = step(&*store, vec![declare_b]).await.unwrap().entities[0];
    assert_eq!(store.entity(select(EntityType::Agent, "b")).await.unwrap().key, key);
}

/// A store without anything in it answers every question.
pub async fn an_empty_store_is_healthy(store: Subject) {
    let status = store.system_status().await.unwrap();
    assert_eq!((status.health, status.metrics.rollback_rate), (HealthStatus::Good, None));
    assert!((status.score - 100.0).abs() < 1e-9);
    assert_eq!(store.metrics().await.unwrap(), status.metrics);
    assert!(store.analytics().await.unwrap().is_empty());
    assert!(store.decisions(hour(0)).await.unwrap().is_empty());
    assert!(store.inbox(10).await.unwrap().is_empty());
    assert!(store.active_improvements(whole()).await.unwrap().items.is_empty());
    assert!(store.history(None, whole()).await.unwrap().items.is_empty());
    let nobody = EntityKey::new(EntityType::Agent, 1);
    assert!(matches!(store.entity_status(nobody).await, Err(StoreError::NotFound { .. })));
    assert!(matches!(store.task("t".into()).await, Err(StoreError::NotFound { .. })));
    let migrations = store.migrations().await.unwrap();
    assert_eq!(migrations[0], "001_add_entity_framework");
    assert!(migrations.contains(&"007_add_self_improvement_context".to_owned()));
}
