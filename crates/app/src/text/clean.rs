//! Texts from events are untrusted: nothing in them may move a cursor, change a colour or hide what stands there.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// `text` on one line, without control characters, escape sequences, and marks that turn the direction of writing.
pub(crate) fn clean(text: &str) -> String {
    let mut cleaned = String::with_capacity(text.len());
    let mut left = text.chars().peekable();
    while let Some(next) = left.next() {
        match next {
            '\u{1b}' => skip_escape(&mut left),
            '\u{9b}' => skip_control_sequence(&mut left),
            next if next.is_whitespace() => {
                if !cleaned.ends_with(' ') && !cleaned.is_empty() {
                    cleaned.push(' ');
                }
            }
            next if next.is_control() || is_invisible(next) => {}
            next => cleaned.push(next),
        }
    }
    cleaned.truncate(cleaned.trim_end().len());
    cleaned
}

/// Marks that are not seen and change how the rest is seen.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

type Chars<'a> = std::iter::Peekable<std::str::Chars<'a>>;

fn skip_escape(left: &mut Chars<'_>) {
    match left.peek() {
        Some('[') => {
            left.next();
            skip_control_sequence(left);
        }
        // Strings for the terminal (titles, links): up to BEL or ESC \.
        Some(']' | 'P' | 'X' | '^' | '_') => {
            while let Some(next) = left.next() {
                if next == '\u{7}' || next == '\u{9c}' {
                    return;
                }
                if next == '\u{1b}' {
                    left.next_if_eq(&'\\');
                    return;
                }
            }
        }
        // Two characters, with what stands between them.
        Some(_) => {
            while left.next_if(|next| (' '..='/').contains(next)).is_some() {}
            left.next_if(|next| ('0'..='~').contains(next));
        }
        None => {}
    }
}

fn skip_control_sequence(left: &mut Chars<'_>) {
    while left.next_if(|next| (' '..='?').contains(next)).is_some() {}
    left.next_if(|next| ('@'..='~').contains(next));
}

/// The columns that `text` takes up.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// `text` in at most `columns` columns, with an ellipsis where something was cut off.
pub(crate) fn clip(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut used = 0;
    let mut kept = String::new();
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used >= columns {
            break;
        }
        kept.push(c);
    }
    kept.truncate(kept.trim_end().len());
    if columns > 0 {
        kept.push('…');
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_moves_the_terminal_gets_through() {
        for (given, expected) in [
            ("plain", "plain"),
            ("\u{1b}[31mred\u{1b}[0m", "red"),
            ("\u{1b}]0;title\u{7}after", "after"),
            ("\u{1b}]8;;http://x\u{1b}\\link\u{1b}]8;;\u{1b}\\", "link"),
            ("a\r\nb\tc\u{0}d", "a b cd"),
            ("\u{9b}2Jgone", "gone"),
            ("\u{1b}(Bset", "set"),
            ("\u{1b}", ""),
            ("\u{1b}[", ""),
            ("user\u{202e}txt.exe", "usertxt.exe"),
            ("  spaced   out  ", "spaced out"),
            ("\u{7f}\u{85}", ""),
        ] {
            assert_eq!(clean(given), expected, "{given:?}");
        }
    }

    #[test]
    fn clipping_counts_columns() {
        assert_eq!(clip("short", 5), "short");
        assert_eq!(clip("longer", 5), "long…");
        assert_eq!(clip("日本語", 5), "日本…");
        assert_eq!(clip("x", 0), "");
    }
}
