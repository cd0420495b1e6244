//! Normal mixtures: evidence about a mean that may be looked at any time.
//!
//! Howard, Ramdas, `McAuliffe`, Sekhon, "Time-uniform, nonparametric, nonasymptotic confidence sequences" (2021),
//! Proposition 6; with an empirical variance they hold asymptotically (Waudby-Smith et al., arXiv 2103.06476).

use std::f64::consts::LN_2;

use super::normal;

/// The parameter that makes a two-sided mixture tightest at information `v`, at level `alpha`; `v` above 0, `alpha` in
/// (0, 1). For a one-sided mixture give twice its level.
pub fn best_rho(v: f64, alpha: f64) -> f64 {
    let odds = 2.0 * (1.0 / alpha.clamp(1e-300, 0.999_999)).ln();
    v / (odds + odds.ln_1p())
}

/// Natural logarithm of the one-sided mixture at `s` with intrinsic time `v`, both not centred on anything: `s` has
/// variance `v` and mean at most 0 under the hypothesis. Where there is no information the evidence is 1.
pub fn one_sided(s: f64, v: f64, rho: f64) -> f64 {
    let usable = v.is_finite() && v > 0.0 && s.is_finite() && rho.is_finite() && rho > 0.0;
    if !usable {
        return 0.0;
    }
    let scale = v + rho;
    let z = s / scale.sqrt();
    LN_2 + 0.5 * (rho / scale).ln() + 0.5 * z * z + normal::ln_cdf(z)
}

/// Natural logarithm of the two-sided mixture.
pub fn two_sided(s: f64, v: f64, rho: f64) -> f64 {
    let usable = v.is_finite() && v > 0.0 && s.is_finite() && rho.is_finite() && rho > 0.0;
    if !usable {
        return 0.0;
    }
    0.5 * (rho / (v + rho)).ln() + s * s / (2.0 * (v + rho))
}

/// The `s` at which the one-sided mixture reaches `1/alpha` at time `v`: the curved boundary, by bisection.
pub fn one_sided_bound(v: f64, alpha: f64, rho: f64) -> f64 {
    let target = (1.0 / alpha).ln();
    let mut low = 0.0;
    let mut high = two_sided_bound(v, alpha, rho) + (v + rho).sqrt();
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        if one_sided(middle, v, rho) < target {
            low = middle;
        } else {
            high = middle;
        }
    }
    0.5 * (low + high)
}

/// The `|s|` at which the two-sided mixture reaches `1/alpha` at time `v`.
pub fn two_sided_bound(v: f64, alpha: f64, rho: f64) -> f64 {
    ((v + rho) * ((1.0 + v / rho).ln() + 2.0 * (1.0 / alpha).ln())).sqrt()
}

/// Half the width of the two-sided interval that holds at every look: for an estimate with variance `variance`,
/// `sqrt(V (1+r) ln((1+r)/(r alpha^2)))` with `r = rho V`. Infinite where there is no information.
pub fn radius(variance: f64, alpha: f64, rho: f64) -> f64 {
    if !(variance.is_finite() && variance >= 0.0 && rho > 0.0) {
        return f64::INFINITY;
    }
    let r = rho * variance;
    if r <= 0.0 {
        return 0.0;
    }
    (variance * (1.0 + r) * ((1.0 + r) / (r * alpha * alpha)).ln()).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_equal_the_reference() {
        assert!((one_sided_bound(100.0, 0.05, best_rho(100.0, 0.1)) - 27.660_709).abs() < 5e-7);
        assert!((two_sided_bound(100.0, 0.05, best_rho(100.0, 0.05)) - 30.352_090).abs() < 5e-7);
    }

    #[test]
    fn evidence_in_information_time_equals_the_reference() {
        let variance: f64 = 100.0 / 200.0 + 81.0 / 800.0;
        let v = 1.0 / variance;
        let evidence = one_sided(2.0 * v, v, best_rho(v, 2.0 * 0.05 / 6.0));
        assert!((2.0 / variance.sqrt() - 2.579_304).abs() < 5e-7);
        assert!((evidence - 2.503_932).abs() < 5e-7, "{evidence}");
    }

    #[test]
    fn the_interval_excludes_zero_when_the_mixture_reaches_its_level() {
        let (variance, rho): (f64, f64) = (0.04, 30.0);
        let half = radius(variance, 0.05, rho);
        let evidence = two_sided(half / variance, 1.0 / variance, rho);
        assert!((evidence - 20.0_f64.ln()).abs() < 1e-9, "{evidence}");
    }

    #[test]
    fn nothing_known_is_evidence_one() {
        for (s, v, rho) in [(0.0, 0.0, 1.0), (f64::NAN, 1.0, 1.0), (1.0, f64::INFINITY, 1.0), (1.0, 1.0, 0.0)] {
            assert!(one_sided(s, v, rho).abs() < f64::EPSILON);
            assert!(two_sided(s, v, rho).abs() < f64::EPSILON);
        }
        assert!(one_sided(-1e9, 1.0, 1.0).is_finite());
        assert!(one_sided(1e9, 1.0, 1.0).is_finite());
    }
}
