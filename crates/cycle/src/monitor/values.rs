//! What is known of a unit, and the value it gives to each signal at a given age.

use serde::{Deserialize, Serialize};
use uplift_model::trial::UnitOutcome;

use super::plan::{Amount, Plan, Signal, Source};

/// The facts of a unit that signals need. Values that cannot be used (infinite, zero or negative amounts) are unknown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Facts {
    ended: bool,
    success: Option<f64>,
    errored: bool,
    amounts: [Option<f64>; 3],
    scores: Vec<Option<f64>>,
    /// By metric, how far its value was predicted to lie from the usual; empty where nothing is predicted.
    #[serde(default)]
    predicted: Vec<f64>,
}

/// The age at which a unit is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum View {
    /// Cut off at the common age of the harm cohort.
    Harm,
    /// Old enough never to change: what has not ended has failed.
    Mature,
}

impl Facts {
    pub(super) fn of(plan: &Plan, outcome: &UnitOutcome) -> Self {
        let amount = |value: Option<f64>| value.filter(|amount| amount.is_finite() && *amount > 0.0);
        Self {
            ended: outcome.ended,
            success: outcome.success.filter(|value| (0.0..=1.0).contains(value)),
            errored: outcome.errored,
            amounts: [amount(outcome.duration_ms), amount(outcome.tokens), amount(outcome.cost)],
            scores: plan
                .score_names
                .iter()
                .map(|name| outcome.scores.get(name).copied().filter(|score| score.is_finite()))
                .collect(),
            predicted: plan.baseline.predictor.as_ref().map_or_else(Vec::new, |predictor| {
                let row = predictor.row(outcome);
                plan.metrics.iter().map(|spec| predictor.predicted(spec.measure.name(), &row)).collect()
            }),
        }
    }

    /// The same facts with the prediction made from what was first known: later records may tell what an arm has done.
    pub(super) fn predicted_as(self, first: &Self) -> Self {
        Self { predicted: first.predicted.clone(), ..self }
    }

    /// Log duration beyond what history expects of a unit that starts then, in the harm cohort; `None` where the one or
    /// the other is unknown.
    pub(super) fn slowness(&self, plan: &Plan, started_us: i64) -> Option<f64> {
        let expected = plan.baseline.forecast.as_ref()?.at(started_us)?;
        let most = plan.baseline.duration?.p95;
        let log = self.amount(plan, Amount::Duration, View::Harm)?.min(most).ln();
        Some(log - expected).filter(|beyond| beyond.is_finite())
    }

    /// What is taken off a signal's value.
    pub(super) fn predicted(&self, signal: &Signal) -> f64 {
        if signal.adjusted { self.predicted.get(signal.metric).copied().unwrap_or(0.0) } else { 0.0 }
    }

    pub(super) fn outcome_known(&self, view: View) -> bool {
        self.success.is_some() || (view == View::Mature && !self.ended)
    }

    /// The value for a signal, centred and less what was predicted; NaN where it is unknown.
    pub(super) fn value(&self, plan: &Plan, signal: &Signal, view: View) -> f64 {
        let known = match signal.source {
            Source::Success => match (self.ended, view) {
                (false, View::Mature) => Some(self.success.unwrap_or(0.0)),
                _ => self.success,
            },
            Source::Error => Some(f64::from(u8::from(self.errored))),
            Source::Log(amount) => self.amount(plan, amount, view).map(f64::ln),
            Source::Tail(amount, threshold) => self
                .amount(plan, amount, view)
                .map(|value| f64::from(u8::from(value > threshold || (!self.ended && value >= threshold)))),
            Source::Score(place) => self.scores.get(place).copied().flatten(),
        };
        known.map_or(f64::NAN, |value| {
            value.clamp(signal.cut.0, signal.cut.1) - signal.centre - self.predicted(signal)
        })
    }

    fn amount(&self, plan: &Plan, amount: Amount, view: View) -> Option<f64> {
        match amount {
            Amount::Duration if !self.ended => Some(match view {
                View::Harm => plan.harm_age_ms,
                View::Mature => plan.timeout_ms,
            }),
            Amount::Duration => self.amounts[0],
            Amount::Tokens => self.amounts[1].filter(|_| self.ended),
            Amount::Cost => self.amounts[2].filter(|_| self.ended),
        }
    }
}

impl Facts {
    pub(super) fn ended(&self) -> bool {
        self.ended
    }

    /// The same unit once it can no longer be running: failed, at the timeout.
    pub(super) fn timed_out(&self, plan: &Plan) -> Self {
        Self {
            ended: true,
            success: Some(self.success.unwrap_or(0.0)),
            amounts: [Some(plan.timeout_ms), self.amounts[1], self.amounts[2]],
            ..self.clone()
        }
    }
}
