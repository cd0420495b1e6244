//! What an operation usually takes at this hour of the week.

use uplift_model::{Hour, Time};

use crate::detect::confidence;

/// Hours of a week.
const WEEK: usize = 168;
/// Least durations of an hour of the week (or of the day) before it has a baseline of its own.
const LEAST: usize = 8;
/// The median absolute deviation of a normal distribution, in standard deviations, inverted.
const MAD_TO_SIGMA: f64 = 1.482_6;
/// Least spread of a logarithm, so that a constant duration can be left at all: 5 %.
const LEAST_SIGMA: f64 = 0.05;

/// A level and a spread of ln(duration in ms).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Level {
    /// The median.
    pub median: f64,
    /// The median absolute deviation as a standard deviation, at least 0.05.
    pub sigma: f64,
}

/// Levels by hour of the week; where an hour has too few durations the hour of the day serves, then the whole.
#[derive(Debug, Clone, PartialEq)]
pub struct Baseline {
    hours: Vec<Level>,
}

impl Baseline {
    /// From durations in milliseconds and when they ended. Those not above 0 are left out; none where none is left.
    pub fn of(durations: &[(Time, f64)]) -> Option<Self> {
        let mut by_hour = vec![Vec::new(); WEEK];
        for (at, ms) in durations.iter().filter(|(_, ms)| *ms > 0.0 && ms.is_finite()) {
            by_hour[hour_of_week(at.hour())].push(ms.ln());
        }
        let whole = level(&by_hour.concat())?;
        let days: Vec<Level> = (0..24)
            .map(|hour| {
                let logs: Vec<f64> = by_hour.iter().skip(hour).step_by(24).flatten().copied().collect();
                if logs.len() < LEAST { whole } else { level(&logs).unwrap_or(whole) }
            })
            .collect();
        let hours = by_hour
            .iter()
            .enumerate()
            .map(
                |(hour, logs)| {
                    if logs.len() < LEAST { days[hour % 24] } else { level(logs).unwrap_or(days[hour % 24]) }
                },
            )
            .collect();
        Some(Self { hours })
    }

    /// The level at a moment.
    pub fn at(&self, time: Time) -> Level {
        self.hours[hour_of_week(time.hour())]
    }
}

fn hour_of_week(hour: Hour) -> usize {
    hour.number().rem_euclid(WEEK as i64) as usize
}

fn level(logs: &[f64]) -> Option<Level> {
    let median = confidence::median(logs.to_vec())?;
    let mad = confidence::median(logs.iter().map(|log| (log - median).abs()).collect())?;
    Some(Level { median, sigma: (mad * MAD_TO_SIGMA).max(LEAST_SIGMA) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_with_a_rhythm_have_levels_of_their_own() {
        let at = |hour: i64, n: i64| Hour::from_number(hour).start().plus_micros(n);
        let mut durations = Vec::new();
        for day in 0..7 {
            for n in 0..10 {
                durations.push((at(day * 24 + 3, n), 100.0));
                durations.push((at(day * 24 + 15, n), 1_000.0));
            }
        }
        durations.push((at(4, 0), 0.0));
        let baseline = Baseline::of(&durations).unwrap();
        assert!((baseline.at(at(168 + 3, 0)).median - 100.0_f64.ln()).abs() < 1e-9);
        assert!((baseline.at(at(168 * 50 + 15, 0)).median - 1_000.0_f64.ln()).abs() < 1e-9);
        assert!((baseline.at(at(15, 0)).sigma - LEAST_SIGMA).abs() < 1e-12);
        assert!(Baseline::of(&[(at(0, 0), 0.0)]).is_none());
    }
}
