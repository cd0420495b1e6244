//! What can be predicted of a unit before it is assigned, learnt from history.

use std::collections::{BTreeMap, BTreeSet};

use uplift_model::trial::{Covariate, Prediction, Predictor, UnitOutcome};

use crate::stats::regression;

/// Numbers used at most, the first by name.
const MOST_NUMBERS: usize = 8;
/// Strata used at most, the most frequent.
const MOST_STRATA: usize = 20;

/// Units it takes to learn from each number or stratum.
const LEAST_PER_COLUMN: usize = 10;

/// Learns from ended units. Strata and numbers known of fewer than `minimum` units are left out, and so are metrics of
/// which nothing can be explained. `None` where nothing is left.
pub fn predictor(units: &[&UnitOutcome], minimum: u64) -> Option<Predictor> {
    let mut predictor =
        Predictor { numbers: numbers(units, minimum), strata: strata(units, minimum), metrics: BTreeMap::new() };
    if predictor.numbers.is_empty() && predictor.strata.is_empty() {
        return None;
    }
    let columns = predictor.numbers.len() + predictor.strata.len();
    let rows: Vec<Vec<f64>> = units.iter().map(|unit| predictor.row(unit)).collect();
    let scores: BTreeSet<&String> = units.iter().flat_map(|unit| unit.scores.keys()).collect();
    let log = |amount: Option<f64>| amount.filter(|value| *value > 0.0).map(f64::ln);
    let mut learn = |metric: &str, value: &dyn Fn(&UnitOutcome) -> Option<f64>| {
        let known = || {
            units.iter().zip(&rows).filter_map(|(unit, row)| {
                value(unit).filter(|value| value.is_finite()).map(|value| (row.clone(), value))
            })
        };
        let (rows, values): (Vec<_>, Vec<_>) = known().unzip();
        let enough = values.len() as u64 >= minimum.max(2) && values.len() >= LEAST_PER_COLUMN * columns;
        if let Some(fit) = regression::fit(&rows, &values).filter(|fit| enough && fit.explained > 0.0) {
            let prediction = Prediction { coefficients: fit.coefficients, explained: fit.explained.min(0.99) };
            predictor.metrics.insert(metric.to_owned(), prediction);
        }
    };
    learn("success", &|unit| unit.success);
    learn("duration_ms", &|unit| log(unit.duration_ms));
    learn("tokens", &|unit| log(unit.tokens));
    learn("cost", &|unit| log(unit.cost));
    for name in scores {
        learn(name, &|unit| unit.scores.get(name).copied());
    }
    (!predictor.metrics.is_empty()).then_some(predictor)
}

fn numbers(units: &[&UnitOutcome], minimum: u64) -> Vec<Covariate> {
    let names: BTreeSet<&String> = units.iter().flat_map(|unit| unit.covariates.keys()).collect();
    let known = names.into_iter().filter_map(|name| {
        let values: Vec<f64> = units
            .iter()
            .filter_map(|unit| unit.covariates.get(name).copied())
            .filter(|value| value.is_finite())
            .collect();
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let spread = (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt();
        let usable =
            values.len() as u64 >= minimum.max(2) && spread.is_finite() && spread > 1e-9 * (1.0 + mean.abs());
        usable.then(|| Covariate { name: name.clone(), mean, spread })
    });
    known.take(MOST_NUMBERS).collect()
}

fn strata(units: &[&UnitOutcome], minimum: u64) -> Vec<(String, f64)> {
    let mut counts: BTreeMap<&String, u64> = BTreeMap::new();
    for name in units.iter().filter_map(|unit| unit.stratum.as_ref()) {
        *counts.entry(name).or_default() += 1;
    }
    // A single stratum tells nothing apart.
    let all: u64 = counts.values().sum();
    let mut frequent: Vec<_> = counts.into_iter().filter(|(_, count)| *count >= minimum && *count < all).collect();
    frequent.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    frequent.into_iter().take(MOST_STRATA).map(|(name, count)| (name.clone(), count as f64 / all as f64)).collect()
}
