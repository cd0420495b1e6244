//! What stands around spans and log records: resources and the libraries that made them, in any order.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{Text, WithAttributes, read_record, read_span, value};
use crate::otlp::Signal;
use crate::otlp::collect::Collector;
use crate::otlp::view::{Attributes, Record, Scope, Span};

/// A request, or a saved form of one.
pub(super) struct Request<'t, 'c> {
    pub(super) to: &'t mut Collector<'c>,
    /// The only signal wanted.
    pub(super) signal: Option<Signal>,
}

impl<'de> DeserializeSeed<'de> for Request<'_, '_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Request<'_, '_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with `resourceSpans` or `resourceLogs`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        let mut found = false;
        while let Some(Text(key)) = map.next_key()? {
            let signal = match key.as_ref() {
                // `batches` is what Tempo saves.
                "resourceSpans" | "resource_spans" | "batches" => Signal::Traces,
                "resourceLogs" | "resource_logs" => Signal::Logs,
                // So is a request within `trace`.
                "trace" => {
                    found |= map.next_value_seed(Request { to: self.to, signal: self.signal })?;
                    continue;
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            if self.signal.is_none_or(|wanted| wanted == signal) {
                found = true;
                map.next_value_seed(List(Level::Group(signal), self.to))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// What the objects of a list are.
#[derive(Clone, Copy)]
enum Level {
    /// What one resource sent.
    Group(Signal),
    /// What one library of it made.
    Scope(Signal),
    /// The items.
    Item(Signal),
}

/// A list of them; null is an empty one.
struct List<'t, 'c>(Level, &'t mut Collector<'c>);

impl<'de> DeserializeSeed<'de> for List<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for List<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let (mut span, mut record) = (Span::default(), Record::default());
        match self.0 {
            Level::Group(signal) => while list.next_element_seed(Group(signal, self.1))?.is_some() {},
            Level::Scope(signal) => while list.next_element_seed(Scoped(signal, self.1))?.is_some() {},
            Level::Item(signal) => {
                while let Some(item) = list.next_element::<&RawValue>()? {
                    if self.1.room() {
                        take(signal, item.get(), self.1, &mut span, &mut record);
                    }
                }
            }
        }
        Ok(())
    }
}

fn take<'a>(signal: Signal, item: &'a str, to: &mut Collector<'_>, span: &mut Span<'a>, record: &mut Record<'a>) {
    let limits = to.limits();
    let read = match signal {
        Signal::Traces => {
            span.clear();
            read_span(item, span, limits).map(|()| to.span(span))
        }
        Signal::Logs => {
            record.clear();
            read_record(item, record, limits).map(|()| to.record(record))
        }
    };
    if let Err(error) = read {
        let said = error.to_string();
        to.refuse_unreadable(said.split(" at line ").next().unwrap_or(&said));
    }
}

/// Reads what had to wait for what stands behind it.
fn waiting<E: Error>(list: Option<&RawValue>, level: Level, to: &mut Collector<'_>) -> Result<(), E> {
    let Some(list) = list else { return Ok(()) };
    List(level, to).deserialize(&mut serde_json::Deserializer::from_str(list.get())).map_err(E::custom)
}

/// What one resource sent.
struct Group<'t, 'c>(Signal, &'t mut Collector<'c>);

impl<'de> DeserializeSeed<'de> for Group<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Group<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with `resource` and `scopeSpans` or `scopeLogs`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self(signal, to) = self;
        let (mut known, mut later) = (false, None);
        while let Some(Text(key)) = map.next_key()? {
            match (key.as_ref(), signal) {
                ("resource", _) => {
                    let attributes = map.next_value::<WithAttributes<'de>>()?.attributes;
                    let mut resource = Attributes::default();
                    value::attributes(attributes, &mut resource, to.limits()).map_err(A::Error::custom)?;
                    to.resource(&resource);
                    known = true;
                }
                (
                    "scopeSpans" | "scope_spans" | "instrumentationLibrarySpans" | "instrumentation_library_spans",
                    Signal::Traces,
                )
                | ("scopeLogs" | "scope_logs", Signal::Logs) => {
                    if known {
                        map.next_value_seed(List(Level::Scope(signal), to))?;
                    } else {
                        later = Some(map.next_value::<&RawValue>()?);
                    }
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        if !known {
            to.resource(&Attributes::default());
        }
        waiting(later, Level::Scope(signal), to)
    }
}

/// What one library made.
struct Scoped<'t, 'c>(Signal, &'t mut Collector<'c>);

impl<'de> DeserializeSeed<'de> for Scoped<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Scoped<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with `scope` and `spans` or `logRecords`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self(signal, to) = self;
        let (mut known, mut later) = (false, None);
        while let Some(Text(key)) = map.next_key()? {
            match (key.as_ref(), signal) {
                ("scope" | "instrumentationLibrary" | "instrumentation_library", _) => {
                    let found = map.next_value::<WithAttributes<'de>>()?;
                    let mut scope = Scope { name: found.name.0, version: found.version.0, ..Scope::default() };
                    value::attributes(found.attributes, &mut scope.attributes, to.limits())
                        .map_err(A::Error::custom)?;
                    to.scope(&scope);
                    known = true;
                }
                ("spans", Signal::Traces) | ("logRecords" | "log_records", Signal::Logs) => {
                    if known {
                        map.next_value_seed(List(Level::Item(signal), to))?;
                    } else {
                        later = Some(map.next_value::<&RawValue>()?);
                    }
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        if !known {
            to.scope(&Scope::default());
        }
        waiting(later, Level::Item(signal), to)
    }
}
