//! Which runs belong together.

use std::collections::BTreeMap;

use uplift_model::metric::{Measure, ScoreKind};
use uplift_model::trial::{Predictor, UnitOutcome};

use super::Sample;

/// Known values of one metric: pairs where items recur, else one list an arm.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Values {
    Paired(Vec<[f64; 2]>),
    Unpaired([Vec<f64>; 2]),
}

/// True where at least half of the items of the smaller arm occur in both.
pub(super) fn recur(control: &[Sample], candidate: &[Sample]) -> bool {
    let (a, b) = (by_item(control), by_item(candidate));
    let common = a.keys().filter(|item| b.contains_key(*item)).count();
    common >= 2 && 2 * common >= a.len().min(b.len())
}

/// Items in both arms.
pub(super) fn common(control: &[Sample], candidate: &[Sample]) -> usize {
    let (a, b) = (by_item(control), by_item(candidate));
    a.keys().filter(|item| b.contains_key(*item)).count()
}

/// All known values of each arm, less what is predicted of their runs; both arms are predicted alike, and what is
/// predicted of all runs on average is left in, so that means stay what they are.
pub(super) fn unpaired(measure: &Measure, arms: [&[Sample]; 2], predictor: Option<&Predictor>) -> Values {
    let known = arms.map(|samples| {
        let of = |run: &Sample| {
            let predicted = predictor.map_or(0.0, |known| known.predicted(measure.name(), &known.row(&run.outcome)));
            value(measure, &run.outcome).map(|value| (value, predicted))
        };
        samples.iter().filter_map(of).collect::<Vec<_>>()
    });
    let all = || known.iter().flatten();
    let usual = all().map(|(_, predicted)| predicted).sum::<f64>() / (all().count() as f64).max(1.0);
    Values::Unpaired(
        known.each_ref().map(|arm| arm.iter().map(|(value, predicted)| value - (predicted - usual)).collect()),
    )
}

pub(super) fn paired(measure: &Measure, control: &[Sample], candidate: &[Sample]) -> Values {
    let (a, b) = (by_item(control), by_item(candidate));
    let pairs = a.iter().filter_map(|(item, ours)| {
        let theirs = b.get(item)?;
        Some([mean(measure, ours)?, mean(measure, theirs)?])
    });
    Values::Paired(pairs.collect())
}

fn by_item(samples: &[Sample]) -> BTreeMap<&str, Vec<&UnitOutcome>> {
    let mut items: BTreeMap<&str, Vec<&UnitOutcome>> = BTreeMap::new();
    for sample in samples {
        if let Some(item) = &sample.item {
            items.entry(item).or_default().push(&sample.outcome);
        }
    }
    items
}

/// Repetitions of an item count as one: their mean.
fn mean(measure: &Measure, outcomes: &[&UnitOutcome]) -> Option<f64> {
    let known: Vec<f64> = outcomes.iter().filter_map(|outcome| value(measure, outcome)).collect();
    (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
}

/// The value of a metric on the scale it is compared on: amounts as logarithms. Values that cannot be used (infinite,
/// zero or negative amounts, rates outside [0, 1]) are unknown.
fn value(measure: &Measure, outcome: &UnitOutcome) -> Option<f64> {
    let log = |amount: f64| (amount > 0.0 && amount.is_finite()).then(|| amount.ln());
    let rate = |value: &f64| (0.0..=1.0).contains(value);
    match measure {
        Measure::Success => outcome.success.filter(rate),
        Measure::Errors => Some(f64::from(u8::from(outcome.errored))),
        Measure::Duration => outcome.duration_ms.and_then(log),
        Measure::Tokens => outcome.tokens.and_then(log),
        Measure::Cost => outcome.cost.and_then(log),
        Measure::Custom(custom) => outcome
            .scores
            .get(&custom.name)
            .copied()
            .filter(|score| score.is_finite() && (custom.kind == ScoreKind::Number || rate(score))),
    }
}
