//! Where ticks go.

/// Most ticks of an axis.
const TICKS: f64 = 4.0;

/// An axis from `low` to `high`, both on a tick.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scale {
    pub(super) low: f64,
    pub(super) high: f64,
    step: f64,
}

impl Scale {
    /// The shortest axis that holds all of these, with round ticks that are at least so far apart; finite values only.
    pub(super) fn holding(least: f64, values: impl IntoIterator<Item = f64>) -> Self {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.into_iter().filter(|value| value.is_finite()) {
            (low, high) = (low.min(value), high.max(value));
        }
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        if high - low < 1e-12_f64.max(1e-9 * high.abs()) {
            let room = if high == 0.0 { 1.0 } else { 0.1 * high.abs() };
            (low, high) = (low - room, high + room);
        }
        let raw = (high - low) / TICKS;
        let magnitude = 10_f64.powf(raw.log10().floor());
        let step = [1.0, 2.0, 2.5, 5.0, 10.0]
            .into_iter()
            .map(|factor| factor * magnitude)
            .find(|step| *step >= raw * 0.999)
            .unwrap_or(raw)
            .max(least);
        Self { low: (low / step).floor() * step, high: (high / step).ceil() * step, step }
    }

    /// The ticks, the highest first.
    pub(super) fn ticks(&self) -> Vec<f64> {
        let count = ((self.high - self.low) / self.step).round().clamp(1.0, 2.0 * TICKS) as usize;
        (0..=count).rev().map(|place| self.low + self.step * place as f64).collect()
    }

    /// Where a value lies, from 0 at the top to 100 at the bottom.
    pub(super) fn down(&self, value: f64) -> f64 {
        round(100.0 * (self.high - value.clamp(self.low, self.high)) / (self.high - self.low))
    }
}

/// To a hundredth: more digits only make the page longer.
pub(super) fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_hold_everything() {
        for values in [
            vec![0.0, 1.0],
            vec![-0.031, 0.27],
            vec![5.0],
            vec![0.0],
            vec![],
            vec![f64::NAN, 3.0, f64::INFINITY],
            vec![1e9, 1e9 + 1.0],
            vec![-1e-9, 1e-9],
        ] {
            let scale = Scale::holding(0.0, values.clone());
            let ticks = scale.ticks();
            assert!((2..=9).contains(&ticks.len()), "{values:?} {ticks:?}");
            for value in values.into_iter().filter(|value| value.is_finite()) {
                assert!(scale.low <= value && value <= scale.high, "{value} {scale:?}");
                assert!((0.0..=100.0).contains(&scale.down(value)), "{value} {scale:?}");
            }
            assert!((ticks[0] - scale.high).abs() <= 1e-6 * scale.high.abs().max(1.0), "{ticks:?} {scale:?}");
        }
        let ticks: Vec<String> =
            Scale::holding(0.0, [-0.031, 0.27]).ticks().iter().map(|tick| format!("{tick:.1}")).collect();
        assert_eq!(ticks, ["0.3", "0.2", "0.1", "0.0", "-0.1"]);
    }
}
