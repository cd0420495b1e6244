//! Both arms of one signal, compared within each share epoch and added up over epochs by their information.

use uplift_model::metric::Direction;

use super::plan::{Form, PRIOR_UNITS, Signal, Source};
use super::state::Pair;
use crate::stats::sums::Sums;

/// Values an arm needs in a stratum where no history tells its variance.
const LEAST_WITHOUT_HISTORY: f64 = 10.0;

/// A stratified comparison: `score` has variance `information`, and is positive where the candidate is worse than
/// allowed.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Contrast {
    pub(super) score: f64,
    pub(super) information: f64,
}

impl Contrast {
    /// Estimated worsening beyond what is allowed, on the scale of the form.
    pub(super) fn estimate(self) -> f64 {
        if self.information > 0.0 { self.score / self.information } else { 0.0 }
    }

    /// Variance of the estimate; infinite where nothing is known.
    pub(super) fn variance(self) -> f64 {
        if self.information > 0.0 { 1.0 / self.information } else { f64::INFINITY }
    }

    /// Standardised.
    pub(super) fn z(self) -> f64 {
        if self.information > 0.0 { self.score / self.information.sqrt() } else { 0.0 }
    }
}

/// How much worse than control is still allowed: this multiple of it, and this many points besides.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Allowed {
    pub(super) multiple: f64,
    pub(super) shift: f64,
}

impl Allowed {
    pub(super) const NOTHING: Self = Self { multiple: 1.0, shift: 0.0 };

    pub(super) fn multiple(multiple: f64) -> Self {
        Self { multiple, shift: 0.0 }
    }
}

/// Compares the arms against what is allowed.
pub(super) fn contrast(signal: &Signal, allowed: Allowed, strata: impl Iterator<Item = Pair>) -> Contrast {
    let mut total = Contrast::default();
    for pair in strata {
        if let Some((worse, variance)) = within(signal, allowed, &pair) {
            total.score += worse / variance;
            total.information += 1.0 / variance;
        }
    }
    total
}

/// Standardised excess of the candidate's events, each stratum with the variance that both arms share where they do not
/// differ (Mantel and Haenszel 1959): `sum(t - n_t q) / sqrt(sum q (1-q) n_c n_t / n)`, `q` the rate of both together.
/// Where the candidate's arm is the smaller one, its own rate would make every excess look less sure than it is.
pub(super) fn excess_z(strata: impl Iterator<Item = Pair>) -> f64 {
    let (mut excess, mut variance) = (0.0, 0.0);
    for Pair { arms: [control, candidate], .. } in strata {
        let n = control.n + candidate.n;
        if control.n >= 1.0 && candidate.n >= 1.0 {
            let rate = (control.sum + candidate.sum) / n;
            excess += candidate.sum - candidate.n * rate;
            variance += rate * (1.0 - rate) * control.n * candidate.n / n;
        }
    }
    if variance > 0.0 { excess / variance.sqrt() } else { 0.0 }
}

/// Worsening and its variance in one stratum; `None` where it cannot be told.
fn within(signal: &Signal, allowed: Allowed, pair: &Pair) -> Option<(f64, f64)> {
    let [control, candidate] = &pair.arms;
    let (n_c, n_t) = (control.n, candidate.n);
    if n_c < 1.0 || n_t < 1.0 {
        return None;
    }
    let (prior, weight) = match signal.prior_variance {
        Some(variance) if variance > 0.0 => (variance, PRIOR_UNITS),
        _ if n_c < LEAST_WITHOUT_HISTORY || n_t < LEAST_WITHOUT_HISTORY => return None,
        _ => (0.0, 0.0),
    };
    // Amounts without any spread were not measured, whatever history says.
    let spread = control.deviations() + candidate.deviations();
    if !matches!(signal.form, Form::Rate(_)) && n_c + n_t > 2.0 && spread <= 1e-12 {
        return None;
    }
    let theta = allowed.multiple;
    let centre = signal.centre + pair.predicted;
    let (c, t) = (control.mean() + centre, candidate.mean() + centre);
    let v_c = variance(signal, control, prior, weight) / n_c;
    let v_t = variance(signal, candidate, prior, weight) / n_t;
    let continuity = 0.25 * (1.0 / (n_t * n_t) + 1.0 / (n_c * n_c));
    let scaled = v_t + theta * theta * v_c + continuity;
    let (worse, variance) = match signal.form {
        Form::Log => (t - c - theta.ln(), v_t + v_c),
        Form::Rate(Direction::Higher) => (theta * c - t, scaled),
        Form::Rate(Direction::Lower) => (t - theta * c, scaled),
        Form::Scaled(Direction::Higher, scale) => (c - t - (1.0 - theta) * scale, v_t + v_c),
        Form::Scaled(Direction::Lower, scale) => (t - c - (theta - 1.0) * scale, v_t + v_c),
    };
    // Without any spread (all durations equal, say) a difference cannot be weighed.
    let worse = worse - allowed.shift;
    (worse.is_finite() && variance.is_finite() && variance > 1e-300).then_some((worse, variance))
}

/// Variance of a value. A prediction that has gone wrong since adds to it, and then history must not talk it down.
fn variance(signal: &Signal, arm: &Sums, prior: f64, weight: f64) -> f64 {
    let blended = arm.variance(prior, weight);
    if signal.adjusted { blended.max(arm.variance(prior, weight / 8.0)) } else { blended }
}

/// What a relative margin allows. Errors are allowed points, `margin` times the usual rate: a multiple of no errors
/// would be none.
pub(super) fn at_margin(signal: &Signal, margin: f64, usual: f64) -> Allowed {
    match signal.form {
        _ if signal.source == Source::Error => Allowed { multiple: 1.0, shift: margin * usual.max(0.01) },
        Form::Rate(Direction::Higher) | Form::Scaled(Direction::Higher, _) => Allowed::multiple(1.0 - margin),
        Form::Log | Form::Rate(Direction::Lower) | Form::Scaled(Direction::Lower, _) => {
            Allowed::multiple(1.0 + margin)
        }
    }
}
