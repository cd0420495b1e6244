//! Tasks become units: attempts of one unit count once, the tasks of a session count together.

use std::collections::BTreeMap;

use uplift_model::metric::CustomMetric;
use uplift_model::trial::UnitOutcome;

/// A score that was given to a unit.
#[derive(Debug, Clone, PartialEq)]
pub struct Score {
    /// Name of the metric.
    pub metric: String,
    /// Value.
    pub value: f64,
    /// When it was given, microseconds since the Unix epoch.
    pub given_us: i64,
}

/// True where a unit's errors count against the guardrail. Errors that it recovered from and succeeded nevertheless are
/// a cost: the time, tokens and money that recovering took. Where the outcome is unknown an error counts.
pub fn is_unrecovered(any_error: bool, success: Option<f64>) -> bool {
    any_error && success.is_none_or(|success| success < 1.0)
}

/// Attempts of one unit, in order of their start, as one outcome: where it was first put, the last outcome, errors that
/// no later attempt recovered, and all time, tokens and cost together. `None` without attempts.
pub fn fold_attempts(attempts: &[UnitOutcome]) -> Option<UnitOutcome> {
    let (first, last) = (attempts.first()?, attempts.last()?);
    let sum = |part: fn(&UnitOutcome) -> Option<f64>| {
        let known: Vec<f64> = attempts.iter().filter_map(part).collect();
        (!known.is_empty()).then(|| known.iter().sum())
    };
    let mut scores = BTreeMap::new();
    for attempt in attempts {
        scores.extend(attempt.scores.clone());
    }
    Some(UnitOutcome {
        unit: first.unit.clone(),
        arm: first.arm,
        started_us: first.started_us,
        ended: last.ended,
        success: last.success,
        errored: last.errored,
        duration_ms: sum(|attempt| attempt.duration_ms),
        tokens: sum(|attempt| attempt.tokens),
        cost: sum(|attempt| attempt.cost),
        scores,
        crossed: attempts.iter().any(|attempt| attempt.crossed || attempt.arm != first.arm),
        // What was known before the unit was assigned was known before its first attempt.
        covariates: first.covariates.clone(),
        stratum: first.stratum.clone(),
    })
}

/// Tasks of one session, in order of their start, as one outcome: means over its tasks (of logarithms for time, tokens
/// and cost), and whether any had an error. `None` without tasks.
///
/// Tasks of a session resemble each other; counted singly they would pretend to be more evidence than they are.
pub fn fold_session(session: &str, tasks: &[UnitOutcome]) -> Option<UnitOutcome> {
    let first = tasks.first()?;
    let mean = |values: Vec<f64>| {
        let count = values.len() as f64;
        (count > 0.0).then(|| values.iter().sum::<f64>() / count)
    };
    let geometric = |part: fn(&UnitOutcome) -> Option<f64>| {
        let logs = tasks.iter().filter_map(part).filter(|value| *value > 0.0 && value.is_finite()).map(f64::ln);
        mean(logs.collect()).map(f64::exp)
    };
    let mut by_name: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for (name, value) in tasks.iter().flat_map(|task| &task.scores) {
        by_name.entry(name.clone()).or_default().push(*value);
    }
    Some(UnitOutcome {
        unit: session.to_owned(),
        arm: first.arm,
        started_us: first.started_us,
        ended: tasks.iter().all(|task| task.ended),
        success: mean(tasks.iter().filter_map(|task| task.success).collect()),
        errored: tasks.iter().any(|task| task.errored),
        duration_ms: geometric(|task| task.duration_ms),
        tokens: geometric(|task| task.tokens),
        cost: geometric(|task| task.cost),
        scores: by_name.into_iter().filter_map(|(name, values)| Some((name, mean(values)?))).collect(),
        crossed: tasks.iter().any(|task| task.crossed || task.arm != first.arm),
        // A session is assigned at its first task.
        covariates: first.covariates.clone(),
        stratum: first.stratum.clone(),
    })
}

/// The scores of a unit that count for declared metrics: the last of each metric given within its attribution window
/// after `started_us`. Later ones are for the watch after a keep.
pub fn attributed(metrics: &[CustomMetric], started_us: i64, given: &[Score]) -> BTreeMap<String, f64> {
    metrics
        .iter()
        .filter_map(|metric| {
            let until_us = started_us.saturating_add((metric.attribution_window_ms * 1e3) as i64);
            given
                .iter()
                .filter(|score| score.metric == metric.name && score.value.is_finite())
                .filter(|score| (started_us..=until_us).contains(&score.given_us))
                .max_by_key(|score| score.given_us)
                .map(|score| (metric.name.clone(), score.value))
        })
        .collect()
}
