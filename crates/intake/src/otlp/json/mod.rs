//! Requests in JSON: `camelCase` or `snake_case`, ids in hex, long numbers as strings or numbers, enums as numbers or names,
//! in any order of fields. What is unknown is passed over.
//!
//! Items are read one by one from the text where they lie. One that cannot be read is refused by itself.

mod request;
mod value;

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::Signal;
use super::collect::Collector;
use super::view::{Id, KINDS, Limits, Link, Record, STATUSES, Span, SpanEvent};

/// Reads a request of one signal, or of whichever it holds; as well the forms in which tools save them. Says whether
/// anything like one was there.
pub(super) fn request(text: &str, signal: Option<Signal>, to: &mut Collector<'_>) -> Result<bool, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let found = request::Request { to, signal }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(found)
}

/// A text; null is an empty one.
#[derive(Default)]
struct Text<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Text::default())
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_any(TextVisitor)
    }
}

/// A whole number, as one or in a string; null is 0.
#[derive(Default, Clone, Copy)]
struct Number(u64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberVisitor;
        impl Visitor<'_> for NumberVisitor {
            type Value = Number;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number of at least 0, or a string that holds one")
            }

            fn visit_unit<E>(self) -> Result<Number, E> {
                Ok(Number(0))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Number, E> {
                Ok(Number(number))
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Number, E> {
                u64::try_from(number).map(Number).map_err(|_| E::custom("a number below 0 where none can be"))
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<Number, E> {
                if (0.0..=u64::MAX as f64).contains(&number) {
                    Ok(Number(number as u64))
                } else {
                    Err(E::custom("a number that is out of range"))
                }
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Number, E> {
                let text = text.trim();
                let number = if text.is_empty() { Ok(0) } else { text.parse() };
                number.map(Number).map_err(|_| E::custom("a string that holds no whole number"))
            }
        }
        deserializer.deserialize_any(NumberVisitor)
    }
}

/// A number of an enum, or its name.
#[derive(Default)]
enum Word<'a> {
    #[default]
    None,
    Number(i64),
    Name(Cow<'a, str>),
}

impl<'de: 'a, 'a> Deserialize<'de> for Word<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct WordVisitor;
        impl<'de> Visitor<'de> for WordVisitor {
            type Value = Word<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number or a name")
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Word::None)
            }

            fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
                Ok(Word::Number(i64::try_from(number).unwrap_or(i64::MAX)))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
                Ok(Word::Number(number))
            }

            fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
                Ok(Word::Name(Cow::Borrowed(name)))
            }

            fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
                Ok(Word::Name(Cow::Owned(name.to_owned())))
            }
        }
        deserializer.deserialize_any(WordVisitor)
    }
}

impl Word<'_> {
    /// Its number, where the names are those with this prefix.
    fn of(&self, prefix: &str, names: &[&str]) -> i32 {
        let number = match self {
            Self::None => 0,
            Self::Number(number) => *number,
            Self::Name(name) => {
                let name = name.strip_prefix(prefix).unwrap_or(name);
                let at = names.iter().position(|known| known.eq_ignore_ascii_case(name));
                at.map_or_else(|| name.parse().unwrap_or(0), |at| at as i64)
            }
        };
        i32::try_from(number).unwrap_or(0)
    }

    fn severity(&self) -> i32 {
        const SEVERITIES: [&str; 6] = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"];
        let Self::Name(name) = self else { return self.of("", &[]) };
        let name = name.strip_prefix("SEVERITY_NUMBER_").unwrap_or(name);
        let (word, step) = match name.strip_suffix(['2', '3', '4']) {
            Some(word) => (word, i32::from(name.as_bytes()[name.len() - 1] - b'1')),
            None => (name, 0),
        };
        let at = SEVERITIES.iter().position(|known| *known == word);
        at.map_or_else(|| name.parse().unwrap_or(0), |at| 4 * at as i32 + 1 + step)
    }
}

macro_rules! fields {
    ($(#[$doc:meta])* $name:ident { $($field:ident: $kind:ty = $key:literal $(| $other:literal)?),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Default)]
        struct $name<'a> { $($field: $kind),+, unused: std::marker::PhantomData<&'a ()> }

        impl<'de: 'a, 'a> Deserialize<'de> for $name<'a> {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct FieldsVisitor;
                impl<'de> Visitor<'de> for FieldsVisitor {
                    type Value = $name<'de>;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("an object")
                    }

                    fn visit_unit<E>(self) -> Result<Self::Value, E> {
                        Ok($name::default())
                    }

                    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                        let mut found = $name::default();
                        while let Some(Text(key)) = map.next_key()? {
                            match key.as_ref() {
                                $($key $(| $other)? => found.$field = map.next_value()?,)+
                                _ => { map.next_value::<IgnoredAny>()?; }
                            }
                        }
                        Ok(found)
                    }
                }
                deserializer.deserialize_any(FieldsVisitor)
            }
        }
    };
}

fields! {
    /// A span as written.
    SpanFields {
        trace_id: Text<'a> = "traceId" | "trace_id",
        span_id: Text<'a> = "spanId" | "span_id",
        parent_id: Text<'a> = "parentSpanId" | "parent_span_id",
        trace_state: Text<'a> = "traceState" | "trace_state",
        name: Text<'a> = "name",
        kind: Word<'a> = "kind",
        start: Number = "startTimeUnixNano" | "start_time_unix_nano",
        end: Number = "endTimeUnixNano" | "end_time_unix_nano",
        attributes: Option<&'a RawValue> = "attributes",
        events: Option<&'a RawValue> = "events",
        links: Option<&'a RawValue> = "links",
        status: StatusFields<'a> = "status",
        dropped_attributes: Number = "droppedAttributesCount" | "dropped_attributes_count",
        dropped_events: Number = "droppedEventsCount" | "dropped_events_count",
        dropped_links: Number = "droppedLinksCount" | "dropped_links_count",
    }
}

fields! {
    /// How it ended.
    StatusFields {
        code: Word<'a> = "code",
        message: Text<'a> = "message",
    }
}

fields! {
    /// What happened within it.
    EventFields {
        time: Number = "timeUnixNano" | "time_unix_nano",
        name: Text<'a> = "name",
        attributes: Option<&'a RawValue> = "attributes",
    }
}

fields! {
    /// What it refers to.
    LinkFields {
        trace_id: Text<'a> = "traceId" | "trace_id",
        span_id: Text<'a> = "spanId" | "span_id",
        trace_state: Text<'a> = "traceState" | "trace_state",
        attributes: Option<&'a RawValue> = "attributes",
    }
}

fields! {
    /// A log record as written.
    RecordFields {
        trace_id: Text<'a> = "traceId" | "trace_id",
        span_id: Text<'a> = "spanId" | "span_id",
        time: Number = "timeUnixNano" | "time_unix_nano",
        observed: Number = "observedTimeUnixNano" | "observed_time_unix_nano",
        severity: Word<'a> = "severityNumber" | "severity_number",
        severity_text: Text<'a> = "severityText" | "severity_text",
        event_name: Text<'a> = "eventName" | "event_name",
        body: Option<&'a RawValue> = "body",
        attributes: Option<&'a RawValue> = "attributes",
        dropped: Number = "droppedAttributesCount" | "dropped_attributes_count",
    }
}

fields! {
    /// A resource or a library.
    WithAttributes {
        name: Text<'a> = "name",
        version: Text<'a> = "version",
        attributes: Option<&'a RawValue> = "attributes",
    }
}

fn id(text: Text<'_>) -> Id<'_> {
    if text.0.is_empty() { Id::Missing } else { Id::Text(text.0) }
}

fn read_span<'a>(text: &'a str, span: &mut Span<'a>, limits: Limits) -> Result<(), serde_json::Error> {
    let fields: SpanFields<'a> = serde_json::from_str(text)?;
    (span.trace_id, span.id, span.parent_id) = (id(fields.trace_id), id(fields.span_id), id(fields.parent_id));
    (span.name, span.trace_state) = (fields.name.0, fields.trace_state.0);
    span.kind = fields.kind.of("SPAN_KIND_", &KINDS);
    (span.start_ns, span.end_ns) = (fields.start.0, fields.end.0);
    span.status = fields.status.code.of("STATUS_CODE_", &STATUSES);
    span.message = fields.status.message.0;
    let dropped = [fields.dropped_attributes, fields.dropped_events, fields.dropped_links];
    span.dropped = dropped.into_iter().fold(0, |sum, number| sum.saturating_add(number.0));
    value::attributes(fields.attributes, &mut span.attributes, limits)?;
    let mut inner = limits;
    let left_out = list(fields.events, limits.attributes, |fields: EventFields<'a>| {
        let mut event = SpanEvent { name: fields.name.0, time_ns: fields.time.0, ..SpanEvent::default() };
        value::attributes(fields.attributes, &mut event.attributes, inner)?;
        inner.attributes = inner.attributes.saturating_sub(event.attributes.items.len());
        span.attributes.left_out += event.attributes.left_out;
        span.events.push(event);
        Ok(())
    })?;
    span.attributes.left_out += left_out;
    let left_out = list(fields.links, limits.attributes, |fields: LinkFields<'a>| {
        let mut link = Link { trace_state: fields.trace_state.0, ..Link::default() };
        (link.trace_id, link.span_id) = (id(fields.trace_id), id(fields.span_id));
        value::attributes(fields.attributes, &mut link.attributes, inner)?;
        inner.attributes = inner.attributes.saturating_sub(link.attributes.items.len());
        span.attributes.left_out += link.attributes.left_out;
        span.links.push(link);
        Ok(())
    })?;
    span.attributes.left_out += left_out;
    Ok(())
}

fn read_record<'a>(text: &'a str, record: &mut Record<'a>, limits: Limits) -> Result<(), serde_json::Error> {
    let fields: RecordFields<'a> = serde_json::from_str(text)?;
    (record.trace_id, record.span_id) = (id(fields.trace_id), id(fields.span_id));
    (record.time_ns, record.observed_ns) = (fields.time.0, fields.observed.0);
    record.severity = fields.severity.severity();
    (record.severity_text, record.event_name) = (fields.severity_text.0, fields.event_name.0);
    record.dropped = fields.dropped.0;
    value::attributes(fields.attributes, &mut record.attributes, limits)?;
    if let Some(body) = fields.body {
        record.body = value::value(body.get(), &mut record.attributes.left_out, limits)?;
    }
    Ok(())
}

/// Hands on the elements of a list, up to a number of them; counts the others.
fn list<'a, T: Deserialize<'a>>(
    list: Option<&'a RawValue>,
    most: usize,
    mut each: impl FnMut(T) -> Result<(), serde_json::Error>,
) -> Result<u64, serde_json::Error> {
    let Some(list) = list else { return Ok(0) };
    let mut taken = 0;
    elements(list.get(), |element| {
        taken += 1;
        if taken <= most { each(serde_json::from_str(element)?) } else { Ok(()) }
    })?;
    Ok(taken.saturating_sub(most) as u64)
}

/// Hands on the elements of a list as texts; null is an empty one.
fn elements<'a>(
    text: &'a str,
    each: impl FnMut(&'a str) -> Result<(), serde_json::Error>,
) -> Result<(), serde_json::Error> {
    struct ElementsVisitor<F>(F);
    impl<'de, F: FnMut(&'de str) -> Result<(), serde_json::Error>> Visitor<'de> for ElementsVisitor<F> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list")
        }

        fn visit_unit<E>(self) -> Result<(), E> {
            Ok(())
        }

        fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
            while let Some(element) = list.next_element::<&RawValue>()? {
                (self.0)(element.get()).map_err(A::Error::custom)?;
            }
            Ok(())
        }
    }
    serde_json::Deserializer::from_str(text).deserialize_any(ElementsVisitor(each))
}
