//! The beta distribution in logarithms.
//!
//! A library's regularised beta function underflows to 0 in the tails where evidence lives, so the continued fraction
//! is evaluated here and its logarithm taken term by term (Press et al., Numerical Recipes, section 6.4; DLMF 8.17.22).

use statrs::function::gamma::ln_gamma;

/// Natural logarithm of the beta function; both arguments above 0.
pub fn ln_beta(a: f64, b: f64) -> f64 {
    ln_gamma(a) + ln_gamma(b) - ln_gamma(a + b)
}

/// Natural logarithm of the regularised incomplete beta function `I_x(a, b)`, the probability that a Beta(a, b)
/// variable is at most `x`; `a` and `b` above 0, `x` in [0, 1].
pub fn ln_lower(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 {
        return f64::NEG_INFINITY;
    }
    if x >= 1.0 {
        return 0.0;
    }
    if x < (a + 1.0) / (a + b + 2.0) {
        ln_by_fraction(x, a, b)
    } else {
        // 1 - I_{1-x}(b, a); the complement is the smaller one here, so nothing cancels.
        let complement = ln_by_fraction(1.0 - x, b, a).min(0.0);
        (-complement.exp_m1()).max(f64::MIN_POSITIVE).ln()
    }
}

/// Natural logarithm of `1 - I_x(a, b)`, the probability that a Beta(a, b) variable is above `x`.
pub fn ln_upper(x: f64, a: f64, b: f64) -> f64 {
    ln_lower(1.0 - x, b, a)
}

fn ln_by_fraction(x: f64, a: f64, b: f64) -> f64 {
    let front = a * x.ln() + b * (-x).ln_1p() - ln_beta(a, b) - a.ln();
    front + fraction(x, a, b).max(f64::MIN_POSITIVE).ln()
}

/// Lentz's method; converges in about the square root of the larger argument.
fn fraction(x: f64, a: f64, b: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let away_from_zero = |value: f64| if value.abs() < TINY { TINY } else { value };
    let mut c = 1.0;
    let mut d = 1.0 / away_from_zero(1.0 - (a + b) * x / (a + 1.0));
    let mut value = d;
    for step in 1..5_000 {
        let m = f64::from(step);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / away_from_zero(1.0 + even * d);
        c = away_from_zero(1.0 + even / c);
        value *= d * c;
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / away_from_zero(1.0 + odd * d);
        c = away_from_zero(1.0 + odd / c);
        value *= d * c;
        if (d * c - 1.0).abs() < 1e-14 {
            break;
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use statrs::function::beta::beta_reg;

    #[test]
    fn agrees_with_the_library_where_that_has_digits() {
        for (a, b, x) in [(4.0, 16.0, 0.2), (34.0, 86.0, 0.2), (1.5, 0.5, 0.9), (900.0, 1_100.0, 0.46)] {
            let expected = beta_reg(a, b, x);
            assert!((ln_lower(x, a, b).exp() - expected).abs() < 1e-10, "{a} {b} {x}");
            assert!((ln_upper(x, a, b).exp() - (1.0 - expected)).abs() < 1e-10, "{a} {b} {x}");
        }
    }

    #[test]
    fn far_tails_stay_finite() {
        assert!((ln_lower(1e-3, 1_000.0, 1.0) - 1_000.0 * 1e-3_f64.ln()).abs() < 1e-6);
        assert!(ln_upper(0.5, 4.0, 100_000.0).is_finite());
        assert!(ln_upper(0.5, 100_000.0, 4.0).abs() < 1e-12);
    }
}
