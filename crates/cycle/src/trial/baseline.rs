//! The entity's history as a baseline: thresholds and variances that are fixed before the start.

use std::collections::{BTreeMap, BTreeSet};

use super::{covariates, forecast};
use uplift_model::trial::{AmountBaseline, Baseline, ScoreBaseline, UnitOutcome, cap};

/// Makes a baseline of ended units. Parts with fewer than `minimum` known values stay unknown: a percentile of ten
/// values is no threshold.
pub fn of_history(units: &[UnitOutcome], minimum: u64) -> Baseline {
    let ended: Vec<&UnitOutcome> = units.iter().filter(|unit| unit.ended).collect();
    let enough = |values: &[f64]| values.len() as u64 >= minimum.max(2);
    let success: Vec<f64> =
        ended.iter().filter_map(|unit| unit.success).filter(|value| (0.0..=1.0).contains(value)).collect();
    let (rate, variance) = moments(&success);
    let errors = ended.iter().filter(|unit| unit.errored).count() as f64;
    let amount = |part: fn(&UnitOutcome) -> Option<f64>| {
        let values: Vec<f64> =
            ended.iter().filter_map(|unit| part(unit)).filter(|value| value.is_finite() && *value > 0.0).collect();
        if enough(&values) { amount_of(values) } else { None }
    };
    let names: BTreeSet<&String> = ended.iter().flat_map(|unit| unit.scores.keys()).collect();
    let scores: BTreeMap<String, ScoreBaseline> = names
        .into_iter()
        .filter_map(|name| {
            let values: Vec<f64> = ended
                .iter()
                .filter_map(|unit| unit.scores.get(name).copied())
                .filter(|value| value.is_finite())
                .collect();
            if enough(&values) { Some((name.clone(), score_of(values)?)) } else { None }
        })
        .collect();
    let duration = amount(|unit| unit.duration_ms);
    Baseline {
        units: ended.len() as u64,
        success_rate: enough(&success).then_some(rate),
        success_variance: enough(&success).then_some(variance),
        error_rate: (ended.len() as u64 >= minimum.max(2)).then(|| errors / ended.len() as f64),
        duration,
        tokens: amount(|unit| unit.tokens),
        cost: amount(|unit| unit.cost),
        scores,
        forecast: duration.and_then(|known| forecast::of_history(&ended, known.p95)),
        predictor: covariates::predictor(&ended, minimum),
    }
}

fn moments(values: &[f64]) -> (f64, f64) {
    let count = (values.len() as f64).max(1.0);
    let mean = values.iter().sum::<f64>() / count;
    (mean, values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count)
}

fn quantile(sorted: &[f64], part: f64) -> Option<f64> {
    sorted.get(((part * sorted.len() as f64) as usize).min(sorted.len().saturating_sub(1))).copied()
}

fn amount_of(mut values: Vec<f64>) -> Option<AmountBaseline> {
    values.sort_by(f64::total_cmp);
    let (p95, p98, p99) = (quantile(&values, 0.95)?, quantile(&values, 0.98)?, quantile(&values, 0.99)?);
    let logs: Vec<f64> = values.iter().map(|value| value.ln()).collect();
    let most = cap(p95, p99);
    let cut: Vec<f64> = values.iter().map(|value| value.min(most)).collect();
    let ((log_mean, log_variance), (mean, variance)) = (moments(&logs), moments(&cut));
    Some(AmountBaseline { log_mean, log_variance, mean, variance, p95, p98, p99 })
}

fn score_of(mut values: Vec<f64>) -> Option<ScoreBaseline> {
    values.sort_by(f64::total_cmp);
    let (p01, p99) = (quantile(&values, 0.01)?, quantile(&values, 0.99)?);
    let cut: Vec<f64> = values.iter().map(|value| value.clamp(p01, p99)).collect();
    let (mean, variance) = moments(&cut);
    Some(ScoreBaseline { mean, variance, p01, p99 })
}
