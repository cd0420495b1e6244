//! Values of attributes, from OTLP's JSON to plain JSON.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::Text;
use crate::otlp::keys::Seen;
use crate::otlp::text::string;
use crate::otlp::view::{Attribute, Attributes, Limits, Value};

/// Reads a list of attributes.
pub(super) fn attributes<'a>(
    list: Option<&'a RawValue>,
    into: &mut Attributes<'a>,
    limits: Limits,
) -> Result<(), serde_json::Error> {
    let Some(list) = list else { return Ok(()) };
    List { into, limits }.deserialize(&mut serde_json::Deserializer::from_str(list.get()))
}

/// Reads one value.
pub(super) fn value<'a>(text: &'a str, left_out: &mut u64, limits: Limits) -> Result<Value<'a>, serde_json::Error> {
    Any { left_out, limits, depth: 0 }.deserialize(&mut serde_json::Deserializer::from_str(text))
}

/// A list of attributes.
pub(super) struct List<'l, 'a> {
    pub(super) into: &'l mut Attributes<'a>,
    pub(super) limits: Limits,
}

impl<'de: 'a, 'a> DeserializeSeed<'de> for List<'_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de: 'a, 'a> Visitor<'de> for List<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of attributes")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while self.into.items.len() < self.limits.attributes {
            let pair = Pair { left_out: &mut self.into.left_out, limits: self.limits, depth: 0 };
            let Some((key, value)) = list.next_element_seed(pair)? else { return Ok(()) };
            self.into.items.push(Attribute { key, value });
        }
        while list.next_element::<IgnoredAny>()?.is_some() {
            self.into.left_out += 1;
        }
        Ok(())
    }
}

/// A key with its value.
struct Pair<'l> {
    left_out: &'l mut u64,
    limits: Limits,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Pair<'_> {
    type Value = (Cow<'de, str>, Value<'de>);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Pair<'_> {
    type Value = (Cow<'de, str>, Value<'de>);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an attribute, {\"key\": ..., \"value\": {...}}")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut key, mut value) = (Cow::Borrowed(""), Value::Empty);
        while let Some(Text(name)) = map.next_key()? {
            match name.as_ref() {
                "key" => key = map.next_value::<Text<'de>>()?.0,
                "value" => {
                    let any = Any { left_out: self.left_out, limits: self.limits, depth: self.depth };
                    value = map.next_value_seed(any)?;
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok((key, value))
    }
}

/// A value. `depth` counts the lists and maps around it.
struct Any<'l> {
    left_out: &'l mut u64,
    limits: Limits,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Any<'_> {
    type Value = Value<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Any<'_> {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value, such as {\"stringValue\": ...}")
    }

    fn visit_unit<E>(self) -> Result<Value<'de>, E> {
        Ok(Value::Empty)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value<'de>, A::Error> {
        let mut value = Value::Empty;
        while let Some(Text(kind)) = map.next_key()? {
            value = match kind.as_ref() {
                "stringValue" | "string_value" | "bytesValue" | "bytes_value" => {
                    Value::Text(map.next_value::<Text<'de>>()?.0)
                }
                "boolValue" | "bool_value" => Value::Bool(map.next_value()?),
                "intValue" | "int_value" => whole(map.next_value()?),
                "doubleValue" | "double_value" => real(map.next_value()?).map_err(A::Error::custom)?,
                "arrayValue" | "array_value" | "kvlistValue" | "kvlist_value" if self.depth >= self.limits.depth => {
                    map.next_value::<IgnoredAny>()?;
                    *self.left_out += 1;
                    Value::Empty
                }
                "arrayValue" | "array_value" => {
                    map.next_value_seed(Composite::new(false, self.left_out, self.limits, self.depth))?
                }
                "kvlistValue" | "kvlist_value" => {
                    map.next_value_seed(Composite::new(true, self.left_out, self.limits, self.depth))?
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    value
                }
            };
        }
        Ok(value)
    }
}

/// A whole number as written: in a string, as OTLP has it, or bare.
fn whole(raw: &RawValue) -> Value<'_> {
    let text = raw.get().trim_matches('"').trim();
    match text.parse() {
        Ok(number) => Value::Int(number),
        // Written anew: JSON knows neither zeros nor a plus before a number.
        Err(_) => match text.parse::<u64>() {
            Ok(number) => Value::Json(Cow::Owned(number.to_string())),
            Err(_) => text.parse::<f64>().map_or(Value::Empty, Value::Real),
        },
    }
}

/// A number as written; what JSON has no number for is a string.
fn real(raw: &RawValue) -> Result<Value<'_>, &'static str> {
    let text = raw.get().trim_matches('"');
    match text {
        "null" => Ok(Value::Empty),
        "NaN" => Ok(Value::Real(f64::NAN)),
        "Infinity" => Ok(Value::Real(f64::INFINITY)),
        "-Infinity" => Ok(Value::Real(f64::NEG_INFINITY)),
        _ => text.parse().map(Value::Real).map_err(|_| "a doubleValue that is no number"),
    }
}

/// A list or a map, `{"values": [...]}`, on its way to JSON.
struct Composite<'l> {
    map: bool,
    left_out: &'l mut u64,
    limits: Limits,
    depth: usize,
}

impl<'l> Composite<'l> {
    fn new(map: bool, left_out: &'l mut u64, limits: Limits, depth: usize) -> Self {
        Self { map, left_out, limits, depth: depth + 1 }
    }
}

impl<'de> DeserializeSeed<'de> for Composite<'_> {
    type Value = Value<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Composite<'_> {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{\"values\": [...]}")
    }

    fn visit_unit<E>(self) -> Result<Value<'de>, E> {
        Ok(Value::Json(Cow::Borrowed(if self.map { "{}" } else { "[]" })))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Value<'de>, A::Error> {
        let mut out = None;
        while let Some(Text(key)) = map.next_key()? {
            if key == "values" {
                out = Some(map.next_value_seed(Entries(&mut self))?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        let empty = if self.map { "{}" } else { "[]" };
        Ok(Value::Json(out.map_or(Cow::Borrowed(empty), Cow::Owned)))
    }
}

/// The entries of a list or a map.
struct Entries<'e, 'l>(&'e mut Composite<'l>);

impl<'de> DeserializeSeed<'de> for Entries<'_, '_> {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Entries<'_, '_> {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of values")
    }

    fn visit_unit<E>(self) -> Result<String, E> {
        Ok(if self.0.map { "{}" } else { "[]" }.to_owned())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<String, A::Error> {
        let Composite { map, left_out, limits, depth } = self.0;
        let (mut out, mut seen, mut entries) = (String::from(if *map { '{' } else { '[' }), Seen::default(), 0);
        loop {
            if entries >= limits.entries || out.len() >= limits.bytes {
                while list.next_element::<IgnoredAny>()?.is_some() {
                    **left_out += 1;
                }
                break;
            }
            let (key, value) = if *map {
                let pair = Pair { left_out, limits: *limits, depth: *depth };
                let Some((key, value)) = list.next_element_seed(pair)? else { break };
                if !seen.insert(&key) {
                    **left_out += 1;
                    continue;
                }
                (Some(key), value)
            } else {
                let any = Any { left_out, limits: *limits, depth: *depth };
                let Some(value) = list.next_element_seed(any)? else { break };
                (None, value)
            };
            if entries > 0 {
                out.push(',');
            }
            entries += 1;
            if let Some(key) = key {
                string(&mut out, &key);
                out.push(':');
            }
            value.write(&mut out);
        }
        out.push(if *map { '}' } else { ']' });
        Ok(out)
    }
}
