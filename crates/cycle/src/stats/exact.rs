//! Exact tests for counts.

use statrs::function::factorial::ln_factorial;

use super::beta::ln_lower;

/// Probability of at least `hits` of `trials` at rate one half.
fn half_upper(hits: u64, trials: u64) -> f64 {
    if hits == 0 {
        return 1.0;
    }
    if hits > trials {
        return 0.0;
    }
    ln_lower(0.5, hits as f64, (trials - hits) as f64 + 1.0).exp().min(1.0)
}

/// `McNemar`'s exact test: of the pairs that differ, `against` went one way and `towards` the other. One-sided, for
/// "`against` is the more common".
pub fn mcnemar_one_sided(against: u64, towards: u64) -> f64 {
    half_upper(against, against + towards)
}

/// `McNemar`'s exact test, two-sided.
pub fn mcnemar(lost: u64, gained: u64) -> f64 {
    (2.0 * half_upper(lost.max(gained), lost + gained)).min(1.0)
}

/// Fisher's exact test, one-sided: the probability that the second group has at least its hits given the margins.
/// `hits[i]` of `trials[i]`; counts that do not fit give 1.
pub fn fisher_upper(hits: [u64; 2], trials: [u64; 2]) -> f64 {
    if hits[0] > trials[0] || hits[1] > trials[1] {
        return 1.0;
    }
    let (total, all) = (hits[0] + hits[1], trials[0] + trials[1]);
    let ln_choose = |n: u64, k: u64| ln_factorial(n) - ln_factorial(k) - ln_factorial(n - k);
    let highest = total.min(trials[1]);
    let whole = ln_choose(all, total);
    let tail: f64 = (hits[1]..=highest)
        .filter(|second| total - second <= trials[0])
        .map(|second| (ln_choose(trials[1], second) + ln_choose(trials[0], total - second) - whole).exp())
        .sum();
    tail.min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mcnemar_equals_published_pairs() {
        for (lost, gained, expected) in
            [(9, 10, 1.0), (7, 5, 0.774), (2, 18, 0.000_402), (28, 14, 0.0436), (14, 0, 0.000_122), (0, 0, 1.0)]
        {
            let p = mcnemar(lost, gained);
            assert!((p - expected).abs() < 0.003 * expected, "{lost} {gained} {p}");
        }
        assert!((mcnemar(7, 638) / 1.24e-178 - 1.0).abs() < 0.01);
    }

    #[test]
    fn fisher_equals_the_tea_tasting() {
        assert!((fisher_upper([1, 3], [4, 4]) - 17.0 / 70.0).abs() < 1e-9);
        assert!((fisher_upper([0, 0], [4, 4]) - 1.0).abs() < 1e-9);
        assert!((fisher_upper([0, 4], [4, 4]) - 1.0 / 70.0).abs() < 1e-9);
        assert!((fisher_upper([5, 4], [4, 4]) - 1.0).abs() < f64::EPSILON);
    }
}
