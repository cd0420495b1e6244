//! The watch over durations as they come in: an e-detector that alarms when they stay above 1.5 times the usual.

use uplift_model::Time;

use super::baseline::Baseline;

/// Slopes of the mixture: small ones find small lasting changes, large ones find large ones fast.
const SLOPES: [f64; 3] = [0.25, 0.5, 1.0];
/// Most standard deviations that one duration counts above the level: a single timeout is no degradation.
const MOST_ABOVE: f64 = 3.0;

/// A Shiryaev-Roberts e-detector (Shin, Ramdas, Rinaldo, "E-detectors", 2023): one evidence per possible start of a
/// change, summed.
///
/// Each start j has the e-process `E^(j)_t = prod_{i=j..t} exp(b z_i - b^2/2)`, where `z` is the log residual minus
/// ln of the ratio, in standard deviations. While durations are at most `ratio` times the usual, each factor has
/// mean 1 at most (`z` sub-Gaussian; clipping it above only lowers it). The sum over starts obeys
/// `M_t = (M_{t-1} + 1) * factor`; the detector is the mean of M over three slopes b. With an alarm at `1/alpha`
/// the average time between false alarms is at least `1/alpha` durations. No time after a change is lost for
/// having watched long before it.
///
/// The state is three numbers; folding in one duration costs three exponentials.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct EDetector {
    sums: [f64; 3],
}

impl EDetector {
    /// Folds in one standardised residual (see [`residual`]). Residuals that are not numbers are left out.
    #[must_use]
    pub fn after(self, z: f64) -> Self {
        if z.is_nan() {
            return self;
        }
        let z = z.min(MOST_ABOVE);
        let mut sums = self.sums;
        for (sum, slope) in sums.iter_mut().zip(SLOPES) {
            *sum = ((*sum + 1.0) * (slope * z - slope * slope / 2.0).exp()).min(f64::MAX);
        }
        Self { sums }
    }

    /// The evidence that durations rose at some time: mean 1 a step at most while they have not.
    pub fn evidence(&self) -> f64 {
        self.sums.iter().map(|sum| sum / SLOPES.len() as f64).sum()
    }

    /// Whether the evidence is enough for a mean time between false alarms of `1/alpha` durations.
    pub fn alarms(&self, alpha: f64) -> bool {
        alpha > 0.0 && self.evidence() >= 1.0 / alpha
    }
}

/// How far a duration lies above `ratio` times the usual of its hour, in standard deviations of logarithms; none
/// for durations not above 0.
pub fn residual(baseline: &Baseline, at: Time, duration_ms: f64, ratio: f64) -> Option<f64> {
    let level = baseline.at(at);
    (duration_ms > 0.0 && duration_ms.is_finite() && ratio > 0.0)
        .then(|| (duration_ms.ln() - level.median - ratio.ln()) / level.sigma)
}

/// An alarm of [`e_detector`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Alarm {
    /// Which duration raised it, from 0.
    pub index: usize,
    /// When that ended, event time.
    pub at: Time,
    /// The evidence then.
    pub evidence: f64,
}

/// Folds durations, in milliseconds with their ends in the order of time, into `state`. Gives the state after the
/// last one and the alarms on the way; after an alarm the detector starts anew. `ratio` is 1 +
/// `policy.degradation_threshold`.
pub fn e_detector(
    mut state: EDetector,
    baseline: &Baseline,
    durations: &[(Time, f64)],
    ratio: f64,
    alpha: f64,
) -> (EDetector, Vec<Alarm>) {
    let mut alarms = Vec::new();
    for (index, (at, ms)) in durations.iter().enumerate() {
        let Some(z) = residual(baseline, *at, *ms, ratio) else { continue };
        state = state.after(z);
        if state.alarms(alpha) {
            alarms.push(Alarm { index, at: *at, evidence: state.evidence() });
            state = EDetector::default();
        }
    }
    (state, alarms)
}

#[cfg(test)]
mod tests {
    use rand::rngs::SmallRng;
    use rand::{Rng, SeedableRng};

    use super::*;

    /// A standard normal number (Box-Muller).
    fn normal(rng: &mut SmallRng) -> f64 {
        let (u, v): (f64, f64) = (1.0 - rng.random::<f64>(), rng.random());
        (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
    }

    /// Mean steps to an alarm, at most `most` each, when residuals have this mean.
    fn mean_run(mean: f64, alpha: f64, runs: u64, most: usize) -> f64 {
        let mut total = 0_usize;
        for run in 0..runs {
            let mut rng = SmallRng::seed_from_u64(run);
            let mut state = EDetector::default();
            for _ in 0..most {
                total += 1;
                state = state.after(mean + normal(&mut rng));
                if state.alarms(alpha) {
                    break;
                }
            }
        }
        total as f64 / runs as f64
    }

    #[test]
    fn false_alarms_are_as_rare_as_promised() {
        // Exactly at 1.5 times the usual, which is the worst case allowed.
        for alpha in [0.05, 0.01, 0.001] {
            let run = mean_run(0.0, alpha, 400, 20_000);
            assert!(run >= 1.0 / alpha, "alpha {alpha}: {run}");
        }
        // At the usual duration, with a spread of 0.4, there is practically none.
        assert!(mean_run(-1.5_f64.ln() / 0.4, 0.001, 50, 20_000) > 19_000.0);
    }

    #[test]
    fn changes_are_found_soon() {
        for (mean, within) in [(0.5, 80.0), (1.0, 25.0), (2.0, 10.0)] {
            let run = mean_run(mean, 0.001, 400, 20_000);
            assert!(run <= within, "{mean}: {run}");
        }
    }

    #[test]
    fn one_outlier_or_nonsense_raises_no_alarm() {
        let mut state = EDetector::default();
        for z in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, 1e300] {
            state = state.after(z);
            assert!(!state.alarms(0.001) && state.evidence().is_finite());
        }
    }

    struct Series {
        durations: Vec<(Time, f64)>,
        windows: Vec<(usize, usize)>,
    }

    fn series(name: &str) -> Option<Series> {
        let is = |row: &serde_json::Value| row["series"].as_str().is_some_and(|of| of.ends_with(name));
        let row = crate::records::rows("series/series.ndjson.gz")?.find(is)?;
        let label = crate::records::rows("series/labels.ndjson.gz")?.find(is)?;
        let time = |value: &serde_json::Value| value.as_str().unwrap().parse::<Time>().unwrap();
        let (times, values) = (row["t"].as_array()?, row["v"].as_array()?);
        // Even spacing is written as the first two times and the last.
        let at = |index: usize| match times.len() {
            3 => time(&times[0]).plus_micros(time(&times[1]).micros_since(time(&times[0])) * index as i64),
            _ => time(&times[index]),
        };
        let durations = values.iter().enumerate().map(|(n, v)| (at(n), v.as_f64().unwrap())).collect();
        let windows = label["window_index"].as_array()?.iter();
        let windows = windows.map(|w| (w[0].as_u64().unwrap() as usize, w[1].as_u64().unwrap() as usize)).collect();
        Some(Series { durations, windows })
    }

    #[test]
    fn labelled_series() {
        // The first part is the baseline; the rest is watched.
        for (name, learn) in [
            ("art_daily_no_noise", 2_016),
            ("art_daily_perfect_square_wave", 2_016),
            ("art_daily_small_noise", 2_016),
            ("art_flatline", 2_016),
            ("ec2_cpu_utilization_c6585a", 2_016),
            ("ec2_cpu_utilization_77c1ca", 1_500),
            ("rds_cpu_utilization_cc0c53", 2_016),
        ] {
            let Some(series) = series(name) else { return };
            let baseline = Baseline::of(&series.durations[..learn]).unwrap();
            let (_, alarms) = e_detector(EDetector::default(), &baseline, &series.durations[learn..], 1.5, 0.001);
            assert_eq!(alarms.is_empty(), series.windows.is_empty(), "{name}");
            for (from, to) in &series.windows {
                assert!(alarms.iter().any(|alarm| (*from..=*to).contains(&(alarm.index + learn))), "{name} {from}");
            }
        }
    }
}
