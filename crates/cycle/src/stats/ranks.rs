//! Wilcoxon's signed-rank test.

use super::normal;

/// Differences up to this many, without ties, are tested exactly.
const EXACT: usize = 50;

/// One-sided p-values of a signed-rank test on differences.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SignedRank {
    /// Against "the differences are centred at or below 0".
    pub above: f64,
    /// Against "the differences are centred at or above 0".
    pub below: f64,
}

impl SignedRank {
    /// Two-sided p-value.
    pub fn two_sided(&self) -> f64 {
        (2.0 * self.above.min(self.below)).min(1.0)
    }
}

/// Tests the differences: zeros dropped (Wilcoxon), exactly where they are few and untied, else by the normal
/// approximation corrected for ties. Values that are not finite are left out.
pub fn signed_rank(differences: impl Iterator<Item = f64>) -> SignedRank {
    let mut values: Vec<f64> = differences.filter(|value| value.is_finite() && *value != 0.0).collect();
    values.sort_by(|a, b| a.abs().total_cmp(&b.abs()));
    let n = values.len();
    if n == 0 {
        return SignedRank { above: 1.0, below: 1.0 };
    }
    let (mut positive, mut ties) = (0.0, 0.0);
    for group in values.chunk_by(|a, b| (a.abs() - b.abs()).abs() <= f64::EPSILON * a.abs()) {
        let size = group.len() as f64;
        ties += size * size * size - size;
    }
    let mut before = 0;
    for group in values.chunk_by(|a, b| (a.abs() - b.abs()).abs() <= f64::EPSILON * a.abs()) {
        let rank = before as f64 + 0.5 * (group.len() as f64 + 1.0);
        positive += rank * group.iter().filter(|value| **value > 0.0).count() as f64;
        before += group.len();
    }
    let count = n as f64;
    let total = count * (count + 1.0) / 2.0;
    if ties == 0.0 && n <= EXACT {
        return exact(n, positive as usize, total as usize);
    }
    let variance = count * (count + 1.0) * (2.0 * count + 1.0) / 24.0 - ties / 48.0;
    let z = if variance > 0.0 { (positive - total / 2.0) / variance.sqrt() } else { 0.0 };
    SignedRank { above: normal::upper(z), below: normal::upper(-z) }
}

/// Counts the sign patterns by their rank sum.
fn exact(n: usize, positive: usize, total: usize) -> SignedRank {
    let mut ways = vec![0.0_f64; total + 1];
    ways[0] = 1.0;
    let mut reach = 0;
    for rank in 1..=n {
        reach += rank;
        for sum in (rank..=reach).rev() {
            ways[sum] += ways[sum - rank];
        }
    }
    let all = (n as f64).exp2();
    let tail = |from: usize| -> f64 { ways[from.min(total)..].iter().sum::<f64>() / all };
    // The null distribution is symmetric.
    SignedRank { above: tail(positive).min(1.0), below: tail(total - positive).min(1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_samples_are_exact() {
        let all_up = signed_rank([1.0, 2.0, 3.0, 4.0, 5.0].into_iter());
        assert!((all_up.above - 1.0 / 32.0).abs() < 1e-12);
        assert!((all_up.two_sided() - 1.0 / 16.0).abs() < 1e-12);
        assert!((all_up.below - 1.0).abs() < 1e-12);
    }

    #[test]
    fn ties_zeros_and_nonsense_are_survived() {
        assert!((signed_rank([0.0, f64::NAN].into_iter()).two_sided() - 1.0).abs() < f64::EPSILON);
        let tied = signed_rank([1.0, 1.0, -1.0, 1.0].into_iter());
        assert!(tied.above > 0.05 && tied.above < 0.5);
        let many = signed_rank((1..=200).map(f64::from));
        assert!(many.above < 1e-30 && many.below > 0.999);
    }
}
