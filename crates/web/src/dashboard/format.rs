//! Numbers, times and names as people read them.

use jiff::Timestamp;
use uplift_model::Time;

/// Microseconds of a second.
const SECOND_US: i64 = 1_000_000;
/// How numbers of one kind are written.
pub(crate) type Written = fn(f64) -> String;

/// What stands where nothing is known.
pub(crate) const NONE: &str = "–";

/// A count with its thousands set apart by narrow spaces.
pub(crate) fn count(number: impl TryInto<i128>) -> String {
    let Ok(number) = number.try_into() else { return NONE.to_owned() };
    let digits = number.unsigned_abs().to_string();
    let mut text = String::with_capacity(digits.len() + 4);
    if number < 0 {
        text.push('−');
    }
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// A share of one as percent, with a digit where it is below ten.
pub(crate) fn percent(share: f64) -> String {
    let value = 100.0 * share;
    match value.abs() {
        _ if !value.is_finite() => NONE.to_owned(),
        large if large >= 9.995 && (value - value.round()).abs() < 0.05 => format!("{value:.0}\u{a0}%"),
        _ => format!("{value:.1}\u{a0}%"),
    }
}

/// A change as percent with its sign.
pub(crate) fn change(share: f64) -> String {
    if !share.is_finite() {
        return NONE.to_owned();
    }
    let value = 100.0 * share;
    let digits = usize::from(value.abs() < 9.95);
    let text = format!("{:.digits$}", value.abs());
    let sign = if text.bytes().all(|byte| matches!(byte, b'0' | b'.')) {
        "±"
    } else if value < 0.0 {
        "−"
    } else {
        "+"
    };
    format!("{sign}{text}\u{a0}%")
}

/// A number in three digits or so.
pub(crate) fn number(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() {
        NONE.to_owned()
    } else if size >= 10_000.0 {
        count(value.round() as i64)
    } else if size >= 100.0 || (size - size.round()).abs() < 1e-9 {
        format!("{value:.0}")
    } else if size >= 10.0 {
        format!("{value:.1}")
    } else if size >= 0.1 {
        format!("{value:.2}")
    } else if size >= 0.001 {
        format!("{value:.4}")
    } else {
        format!("{value:.2e}")
    }
    .replace('-', "−")
}

/// Milliseconds in the unit that fits.
pub(crate) fn millis(ms: f64) -> String {
    match ms {
        _ if !ms.is_finite() => NONE.to_owned(),
        ms if ms < 1_000.0 => format!("{}\u{a0}ms", number(ms)),
        ms if ms < 10_000.0 => format!("{:.2}\u{a0}s", ms / 1e3),
        ms if ms < 60_000.0 => format!("{:.1}\u{a0}s", ms / 1e3),
        ms if ms < 3_600_000.0 => format!("{:.1}\u{a0}min", ms / 60e3),
        ms => format!("{:.1}\u{a0}h", ms / 3.6e6),
    }
}

/// US dollars.
pub(crate) fn dollars(usd: f64) -> String {
    match usd.abs() {
        _ if !usd.is_finite() => NONE.to_owned(),
        0.0 => "$0".to_owned(),
        small if small < 0.01 => format!("${usd:.5}"),
        small if small < 100.0 => format!("${usd:.3}"),
        _ => format!("${}", count(usd.round() as i64)),
    }
}

/// The value of a metric, by its name.
pub(crate) fn metric(name: &str, value: f64) -> String {
    match name {
        "success" | "errors" => percent(value),
        "duration_ms" => millis(value),
        "cost" => dollars(value),
        _ => number(value),
    }
}

/// A metric's name for people.
pub(crate) fn metric_name(name: &str) -> &str {
    if name == "duration_ms" { "duration" } else { name }
}

/// A name of a closed set for people: without its underscores.
pub(crate) fn words(name: &str) -> String {
    name.replace('_', " ")
}

fn timestamp(time: Time) -> Timestamp {
    Timestamp::from_microsecond(time.micros()).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// A moment (UTC), to the minute.
pub(crate) fn moment(time: Time) -> String {
    timestamp(time).strftime("%Y-%m-%d %H:%M").to_string()
}

/// A moment (UTC), to the second.
pub(crate) fn exactly(time: Time) -> String {
    timestamp(time).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// A day, from its number since 1970-01-01 (UTC).
pub(crate) fn day(number: i64) -> String {
    let time = Time::from_micros(number.saturating_mul(86_400 * SECOND_US));
    timestamp(time).strftime("%b %-d").to_string()
}

/// The day of a moment (UTC).
pub(crate) fn day_of(time: Time) -> String {
    day(time.day())
}

/// A stretch of time in its two largest units.
pub(crate) fn stretch(micros: i64) -> String {
    let seconds = micros.unsigned_abs() / SECOND_US.unsigned_abs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, 0) => format!("{hours} h"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (1..=9, 1.., _) => format!("{days} d {hours} h"),
        (days, _, _) => format!("{} d", count(days)),
    }
}

/// How long ago something was, or how soon it will be.
pub(crate) fn ago(time: Time, now: Time) -> String {
    let since = now.micros_since(time);
    match since {
        -30_000_000..=30_000_000 => "now".to_owned(),
        since if since < 0 => format!("in {}", stretch(since)),
        since => format!("{} ago", stretch(since)),
    }
}

/// The first digits of a revision's address.
pub(crate) fn short(revision: &str) -> String {
    revision.chars().take(8).collect()
}

/// A text cut to so many characters.
pub(crate) fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

/// A segment of a path or a value in a query, with everything encoded that is not plain.
pub(crate) fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            // A lone or doubled dot is a way up: dots are encoded too.
            encoded.push('%');
            for half in [byte >> 4, byte & 15] {
                encoded.push(char::from_digit(u32::from(half), 16).unwrap_or('0').to_ascii_uppercase());
            }
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_people_read_them() {
        for (value, text) in
            [(0, "0"), (999, "999"), (1_000, "1\u{202f}000"), (-1_234_567, "−1\u{202f}234\u{202f}567")]
        {
            assert_eq!(count(value), text);
        }
        for (value, text) in [(0.0, "0.0\u{a0}%"), (0.1234, "12.3\u{a0}%"), (1.0, "100\u{a0}%"), (f64::NAN, NONE)] {
            assert_eq!(percent(value), text);
        }
        for (value, text) in
            [(0.0, "±0.0\u{a0}%"), (-0.0001, "±0.0\u{a0}%"), (0.0163, "+1.6\u{a0}%"), (-0.5, "−50\u{a0}%")]
        {
            assert_eq!(change(value), text);
        }
        for (value, text) in
            [(0.25, "0.25"), (12.345, "12.3"), (12_345.6, "12\u{202f}346"), (-2.0, "−2"), (1e-7, "1.00e−7")]
        {
            assert_eq!(number(value), text);
        }
        assert_eq!((millis(12.5).as_str(), millis(61_000.0).as_str()), ("12.5\u{a0}ms", "1.0\u{a0}min"));
        assert_eq!((dollars(0.0139).as_str(), dollars(0.0).as_str()), ("$0.014", "$0"));
    }

    #[test]
    fn times_as_people_read_them() {
        let now = Time::from_micros(1_769_860_800_000_000);
        assert_eq!((moment(now).as_str(), exactly(now).as_str()), ("2026-01-31 12:00", "2026-01-31 12:00:00"));
        assert_eq!(day(now.day()), "Jan 31");
        for (seconds, text) in [
            (0, "now"),
            (90, "1 min ago"),
            (-7_200, "in 2 h"),
            (7_260, "2 h 1 min ago"),
            (90_000, "1 d 1 h ago"),
            (86_400 * 30, "30 d ago"),
        ] {
            assert_eq!(ago(now.plus_micros(-seconds * SECOND_US), now), text);
        }
        // Times out of any calendar are no reason to panic.
        moment(Time::from_micros(i64::MAX));
        ago(Time::from_micros(i64::MIN), Time::from_micros(i64::MAX));
    }

    #[test]
    fn names_stay_within_their_segment() {
        for (name, path) in
            [("a b", "a%20b"), ("../x", "%2E%2E%2Fx"), ("ä?#&", "%C3%A4%3F%23%26"), ("plain-1", "plain-1")]
        {
            assert_eq!(encoded(name), path);
        }
        assert_eq!((cut("abcdef", 4).as_str(), cut("abc", 4).as_str()), ("abc…", "abc"));
    }
}
