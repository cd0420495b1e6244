//! The normal distribution, with logarithms that do not underflow.

use std::f64::consts::SQRT_2;

use statrs::function::erf::{erfc, erfc_inv};

const LN_SQRT_2PI: f64 = 0.918_938_533_204_672_7;

/// Distribution function.
pub fn cdf(x: f64) -> f64 {
    0.5 * erfc(-x / SQRT_2)
}

/// Upper tail, `1 - cdf(x)`, with its digits kept.
pub fn upper(x: f64) -> f64 {
    0.5 * erfc(x / SQRT_2)
}

/// Value exceeded with probability `p`; `p` is held inside (0, 1).
pub fn upper_quantile(p: f64) -> f64 {
    SQRT_2 * erfc_inv(2.0 * p.clamp(1e-300, 1.0 - 1e-16))
}

/// Natural logarithm of the distribution function.
///
/// Below -20 the asymptotic series of Mills' ratio is used (Abramowitz and Stegun 26.2.12, relative error under 1e-9
/// there), because the function itself would underflow near -38.
pub fn ln_cdf(x: f64) -> f64 {
    if x > -20.0 {
        return cdf(x).ln();
    }
    let inverse_square = 1.0 / (x * x);
    let series = 1.0 - inverse_square * (1.0 - 3.0 * inverse_square * (1.0 - 5.0 * inverse_square));
    -0.5 * x * x - LN_SQRT_2PI - (-x).ln() + series.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_joins_smoothly_and_never_underflows() {
        let (left, right) = (ln_cdf(-20.000_001), ln_cdf(-19.999_999));
        assert!((left - right).abs() < 1e-4, "{left} {right}");
        assert!((ln_cdf(-37.0) - (-689.030_586_8)).abs() < 1e-5, "{}", ln_cdf(-37.0));
        assert!(ln_cdf(-1e6).is_finite());
        assert!(ln_cdf(40.0).abs() < 1e-12);
    }

    #[test]
    fn quantiles_invert_tails() {
        assert!((upper_quantile(0.025) - 1.959_963_984_5).abs() < 1e-8);
        assert!((upper(upper_quantile(1e-12)) / 1e-12 - 1.0).abs() < 1e-6);
    }
}
