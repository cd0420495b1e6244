//! What a stratum remembers of one arm: count, sum and sum of squares, from which single values can be taken out again
//! exactly as they were put in.

use serde::{Deserialize, Serialize};

/// Count, sum and sum of squares of values that were centred before, so that nothing is lost to cancellation.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Sums {
    /// Number of values.
    pub n: f64,
    /// Sum of values.
    pub sum: f64,
    /// Sum of squared values.
    pub squares: f64,
}

impl Sums {
    /// Adds a value; one that is not finite is left out.
    pub fn add(&mut self, value: f64) {
        if value.is_finite() {
            self.n += 1.0;
            self.sum += value;
            self.squares += value * value;
        }
    }

    /// Takes out a value that was added before.
    pub fn remove(&mut self, value: f64) {
        if value.is_finite() {
            self.n -= 1.0;
            self.sum -= value;
            self.squares -= value * value;
        }
    }

    /// Both together.
    #[must_use]
    pub fn merge(self, other: Self) -> Self {
        Self { n: self.n + other.n, sum: self.sum + other.sum, squares: self.squares + other.squares }
    }

    /// Mean, 0 where there is nothing.
    pub fn mean(&self) -> f64 {
        if self.n > 0.0 { self.sum / self.n } else { 0.0 }
    }

    /// Sum of squared deviations from the mean, at least 0.
    pub fn deviations(&self) -> f64 {
        if self.n > 0.0 { (self.squares - self.sum * self.sum / self.n).max(0.0) } else { 0.0 }
    }

    /// Variance of a value, blended with a prior variance worth `weight` values: the variance of five values is too
    /// unsure to divide by.
    pub fn variance(&self, prior: f64, weight: f64) -> f64 {
        let degrees = (self.n - 1.0).max(0.0) + weight;
        if degrees > 0.0 { (self.deviations() + weight * prior) / degrees } else { prior }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_out_leaves_no_trace() {
        let mut sums = Sums::default();
        for value in [1.0, 2.5, f64::NAN, -3.0, f64::INFINITY] {
            sums.add(value);
        }
        let before = sums;
        sums.add(7.25);
        sums.remove(7.25);
        sums.remove(f64::NAN);
        assert_eq!(sums, before);
        assert!((sums.mean() - 0.5 / 3.0).abs() < 1e-12);
        assert!(Sums::default().variance(2.0, 1.0) > 1.9);
    }
}
