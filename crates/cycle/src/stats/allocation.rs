//! Sample-ratio mismatch: were units split as declared?

use statrs::function::gamma::ln_gamma;

/// Pseudo-units of the mixing distribution: how near to the declared shares a mismatch is looked for.
pub const CONCENTRATION: f64 = 100.0;

/// Natural logarithm of the Dirichlet-multinomial evidence against the shares, at every look: `lnB(a0+n) - lnB(a0) -
/// sum of n_i ln theta_i` with `a0 = concentration * theta` (Lindon and Malek 2022). Zero where a share is not in (0,
/// 1) or counts are not finite.
pub fn ln_mismatch(counts: [f64; 2], shares: [f64; 2], concentration: f64) -> f64 {
    let usable = counts.iter().all(|count| count.is_finite() && *count >= 0.0)
        && shares.iter().all(|share| *share > 0.0 && *share < 1.0);
    if !usable {
        return 0.0;
    }
    let ln_beta =
        |parts: [f64; 2]| parts.iter().map(|part| ln_gamma(*part)).sum::<f64>() - ln_gamma(parts.iter().sum());
    let prior = shares.map(|share| concentration * share);
    ln_beta([prior[0] + counts[0], prior[1] + counts[1]])
        - ln_beta(prior)
        - counts[0] * shares[0].ln()
        - counts[1] * shares[1].ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_the_reference() {
        let odds = ln_mismatch([850.0, 150.0], [0.8, 0.2], 100.0).exp();
        assert!((odds - 640.217).abs() < 5e-4, "{odds}");
        assert!((1.0 / odds - 0.001_561_97).abs() < 5e-9);
    }

    #[test]
    fn says_nothing_without_data() {
        assert!(ln_mismatch([0.0, 0.0], [0.5, 0.5], 100.0).abs() < 1e-9);
        assert!(ln_mismatch([5.0, 5.0], [0.0, 1.0], 100.0).abs() < f64::EPSILON);
        assert!(ln_mismatch([f64::NAN, 5.0], [0.5, 0.5], 100.0).abs() < f64::EPSILON);
    }
}
