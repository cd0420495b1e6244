//! A Rust file as the checks read it: comments and the insides of strings blanked, so that what is merely
//! spoken about does not count. Lengths and line breaks stay, so places stay too.

/// Two views of a file, byte for byte as long as the file.
#[derive(Debug)]
pub(super) struct Source {
    /// Without comments and the insides of literals.
    pub(super) code: String,
    /// The same without items under `#[cfg(test)]`.
    pub(super) production: String,
}

impl Source {
    pub(super) fn new(text: &str) -> Self {
        let code = blank_text(text);
        let production = blank_tests(&code);
        Self { code, production }
    }
}

/// The line, from 1, of a byte in `text`.
pub(super) fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

/// The first line, from 1, of the first module under `#[cfg(test)]`.
pub(super) fn first_test_module(code: &str) -> Option<usize> {
    test_attributes(code).find(|(_, after)| is_module(&code[*after..])).map(|(at, _)| line_of(code, at))
}

fn blank_text(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let span = if rest.starts_with(b"//") {
            Span::whole(line_comment(rest))
        } else if rest.starts_with(b"/*") {
            Span::whole(block_comment(rest))
        } else if rest[0] == b'\'' {
            Span::quoted(1, char_literal(rest), 1)
        } else {
            string(bytes, at).unwrap_or(Span::whole(0))
        };
        for byte in &mut out[at + span.open..at + span.close] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at += span.end.max(1);
    }
    // Only whole literals and comments were blanked, so what is left is still UTF-8.
    String::from_utf8_lossy(&out).into_owned()
}

/// What to blank, counted from where it begins: from `open` to `close`, going on at `end`.
struct Span {
    open: usize,
    close: usize,
    end: usize,
}

impl Span {
    fn whole(end: usize) -> Self {
        Self { open: 0, close: end, end }
    }

    /// Quotes stay, so that a check can see that a literal stood here.
    fn quoted(open: usize, end: usize, closing: usize) -> Self {
        let open = open.min(end);
        Self { open, close: end.saturating_sub(closing).max(open), end }
    }
}

fn line_comment(rest: &[u8]) -> usize {
    rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len())
}

/// Block comments nest.
fn block_comment(rest: &[u8]) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        if rest[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

fn string(bytes: &[u8], at: usize) -> Option<Span> {
    let rest = &bytes[at..];
    if rest[0] == b'"' {
        return Some(Span::quoted(1, plain_string(rest, 1), 1));
    }
    // `r` at the end of an identifier does not begin a raw string.
    if at > 0 && is_word(bytes[at - 1]) {
        return None;
    }
    let prefix = rest.iter().take(2).take_while(|byte| matches!(byte, b'b' | b'c' | b'r')).count();
    if prefix == 0 || rest[prefix - 1] != b'r' {
        return None;
    }
    let hashes = rest[prefix..].iter().take_while(|byte| **byte == b'#').count();
    let open = prefix + hashes + 1;
    if rest.get(open - 1) != Some(&b'"') {
        return None;
    }
    let close = [b"\"".as_slice(), &b"#".repeat(hashes)].concat();
    let inside = rest[open..].windows(close.len()).position(|window| window == close);
    let end = inside.map_or(rest.len(), |inside| open + inside + close.len());
    Some(Span::quoted(open, end, close.len()))
}

fn plain_string(rest: &[u8], open: usize) -> usize {
    let mut at = open;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// The length of a character literal; 0 if this quote begins a lifetime.
fn char_literal(rest: &[u8]) -> usize {
    if rest.get(1) == Some(&b'\\') {
        return rest.iter().skip(3).position(|byte| *byte == b'\'').map_or(0, |at| at + 4);
    }
    // One character is at most four bytes long.
    let close = rest.iter().take(6).skip(2).position(|byte| *byte == b'\'').map(|at| at + 2);
    match close {
        Some(at) if std::str::from_utf8(&rest[1..at]).is_ok_and(|text| text.chars().count() == 1) => at + 1,
        _ => 0,
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Where each `#[cfg(test)]` begins and ends.
fn test_attributes(code: &str) -> impl Iterator<Item = (usize, usize)> {
    const ATTRIBUTE: &str = "#[cfg(test)]";
    code.match_indices(ATTRIBUTE).map(|(at, _)| (at, at + ATTRIBUTE.len()))
}

/// Whether what follows, other attributes aside, is a module.
fn is_module(after: &str) -> bool {
    let mut rest = after.trim_start();
    while rest.starts_with("#[") {
        rest = rest.find(']').map_or("", |end| rest[end + 1..].trim_start());
    }
    let item = rest.split(['{', ';']).next().unwrap_or_default();
    item.split_whitespace().any(|word| word == "mod")
}

fn blank_tests(code: &str) -> String {
    let mut out = code.as_bytes().to_vec();
    for (at, after) in test_attributes(code) {
        let end = after + item_length(&code[after..]);
        for byte in &mut out[at..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Up to the `;` that ends the item, the brace that closes it, or the `,` after a field or variant.
fn item_length(code: &str) -> usize {
    let mut depth = 0_i32;
    for (at, byte) in code.bytes().enumerate() {
        match byte {
            b'{' | b'(' | b'[' => depth += 1,
            b'}' | b')' | b']' => {
                depth -= 1;
                if depth < 0 {
                    return at;
                }
                if depth == 0 && byte == b'}' {
                    return at + 1;
                }
            }
            b';' | b',' if depth == 0 => return at + 1,
            _ => {}
        }
    }
    code.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_strings_are_blanked_in_place() {
        let table = [
            ("a // b\nc", "a     \nc"),
            ("a /* b /* c */ d */ e", "a                   e"),
            (r#"f("x\"y", 'z')"#, r#"f("    ", ' ')"#),
            ("r#\"a \"b\" c\"# d", "r#\"       \"# d"),
            ("br\"\\\" d", "br\" \" d"),
            ("fn f<'a>(x: &'a str)", "fn f<'a>(x: &'a str)"),
            (r"'\'' + b'\\' + '\u{1f}'", r"'  ' + b'  ' + '      '"),
            ("\"two\nlines\" x", "\"   \n     \" x"),
            ("'é' \"ü\" x", "'  ' \"  \" x"),
            ("for\"x\"", "for\" \""),
        ];
        for (text, expected) in table {
            assert_eq!(blank_text(text), expected, "{text}");
        }
    }

    #[test]
    fn items_under_cfg_test_are_not_production() {
        let text = "fn a() {}\n#[cfg(test)]\nfn b() { c(); }\n#[cfg(test)]\nuse d::e;\nfn f() {}\n\
                    #[cfg(test)]\nmod tests { fn g() {} }\nfn h() {}\n";
        let production = Source::new(text).production;
        let names: Vec<bool> =
            ["a()", "b()", "d::e", "f()", "g()", "h()"].iter().map(|name| production.contains(name)).collect();
        assert_eq!(names, [true, false, false, true, false, true]);
        assert_eq!(production.lines().count(), text.lines().count());
    }

    #[test]
    fn the_first_test_module_is_not_the_first_test_item() {
        let text = "fn a() {}\n#[cfg(test)]\nfn b() {}\n\n#[cfg(test)]\n#[rustfmt::skip]\nmod tests {}\n";
        assert_eq!(first_test_module(text), Some(5));
        assert_eq!(first_test_module("fn a() {}"), None);
    }
}
