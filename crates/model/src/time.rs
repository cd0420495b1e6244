//! Moments and hours. Everything here is event time: the clock is always somebody else's.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Microseconds in an hour.
pub const MICROS_PER_HOUR: i64 = 3_600_000_000;
/// Microseconds in a day.
pub const MICROS_PER_DAY: i64 = 24 * MICROS_PER_HOUR;
/// Hours in a day.
pub const HOURS_PER_DAY: i64 = 24;

/// A moment: microseconds since the Unix epoch, UTC, leap seconds ignored.
///
/// Written as RFC 3339 in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(i64);

/// An hour of event time: whole hours since the Unix epoch, the unit of every rollup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hour(i64);

/// Why a text is not a moment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an RFC 3339 time with an offset, such as 2026-01-31T12:00:00Z")]
pub struct TimeError {
    /// The text as given, clipped.
    pub text: String,
}

impl Time {
    /// The first moment an event may bear: 2000-01-01T00:00:00Z. Earlier ones are nearly always seconds or
    /// milliseconds read in the wrong unit.
    pub const EARLIEST: Self = Self(946_684_800_000_000);

    /// From microseconds since the Unix epoch.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// From milliseconds since the Unix epoch; saturates far outside the years that occur.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(1000))
    }

    /// Microseconds since the Unix epoch.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// The hour this moment falls in.
    pub const fn hour(self) -> Hour {
        Hour(self.0.div_euclid(MICROS_PER_HOUR))
    }

    /// Whole days since the Unix epoch.
    pub const fn day(self) -> i64 {
        self.0.div_euclid(MICROS_PER_DAY)
    }

    /// This moment moved by `micros`; saturates.
    #[must_use]
    pub const fn plus_micros(self, micros: i64) -> Self {
        Self(self.0.saturating_add(micros))
    }

    /// This moment moved by whole hours; saturates.
    #[must_use]
    pub const fn plus_hours(self, hours: i64) -> Self {
        self.plus_micros(hours.saturating_mul(MICROS_PER_HOUR))
    }

    /// Microseconds from `earlier` to this moment (negative when it is later).
    pub const fn micros_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl Hour {
    /// From whole hours since the Unix epoch.
    pub const fn from_number(number: i64) -> Self {
        Self(number)
    }

    /// Whole hours since the Unix epoch.
    pub const fn number(self) -> i64 {
        self.0
    }

    /// The first moment of the hour.
    pub const fn start(self) -> Time {
        Time(self.0.saturating_mul(MICROS_PER_HOUR))
    }

    /// The hour `hours` later (earlier when negative); saturates.
    #[must_use]
    pub const fn plus(self, hours: i64) -> Self {
        Self(self.0.saturating_add(hours))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(stamp) => write!(f, "{stamp}"),
            Err(_) => write!(f, "{}us", self.0),
        }
    }
}

impl FromStr for Time {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse::<jiff::Timestamp>()
            .map(|stamp| Self(stamp.as_microsecond()))
            .map_err(|_| TimeError { text: text.chars().take(64).collect() })
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_round_trip_through_text() {
        let time: Time = "2025-08-01T16:16:36.577845Z".parse().unwrap();
        assert_eq!(time.to_string(), "2025-08-01T16:16:36.577845Z");
        assert_eq!(time.hour().start().to_string(), "2025-08-01T16:00:00Z");
        let offset: Time = "2025-08-01T18:16:36.577845+02:00".parse().unwrap();
        assert_eq!(offset, time);
    }

    #[test]
    fn a_local_time_without_an_offset_is_refused_with_a_remedy() {
        let error = "2025-08-01T16:16:36".parse::<Time>().unwrap_err();
        assert!(error.to_string().contains("with an offset"), "{error}");
    }

    #[test]
    fn hours_before_the_epoch_floor() {
        assert_eq!(Time::from_micros(-1).hour(), Hour::from_number(-1));
    }
}
