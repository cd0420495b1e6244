//! Where a series goes over to another level: the most probable cut into stretches, and how sure each cut is.

use statrs::function::gamma::ln_gamma;

use crate::detect::confidence;

/// Chance of a change from one value to the next, before anything was seen.
const HAZARD: f64 = 1e-6;
/// What a level and a slope (over the whole series) are expected to be, before anything was seen: 0, give or take the
/// spread of the series, worth one value.
const WORTH: f64 = 1.0;
/// Shape and scale of the inverse-gamma prior of a stretch's variance, in variances of the whole series.
const SHAPE: f64 = 1.0;
const SCALE: f64 = 1.0;
/// Least values of a stretch: a few that lie together are outliers, and no level.
const LEAST: usize = 5;
/// Values beside a cut whose chance of being the cut is counted to it.
const NEARBY: usize = 2;
/// Least of a stretch's remaining sum of squares, so that a constant has a logarithm.
const FLOOR: f64 = 1e-9;

/// A change.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Change {
    /// The first value of the new level.
    pub at: usize,
    /// The probability that there is a change here, give or take two values.
    pub probability: f64,
}

/// The changes in a series of evenly weighed values, in order.
///
/// A stretch is a line (level and slope) with normal noise of its own; its parameters have conjugate priors that are
/// worth one value, so its marginal likelihood has a closed form (Bishop, "Pattern Recognition and Machine Learning",
/// 2006, section 3.5.1 with the variance unknown; O'Hagan and Forster, "Bayesian Inference", 2004, chapter 11). Changes
/// come with a constant hazard. Both the most probable cut and each change's probability are exact, by recursion over
/// the end of the last stretch (Fearnhead, "Exact and efficient Bayesian inference for multiple changepoint problems",
/// 2006); that takes the square of the number of values. A slow drift is a slope, and no change.
///
/// Nothing comes of fewer than ten values, of values that are not finite, or of a constant.
pub fn changes(values: &[f64]) -> Vec<Change> {
    let Some(sums) = Sums::of(values) else { return Vec::new() };
    let n = values.len();
    // What the length of a stretch alone comes to, with the chances of no change within it.
    let by_length: Vec<f64> = (0..=n).map(|length| log_of_length(length as f64)).collect();
    let hazard = HAZARD.ln();
    let score = |start: usize, end: usize| {
        let began = if start > 0 { hazard } else { 0.0 };
        sums.log_marginal(start, end) + by_length[end - start] + began
    };
    let mut scores = vec![f64::NEG_INFINITY; (n + 1) * (n + 1)];
    let place = |start: usize, end: usize| start * (n + 1) + end;
    // By the end of what was cut: the best score, and where its last stretch begins.
    let (mut best, mut last) = (vec![f64::NEG_INFINITY; n + 1], vec![0; n + 1]);
    best[0] = 0.0;
    for end in LEAST..=n {
        for start in 0..=end - LEAST {
            let score = score(start, end);
            scores[place(start, end)] = score;
            if best[start] + score > best[end] {
                (best[end], last[end]) = (best[start] + score, start);
            }
        }
    }
    let cuts: Vec<usize> =
        std::iter::successors(Some(last[n]), |at| Some(last[*at])).take_while(|at| *at > 0).collect();
    if cuts.is_empty() {
        return Vec::new();
    }
    // The logarithms of the sums over all ways to cut what lies before a place, and what lies after a cut there.
    let (mut before, mut after) = (vec![f64::NEG_INFINITY; n + 1], vec![f64::NEG_INFINITY; n + 1]);
    (before[0], after[n]) = (0.0, 0.0);
    for end in LEAST..=n {
        before[end] =
            (0..=end - LEAST).fold(before[end], |sum, at| log_add(sum, before[at] + scores[place(at, end)]));
    }
    for start in (0..=n - LEAST).rev() {
        after[start] =
            (start + LEAST..=n).fold(after[start], |sum, at| log_add(sum, scores[place(start, at)] + after[at]));
    }
    let probability = |at: usize| {
        let near = at.saturating_sub(NEARBY).max(1)..=(at + NEARBY).min(n - 1);
        near.map(|at| (before[at] + after[at] - before[n]).exp()).sum::<f64>().clamp(0.0, 1.0)
    };
    cuts.into_iter().rev().map(|at| Change { at, probability: probability(at) }).collect()
}

/// What a stretch of so many values adds, whatever they are: the rest of its marginal likelihood, and that there was no
/// change within it.
fn log_of_length(n: f64) -> f64 {
    ln_gamma(SHAPE + n / 2.0) - ln_gamma(SHAPE) + SHAPE * SCALE.ln() + WORTH.ln()
        - n / 2.0 * std::f64::consts::TAU.ln()
        + (n - 1.0) * (-HAZARD).ln_1p()
}

/// The logarithm of the sum of two numbers given as logarithms.
fn log_add(a: f64, b: f64) -> f64 {
    let (low, high) = if a < b { (a, b) } else { (b, a) };
    if low == f64::NEG_INFINITY { high } else { high + (low - high).exp().ln_1p() }
}

/// Running sums over the standardised series: place (from 0 to 1), value, and their products.
struct Sums {
    t: Vec<f64>,
    tt: Vec<f64>,
    y: Vec<f64>,
    ty: Vec<f64>,
    yy: Vec<f64>,
}

impl Sums {
    fn of(values: &[f64]) -> Option<Self> {
        let n = values.len() as f64;
        if values.len() < 2 * LEAST || values.iter().any(|value| !value.is_finite()) {
            return None;
        }
        let mean = values.iter().sum::<f64>() / n;
        let spread = (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / n).sqrt();
        let middle = confidence::median(values.to_vec())?;
        if !(spread.is_finite() && spread > f64::EPSILON * mean.abs()) {
            return None;
        }
        let running = |of: &dyn Fn(f64, f64) -> f64| {
            let mut sum = 0.0;
            let terms = values.iter().enumerate().map(|(place, value)| {
                sum += of(place as f64 / n, (value - middle) / spread);
                sum
            });
            std::iter::once(0.0).chain(terms).collect::<Vec<f64>>()
        };
        Some(Self {
            t: running(&|t, _| t),
            tt: running(&|t, _| t * t),
            y: running(&|_, y| y),
            ty: running(&|t, y| t * y),
            yy: running(&|_, y| y * y),
        })
    }

    /// The logarithm of the marginal likelihood of the values `start..end`, but for what their number alone says.
    fn log_marginal(&self, start: usize, end: usize) -> f64 {
        let sum = |of: &[f64]| of[end] - of[start];
        let (n, from) = ((end - start) as f64, start as f64 / (self.t.len() - 1) as f64);
        // Places count from the stretch's beginning.
        let (y, yy) = (sum(&self.y), sum(&self.yy));
        let t = sum(&self.t) - n * from;
        let tt = sum(&self.tt) - 2.0 * from * sum(&self.t) + n * from * from;
        let ty = sum(&self.ty) - from * y;
        let (level, slope) = (WORTH + n, WORTH + tt);
        let determinant = level * slope - t * t;
        let fitted = ((slope * y - t * ty) * y + (level * ty - t * y) * ty) / determinant;
        let scale = (SCALE + (yy - fitted) / 2.0).max(FLOOR);
        -(SHAPE + n / 2.0) * scale.ln() - 0.5 * determinant.ln()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand::rngs::SmallRng;
    use rand::{Rng, SeedableRng};

    use super::*;

    fn noise(n: usize, seed: u64) -> Vec<f64> {
        let mut rng = SmallRng::seed_from_u64(seed);
        let mut normal = || {
            let (u, v): (f64, f64) = (1.0 - rng.random::<f64>(), rng.random());
            (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
        };
        (0..n).map(|_| normal()).collect()
    }

    fn at(values: &[f64]) -> Vec<usize> {
        changes(values).into_iter().map(|change| change.at).collect()
    }

    #[test]
    fn steps_are_found_where_they_are() {
        let steps: Vec<f64> = noise(120, 1)
            .into_iter()
            .enumerate()
            .map(|(place, noise)| {
                noise
                    + if place < 50 {
                        0.0
                    } else if place < 90 {
                        4.0
                    } else {
                        1.0
                    }
            })
            .collect();
        let found = changes(&steps);
        let near = |at: usize, change: &Change| change.at.abs_diff(at) <= 2;
        assert!(found.len() == 2 && near(50, &found[0]) && near(90, &found[1]), "{found:?}");
        assert!(found.iter().all(|change| change.probability > 0.95), "{found:?}");
    }

    #[test]
    fn noise_drift_and_nonsense_have_none() {
        let drift = |seed| noise(100, seed).iter().enumerate().map(|(place, y)| y + place as f64 / 25.0).collect();
        let found = |series: &dyn Fn(u64) -> Vec<f64>| (0..100).filter(|seed| !at(&series(*seed)).is_empty()).count();
        assert_eq!((found(&|seed| noise(100, seed)), found(&drift)), (0, 0));
        assert!(at(&[]).is_empty());
        assert!(at(&[1.0, 2.0, 3.0]).is_empty());
        assert!(at(&[7.0; 50]).is_empty());
        assert!(at(&[0.0, f64::NAN, 1.0, f64::INFINITY, 2.0]).is_empty());
        for change in changes(&[0.0, 1e300, -1e300, 5.0, 1e-300, 3.0].repeat(3)) {
            assert!((0.0..=1.0).contains(&change.probability));
        }
    }

    #[test]
    fn three_standard_deviations_are_found_nearly_always_and_two_at_times() {
        let found = |height: f64| {
            let step = |seed| {
                noise(100, seed)
                    .iter()
                    .enumerate()
                    .map(|(place, y)| y + if place < 60 { 0.0 } else { height })
                    .collect::<Vec<_>>()
            };
            (0..100).filter(|seed| at(&step(*seed)).iter().any(|at| at.abs_diff(60) <= 3)).count()
        };
        let (two, three) = (found(2.0), found(3.0));
        println!("a step in 100 series: of two standard deviations found {two} times, of three {three}");
        assert!(two >= 30 && three >= 95, "{two} {three}");
    }

    /// F1 with a margin of five, and covering, against several annotators: van den Burg and Williams, "An evaluation
    /// of change point detection algorithms", 2020, section 3.
    fn scores(annotators: &[Vec<usize>], found: &[usize], n: usize) -> (f64, f64) {
        let with_start = |cuts: &[usize]| cuts.iter().copied().chain([0]).collect::<BTreeSet<usize>>();
        let hits = |truth: &BTreeSet<usize>| {
            let mut left = with_start(found);
            let hit = |true_at: &usize| {
                let nearest = left.iter().copied().min_by_key(|at| at.abs_diff(*true_at));
                nearest.filter(|at| at.abs_diff(*true_at) <= 5).is_some_and(|at| left.remove(&at))
            };
            truth.iter().map(hit).filter(|hit| *hit).count() as f64
        };
        let truths: Vec<BTreeSet<usize>> = annotators.iter().map(|cuts| with_start(cuts)).collect();
        let union: BTreeSet<usize> = truths.iter().flatten().copied().collect();
        let precision = hits(&union) / (found.len() + 1) as f64;
        let recall = truths.iter().map(|truth| hits(truth) / truth.len() as f64).sum::<f64>() / truths.len() as f64;
        let stretches = |cuts: &BTreeSet<usize>| {
            let ends = cuts.iter().copied().skip(1).chain([n]);
            cuts.iter().copied().zip(ends).collect::<Vec<_>>()
        };
        let ours = stretches(&with_start(found));
        let covered = |truth: &BTreeSet<usize>| {
            let best = |(from, to): (usize, usize)| {
                let jaccard = |(a, b): &(usize, usize)| {
                    to.min(*b).saturating_sub(from.max(*a)) as f64 / (to.max(*b) - from.min(*a)) as f64
                };
                (to - from) as f64 * ours.iter().map(jaccard).fold(0.0, f64::max)
            };
            stretches(truth).into_iter().map(best).sum::<f64>() / n as f64
        };
        let cover = truths.iter().map(covered).sum::<f64>() / truths.len() as f64;
        (2.0 * precision * recall / (precision + recall), cover)
    }

    #[test]
    fn annotated_series_are_cut_better_than_not_at_all() {
        let Some(labels) = crate::records::rows("series/labels.ndjson.gz") else { return };
        let (mut ours, mut none, mut n) = ((0.0, 0.0), (0.0, 0.0), 0.0);
        let add = |sum: (f64, f64), score: (f64, f64)| (sum.0 + score.0, sum.1 + score.1);
        for label in labels {
            let Some(annotators) = label["change_points_by_annotator"].as_object() else { continue };
            let mut rows = crate::records::rows("series/series.ndjson.gz").unwrap();
            let row = rows.find(|row| row["series"] == label["series"]).unwrap();
            let values: Vec<f64> = row["v"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
            let cuts = |list: &serde_json::Value| -> Vec<usize> {
                list.as_array().unwrap().iter().map(|at| at.as_u64().unwrap() as usize).collect()
            };
            let annotators: Vec<Vec<usize>> = annotators.values().map(cuts).collect();
            ours = add(ours, scores(&annotators, &at(&values), values.len()));
            none = add(none, scores(&annotators, &[], values.len()));
            n += 1.0;
        }
        let mean = |(f1, cover): (f64, f64)| (f1 / n, cover / n);
        let ((f1, cover), (f1_of_none, cover_of_none)) = (mean(ours), mean(none));
        println!("{n} series: F1 {f1:.3} (no change {f1_of_none:.3}), covering {cover:.3} ({cover_of_none:.3})");
        assert!(f1 > f1_of_none + 0.01 && cover > cover_of_none + 0.03);
    }

    #[test]
    fn a_benchmark_is_cut_where_its_readers_cut_it() {
        let Some(mut rows) = crate::records::rows("series/series.ndjson.gz") else { return };
        let row = rows.find(|row| row["series"] == "otava/tigerbeetle").unwrap();
        let values: Vec<f64> = row["v"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
        let found = at(&values);
        assert!(found.contains(&15) && found.contains(&71) && found.len() <= 3, "{found:?}");
    }
}
