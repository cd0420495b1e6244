//! Where time comes from.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use uplift_model::Time;

/// A clock.
pub trait Clock: Send + Sync {
    /// The moment it is.
    fn now(&self) -> Time;

    /// Time that passed since a moment of its own, by something that nobody sets; none where there is no such thing.
    fn elapsed(&self) -> Option<Duration> {
        None
    }
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

/// When this process first asked how much time passed.
static BEGAN: OnceLock<Instant> = OnceLock::new();

impl Clock for SystemClock {
    fn now(&self) -> Time {
        let micros = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
            Err(before) => -i64::try_from(before.duration().as_micros()).unwrap_or(i64::MAX),
        };
        Time::from_micros(micros)
    }

    fn elapsed(&self) -> Option<Duration> {
        Some(BEGAN.get_or_init(Instant::now).elapsed())
    }
}

/// How far a clock may move against the time that passed and still be taken for slewed, microseconds: 5 minutes.
const SLEW_US: i64 = 300_000_000;
/// How long a clock that was set to another time has to stay there to be believed. What sets clocks (NTP, a hypervisor) puts
/// its own mistakes right within minutes; looks that were missed are made up for.
const SETTLE: Duration = Duration::from_mins(10);

/// Whether a clock may be acted on: a trial that was ended by a clock that ran ahead for a minute is not begun again when
/// the clock is put right.
#[derive(Debug, Default)]
pub(crate) struct Steadiness {
    /// What the clock showed at the beginning of the time that passes, as far as it is believed, microseconds.
    believed: Option<i64>,
    /// Another such beginning, and when it was first seen.
    other: Option<(i64, Duration)>,
}

impl Steadiness {
    /// Whether `now` may be believed when that much time has passed.
    pub(crate) fn trusts(&mut self, now: Time, elapsed: Duration) -> bool {
        let passed_us = i64::try_from(elapsed.as_micros()).unwrap_or(i64::MAX);
        let beginning = now.micros().saturating_sub(passed_us);
        let near = |known: i64| beginning.saturating_sub(known).saturating_abs() <= SLEW_US;
        if self.believed.is_none_or(near) {
            (self.believed, self.other) = (Some(beginning), None);
            return true;
        }
        let since = match self.other {
            Some((other, since)) if near(other) => since,
            _ => {
                tracing::warn!(%now, "the clock was set: nothing is decided until it has stayed there for ten minutes");
                elapsed
            }
        };
        self.other = Some((beginning, since));
        if elapsed.saturating_sub(since) >= SETTLE {
            (self.believed, self.other) = (Some(beginning), None);
            return true;
        }
        false
    }
}

/// A clock that stands until it is set: for tests and simulations.
#[derive(Debug, Default)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock that shows `time`.
    pub fn at(time: Time) -> Self {
        Self(AtomicI64::new(time.micros()))
    }

    /// Sets it.
    pub fn set(&self, time: Time) {
        self.0.store(time.micros(), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Time {
        Time::from_micros(self.0.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds that passed, seconds the clock is ahead of them, whether it is believed.
    type Moment = (u64, i64, bool);

    #[test]
    fn a_clock_that_was_set_is_believed_once_it_stays() {
        const HOUR: i64 = 3_600;
        let courses: [(&str, &[Moment]); 6] = [
            ("steady", &[(0, 0, true), (60, 0, true), (7_200, 0, true)]),
            ("slewed", &[(0, 0, true), (600, 200, true), (1_200, 400, true), (1_800, 600, true)]),
            (
                "ahead for some minutes, then put right",
                &[(0, 0, true), (1, 20 * HOUR, false), (500, 20 * HOUR, false), (501, 0, true), (502, 0, true)],
            ),
            (
                "set for good, or awake after a sleep",
                &[
                    (0, 0, true),
                    (1, 20 * HOUR, false),
                    (600, 20 * HOUR, false),
                    (601, 20 * HOUR, true),
                    (700, 20 * HOUR, true),
                ],
            ),
            (
                "set again and again",
                &[
                    (0, 0, true),
                    (1, HOUR, false),
                    (500, 2 * HOUR, false),
                    (700, 3 * HOUR, false),
                    (1_300, 3 * HOUR, true),
                ],
            ),
            ("back", &[(0, 0, true), (1, -HOUR, false), (2, 0, true), (3, -HOUR, false), (700, -HOUR, true)]),
        ];
        let start: Time = "2026-03-01T00:00:00Z".parse().unwrap();
        for (name, course) in courses {
            let mut steadiness = Steadiness::default();
            for (passed, ahead, believed) in course {
                let now = start.plus_micros((*passed as i64 + ahead) * 1_000_000);
                let found = steadiness.trusts(now, Duration::from_secs(*passed));
                assert_eq!(found, *believed, "{name}: {passed} {ahead}");
            }
        }
        let mut far = Steadiness::default();
        assert!(far.trusts(Time::from_micros(i64::MIN), Duration::MAX));
        assert!(!far.trusts(Time::from_micros(i64::MAX), Duration::ZERO));
    }
}
