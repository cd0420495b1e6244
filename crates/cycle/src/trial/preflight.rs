//! What a trial can be expected to see, from the entity's own traffic and history.

use rand::Rng;
use uplift_model::metric::{Measure, MetricSpec};
use uplift_model::policy::trial::TrialPolicy;
use uplift_model::preflight::{Advice, MetricPower, Preflight};
use uplift_model::trial::UnitOutcome;

use crate::stats::{fixed, mixture, normal};

/// Simulated trials per metric: the power is known to about 0.03.
const REPLICATES: usize = 200;
/// Looks of a simulated trial.
const LOOKS: usize = 40;
/// Units a simulated trial draws at most; more are scaled by their variance.
const MOST_DRAWN: usize = 4_000;
/// Probability of seeing a change that "enough" asks for.
const POWER: f64 = 0.8;

/// What is known before the start.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// Units a day, both arms together.
    pub units_per_day: f64,
    /// Share of the candidate, in (0, 1).
    pub share: f64,
    /// Metrics with their roles.
    pub metrics: &'a [MetricSpec],
    /// Ended units of the entity.
    pub history: &'a [UnitOutcome],
    /// Numbers the decisions obey.
    pub policy: &'a TrialPolicy,
}

/// Says what the trial can see. Metrics without usable history are left out; with none left the answer is "not enough".
pub fn check(input: &Input<'_>, dice: &mut impl Rng) -> Preflight {
    let days = input.policy.test_duration_hours / 24.0;
    let expected_units = (input.units_per_day * days).max(0.0);
    let metrics: Vec<MetricPower> = input
        .metrics
        .iter()
        .filter(|spec| spec.roles.any())
        .filter_map(|spec| power_of(input, spec, expected_units, dice))
        .collect();
    let is_goal = |name: &str| input.metrics.iter().any(|spec| spec.roles.goal && spec.measure.name() == name);
    let goals = metrics.iter().filter(|metric| is_goal(&metric.name)).map(|metric| metric.units_needed);
    let units_needed = goals.min().or_else(|| metrics.iter().map(|metric| metric.units_needed).max());
    let enough = units_needed.is_some_and(|needed| needed as f64 <= expected_units);
    let advice = if enough { Vec::new() } else { advice(input, units_needed) };
    Preflight {
        expected_units,
        units_needed: units_needed.unwrap_or(0),
        enough,
        text: text(input, units_needed, enough, &advice),
        metrics,
        advice,
    }
}

/// `sigma^2 (z_a + z_b)^2 / (p (1-p) ln(1+delta)^2)`, rounded up; at most `u64::MAX`.
pub fn units_needed(variance: f64, share: f64, change: f64) -> u64 {
    let reach = normal::upper_quantile(0.025) + normal::upper_quantile(1.0 - POWER);
    let signal = change.ln_1p();
    (variance * reach * reach / (share * (1.0 - share) * signal * signal)).ceil() as u64
}

fn advice(input: &Input<'_>, needed: Option<u64>) -> Vec<Advice> {
    let days = input.policy.max_test_duration_hours / 24.0;
    let at_half = needed.map(|units| units as f64 * 4.0 * input.share * (1.0 - input.share));
    let mut advice = Vec::new();
    if input.share < 0.4 {
        advice.push(Advice::LargerShare);
    }
    if at_half.is_some_and(|units| units <= input.units_per_day * days) {
        advice.push(Advice::LongerTest);
    } else {
        advice.push(Advice::BeforeAfter);
    }
    advice
}

fn text(input: &Input<'_>, needed: Option<u64>, enough: bool, advice: &[Advice]) -> String {
    let daily = input.units_per_day.max(0.0);
    let Some(needed) = needed else {
        return "there is no history to judge by; let it run before trying a change".to_owned();
    };
    if enough {
        return format!("this needs about {needed} tasks; this agent runs {daily:.0} a day");
    }
    let help: Vec<_> = advice
        .iter()
        .map(|advice| match advice {
            Advice::LargerShare => "give the candidate a larger share",
            Advice::LongerTest => "test longer",
            Advice::BeforeAfter => "compare before and after",
        })
        .collect();
    format!("this needs about {needed} tasks; this agent runs {daily:.0} a day: {}", help.join(", or "))
}

/// Values of a metric on a scale where a relative change is a shift: logarithms, or values over their mean.
fn values(measure: &Measure, history: &[UnitOutcome]) -> Vec<f64> {
    let log = |value: f64| (value > 0.0 && value.is_finite()).then(|| value.ln());
    let raw = |unit: &UnitOutcome| match measure {
        Measure::Success => unit.success,
        Measure::Errors => Some(f64::from(u8::from(unit.errored))),
        Measure::Duration => unit.duration_ms.and_then(log),
        Measure::Tokens => unit.tokens.and_then(log),
        Measure::Cost => unit.cost.and_then(log),
        Measure::Custom(custom) => unit.scores.get(&custom.name).copied(),
    };
    let mut found: Vec<f64> = history.iter().filter_map(raw).filter(|value| value.is_finite()).collect();
    if !measure.is_amount() {
        let mean = found.iter().sum::<f64>() / (found.len() as f64).max(1.0);
        if mean.abs() < 1e-9 {
            return Vec::new();
        }
        for value in &mut found {
            *value /= mean.abs();
        }
    }
    found
}

fn power_of(input: &Input<'_>, spec: &MetricSpec, expected: f64, dice: &mut impl Rng) -> Option<MetricPower> {
    let values = values(&spec.measure, input.history);
    if (values.len() as u64) < input.policy.baseline_minimum.max(2) || !(input.share > 0.0 && input.share < 1.0) {
        return None;
    }
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
    if !(variance.is_finite() && variance > 0.0) {
        return None;
    }
    let margin = input.policy.margin;
    let reach = normal::upper_quantile(0.025) + normal::upper_quantile(1.0 - POWER);
    let spread = (variance / (expected * input.share * (1.0 - input.share)).max(1e-9)).sqrt();
    Some(MetricPower {
        name: spec.measure.name().to_owned(),
        units_needed: units_needed(variance, input.share, margin),
        smallest_change: (reach * spread).exp_m1().clamp(0.0, 1.0),
        power: simulate(input, &values, variance, expected, dice),
    })
}

/// Share of simulated trials, drawn from the entity's own history, that find a harm of the margin: by the e-process at
/// any look, or by the fixed look at the horizon.
fn simulate(input: &Input<'_>, values: &[f64], variance: f64, expected: f64, dice: &mut impl Rng) -> f64 {
    let policy = input.policy;
    let drawn = (expected as usize).min(MOST_DRAWN);
    if drawn < LOOKS {
        return 0.0;
    }
    let scale = (drawn as f64 / expected).sqrt();
    let worse = policy.margin.ln_1p();
    let weight = 0.2 * policy.from_start_weight.max(0.05);
    let focus = policy.focus * expected * input.share * (1.0 - input.share) / variance;
    let rho = mixture::best_rho(focus, 2.0 * policy.rollback_alpha * weight);
    let threshold = (1.0 / (policy.rollback_alpha * weight)).ln();
    let fixed_z = normal::upper_quantile(policy.horizon_alpha / 4.0);
    let found = (0..REPLICATES)
        .filter(|_| {
            let mut sums = [[0.0; 3]; 2];
            let mut estimate = (0.0, f64::INFINITY);
            for look in 0..LOOKS {
                for _ in 0..drawn / LOOKS {
                    let arm = usize::from(dice.random::<f64>() < input.share);
                    let value = values[dice.random_range(0..values.len())] + worse * arm as f64;
                    sums[arm][0] += 1.0;
                    sums[arm][1] += value;
                    sums[arm][2] += value * value;
                }
                if look < 2 || sums.iter().any(|arm| arm[0] < 2.0) {
                    continue;
                }
                let mean = |arm: usize| sums[arm][1] / sums[arm][0];
                let spread =
                    |arm: usize| (sums[arm][2] / sums[arm][0] - mean(arm) * mean(arm)).max(1e-12) / sums[arm][0];
                // Fewer draws than tasks: the same drift with the variance the tasks would have.
                estimate = (mean(1) - mean(0), (spread(0) + spread(1)) * scale * scale);
                let v = 1.0 / estimate.1;
                let shrunk = worse + (estimate.0 - worse) * scale;
                if mixture::one_sided(shrunk * v, v, rho) >= threshold {
                    return true;
                }
                estimate.0 = shrunk;
            }
            fixed::z(estimate.0, estimate.1) >= fixed_z
        })
        .count();
    found as f64 / REPLICATES as f64
}
