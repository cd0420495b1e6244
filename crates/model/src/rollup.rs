//! Hourly sums. The rules in the database look at these, never at events, so their cost does not grow with
//! history. All sums are of whole numbers, so that they come out the same in whatever order events arrive.

use serde::{Deserialize, Serialize};

use crate::event::{Event, Outcome};
use crate::task::{micros_of_ms, nano_of_usd};

/// The scale of stored natural logarithms: millionths.
pub const LN_SCALE: f64 = 1e6;

/// Sums over the calls of one operation of one entity in one hour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationDelta {
    /// Calls.
    pub n: i64,
    /// Calls that ended in an error or a failure.
    pub errors: i64,
    /// Calls whose duration is known and above zero; the three sums below are over these.
    pub timed: i64,
    /// Sum of durations, microseconds.
    pub sum_us: i64,
    /// Sum of ln(duration in ms), millionths.
    pub sum_ln: i64,
    /// Sum of ln(duration in ms) squared, millionths.
    pub sum_ln2: i64,
    /// Tokens read.
    pub tokens_in: i64,
    /// Tokens written.
    pub tokens_out: i64,
    /// Cost, nano-dollars.
    pub cost_nano: i64,
}

impl OperationDelta {
    /// What one event adds to its operation's hour.
    pub fn of(event: &Event) -> Self {
        let failed = match event.task_outcome() {
            Some(outcome) => outcome != Outcome::Success,
            None => event.is_error(),
        };
        let mut delta = Self {
            n: 1,
            errors: i64::from(failed),
            tokens_in: event.tokens_in.map_or(0, |tokens| i64::try_from(tokens).unwrap_or(i64::MAX)),
            tokens_out: event.tokens_out.map_or(0, |tokens| i64::try_from(tokens).unwrap_or(i64::MAX)),
            cost_nano: event.cost_usd.map_or(0, nano_of_usd),
            ..Self::default()
        };
        if let Some(ms) = event.duration_ms.filter(|ms| *ms > 0.0) {
            let ln = ms.ln();
            delta.timed = 1;
            delta.sum_us = micros_of_ms(ms);
            delta.sum_ln = (ln * LN_SCALE).round() as i64;
            delta.sum_ln2 = (ln * ln * LN_SCALE).round() as i64;
        }
        delta
    }

    /// Adds other calls of the same hour (or of another: sums of hours are sums).
    pub fn merge(&mut self, other: Self) {
        self.n = self.n.saturating_add(other.n);
        self.errors = self.errors.saturating_add(other.errors);
        self.timed = self.timed.saturating_add(other.timed);
        self.sum_us = self.sum_us.saturating_add(other.sum_us);
        self.sum_ln = self.sum_ln.saturating_add(other.sum_ln);
        self.sum_ln2 = self.sum_ln2.saturating_add(other.sum_ln2);
        self.tokens_in = self.tokens_in.saturating_add(other.tokens_in);
        self.tokens_out = self.tokens_out.saturating_add(other.tokens_out);
        self.cost_nano = self.cost_nano.saturating_add(other.cost_nano);
    }

    /// Mean of ln(duration in ms), where any duration is known.
    pub fn mean_ln(&self) -> Option<f64> {
        (self.timed > 0).then(|| self.sum_ln as f64 / LN_SCALE / self.timed as f64)
    }

    /// Sample variance of ln(duration in ms), where two durations are known.
    pub fn variance_ln(&self) -> Option<f64> {
        let n = self.timed as f64;
        let mean = self.mean_ln()?;
        (self.timed > 1).then(|| ((self.sum_ln2 as f64 / LN_SCALE - n * mean * mean) / (n - 1.0)).max(0.0))
    }

    /// Mean duration, milliseconds, where any is known.
    pub fn mean_ms(&self) -> Option<f64> {
        (self.timed > 0).then(|| self.sum_us as f64 / 1_000.0 / self.timed as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::EventKind;
    use crate::event::tests::event;

    #[test]
    fn means_and_variances_come_out() {
        let mut sum = OperationDelta::default();
        for ms in [1.0, std::f64::consts::E] {
            let mut call = event("1", 1, EventKind::LlmCall);
            call.duration_ms = Some(ms);
            sum.merge(OperationDelta::of(&call));
        }
        sum.merge(OperationDelta::of(&event("2", 1, EventKind::LlmCall)));
        assert_eq!((sum.n, sum.timed), (3, 2));
        assert!((sum.mean_ln().unwrap() - 0.5).abs() < 1e-6);
        assert!((sum.variance_ln().unwrap() - 0.5).abs() < 1e-5);
        assert!(OperationDelta::default().mean_ln().is_none());
    }
}
