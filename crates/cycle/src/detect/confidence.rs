//! How sure we are, as probabilities. Nothing here is ever NaN: what cannot be worked out counts as not sure.

use statrs::distribution::{ContinuousCDF, Normal, StudentsT};
use statrs::function::beta::checked_beta_reg;
use statrs::function::gamma::{checked_gamma_lr, checked_gamma_ur};

/// The most that is ever claimed: models are never all there is.
pub const MOST: f64 = 0.99;

/// A probability as a confidence, from 0 to [`MOST`]; 0 where it is none.
pub fn sure(probability: f64) -> f64 {
    if probability.is_nan() { 0.0 } else { probability.clamp(0.0, MOST) }
}

/// How sure it is that a share lies above `threshold` when `hits` of `n` did: the tail of the Beta posterior
/// from Jeffreys' prior, Beta(hits + 1/2, n - hits + 1/2).
pub fn share_above(hits: f64, n: f64, threshold: f64) -> f64 {
    let misses = n - hits;
    if !(n > 0.0 && hits >= 0.0 && misses >= 0.0 && (0.0..=1.0).contains(&threshold)) {
        return 0.0;
    }
    checked_beta_reg(hits + 0.5, misses + 0.5, threshold).map_or(0.0, |below| sure(1.0 - below))
}

/// How sure it is that a Poisson rate lies above `threshold` when `count` were seen: the tail of the Gamma
/// posterior from Jeffreys' prior, Gamma(count + 1/2, 1).
pub fn rate_above(count: f64, threshold: f64) -> f64 {
    if !(count >= 0.0 && threshold >= 0.0 && count.is_finite()) {
        return 0.0;
    }
    if threshold <= 0.0 {
        return MOST;
    }
    checked_gamma_ur(count + 0.5, threshold).map_or(0.0, sure)
}

/// The chance of `count` or more where `mean` are expected: the Poisson tail, extended to fractions by the
/// incomplete gamma function.
pub fn poisson_tail(count: f64, mean: f64) -> f64 {
    if !(count > 0.0 && mean > 0.0 && count.is_finite() && mean.is_finite()) {
        return if mean > 0.0 || count <= 0.0 { 1.0 } else { 0.0 };
    }
    let tail = checked_gamma_lr(count, mean).unwrap_or(f64::NAN);
    if tail.is_nan() {
        // Beyond what the incomplete gamma function can work out, the distribution is a step at its mean.
        return if count > mean { 0.0 } else { 1.0 };
    }
    tail.clamp(0.0, 1.0)
}

/// How sure it is that an estimate's true value lies above `threshold`, by the normal approximation.
pub fn estimate_above(estimate: f64, se: f64, threshold: f64) -> f64 {
    if se > 0.0 {
        sure(normal_cdf((estimate - threshold) / se))
    } else {
        // No spread at all was seen: the estimate is taken at its word.
        sure(f64::from(u8::from(estimate > threshold)))
    }
}

/// The standard normal distribution function.
pub fn normal_cdf(z: f64) -> f64 {
    Normal::new(0.0, 1.0).map_or(0.5, |normal| normal.cdf(z))
}

/// Count, mean and variance of logarithms.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Logs {
    /// How many.
    pub n: f64,
    /// Their mean.
    pub mean: f64,
    /// Their sample variance.
    pub variance: f64,
}

impl Logs {
    /// Of these values; those not above 0 have no logarithm and are left out. None under two values.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let logs: Vec<f64> =
            values.into_iter().filter(|value| *value > 0.0 && value.is_finite()).map(f64::ln).collect();
        let n = logs.len() as f64;
        if logs.len() < 2 {
            return None;
        }
        let mean = logs.iter().sum::<f64>() / n;
        let variance = logs.iter().map(|log| (log - mean).powi(2)).sum::<f64>() / (n - 1.0);
        Some(Self { n, mean, variance })
    }
}

/// How far two means of logarithms lie apart, by Welch's comparison (unequal variances, Welch 1947).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LogRatio {
    /// The difference of the means: the logarithm of the ratio of the geometric means.
    pub difference: f64,
    /// Its standard error.
    pub se: f64,
    /// Welch-Satterthwaite degrees of freedom.
    pub df: f64,
}

impl LogRatio {
    /// `over` against `under`.
    pub fn new(over: Logs, under: Logs) -> Self {
        let (a, b) = (over.variance / over.n, under.variance / under.n);
        let spread = a * a / (over.n - 1.0).max(1.0) + b * b / (under.n - 1.0).max(1.0);
        let df = if spread > 0.0 { (a + b) * (a + b) / spread } else { over.n + under.n - 2.0 };
        Self { difference: over.mean - under.mean, se: (a + b).sqrt(), df: df.max(1.0) }
    }

    /// The ratio.
    pub fn ratio(&self) -> f64 {
        self.difference.exp()
    }

    /// A two-sided 95 % interval of the ratio.
    pub fn interval(&self) -> (f64, f64) {
        let quantile = StudentsT::new(0.0, 1.0, self.df).map_or(1.96, |t| t.inverse_cdf(0.975));
        ((self.difference - quantile * self.se).exp(), (self.difference + quantile * self.se).exp())
    }

    /// How sure it is that the ratio lies above `ratio`.
    pub fn above(&self, ratio: f64) -> f64 {
        let distance = self.difference - ratio.max(f64::MIN_POSITIVE).ln();
        if self.se > 0.0 {
            StudentsT::new(0.0, 1.0, self.df).map_or(0.0, |t| sure(t.cdf(distance / self.se)))
        } else {
            estimate_above(distance, 0.0, 0.0)
        }
    }
}

/// A share of totals, as of tokens: the sum over some tasks by the sum over all, with its standard error by
/// linearisation of the ratio.
pub fn share_of_totals(parts: &[(f64, bool)]) -> (f64, f64) {
    let all: f64 = parts.iter().map(|(value, _)| value).sum();
    if all <= 0.0 {
        return (0.0, 0.0);
    }
    let share = parts.iter().filter(|(_, counts)| *counts).map(|(value, _)| value).sum::<f64>() / all;
    let squares: f64 =
        parts.iter().map(|(value, counts)| (value * (f64::from(u8::from(*counts)) - share)).powi(2)).sum();
    (share, squares.sqrt() / all)
}

/// The middle value; none of nothing.
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    quantile(&mut values, 0.5)
}

/// The value below which a share of `at` lies, by linear interpolation; none of nothing.
pub fn quantile(values: &mut [f64], at: f64) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let last = values.len().checked_sub(1)?;
    let place = at.clamp(0.0, 1.0) * last as f64;
    let (low, high) = (values[place.floor() as usize], values[place.ceil() as usize]);
    Some(low + (high - low) * place.fract())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tails_agree_with_known_values() {
        // P(Poisson(2) >= 6) summed by hand; the others by numerical integration of the densities.
        for (got, want) in [
            (poisson_tail(6.0, 2.0), 0.016_563_6),
            (share_above(6.0, 10.0, 0.3), 0.976_56),
            (rate_above(10.0, 5.0), 0.978_91),
            (estimate_above(1.959_964, 1.0, 0.0), 0.975),
            (poisson_tail(2.8e307, 3.8e206), 0.0),
            (poisson_tail(3.8e206, 2.8e307), 1.0),
        ] {
            assert!((got - want).abs() < 5e-4, "{got} {want}");
        }
    }

    #[test]
    fn welch_agrees_with_known_values() {
        let (over, under) = (Logs { n: 20.0, mean: 2.0, variance: 1.0 }, Logs { n: 50.0, mean: 1.5, variance: 4.0 });
        let ratio = LogRatio::new(over, under);
        assert!((ratio.se - 0.360_555).abs() < 1e-6 && (ratio.df - 64.456_8).abs() < 1e-3, "{ratio:?}");
        let (low, high) = ratio.interval();
        assert!(low < ratio.ratio() && ratio.ratio() < high);
        assert!((ratio.above(ratio.ratio()) - 0.5).abs() < 1e-9);
    }

    #[test]
    fn shares_of_totals() {
        let (share, se) = share_of_totals(&[(30.0, true), (10.0, false), (10.0, false)]);
        assert!((share - 0.6).abs() < 1e-12 && se > 0.0);
        assert_eq!(share_of_totals(&[]), (0.0, 0.0));
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(Vec::new()), None);
    }

    proptest::proptest! {
        #[test]
        fn never_nan(a in proptest::num::f64::ANY, b in proptest::num::f64::ANY, c in proptest::num::f64::ANY) {
            for value in [share_above(a, b, c), rate_above(a, b), poisson_tail(a, b), estimate_above(a, b, c), sure(a)] {
                proptest::prop_assert!((0.0..=1.0).contains(&value), "{value}");
            }
        }
    }
}
