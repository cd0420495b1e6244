//! Requests that were decoded already.

use std::borrow::Cow;

use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1 as otlp;

use super::collect::Collector;
use super::keys::Seen;
use super::proto::{ExportLogsServiceRequest, ExportTraceServiceRequest};
use super::text;
use super::view::{Attribute, Attributes, Id, Limits, Link, Record, Scope, Span, SpanEvent, Value};

/// Maps all spans of a request.
pub(super) fn traces(request: &ExportTraceServiceRequest, to: &mut Collector<'_>) {
    let (limits, mut span) = (to.limits(), Span::default());
    for group in &request.resource_spans {
        begin(group.resource.as_ref(), to);
        for scoped in &group.scope_spans {
            scope(scoped.scope.as_ref(), to);
            for source in &scoped.spans {
                if to.room() {
                    span.clear();
                    fill_span(source, &mut span, limits);
                    to.span(&span);
                }
            }
        }
    }
}

/// Maps all log records of a request.
pub(super) fn logs(request: &ExportLogsServiceRequest, to: &mut Collector<'_>) {
    let (limits, mut record) = (to.limits(), Record::default());
    for group in &request.resource_logs {
        begin(group.resource.as_ref(), to);
        for scoped in &group.scope_logs {
            scope(scoped.scope.as_ref(), to);
            for source in &scoped.log_records {
                if to.room() {
                    record.clear();
                    fill_record(source, &mut record, limits);
                    to.record(&record);
                }
            }
        }
    }
}

fn begin(resource: Option<&Resource>, to: &mut Collector<'_>) {
    let mut found = Attributes::default();
    if let Some(resource) = resource {
        attributes(&resource.attributes, &mut found, to.limits());
    }
    to.resource(&found);
}

fn scope(source: Option<&InstrumentationScope>, to: &mut Collector<'_>) {
    let mut found = Scope::default();
    if let Some(source) = source {
        found.name = Cow::Borrowed(&source.name);
        found.version = Cow::Borrowed(&source.version);
        attributes(&source.attributes, &mut found.attributes, to.limits());
    }
    to.scope(&found);
}

fn fill_span<'a>(source: &'a otlp::Span, span: &mut Span<'a>, limits: Limits) {
    span.trace_id = Id::Bytes(&source.trace_id);
    span.id = Id::Bytes(&source.span_id);
    span.parent_id = Id::Bytes(&source.parent_span_id);
    span.trace_state = Cow::Borrowed(&source.trace_state);
    span.name = Cow::Borrowed(&source.name);
    span.kind = source.kind;
    (span.start_ns, span.end_ns) = (source.start_time_unix_nano, source.end_time_unix_nano);
    let dropped = [source.dropped_attributes_count, source.dropped_events_count, source.dropped_links_count];
    span.dropped = dropped.into_iter().map(u64::from).sum();
    if let Some(status) = &source.status {
        span.status = status.code;
        span.message = Cow::Borrowed(&status.message);
    }
    attributes(&source.attributes, &mut span.attributes, limits);
    let mut inner = limits;
    for event in source.events.iter().take(limits.attributes) {
        let mut found =
            SpanEvent { name: Cow::Borrowed(&event.name), time_ns: event.time_unix_nano, ..SpanEvent::default() };
        attributes(&event.attributes, &mut found.attributes, inner);
        inner.attributes = inner.attributes.saturating_sub(found.attributes.items.len());
        span.attributes.left_out += found.attributes.left_out;
        span.events.push(found);
    }
    for link in source.links.iter().take(limits.attributes) {
        let mut found = Link {
            trace_id: Id::Bytes(&link.trace_id),
            span_id: Id::Bytes(&link.span_id),
            trace_state: Cow::Borrowed(&link.trace_state),
            ..Link::default()
        };
        attributes(&link.attributes, &mut found.attributes, inner);
        inner.attributes = inner.attributes.saturating_sub(found.attributes.items.len());
        span.attributes.left_out += found.attributes.left_out;
        span.links.push(found);
    }
    let beyond = [source.events.len(), source.links.len()].map(|count| count.saturating_sub(limits.attributes));
    span.attributes.left_out += beyond.into_iter().sum::<usize>() as u64;
}

fn fill_record<'a>(source: &'a LogRecord, record: &mut Record<'a>, limits: Limits) {
    record.trace_id = Id::Bytes(&source.trace_id);
    record.span_id = Id::Bytes(&source.span_id);
    (record.time_ns, record.observed_ns) = (source.time_unix_nano, source.observed_time_unix_nano);
    record.severity = source.severity_number;
    record.severity_text = Cow::Borrowed(&source.severity_text);
    record.event_name = Cow::Borrowed(&source.event_name);
    record.dropped = source.dropped_attributes_count.into();
    attributes(&source.attributes, &mut record.attributes, limits);
    if let Some(body) = &source.body {
        record.body = value(body, &mut record.attributes.left_out, limits);
    }
}

fn attributes<'a>(source: &'a [KeyValue], found: &mut Attributes<'a>, limits: Limits) {
    for pair in source.iter().take(limits.attributes) {
        let value = pair.value.as_ref().map(|source| value(source, &mut found.left_out, limits)).unwrap_or_default();
        found.items.push(Attribute { key: Cow::Borrowed(&pair.key), value });
    }
    found.left_out += source.len().saturating_sub(limits.attributes) as u64;
}

fn value<'a>(source: &'a AnyValue, left_out: &mut u64, limits: Limits) -> Value<'a> {
    match &source.value {
        Some(Any::StringValue(text)) => Value::Text(Cow::Borrowed(text)),
        Some(Any::BoolValue(value)) => Value::Bool(*value),
        Some(Any::IntValue(number)) => Value::Int(*number),
        Some(Any::DoubleValue(number)) => Value::Real(*number),
        Some(Any::BytesValue(bytes)) => Value::Text(Cow::Owned(text::to_base64(bytes))),
        Some(nested @ (Any::ArrayValue(_) | Any::KvlistValue(_))) => {
            let mut out = String::new();
            composite(nested, &mut out, 1, left_out, limits);
            Value::Json(Cow::Owned(out))
        }
        // Nothing, or an index into a table that only profiles have.
        _ => Value::Empty,
    }
}

fn composite(source: &Any, out: &mut String, depth: usize, left_out: &mut u64, limits: Limits) {
    if depth > limits.depth {
        *left_out += 1;
        out.push_str("null");
        return;
    }
    let element = |source: Option<&AnyValue>, out: &mut String, left_out: &mut u64| match source {
        Some(AnyValue { value: Some(nested @ (Any::ArrayValue(_) | Any::KvlistValue(_))) }) => {
            composite(nested, out, depth + 1, left_out, limits);
        }
        Some(plain) => value(plain, left_out, limits).write(out),
        None => out.push_str("null"),
    };
    let mut entries = 0;
    let mut room = |out: &String, left_out: &mut u64| {
        let room = entries < limits.entries && out.len() < limits.bytes;
        entries += 1;
        *left_out += u64::from(!room);
        room
    };
    if let Any::ArrayValue(list) = source {
        out.push('[');
        for (at, item) in list.values.iter().enumerate() {
            if room(out, left_out) {
                out.push_str(if at > 0 { "," } else { "" });
                element(Some(item), out, left_out);
            }
        }
        out.push(']');
    } else if let Any::KvlistValue(map) = source {
        let mut seen = Seen::default();
        out.push('{');
        for pair in &map.values {
            if !seen.insert(&pair.key) {
                *left_out += 1;
            } else if room(out, left_out) {
                out.push_str(if out.ends_with('{') { "" } else { "," });
                text::string(out, &pair.key);
                out.push(':');
                element(pair.value.as_ref(), out, left_out);
            }
        }
        out.push('}');
    }
}
