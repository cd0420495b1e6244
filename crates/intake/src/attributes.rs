//! Attributes as sent, and unknown fields that are kept among them.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::rejection::{Fault, RejectionCode};
use crate::wire::explain;

/// Up to here a list is searched faster than a set is built.
const SMALL_OBJECT: usize = 16;
/// What is put before the name of an unknown field when attributes have that name already.
const PREFIX: &str = "field.";

/// The attributes to store: as sent where nothing has to be moved in.
pub(crate) fn attributes(
    sent: Option<&RawValue>,
    unknown: &[(Cow<'_, str>, &RawValue)],
) -> Result<Option<String>, Fault> {
    let sent = sent.map(RawValue::get).filter(|text| *text != "null");
    if let Some(text) = sent {
        if !text.starts_with('{') {
            let detail = "`attributes` must be an object, {\"key\": ...}: put the value under a key of its own";
            return Err(Fault::new(RejectionCode::WrongType, detail));
        }
        check(text, "attributes")?;
    }
    if unknown.is_empty() {
        return Ok(sent.map(str::to_owned));
    }
    move_in(sent, unknown).map(Some)
}

/// Checks what `serde_json`'s raw values leave unchecked, so that whoever reads the text later can: nesting, escapes,
/// numbers; and that no object has a key twice, of which every reader would take another one.
pub(crate) fn check(text: &str, field: &str) -> Result<(), Fault> {
    let mut duplicate = None;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    Strict(&mut duplicate).deserialize(&mut deserializer).map_err(|error| {
        let fault = explain(&error, text);
        Fault { detail: format!("in `{field}`: {}", fault.detail), ..fault }
    })?;
    match duplicate {
        None => Ok(()),
        Some(key) => Err(Fault::new(
            RejectionCode::DuplicateKey,
            format!("an object in `{field}` has the key `{key}` twice: send it once"),
        )),
    }
}

fn move_in(sent: Option<&str>, unknown: &[(Cow<'_, str>, &RawValue)]) -> Result<String, Fault> {
    let mut text = sent.and_then(|text| text.strip_suffix('}')).unwrap_or("{").trim_end().to_owned();
    let mut taken = keys(sent)?;
    let mut fields = HashSet::new();
    for (name, value) in unknown {
        if !fields.insert(name.as_ref()) {
            let detail = format!("the field `{}` stands there twice: send it once", clip(name));
            return Err(Fault::new(RejectionCode::DuplicateKey, detail));
        }
        check(value.get(), &clip(name))?;
        let mut key = name.to_string();
        while taken.contains(&key) {
            key.insert_str(0, PREFIX);
        }
        if text != "{" {
            text.push(',');
        }
        text.push_str(&serde_json::Value::String(key.clone()).to_string());
        text.push(':');
        text.push_str(value.get());
        taken.insert(key);
    }
    text.push('}');
    Ok(text)
}

/// The keys of the object that was sent.
fn keys(sent: Option<&str>) -> Result<HashSet<String>, Fault> {
    let Some(text) = sent else { return Ok(HashSet::new()) };
    let map: std::collections::HashMap<String, &RawValue> =
        serde_json::from_str(text).map_err(|error| explain(&error, text))?;
    Ok(map.into_keys().collect())
}

/// A sender's text, short enough to be repeated.
pub(crate) fn clip(text: &str) -> String {
    text.chars().take(64).collect()
}

/// Walks a value and keeps nothing but the first key that an object has twice.
struct Strict<'d>(&'d mut Option<String>);

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _value: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _value: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _value: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _value: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _value: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(Strict(self.0))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let mut keys = Keys::default();
        while let Some(Key(key)) = entries.next_key()? {
            if let Some(twice) = keys.insert(key)
                && self.0.is_none()
            {
                *self.0 = Some(clip(&twice));
            }
            entries.next_value_seed(Strict(self.0))?;
        }
        Ok(())
    }
}

/// A key, borrowed where it has no escapes.
struct Key<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Key<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = Key<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Self::Value, E> {
                Ok(Key(Cow::Borrowed(key)))
            }

            fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
                Ok(Key(Cow::Owned(key.to_owned())))
            }
        }
        deserializer.deserialize_str(KeyVisitor)
    }
}

/// The keys of one object: a list while there are few, a set beyond, so that no object costs quadratic time.
#[derive(Default)]
struct Keys<'a> {
    few: Vec<Cow<'a, str>>,
    many: HashSet<Cow<'a, str>>,
}

impl<'a> Keys<'a> {
    /// Gives the key back if it is there already.
    fn insert(&mut self, key: Cow<'a, str>) -> Option<Cow<'a, str>> {
        if self.few.contains(&key) || self.many.contains(&key) {
            return Some(key);
        }
        if self.few.len() < SMALL_OBJECT {
            self.few.push(key);
        } else {
            self.many.insert(key);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> &RawValue {
        serde_json::from_str(text).unwrap()
    }

    fn moved(sent: Option<&str>, unknown: &[(&'static str, &'static str)]) -> Result<Option<String>, Fault> {
        let unknown: Vec<_> = unknown.iter().map(|(name, value)| (Cow::Borrowed(*name), raw(value))).collect();
        attributes(sent.map(raw), &unknown)
    }

    #[test]
    fn what_was_sent_is_kept_as_it_was() {
        for text in ["{}", r#"{"b":1,"a": [1,2] }"#, r#"{"z":1.50,"é":"\u00e9"}"#] {
            assert_eq!(moved(Some(text), &[]).unwrap().as_deref(), Some(text));
        }
        assert_eq!(moved(None, &[]), Ok(None));
        assert_eq!(moved(Some("null"), &[]), Ok(None));
    }

    #[test]
    fn unknown_fields_move_in_and_overwrite_nothing() {
        type Row = (Option<&'static str>, &'static [(&'static str, &'static str)], &'static str);
        let table: [Row; 5] = [
            (None, &[("x", "1")], r#"{"x":1}"#),
            (Some("{ }"), &[("x", "1"), ("y", "[2]")], r#"{"x":1,"y":[2]}"#),
            (Some(r#"{"a":1}"#), &[("x", "\"é\"")], r#"{"a":1,"x":"é"}"#),
            (Some(r#"{"x":1,"field.x":2}"#), &[("x", "3")], r#"{"x":1,"field.x":2,"field.field.x":3}"#),
            (None, &[("quo\"te", "{\"n\":null}")], r#"{"quo\"te":{"n":null}}"#),
        ];
        for (sent, unknown, expected) in table {
            let got = moved(sent, unknown).unwrap().unwrap();
            assert_eq!(got, expected);
            assert!(serde_json::from_str::<serde_json::Value>(&got).is_ok(), "{got}");
        }
    }

    #[test]
    fn what_a_reader_could_not_read_back_is_refused() {
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(300), "]".repeat(300));
        let wide = format!("{{{}\"k7\":1}}", (0..50).map(|n| format!("\"k{n}\":0,")).collect::<Vec<_>>().concat());
        let table = [
            (r#"{"a":1,"a":2}"#, RejectionCode::DuplicateKey),
            (r#"{"a":[{"b":1,"\u0062":2}]}"#, RejectionCode::DuplicateKey),
            (wide.as_str(), RejectionCode::DuplicateKey),
            (r#"{"a":1e999}"#, RejectionCode::NumberOutOfRange),
            (r#"{"a":"\ud800"}"#, RejectionCode::MalformedJson),
            (deep.as_str(), RejectionCode::TooDeep),
            ("[1]", RejectionCode::WrongType),
            ("\"x\"", RejectionCode::WrongType),
        ];
        for (text, code) in table {
            assert_eq!(moved(Some(text), &[]).unwrap_err().code, code, "{text}");
        }
    }
}
