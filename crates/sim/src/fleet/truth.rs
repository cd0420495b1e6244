//! What a change really does: both configurations are played with the same luck.

use serde::Serialize;
use uplift_model::metric::{Measure, Purpose};
use uplift_model::revision::Configuration;
use uplift_model::time::MICROS_PER_DAY;

use super::{Agent, Processes, Served, TaskSeed, play};

/// Where the luck of these tasks starts from: not where any fleet's does.
const SEED: u64 = 0x5eed_7207;
/// How old a configuration is taken to be: what hurts late hurts by then.
const AGE_US: i64 = MICROS_PER_DAY;
/// Points of success that are harm or gain.
const POINTS: f64 = 0.02;
/// Relative change of duration, tokens or cost that is harm or gain.
const SHARE: f64 = 0.05;

/// What is true of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Truth {
    /// Something is better and nothing is worse, or what is worse is paid for by success.
    Helpful,
    /// Something is worse and not paid for.
    Harmful,
    /// Nothing changes to speak of.
    Neutral,
}

/// Means over many tasks.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Means {
    /// Share of tasks that succeed.
    pub success: f64,
    /// Share of tasks that fail with an error.
    pub errors: f64,
    /// Milliseconds.
    pub duration_ms: f64,
    /// Tokens in and out.
    pub tokens: f64,
    /// US dollars.
    pub cost_usd: f64,
}

impl Means {
    /// Adds others with a weight.
    pub fn add(&mut self, other: &Self, weight: f64) {
        self.success += weight * other.success;
        self.errors += weight * other.errors;
        self.duration_ms += weight * other.duration_ms;
        self.tokens += weight * other.tokens;
        self.cost_usd += weight * other.cost_usd;
    }
}

/// How an agent does with a configuration, over `tasks` tasks.
pub fn measure(agent: &'static Agent, configuration: &Configuration, processes: &Processes, tasks: u64) -> Means {
    let served = Served { configuration, processes, exposures: None, age_us: AGE_US };
    let mut means = Means::default();
    let weight = 1.0 / tasks.max(1) as f64;
    for number in 0..tasks {
        let seed = SEED.wrapping_add(number.wrapping_mul(0x2545_f491_4f6c_dd1d));
        let outcome = play(agent, &served, &TaskSeed { task_id: String::new(), seed, started_us: 0 }).outcome;
        let one = Means {
            success: f64::from(u8::from(outcome.success)),
            errors: f64::from(u8::from(outcome.errored)),
            duration_ms: outcome.duration_ms,
            tokens: outcome.tokens,
            cost_usd: outcome.cost_usd,
        };
        means.add(&one, weight);
    }
    means
}

/// What is true of going from one to the other.
pub fn judge(before: &Means, after: &Means) -> Truth {
    let success = after.success - before.success;
    let errors = before.errors - after.errors;
    let saved = |before: f64, after: f64| if before > 0.0 { 1.0 - after / before } else { 0.0 };
    let amounts = [
        saved(before.duration_ms, after.duration_ms),
        saved(before.tokens, after.tokens),
        saved(before.cost_usd, after.cost_usd),
    ];
    let worse = amounts.iter().any(|saved| *saved <= -SHARE);
    let better = amounts.iter().any(|saved| *saved >= SHARE);
    if success <= -POINTS || errors <= -POINTS || (worse && !better && success < POINTS) {
        Truth::Harmful
    } else if success >= POINTS || errors >= POINTS || better {
        Truth::Helpful
    } else {
        Truth::Neutral
    }
}

/// How much better the goals of a purpose become: the best of them, as points of a share or as a share of an amount.
pub fn gain(purpose: Purpose, before: &Means, after: &Means) -> f64 {
    let saved = |before: f64, after: f64| if before > 0.0 { 1.0 - after / before } else { 0.0 };
    let gains = purpose.goals().iter().map(|goal| match goal {
        Measure::Success => after.success - before.success,
        Measure::Errors => before.errors - after.errors,
        Measure::Duration => saved(before.duration_ms, after.duration_ms),
        Measure::Tokens => saved(before.tokens, after.tokens),
        Measure::Cost => saved(before.cost_usd, after.cost_usd),
        Measure::Custom(_) => 0.0,
    });
    gains.fold(f64::NEG_INFINITY, f64::max)
}
