//! A message with everything that varies replaced by `<*>`.

use super::{clip, line, words};

/// What stands for anything that varies.
pub(super) const MASK: &str = "<*>";
/// Most words and masks of a template; what comes after is left out.
const MAX_TOKENS: usize = 24;
/// How much of a message is looked at, in bytes.
const MAX_BYTES: usize = 2048;
/// Longest word that is not taken for data, in bytes.
const MAX_WORD_BYTES: usize = 24;
/// Longest error code such as `context_length_exceeded`, in bytes.
const MAX_CODE_BYTES: usize = 48;
/// Words behind which only suggestions follow; they come and go with the data.
const SUGGESTIONS: [&str; 4] = ["did you mean", "perhaps you meant", "maybe you meant", "similar:"];
/// Punctuation that may follow a word.
const CLOSING: &[char] = &['.', ',', ':', ';', '!', '?', ')', ']', '}', '>', '"', '\'', '`', '’', '”', '…'];

/// Masks a message. `kind` is the error type that was reported: the template does not repeat it.
pub(super) fn mask(message: &str, kind: Option<&str>) -> String {
    let message = without_label(clip(message.trim(), MAX_BYTES), kind);
    if let Some(code) = error_code(message) {
        return code;
    }
    let mut template = Template::new(message);
    let mut rest = message;
    while template.tokens < MAX_TOKENS && !template.complete {
        rest = rest.trim_start();
        let Some(first) = rest.chars().next() else { break };
        rest = template.take(first, rest);
    }
    template.finish()
}

/// Without a leading `Error:` and without the type that is reported anyway.
fn without_label<'a>(mut message: &'a str, kind: Option<&str>) -> &'a str {
    for _ in 0..3 {
        let Some((head, rest)) = message.split_once(": ") else { break };
        let name = line::last_segment(head);
        let known = matches!(head, "Error" | "error" | "ERROR" | "fatal" | "FATAL" | "Fatal")
            || (!head.contains(' ') && kind.is_some_and(|kind| line::last_segment(kind) == name));
        if !known || rest.trim().is_empty() {
            break;
        }
        message = rest.trim_start();
    }
    message
}

/// The words of a message that is an error code such as `context_length_exceeded` and nothing else.
fn error_code(message: &str) -> Option<String> {
    let code = message.len() <= MAX_CODE_BYTES
        && message.contains('_')
        && message.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    code.then(|| message.to_ascii_lowercase().replace('_', " ").trim().to_owned())
}

/// A template in the making.
struct Template {
    text: String,
    tokens: usize,
    /// Whether nothing more is taken in.
    complete: bool,
    /// Whether the next word may begin with a capital.
    sentence_start: bool,
    /// Whether the message is written in capitals throughout.
    all_capitals: bool,
    /// Words since the last number.
    since_number: usize,
    /// Where the last token starts, if it is a word.
    last_word: Option<usize>,
}

impl Template {
    fn new(message: &str) -> Self {
        Self {
            text: String::with_capacity(message.len().min(256)),
            tokens: 0,
            complete: false,
            sentence_start: true,
            all_capitals: !message.bytes().any(|byte| byte.is_ascii_lowercase()),
            since_number: usize::MAX,
            last_word: None,
        }
    }

    /// Takes one thing off the front of `rest` and gives back what is left.
    fn take<'a>(&mut self, first: char, rest: &'a str) -> &'a str {
        if let Some(end) = quoted(first, rest) {
            // Parsers quote the text they stopped at, quotes in it and all: nothing after that can be trusted.
            self.complete = self.last() == Some("near");
            return self.masked_up_to(rest, end);
        }
        match first {
            '[' if self.tokens == 0 => {
                // `[Errno 2] No such file ...`: the sentence starts behind it.
                let after = self.masked_up_to(rest, balanced(rest));
                self.sentence_start = true;
                after
            }
            '{' | '[' => self.masked_up_to(rest, balanced(rest)),
            '<' => self.masked_up_to(rest, tagged(rest)),
            _ if first.is_ascii_punctuation() && !"-_#@/\\$%+".contains(first) => {
                self.sentence_start |= first != ',';
                &rest[1..]
            }
            _ => {
                let (chunk, after) = rest.split_at(chunk_end(rest));
                self.chunk(chunk, after);
                after
            }
        }
    }

    /// Masks the first `end` bytes, and what hangs on them without a space.
    fn masked_up_to<'a>(&mut self, rest: &'a str, end: usize) -> &'a str {
        let tail = &rest[end..];
        let (trailing, after) = tail.split_at(tail.find(char::is_whitespace).unwrap_or(tail.len()));
        self.push_mask(&trailing[trailing.trim_end_matches(CLOSING).len()..]);
        after
    }

    /// Takes in a piece without white space; `after` is what follows it in the message.
    fn chunk(&mut self, chunk: &str, after: &str) {
        let open = chunk.trim_start_matches(['-', '–', '—', '•']);
        let word = open.trim_end_matches(CLOSING);
        if word.is_empty() {
            self.sentence_start = true;
            return;
        }
        let end = &open[word.len()..];
        let option = open.len() < chunk.len();
        let word = word.strip_suffix("(s").unwrap_or(word);
        // Of a type's path the last part says what happened.
        let word = if self.tokens == 0 && end.starts_with(':') { line::last_segment(word) } else { word };
        if self.is_http_status(word, after) {
            self.push_word(word, end);
        } else if word.bytes().any(|byte| byte.is_ascii_digit()) {
            self.push_mask(end);
            self.since_number = 0;
        } else if option || !self.keeps(word) || self.is_last_name(after) || is_cut_off(end, after) {
            self.push_mask(end);
        } else {
            let lower = word.to_lowercase();
            let counted = (1..=3).contains(&self.since_number.saturating_add(1));
            self.push_word(if counted { words::singular(&lower) } else { &lower }, end);
        }
    }

    /// Whether a word says something of the cause, rather than naming data.
    fn keeps(&self, word: &str) -> bool {
        if word.len() > MAX_WORD_BYTES {
            return false;
        }
        if ["Error", "Exception", "Configured", "Exist", "NotFound", "Warning"].iter().any(|end| word.ends_with(end))
        {
            return word.bytes().all(|byte| byte.is_ascii_alphabetic());
        }
        if !word.chars().all(|c| c.is_alphabetic() || "'’-".contains(c)) {
            return false;
        }
        let mut letters = word.chars();
        let capital = letters.next().is_some_and(char::is_uppercase);
        let inner_capital = letters.any(char::is_uppercase);
        if word.len() == 1 {
            return matches!(word, "a" | "A" | "i" | "I");
        }
        let lower = !capital && !inner_capital;
        if lower || self.all_capitals || (self.sentence_start && !inner_capital) {
            return true;
        }
        let capitals = !word.chars().any(char::is_lowercase);
        (capitals || !inner_capital) && words::is_vocabulary(&word.to_lowercase())
    }

    /// Status codes of HTTP tell causes apart, unlike other numbers.
    fn is_http_status(&self, word: &str, after: &str) -> bool {
        let status = word.len() == 3
            && word.parse::<u16>().is_ok_and(|code| matches!(code, 400..=431 | 451 | 500..=511 | 529));
        status
            && match self.last() {
                Some(last) => matches!(last, "error" | "http" | "status" | "code"),
                None => self.tokens == 0 && after.trim_start().starts_with(|c: char| c.is_ascii_uppercase()),
            }
    }

    /// Whether a word at the very end names what the word before it announced: `no such table: users`.
    fn is_last_name(&self, after: &str) -> bool {
        after.trim().is_empty()
            && self.last().is_some_and(|word| {
                word == "named" || (self.text.ends_with(':') && (words::is_noun(word) || word == "found"))
            })
    }

    /// The last token without its punctuation, if it is a word.
    fn last(&self) -> Option<&str> {
        self.last_word.map(|start| self.text[start..].trim_end_matches(CLOSING))
    }

    fn push_word(&mut self, word: &str, end: &str) {
        self.space();
        self.last_word = Some(self.text.len());
        self.text.push_str(word);
        match word {
            "found" | "exist" => self.mask_name_before_predicate(),
            "mean" | "meant" | "similar" => self.stop_at_suggestion(end),
            _ => {}
        }
        self.punctuate(end);
        self.since_number = self.since_number.saturating_add(1);
    }

    fn push_mask(&mut self, end: &str) {
        // Of a list only one mask stays, however long it is.
        let mut before = self.text.as_str();
        for joint in [" and", " or"] {
            before = before.strip_suffix(joint).unwrap_or(before);
        }
        let bare = before.trim_end_matches(CLOSING_MARKS);
        if bare.ends_with(MASK_STEM) {
            self.text.truncate(bare.len());
            self.text.push('>');
        } else {
            self.space();
            self.text.push_str(MASK);
        }
        self.last_word = None;
        self.since_number = self.since_number.saturating_add(1);
        self.punctuate(end);
    }

    fn space(&mut self) {
        if !self.text.is_empty() {
            self.text.push(' ');
        }
        self.tokens += 1;
    }

    fn punctuate(&mut self, end: &str) {
        self.sentence_start = end.contains(['.', '!', '?', ':', ';']);
        if let Some(mark) = end.chars().find(|c| ".,:;!?".contains(*c)) {
            self.text.push(if "!?".contains(mark) { '.' } else { mark });
        }
    }

    /// `channel general not found` is `channel <*> not found`.
    fn mask_name_before_predicate(&mut self) {
        let predicates = [" not found", " does not exist", " doesn't exist"];
        let Some(subject) = predicates.iter().find_map(|predicate| self.text.strip_suffix(predicate)) else { return };
        let Some((before, name)) = subject.rsplit_once(' ') else { return };
        let noun = before.rsplit(' ').next().unwrap_or_default();
        if words::is_noun(noun) && !words::is_no_name(name) && name.bytes().all(|byte| byte.is_ascii_alphabetic()) {
            self.text.replace_range(before.len() + 1..subject.len(), MASK);
            self.last_word = None;
        }
    }

    /// What follows a suggestion, and whether there is one, depends on the data.
    fn stop_at_suggestion(&mut self, end: &str) {
        let found = SUGGESTIONS.iter().find(|words| match words.strip_suffix(':') {
            Some(words) => end.starts_with(':') && self.text.ends_with(words),
            None => self.text.ends_with(*words),
        });
        if let Some(words) = found {
            self.text.truncate(self.text.len() - words.trim_end_matches(':').len());
            self.complete = true;
        }
    }

    fn finish(mut self) -> String {
        let end = self.text.trim_end_matches(|c: char| c == ' ' || CLOSING_MARKS.contains(&c)).len();
        self.text.truncate(end);
        if self.text.ends_with(MASK_STEM) {
            self.text.push('>');
        }
        if self.text.is_empty() { MASK.to_owned() } else { self.text }
    }
}

/// A mask without its closing bracket, which is among the marks trimmed around it.
const MASK_STEM: &str = "<*";
/// Marks that may stand between the masks of a list.
const CLOSING_MARKS: &[char] = &['.', ',', ':', ';', '>'];

/// Whether the message was cut off within this word.
fn is_cut_off(end: &str, after: &str) -> bool {
    end.contains('…') && after.trim().is_empty()
}

/// The end of the quote that opens `rest`, if one does: behind the first closing mark that no letter follows, or
/// the end of the message.
fn quoted(first: char, rest: &str) -> Option<usize> {
    let closes = |c: char| match first {
        '\'' | '"' => c == first,
        '`' => c == '`' || c == '\'',
        '‘' => c == '’',
        '“' => c == '”',
        _ => false,
    };
    if !matches!(first, '\'' | '"' | '`' | '‘' | '“') {
        return None;
    }
    let mut chars = rest.char_indices().skip(1).peekable();
    while let Some((place, c)) = chars.next() {
        if closes(c) && chars.peek().is_none_or(|(_, next)| !next.is_alphanumeric()) {
            return Some(place + c.len_utf8());
        }
    }
    Some(rest.len())
}

/// The end of the bracket that opens `rest`, or of the message.
fn balanced(rest: &str) -> usize {
    let mut depth = 0_i32;
    for (place, byte) in rest.bytes().enumerate() {
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return place + 1;
                }
            }
            _ => {}
        }
    }
    rest.len()
}

/// The end of the tag that opens `rest`, with what it encloses; just the bracket where it is none.
fn tagged(rest: &str) -> usize {
    let name = rest[1..].bytes().take_while(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(byte)).count();
    let Some(close) = rest.find('>') else { return 1 };
    if name == 0 {
        return 1;
    }
    let end = format!("</{}>", &rest[1..=name]);
    rest.find(&end).map_or(close + 1, |place| place + end.len())
}

/// The end of the piece without white space that begins `rest`; a quote that opens within it ends it too.
fn chunk_end(rest: &str) -> usize {
    let mut before = ' ';
    for (place, c) in rest.char_indices() {
        if c.is_whitespace() || (place > 0 && matches!(c, '\'' | '"' | '`') && "=(:[{,<".contains(before)) {
            return place;
        }
        before = c;
    }
    rest.len()
}

/// A name as words: `FormatError` and `format_error` are "format error". Words with digits are masked.
pub(super) fn spread(name: &str) -> String {
    let last = name.rsplit(['.', ':']).next().unwrap_or(name);
    let mut words = vec![String::new()];
    let mut before_is_lower = false;
    for c in last.chars() {
        if !c.is_ascii_alphanumeric() || (c.is_ascii_uppercase() && before_is_lower) {
            words.push(String::new());
        }
        if c.is_ascii_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.push(c.to_ascii_lowercase());
        }
        before_is_lower = c.is_ascii_lowercase();
    }
    let shown = |word: String| if word.bytes().any(|byte| byte.is_ascii_digit()) { MASK.to_owned() } else { word };
    words.into_iter().filter(|word| !word.is_empty()).map(shown).collect::<Vec<_>>().join(" ")
}
