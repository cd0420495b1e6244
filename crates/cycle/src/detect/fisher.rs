//! Fisher's exact test, one-sided, within strata: how likely it is that so many of a pattern's tasks fail if
//! failing had nothing to do with it.

/// Beyond this many steps the exact distribution of a sum over strata is replaced by the normal one.
const MOST_STEPS: usize = 50_000;

/// Logarithms of factorials.
#[derive(Debug, Clone)]
pub struct LnFactorials(Vec<f64>);

impl LnFactorials {
    /// Of all numbers up to `most`.
    pub fn up_to(most: usize) -> Self {
        let mut table = Vec::with_capacity(most + 1);
        let mut sum = 0.0;
        table.push(sum);
        for n in 1..=most {
            sum += (n as f64).ln();
            table.push(sum);
        }
        Self(table)
    }

    /// ln of `n` over `k`; minus infinity where there is no such choice.
    fn choose(&self, n: usize, k: usize) -> f64 {
        if k > n { f64::NEG_INFINITY } else { self.0[n] - self.0[k] - self.0[n - k] }
    }
}

/// The margins of one stratum's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Margins {
    /// Tasks.
    pub tasks: usize,
    /// Those that failed.
    pub failed: usize,
    /// Those with the pattern.
    pub with: usize,
}

impl Margins {
    fn least(self) -> usize {
        (self.failed + self.with).saturating_sub(self.tasks)
    }

    fn most(self) -> usize {
        self.failed.min(self.with)
    }

    fn mean(self) -> f64 {
        self.failed as f64 * self.with as f64 / (self.tasks as f64).max(1.0)
    }

    fn variance(self) -> f64 {
        let (n, f, k) = (self.tasks as f64, self.failed as f64, self.with as f64);
        if n > 1.0 { f * k * (n - f) * (n - k) / (n * n * (n - 1.0)) } else { 0.0 }
    }

    /// The hypergeometric probabilities from `least` to `most`.
    fn probabilities(self, ln: &LnFactorials) -> Vec<f64> {
        let all = ln.choose(self.tasks, self.with);
        (self.least()..=self.most())
            .map(|a| (ln.choose(self.failed, a) + ln.choose(self.tasks - self.failed, self.with - a) - all).exp())
            .collect()
    }
}

/// Both tails of the number of failed tasks with a pattern, given the margins.
#[derive(Debug, Clone, PartialEq)]
pub struct Tails {
    least: usize,
    /// P(that many or more), from `least` on.
    upper: Vec<f64>,
    /// P(that many or fewer), from `least` on.
    lower: Vec<f64>,
}

impl Tails {
    /// The sum over strata of hypergeometric numbers: exact by convolution, normal with a continuity correction
    /// (as Cochran-Mantel-Haenszel) where that would take too long.
    pub fn new(strata: &[Margins], ln: &LnFactorials) -> Self {
        let least = strata.iter().map(|stratum| stratum.least()).sum();
        let most: usize = strata.iter().map(|stratum| stratum.most()).sum();
        let mut width = 1;
        let steps = strata.iter().fold(0_usize, |steps, stratum| {
            let of = stratum.most() - stratum.least() + 1;
            let more = width * of;
            width += of - 1;
            steps + more
        });
        if strata.len() > 1 && steps > MOST_STEPS {
            return Self::normal(strata, least, most);
        }
        let mut sum = vec![1.0];
        for stratum in strata {
            sum = convolved(&sum, &stratum.probabilities(ln));
        }
        let mut lower: Vec<f64> = Vec::with_capacity(sum.len());
        let mut total = 0.0;
        for p in &sum {
            total += p;
            lower.push(f64::min(total, 1.0));
        }
        let mut upper = vec![0.0; sum.len()];
        let mut total = 0.0;
        for (place, p) in sum.iter().enumerate().rev() {
            total += p;
            upper[place] = f64::min(total, 1.0);
        }
        Self { least, upper, lower }
    }

    fn normal(strata: &[Margins], least: usize, most: usize) -> Self {
        let mean: f64 = strata.iter().map(|stratum| stratum.mean()).sum();
        let sigma = strata.iter().map(|stratum| stratum.variance()).sum::<f64>().sqrt().max(1e-9);
        let below = |a: f64| super::confidence::normal_cdf((a - mean) / sigma);
        let upper = (least..=most).map(|a| super::confidence::normal_cdf((mean - a as f64 + 0.5) / sigma)).collect();
        let lower = (least..=most).map(|a| below(a as f64 + 0.5)).collect();
        Self { least, upper, lower }
    }

    /// P(`failed` or more).
    pub fn upper(&self, failed: usize) -> f64 {
        self.at(&self.upper, failed)
    }

    /// P(`failed` or fewer).
    pub fn lower(&self, failed: usize) -> f64 {
        self.at(&self.lower, failed)
    }

    /// The smaller of the two, for each number that can occur, with the least such number.
    pub fn smaller(&self) -> (usize, Vec<f64>) {
        (self.least, self.upper.iter().zip(&self.lower).map(|(upper, lower)| upper.min(*lower)).collect())
    }

    fn at(&self, tail: &[f64], failed: usize) -> f64 {
        failed.checked_sub(self.least).and_then(|place| tail.get(place)).copied().unwrap_or(1.0)
    }
}

fn convolved(a: &[f64], b: &[f64]) -> Vec<f64> {
    let mut sum = vec![0.0; a.len() + b.len() - 1];
    for (i, x) in a.iter().enumerate() {
        for (j, y) in b.iter().enumerate() {
            sum[i + j] += x * y;
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_table() {
        // The lady tasting tea: 3 of 4 right has p = 17/70, 4 of 4 has 1/70.
        let tea = Tails::new(&[Margins { tasks: 8, failed: 4, with: 4 }], &LnFactorials::up_to(8));
        assert!((tea.upper(3) - 17.0 / 70.0).abs() < 1e-12 && (tea.upper(4) - 1.0 / 70.0).abs() < 1e-12);
        assert!((tea.lower(0) - 1.0 / 70.0).abs() < 1e-12 && (tea.lower(4) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn strata_add_up_and_the_normal_one_is_close() {
        let ln = LnFactorials::up_to(400);
        let strata = [Margins { tasks: 300, failed: 90, with: 120 }, Margins { tasks: 400, failed: 200, with: 80 }];
        let exact = Tails::new(&strata, &ln);
        let normal = Tails::normal(&strata, exact.least, exact.least + exact.upper.len() - 1);
        for failed in [60, 76, 85, 95] {
            assert!((exact.upper(failed) - normal.upper(failed)).abs() < 2e-3, "{failed}");
            assert!((exact.lower(failed) - normal.lower(failed)).abs() < 2e-3, "{failed}");
        }
    }

    #[test]
    fn empty_margins_say_nothing() {
        let ln = LnFactorials::up_to(5);
        for margins in [
            Margins { tasks: 0, failed: 0, with: 0 },
            Margins { tasks: 5, failed: 5, with: 3 },
            Margins { tasks: 5, failed: 0, with: 3 },
            Margins { tasks: 5, failed: 2, with: 5 },
        ] {
            let tails = Tails::new(&[margins], &ln);
            assert!((tails.upper(margins.most()) - 1.0).abs() < 1e-9, "{margins:?}");
            assert!((tails.lower(margins.least()) - 1.0).abs() < 1e-9, "{margins:?}");
        }
    }
}
