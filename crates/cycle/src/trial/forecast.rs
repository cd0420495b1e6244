//! How long units take by the hour: what control is held against, once a trial runs.

use std::collections::BTreeMap;

use uplift_model::policy::trial::HOUR_US;
use uplift_model::trial::{HourForecast, UnitOutcome};

/// Hours of history from which on the hours of the week are told apart: three weeks, less what may be missing at the ends.
const WEEKS_HOURS: i64 = 3 * 168 - 24;
/// Days with enough units from which on the hours of the day are told apart.
const LEAST_DAYS: usize = 3;
/// Units that make a day count.
const UNITS_OF_DAY: f64 = 20.0;
/// Units' worth of the overall mean in an hour's mean: an hour with two units is no forecast.
const PRIOR_UNITS: f64 = 5.0;

/// Learns from ended units; durations are cut at `p95_ms`. `None` with fewer than three days of twenty units.
pub fn of_history(units: &[&UnitOutcome], p95_ms: f64) -> Option<HourForecast> {
    let usable = |ms: &f64| ms.is_finite() && *ms > 0.0;
    let known: Vec<(i64, f64)> = units
        .iter()
        .filter_map(|unit| {
            Some((unit.started_us.div_euclid(HOUR_US), unit.duration_ms.filter(usable)?.min(p95_ms).ln()))
        })
        .collect();
    let days = |value: &dyn Fn(i64, f64) -> f64| {
        let mut days: BTreeMap<i64, (f64, f64)> = BTreeMap::new();
        for (hour, log) in &known {
            let day = days.entry(hour.div_euclid(24)).or_default();
            *day = (day.0 + 1.0, day.1 + value(*hour, *log));
        }
        days.into_values().filter(|day| day.0 >= UNITS_OF_DAY).collect::<Vec<_>>()
    };
    if days(&|_, log| log).len() < LEAST_DAYS {
        return None;
    }
    let hours = || known.iter().map(|(hour, _)| *hour);
    let span = hours().max()? - hours().min()?;
    let (cycle, periods) =
        if span >= WEEKS_HOURS { (168, span as f64 / 168.0) } else { (24, (span as f64 / 24.0).max(2.0)) };
    let by_hour = means(&known, cycle);
    let expected = |hour: i64| by_hour[hour.rem_euclid(cycle) as usize];
    let count = known.len() as f64;
    let variance = known.iter().map(|(hour, log)| (log - expected(*hour)).powi(2)).sum::<f64>() / count;
    let days = days(&|hour, log| log - expected(hour));
    let between = days.iter().map(|(n, sum)| (sum / n).powi(2) - variance / n).sum::<f64>() / days.len() as f64;
    // The means were made of the same days, and so lie too near to them.
    let day_variance = between.max(0.0) * periods / (periods - 1.0);
    (variance > 0.0).then_some(HourForecast { by_hour, variance, day_variance })
}

fn means(known: &[(i64, f64)], cycle: i64) -> Vec<f64> {
    let overall = known.iter().map(|(_, log)| log).sum::<f64>() / (known.len() as f64).max(1.0);
    let mut sums = vec![(PRIOR_UNITS, PRIOR_UNITS * overall); cycle as usize];
    for (hour, log) in known {
        let sum = &mut sums[hour.rem_euclid(cycle) as usize];
        *sum = (sum.0 + 1.0, sum.1 + log);
    }
    sums.into_iter().map(|(n, sum)| sum / n).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use uplift_model::trial::Arm;

    /// Twenty units an hour, slower in the afternoon and, on every seventh day, at all hours.
    fn days(count: i64) -> Vec<UnitOutcome> {
        (0..count * 24 * 20)
            .map(|place| {
                let hour = place / 20;
                let afternoon = if hour % 24 >= 12 { 2.0 } else { 1.0 };
                let sunday = if hour / 24 % 7 == 0 { 3.0 } else { 1.0 };
                let noise = 1.0 + (place * 7_919 % 101) as f64 / 100.0;
                UnitOutcome {
                    unit: String::new(),
                    arm: Arm::Control,
                    started_us: hour * HOUR_US + 1,
                    ended: true,
                    success: None,
                    errored: false,
                    duration_ms: Some(1_000.0 * afternoon * sunday * noise),
                    tokens: None,
                    cost: None,
                    scores: BTreeMap::new(),
                    crossed: false,
                    covariates: BTreeMap::new(),
                    stratum: None,
                }
            })
            .collect()
    }

    fn forecast(count: i64) -> Option<HourForecast> {
        let units = days(count);
        of_history(&units.iter().collect::<Vec<_>>(), 1e9)
    }

    #[test]
    fn hours_of_the_day_and_then_of_the_week_are_told_apart() {
        assert_eq!(forecast(2), None);
        let ratio = |forecast: &HourForecast, a: i64, b: i64| {
            (forecast.at(a * HOUR_US).unwrap() - forecast.at(b * HOUR_US).unwrap()).exp()
        };
        let daily = forecast(10).unwrap();
        assert_eq!(daily.by_hour.len(), 24);
        assert!((ratio(&daily, 13, 1) - 2.0).abs() < 0.1 && daily.day_variance > 0.05, "{daily:?}");
        let weekly = forecast(28).unwrap();
        assert_eq!(weekly.by_hour.len(), 168);
        assert!((ratio(&weekly, 13, 1) - 2.0).abs() < 0.1, "{weekly:?}");
        assert!((ratio(&weekly, 1, 25) - 3.0).abs() < 0.3 && weekly.day_variance < 0.005, "{weekly:?}");
        assert_eq!(HourForecast { by_hour: Vec::new(), ..weekly }.at(5), None);
    }
}
