//! Patterns, and what they match in a text.

use std::ops::Range;

use regex::{Regex, RegexBuilder};

/// What stands in the place of what was masked.
pub const MASK: &str = "[masked]";

/// Largest compiled pattern, bytes: bounds the memory and the time that all of them may take.
const MAX_PATTERN_SIZE: usize = 1 << 20;

/// Why a pattern of `content.mask` cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "content.mask, pattern {place} (`{pattern}`): {reason}; correct it or take it out (in TOML, patterns stand between \
     single quotes, which leave backslashes alone)"
)]
pub struct BadPattern {
    /// Its place in the list, from 1.
    pub place: usize,
    /// The pattern as configured.
    pub pattern: String,
    /// What is wrong with it.
    pub reason: String,
}

/// The compiled patterns.
#[derive(Debug, Clone, Default)]
pub(super) struct Masks {
    patterns: Vec<Regex>,
    /// All of them as one, which says in one pass whether any matches: nearly always none does. Not every list can be
    /// put into one (names of groups may occur twice).
    any: Option<Regex>,
}

impl Masks {
    pub(super) fn new(patterns: &[String]) -> Result<Self, BadPattern> {
        let compiled: Result<Vec<_>, _> =
            patterns.iter().enumerate().map(|(index, pattern)| compile(index + 1, pattern)).collect();
        let alternatives: Vec<_> = patterns.iter().map(|pattern| format!("(?:{pattern})")).collect();
        let any = if alternatives.is_empty() { None } else { Regex::new(&alternatives.join("|")).ok() };
        Ok(Self { patterns: compiled?, any })
    }

    /// The text with what matches masked; none where nothing does.
    pub(super) fn apply(&self, text: &str) -> Option<String> {
        if self.patterns.is_empty() {
            return None;
        }
        let bare = Bare::of(text);
        let (hit, hit_bare) = (self.hits(text), bare.as_ref().is_some_and(|bare| self.hits(&bare.text)));
        if !hit && !hit_bare {
            return None;
        }
        let mut found = if hit { self.find(text) } else { Vec::new() };
        if let Some(bare) = bare.filter(|_| hit_bare) {
            found.extend(self.find(&bare.text).into_iter().map(|range| bare.whole(range)));
        }
        replaced(text, with_marks(text, found))
    }

    fn hits(&self, text: &str) -> bool {
        match &self.any {
            Some(any) => any.is_match(text),
            None => self.patterns.iter().any(|pattern| pattern.is_match(text)),
        }
    }

    fn find(&self, text: &str) -> Vec<Range<usize>> {
        // Each pattern over the whole text: what one masks does not hide from another what it would have matched.
        let matches = self.patterns.iter().flat_map(|pattern| pattern.find_iter(text));
        matches.map(|found| found.range()).filter(|range| !range.is_empty()).collect()
    }
}

fn compile(place: usize, pattern: &str) -> Result<Regex, BadPattern> {
    let bad = |reason: String| BadPattern { place, pattern: pattern.to_owned(), reason };
    let regex = RegexBuilder::new(pattern).size_limit(MAX_PATTERN_SIZE).build().map_err(|error| bad(said(&error)))?;
    if regex.is_match("") {
        return Err(bad("it matches where there is nothing".to_owned()));
    }
    Ok(regex)
}

/// What the library says, on one line: it draws the pattern with a mark under the fault.
fn said(error: &regex::Error) -> String {
    match error {
        regex::Error::CompiledTooBig(limit) => format!("it is too large, more than {limit} bytes when compiled"),
        other => {
            let text = other.to_string();
            let last = text.lines().last().unwrap_or_default();
            last.strip_prefix("error: ").unwrap_or(last).to_owned()
        }
    }
}

/// A text whose escapes (`\n`, `\"`, `\u001b`, behind however many backslashes) are blanks, byte for byte: in texts
/// that hold JSON, a word after `\n` seems to begin with `n`.
struct Bare {
    text: String,
    /// Where the escapes stand.
    escapes: Vec<Range<usize>>,
}

impl Bare {
    /// None where there are no escapes.
    fn of(text: &str) -> Option<Self> {
        let mut from = text.find('\\')?;
        let (mut bare, mut escapes) = (String::with_capacity(text.len()), Vec::new());
        let mut copied = 0;
        loop {
            let escape = escape_at(text, from);
            bare.push_str(&text[copied..from]);
            bare.extend(std::iter::repeat_n(' ', escape.len()));
            copied = escape.end;
            escapes.push(escape);
            match text[copied..].find('\\') {
                Some(next) => from = copied + next,
                None => break,
            }
        }
        bare.push_str(&text[copied..]);
        Some(Self { text: bare, escapes })
    }

    /// The range with the whole of the escapes at its ends: half an escape would spoil the text around it.
    fn whole(&self, range: Range<usize>) -> Range<usize> {
        let at = |place: usize| {
            let index = self.escapes.partition_point(|escape| escape.end <= place);
            self.escapes.get(index).filter(|escape| escape.start < place)
        };
        at(range.start).map_or(range.start, |escape| escape.start)
            ..at(range.end).map_or(range.end, |escape| escape.end)
    }
}

/// The escape that begins with the backslash at `from`: all of ASCII, so its ends are ends of characters.
fn escape_at(text: &str, from: usize) -> Range<usize> {
    let bytes = text.as_bytes();
    let after = (from..bytes.len()).find(|at| bytes[*at] != b'\\').unwrap_or(bytes.len());
    let hex = |digits: usize| {
        let digits = after + 1..after + 1 + digits;
        bytes.get(digits.clone()).is_some_and(|found| found.iter().all(u8::is_ascii_hexdigit)).then_some(digits.end)
    };
    let end = match bytes.get(after) {
        Some(b'n' | b'r' | b't' | b'b' | b'f' | b'"' | b'\'' | b'/') => after + 1,
        Some(b'u') => hex(4).unwrap_or(after),
        Some(b'x') => hex(2).unwrap_or(after),
        _ => after,
    };
    from..end
}

/// What is to be replaced: matches within a mark are none, and marks that a match touches go with it.
fn with_marks(text: &str, found: Vec<Range<usize>>) -> Vec<Range<usize>> {
    let marks: Vec<_> = text.match_indices(MASK).map(|(start, mark)| start..start + mark.len()).collect();
    let within = |range: &Range<usize>| {
        let next = marks.partition_point(|mark| mark.end < range.end);
        marks.get(next).is_some_and(|mark| mark.start <= range.start)
    };
    let mut ranges: Vec<_> = found.into_iter().filter(|range| !within(range)).collect();
    if !ranges.is_empty() {
        ranges.extend(marks);
    }
    ranges.sort_by_key(|range| (range.start, range.end));
    ranges
}

/// The text with these ranges, ordered by their starts, replaced; those that overlap are one.
fn replaced(text: &str, ranges: Vec<Range<usize>>) -> Option<String> {
    let mut ranges = ranges.into_iter();
    let mut current = ranges.next()?;
    let (mut masked, mut copied) = (String::with_capacity(text.len()), 0);
    for range in ranges {
        if range.start < current.end {
            current.end = current.end.max(range.end);
        } else {
            masked.push_str(&text[copied..current.start]);
            masked.push_str(MASK);
            copied = std::mem::replace(&mut current, range).end;
        }
    }
    masked.push_str(&text[copied..current.start]);
    masked.push_str(MASK);
    masked.push_str(&text[current.end..]);
    Some(masked)
}
