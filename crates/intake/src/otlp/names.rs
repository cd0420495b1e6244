//! Names as they come, made into names that entities can have.

use std::borrow::Cow;

use uplift_model::entity::{MAX_NAME_BYTES, check_name};

/// Put before a name that is all digits, which would be read as an id.
const NOT_AN_ID: &str = "id-";
/// Hex digits of the hash that ends a name which had to be shortened.
const HASH_DIGITS: usize = 12;

/// The name of an entity, an environment or a tool, if the text says anything: the same for the same text, always.
pub(super) fn name(text: &str) -> Option<Cow<'_, str>> {
    let text = text.trim();
    if check_name(text).is_ok() {
        return Some(Cow::Borrowed(text));
    }
    let clean: String = text.chars().map(|c| if c.is_control() { '_' } else { c }).collect();
    if clean.is_empty() {
        return None;
    }
    let mut fitting =
        if clean.bytes().all(|byte| byte.is_ascii_digit()) { NOT_AN_ID.to_owned() + &clean } else { clean };
    if fitting.len() > MAX_NAME_BYTES {
        let hash = blake3::hash(text.as_bytes()).to_hex();
        fitting.truncate(fitting.floor_char_boundary(MAX_NAME_BYTES - HASH_DIGITS - 1));
        fitting.push('~');
        fitting.push_str(&hash[..HASH_DIGITS]);
    }
    Some(Cow::Owned(fitting))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_comes_becomes_a_name_or_none() {
        let long = "é".repeat(150);
        let table = [
            ("researcher", Some("researcher")),
            ("  Data Router Agent\n", Some("Data Router Agent")),
            ("a\nb\u{0}c", Some("a_b_c")),
            ("42", Some("id-42")),
            ("", None),
            (" \t", None),
        ];
        for (text, expected) in table {
            assert_eq!(name(text).as_deref(), expected, "{text:?}");
        }
        let shortened = name(&long).unwrap();
        assert!(shortened.len() <= MAX_NAME_BYTES && check_name(&shortened).is_ok(), "{shortened}");
        assert_ne!(name(&(long.clone() + "x")), Some(shortened), "names that differ at the end stay apart");
        assert!(name(&"9".repeat(300)).is_some_and(|name| check_name(&name).is_ok()));
    }
}
