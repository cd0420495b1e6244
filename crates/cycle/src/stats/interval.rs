//! Interval for a rate that holds at every look, from a two-sided beta-binomial mixture (Howard et al. 2021).

use super::beta::ln_beta;
use super::mixture::best_rho;

/// Interval for a rate after `successes` of `trials`, tightest after `t_opt` trials, at level `alpha`. Without trials
/// it is all of [0, 1].
pub fn bernoulli(successes: f64, trials: f64, t_opt: f64, alpha: f64) -> (f64, f64) {
    let usable = trials.is_finite() && trials > 0.0 && (0.0..=trials).contains(&successes);
    if !usable {
        return (0.0, 1.0);
    }
    let failures = trials - successes;
    let excess = |p: f64| {
        let variance = p * (1.0 - p);
        let r = (best_rho(t_opt * variance, alpha) - variance).max(1e-3 * variance);
        ln_beta(r / p + failures, r / (1.0 - p) + successes)
            - ln_beta(r / p, r / (1.0 - p))
            - successes * p.ln()
            - failures * (1.0 - p).ln()
            + alpha.ln()
    };
    let rate = (successes / trials).clamp(1e-9, 1.0 - 1e-9);
    let low = if successes > 0.0 { bisect(excess, 1e-9, rate) } else { 0.0 };
    let high = if failures > 0.0 { bisect(excess, 1.0 - 1e-9, rate) } else { 1.0 };
    (low, high)
}

/// The point between `outside`, where the function is above 0, and `inside`, where it is below.
fn bisect(function: impl Fn(f64) -> f64, mut outside: f64, mut inside: f64) -> f64 {
    if function(outside) <= 0.0 {
        return outside;
    }
    for _ in 0..100 {
        let middle = 0.5 * (outside + inside);
        if function(middle) > 0.0 {
            outside = middle;
        } else {
            inside = middle;
        }
    }
    0.5 * (outside + inside)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_the_reference() {
        let (low, high) = bernoulli(60.0, 100.0, 100.0, 0.05);
        assert!((low - 0.448_369).abs() < 5e-7, "{low}");
        assert!((high - 0.740_965).abs() < 5e-7, "{high}");
    }

    #[test]
    fn extremes_stay_inside() {
        for (successes, trials) in [(0.0, 5.0), (5.0, 5.0), (0.0, 0.0), (1e6, 1e6), (f64::NAN, 1.0)] {
            let (low, high) = bernoulli(successes, trials, 100.0, 0.05);
            assert!((0.0..=1.0).contains(&low) && (0.0..=1.0).contains(&high) && low <= high);
        }
    }
}
