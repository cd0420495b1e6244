//! The texts of a JSON object, replaced where they stand: numbers, keys, order and spaces stay as sent.

use std::borrow::Cow;

/// The JSON with each text that `change` gives something else for replaced; none where it does for none. Keys are not
/// asked about.
pub(super) fn rewrite(json: &str, mut change: impl FnMut(&str) -> Option<String>) -> Option<String> {
    let mut rewritten: Option<String> = None;
    let (mut copied, mut from) = (0, 0);
    while let Some(start) = json[from..].find('"').map(|found| from + found) {
        let literal = &json[start..end_of_text(json, start)];
        from = start + literal.len();
        if is_key(json, from) {
            continue;
        }
        let Some(changed) = change(&decoded(literal)) else { continue };
        let out = rewritten.get_or_insert_with(|| String::with_capacity(json.len()));
        out.push_str(&json[copied..start]);
        out.push_str(&serde_json::Value::String(changed).to_string());
        copied = from;
    }
    let mut rewritten = rewritten?;
    rewritten.push_str(&json[copied..]);
    Some(rewritten)
}

/// Behind the closing quote of the text that begins at `start`, or the end of all where it is never closed.
fn end_of_text(json: &str, start: usize) -> usize {
    let bytes = json.as_bytes();
    let mut at = start + 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    json.len()
}

fn is_key(json: &str, after: usize) -> bool {
    json.as_bytes()[after..].iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b':')
}

/// What a literal stands for. Attributes were checked on the way in, so all can be read; one that could not would be
/// looked at as it stands.
fn decoded(literal: &str) -> Cow<'_, str> {
    let plain = || Cow::Borrowed(literal.trim_matches('"'));
    if literal.contains('\\') { serde_json::from_str(literal).map_or_else(|_| plain(), Cow::Owned) } else { plain() }
}
