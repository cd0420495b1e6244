//! Requests in protobuf, read where they lie: nothing is copied, and nothing grows with what a length claims.
//!
//! A span that cannot be read is refused by itself. What is broken around the spans is an error: nobody could say how
//! many of them it was to be.

use std::borrow::Cow;

use super::Signal;
use super::collect::Collector;
use super::keys::Seen;
use super::text;
use super::view::{Attribute, Attributes, Id, Limits, Link, Record, Scope, Span, SpanEvent, Value};

/// What is wrong with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Broken {
    /// It ends before a field does.
    Truncated,
    /// No field can begin like this.
    Malformed,
    /// A field has another type than the schema says.
    WrongType,
}

impl Broken {
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Truncated => "it ends within a field",
            Self::Malformed => "these bytes begin no field",
            Self::WrongType => "a field has another type than OTLP gives it",
        }
    }
}

/// A field as it stands there.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Wire<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    Bytes(&'a [u8]),
}

impl<'a> Wire<'a> {
    const fn bytes(self) -> Result<&'a [u8], Broken> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            _ => Err(Broken::WrongType),
        }
    }

    /// A text; what is not UTF-8 in it is replaced.
    fn text(self) -> Result<Cow<'a, str>, Broken> {
        self.bytes().map(String::from_utf8_lossy)
    }

    const fn varint(self) -> Result<u64, Broken> {
        match self {
            Self::Varint(number) => Ok(number),
            _ => Err(Broken::WrongType),
        }
    }

    const fn fixed64(self) -> Result<u64, Broken> {
        match self {
            Self::Fixed64(number) => Ok(number),
            _ => Err(Broken::WrongType),
        }
    }
}

/// The fields of a message, one after the other.
#[derive(Debug, Clone, Copy)]
struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    const fn of(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    fn next(&mut self) -> Result<Option<(u32, Wire<'a>)>, Broken> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let tag = u32::try_from(self.varint()?).map_err(|_| Broken::Malformed)?;
        let wire = match tag & 7 {
            0 => Wire::Varint(self.varint()?),
            1 => Wire::Fixed64(u64::from_le_bytes(self.array()?)),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| Broken::Truncated)?;
                let (bytes, rest) = self.rest.split_at_checked(length).ok_or(Broken::Truncated)?;
                self.rest = rest;
                Wire::Bytes(bytes)
            }
            5 => Wire::Fixed32(u32::from_le_bytes(self.array()?)),
            // Groups have never been part of OTLP.
            _ => return Err(Broken::Malformed),
        };
        if tag >> 3 == 0 { Err(Broken::Malformed) } else { Ok(Some((tag >> 3, wire))) }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Broken> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(Broken::Truncated)?;
        self.rest = rest;
        Ok(*bytes)
    }

    fn varint(&mut self) -> Result<u64, Broken> {
        let mut number = 0;
        for (at, byte) in self.rest.iter().take(10).enumerate() {
            number |= u64::from(byte & 0x7f) << (7 * at);
            if byte & 0x80 == 0 {
                self.rest = &self.rest[at + 1..];
                return Ok(number);
            }
        }
        Err(if self.rest.len() < 10 { Broken::Truncated } else { Broken::Malformed })
    }
}

/// The last message under `number`, which may stand behind what depends on it.
fn find(message: &[u8], number: u32) -> Result<Option<&[u8]>, Broken> {
    let (mut fields, mut found) = (Fields::of(message), None);
    while let Some((field, wire)) = fields.next()? {
        if field == number {
            found = Some(wire.bytes()?);
        }
    }
    Ok(found)
}

/// Reads an `ExportTraceServiceRequest`.
pub(super) fn traces(body: &[u8], to: &mut Collector<'_>) -> Result<(), Broken> {
    let mut span = Span::default();
    walk(body, to, |bytes, to| {
        span.clear();
        match read_span(bytes, &mut span, to.limits()) {
            Ok(()) => to.span(&span),
            Err(broken) => to.refuse_unreadable(broken.words()),
        }
    })
}

/// Reads an `ExportLogsServiceRequest`.
pub(super) fn logs(body: &[u8], to: &mut Collector<'_>) -> Result<(), Broken> {
    let mut record = Record::default();
    walk(body, to, |bytes, to| {
        record.clear();
        match read_record(bytes, &mut record, to.limits()) {
            Ok(()) => to.record(&record),
            Err(broken) => to.refuse_unreadable(broken.words()),
        }
    })
}

/// Both requests have the same form: resources, scopes in them, items in these.
fn walk<'a>(
    body: &'a [u8],
    to: &mut Collector<'_>,
    mut item: impl FnMut(&'a [u8], &mut Collector<'_>),
) -> Result<(), Broken> {
    let mut groups = Fields::of(body);
    while let Some((field, wire)) = groups.next()? {
        if field != 1 {
            continue;
        }
        let group = wire.bytes()?;
        // Groups without items cost next to nothing, however many of them fit into a body.
        let mut resource_is_known = false;
        let mut scopes = Fields::of(group);
        while let Some((field, wire)) = scopes.next()? {
            // Before 1.0 the scope was called instrumentation library; its first fields are the same.
            if field != 2 && field != 1_000 {
                continue;
            }
            let scoped = wire.bytes()?;
            let mut scope_is_known = false;
            let mut items = Fields::of(scoped);
            while let Some((field, wire)) = items.next()? {
                if field != 2 {
                    continue;
                }
                let bytes = wire.bytes()?;
                if !resource_is_known {
                    resource_is_known = true;
                    let mut resource = Attributes::default();
                    read_attributes(find(group, 1)?.unwrap_or_default(), &mut resource, to.limits())?;
                    to.resource(&resource);
                }
                if !scope_is_known {
                    scope_is_known = true;
                    to.scope(&read_scope(find(scoped, 1)?.unwrap_or_default(), to.limits())?);
                }
                if to.room() {
                    item(bytes, to);
                }
            }
        }
    }
    Ok(())
}

fn read_scope(bytes: &[u8], limits: Limits) -> Result<Scope<'_>, Broken> {
    let (mut fields, mut scope) = (Fields::of(bytes), Scope::default());
    while let Some((field, wire)) = fields.next()? {
        match field {
            1 => scope.name = wire.text()?,
            2 => scope.version = wire.text()?,
            3 => attribute(wire.bytes()?, &mut scope.attributes, limits)?,
            _ => {}
        }
    }
    Ok(scope)
}

fn read_span<'a>(bytes: &'a [u8], span: &mut Span<'a>, limits: Limits) -> Result<(), Broken> {
    // Attributes of events and links together; the span's own have as much room for themselves.
    let (mut fields, mut inner) = (Fields::of(bytes), limits);
    while let Some((field, wire)) = fields.next()? {
        match field {
            1 => span.trace_id = Id::Bytes(wire.bytes()?),
            2 => span.id = Id::Bytes(wire.bytes()?),
            3 => span.trace_state = wire.text()?,
            4 => span.parent_id = Id::Bytes(wire.bytes()?),
            5 => span.name = wire.text()?,
            6 => span.kind = wire.varint()? as i32,
            7 => span.start_ns = wire.fixed64()?,
            8 => span.end_ns = wire.fixed64()?,
            9 => attribute(wire.bytes()?, &mut span.attributes, limits)?,
            11 => {
                if span.events.len() < limits.attributes {
                    let event = read_event(wire.bytes()?, inner)?;
                    inner.attributes = inner.attributes.saturating_sub(event.attributes.items.len());
                    span.attributes.left_out += event.attributes.left_out;
                    span.events.push(event);
                } else {
                    span.attributes.left_out += 1;
                }
            }
            13 => {
                if span.links.len() < limits.attributes {
                    let link = read_link(wire.bytes()?, inner)?;
                    inner.attributes = inner.attributes.saturating_sub(link.attributes.items.len());
                    span.attributes.left_out += link.attributes.left_out;
                    span.links.push(link);
                } else {
                    span.attributes.left_out += 1;
                }
            }
            10 | 12 | 14 => span.dropped = span.dropped.saturating_add(wire.varint()?),
            15 => read_status(wire.bytes()?, span)?,
            _ => {}
        }
    }
    Ok(())
}

fn read_event(bytes: &[u8], limits: Limits) -> Result<SpanEvent<'_>, Broken> {
    let (mut fields, mut event) = (Fields::of(bytes), SpanEvent::default());
    while let Some((field, wire)) = fields.next()? {
        match field {
            1 => event.time_ns = wire.fixed64()?,
            2 => event.name = wire.text()?,
            3 => attribute(wire.bytes()?, &mut event.attributes, limits)?,
            _ => {}
        }
    }
    Ok(event)
}

fn read_link(bytes: &[u8], limits: Limits) -> Result<Link<'_>, Broken> {
    let (mut fields, mut link) = (Fields::of(bytes), Link::default());
    while let Some((field, wire)) = fields.next()? {
        match field {
            1 => link.trace_id = Id::Bytes(wire.bytes()?),
            2 => link.span_id = Id::Bytes(wire.bytes()?),
            3 => link.trace_state = wire.text()?,
            4 => attribute(wire.bytes()?, &mut link.attributes, limits)?,
            _ => {}
        }
    }
    Ok(link)
}

fn read_status<'a>(bytes: &'a [u8], span: &mut Span<'a>) -> Result<(), Broken> {
    let mut fields = Fields::of(bytes);
    while let Some((field, wire)) = fields.next()? {
        match field {
            2 => span.message = wire.text()?,
            3 => span.status = wire.varint()? as i32,
            _ => {}
        }
    }
    Ok(())
}

fn read_record<'a>(bytes: &'a [u8], record: &mut Record<'a>, limits: Limits) -> Result<(), Broken> {
    let mut fields = Fields::of(bytes);
    while let Some((field, wire)) = fields.next()? {
        match field {
            1 => record.time_ns = wire.fixed64()?,
            2 => record.severity = wire.varint()? as i32,
            3 => record.severity_text = wire.text()?,
            5 => record.body = read_value(wire.bytes()?, &mut record.attributes.left_out, limits)?,
            6 => attribute(wire.bytes()?, &mut record.attributes, limits)?,
            7 => record.dropped = record.dropped.saturating_add(wire.varint()?),
            9 => record.trace_id = Id::Bytes(wire.bytes()?),
            10 => record.span_id = Id::Bytes(wire.bytes()?),
            11 => record.observed_ns = wire.fixed64()?,
            12 => record.event_name = wire.text()?,
            _ => {}
        }
    }
    Ok(())
}

/// The attributes of a resource.
fn read_attributes<'a>(bytes: &'a [u8], attributes: &mut Attributes<'a>, limits: Limits) -> Result<(), Broken> {
    let mut fields = Fields::of(bytes);
    while let Some((field, wire)) = fields.next()? {
        if field == 1 {
            attribute(wire.bytes()?, attributes, limits)?;
        }
    }
    Ok(())
}

fn attribute<'a>(bytes: &'a [u8], attributes: &mut Attributes<'a>, limits: Limits) -> Result<(), Broken> {
    if attributes.items.len() >= limits.attributes {
        attributes.left_out += 1;
        return Ok(());
    }
    let (key, value) = key_value(bytes)?;
    let value = read_value(value, &mut attributes.left_out, limits)?;
    attributes.items.push(Attribute { key, value });
    Ok(())
}

fn key_value(bytes: &[u8]) -> Result<(Cow<'_, str>, &[u8]), Broken> {
    let (mut fields, mut key, mut value) = (Fields::of(bytes), Cow::Borrowed(""), &[][..]);
    while let Some((field, wire)) = fields.next()? {
        match field {
            1 => key = wire.text()?,
            2 => value = wire.bytes()?,
            _ => {}
        }
    }
    Ok((key, value))
}

fn read_value<'a>(bytes: &'a [u8], left_out: &mut u64, limits: Limits) -> Result<Value<'a>, Broken> {
    let (mut fields, mut value) = (Fields::of(bytes), Value::Empty);
    while let Some((field, wire)) = fields.next()? {
        value = match field {
            1 => Value::Text(wire.text()?),
            2 => Value::Bool(wire.varint()? != 0),
            3 => Value::Int(wire.varint()? as i64),
            4 => Value::Real(f64::from_bits(wire.fixed64()?)),
            5 | 6 => {
                let mut nested = Nested { out: String::new(), left_out, limits };
                nested.composite(field, wire.bytes()?, 1)?;
                Value::Json(Cow::Owned(nested.out))
            }
            7 => Value::Text(Cow::Owned(text::to_base64(wire.bytes()?))),
            _ => value,
        };
    }
    Ok(value)
}

/// Lists and maps on their way to JSON.
struct Nested<'o> {
    out: String,
    left_out: &'o mut u64,
    limits: Limits,
}

impl Nested<'_> {
    /// A list (field 5) or a map (field 6). What is too deep, too long or too many is left out.
    fn composite(&mut self, field: u32, bytes: &[u8], depth: usize) -> Result<(), Broken> {
        if depth > self.limits.depth {
            *self.left_out += 1;
            self.out.push_str("null");
            return Ok(());
        }
        let map = field == 6;
        self.out.push(if map { '{' } else { '[' });
        let mut keys = Seen::default();
        let (mut fields, mut entries) = (Fields::of(bytes), 0);
        while let Some((field, wire)) = fields.next()? {
            if field != 1 {
                continue;
            }
            let (key, value) = if map { key_value(wire.bytes()?)? } else { (Cow::Borrowed(""), wire.bytes()?) };
            let full = entries >= self.limits.entries || self.out.len() >= self.limits.bytes;
            if map && !keys.insert(&key) || full {
                *self.left_out += 1;
                continue;
            }
            if entries > 0 {
                self.out.push(',');
            }
            entries += 1;
            if map {
                text::string(&mut self.out, &key);
                self.out.push(':');
            }
            self.value(value, depth)?;
        }
        self.out.push(if map { '}' } else { ']' });
        Ok(())
    }

    fn value(&mut self, bytes: &[u8], depth: usize) -> Result<(), Broken> {
        let (mut fields, mut last) = (Fields::of(bytes), None);
        while let Some((field, wire)) = fields.next()? {
            if (1..=7).contains(&field) {
                last = Some((field, wire));
            }
        }
        if let Some((field @ (5 | 6), wire)) = last {
            return self.composite(field, wire.bytes()?, depth + 1);
        }
        read_value(bytes, self.left_out, self.limits)?.write(&mut self.out);
        Ok(())
    }
}

/// What a request holds, told by its first item: in a span the first field is an id, in a log record a time. None
/// without items, or where the bytes are no request at all.
pub(super) fn signal(body: &[u8]) -> Option<Signal> {
    let (mut groups, mut found) = (Fields::of(body), None);
    while let Some((_, wire)) = groups.next().ok()? {
        let mut scopes = Fields::of(wire.bytes().ok()?);
        while let Some((field, wire)) = scopes.next().ok()? {
            if field != 2 && field != 1_000 {
                continue;
            }
            let mut items = Fields::of(wire.bytes().ok()?);
            while let Some((field, wire)) = items.next().ok()? {
                if field == 2 && found.is_none() {
                    found = Some(signal_of(wire.bytes().ok()?));
                }
            }
        }
    }
    found
}

fn signal_of(item: &[u8]) -> Signal {
    // Only records have a time in field 1 or 11, a severity in field 2, or a body.
    let mut fields = Fields::of(item);
    while let Ok(Some((field, wire))) = fields.next() {
        match (field, wire) {
            (1 | 11, Wire::Fixed64(_)) | (2, Wire::Varint(_)) => return Signal::Logs,
            (1, Wire::Bytes(_)) => return Signal::Traces,
            _ => {}
        }
    }
    Signal::Traces
}

/// Whether the bytes have the form of a request, with or without items.
pub(super) fn is_request(body: &[u8]) -> bool {
    let mut fields = Fields::of(body);
    loop {
        match fields.next() {
            Ok(None) => return true,
            Ok(Some((1, Wire::Bytes(_)))) => {}
            _ => return false,
        }
    }
}

/// How messages stand behind each other: the first one, and what follows it.
pub(super) type Framing = fn(&[u8]) -> Option<(&[u8], &[u8])>;

/// The message behind its length as a varint, and what follows.
pub(super) fn behind_varint(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut fields = Fields::of(bytes);
    let length = usize::try_from(fields.varint().ok()?).ok()?;
    fields.rest.split_at_checked(length)
}

/// The message behind its length in four bytes, the high one first, and what follows.
pub(super) fn behind_four_bytes(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(u32::from_be_bytes(*length) as usize)
}
