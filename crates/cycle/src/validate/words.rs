//! Names and numbers as they appear in the sentences of checks.

/// What stands for a name that may not be shown.
const MASK: &str = "<*>";
/// Most names that a sentence lists.
const MAX_LISTED: usize = 10;
/// Longest reason taken over from elsewhere, in characters.
const MAX_REASON_CHARS: usize = 600;

/// A name as it may be shown: itself where it is an identifier of at most 64 bytes, else a mask. Names come with
/// events, and what comes with events may have been written to be read by a model.
pub(super) fn name(name: &str) -> &str {
    let plain = (1..=64).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.:-@/".contains(&byte));
    if plain { name } else { MASK }
}

/// Names after each other; beyond [`MAX_LISTED`] only how many there are.
pub(super) fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let all: Vec<&str> = names.into_iter().map(name).collect();
    let shown = all[..all.len().min(MAX_LISTED)].join(", ");
    match all.len().saturating_sub(MAX_LISTED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// A reason in somebody else's words, on one line and clipped.
pub(super) fn reason(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_REASON_CHARS).collect()
}

/// A share as percent, such as `12 %`.
pub(super) fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

/// A span of microseconds in the unit that reads best.
pub(super) fn span(micros: i64) -> String {
    let hours = micros.max(0) as f64 / 3.6e9;
    if hours < 2.0 {
        format!("{:.0} min", hours * 60.0)
    } else if hours < 72.0 {
        format!("{hours:.1} h")
    } else {
        format!("{:.1} days", hours / 24.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_short_and_plain() {
        assert_eq!(list(["a", "do this now", "b-2"]), "a, <*>, b-2");
        assert!(list(std::iter::repeat_n("x", 13)).ends_with("x and 3 more"));
        assert_eq!(reason("a\nb\u{1b}"), "a b ");
    }

    #[test]
    fn spans_in_words() {
        for (micros, words) in
            [(-1, "0 min"), (1_800_000_000, "30 min"), (21_600_000_000, "6.0 h"), (864_000_000_000, "10.0 days")]
        {
            assert_eq!(span(micros), words);
        }
    }
}
