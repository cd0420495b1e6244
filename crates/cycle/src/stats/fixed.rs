//! Tests for a single, planned look at large samples.

use super::normal;

/// A difference of two rates with its unpooled interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Difference {
    /// Second minus first.
    pub estimate: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Two-sided p-value.
    pub p: f64,
}

/// Compares `hits[1]` of `trials[1]` with `hits[0]` of `trials[0]` by the unpooled normal approximation, with the
/// interval at level `alpha`. Without trials in an arm nothing is known: the interval is everything and p is 1.
pub fn two_proportions(hits: [f64; 2], trials: [f64; 2], alpha: f64) -> Difference {
    let unknown = Difference { estimate: 0.0, low: -1.0, high: 1.0, p: 1.0 };
    let usable =
        (0..2).all(|arm| trials[arm].is_finite() && trials[arm] > 0.0 && (0.0..=trials[arm]).contains(&hits[arm]));
    if !usable {
        return unknown;
    }
    let rate = [hits[0] / trials[0], hits[1] / trials[1]];
    let variance: f64 = (0..2).map(|arm| rate[arm] * (1.0 - rate[arm]) / trials[arm]).sum();
    let estimate = rate[1] - rate[0];
    let half = normal::upper_quantile(alpha / 2.0) * variance.sqrt();
    Difference { estimate, low: estimate - half, high: estimate + half, p: two_sided_p(z(estimate, variance)) }
}

/// Estimate over its standard error; 0 where that is not known.
pub fn z(estimate: f64, variance: f64) -> f64 {
    if estimate.is_finite() && variance.is_finite() && variance > 0.0 { estimate / variance.sqrt() } else { 0.0 }
}

/// Two-sided p-value of a standard normal value.
pub fn two_sided_p(z: f64) -> f64 {
    (2.0 * normal::upper(z.abs())).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_the_reference() {
        let found = two_proportions([100.0, 130.0], [1_000.0, 1_000.0], 0.05);
        assert!((found.low - 0.002_067_9).abs() < 5e-8, "{found:?}");
        assert!((found.high - 0.057_932_1).abs() < 5e-8, "{found:?}");
        assert!((found.p - 0.035_285_3).abs() < 5e-8, "{found:?}");
    }

    #[test]
    fn nothing_known_is_p_one() {
        for (hits, trials) in [([0.0, 0.0], [0.0, 5.0]), ([1.0, 1.0], [1.0, 1.0]), ([2.0, 0.0], [1.0, 1.0])] {
            assert!((two_proportions(hits, trials, 0.05).p - 1.0).abs() < 1e-12);
        }
    }
}
