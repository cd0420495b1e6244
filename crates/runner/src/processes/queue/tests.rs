//! What waits has a turn when what it waits for is over, and no sooner; and everything has one now and then.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;
use std::sync::Arc;

use uplift_model::Policy;
use uplift_model::edit::Edit;
use uplift_model::entity::{DEFAULT_ENVIRONMENT, EntityName, EntityType};
use uplift_model::improvement::ProposalSource;
use uplift_model::process::IMPROVEMENT_PROCESS;
use uplift_model::relationship::{Relationship, RelationshipKind, RelationshipSource};
use uplift_model::revision::{Configuration, Revision};
use uplift_model::trial::Comparison;
use uplift_store::sqlite::SqliteStore;

use super::*;
use crate::clock::ManualClock;
use crate::control::OwnChange;
use crate::processes::tick;

struct Lab {
    engine: Engine,
    clock: Arc<ManualClock>,
    serial: i64,
}

impl Lab {
    async fn new(policy: Policy) -> Self {
        let clock = Arc::new(ManualClock::at("2026-03-02T00:00:00Z".parse().unwrap()));
        let engine = Engine::new(Arc::new(SqliteStore::in_memory().unwrap()), policy, clock.clone());
        crate::watch::prepare(&engine).await.unwrap();
        Self { engine, clock, serial: 0 }
    }

    fn pass(&self, seconds: i64) {
        self.clock.set(self.engine.now().plus_micros(seconds * 1_000_000));
    }

    async fn agent(&self, name: &str) -> EntityKey {
        let name = EntityName {
            environment: DEFAULT_ENVIRONMENT.to_owned(),
            entity_type: EntityType::Agent,
            name: name.to_owned(),
        };
        let revision = Box::new(Revision::seal(Configuration::default()).unwrap());
        let declare = Write::DeclareRunning { name, config: self.engine.policy().entity.clone(), revision };
        self.engine.commit(vec![declare]).await.unwrap().entities[0]
    }

    async fn propose(&mut self, entity: EntityKey) -> i64 {
        self.serial += 1;
        let change = OwnChange {
            entity,
            improvement_type: None,
            edits: vec![Edit::AppendGuideline { text: format!("Mind {}.", self.serial) }],
            configuration: None,
            rationale: String::new(),
            proposed_by: ProposalSource::Operator,
            proposer: "ada".to_owned(),
            comparison: Comparison::Concurrent,
        };
        self.engine.propose_change(change).await.unwrap().id
    }

    async fn improvement(&self, id: i64) -> Improvement {
        self.engine.store().improvement(id).await.unwrap()
    }

    /// What an improvement waits for, as its record says.
    async fn waits_for(&self, id: i64) -> BTreeSet<&'static str> {
        let checks = self.improvement(id).await.checks;
        checks.iter().filter(|check| check.result == CheckResult::Waits).map(|check| check.name.as_str()).collect()
    }

    async fn instance(&self, id: i64) -> ProcessInstance {
        let processes = self.engine.store().processes_of(format!("improvement/{id}")).await.unwrap();
        processes.into_iter().map(|row| row.instance).find(|one| one.name == IMPROVEMENT_PROCESS).unwrap()
    }

    async fn has_turn(&self, id: i64) -> bool {
        let (improvement, instance) = (self.improvement(id).await, self.instance(id).await);
        assert_eq!(improvement.status, ImprovementStatus::Queued);
        Queue::default().has_turn(&self.engine, &instance, &improvement, &Report::default()).await.unwrap()
    }

    async fn call_off(&self, id: i64) {
        self.engine.cancel(id, "ada".to_owned(), "enough".to_owned()).await.unwrap();
    }
}

fn policy(max_concurrent_improvements: u32) -> Policy {
    let mut policy = Policy::default();
    policy.engine.max_concurrent_improvements = max_concurrent_improvements;
    policy
}

#[tokio::test]
async fn room_for_a_trial_is_waited_for() {
    let mut lab = Lab::new(policy(1)).await;
    let (a, b) = (lab.agent("a").await, lab.agent("b").await);
    let first = lab.propose(a).await;
    tick(&lab.engine).await.unwrap();
    assert_eq!(lab.improvement(first).await.status, ImprovementStatus::Testing);
    let second = lab.propose(b).await;
    tick(&lab.engine).await.unwrap();
    assert_eq!(lab.waits_for(second).await, BTreeSet::from(["concurrency"]));
    lab.pass(60);
    assert!(!lab.has_turn(second).await);
    lab.call_off(first).await;
    assert!(lab.has_turn(second).await);
    tick(&lab.engine).await.unwrap();
    assert_eq!(lab.improvement(second).await.status, ImprovementStatus::Testing);
}

#[tokio::test]
async fn what_occupies_an_entity_is_waited_for_and_then_its_rest() {
    let mut lab = Lab::new(policy(9)).await;
    let a = lab.agent("a").await;
    let first = lab.propose(a).await;
    tick(&lab.engine).await.unwrap();
    let second = lab.propose(a).await;
    tick(&lab.engine).await.unwrap();
    assert_eq!(lab.waits_for(second).await, BTreeSet::from(["one_per_entity"]));
    lab.pass(60);
    assert!(!lab.has_turn(second).await);
    lab.call_off(first).await;
    assert!(lab.has_turn(second).await);
    tick(&lab.engine).await.unwrap();
    assert_eq!(lab.waits_for(second).await, BTreeSet::from(["cooldown"]));
    // Each minute, and at the end of the rest.
    let rest = lab.engine.policy().engine.cooldown_period.as_secs();
    lab.pass(rest - 90);
    tick(&lab.engine).await.unwrap();
    lab.pass(60);
    assert!(!lab.has_turn(second).await);
    tick(&lab.engine).await.unwrap();
    assert_eq!(lab.instance(second).await.wake_at, Some(lab.engine.now().plus_micros(30_000_000)));
    lab.pass(30);
    assert!(lab.has_turn(second).await);
    tick(&lab.engine).await.unwrap();
    assert_eq!(lab.improvement(second).await.status, ImprovementStatus::Testing);
}

#[tokio::test]
async fn a_pause_a_trial_beside_it_and_an_entity_out_of_use_are_waited_for() {
    let mut lab = Lab::new(policy(9)).await;
    let (a, b, c) = (lab.agent("a").await, lab.agent("b").await, lab.agent("c").await);
    let tie = Relationship {
        from: a,
        to: b,
        kind: RelationshipKind::Uses,
        strength: 1.0,
        source: RelationshipSource::Declared,
    };
    lab.engine.commit(vec![Write::PutRelationship(tie)]).await.unwrap();
    let of_a = lab.propose(a).await;
    tick(&lab.engine).await.unwrap();
    let of_b = lab.propose(b).await;
    tick(&lab.engine).await.unwrap();
    assert_eq!(lab.waits_for(of_b).await, BTreeSet::from(["joined_entities"]));
    lab.pass(60);
    assert!(!lab.has_turn(of_b).await);

    lab.engine.pause(false, "ada".to_owned()).await.unwrap();
    let of_c = lab.propose(c).await;
    let state = |state| vec![Write::SetEntityState { entity: c, state }];
    lab.engine.commit(state(EntityState::Inactive)).await.unwrap();
    tick(&lab.engine).await.unwrap();
    assert_eq!(lab.waits_for(of_c).await, BTreeSet::from(["not_paused", "entity_state"]));
    assert!(!lab.has_turn(of_c).await);
    lab.engine.resume("ada".to_owned()).await.unwrap();
    // One of the two is over, and the record is to say so.
    assert!(lab.has_turn(of_c).await);
    tick(&lab.engine).await.unwrap();
    assert_eq!(lab.waits_for(of_c).await, BTreeSet::from(["entity_state"]));
    assert!(!lab.has_turn(of_c).await);
    lab.engine.commit(state(EntityState::Active)).await.unwrap();
    assert!(lab.has_turn(of_c).await);
    assert!(!lab.has_turn(of_b).await);
    lab.call_off(of_a).await;
    assert!(lab.has_turn(of_b).await);
}

/// However many wait, a tick validates few of them, and what waits for the same leaves nothing but the next moment.
#[tokio::test]
async fn a_long_queue_is_looked_at_a_little_at_a_time() {
    let mut lab = Lab::new(policy(1)).await;
    let first = lab.agent("first").await;
    lab.propose(first).await;
    tick(&lab.engine).await.unwrap();
    let entity = lab.agent("second").await;
    let mut ids = Vec::new();
    for _ in 0..3 * MOST_LOOKS {
        ids.push(lab.propose(entity).await);
    }
    for ticks in 1..=3 {
        tick(&lab.engine).await.unwrap();
        let mut looked_at = 0;
        for id in &ids {
            looked_at += u32::from(!lab.improvement(*id).await.checks.is_empty());
        }
        assert_eq!(looked_at, ticks * MOST_LOOKS);
        lab.pass(1);
    }
    let before = lab.improvement(ids[0]).await;
    lab.pass(60);
    let now = lab.engine.now();
    tick(&lab.engine).await.unwrap();
    for id in &ids {
        assert_eq!(lab.instance(*id).await.wake_at, Some(now.plus_micros(LOOK_AGAIN_US)));
    }
    assert_eq!(lab.improvement(ids[0]).await, before);
    assert!(lab.engine.store().due_processes(now, 100).await.unwrap().is_empty());
}

/// Room for one is not taken by all of them.
#[tokio::test]
async fn room_for_one_is_one_turn() {
    let mut lab = Lab::new(policy(1)).await;
    let first = lab.agent("first").await;
    let first = lab.propose(first).await;
    tick(&lab.engine).await.unwrap();
    let mut ids = Vec::new();
    for name in ["a", "b", "c", "d"] {
        let entity = lab.agent(name).await;
        ids.push(lab.propose(entity).await);
    }
    tick(&lab.engine).await.unwrap();
    lab.call_off(first).await;
    lab.pass(60);
    let report = tick(&lab.engine).await.unwrap();
    assert_eq!((report.validated, report.started), (1, 1));
}

/// Every improvement is validated once in [`WHOLE_AGAIN_US`], whatever it waits for, and not all at the same time.
#[test]
fn everything_has_its_turn_now_and_then() {
    let minutes = WHOLE_AGAIN_US / LOOK_AGAIN_US;
    let mut moments = BTreeSet::new();
    for id in [1, 2, 3, 1_000, i64::MAX] {
        let whole: Vec<i64> = (0..3 * minutes)
            .filter(|minute| {
                let now = Time::from_micros(1_772_409_600_000_000 + minute * LOOK_AGAIN_US);
                is_due_whole(id, Some(now), now)
            })
            .collect();
        assert_eq!(whole.len(), 3, "{id}: {whole:?}");
        moments.insert(whole[0]);
    }
    assert!(moments.len() > 3, "{moments:?}");
}
