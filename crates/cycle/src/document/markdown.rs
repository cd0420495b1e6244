//! What may stand in a report, and how. Reports are read by people, pages and models, so nothing in them is taken
//! over as it came.

/// What stands for a name that may not be shown.
const MASK: &str = "<*>";

/// A text on one line, clipped, without control characters.
pub(super) fn one_line(text: &str, most: usize) -> String {
    let spaced: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let joined = spaced.split_whitespace().collect::<Vec<_>>().join(" ");
    if joined.chars().count() <= most {
        return joined;
    }
    let mut clipped: String = joined.chars().take(most.saturating_sub(1)).collect();
    clipped.push('…');
    clipped
}

/// A text as it may stand in a line: on one line, clipped, and with nothing in it that Markdown or HTML would take for
/// more than text.
pub(super) fn text(text: &str, most: usize) -> String {
    let mut safe = String::new();
    for c in one_line(text, most).chars() {
        match c {
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '&' => safe.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '#' | '!' | '$' => {
                safe.push('\\');
                safe.push(c);
            }
            _ => safe.push(c),
        }
    }
    safe
}

/// A name as code: itself where it is an identifier of at most 64 bytes, else a mask.
pub(super) fn code(name: &str) -> String {
    format!("`{}`", plain(name))
}

/// A name where it is an identifier of at most 64 bytes, else a mask.
pub(super) fn plain(name: &str) -> &str {
    let plain = (1..=64).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.:-@/".contains(&byte));
    if plain { name } else { MASK }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_text_is_left_of_a_text() {
        assert_eq!(
            text("a\n# b <script>\u{7} [x](y) `c` | d", 100),
            "a \\# b &lt;script&gt; \\[x\\](y) \\`c\\` \\| d"
        );
        assert_eq!(text("abcdef", 4), "abc…");
        assert_eq!(one_line(" a \u{1b} b ", 9), "a b");
    }

    #[test]
    fn names_that_are_not_plain_are_masked() {
        assert_eq!(code("get_order"), "`get_order`");
        assert_eq!(code("a`b"), "`<*>`");
        assert_eq!(code(&"x".repeat(65)), "`<*>`");
    }
}
