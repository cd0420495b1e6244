//! Bad input and meddling in mid-trial: each has an explicit, safe outcome.
#![allow(clippy::unwrap_used, clippy::panic)]

use serde_json::json;
use uplift_model::edit::Edit;
use uplift_model::entity::{EntityKey, EntityState};
use uplift_model::improvement::{Improvement, ImprovementStatus, ProcessTemplate, ProposalSource};
use uplift_model::revision::{Revision, RevisionId};
use uplift_model::time::{MICROS_PER_DAY, MICROS_PER_HOUR};
use uplift_model::{Policy, Time};
use uplift_runner::Engine;
use uplift_runner::control::{ControlError, OwnChange};
use uplift_sim::chaos::agents::{Noise, in_style};
use uplift_sim::chaos::invariants::{Scene, check};
use uplift_sim::chaos::script::{own_change, proposal};
use uplift_sim::chaos::serving::probe;
use uplift_sim::chaos::world::{World, sealed};
use uplift_store::writes::{NewImprovement, StepCommit, Write};
use uplift_store::{EntityReads, ImprovementReads, StoreError, Writes};

const START: Time = Time::from_micros(1_772_409_600_000_000);
const MINUTE_US: i64 = MICROS_PER_HOUR / 60;

/// One agent with a process and some history.
struct Lab {
    world: World,
    node: usize,
    agent: EntityKey,
}

fn policy() -> Policy {
    let mut policy = Policy::default();
    policy.engine.test_duration_hours = 1.0;
    policy.trial.max_test_duration_hours = 2.0;
    policy.trial.ramp_hours = 0.25;
    policy.trial.ramp_units_per_arm = 3;
    policy.trial.min_units_per_arm = 20;
    policy.trial.look_minutes = 10.0;
    policy.trial.hold_back_days = 1.0 / 24.0;
    policy
}

impl Lab {
    async fn new(tasks_an_hour: f64, history_hours: i64) -> Self {
        let mut world = World::new(policy(), START).unwrap();
        let pace_us = (MICROS_PER_HOUR as f64 / tasks_an_hour) as i64;
        let agent = world.declare("writer", 0.6, pace_us).await.unwrap();
        let node = world.add_node().await.unwrap();
        assert!(world.start(node).await.unwrap());
        world.clock.set(START.plus_micros(history_hours * MICROS_PER_HOUR));
        world.traffic(|| (Noise::default(), 0));
        world.deliver(node).await;
        Self { world, node, agent }
    }

    fn engine(&self) -> Engine {
        self.world.nodes[self.node].engine.clone()
    }

    /// Ten minutes at a time; invariants and answers are looked at after each.
    async fn live(&mut self, minutes: i64, noise: Noise) {
        for _ in 0..minutes / 10 {
            self.world.clock.set(self.world.now().plus_micros(10 * MINUTE_US));
            self.world.traffic(|| (noise, 0));
            self.world.deliver(self.node).await;
            self.world.tick(self.node).await;
            self.world.poll(self.node).await;
            let state = self.world.state().await.unwrap();
            let now = self.world.now().plus_micros(2_000_000);
            let units: Vec<String> = (0..30).map(|unit| format!("unit-{unit}")).collect();
            probe(&self.world.nodes[self.node], &state, &units, now, &mut self.world.seen);
            let ledger = self.world.ledger.entries();
            let (seen, policy) = (&self.world.seen, &self.world.policy);
            assert_eq!(check(&Scene { state: &state, ledger: &ledger, seen, policy, now }), []);
        }
    }

    async fn propose(&self, change: OwnChange) -> i64 {
        self.engine().propose_change(change).await.unwrap().id
    }

    async fn trial_of(&mut self, style: &str) -> i64 {
        let id = self.propose(own_change(self.agent, style)).await;
        self.live(20, Noise::default()).await;
        assert_eq!(self.improvement(id).await.status, ImprovementStatus::Testing);
        id
    }

    async fn improvement(&self, id: i64) -> Improvement {
        self.world.inner.improvement(id).await.unwrap()
    }

    /// Status, outcome and reason.
    async fn end(&self, id: i64) -> (ImprovementStatus, String, String) {
        let history = self.world.inner.history_of(id).await.unwrap();
        let Some(last) = history.last() else { panic!("not ended: {:#?}", self.improvement(id).await) };
        (self.improvement(id).await.status, last.outcome.clone(), last.reason.clone().unwrap_or_default())
    }

    async fn by_hand(&self, write: Write) {
        self.engine().commit(vec![write]).await.unwrap();
    }

    async fn in_place(&self) -> String {
        self.world.state().await.unwrap().entity(self.agent).unwrap().revision.clone().unwrap()
    }
}

#[tokio::test]
async fn a_revision_set_by_hand_restarts_the_trial_on_it() {
    let mut lab = Lab::new(180.0, 3).await;
    let id = lab.trial_of("good").await;
    let (before, revision) = (lab.improvement(id).await, sealed("By hand.").unwrap());
    lab.by_hand(Write::PointRevision { entity: lab.agent, revision: Box::new(revision.clone()) }).await;
    lab.live(20, Noise::default()).await;
    let after = lab.improvement(id).await;
    assert_eq!((after.status, after.base.as_ref()), (ImprovementStatus::Testing, Some(revision.id())));
    assert_ne!(after.candidate, before.candidate);
    let trials = lab.world.state().await.unwrap().trials;
    assert_eq!(trials.iter().map(|record| record.running).collect::<Vec<_>>(), [false, true]);
    assert_ne!(trials[0].trial.key, trials[1].trial.key);
    lab.live(90, Noise::default()).await;
    assert_eq!(lab.improvement(id).await.status, ImprovementStatus::Deployed);
}

#[tokio::test]
async fn edits_that_no_longer_apply_end_the_trial() {
    let mut lab = Lab::new(180.0, 3).await;
    let mut change = own_change(lab.agent, "good");
    change.edits = vec![Edit::ReplaceInstruction { text: in_style("good") }];
    let id = lab.propose(change).await;
    lab.live(20, Noise::default()).await;
    // Somebody puts the same text in place by hand: there is nothing left to change.
    let revision = sealed(&in_style("good")).unwrap();
    lab.by_hand(Write::PointRevision { entity: lab.agent, revision: Box::new(revision.clone()) }).await;
    lab.live(20, Noise::default()).await;
    let (status, outcome, reason) = lab.end(id).await;
    assert_eq!((status, outcome.as_str()), (ImprovementStatus::Cancelled, "cancelled"), "{reason}");
    assert!(reason.contains("do not apply"), "{reason}");
    assert_eq!(lab.in_place().await, revision.id().as_str());
}

#[tokio::test]
async fn an_entity_retired_in_mid_trial_ends_it() {
    for state in [EntityState::Archived, EntityState::Inactive, EntityState::Deprecated, EntityState::Failed] {
        let mut lab = Lab::new(180.0, 3).await;
        let before = lab.in_place().await;
        let id = lab.trial_of("good").await;
        lab.by_hand(Write::SetEntityState { entity: lab.agent, state }).await;
        lab.live(20, Noise::default()).await;
        let (status, outcome, reason) = lab.end(id).await;
        assert_eq!((status, outcome.as_str()), (ImprovementStatus::Cancelled, "cancelled"));
        assert!(reason.contains(state.as_str()), "{reason}");
        assert_eq!(lab.in_place().await, before);
    }
}

/// What is reported cannot be trusted, or is missing: nothing is kept, and the old revision stays.
#[tokio::test]
async fn bad_reports_keep_nothing() {
    let table = [
        ("an arm that was not given", Noise { wrong_arm: true, ..Noise::default() }, true),
        ("no outcome", Noise { unknown: true, ..Noise::default() }, true),
        ("no end", Noise { unended: true, ..Noise::default() }, true),
        ("nothing at all", Noise::default(), false),
    ];
    for (what, noise, reports) in table {
        let mut lab = Lab::new(180.0, 3).await;
        let before = lab.in_place().await;
        let id = lab.propose(own_change(lab.agent, "good")).await;
        lab.live(10, noise).await;
        lab.world.agents[0].reports = reports;
        lab.live(150, noise).await;
        let (status, outcome, reason) = lab.end(id).await;
        assert_eq!(status, ImprovementStatus::RolledBack, "{what}: {reason}");
        assert_ne!(outcome, "kept", "{what}");
        assert_eq!(lab.in_place().await, before, "{what}");
        println!("{what}: {outcome}, {reason}");
    }
}

/// A rule's proposal is told that this is too little. A person may try all the same; it ends without an answer.
#[tokio::test]
async fn one_task_a_day_proves_nothing() {
    let mut lab = Lab::new(1.0 / 24.0, 24 * 14).await;
    let new = NewImprovement {
        entity: lab.agent,
        opportunity_id: None,
        proposal: proposal("good", ProposalSource::Rule),
        status: ImprovementStatus::Proposed,
        process_due: Some(lab.world.now()),
    };
    lab.by_hand(Write::PutImprovement(Box::new(new))).await;
    lab.live(20, Noise::default()).await;
    let (status, outcome, reason) = lab.end(1).await;
    assert_eq!((status, outcome.as_str()), (ImprovementStatus::Rejected, "rejected"), "{reason}");
    assert!(reason.contains("preflight"), "{reason}");
    let own = lab.propose(own_change(lab.agent, "good")).await;
    lab.live(150, Noise::default()).await;
    let (status, outcome, reason) = lab.end(own).await;
    assert_eq!((status, outcome.as_str()), (ImprovementStatus::RolledBack, "inconclusive"), "{reason}");
}

/// A burst far beyond what is read at once: it is taken in, looked at and decided like any other.
#[tokio::test]
async fn a_flood_of_tasks_is_decided_like_any_other() {
    let mut lab = Lab::new(180.0, 3).await;
    let id = lab.trial_of("bad").await;
    lab.world.agents[0].pace_us = MICROS_PER_HOUR / 40_000;
    lab.live(10, Noise::default()).await;
    lab.world.agents[0].pace_us = MICROS_PER_HOUR / 60;
    lab.live(30, Noise::default()).await;
    let (status, outcome, _) = lab.end(id).await;
    assert_eq!((status, outcome.as_str()), (ImprovementStatus::RolledBack, "rolled_back"));
}

#[tokio::test]
async fn a_full_queue_says_so_and_takes_nothing() {
    let lab = Lab::new(180.0, 3).await;
    let engine = lab.engine();
    let most = engine.policy().intake.max_queued_events;
    let all = engine.try_admit(most).unwrap();
    assert!(engine.try_admit(1).unwrap_err().retry_after_s > 0);
    drop(all);
    assert!(engine.try_admit(1).is_ok());
}

#[tokio::test]
async fn settings_out_of_range_are_named_and_change_nothing() {
    let lab = Lab::new(180.0, 3).await;
    let engine = lab.engine();
    let before = engine.policy();
    for (patch, named) in [
        (json!({"test_duration_hours": 0}), "test_duration_hours"),
        (json!({"test_duration_hours": 1, "rollback_threshold": 0.5}), "rollback_threshold"),
        (json!({"min_confidence_score": 1.5}), "min_confidence_score"),
        (json!({"improvement_batch_size": 0}), "improvement_batch_size"),
        (json!({"improvement_batch_size": -1}), "improvement_batch_size"),
        (json!({"max_concurrent_improvements": 1e12}), "max_concurrent_improvements"),
        (json!({"cooldown_period": "-1h"}), "cooldown_period"),
        (json!({"cooldown_period": 6}), "cooldown_period"),
        (json!({"test_duration_hours": 100}), "max_test_duration_hours"),
        (json!({"speed": 1}), "speed"),
        (json!([1]), "object"),
        (json!({}), "no setting"),
    ] {
        let error = engine.configure(patch.clone()).await.unwrap_err().to_string();
        assert!(error.contains(named), "{patch}: {error}");
        assert_eq!(engine.policy(), before, "{patch}");
    }
    assert_eq!(lab.world.state().await.unwrap().settings, None);
}

#[tokio::test]
async fn what_does_not_apply_is_refused_at_once() {
    let mut lab = Lab::new(180.0, 3).await;
    let mut change = own_change(lab.agent, "good");
    change.edits = vec![Edit::WithdrawGuideline { number: 7 }];
    assert!(matches!(lab.engine().propose_change(change).await, Err(ControlError::Edit(_))));
    let unknown = OwnChange { entity: EntityKey::new(lab.agent.entity_type, 99), ..own_change(lab.agent, "good") };
    let refused = lab.engine().propose_change(unknown).await;
    assert!(matches!(refused, Err(ControlError::Store(StoreError::NotFound { .. }))), "{refused:?}");
    for (id, action) in [(99, "unknown"), (1, "ended")] {
        if action == "ended" {
            lab.propose(own_change(lab.agent, "good")).await;
            lab.engine().cancel(1, "ada".to_owned(), "changed my mind".to_owned()).await.unwrap();
        }
        assert!(lab.engine().cancel(id, "ada".to_owned(), String::new()).await.is_err(), "{action}");
        assert!(lab.engine().roll_back(id, "ada".to_owned(), String::new()).await.is_err(), "{action}");
    }
    lab.live(20, Noise::default()).await;
    assert_eq!(lab.improvement(1).await.status, ImprovementStatus::Cancelled);
}

/// A process that was suspended comes back with the lease that it held: what it writes under it changes nothing.
#[tokio::test]
async fn a_process_that_comes_back_does_no_harm() {
    let mut lab = Lab::new(180.0, 3).await;
    let id = lab.trial_of("bad").await;
    let old = lab.node;
    let stale = lab.world.ledger.entries().into_iter().rev().find_map(|entry| entry.lease).unwrap();
    lab.world.nodes[old].frozen = true;
    lab.node = lab.world.add_node().await.unwrap();
    assert!(lab.world.start(lab.node).await.unwrap());
    lab.live(10, Noise::default()).await;
    let before = format!("{:?}", lab.world.state().await.unwrap());
    let writes = vec![Write::SetEntityState { entity: lab.agent, state: EntityState::Failed }];
    let late = StepCommit { at: lab.world.now(), lease: Some(stale), writes, ..StepCommit::default() };
    let refused = lab.world.inner.commit_step(late).await;
    assert!(matches!(refused, Err(StoreError::StaleLease { .. })), "{refused:?}");
    lab.world.nodes[old].frozen = false;
    lab.world.tick(old).await;
    assert_eq!(format!("{:?}", lab.world.state().await.unwrap()), before);
    lab.world.poll(old).await;
    lab.live(60, Noise::default()).await;
    assert_eq!(lab.end(id).await.1, "rolled_back");
}

/// What was switched off while a process slept stays off when it takes over.
#[tokio::test]
async fn a_process_that_comes_back_knows_that_trials_are_paused() {
    let mut lab = Lab::new(180.0, 3).await;
    let old = lab.node;
    lab.live(10, Noise::default()).await;
    lab.world.nodes[old].frozen = true;
    lab.node = lab.world.add_node().await.unwrap();
    assert!(lab.world.start(lab.node).await.unwrap());
    lab.engine().pause(false, "ada".to_owned()).await.unwrap();
    lab.engine().configure(json!({"cooldown_period": "2h"})).await.unwrap();
    let id = lab.propose(own_change(lab.agent, "good")).await;
    lab.world.nodes[lab.node].store.kill();
    lab.world.nodes[old].frozen = false;
    lab.node = old;
    lab.live(20, Noise::default()).await;
    assert_eq!(lab.improvement(id).await.status, ImprovementStatus::Queued);
    assert!(lab.engine().is_paused());
    assert_eq!(lab.engine().policy().engine.cooldown_period.as_hours(), 2);
}

/// The kill switch is thrown between the moment a start was worked out and the moment it is written.
#[tokio::test]
async fn no_trial_slips_past_the_kill_switch() {
    let mut lab = Lab::new(180.0, 3).await;
    let id = lab.propose(own_change(lab.agent, "good")).await;
    for commits in 0..6 {
        let (engine, store) = (lab.engine(), lab.world.nodes[lab.node].store.clone());
        store.interlope(
            commits,
            Box::new(move || {
                Box::pin(async move {
                    engine.pause(true, "ada".to_owned()).await.unwrap();
                })
            }),
        );
        lab.live(10, Noise::default()).await;
        let running = lab.world.state().await.unwrap().trials.iter().filter(|record| record.running).count();
        assert_eq!(running, 0, "at commit {commits}: {:?}", lab.improvement(id).await.status);
        lab.engine().resume("ada".to_owned()).await.unwrap();
        lab = Lab::new(180.0, 3).await;
        assert_eq!(lab.propose(own_change(lab.agent, "good")).await, id);
    }
}

/// A process that comes with a change is declared with its trial, or not at all: also where trials are paused between
/// validation and the commit that starts it.
#[tokio::test]
async fn a_process_comes_with_its_trial_or_not_at_all() {
    let mut paused = 0;
    for commits in 0..4 {
        let mut lab = Lab::new(180.0, 3).await;
        let mut proposal = proposal("good", ProposalSource::Operator);
        let (tool, name) = ("search".to_owned(), "nightly".to_owned());
        proposal.edits = vec![
            Edit::AssignTool { name: tool.clone(), required: false },
            Edit::AttachProcess { name: name.clone() },
        ];
        proposal.processes = vec![ProcessTemplate { name, steps: vec![tool] }];
        let new = NewImprovement {
            entity: lab.agent,
            opportunity_id: None,
            proposal,
            status: ImprovementStatus::Proposed,
            process_due: Some(lab.world.now()),
        };
        lab.by_hand(Write::PutImprovement(Box::new(new))).await;
        let (engine, store) = (lab.engine(), lab.world.nodes[lab.node].store.clone());
        let pause = async move { engine.pause(false, "ada".to_owned()).await.map(drop).unwrap() };
        store.interlope(commits, Box::new(move || Box::pin(pause)));
        lab.live(10, Noise::default()).await;
        let state = lab.world.state().await.unwrap();
        let declared = state.entities.iter().any(|entity| entity.name == "nightly");
        assert_eq!(declared, !state.trials.is_empty(), "at commit {commits}");
        paused += u32::from(!declared);
    }
    assert!(paused > 0);
}

/// A revision that somebody set by hand after a keep is not overwritten by taking the keep back.
#[tokio::test]
async fn taking_back_does_not_overwrite_what_was_set_by_hand() {
    for after_minutes in [0, 20] {
        let mut lab = Lab::new(180.0, 3).await;
        let id = lab.trial_of("good").await;
        lab.live(70, Noise::default()).await;
        assert_eq!(lab.improvement(id).await.status, ImprovementStatus::Deployed);
        let revision = sealed("By hand.").unwrap();
        lab.by_hand(Write::PointRevision { entity: lab.agent, revision: Box::new(revision.clone()) }).await;
        lab.live(after_minutes, Noise::default()).await;
        let result = lab.engine().roll_back(id, "ada".to_owned(), "second thoughts".to_owned()).await;
        assert_eq!(lab.in_place().await, revision.id().as_str(), "{after_minutes} min, {result:?}");
        lab.live(10, Noise::default()).await;
    }
}

/// What somebody set by hand may hold the kept change: it is taken out of there, and the rest stays, whether the watch
/// after the keep still runs or not.
#[tokio::test]
async fn taking_back_takes_a_change_out_of_what_was_set_by_hand() {
    for after_minutes in [0, 20] {
        let mut lab = Lab::new(180.0, 3).await;
        let id = lab.trial_of("good").await;
        lab.live(70, Noise::default()).await;
        let kept = lab.improvement(id).await;
        assert_eq!(kept.status, ImprovementStatus::Deployed);
        let mut by_hand = lab.world.inner.revision(kept.candidate.unwrap()).await.unwrap();
        assert_eq!(by_hand.instruction.guidelines.len(), 1);
        "By hand.".clone_into(&mut by_hand.instruction.text);
        let revision = Box::new(Revision::seal(by_hand).unwrap());
        lab.by_hand(Write::PointRevision { entity: lab.agent, revision }).await;
        lab.live(after_minutes, Noise::default()).await;
        lab.engine().roll_back(id, "ada".to_owned(), "second thoughts".to_owned()).await.unwrap();
        let left = RevisionId::from_stored(lab.in_place().await);
        let left = lab.world.inner.revision(left).await.unwrap().instruction;
        assert_eq!((left.text.as_str(), left.guidelines), ("By hand.", Vec::new()), "{after_minutes} min");
        // The invariants are looked at again.
        lab.live(10, Noise::default()).await;
    }
}

/// The clock of the machine is set back and forth: what was decided stays, and all goes on.
#[tokio::test]
async fn a_clock_that_jumps_stops_nothing() {
    for jump_us in [-20 * MINUTE_US, 3 * MICROS_PER_HOUR, MICROS_PER_DAY] {
        let mut lab = Lab::new(180.0, 3).await;
        let id = lab.trial_of("bad").await;
        lab.live(10, Noise::default()).await;
        let now = lab.world.now().plus_micros(jump_us);
        lab.world.clock.set(now);
        lab.world.agents[0].next_us = now.micros();
        lab.live(150, Noise::default()).await;
        assert_eq!(lab.improvement(id).await.status, ImprovementStatus::RolledBack, "{jump_us}");
    }
}
