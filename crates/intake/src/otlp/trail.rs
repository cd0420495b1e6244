//! A span's own events and links, as attributes.

use super::keys::Seen;
use super::read::Writer;
use super::text::{integer, string};
use super::view::{Attributes, Link, Span, Value};

/// Events that stand for pieces of an answer: there are hundreds of them, and they say nothing.
const PIECES: [&str; 2] = ["gen_ai.content.completion.chunk", "llm.content.completion.chunk"];
const NANOS_PER_MICRO: i64 = 1_000;

/// Writes what the span recorded, apart from its last exception, which stands by itself.
pub(super) fn events(span: &Span<'_>, writer: &mut Writer) {
    let last_exception = span.events.iter().rposition(|event| event.name == "exception");
    let told = |(at, event): &(usize, &super::view::SpanEvent<'_>)| {
        Some(*at) != last_exception && !PIECES.contains(&event.name.as_ref())
    };
    let mut out = String::new();
    for (_, event) in span.events.iter().enumerate().filter(told) {
        out.push(if out.is_empty() { '[' } else { ',' });
        out.push_str("{\"name\":");
        string(&mut out, &event.name);
        if event.time_ns > 0 && span.start_ns > 0 {
            out.push_str(",\"after_us\":");
            integer(&mut out, (event.time_ns as i64).wrapping_sub(span.start_ns as i64) / NANOS_PER_MICRO);
        }
        attributes(&mut out, &event.attributes);
        out.push('}');
    }
    put(out, "otel.events", writer);
}

/// Writes the spans it refers to.
pub(super) fn links(span: &Span<'_>, writer: &mut Writer) {
    let mut out = String::new();
    for link in &span.links {
        let Some((trace, span)) = ids(link) else { continue };
        out.push(if out.is_empty() { '[' } else { ',' });
        out.push_str("{\"trace_id\":\"");
        out.push_str(&trace);
        out.push_str("\",\"span_id\":\"");
        out.push_str(&span);
        out.push('"');
        if !link.trace_state.is_empty() {
            out.push_str(",\"trace_state\":");
            string(&mut out, &link.trace_state);
        }
        attributes(&mut out, &link.attributes);
        out.push('}');
    }
    put(out, "otel.links", writer);
}

fn ids(link: &Link<'_>) -> Option<(String, String)> {
    Some((link.trace_id.hex::<16>().ok()?, link.span_id.hex::<8>().ok()?))
}

fn attributes(out: &mut String, attributes: &Attributes<'_>) {
    if attributes.items.is_empty() {
        return;
    }
    let mut seen = Seen::default();
    let mut before = ",\"attributes\":{";
    for attribute in attributes.items.iter().filter(|attribute| seen.insert(&attribute.key)) {
        out.push_str(before);
        before = ",";
        string(out, &attribute.key);
        out.push(':');
        attribute.value.write(out);
    }
    out.push('}');
}

fn put(mut out: String, key: &str, writer: &mut Writer) {
    if !out.is_empty() {
        out.push(']');
        writer.put(key, &Value::Json(out.into()));
    }
}
