//! The tests of one metric, oriented so that positive differences are worse.

use statrs::distribution::{ContinuousCDF, StudentsT};
use uplift_model::verdict::FixedLook;

use super::pairs::Values;
use crate::stats::exact::{fisher_upper, mcnemar, mcnemar_one_sided};
use crate::stats::fixed::z;
use crate::stats::normal;
use crate::stats::ranks::signed_rank;

/// Runs up to which counts of two arms are compared exactly.
const EXACT: usize = 5_000;

/// What is asked of a metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Asked {
    /// 1 where lower is better, -1 where higher is.
    pub(super) sign: f64,
    /// True for rates.
    pub(super) rate: bool,
    /// Worsening that does not count yet, on the compared scale.
    pub(super) least: f64,
    /// What the margin and twice the margin allow.
    pub(super) allowed: [Allowed; 2],
}

/// A candidate may be this multiple of control, and this shift besides.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Allowed {
    pub(super) multiple: f64,
    pub(super) shift: f64,
}

/// Worsening with its variance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Worsening {
    pub(super) estimate: f64,
    pub(super) variance: f64,
    pub(super) means: [f64; 2],
    pub(super) n: [u64; 2],
}

pub(super) fn worsening(values: &Values, sign: f64, multiple: f64) -> Worsening {
    match values {
        Values::Paired(pairs) => {
            let differences: Vec<f64> = pairs.iter().map(|[c, t]| sign * (t - multiple * c)).collect();
            let (estimate, spread) = moments(&differences);
            let n = pairs.len() as f64;
            let means = [0, 1].map(|arm: usize| moments(&pairs.iter().map(|pair| pair[arm]).collect::<Vec<_>>()).0);
            Worsening { estimate, variance: spread / n.max(1.0), means, n: [pairs.len() as u64; 2] }
        }
        Values::Unpaired(arms) => {
            let [(c, v_c), (t, v_t)] = [moments(&arms[0]), moments(&arms[1])];
            let n = [arms[0].len(), arms[1].len()];
            let part = |spread: f64, n: usize| spread / (n as f64).max(1.0);
            let known = n.iter().all(|n| *n > 0);
            Worsening {
                estimate: if known { sign * (t - multiple * c) } else { 0.0 },
                variance: part(v_t, n[1]) + multiple * multiple * part(v_c, n[0]),
                means: [c, t],
                n: n.map(|n| n as u64),
            }
        }
    }
}

/// Mean and unbiased variance; zeros where there is nothing.
fn moments(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    if values.is_empty() {
        return (0.0, 0.0);
    }
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, if n > 1.0 { squares / (n - 1.0) } else { 0.0 })
}

pub(super) fn look(values: &Values, asked: &Asked) -> FixedLook {
    let equal = worsening(values, asked.sign, 1.0);
    let (harm, better, differs) = if asked.rate && all_binary(values) {
        counted(values, asked.sign)
    } else {
        let (harm, _) = shifted(values, asked, asked.least);
        let (above, below) = shifted(values, asked, 0.0);
        (harm.max(above), below, (2.0 * above.min(below)).min(1.0))
    };
    let [not_worse, not_much_worse] = asked.allowed.map(|allowed| {
        if asked.rate {
            let found = worsening(values, asked.sign, allowed.multiple);
            let variance = found.variance + unseen(values).powi(2);
            if known(&equal) { normal::upper(-z(found.estimate - allowed.shift, variance)) } else { 1.0 }
        } else {
            shifted(values, asked, allowed.shift).1
        }
    });
    FixedLook { harm, better, not_worse: not_worse.min(better), not_much_worse: not_much_worse.min(better), differs }
}

/// What one more run, gone the other way, would change: runs that all agree have no variance, and without this they
/// would prove anything.
pub(super) fn unseen(values: &Values) -> f64 {
    let one = |n: usize| 1.0 / (n as f64).max(1.0);
    match values {
        Values::Paired(pairs) => one(pairs.len()),
        Values::Unpaired(arms) => one(arms[0].len()).hypot(one(arms[1].len())),
    }
}

fn known(found: &Worsening) -> bool {
    found.n.iter().all(|n| *n > 0)
}

fn all_binary(values: &Values) -> bool {
    let binary = |value: &f64| value.abs() < f64::EPSILON || (value - 1.0).abs() < f64::EPSILON;
    match values {
        Values::Paired(pairs) => pairs.iter().flatten().all(binary),
        Values::Unpaired(arms) => {
            arms.iter().flatten().all(binary) && arms.iter().map(Vec::len).sum::<usize>() <= EXACT
        }
    }
}

/// Exact tests on counts: worse, better, two-sided.
fn counted(values: &Values, sign: f64) -> (f64, f64, f64) {
    match values {
        Values::Paired(pairs) => {
            let count = |worse: bool| {
                pairs.iter().filter(|[c, t]| (t - c).abs() > 0.5 && ((sign * (t - c) > 0.0) == worse)).count() as u64
            };
            let (worse, better) = (count(true), count(false));
            (mcnemar_one_sided(worse, better), mcnemar_one_sided(better, worse), mcnemar(worse, better))
        }
        Values::Unpaired(arms) => {
            let trials = [arms[0].len() as u64, arms[1].len() as u64];
            let hits = [0, 1].map(|arm: usize| arms[arm].iter().filter(|value| **value > 0.5).count() as u64);
            let misses = [trials[0] - hits[0], trials[1] - hits[1]];
            let (more, fewer) = (fisher_upper(hits, trials), fisher_upper(misses, trials));
            let (worse, better) = if sign > 0.0 { (more, fewer) } else { (fewer, more) };
            (worse, better, (2.0 * worse.min(better)).min(1.0))
        }
    }
}

/// Tests of the worsening against `shift`: above it, below it.
fn shifted(values: &Values, asked: &Asked, shift: f64) -> (f64, f64) {
    match values {
        // Amounts that differ by the very same factor everywhere were not measured.
        _ if worsening(values, asked.sign, 1.0).variance <= 1e-18 => (1.0, 1.0),
        Values::Paired(pairs) => {
            let ranks = signed_rank(pairs.iter().map(|[c, t]| asked.sign * (t - c) - shift));
            (ranks.above, ranks.below)
        }
        Values::Unpaired(arms) => {
            let found = worsening(values, asked.sign, 1.0);
            let value = z(found.estimate - shift, found.variance);
            let (above, below) = (student_upper(value, arms), student_upper(-value, arms));
            if known(&found) { (above, below) } else { (1.0, 1.0) }
        }
    }
}

/// Upper tail of Welch's t, with the degrees of freedom of the smaller arm (never too many).
fn student_upper(t: f64, arms: &[Vec<f64>; 2]) -> f64 {
    let degrees = arms.iter().map(Vec::len).min().unwrap_or(0) as f64 - 1.0;
    if degrees < 1.0 {
        return 1.0;
    }
    StudentsT::new(0.0, 1.0, degrees).map_or(1.0, |student| student.sf(t))
}
