//! Evidence against the candidate: per signal, mixed over late starts, and combined.

use super::contrast::{Allowed, contrast};
use super::plan::{Plan, Signal};
use super::state::{Pair, State};
use crate::stats::combine::ln_sum;
use crate::stats::mixture;

/// Natural logarithm of the combined evidence. Signals that do not count are worth 1 at most: the weights stay as
/// declared, and the sum never exceeds the whole evidence, whose error level it keeps. The cache must be fresh.
pub(super) fn combined(plan: &Plan, state: &State, counts: impl Fn(usize) -> bool) -> f64 {
    let terms: Vec<_> = plan
        .signals
        .iter()
        .enumerate()
        .filter(|(_, signal)| signal.weight > 0.0)
        .map(|(place, signal)| {
            let ln = mixed(plan, state, place);
            (signal.weight, if counts(place) { ln } else { ln.min(0.0) })
        })
        .collect();
    let ln = ln_sum(terms.into_iter());
    // No signal at all is no evidence.
    if ln.is_finite() { ln } else { 0.0 }
}

/// True where a signal counts towards harm: always, except that an amount must be worse by the least ratio that
/// matters, with its 90 % interval.
pub(super) fn counts(plan: &Plan, state: &State, place: usize) -> bool {
    const CLEARLY: f64 = 1.644_854;
    let signal = &plan.signals[place];
    signal.least.is_none_or(|least| {
        let arms = state.strata.iter().map(|stratum| stratum.harm[0].pair(place));
        least <= 1.0 || contrast(signal, Allowed::multiple(least), arms).z() >= CLEARLY
    })
}

/// Natural logarithm of one signal's evidence, mixed over the starts. The cache must be fresh.
pub(super) fn mixed(plan: &Plan, state: &State, place: usize) -> f64 {
    ln_sum(
        plan.start_weights.iter().zip(&state.cache).map(|(weight, signals)| (*weight, signals[place].unwrap_or(0.0))),
    )
}

/// Computes what has changed since the last look.
pub(super) fn refresh(plan: &Plan, state: &mut State) {
    let State { strata, cache, .. } = state;
    for (start, signals) in cache.iter_mut().enumerate() {
        for (place, cached) in signals.iter_mut().enumerate() {
            let signal = &plan.signals[place];
            if cached.is_some() || signal.weight <= 0.0 {
                continue;
            }
            let arms = strata.iter().map(|stratum| stratum.harm[start].pair(place));
            let conditional = plan.conditionals.first().and_then(|stratum| stratum[place]);
            let ln = if conditional.is_some() {
                strata
                    .iter()
                    .zip(&plan.conditionals)
                    .filter_map(|(stratum, conditionals)| {
                        let [control, candidate] = stratum.harm[start].arms[place];
                        conditionals[place].map(|test| test.ln_evidence(candidate.sum, control.sum))
                    })
                    .sum()
            } else {
                of_mean(signal, arms)
            };
            *cached = Some(if ln.is_finite() { ln } else { 0.0 });
        }
    }
}

fn of_mean(signal: &Signal, arms: impl Iterator<Item = Pair>) -> f64 {
    let found = contrast(signal, Allowed::NOTHING, arms);
    mixture::one_sided(found.score, found.information, signal.rho)
}
