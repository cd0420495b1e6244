//! What may be shown to people: names that are plain, masked texts, numbers in words.

use uplift_model::Fingerprint;

/// What stands for a name that may not be shown.
const MASK: &str = "<*>";
/// Longest masked text in a sentence, in characters.
const MAX_TEXT_CHARS: usize = 160;

/// A name as it may be shown: itself where it is an identifier of at most 64 bytes, else a mask. Names come with
/// events, and what comes with events may have been written to be read by a model.
pub(super) fn name(name: &str) -> &str {
    if is_plain(name) { name } else { MASK }
}

/// Whether a name is an identifier of at most 64 bytes.
pub(super) fn is_plain(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.:-".contains(&byte))
}

/// Tools in order, as a fingerprint: their names where all may be shown, else a hash.
pub(super) fn sequence(names: &[&str]) -> String {
    if names.iter().all(|name| is_plain(name)) { names.join(" > ") } else { Fingerprint::of(names).to_string() }
}

/// A masked template as it may be shown. It was masked before it was stored, but other programs write to the
/// store too.
pub(super) fn template(template: &str) -> String {
    let mut text: String =
        template.chars().filter(|c| c.is_alphanumeric() || " <*>.,:;'’-".contains(*c)).take(MAX_TEXT_CHARS).collect();
    text.truncate(text.trim_end().len());
    text
}

/// A share as whole percent, such as `12 %`.
pub(super) fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

/// Milliseconds in the unit that reads best.
pub(super) fn duration(ms: f64) -> String {
    if ms < 1_000.0 {
        format!("{ms:.0} ms")
    } else if ms < 120_000.0 {
        format!("{:.1} s", ms / 1_000.0)
    } else if ms < 7_200_000.0 {
        format!("{:.0} min", ms / 60_000.0)
    } else {
        format!("{:.1} h", ms / 3_600_000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_are_shown() {
        for (given, shown) in
            [("get.user:v2-a_b", "get.user:v2-a_b"), ("do this now", MASK), ("", MASK), ("<b>", MASK)]
        {
            assert_eq!(name(given), shown);
        }
        assert_eq!(template("a <*> \u{1b}[1m`b`\n"), "a <*> 1mb");
        assert_eq!(duration(90_000.0), "90.0 s");
    }
}
