//! Averages of evidence, computed on logarithms.

/// Natural logarithm of `sum of weight * exp(ln)`; 0 weights are skipped and the empty sum is minus infinity. A weighted
/// mean of e-values is an e-value whatever their dependence (Vovk and Wang 2021).
pub fn ln_sum(terms: impl Iterator<Item = (f64, f64)> + Clone) -> f64 {
    let largest =
        terms.clone().filter(|term| term.0 > 0.0).fold(f64::NEG_INFINITY, |largest, (_, ln)| largest.max(ln));
    if !largest.is_finite() {
        return largest;
    }
    let sum: f64 = terms.filter(|term| term.0 > 0.0).map(|(weight, ln)| weight * (ln - largest).exp()).sum();
    largest + sum.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_of_huge_evidence_stay_finite() {
        let terms = [(0.5, 2_000.0), (0.5, 0.0), (0.0, f64::NAN)];
        assert!((ln_sum(terms.into_iter()) - (2_000.0 + 0.5_f64.ln())).abs() < 1e-9);
        assert!((ln_sum([(0.25, 0.0), (0.75, 0.0)].into_iter())).abs() < 1e-12);
        assert!(ln_sum(std::iter::empty()) < f64::MIN);
    }
}
