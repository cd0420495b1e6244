//! Processes that come with an improvement: declared with its trial, and never over what has their name already.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::Arc;

use serde_json::{Value, json};
use uplift_model::Policy;
use uplift_model::check::{CheckName, CheckResult};
use uplift_model::edit::Edit;
use uplift_model::entity::{Entity, EntityKey, EntityName, EntityState, EntityType};
use uplift_model::improvement::{
    Improvement, ImprovementStatus, ImprovementType, ProcessTemplate, Proposal, ProposalSource,
};
use uplift_model::revision::{Revision, RevisionId};
use uplift_model::trial::Comparison;
use uplift_runner::clock::ManualClock;
use uplift_runner::{Engine, processes, watch};
use uplift_store::rows::EntitySelector;
use uplift_store::sqlite::SqliteStore;
use uplift_store::writes::{NewImprovement, Write};

async fn engine() -> Engine {
    let store = Arc::new(SqliteStore::in_memory().unwrap());
    let clock = Arc::new(ManualClock::at("2026-03-01T00:00:00Z".parse().unwrap()));
    let engine = Engine::new(store, Policy::default(), clock);
    watch::prepare(&engine).await.unwrap();
    engine
}

async fn declare(engine: &Engine, entity_type: EntityType, name: &str, configuration: Value) -> EntityKey {
    let name = EntityName { environment: "default".to_owned(), entity_type, name: name.to_owned() };
    let revision = Box::new(Revision::seal(serde_json::from_value(configuration).unwrap()).unwrap());
    let write = Write::DeclareRunning { name, config: engine.policy().entity.clone(), revision };
    engine.commit(vec![write]).await.unwrap().entities[0]
}

async fn process(engine: &Engine) -> Option<Entity> {
    let selector =
        EntitySelector { entity_type: EntityType::Process, id_or_name: "nightly".to_owned(), environment: None };
    engine.store().entity(selector).await.ok()
}

async fn steps(engine: &Engine, process: &Entity) -> Value {
    let id = RevisionId::from_stored(process.revision.clone().unwrap());
    engine.store().revision(id).await.unwrap().extra["steps"].clone()
}

/// Proposes the process `nightly` for the agent, and lets the loop go on.
async fn proposed(engine: &Engine, entity: EntityKey) -> Improvement {
    let proposal = Proposal {
        improvement_type: ImprovementType::ProcessAutomation,
        proposed_by: ProposalSource::Operator,
        proposer: "ada".to_owned(),
        edits: vec![Edit::AttachProcess { name: "nightly".to_owned() }],
        processes: vec![ProcessTemplate {
            name: "nightly".to_owned(),
            steps: vec!["get_order".to_owned(), "search".to_owned()],
        }],
        rationale: "Every night the same.".to_owned(),
        expected_impact: String::new(),
        expected_gain: 0.1,
        confidence: 1.0,
        comparison: Comparison::Concurrent,
    };
    let new = NewImprovement {
        entity,
        opportunity_id: None,
        proposal,
        status: ImprovementStatus::Proposed,
        process_due: Some(engine.now()),
    };
    let id = engine.commit(vec![Write::PutImprovement(Box::new(new))]).await.unwrap().improvements[0];
    processes::tick(engine).await.unwrap();
    engine.store().improvement(id).await.unwrap()
}

#[tokio::test]
async fn a_process_comes_with_its_trial_and_overwrites_nothing() {
    let wanted = json!(["get_order", "search"]);
    let table = [
        ("a free name", None, ImprovementStatus::Testing),
        // From an earlier improvement that was taken back: the process is there still.
        ("the same one", Some((json!({"steps": wanted}), EntityState::Active)), ImprovementStatus::Testing),
        ("another one", Some((json!({"steps": ["rm"]}), EntityState::Active)), ImprovementStatus::Rejected),
        ("without steps", Some((json!({"model": "m"}), EntityState::Active)), ImprovementStatus::Rejected),
        ("out of use", Some((json!({"steps": wanted}), EntityState::Archived)), ImprovementStatus::Rejected),
    ];
    for (case, taken, expected) in &table {
        let engine = engine().await;
        let tools = json!({"tools": [{"name": "get_order"}, {"name": "search"}]});
        let agent = declare(&engine, EntityType::Agent, "support", tools).await;
        if let Some((configuration, state)) = taken {
            let key = declare(&engine, EntityType::Process, "nightly", configuration.clone()).await;
            engine.commit(vec![Write::SetEntityState { entity: key, state: *state }]).await.unwrap();
        }
        let before = process(&engine).await;
        let improvement = proposed(&engine, agent).await;
        assert_eq!(improvement.status, *expected, "{case}: {:#?}", improvement.checks);
        let after = process(&engine).await.unwrap();
        match before {
            Some(before) => assert_eq!(after, before, "{case}"),
            None => assert_eq!(steps(&engine, &after).await, wanted, "{case}"),
        }
        let refused = improvement.checks.iter().find(|check| check.result == CheckResult::Refused);
        if let Some(refused) = refused {
            assert_eq!(refused.name, CheckName::EditsApply, "{case}");
            assert!(refused.detail.contains("`nightly` is taken"), "{case}: {}", refused.detail);
        }
    }
}

/// A name that was declared and never given steps is nobody's.
#[tokio::test]
async fn an_empty_process_is_filled() {
    let engine = engine().await;
    let tools = json!({"tools": [{"name": "get_order"}, {"name": "search"}]});
    let agent = declare(&engine, EntityType::Agent, "support", tools).await;
    let name = EntityName {
        environment: "default".to_owned(),
        entity_type: EntityType::Process,
        name: "nightly".to_owned(),
    };
    let config = engine.policy().entity.clone();
    engine.commit(vec![Write::DeclareEntity { name, config }]).await.unwrap();
    assert_eq!(proposed(&engine, agent).await.status, ImprovementStatus::Testing);
    let process = process(&engine).await.unwrap();
    assert_eq!(steps(&engine, &process).await, json!(["get_order", "search"]));
}

/// What is not started leaves no process behind: it is declared with the trial, or not at all.
#[tokio::test]
async fn no_trial_no_process() {
    let engine = engine().await;
    let tools = json!({"tools": [{"name": "get_order"}, {"name": "search"}]});
    let agent = declare(&engine, EntityType::Agent, "support", tools).await;
    engine.pause(false, "ada".to_owned()).await.unwrap();
    assert_eq!(proposed(&engine, agent).await.status, ImprovementStatus::Queued);
    assert_eq!(process(&engine).await, None);
}
