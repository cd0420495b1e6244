//! One fixed course of events: a finding is answered by a change that helps, and kept; a person's own change does harm,
//! and is taken back. With a crash at any commit it has to end the same.

use uplift_model::edit::Edit;
use uplift_model::entity::EntityKey;
use uplift_model::improvement::{ImprovementStatus, ImprovementType, Proposal, ProposalSource};
use uplift_model::opportunity::{Evidence, Finding, Impact, OpportunityKind, OpportunitySource};
use uplift_model::time::MICROS_PER_HOUR;
use uplift_model::trial::Comparison;
use uplift_model::{Policy, Time};
use uplift_runner::control::OwnChange;
use uplift_store::rows::ImprovementFilter;
use uplift_store::writes::{NewImprovement, StepCommit, Write};
use uplift_store::{ImprovementReads, OpportunityReads, PageRequest, SqlStore, StoreResult, TrialReads, Writes};

use super::agents::{Noise, in_style};
use super::faulty::When;
use super::invariants::{self, Scene, Violation};
use super::ledger::Fact;
use super::world::World;

/// Between two steps of the course.
const STEP_US: i64 = MICROS_PER_HOUR / 4;
/// Steps of the course.
const STEPS: usize = 14;
/// Hours of history before it.
const HISTORY_HOURS: i64 = 6;
/// Where it begins: 2026-03-02T00:00:00Z.
const START: Time = Time::from_micros(1_772_409_600_000_000);

/// A crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crash {
    /// The commit, counted from 0.
    pub commit: u64,
    /// Before or after it is written.
    pub when: When,
    /// Whether the dead process's lease is given back, so that the next one goes on at once; otherwise it has to wait.
    pub lease_given_back: bool,
}

/// How a course ended.
#[derive(Debug, Clone)]
pub struct Course {
    /// Commits of the first process.
    pub commits: u64,
    /// Everything in the store.
    pub whole: String,
    /// What does not depend on moments: statuses, outcomes and what is in place.
    pub gist: String,
    /// Why each improvement ended.
    pub reasons: String,
    /// Invariants that did not hold at some step.
    pub violations: Vec<Violation>,
}

fn policy() -> Policy {
    let mut policy = Policy::default();
    policy.engine.test_duration_hours = 1.0;
    policy.engine.cooldown_period = jiff_minutes(15);
    policy.trial.max_test_duration_hours = 2.0;
    policy.trial.ramp_hours = 0.25;
    policy.trial.ramp_units_per_arm = 3;
    policy.trial.min_units_per_arm = 20;
    policy.trial.look_minutes = 15.0;
    policy.trial.hold_back_days = 1.0 / 24.0;
    policy
}

/// Minutes as the engine's settings have them.
pub(super) fn jiff_minutes(minutes: i64) -> jiff::SignedDuration {
    jiff::SignedDuration::from_mins(minutes)
}

struct Play {
    world: World,
    node: usize,
    crash: Option<Crash>,
}

impl Play {
    /// Where the process has died, another one takes its place.
    async fn revive(&mut self) -> StoreResult<bool> {
        if !self.world.nodes[self.node].store.is_down() {
            return Ok(false);
        }
        if self.crash.is_some_and(|crash| crash.lease_given_back) {
            let name = self.world.nodes[self.node].engine.name().to_owned();
            let held = self.world.ledger.entries().into_iter().rev().find_map(|entry| match entry.fact {
                Fact::Claimed(lease) => Some(lease),
                _ => None,
            });
            if let Some(lease) = held.filter(|lease| lease.holder == name) {
                let writes = vec![Write::ReleaseLease(lease)];
                let release = StepCommit { at: self.world.now(), writes, ..StepCommit::default() };
                self.world.inner.commit_step(release).await?;
            }
        }
        self.node = self.world.add_node().await?;
        self.world.start(self.node).await?;
        Ok(true)
    }

    async fn deliver(&mut self) -> StoreResult<()> {
        self.world.deliver(self.node).await;
        if self.revive().await? {
            self.world.deliver(self.node).await;
        }
        Ok(())
    }

    async fn tick(&mut self) -> StoreResult<()> {
        self.world.tick(self.node).await;
        if self.revive().await? {
            self.world.tick(self.node).await;
        }
        Ok(())
    }

    async fn watch(&mut self) -> StoreResult<()> {
        self.world.watch(self.node).await;
        if self.revive().await? {
            self.world.watch(self.node).await;
        }
        Ok(())
    }

    /// Puts an answer to a finding on record; who is not told looks whether it is there before trying again.
    async fn answer(&mut self, entity: EntityKey) -> StoreResult<()> {
        loop {
            let engine = self.world.nodes[self.node].engine.clone();
            let put = Write::PutFinding { finding: Box::new(finding(entity, self.world.now())), quiet_since: None };
            let result = engine.commit(vec![put]).await;
            if self.revive().await? {
                continue;
            }
            result?;
            break;
        }
        let filter = ImprovementFilter { entity: Some(entity), ..ImprovementFilter::default() };
        while self.world.inner.improvements(filter.clone(), PageRequest::first(1)).await?.items.is_empty() {
            let claimable = self.world.inner.claimable(self.world.now(), 10).await?;
            let Some(id) = claimable.iter().find(|one| one.finding.entity == entity).map(|one| one.id) else { break };
            let new = NewImprovement {
                entity,
                opportunity_id: Some(id),
                proposal: proposal("good", ProposalSource::Rule),
                status: ImprovementStatus::Proposed,
                process_due: Some(self.world.now()),
            };
            let writes = vec![Write::PutImprovement(Box::new(new)), Write::ClaimOpportunity { id }];
            let engine = self.world.nodes[self.node].engine.clone();
            let result = engine.commit(writes).await;
            if !self.revive().await? {
                result?;
            }
        }
        Ok(())
    }

    /// A person tries a change of their own.
    async fn try_own(&mut self, entity: EntityKey) -> StoreResult<()> {
        let filter = ImprovementFilter { entity: Some(entity), ..ImprovementFilter::default() };
        while self.world.inner.improvements(filter.clone(), PageRequest::first(1)).await?.items.is_empty() {
            let engine = self.world.nodes[self.node].engine.clone();
            let result = engine.propose_change(own_change(entity, "bad")).await;
            if !self.revive().await?
                && let Err(error) = result
            {
                self.world.seen.wrong.push(("I16", format!("a change was refused: {error}")));
                break;
            }
        }
        Ok(())
    }
}

/// The edits that put a style in place.
pub fn edits(style: &str) -> Vec<Edit> {
    vec![Edit::AppendGuideline { text: in_style(style) }]
}

/// What a proposer says.
pub fn proposal(style: &str, proposed_by: ProposalSource) -> Proposal {
    Proposal {
        improvement_type: ImprovementType::InstructionUpdate,
        proposed_by,
        proposer: "script".to_owned(),
        edits: edits(style),
        processes: Vec::new(),
        rationale: format!("{style} style should do."),
        expected_impact: "to be measured".to_owned(),
        expected_gain: 0.5,
        confidence: 0.95,
        comparison: Comparison::Concurrent,
    }
}

/// A person's own change.
pub fn own_change(entity: EntityKey, style: &str) -> OwnChange {
    OwnChange {
        entity,
        improvement_type: None,
        edits: edits(style),
        configuration: None,
        rationale: format!("{style} style should do."),
        proposed_by: ProposalSource::Operator,
        proposer: "ada".to_owned(),
        comparison: Comparison::Concurrent,
    }
}

/// A finding that is believed.
pub fn finding(entity: EntityKey, now: Time) -> Finding {
    Finding {
        entity,
        kind: OpportunityKind::FailurePattern,
        fingerprint: "script".to_owned(),
        source: OpportunitySource::Agent,
        description: "Tasks fail for want of style.".to_owned(),
        confidence: 0.95,
        impact: Impact::from_share(0.4, "most of the failures"),
        evidence: Evidence { rule: "script".to_owned(), count: 10, ..Evidence::default() },
        last_seen_at: now,
    }
}

/// Plays the course, with a crash or without.
///
/// # Errors
/// When the store fails for another reason.
pub async fn play(crash: Option<Crash>) -> StoreResult<Course> {
    play_in(World::new(policy(), START)?, crash).await
}

/// The same over an empty database of a PostgreSQL server.
///
/// # Errors
/// As for [`play`], and when the server is not to be reached.
pub async fn play_on_server(address: &str, crash: Option<Crash>) -> StoreResult<Course> {
    let mut world = World::over(SqlStore::connect(address).await?, policy(), START);
    world.server = Some(address.to_owned());
    play_in(world, crash).await
}

async fn play_in(mut world: World, crash: Option<Crash>) -> StoreResult<Course> {
    let writer = world.declare("writer", 0.6, 20_000_000).await?;
    let coder = world.declare("coder", 0.9, 20_000_000).await?;
    let node = world.add_node().await?;
    let mut play = Play { world, node, crash };
    if let Some(crash) = crash {
        play.world.nodes[node].store.crash_after(crash.commit, crash.when);
    }
    if !play.world.start(node).await? {
        play.revive().await?;
    }
    play.world.clock.set(START.plus_micros(HISTORY_HOURS * MICROS_PER_HOUR));
    play.world.traffic(|| (Noise::default(), 0));
    play.deliver().await?;
    play.answer(writer).await?;
    play.try_own(coder).await?;
    let mut violations = Vec::new();
    for step in 0..STEPS {
        let at = START.plus_micros(HISTORY_HOURS * MICROS_PER_HOUR + (step as i64 + 1) * STEP_US);
        play.world.traffic_until(at);
        play.world.clock.set(at.plus_micros(15_000_000));
        play.deliver().await?;
        play.tick().await?;
        if step % 6 == 5 {
            play.watch().await?;
        }
        play.world.poll(play.node).await;
        let state = play.world.state().await?;
        let ledger = play.world.ledger.entries();
        let (seen, policy, now) = (&play.world.seen, &play.world.policy, play.world.now());
        violations.extend(invariants::check(&Scene { state: &state, ledger: &ledger, seen, policy, now }));
        play.world.remember(&state);
    }
    ended(&play, violations).await
}

async fn ended(play: &Play, mut violations: Vec<Violation>) -> StoreResult<Course> {
    let world = &play.world;
    let mut state = world.state().await?;
    state.load_own_events(world.inner.as_ref()).await?;
    let ledger = world.ledger.entries();
    let scene = Scene { state: &state, ledger: &ledger, seen: &world.seen, policy: &world.policy, now: world.now() };
    violations.extend(invariants::check(&scene));
    let mut looks = Vec::new();
    for record in &state.trials {
        looks.push((record.id, world.inner.looks(record.id).await?));
    }
    let statuses: Vec<_> = state.improvements.iter().map(|one| (one.id, one.entity, one.status)).collect();
    let outcomes: Vec<_> = state.history.iter().map(|row| (row.improvement_id, row.outcome.clone())).collect();
    let opportunities: Vec<_> = state.opportunities.iter().map(|one| (one.id, one.status)).collect();
    let in_place: Vec<_> = state.entities.iter().map(|one| (one.key, one.revision.clone())).collect();
    let running = state.processes.iter().filter(|row| row.ended_at.is_none()).count();
    let waiting = state.outbox.len();
    let counts = (state.counts.events - state.own_events.iter().flatten().count() as i64, state.counts.tasks);
    Ok(Course {
        commits: world.nodes[0].store.commits(),
        gist: format!("{:#?}", (statuses, outcomes, opportunities, in_place, running, waiting, counts)),
        reasons: state.history.iter().filter_map(|row| row.reason.clone()).collect::<Vec<_>>().join("\n"),
        whole: format!("{state:#?}\n{looks:#?}"),
        violations,
    })
}
