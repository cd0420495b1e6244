//! The one line of an error's text that says what went wrong.

use std::borrow::Cow;

use super::{clip, words};

/// How much of a long text is looked at, from each end, in bytes. Tracebacks say it last, programs first.
const END_BYTES: usize = 4096;
/// How much of one line is looked at, in bytes.
const LINE_BYTES: usize = 1024;

/// What a text says of its error.
#[derive(Debug, PartialEq)]
pub(super) enum Informative<'a> {
    /// A message, yet to be masked.
    Message(Cow<'a, str>),
    /// The message of a program that a shell ran, yet to be masked. Which program is data.
    OfProgram(&'a str),
    /// A set phrase of a shell or system library, in lower case.
    Phrase(String),
    /// Output that holds no message.
    Output,
    /// Nothing at all.
    Nothing,
}

/// How well a line says it. Later entries say it better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Weight {
    /// Not at all.
    None,
    /// It is at least a sentence, and comes first.
    Prose,
    /// A warning.
    Warning,
    /// It speaks of trouble.
    Trouble,
    /// `prog: ...: No such file or directory`.
    Phrase(&'static str),
    /// `Error: ...`.
    Label,
    /// `SomeError: ...`, as under a traceback.
    Exception,
    /// The same with the type that was reported.
    Reported,
}

impl Weight {
    /// Whether of several lines the last one counts: causes come last under tracebacks.
    fn last_counts(self) -> bool {
        self >= Self::Exception
    }

    fn beats(self, other: Self) -> bool {
        match (self, other) {
            (Self::Phrase(_), Self::Phrase(_)) => false,
            _ => self > other || (self == other && self.last_counts()),
        }
    }
}

/// Finds what says best what went wrong. `kind` is the error type that was reported; `shell` says whether the
/// text is what a shell and its programs wrote.
pub(super) fn informative<'a>(content: &'a str, kind: Option<&str>, shell: bool) -> Informative<'a> {
    let text = without_exit_code(content.trim());
    if text.is_empty() {
        return Informative::Nothing;
    }
    if text.starts_with("diff --git ") || text.starts_with("--- ") {
        return Informative::Output;
    }
    if let Some(message) = structured(clip(text, END_BYTES)) {
        return Informative::Message(Cow::Owned(message));
    }
    let mut best: (Weight, &str) = (Weight::None, "");
    let mut first = true;
    let only = !text.contains('\n');
    for line in ends(text) {
        let line = without_colours(clip(line.trim(), LINE_BYTES));
        if line.is_empty() {
            continue;
        }
        let weight = weigh(line, kind, first, only);
        first = false;
        if weight.beats(best.0) {
            best = (weight, line);
        }
    }
    match best {
        (Weight::None, _) => Informative::Output,
        (Weight::Phrase(phrase), _) => Informative::Phrase(with_object(phrase)),
        (Weight::Trouble | Weight::Prose, line) if shell => {
            // A shell names itself, its line and the builtin before it comes to the point.
            match std::iter::successors(behind_program(line), |message| behind_program(message)).take(3).last() {
                Some(message) => Informative::OfProgram(message),
                None => Informative::Message(Cow::Borrowed(line)),
            }
        }
        (_, line) => Informative::Message(Cow::Borrowed(bare(line))),
    }
}

/// What stands behind `prog: ` or `/bin/sh: line 1: `, if a line begins so.
fn behind_program(line: &str) -> Option<&str> {
    let (program, rest) = line.split_once(": ")?;
    let plain = (1..=40).contains(&program.len())
        && program.starts_with(|c: char| c.is_ascii_lowercase() || c == '/')
        && program.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._+-".contains(&byte));
    let numbered = rest.strip_prefix("line ").unwrap_or(rest);
    let digits = numbered.bytes().take_while(u8::is_ascii_digit).count();
    let rest = numbered[digits..].strip_prefix(": ").filter(|_| digits > 0).unwrap_or(rest);
    (plain && !rest.trim().is_empty()).then_some(rest)
}

/// The lines at both ends of a text.
fn ends(text: &str) -> impl Iterator<Item = &str> {
    let head = clip(text, END_BYTES);
    let tail = &text[text.ceil_char_boundary(text.len().saturating_sub(END_BYTES)).max(head.len())..];
    head.lines().chain(tail.lines())
}

/// Runners put the exit code first: `rc=1 ...`.
fn without_exit_code(text: &str) -> &str {
    let Some(rest) = text.strip_prefix("rc=").or_else(|| text.strip_prefix("exit code: ")) else {
        return text;
    };
    rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '-').trim_start()
}

/// Without the colour codes a terminal line begins with.
fn without_colours(mut line: &str) -> &str {
    while let Some(rest) = line.strip_prefix("\u{1b}[") {
        let Some(end) = rest.find('m') else { break };
        line = rest[end + 1..].trim_start();
    }
    line
}

/// Without what test runners and virtual machines put before an exception.
fn bare(line: &str) -> &str {
    let line = line.strip_prefix("E  ").map_or(line, str::trim_start);
    let line = line.strip_prefix("Caused by: ").unwrap_or(line);
    if line.starts_with("Exception in thread \"") {
        return line.splitn(3, '"').nth(2).unwrap_or(line).trim_start();
    }
    line
}

fn weigh(line: &str, kind: Option<&str>, first: bool, only: bool) -> Weight {
    if let Some(weight) = exception(bare(line), kind) {
        return weight;
    }
    if let Some(phrase) = words::phrase(line)
        && let Some(place) = line.find(phrase)
        && (line[..place].ends_with(": ") || line[..place].ends_with('('))
    {
        return Weight::Phrase(phrase);
    }
    let (plain, all) = plain_words(line);
    if words::speaks_of_trouble(line) && plain * 5 >= all * 2 && plain > 0 && !line.starts_with(['+', '>', '|']) {
        Weight::Trouble
    } else if (only && is_short_message(line, plain, all)) || (first && plain >= 3 && plain * 5 >= all * 3) {
        Weight::Prose
    } else {
        Weight::None
    }
}

/// Whether the only line of a text is a message though it holds few words: a label, a code.
fn is_short_message(line: &str, plain: usize, all: usize) -> bool {
    let code = all == 1 && line.contains('_') && line.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    code || (plain > 0 && (plain == all || (all <= 4 && plain * 2 >= all && line.contains(": "))))
}

/// The weight of a line that begins with the type of an exception or a label such as `Error:`.
fn exception(line: &str, kind: Option<&str>) -> Option<Weight> {
    let end =
        line.bytes().position(|byte| !(byte.is_ascii_alphanumeric() || b"_.$".contains(&byte))).unwrap_or(line.len());
    let (head, rest) = line.split_at(end);
    if head.is_empty() || !(rest.is_empty() || rest.starts_with(": ") || rest == ":") {
        return None;
    }
    let name = last_segment(head);
    if kind.is_some_and(|kind| last_segment(kind) == name && name.len() > 2) {
        return Some(Weight::Reported);
    }
    if matches!(name, "Error" | "error" | "ERROR" | "fatal" | "FATAL" | "Fatal") {
        return (!rest.is_empty()).then_some(Weight::Label);
    }
    if !name.starts_with(|c: char| c.is_ascii_uppercase()) {
        return None;
    }
    if name.ends_with("Warning") {
        return Some(Weight::Warning);
    }
    let named = ["Error", "Exception", "Exit", "Interrupt", "Fault", "Failure", "DoesNotExist", "NotFound"]
        .iter()
        .any(|suffix| name.ends_with(suffix));
    (named || (head.contains('.') && !rest.is_empty() && head.starts_with(|c: char| c.is_ascii_lowercase())))
        .then_some(Weight::Exception)
}

/// `OperationalError` of `django.db.utils.OperationalError`.
pub(super) fn last_segment(name: &str) -> &str {
    name.rsplit(['.', '$', ':']).next().unwrap_or(name)
}

/// How many words of a line are words of letters, and how many there are.
fn plain_words(line: &str) -> (usize, usize) {
    let mut counts = (0, 0);
    for word in line.split_ascii_whitespace() {
        counts.1 += 1;
        let word = word.trim_matches(|c: char| ".,:;!?()".contains(c));
        let plain = !word.is_empty()
            && word.len() <= 32
            && word.chars().all(|c| c.is_alphabetic() || c == '\'' || c == '-')
            && !word.starts_with('-');
        counts.0 += usize::from(plain);
    }
    counts
}

/// A phrase as a template has it: in lower case, with a mask for what follows it.
fn with_object(phrase: &str) -> String {
    let mut text = phrase.to_ascii_lowercase();
    if ["matching", "token", "near"].iter().any(|end| text.ends_with(end)) {
        text.push(' ');
        text.push_str(super::mask::MASK);
    }
    text
}

/// The message inside a JSON or Python object, behind whatever comes before the object.
fn structured(text: &str) -> Option<String> {
    let open = text.find('{')?;
    if text[..open].contains('\n') {
        return None;
    }
    for key in ["message", "detail", "error_description", "error", "reason", "msg"] {
        for (place, _) in text[open..].match_indices(key) {
            let place = open + place;
            let before = text.as_bytes()[place - 1];
            let Some(rest) = text[place + key.len()..].strip_prefix(char::from(before)) else { continue };
            if before != b'"' && before != b'\'' {
                continue;
            }
            let Some(value) = rest.trim_start().strip_prefix(':').map(str::trim_start) else { continue };
            let Some(quote) = value.chars().next().filter(|c| *c == '"' || *c == '\'') else { continue };
            let value = &value[1..];
            let end = closing(value, quote).unwrap_or(value.len());
            let value = value[..end].split("\\n").next().unwrap_or_default().trim();
            if !value.is_empty() {
                return Some(format!("{} {value}", text[..open].trim_end()).trim_start().to_owned());
            }
        }
    }
    None
}

/// Where the quote that opened before `text` closes: at the first one not escaped that something other than text
/// follows.
fn closing(text: &str, quote: char) -> Option<usize> {
    let bytes = text.as_bytes();
    text.match_indices(quote).map(|(place, _)| place).find(|place| {
        let escaped = *place > 0 && bytes[place - 1] == b'\\';
        let next = bytes.get(place + 1).copied();
        !escaped && next.is_none_or(|next| !next.is_ascii_alphanumeric() && next != b' ')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> Informative<'_> {
        Informative::Message(Cow::Borrowed(text))
    }

    #[test]
    fn the_line_that_says_it() {
        let traceback = "rc=1 Traceback (most recent call last):\n  File \"a.py\", line 3, in f\n    raise KeyError(k)\n\
                         pkg.errors.LoadError: no such thing\nDone in 3 s";
        assert_eq!(informative(traceback, None, false), message("pkg.errors.LoadError: no such thing"));
        let chained = "ValueError: first\nDuring handling of the above\nTypeError: second";
        assert_eq!(informative(chained, None, false), message("TypeError: second"));
        assert_eq!(informative(chained, Some("ValueError"), false), message("ValueError: first"));
        let pytest = "x = 1\nE   TypeError: f() got too much\n=== 1 failed ===";
        assert_eq!(informative(pytest, Some("TypeError"), false), message("TypeError: f() got too much"));
        let program = "12 files\nls: cannot access 'q': No such file or directory\nls: cannot open 'r': File exists";
        assert_eq!(informative(program, None, false), Informative::Phrase("no such file or directory".to_owned()));
        let java = "Exception in thread \"main\" java.lang.StackOverflowError: deep\n\tat a.B.c(B.java:1)";
        assert_eq!(informative(java, None, false), message("java.lang.StackOverflowError: deep"));
        let shell = "sh: line 3: cd: too many arguments";
        assert_eq!(informative(shell, None, true), Informative::OfProgram("too many arguments"));
    }

    #[test]
    fn output_without_a_message_is_told_apart() {
        for text in ["0\n", "drwxr-xr-x 2 root root 4096 .\n17 x/y", "diff --git a/x b/x\n+ raise ValueError('no')"] {
            assert_eq!(informative(text, None, false), Informative::Output, "{text}");
        }
        for text in ["", " \n ", "rc=1 "] {
            assert_eq!(informative(text, None, false), Informative::Nothing, "{text}");
        }
    }

    #[test]
    fn a_message_inside_an_object_is_found() {
        for (text, expected) in [
            (r#"{"error": {"message": "quota is used up", "code": 7}}"#, "quota is used up"),
            (
                r#"Error code: 400 - {'error': {'message': "the model's limit is 8"}}"#,
                "Error code: 400 - the model's limit is 8",
            ),
            (r#"{"detail": "not here\nline two"}"#, "not here"),
        ] {
            assert_eq!(
                informative(text, None, false),
                Informative::Message(Cow::Owned(expected.to_owned())),
                "{text}"
            );
        }
    }
}
