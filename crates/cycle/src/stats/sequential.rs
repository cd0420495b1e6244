//! Group-sequential bounds: a few planned looks with an alpha-spending function (Lan and `DeMets` 1983; the recursion is
//! Armitage, `McPherson` and Rowe 1969). The decisions do not use them; they are the yardstick the e-processes are held
//! against.

use super::normal;

/// Cells per standard deviation as in the published programs; finer ones move the fourth decimal.
const STEP: f64 = 0.05;
const REACH: f64 = 8.0;

/// One-sided bounds on the standardised statistic at the information fractions given (ascending, in (0, 1]), spending
/// `alpha t^2` by fraction `t`.
pub fn quadratic_spending_bounds(alpha: f64, fractions: &[f64]) -> Vec<f64> {
    let mut bounds = Vec::with_capacity(fractions.len());
    // Density of the score process at the last look, over those that went on.
    let mut density: Vec<(f64, f64)> = vec![(0.0, 1.0)];
    let (mut last, mut spent) = (0.0, 0.0);
    for &fraction in fractions {
        let increment: f64 = (fraction - last).max(1e-9);
        let spend = alpha * fraction * fraction - spent;
        let spread = increment.sqrt();
        let beyond = |bound: f64| -> f64 {
            let level = bound * fraction.sqrt();
            density.iter().map(|(at, mass)| mass * normal::upper((level - at) / spread)).sum()
        };
        let bound = root(beyond, spend);
        bounds.push(bound);
        density = carry_on(&density, spread, fraction.sqrt(), bound);
        last = fraction;
        spent = alpha * fraction * fraction;
    }
    bounds
}

/// Where the decreasing function falls to `target`.
fn root(function: impl Fn(f64) -> f64, target: f64) -> f64 {
    let (mut low, mut high) = (-REACH, REACH);
    for _ in 0..80 {
        let middle = 0.5 * (low + high);
        if function(middle) > target {
            low = middle;
        } else {
            high = middle;
        }
    }
    0.5 * (low + high)
}

/// The density at the next look over those that go on, by the trapezoidal rule.
fn carry_on(density: &[(f64, f64)], spread: f64, scale: f64, bound: f64) -> Vec<(f64, f64)> {
    let (low, high) = (-REACH * scale, bound * scale);
    let steps = ((high - low) / (STEP * spread)).ceil().max(1.0);
    let width = (high - low) / steps;
    (0..=steps as usize)
        .map(|step| {
            let at = low + step as f64 * width;
            let height: f64 = density
                .iter()
                .map(|(from, mass)| {
                    let z = (at - from) / spread;
                    mass * (-0.5 * z * z).exp()
                })
                .sum();
            let edge = if step == 0 || step == steps as usize { 0.5 } else { 1.0 };
            (at, edge * height * width / (spread * (2.0 * std::f64::consts::PI).sqrt()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_the_reference() {
        let bounds = quadratic_spending_bounds(0.05, &[0.25, 0.5, 0.75, 1.0]);
        for (bound, expected) in bounds.iter().zip([2.7344, 2.3018, 2.0101, 1.7691]) {
            assert!((bound - expected).abs() < 5e-5, "{bounds:?}");
        }
    }
}
