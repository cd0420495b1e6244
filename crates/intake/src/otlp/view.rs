//! Spans and log records as the mapping sees them: borrowed from whatever they came in, protobuf, JSON or messages that
//! were decoded already. One of each is filled again and again.

use std::borrow::Cow;

use super::text;

/// A value of an attribute. What is nested is written as JSON where it is read.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) enum Value<'a> {
    #[default]
    Empty,
    Text(Cow<'a, str>),
    Bool(bool),
    Int(i64),
    Real(f64),
    /// A list, a map, or a number beyond 64 bits: as JSON.
    Json(Cow<'a, str>),
}

impl Value<'_> {
    /// A text, if it is one and says something.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text.as_ref()).filter(|text| !text.trim().is_empty()),
            _ => None,
        }
    }

    /// What it says: texts as they are, all else as JSON.
    pub(super) fn said(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Text(_) => self.text().map(Cow::Borrowed),
            Self::Json(json) => Some(Cow::Borrowed(json)),
            Self::Empty => None,
            other => {
                let mut out = String::new();
                other.write(&mut out);
                Some(Cow::Owned(out))
            }
        }
    }

    /// A number, also where it came as a text.
    pub(super) fn number(&self) -> Option<f64> {
        match self {
            Self::Int(number) => Some(*number as f64),
            Self::Real(number) => Some(*number),
            Self::Text(text) => text.trim().parse().ok(),
            Self::Json(json) => json.parse().ok(),
            Self::Empty | Self::Bool(_) => None,
        }
        .filter(|number: &f64| number.is_finite())
    }

    /// Writes it as JSON.
    pub(super) fn write(&self, out: &mut String) {
        match self {
            Self::Empty => out.push_str("null"),
            Self::Text(text) => text::string(out, text),
            Self::Bool(true) => out.push_str("true"),
            Self::Bool(false) => out.push_str("false"),
            Self::Int(number) => text::integer(out, *number),
            Self::Real(number) => text::real(out, *number),
            Self::Json(json) => out.push_str(json),
        }
    }
}

/// A name with its value.
#[derive(Debug, Default)]
pub(super) struct Attribute<'a> {
    pub(super) key: Cow<'a, str>,
    pub(super) value: Value<'a>,
}

/// Attributes, of which only so many are kept.
#[derive(Debug, Default)]
pub(super) struct Attributes<'a> {
    pub(super) items: Vec<Attribute<'a>>,
    /// Those beyond the limit, those that could not be read, and values that were cut short.
    pub(super) left_out: u64,
}

impl<'a> Attributes<'a> {
    pub(super) fn get(&self, key: &str) -> Option<&Value<'a>> {
        self.items.iter().find(|attribute| attribute.key == key).map(|attribute| &attribute.value)
    }

    fn clear(&mut self) {
        self.items.clear();
        self.left_out = 0;
    }
}

/// An id as it came.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) enum Id<'a> {
    #[default]
    Missing,
    Bytes(&'a [u8]),
    /// In hex, or in Base64 as protobuf's own JSON writes bytes.
    Text(Cow<'a, str>),
}

/// What can be wrong with an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IdFault {
    Missing,
    Zero,
    Malformed,
}

impl IdFault {
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Missing => "is missing",
            Self::Zero => "is all zeros",
            Self::Malformed => "has the wrong length, or is not hex",
        }
    }
}

impl Id<'_> {
    /// The id of `N` bytes in lower-case hex.
    pub(super) fn hex<const N: usize>(&self) -> Result<String, IdFault> {
        let bytes: [u8; N] = match self {
            Self::Missing | Self::Bytes([]) => return Err(IdFault::Missing),
            Self::Bytes(bytes) => (*bytes).try_into().map_err(|_| IdFault::Malformed)?,
            Self::Text(text) if text.is_empty() => return Err(IdFault::Missing),
            Self::Text(text) => text::id_bytes::<N>(text).ok_or(IdFault::Malformed)?,
        };
        if bytes.iter().all(|byte| *byte == 0) { Err(IdFault::Zero) } else { Ok(text::hex(&bytes)) }
    }

    /// The same for an id that need not be there: many write zeros for none.
    pub(super) fn optional_hex<const N: usize>(&self) -> Result<Option<String>, IdFault> {
        match self.hex::<N>() {
            Ok(id) => Ok(Some(id)),
            Err(IdFault::Missing | IdFault::Zero) => Ok(None),
            Err(fault) => Err(fault),
        }
    }
}

/// What a span's event says.
#[derive(Debug, Default)]
pub(super) struct SpanEvent<'a> {
    pub(super) name: Cow<'a, str>,
    pub(super) time_ns: u64,
    pub(super) attributes: Attributes<'a>,
}

/// Another span that a span refers to.
#[derive(Debug, Default)]
pub(super) struct Link<'a> {
    pub(super) trace_id: Id<'a>,
    pub(super) span_id: Id<'a>,
    pub(super) trace_state: Cow<'a, str>,
    pub(super) attributes: Attributes<'a>,
}

/// The kinds of span that matter.
pub(super) const KINDS: [&str; 6] = ["UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"];
/// The words for how a span ended.
pub(super) const STATUSES: [&str; 3] = ["UNSET", "OK", "ERROR"];
/// It serves a call from elsewhere.
pub(super) const SERVER: i32 = 2;
/// It takes a message from a queue.
pub(super) const CONSUMER: i32 = 5;
/// It went well, somebody says.
pub(super) const STATUS_OK: i32 = 1;
/// It went wrong.
pub(super) const STATUS_ERROR: i32 = 2;

/// A span.
#[derive(Debug, Default)]
pub(super) struct Span<'a> {
    pub(super) trace_id: Id<'a>,
    pub(super) id: Id<'a>,
    pub(super) parent_id: Id<'a>,
    pub(super) trace_state: Cow<'a, str>,
    pub(super) name: Cow<'a, str>,
    pub(super) kind: i32,
    pub(super) start_ns: u64,
    pub(super) end_ns: u64,
    pub(super) attributes: Attributes<'a>,
    pub(super) events: Vec<SpanEvent<'a>>,
    pub(super) links: Vec<Link<'a>>,
    pub(super) status: i32,
    pub(super) message: Cow<'a, str>,
    /// Attributes, events and links that the sender itself left out.
    pub(super) dropped: u64,
}

impl Span<'_> {
    /// Empties it, and keeps its memory.
    pub(super) fn clear(&mut self) {
        let mut attributes = std::mem::take(&mut self.attributes);
        let (mut events, mut links) = (std::mem::take(&mut self.events), std::mem::take(&mut self.links));
        attributes.clear();
        events.clear();
        links.clear();
        *self = Self { attributes, events, links, ..Self::default() };
    }
}

/// A log record.
#[derive(Debug, Default)]
pub(super) struct Record<'a> {
    pub(super) trace_id: Id<'a>,
    pub(super) span_id: Id<'a>,
    pub(super) time_ns: u64,
    pub(super) observed_ns: u64,
    pub(super) severity: i32,
    pub(super) severity_text: Cow<'a, str>,
    pub(super) event_name: Cow<'a, str>,
    pub(super) body: Value<'a>,
    pub(super) attributes: Attributes<'a>,
    pub(super) dropped: u64,
}

impl Record<'_> {
    /// Empties it, and keeps its memory.
    pub(super) fn clear(&mut self) {
        let mut attributes = std::mem::take(&mut self.attributes);
        attributes.clear();
        *self = Self { attributes, ..Self::default() };
    }
}

/// The library that made the spans.
#[derive(Debug, Default)]
pub(super) struct Scope<'a> {
    pub(super) name: Cow<'a, str>,
    pub(super) version: Cow<'a, str>,
    pub(super) attributes: Attributes<'a>,
}

/// What can be read at most.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Attributes of one span, and again as many of its events and links together.
    pub(super) attributes: usize,
    /// Entries of one list or map.
    pub(super) entries: usize,
    /// How deeply values may be nested.
    pub(super) depth: usize,
    /// Longest value that is written as JSON, bytes.
    pub(super) bytes: usize,
}
