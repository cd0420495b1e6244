//! Any number of random courses: each is replayed by its seed.

mod faults;
mod people;

use serde::Serialize;
use uplift_model::improvement::ImprovementStatus;
use uplift_model::time::MICROS_PER_HOUR;
use uplift_model::{Policy, Time};
use uplift_store::postgres::scratch::Scratch;
use uplift_store::{SqlStore, StoreResult};

use super::agents::Noise;
use super::invariants::{self, Scene, Violation};
use super::script::jiff_minutes;
use super::serving;
use super::state::State;
use super::world::{Letter, World};
use crate::dice::Dice;

/// Where a course begins: 2026-03-02T00:00:00Z.
const START: Time = Time::from_micros(1_772_409_600_000_000);
/// Hours of history before it.
const HISTORY_HOURS: i64 = 6;
/// Steps without any faults at the end, ten minutes each: time enough for everything to come to its end.
const CALM_STEPS: usize = 26;
/// Steps between two looks at all events.
const WHOLE: usize = 12;
/// Processes at first, where each has its own way to the database.
const PROCESSES: usize = 3;
/// The sessions of the processes, among all that a server has.
const NODES: &str = "nodes";
/// How long a resolver may serve trials though the store does not answer it, with room for one more poll.
const CUT_OFF_US: i64 = 62_000_000;
const SECOND_US: i64 = 1_000_000;
const MINUTE_US: i64 = 60 * SECOND_US;

/// What happened in a course: proof that it was one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Processes that died at a commit.
    pub crashes: u64,
    /// Times that all sessions with the database's server ended.
    pub restarts: u64,
    /// Clocks that jumped.
    pub jumps: u64,
    /// Acts of people that were carried out.
    pub acts: u64,
    /// Acts of people that were refused.
    pub refusals: u64,
    /// Events that were acknowledged.
    pub events: u64,
    /// Trials that began, hold-backs and restarts included.
    pub trials: u64,
    /// Improvements by how they ended: kept and in place.
    pub kept: u64,
    /// Taken back.
    pub rolled_back: u64,
    /// Called off.
    pub cancelled: u64,
    /// Refused.
    pub rejected: u64,
}

impl Tally {
    /// Adds another one.
    pub fn add(&mut self, other: &Self) {
        self.crashes += other.crashes;
        self.restarts += other.restarts;
        self.jumps += other.jumps;
        self.acts += other.acts;
        self.refusals += other.refusals;
        self.events += other.events;
        self.trials += other.trials;
        self.kept += other.kept;
        self.rolled_back += other.rolled_back;
        self.cancelled += other.cancelled;
        self.rejected += other.rejected;
    }
}

/// How a course went.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Its seed.
    pub seed: u64,
    /// Steps taken: all of them, or until an invariant did not hold.
    pub steps: usize,
    /// What did not hold, at the last step.
    pub violations: Vec<Violation>,
    /// What happened.
    pub tally: Tally,
    /// What happened, in words, where it was asked for.
    pub log: Vec<String>,
}

/// A course under way.
struct Course {
    world: World,
    dice: Dice,
    tally: Tally,
    /// Steps for which processes stay frozen or cut off, by their place in the list.
    healing: Vec<(usize, usize)>,
    /// Counts what people write.
    serial: u64,
    units: Vec<String>,
    calm: bool,
    /// The schema that everything is kept in, where that is in a server.
    server: Option<Scratch>,
}

/// Settings under which much happens in a day.
fn policy() -> Policy {
    let mut policy = Policy::default();
    policy.engine.test_duration_hours = 1.5;
    policy.engine.cooldown_period = jiff_minutes(30);
    policy.engine.inconclusive_rest_days = 0.05;
    policy.engine.min_health_score = 0.0;
    policy.trial.max_test_duration_hours = 3.0;
    policy.trial.ramp_hours = 0.25;
    policy.trial.ramp_units_per_arm = 3;
    policy.trial.min_units_per_arm = 15;
    policy.trial.look_minutes = 10.0;
    policy.trial.hold_back_days = 2.0 / 24.0;
    // A world where much is taken back must not come to a halt because of that.
    policy.detection.rollback_alert = 1.0;
    policy.detection.rollback_rate_threshold = 1.0;
    policy.entity.max_rollback_rate = 1.0;
    policy.detection.pattern_permutations = 50;
    policy.detection.window_max_tasks = 200;
    policy
}

/// Plays the course of a seed: `steps` with faults, then some without. Stops where an invariant does not hold.
///
/// # Errors
/// When the store behind everything fails.
pub async fn play(seed: u64, steps: usize, logged: bool) -> StoreResult<Outcome> {
    go_through(Course::begin(seed, logged, World::new(policy(), START)?, None).await?, seed, steps).await
}

/// Plays the course of a seed over a PostgreSQL server: three processes at first, each with connections and caches of
/// its own, whose sessions all end now and then, as when the server is restarted.
///
/// # Errors
/// When the server is not to be reached, or the store behind everything fails.
pub async fn play_on_server(seed: u64, steps: usize, logged: bool, server: &str) -> StoreResult<Outcome> {
    let scratch = Scratch::make(server).await?;
    let mut world = World::over(SqlStore::connect(&scratch.address_of("judge")).await?, policy(), START);
    world.server = Some(scratch.address_of(NODES));
    go_through(Course::begin(seed, logged, world, Some(scratch)).await?, seed, steps).await
}

async fn go_through(mut course: Course, seed: u64, steps: usize) -> StoreResult<Outcome> {
    for step in 0..steps + CALM_STEPS {
        if step == steps {
            course.calm_down().await?;
        }
        course.step().await?;
        let last = step + 1 == steps + CALM_STEPS;
        let violations = course.check(last || step % WHOLE == WHOLE - 1, last).await?;
        if !violations.is_empty() || last {
            return course.outcome(seed, step + 1, violations).await;
        }
    }
    course.outcome(seed, 0, Vec::new()).await
}

impl Course {
    async fn begin(seed: u64, logged: bool, mut world: World, server: Option<Scratch>) -> StoreResult<Self> {
        world.log = logged.then(Vec::new);
        let mut dice = Dice::seeded(seed);
        for name in ["writer", "coder", "planner"].iter().take(2 + usize::from(dice.chance(0.5))) {
            let minutes = if *name == "writer" { 0.75 } else { dice.pick(&[0.75, 1.5, 5.0, 1_440.0]) };
            let success = 0.5 + 0.4 * dice.uniform();
            world.declare(name, success, (minutes * MINUTE_US as f64) as i64).await?;
        }
        let node = world.add_node().await?;
        world.start(node).await?;
        world.clock.set(START.plus_micros(HISTORY_HOURS * MICROS_PER_HOUR));
        world.traffic(|| (Noise::default(), 0));
        world.deliver(node).await;
        if server.is_some() {
            for _ in 1..PROCESSES {
                let node = world.add_node().await?;
                world.start(node).await?;
            }
        }
        let units = (0..10).map(|unit| format!("probe-{unit}")).collect();
        let (tally, healing) = (Tally::default(), Vec::new());
        Ok(Self { world, dice, tally, healing, serial: 0, units, calm: false, server })
    }

    async fn step(&mut self) -> StoreResult<()> {
        self.move_clock();
        self.report();
        if !self.calm {
            self.faults().await?;
        }
        for node in self.running() {
            self.deliver(node).await?;
        }
        if !self.calm {
            self.people().await?;
        }
        for node in self.running() {
            self.world.tick(node).await;
            if self.dice.chance(0.1) {
                self.world.watch(node).await;
            }
        }
        self.bury();
        self.probe().await
    }

    /// Delivers the mail to a process; meanwhile the database's server may be restarted.
    async fn deliver(&mut self, node: usize) -> StoreResult<()> {
        let Some(server) = self.server.as_ref().filter(|_| !self.calm && self.dice.chance(0.02)) else {
            self.world.deliver(node).await;
            return Ok(());
        };
        let soon = std::time::Duration::from_millis(self.dice.between(0, 30));
        let restart = async {
            tokio::time::sleep(soon).await;
            server.end_sessions(NODES).await
        };
        let (restarted, ()) = tokio::join!(restart, self.world.deliver(node));
        self.tally.restarts += 1;
        self.world.note(|| "the database's server is restarted".to_owned());
        restarted
    }

    /// Time goes by: a few minutes, or with a jump.
    fn move_clock(&mut self) {
        let now = self.world.now();
        let minutes = if self.calm { 10 } else { self.dice.between(4, 15) as i64 };
        let mut next = now.plus_micros(minutes * MINUTE_US);
        if !self.calm && self.dice.chance(0.03) {
            let back = self.dice.chance(0.5);
            let jump = if back { -(self.dice.between(6, 30) as i64) } else { self.dice.between(60, 480) as i64 };
            next = next.plus_micros(jump * MINUTE_US);
            self.tally.jumps += 1;
            self.world.note(|| format!("the clock jumps by {jump} minutes"));
            for agent in &mut self.world.agents {
                agent.next_us = next.micros() + agent.pace_us.min(MINUTE_US);
            }
        }
        self.world.clock.set(next);
    }

    /// Agents work and report, some of them late, twice, wrongly or not at all.
    fn report(&mut self) {
        let (dice, calm) = (&mut self.dice, self.calm);
        let before = self.world.mail.len();
        self.world.traffic(|| {
            if calm {
                return (Noise::default(), 0);
            }
            let noise =
                Noise { wrong_arm: dice.chance(0.005), unknown: dice.chance(0.03), unended: dice.chance(0.01) };
            let late_us = if dice.chance(0.02) { dice.between(1, 240) as i64 * MINUTE_US } else { 0 };
            (noise, late_us)
        });
        if calm {
            return;
        }
        let mut again: Vec<Letter> = Vec::new();
        for letter in &self.world.mail[before.min(self.world.mail.len())..] {
            if self.dice.chance(0.02) {
                let late = self.dice.between(0, 90) as i64 * MINUTE_US;
                again.push(Letter { at: letter.at.plus_micros(late), events: letter.events.clone() });
            }
            if self.dice.chance(0.003) {
                // Another event under an id that is taken.
                let mut events = letter.events.clone();
                events.truncate(1);
                events[0].cost_usd = Some(1.0);
                again.push(Letter { at: letter.at.plus_micros(MINUTE_US), events });
            }
        }
        self.world.mail.extend(again);
    }

    /// Processes that run, by their place in the list.
    fn running(&self) -> Vec<usize> {
        (0..self.world.nodes.len()).filter(|node| self.world.nodes[*node].serves()).collect()
    }

    /// Asks every process what it serves, once it has had the time to hear of the last commits.
    async fn probe(&mut self) -> StoreResult<()> {
        let state = self.world.state().await?;
        let before = self.world.now();
        self.world.clock.set(before.plus_micros(2 * SECOND_US));
        for node in self.running() {
            self.world.poll(node).await;
            let (nodes, seen) = (&self.world.nodes, &mut self.world.seen);
            if !nodes[node].store.is_unreachable() {
                serving::probe(&nodes[node], &state, &self.units, before.plus_micros(2 * SECOND_US), seen);
            }
        }
        let later = before.plus_micros(CUT_OFF_US);
        self.world.clock.set(later);
        for node in self.running() {
            if self.world.nodes[node].store.is_unreachable() {
                self.world.poll(node).await;
                serving::probe_cut_off(&self.world.nodes[node], &state, &self.units, later, &mut self.world.seen);
            }
        }
        self.world.remember(&state);
        Ok(())
    }

    async fn check(&mut self, whole: bool, last: bool) -> StoreResult<Vec<Violation>> {
        let mut state = self.world.state().await?;
        if whole {
            state.load_own_events(self.world.inner.as_ref()).await?;
        }
        let ledger = self.world.ledger.entries();
        let (seen, policy, now) = (&self.world.seen, &self.world.policy, self.world.now());
        let mut violations = invariants::check(&Scene { state: &state, ledger: &ledger, seen, policy, now });
        if last {
            violations.extend(self.settled(&state));
        }
        Ok(violations)
    }

    /// What must hold once everything has had its time.
    fn settled(&self, state: &State) -> Vec<Violation> {
        let now = self.world.now();
        let mut left = Vec::new();
        if !self.world.mail.is_empty() || !self.world.seen.unanswered.is_empty() {
            left.push(("I5", format!("{} letters could not be delivered", self.world.mail.len())));
        }
        if !state.outbox.is_empty() {
            left.push(("I17", format!("{} actions were not carried out", state.outbox.len())));
        }
        for row in state.processes.iter().filter(|row| row.ended_at.is_none()) {
            if row.instance.wake_at.is_some_and(|wake_at| wake_at < now.plus_micros(-30 * MINUTE_US)) {
                left.push(("I16", format!("{} {} was not stepped", row.instance.name, row.instance.subject)));
            }
        }
        for record in state.trials.iter().filter(|record| record.running) {
            let in_place = state.entity(record.entity).and_then(|entity| entity.revision.clone());
            let against = [Some(record.base.as_str()), Some(record.candidate.as_str())];
            if !against.contains(&in_place.as_deref()) {
                left.push(("I13", format!("trial {} goes on against what is no longer in place", record.id)));
            }
            if record.trial.last_horizon_us() < now.plus_micros(-60 * MINUTE_US).micros() {
                left.push(("I16", format!("trial {} was not ended", record.id)));
            }
        }
        left.into_iter().map(|(id, what)| Violation { id, what }).collect()
    }

    async fn outcome(self, seed: u64, steps: usize, violations: Vec<Violation>) -> StoreResult<Outcome> {
        let state = self.world.state().await?;
        let ended = |status| state.improvements.iter().filter(|one| one.status == status).count() as u64;
        let tally = Tally {
            events: self.world.seen.acknowledged.len() as u64,
            trials: state.trials.len() as u64,
            kept: ended(ImprovementStatus::Deployed),
            rolled_back: ended(ImprovementStatus::RolledBack),
            cancelled: ended(ImprovementStatus::Cancelled),
            rejected: ended(ImprovementStatus::Rejected),
            ..self.tally
        };
        Ok(Outcome { seed, steps, violations, tally, log: self.world.log.unwrap_or_default() })
    }
}
