//! Validation over a store in memory: what is loaded, and that it decides.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::json;
use uplift_cycle::validate::Outcome;
use uplift_intake::{DecodeContext, Decoder, Item};
use uplift_model::check::{Check, CheckName, CheckResult};
use uplift_model::edit::Edit;
use uplift_model::entity::{EntityKey, EntityName, EntityType};
use uplift_model::history::{HistoryEntry, HistoryOutcome};
use uplift_model::improvement::{Improvement, ImprovementStatus, ImprovementType, Proposal, ProposalSource};
use uplift_model::policy::ImprovementConfig;
use uplift_model::relationship::{Relationship, RelationshipKind, RelationshipSource};
use uplift_model::revision::Revision;
use uplift_model::trial::{AssignmentUnit, Comparison};
use uplift_model::{Policy, Time};
use uplift_runner::clock::ManualClock;
use uplift_runner::validating::{Loaded, load_and_validate};
use uplift_runner::{Engine, watch};
use uplift_store::rows::EntitySelector;
use uplift_store::sqlite::SqliteStore;
use uplift_store::writes::{NewImprovement, Write};

/// Tasks a day of the agent `support`.
const A_DAY: u32 = 100;

fn now() -> Time {
    "2026-03-01T00:00:00Z".parse().unwrap()
}

async fn engine(policy: Policy) -> Engine {
    let store = Arc::new(SqliteStore::in_memory().unwrap());
    let engine = Engine::new(store, policy, Arc::new(ManualClock::at(now())));
    watch::prepare(&engine).await.unwrap();
    engine
}

async fn ingest(engine: &Engine, lines: &str) {
    let mut decoder = Decoder::new(&Policy::default().intake, DecodeContext { received_at: now(), at: None });
    let mut items = Vec::new();
    decoder.push(lines.as_bytes(), &mut items);
    decoder.finish(&mut items);
    let events: Vec<_> = items
        .into_iter()
        .map(|item| match item {
            Item::Event(decoded) => decoded.event,
            Item::Rejection(rejection) => panic!("{rejection:?}"),
        })
        .collect();
    let admission = engine.admit(events.len()).await;
    engine.ingest(admission, events).await.unwrap();
}

/// Ten days of work: durations spread by 20 % around 3 s, the same for the ten tasks of a session.
fn history() -> String {
    let mut lines = String::new();
    for task in 0..10 * A_DAY {
        let ts = now().plus_micros(-i64::from(task) * 864_000_000 - 1_000_000);
        let duration = if task / 10 % 2 == 0 { 3_664.0 } else { 2_456.0 };
        writeln!(
            lines,
            r#"{{"id":"e{task}","ts":"{ts}","event_type":"TASK_COMPLETED","agent":"support","task_id":"t{task}","session_id":"s{}","outcome":"SUCCESS","duration_ms":{duration}}}"#,
            task / 10
        )
        .unwrap();
    }
    lines
}

async fn entity(engine: &Engine, entity_type: EntityType, name: &str) -> EntityKey {
    let write = Write::DeclareEntity {
        name: EntityName { environment: "default".to_owned(), entity_type, name: name.to_owned() },
        config: ImprovementConfig::default(),
    };
    engine.commit(vec![write]).await.unwrap();
    let selector =
        EntitySelector { entity_type, id_or_name: name.to_owned(), environment: Some("default".to_owned()) };
    engine.store().entity(selector).await.unwrap().key
}

async fn point(engine: &Engine, entity: EntityKey, configuration: serde_json::Value) {
    let revision = Revision::seal(serde_json::from_value(configuration).unwrap()).unwrap();
    engine.commit(vec![Write::PointRevision { entity, revision: Box::new(revision) }]).await.unwrap();
}

/// The agent with its history and a configuration.
async fn support(engine: &Engine) -> EntityKey {
    ingest(engine, &history()).await;
    let key = entity(engine, EntityType::Agent, "support").await;
    point(engine, key, json!({"tools": [{"name": "search"}], "parameters": {"timeout_ms": 5000}})).await;
    key
}

fn proposal(improvement_type: ImprovementType, edits: Vec<Edit>) -> Proposal {
    Proposal {
        improvement_type,
        proposed_by: ProposalSource::Rule,
        proposer: "retry_timeout".to_owned(),
        edits,
        processes: Vec::new(),
        rationale: "why".to_owned(),
        expected_impact: String::new(),
        expected_gain: 0.1,
        confidence: 0.9,
        comparison: Comparison::Concurrent,
    }
}

fn tuning(ms: u64) -> Proposal {
    let edit = Edit::SetParameter { name: "timeout_ms".to_owned(), value: json!(ms) };
    proposal(ImprovementType::PerformanceTuning, vec![edit])
}

fn assigning(tool: &str) -> Proposal {
    let edit = Edit::AssignTool { name: tool.to_owned(), required: false };
    proposal(ImprovementType::ToolReassignment, vec![edit])
}

async fn propose(engine: &Engine, entity: EntityKey, proposal: Proposal) -> Improvement {
    let new = NewImprovement {
        entity,
        opportunity_id: None,
        proposal,
        status: ImprovementStatus::Proposed,
        process_due: None,
    };
    let receipt = engine.commit(vec![Write::PutImprovement(Box::new(new))]).await.unwrap();
    engine.store().improvement(receipt.improvements[0]).await.unwrap()
}

fn check(loaded: &Loaded, name: CheckName) -> &Check {
    loaded.validation.checks.iter().find(|check| check.name == name).unwrap()
}

fn with(settings: serde_json::Value) -> Policy {
    serde_json::from_value(settings).unwrap()
}

#[tokio::test]
async fn hours_of_the_engine_and_the_entity_and_its_unit_decide_what_can_be_seen() {
    let cases = [
        (json!({"engine": {"preflight_change": 0.5}}), ImprovementConfig::default(), "accepted", 100.0),
        (json!({"engine": {"preflight_change": 0.1}}), ImprovementConfig::default(), "refused", 100.0),
        (
            json!({"engine": {"preflight_change": 0.1, "test_duration_hours": 48.0}}),
            ImprovementConfig::default(),
            "accepted",
            100.0,
        ),
        (
            json!({"engine": {"preflight_change": 0.1}}),
            ImprovementConfig { test_duration_hours: Some(48.0), ..ImprovementConfig::default() },
            "accepted",
            100.0,
        ),
        (
            json!({"engine": {"preflight_change": 0.1, "test_duration_hours": 48.0}}),
            ImprovementConfig { unit: Some(AssignmentUnit::Session), ..ImprovementConfig::default() },
            "refused",
            10.0,
        ),
    ];
    for (settings, config, expected, a_day) in cases {
        let engine = engine(with(settings.clone())).await;
        let key = support(&engine).await;
        engine.commit(vec![Write::SetEntityConfig { entity: key, config }]).await.unwrap();
        let improvement = propose(&engine, key, tuning(20_000)).await;
        let loaded = load_and_validate(&engine, &improvement).await.unwrap();
        let found = match &loaded.validation.outcome {
            Outcome::Accepted(_) => "accepted",
            Outcome::Refused { .. } => "refused",
            other => panic!("{other:?}"),
        };
        let preflight = check(&loaded, CheckName::Preflight);
        assert_eq!(found, expected, "{settings}: {}", preflight.detail);
        assert!((loaded.units_per_day / a_day - 1.0).abs() < 0.02, "{settings}: {}", loaded.units_per_day);
        assert!(preflight.detail.contains("tasks are expected until the first horizon"), "{}", preflight.detail);
        let again = load_and_validate(&engine, &improvement).await.unwrap();
        assert_eq!(again.validation, loaded.validation, "the same store and time give the same answer");
        assert_eq!(again.preflight, loaded.preflight);
    }
}

#[tokio::test]
async fn what_is_measured_is_what_the_history_reports() {
    let engine = engine(Policy::default()).await;
    let key = support(&engine).await;
    let improvement = propose(&engine, key, tuning(20_000)).await;
    let loaded = load_and_validate(&engine, &improvement).await.unwrap();
    let metrics: Vec<_> = loaded
        .trial_metrics
        .iter()
        .map(|spec| (spec.measure.name(), spec.roles.goal, spec.roles.guardrail))
        .collect();
    assert_eq!(metrics, [("success", false, true), ("errors", false, true), ("duration_ms", true, false)]);
    assert_eq!((loaded.history.len(), loaded.baseline.units), (1_000, 1_000));
    assert!((loaded.baseline.success_rate.unwrap() - 1.0).abs() < 1e-9);
    assert!(loaded.base.is_some() && loaded.opportunity.is_none());
}

#[tokio::test]
async fn before_and_after_counts_twice_the_time() {
    let engine = engine(Policy::default()).await;
    let key = support(&engine).await;
    let mut proposal = tuning(20_000);
    proposal.comparison = Comparison::BeforeAfter;
    let improvement = propose(&engine, key, proposal).await;
    let loaded = load_and_validate(&engine, &improvement).await.unwrap();
    let preflight = loaded.preflight.unwrap();
    assert!(preflight.enough && preflight.text.contains("as much time before"), "{}", preflight.text);
    assert!((preflight.expected_units - 200.0).abs() < 5.0, "{}", preflight.expected_units);
}

#[tokio::test]
async fn an_agent_that_nobody_has_seen_or_configured_is_refused_with_a_remedy() {
    let engine = engine(Policy::default()).await;
    let key = entity(&engine, EntityType::Agent, "new").await;
    let improvement = propose(&engine, key, tuning(20_000)).await;
    let loaded = load_and_validate(&engine, &improvement).await.unwrap();
    assert!(loaded.preflight.is_none());
    let Outcome::Refused { reason } = &loaded.validation.outcome else { panic!("{:?}", loaded.validation.outcome) };
    assert!(reason.contains("resolve it once"), "{reason}");
    point(&engine, key, json!({"parameters": {"timeout_ms": 5000}})).await;
    let loaded = load_and_validate(&engine, &improvement).await.unwrap();
    assert_eq!(check(&loaded, CheckName::Baseline).result, CheckResult::Passed);
    let Outcome::Refused { reason } = &loaded.validation.outcome else { panic!("{:?}", loaded.validation.outcome) };
    assert!(reason.contains("no tasks are expected"), "{reason}");
}

#[tokio::test]
async fn a_tool_counts_as_known_by_peers_configurations_and_its_own_past_not_by_traffic() {
    let engine = engine(Policy::default()).await;
    let key = support(&engine).await;
    let call = |agent: &str, tool: &str| {
        format!(
            r#"{{"id":"{agent}-{tool}","ts":"2026-02-28T10:00:00Z","event_type":"TOOL_EXECUTED","agent":"{agent}","tool":"{tool}","task_id":"x-{agent}-{tool}","outcome":"SUCCESS"}}
"#
        )
    };
    ingest(&engine, &(call("desk", "lookup") + &call("desk", "rm"))).await;
    let desk = entity(&engine, EntityType::Agent, "desk").await;
    point(&engine, desk, json!({"tools": [{"name": "lookup"}]})).await;
    point(&engine, key, json!({"tools": [], "parameters": {"timeout_ms": 5000}})).await;
    for (tool, result) in [
        ("lookup", CheckResult::Passed),
        ("search", CheckResult::Passed),
        ("rm", CheckResult::Waits),
        ("nobody-has-it", CheckResult::Waits),
    ] {
        let improvement = propose(&engine, key, assigning(tool)).await;
        let loaded = load_and_validate(&engine, &improvement).await.unwrap();
        let found = check(&loaded, CheckName::Capability);
        assert_eq!(found.result, result, "{tool}: {}", found.detail);
    }
}

#[tokio::test]
async fn dependants_are_named_with_the_strongest_first() {
    let engine = engine(Policy::default()).await;
    let key = support(&engine).await;
    let (desk, planner) =
        (entity(&engine, EntityType::Agent, "desk").await, entity(&engine, EntityType::Agent, "planner").await);
    let tie = |from, to, strength| {
        Write::PutRelationship(Relationship {
            from,
            to,
            kind: RelationshipKind::DependsOn,
            strength,
            source: RelationshipSource::Declared,
        })
    };
    engine.commit(vec![tie(desk, key, 0.8), tie(planner, desk, 0.5)]).await.unwrap();
    let improvement = propose(&engine, key, tuning(20_000)).await;
    let loaded = load_and_validate(&engine, &improvement).await.unwrap();
    let found = &check(&loaded, CheckName::Dependants).detail;
    assert_eq!(found, "a change can reach 2: desk, planner (strength 0.80 at the most)");
}

#[tokio::test]
async fn only_what_was_taken_back_for_harm_is_blocked() {
    let engine = engine(with(json!({"engine": {"cooldown_period": "0s"}}))).await;
    let key = support(&engine).await;
    for (ms, outcome, blocked) in
        [(20_000, HistoryOutcome::Inconclusive, false), (30_000, HistoryOutcome::RolledBack, true)]
    {
        let earlier = propose(&engine, key, tuning(ms)).await;
        let mut version = earlier.version;
        for status in [ImprovementStatus::Validated, ImprovementStatus::Testing, ImprovementStatus::RolledBack] {
            let change = Box::new(uplift_store::writes::ImprovementChange {
                status: Some(status),
                ..uplift_store::writes::ImprovementChange::default()
            });
            let id = earlier.id;
            engine.commit(vec![Write::ChangeImprovement { id, expected_version: version, change }]).await.unwrap();
            version = engine.store().improvement(id).await.unwrap().version;
        }
        let entry = HistoryEntry {
            improvement_id: earlier.id,
            entity: key,
            improvement_type: ImprovementType::PerformanceTuning,
            outcome,
            reason: "why".to_owned(),
            started_at: Some(now()),
            decided_at: now(),
            metrics_before: None,
            metrics_after: None,
            effectiveness: None,
            rollback_revision: None,
            verdict: None,
            report: "# Report".to_owned(),
        };
        engine.commit(vec![Write::RecordHistory(Box::new(entry))]).await.unwrap();
        let improvement = propose(&engine, key, tuning(ms)).await;
        let loaded = load_and_validate(&engine, &improvement).await.unwrap();
        let found = check(&loaded, CheckName::Blocklist);
        assert_eq!(found.result == CheckResult::Refused, blocked, "{outcome}: {}", found.detail);
    }
}
