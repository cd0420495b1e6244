//! The recorded pieces of work: JSON values, one after another or in a list, each with a name of its own.

use std::collections::HashSet;
use std::io::Read as _;
use std::path::Path;

use anyhow::{Context, anyhow, bail};
use flate2::read::MultiGzDecoder;
use serde_json::Value;

/// Most bytes of a file of items, unpacked.
const MAX_FILE_BYTES: u64 = 256 << 20;
/// Most items.
const MAX_ITEMS: usize = 100_000;
/// Longest name of an item, bytes: it becomes part of an environment variable and of every result.
const MAX_ID_BYTES: usize = 256;
/// Hex digits of a fingerprint: enough to tell items of one file apart, and to see that one was changed.
const FINGERPRINT_DIGITS: usize = 16;

/// One piece of work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    /// Its name, unique within the file.
    pub(super) id: String,
    /// What it is: JSON on one line.
    pub(super) json: String,
    /// Changes where what it is changes.
    pub(super) fingerprint: String,
}

/// Reads a file, plain or gzipped.
///
/// # Errors
///
/// What cannot be read, is no JSON, is too much or too little, or has a name twice.
pub(super) fn read(path: &Path, id_field: &str) -> anyhow::Result<Vec<Item>> {
    let name = path.display();
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {name}"))?;
    let mut plain = Vec::new();
    if bytes.starts_with(&[0x1f, 0x8b]) {
        let unpacked = MultiGzDecoder::new(bytes.as_slice()).take(MAX_FILE_BYTES + 1).read_to_end(&mut plain);
        unpacked.with_context(|| format!("cannot unpack {name}"))?;
    } else {
        plain = bytes;
    }
    if plain.len() as u64 > MAX_FILE_BYTES {
        bail!("{name} is larger than {} MiB", MAX_FILE_BYTES >> 20);
    }
    parse(&plain, id_field).with_context(|| format!("{name} cannot be replayed"))
}

fn parse(bytes: &[u8], id_field: &str) -> anyhow::Result<Vec<Item>> {
    let mut items = Vec::new();
    for value in serde_json::Deserializer::from_slice(bytes).into_iter::<Value>() {
        match value.map_err(|error| anyhow!("it is not JSON: {error}"))? {
            Value::Array(values) => items.extend(values),
            value => items.push(value),
        }
        if items.len() > MAX_ITEMS {
            bail!("it holds more than {MAX_ITEMS} items");
        }
    }
    let mut names = HashSet::with_capacity(items.len());
    let mut named = Vec::with_capacity(items.len());
    for (index, value) in items.into_iter().enumerate() {
        let item = item(&value, id_field).with_context(|| format!("item {}", index + 1))?;
        if !names.insert(item.id.clone()) {
            bail!("item {}: `{}` stands in it twice", index + 1, item.id);
        }
        named.push(item);
    }
    if named.len() < 2 {
        bail!(
            "it holds {}: a comparison needs two items at least",
            if named.is_empty() { "none" } else { "one item" }
        );
    }
    Ok(named)
}

fn item(value: &Value, id_field: &str) -> anyhow::Result<Item> {
    let json = value.to_string();
    let mut fingerprint = blake3::hash(json.as_bytes()).to_hex().to_string();
    fingerprint.truncate(FINGERPRINT_DIGITS);
    let id = match value {
        Value::Object(fields) => match fields.get(id_field) {
            Some(Value::String(id)) => id.clone(),
            Some(Value::Number(id)) => id.to_string(),
            Some(_) => bail!("its `{id_field}` is neither a text nor a number"),
            None => bail!("it has no `{id_field}`; --item-id names the field that tells items apart"),
        },
        // A text is its own name, however it is ordered among others.
        Value::String(_) => fingerprint.clone(),
        _ => bail!("it is neither an object nor a text"),
    };
    if id.is_empty() || id.len() > MAX_ID_BYTES || id.chars().any(char::is_control) {
        bail!("its `{id_field}` must have 1 to {MAX_ID_BYTES} bytes, without control characters");
    }
    Ok(Item { id, json, fingerprint })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_read_however_they_stand_in_a_file() {
        let ids = |text: &str, field: &str| -> Vec<String> {
            parse(text.as_bytes(), field).unwrap().into_iter().map(|item| item.id).collect()
        };
        for (text, field) in [
            ("{\"id\":\"a\",\"x\":1}\n\n{\"id\":7}\n", "id"),
            (r#"[{"id":"a"},{"id":7}]"#, "id"),
            (r#"{"key":"a","id":[]} {"key":7}"#, "key"),
        ] {
            assert_eq!(ids(text, field), ["a", "7"], "{text}");
        }
        let texts = parse("\"one\"\n\"two\"".as_bytes(), "id").unwrap();
        assert_eq!((texts[0].json.as_str(), texts[0].id.len()), ("\"one\"", FINGERPRINT_DIGITS));
        assert_ne!(texts[0].id, texts[1].id);
        // What an item is, and not how its fields are ordered, makes its fingerprint.
        let both = parse(r#"{"id":"a","x":1,"y":2} {"y":2,"x":1,"id":"b"}"#.as_bytes(), "id").unwrap();
        let again = parse(r#"{"y":2,"id":"a","x":1} {"id":"b","x":1,"y":3}"#.as_bytes(), "id").unwrap();
        assert_eq!(both[0].fingerprint, again[0].fingerprint);
        assert_ne!(both[1].fingerprint, again[1].fingerprint);
    }

    #[test]
    fn what_cannot_be_told_apart_is_refused() {
        for (text, expected) in [
            ("", "holds none"),
            (r#"{"id":"a"}"#, "one item"),
            (r#"{"id":"a"} {"id":"a"}"#, "item 2: `a` stands in it twice"),
            (r#"{"id":"a"} {"name":"b"}"#, "item 2: it has no `id`"),
            (r#"{"id":"a"} {"id":true}"#, "neither a text nor a number"),
            (r#"{"id":"a"} {"id":"b\u0000"}"#, "control characters"),
            (r#"{"id":"a"} {"id":""}"#, "1 to 256"),
            (r#"{"id":"a"} 7"#, "neither an object nor a text"),
            (r#"{"id":"a"} {"id""#, "not JSON"),
        ] {
            let error = format!("{:#}", parse(text.as_bytes(), "id").unwrap_err());
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
