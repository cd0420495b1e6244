//! One trial from its start to its verdict, looked at after every task.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rand::SeedableRng;
use rand::rngs::SmallRng;
use uplift_cycle::decide;
use uplift_cycle::monitor::Monitor;
use uplift_model::metric::{Measure, standard_metrics};
use uplift_model::policy::trial::TrialPolicy;
use uplift_model::trial::{
    Arm, AssignmentUnit, Baseline, Comparison, ShareStage, Trial, TrialKind, bucket, hours_us,
};
use uplift_model::verdict::{Decision, Verdict};

use super::scenario::{Scenario, Trouble};
use super::world::{DAY_HOURS, Unit, World, running};

/// Days that a hold-back squeezes into one.
const WEEK: usize = 7;
/// Share of a kept change while a twentieth of the units stays on the old revision.
const KEPT_SHARE: f64 = 0.95;

/// What is simulated.
#[derive(Debug, Clone, PartialEq)]
pub struct Setup {
    /// The truth.
    pub scenario: Scenario,
    /// Tasks in the horizon, both arms together.
    pub tasks: usize,
    /// Share of the candidate, in (0, 1).
    pub share: f64,
    /// Seed of the whole run.
    pub seed: u64,
    /// Numbers the decisions obey.
    pub policy: TrialPolicy,
}

/// How one trial ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Ending {
    /// The last verdict.
    pub verdict: Verdict,
    /// The candidate's tasks until then.
    pub candidate_tasks: u64,
}

impl Setup {
    /// The entity's history: the same for all replicates, because it is what is known before.
    pub fn baseline(&self) -> Baseline {
        let mut rng = SmallRng::seed_from_u64(self.seed ^ 0x5bd1_e995);
        World::of(&self.scenario).baseline(&mut rng)
    }

    /// Tasks of the whole trial: a hold-back sees a week of them.
    fn tasks(&self) -> usize {
        if self.scenario.trouble == Trouble::HoldBack { WEEK * self.tasks } else { self.tasks }
    }

    fn trial(&self, replicate: u64, baseline: Baseline) -> Trial {
        let held_back = self.scenario.trouble == Trouble::HoldBack;
        let stages = if self.scenario.trouble == Trouble::Ramp {
            vec![ShareStage { from_us: 0, share: 0.1 }, ShareStage { from_us: hours_us(DAY_HOURS / 3.0), share: 0.5 }]
        } else {
            vec![ShareStage { from_us: 0, share: if held_back { KEPT_SHARE } else { self.share } }]
        };
        let policy = if held_back {
            TrialPolicy { hold_back_days: DAY_HOURS / 24.0, ..self.policy.clone() }
        } else {
            self.policy.clone()
        };
        let sessions = self.scenario.trouble == Trouble::Sessions;
        let all = [Measure::Success, Measure::Errors, Measure::Duration, Measure::Cost];
        let reported = if self.scenario.trouble == Trouble::OnlyDuration { &all[2..3] } else { &all[..] };
        Trial {
            key: format!("{}/{}/{replicate}", self.scenario.name, self.seed),
            kind: if held_back { TrialKind::HoldBack } else { TrialKind::Trial },
            started_us: 0,
            unit: if sessions { AssignmentUnit::Session } else { AssignmentUnit::Task },
            comparison: Comparison::Concurrent,
            stages,
            metrics: standard_metrics(self.scenario.purpose.goals(), reported),
            expected_units: self.tasks() as f64 / if sessions { 5.0 } else { 1.0 },
            baseline,
            policy,
        }
    }

    /// Runs one trial; the same replicate of the same setup always ends the same.
    pub fn run(&self, replicate: u64, baseline: &Baseline) -> Ending {
        let seed = self.seed.wrapping_add(replicate.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut rng = SmallRng::seed_from_u64(seed);
        let units = World::of(&self.scenario).day(self.tasks(), &mut rng);
        let trial = self.trial(replicate, baseline.clone());
        Run { monitor: Monitor::new(&trial), trial: &trial, candidate_tasks: 0 }.through(&units)
    }
}

struct Run<'a> {
    monitor: Monitor,
    trial: &'a Trial,
    candidate_tasks: u64,
}

impl Run<'_> {
    fn through(mut self, units: &[Unit]) -> Ending {
        let mut ends: BinaryHeap<Reverse<(i64, usize, usize)>> = BinaryHeap::new();
        let horizon_us = self.trial.horizon_us();
        for (place, unit) in units.iter().enumerate() {
            while let Some(&Reverse((at, ended, arm))) = ends.peek().filter(|end| end.0.0 <= unit.started_us) {
                ends.pop();
                if let Some(verdict) = self.end(&units[ended], ended, arm, at) {
                    return self.ending(verdict);
                }
            }
            let name = place.to_string();
            let stage = self.trial.stage_at(unit.started_us);
            let candidate = bucket(&self.trial.key, &name) < self.trial.stages[stage].share;
            let arm = if candidate { Arm::Candidate } else { Arm::Control };
            self.candidate_tasks += if candidate { unit.tasks } else { 0 };
            if !(candidate && unit.lost) {
                self.monitor.record(&unit.known(running(name, arm, unit.started_us)));
            }
            let length = unit.outcomes[arm.index()].duration_ms() * unit.tasks as f64;
            ends.push(Reverse((unit.started_us + (length * 1e3) as i64, place, arm.index())));
        }
        while let Some(Reverse((at, ended, arm))) = ends.pop() {
            if at >= horizon_us {
                break;
            }
            if let Some(verdict) = self.end(&units[ended], ended, arm, at) {
                return self.ending(verdict);
            }
        }
        let findings = self.monitor.findings(horizon_us);
        let verdict = decide::decide(&findings, &self.trial.policy);
        self.ending(verdict)
    }

    /// A unit ends, and the trial is looked at.
    fn end(&mut self, unit: &Unit, place: usize, arm: usize, now_us: i64) -> Option<Verdict> {
        let side = if arm == 1 { Arm::Candidate } else { Arm::Control };
        if !(arm == 1 && unit.lost) {
            let record = unit.outcomes[arm].record(place.to_string(), side, unit.started_us);
            self.monitor.record(&unit.known(record));
        }
        let look = self.monitor.look(now_us);
        let policy = &self.trial.policy;
        let due =
            decide::is_due(look.log_combined, look.log_allocation, look.crossover, look.horizon_reached, policy);
        if !due {
            return None;
        }
        let verdict = decide::decide(&self.monitor.findings(now_us), policy);
        (verdict.decision != Decision::Running).then_some(verdict)
    }

    fn ending(&self, verdict: Verdict) -> Ending {
        Ending { verdict, candidate_tasks: self.candidate_tasks }
    }
}
