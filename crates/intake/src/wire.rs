//! An item as written, borrowed from the bytes in one pass.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::rejection::{Fault, RejectionCode};
use crate::scalar::Scalar;

macro_rules! fields {
    ($($variant:ident = $name:literal),+ $(,)?) => {
        /// The fields whose values are single words, texts or numbers.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Field { $($variant),+ }

        impl Field {
            const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name on the wire.
            pub(crate) const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            fn from_name(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

fields! {
    Id = "id",
    Ts = "ts",
    EventType = "event_type",
    Agent = "agent",
    EntityType = "entity_type",
    Entity = "entity",
    Environment = "environment",
    Tool = "tool",
    TaskId = "task_id",
    ParentTaskId = "parent_task_id",
    SessionId = "session_id",
    TraceId = "trace_id",
    SpanId = "span_id",
    Outcome = "outcome",
    DurationMs = "duration_ms",
    TokensIn = "tokens_in",
    TokensOut = "tokens_out",
    TokensCached = "tokens_cached",
    CostUsd = "cost_usd",
    ErrorType = "error_type",
    Source = "source",
}

const FIELDS: usize = Field::ALL.len();

/// An item as written.
#[derive(Debug, Default)]
pub(crate) struct Wire<'a> {
    scalars: [Scalar<'a>; FIELDS],
    pub(crate) content: Option<&'a RawValue>,
    pub(crate) attributes: Option<&'a RawValue>,
    pub(crate) exposures: Option<&'a RawValue>,
    /// Fields that are not on the wire, as sent.
    pub(crate) unknown: Vec<(Cow<'a, str>, &'a RawValue)>,
    /// A known field that stands there twice.
    pub(crate) duplicate: Option<&'static str>,
}

impl<'a> Wire<'a> {
    /// Reads one item. What was read before a mistake is there too, so that the item can be named.
    pub(crate) fn read(&mut self, text: &'a str) -> Result<(), Fault> {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        WireSeed(self)
            .deserialize(&mut deserializer)
            .and_then(|()| deserializer.end())
            .map_err(|error| explain(&error, text))
    }

    pub(crate) const fn get(&self, field: Field) -> &Scalar<'a> {
        &self.scalars[field as usize]
    }

    /// The item's id, where it is a text.
    pub(crate) fn id(&self) -> Option<&str> {
        match self.get(Field::Id) {
            Scalar::Text(id) => Some(id),
            _ => None,
        }
    }

    fn set_raw<'de: 'a, A: MapAccess<'de>>(
        name: &'static str,
        slot: &mut Option<&'a RawValue>,
        duplicate: &mut Option<&'static str>,
        map: &mut A,
    ) -> Result<(), A::Error> {
        if slot.replace(map.next_value()?).is_some() {
            *duplicate = Some(name);
        }
        Ok(())
    }
}

enum Key<'a> {
    Scalar(Field),
    Content,
    Attributes,
    Exposures,
    Unknown(Cow<'a, str>),
}

impl Key<'_> {
    fn known(name: &str) -> Option<Self> {
        match name {
            "content" => Some(Self::Content),
            "attributes" => Some(Self::Attributes),
            "exposures" => Some(Self::Exposures),
            _ => Field::from_name(name).map(Self::Scalar),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Key<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_identifier(KeyVisitor)
    }
}

struct KeyVisitor;

impl<'de> Visitor<'de> for KeyVisitor {
    type Value = Key<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field's name")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
        Ok(Key::known(name).unwrap_or(Key::Unknown(Cow::Borrowed(name))))
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(Key::known(name).unwrap_or_else(|| Key::Unknown(Cow::Owned(name.to_owned()))))
    }
}

struct WireSeed<'w, 'a>(&'w mut Wire<'a>);

impl<'de: 'a, 'a> DeserializeSeed<'de> for WireSeed<'_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de: 'a, 'a> Visitor<'de> for WireSeed<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event, which is a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let wire = self.0;
        let duplicate = &mut wire.duplicate;
        while let Some(key) = map.next_key()? {
            match key {
                Key::Scalar(field) => {
                    let slot = &mut wire.scalars[field as usize];
                    if *slot != Scalar::Absent {
                        *duplicate = Some(field.name());
                    }
                    *slot = map.next_value()?;
                }
                Key::Content => Wire::set_raw("content", &mut wire.content, duplicate, &mut map)?,
                Key::Attributes => Wire::set_raw("attributes", &mut wire.attributes, duplicate, &mut map)?,
                Key::Exposures => Wire::set_raw("exposures", &mut wire.exposures, duplicate, &mut map)?,
                Key::Unknown(name) => wire.unknown.push((name, map.next_value()?)),
            }
        }
        Ok(())
    }
}

/// What `serde_json`'s message means for a sender.
pub(crate) fn explain(error: &serde_json::Error, text: &str) -> Fault {
    let said = error.to_string();
    let reason = said.split(" at line ").next().unwrap_or(&said);
    let at = byte_of(error, text);
    if error.is_data() {
        let found = reason.strip_prefix("invalid type: ").and_then(|rest| rest.split(", expected").next());
        let detail = format!(
            "an event is a JSON object, {{\"id\": ...}}, not {}",
            crate::attributes::clip(found.unwrap_or("this"))
        );
        return Fault::new(RejectionCode::NotAnObject, detail);
    }
    if error.is_eof() {
        let detail = format!(
            "the text ends inside the event ({reason}): write each event whole, in NDJSON on a line of its own"
        );
        return Fault::new(RejectionCode::Truncated, detail);
    }
    if reason.starts_with("recursion limit") {
        return Fault::new(RejectionCode::TooDeep, "it is nested more than 127 levels deep: flatten it");
    }
    if reason.starts_with("number out of range") {
        let detail = format!("the number at byte {at} is too large for any computer: leave it out or send a string");
        return Fault::new(RejectionCode::NumberOutOfRange, detail);
    }
    let around = text.get(at.saturating_sub(9)..).or_else(|| text.get(at..)).unwrap_or_default();
    let near: String = around.chars().take(20).collect();
    let remedy = if near.contains("NaN") || near.contains("Inf") {
        "NaN and Infinity are not JSON: leave the field out"
    } else if reason.starts_with("trailing characters") {
        "write one event on each line of NDJSON, or put all of them in one JSON array"
    } else {
        "write each event as a whole JSON object, in NDJSON on a line of its own"
    };
    Fault::new(RejectionCode::MalformedJson, format!("not JSON at byte {at} ({reason}): {remedy}"))
}

/// The byte an error points to, counted from 0.
fn byte_of(error: &serde_json::Error, text: &str) -> usize {
    let lines_before = error.line().saturating_sub(1);
    let start: usize = text.split_inclusive('\n').take(lines_before).map(str::len).sum();
    (start + error.column().saturating_sub(1)).min(text.len())
}
