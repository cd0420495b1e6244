//! How fast a trial is looked at: outcomes through monitor and decide, with a look at each.

use rand::SeedableRng;
use rand::rngs::SmallRng;
use uplift_cycle::decide;
use uplift_cycle::monitor::Monitor;
use uplift_model::metric::{Measure, Purpose, standard_metrics};
use uplift_model::policy::trial::TrialPolicy;
use uplift_model::trial::{AssignmentUnit, Comparison, ShareStage, Trial, TrialKind, UnitOutcome, hours_us};

use crate::decisions::scenario;
use crate::decisions::world::World;

/// A day of outcomes, made before the clock runs.
#[derive(Debug, Clone)]
pub struct Day {
    trial: Trial,
    outcomes: Vec<(i64, UnitOutcome)>,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Looked {
    /// Looks taken.
    pub looks: u64,
    /// Looks that were worth all findings and a decision.
    pub decisions: u64,
    /// Units remembered singly at the end.
    pub immature: u64,
}

/// Makes a day with that many tasks and no difference between the arms; `None` if the scenario is missing.
pub fn day(tasks: usize, seed: u64) -> Option<Day> {
    let world = World::of(&scenario::named("aa")?);
    let mut rng = SmallRng::seed_from_u64(seed);
    let baseline = world.baseline(&mut rng);
    let reported = [Measure::Success, Measure::Errors, Measure::Duration, Measure::Cost];
    let trial = Trial {
        key: format!("throughput/{seed}"),
        kind: TrialKind::Trial,
        started_us: 0,
        unit: AssignmentUnit::Task,
        comparison: Comparison::Concurrent,
        stages: vec![ShareStage { from_us: 0, share: 0.5 }],
        metrics: standard_metrics(Purpose::InstructionUpdate.goals(), &reported),
        expected_units: tasks as f64,
        baseline,
        // A day that ends a moment before its horizon, so that every look is an ordinary one.
        policy: TrialPolicy { test_duration_hours: 30.0, ..TrialPolicy::default() },
    };
    let mut outcomes: Vec<_> = world
        .day(tasks, &mut rng)
        .into_iter()
        .enumerate()
        .map(|(place, unit)| {
            let name = place.to_string();
            let arm = trial.arm_of(&name, unit.started_us);
            let outcome = unit.outcomes[arm.index()];
            let ended_us = unit.started_us + (outcome.duration_ms() * 1e3) as i64;
            (ended_us.min(hours_us(24.0)), outcome.record(name, arm, unit.started_us))
        })
        .collect();
    outcomes.sort_by_key(|(ended_us, _)| *ended_us);
    Some(Day { trial, outcomes })
}

impl Day {
    /// Puts every outcome through monitor and decide, and looks after each. A rollback by chance does not stop it.
    pub fn look_at_each(&self) -> Looked {
        let mut monitor = Monitor::new(&self.trial);
        let mut looked = Looked { looks: 0, decisions: 0, immature: 0 };
        let policy = &self.trial.policy;
        for (ended_us, outcome) in &self.outcomes {
            monitor.record(outcome);
            let look = monitor.look(*ended_us);
            looked.looks += 1;
            if decide::is_due(look.log_combined, look.log_allocation, look.crossover, look.horizon_reached, policy) {
                let verdict = decide::decide(&monitor.findings(*ended_us), policy);
                looked.decisions += 1;
                looked.immature = verdict.findings.immature;
            }
        }
        looked.immature = monitor.state().immature();
        looked
    }
}
