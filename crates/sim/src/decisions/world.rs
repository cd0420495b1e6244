//! How tasks come, run and end: arrivals over a day, outcomes by arm, all from one generator.

use std::f64::consts::TAU;

use rand::Rng;
use rand::rngs::SmallRng;
use uplift_cycle::trial::baseline::of_history;
use uplift_model::trial::{Arm, Baseline, UnitOutcome};

use super::scenario::{Effect, Known, Scenario, Trouble};

/// Length of the first horizon, hours.
pub const DAY_HOURS: f64 = 24.0;
const DAY_US: f64 = DAY_HOURS * 3.6e9;
const SUCCESS: f64 = 0.80;
const ERRORS: f64 = 0.10;
const MEDIAN_MS: f64 = 30_000.0;
const SLOW_MEDIAN_MS: f64 = 1_200_000.0;
const CAP_MS: f64 = 3_600_000.0;
const SLOW_CAP_MS: f64 = 4.0 * CAP_MS;
const TIMEOUTS: f64 = 0.01;
const DURATION_SPREAD: f64 = 1.0;
const COST_SPREAD: f64 = 0.8;
const MEDIAN_COST: f64 = 0.02;
const CORRELATION: f64 = 0.6;
/// Half the logarithmic range of durations over a day.
const SWING: f64 = 0.25;
/// Half the relative range of traffic over a day.
const TRAFFIC_SWING: f64 = 0.6;
const SESSION: usize = 5;
const SESSION_CORRELATION: f64 = 0.3;
/// Share of the variance of log duration that the covariate explains, where there is one.
const EXPLAINED: f64 = 0.5;
const COVARIATE: &str = "size";
/// Units the history is made of.
const HISTORY: usize = 20_000;

/// A world with a scenario's troubles.
#[derive(Debug, Clone, Copy)]
pub struct World {
    trouble: Trouble,
    effect: Effect,
}

/// A unit as it will have been once it has ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Unit {
    /// Start in microseconds after the trial's.
    pub started_us: i64,
    /// End in microseconds after the trial's start.
    pub ended_us: i64,
    /// Tasks in it.
    pub tasks: u64,
    /// Its outcome in either arm: only one of them happens.
    pub outcomes: [Outcome; 2],
    /// True when its records get lost if it is the candidate's.
    pub lost: bool,
    /// A number known before the start, where one is recorded.
    pub covariate: Option<f64>,
}

impl Unit {
    /// The record with what was known before the start.
    pub fn known(&self, record: UnitOutcome) -> UnitOutcome {
        let covariates = self.covariate.map(|value| (COVARIATE.to_owned(), value)).into_iter().collect();
        UnitOutcome { covariates, ..record }
    }
}

/// What comes out of a unit in one arm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outcome {
    success: f64,
    errored: bool,
    duration_ms: f64,
    cost: f64,
}

impl Outcome {
    /// The record of an ended unit.
    pub fn record(&self, unit: String, arm: Arm, started_us: i64) -> UnitOutcome {
        UnitOutcome {
            success: Some(self.success),
            errored: self.errored,
            duration_ms: Some(self.duration_ms),
            cost: Some(self.cost),
            ended: true,
            ..running(unit, arm, started_us)
        }
    }

    /// Wall time in milliseconds.
    pub fn duration_ms(&self) -> f64 {
        self.duration_ms
    }
}

/// The record of a unit that has started.
pub fn running(unit: String, arm: Arm, started_us: i64) -> UnitOutcome {
    UnitOutcome {
        unit,
        arm,
        started_us,
        ended: false,
        success: None,
        errored: false,
        duration_ms: None,
        tokens: None,
        cost: None,
        scores: std::collections::BTreeMap::new(),
        crossed: false,
        covariates: std::collections::BTreeMap::new(),
        stratum: None,
    }
}

/// What a task shares with its neighbours.
#[derive(Debug, Clone, Copy, Default)]
struct Shared {
    success: f64,
    errors: f64,
    log_duration: f64,
    part: f64,
    part_of_duration: f64,
    burst: bool,
}

impl World {
    /// The world of a scenario.
    pub fn of(scenario: &Scenario) -> Self {
        Self { trouble: scenario.trouble, effect: scenario.effect }
    }

    /// All units of a day with `tasks` tasks, in order of their start.
    pub fn day(&self, tasks: usize, rng: &mut SmallRng) -> Vec<Unit> {
        let size = if self.trouble == Trouble::Sessions { SESSION } else { 1 };
        let mut starts: Vec<f64> = (0..tasks / size).map(|_| arrival(rng)).collect();
        starts.sort_by(f64::total_cmp);
        let mut burst_left = 0_u32;
        starts.into_iter().map(|at| self.unit(at, size, &mut burst_left, rng)).collect()
    }

    fn unit(&self, at: f64, size: usize, burst_left: &mut u32, rng: &mut SmallRng) -> Unit {
        let mut shared = Shared::default();
        if size > 1 {
            shared = Shared {
                success: normal(rng),
                errors: normal(rng),
                log_duration: normal(rng),
                part: SESSION_CORRELATION,
                part_of_duration: SESSION_CORRELATION,
                burst: false,
            };
        }
        if self.trouble == Trouble::Bursts {
            if *burst_left > 0 {
                *burst_left -= 1;
                shared.burst = true;
            } else if rng.random::<f64>() < 0.008 {
                *burst_left = 4 + (rng.random::<f64>() * 12.0) as u32;
            }
        }
        let covariate = self.covariate(&mut shared, rng);
        let tasks: Vec<_> = (0..size).map(|_| self.task(at, shared, rng)).collect();
        let outcomes = [0, 1].map(|arm: usize| session(&tasks, arm));
        let started_us = (at * DAY_US) as i64;
        let lost = self.trouble == Trouble::LostRecords && rng.random::<f64>() < 1.0 / 6.0;
        Unit { started_us, ended_us: started_us, tasks: size as u64, outcomes, lost, covariate }
    }

    /// The number that explains durations, in what tasks share, and what is recorded of it.
    fn covariate(&self, shared: &mut Shared, rng: &mut SmallRng) -> Option<f64> {
        let Trouble::Covariate(known) = self.trouble else {
            return None;
        };
        let (size, other) = (normal(rng), normal(rng));
        *shared = Shared { log_duration: size, part_of_duration: EXPLAINED, ..*shared };
        match known {
            Known::Recorded | Known::Misleading => Some(size),
            Known::Useless => Some(other),
            Known::Hidden => None,
        }
    }

    /// One task in both arms, from the same draws.
    fn task(&self, at: f64, shared: Shared, rng: &mut SmallRng) -> [Outcome; 2] {
        let blend = |own: f64, common: f64, part: f64| (1.0 - part).sqrt() * own + part.sqrt() * common;
        let success = uniform_of(blend(normal(rng), shared.success, shared.part));
        let error = uniform_of(blend(normal(rng), shared.errors, shared.part));
        let log_duration = blend(normal(rng), shared.log_duration, shared.part_of_duration);
        let log_cost = CORRELATION * log_duration + (1.0 - CORRELATION * CORRELATION).sqrt() * normal(rng);
        let (timeout, tail): (f64, f64) = (rng.random(), rng.random());
        let outage = self.trouble == Trouble::Incident && (0.4..0.45).contains(&at);
        let slow = self.trouble == Trouble::Delay;
        let (median, cap) = if slow { (SLOW_MEDIAN_MS, SLOW_CAP_MS) } else { (MEDIAN_MS, CAP_MS) };
        let error_rate = match (self.trouble, shared.burst, outage) {
            (Trouble::Bursts, true, _) => 0.8,
            (Trouble::Bursts, false, _) => 0.04,
            (_, _, true) => 0.5,
            _ => ERRORS,
        };
        let success_rate = if outage { 0.4 } else { SUCCESS };
        let swing = SWING * (TAU * at).sin() + if outage { 4.0_f64.ln() } else { 0.0 };
        let duration = median * (swing + DURATION_SPREAD * log_duration).exp();
        let none = Effect::default();
        [none, if at >= self.effect.from { self.effect } else { none }].map(|effect| {
            let long = if tail < effect.tail { 10.0 } else { 1.0 };
            let duration = if timeout < TIMEOUTS && !slow { cap } else { duration * effect.duration * long };
            Outcome {
                success: f64::from(u8::from(success < success_rate * effect.success)),
                errored: error < error_rate * effect.errors,
                duration_ms: duration.min(cap),
                cost: MEDIAN_COST * (COST_SPREAD * log_cost).exp() * effect.cost,
            }
        })
    }

    /// What this entity's history says, from a day without any effect.
    pub fn baseline(&self, rng: &mut SmallRng) -> Baseline {
        let usual = Self { effect: Effect::default(), ..*self };
        let size = if self.trouble == Trouble::Sessions { SESSION } else { 1 };
        let units: Vec<_> = usual
            .day(HISTORY * size, rng)
            .iter()
            .map(|unit| unit.known(unit.outcomes[0].record(String::new(), Arm::Control, unit.started_us)))
            .map(|unit| if self.trouble == Trouble::Covariate(Known::Misleading) { reversed(unit) } else { unit })
            .collect();
        of_history(&units, 20)
    }
}

/// The same record with covariates of the opposite sign.
fn reversed(mut record: UnitOutcome) -> UnitOutcome {
    for value in record.covariates.values_mut() {
        *value = -*value;
    }
    record
}

/// What a session of tasks comes to in one arm: means, and whether any task had an error.
fn session(tasks: &[[Outcome; 2]], arm: usize) -> Outcome {
    let count = tasks.len().max(1) as f64;
    let mean = |value: fn(&Outcome) -> f64| tasks.iter().map(|task| value(&task[arm])).sum::<f64>() / count;
    Outcome {
        success: mean(|task| task.success),
        errored: tasks.iter().any(|task| task[arm].errored),
        duration_ms: mean(|task| task.duration_ms.ln()).exp(),
        cost: mean(|task| task.cost.ln()).exp(),
    }
}

/// When in the day a unit starts, as a part of it: traffic follows a sine.
fn arrival(rng: &mut SmallRng) -> f64 {
    loop {
        let at: f64 = rng.random();
        let height = 1.0 + TRAFFIC_SWING * (TAU * (at - 0.25)).sin();
        if rng.random::<f64>() * (1.0 + TRAFFIC_SWING) < height {
            return at;
        }
    }
}

/// A standard normal value (Box and Muller).
fn normal(rng: &mut SmallRng) -> f64 {
    let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
    radius * (TAU * rng.random::<f64>()).cos()
}

/// The uniform value that belongs to a standard normal one.
fn uniform_of(z: f64) -> f64 {
    uplift_cycle::stats::normal::cdf(z)
}
