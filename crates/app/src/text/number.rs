//! Numbers and times as people read them.

/// A whole number with thin groups: `12,345`.
pub(crate) fn count(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    if number < 0 { format!("-{grouped}") } else { grouped }
}

/// `count` with the noun in its number: `1 task`, `2 tasks`.
pub(crate) fn plural(number: i64, one: &str, many: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { many })
}

/// A share as a percentage.
pub(crate) fn percent(share: f64) -> String {
    if share > 0.0 && share < 0.1 { format!("{:.1}%", share * 100.0) } else { format!("{:.0}%", share * 100.0) }
}

/// A stretch of time given in milliseconds.
pub(crate) fn duration_ms(ms: f64) -> String {
    if ms < 10.0 {
        format!("{ms:.1} ms")
    } else if ms < 1_000.0 {
        format!("{ms:.0} ms")
    } else if ms < 100_000.0 {
        format!("{:.1} s", ms / 1e3)
    } else if ms < 6_000_000.0 {
        format!("{:.0} min", ms / 6e4)
    } else {
        format!("{:.1} h", ms / 3.6e6)
    }
}

/// A size in bytes.
pub(crate) fn bytes(size: u64) -> String {
    if size < 1 << 20 {
        format!("{:.0} KiB", size as f64 / 1024.0)
    } else {
        format!("{:.1} MiB", size as f64 / 1_048_576.0)
    }
}

/// An RFC 3339 time to the second, without its letters: `2025-08-01 16:16:36`.
pub(crate) fn short_time(time: &str) -> String {
    time.get(..19).map_or_else(|| time.to_owned(), |text| text.replace('T', " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_000), "1,000");
        assert_eq!(count(-1_234_567), "-1,234,567");
        assert_eq!(plural(1, "task", "tasks"), "1 task");
        assert_eq!((percent(0.004), percent(0.42)), ("0.4%".to_owned(), "42%".to_owned()));
        assert_eq!(duration_ms(856.9), "857 ms");
        assert_eq!(duration_ms(61_000.0), "61.0 s");
        assert_eq!(short_time("2025-08-01T16:16:36.577845Z"), "2025-08-01 16:16:36");
        assert_eq!(bytes(571_364), "558 KiB");
    }
}
