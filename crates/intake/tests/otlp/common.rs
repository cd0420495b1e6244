//! What these tests share.

use std::path::PathBuf;

use uplift_intake::otlp::{Encoding, Export, OtlpContext, OtlpError, Signal, decode};
use uplift_model::Time;
use uplift_model::event::{EntityRef, Event, Outcome};
use uplift_model::policy::{IntakePolicy, ModelPrice, OtlpPolicy};
use uplift_model::span::SpanRole;

/// After the last of the recorded bodies: 2027-01-01.
pub(crate) const LATER: Time = Time::from_micros(1_798_761_600_000_000);

/// What a request is read with.
#[derive(Default)]
pub(crate) struct Setting {
    pub(crate) policy: OtlpPolicy,
    pub(crate) intake: IntakePolicy,
    pub(crate) prices: Vec<ModelPrice>,
}

impl Setting {
    pub(crate) fn context(&self) -> OtlpContext<'_> {
        OtlpContext { received_at: LATER, policy: &self.policy, intake: &self.intake, prices: &self.prices }
    }

    pub(crate) fn json(&self, signal: Signal, body: &str) -> Export {
        decode(signal, Encoding::Json, body.as_bytes(), &self.context()).unwrap()
    }

    pub(crate) fn protobuf(&self, signal: Signal, body: &[u8]) -> Result<Export, OtlpError> {
        decode(signal, Encoding::Protobuf, body, &self.context())
    }
}

/// The folder of recorded bodies, where it is at hand.
pub(crate) fn data(part: &str) -> Option<PathBuf> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data");
    let folder = std::env::var_os("UPLIFT_DATA").map_or_else(|| PathBuf::from(default), PathBuf::from);
    let folder = folder.join("otlp").join(part);
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: no data");
    None
}

pub(crate) fn entity(event: &Event) -> &str {
    match &event.entity {
        EntityRef::Name(name) => &name.name,
        EntityRef::Key(_) => "(key)",
    }
}

/// An event in one line, without texts of the sender's other than names.
pub(crate) fn line(event: &Event) -> String {
    use std::fmt::Write;
    let link = event.link.as_ref();
    let role = match link.map(|link| link.role) {
        Some(SpanRole::Agent) => "agent",
        Some(SpanRole::Work) => "work",
        Some(SpanRole::Plain) => "plain",
        None => "alone",
    };
    let mut out = format!("{} {role} {}", event.id, event.kind.as_str());
    let parent = link.and_then(|link| link.parent.as_deref()).unwrap_or("-");
    let named = if link.is_some_and(|link| link.names_entity) { "" } else { "?" };
    let _ = write!(out, " < {parent} {}{named}", entity(event));
    let mut put = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            let _ = write!(out, " {name}={value}");
        }
    };
    put("tool", event.tool.clone());
    put("outcome", event.outcome.map(Outcome::as_str).map(str::to_owned));
    put("error", event.error_type.clone());
    put("in", event.tokens_in.map(|count| count.to_string()));
    put("out", event.tokens_out.map(|count| count.to_string()));
    put("cached", event.tokens_cached.map(|count| count.to_string()));
    put("cost", event.cost_usd.map(|cost| cost.to_string()));
    put("session", event.session_id.clone());
    put("ms", event.duration_ms.map(|ms| ms.to_string()));
    put("content", event.content.as_ref().map(|text| text.len().to_string()));
    put("attributes", event.attributes.as_deref().map(|text| attributes(text).len().to_string()));
    out
}

/// Attributes as an object; they must be one.
pub(crate) fn attributes(text: &str) -> serde_json::Map<String, serde_json::Value> {
    serde_json::from_str(text).unwrap()
}

/// The events of one resource, in lines.
pub(crate) fn lines(export: &Export) -> String {
    let mut lines: Vec<String> = export.events.iter().map(line).collect();
    if export.rejected > 0 || !export.notes.is_empty() {
        lines.push(format!("rejected {} {:?}", export.rejected, export.notes));
    }
    lines.join("\n")
}

/// The trace and the span of made-up bodies.
pub(crate) const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
pub(crate) const SPAN: &str = "b7ad6b7169203331";
/// When they begin, nanoseconds: 2026-01-31T12:00:00Z.
pub(crate) const START: u64 = 1_769_860_800_000_000_000;

/// Attributes of OTLP from a plain object.
pub(crate) fn otlp_attributes(plain: &serde_json::Value) -> serde_json::Value {
    let pairs = plain.as_object().unwrap().iter();
    pairs.map(|(key, value)| serde_json::json!({"key": key, "value": any(value)})).collect()
}

fn any(value: &serde_json::Value) -> serde_json::Value {
    use serde_json::{Value, json};
    match value {
        Value::String(text) => json!({"stringValue": text}),
        Value::Bool(value) => json!({"boolValue": value}),
        Value::Number(number) if number.is_f64() => json!({"doubleValue": number}),
        Value::Number(number) => json!({"intValue": number.to_string()}),
        Value::Array(items) => json!({"arrayValue": {"values": items.iter().map(any).collect::<Vec<_>>()}}),
        Value::Object(_) => json!({"kvlistValue": {"values": otlp_attributes(value)}}),
        Value::Null => json!({}),
    }
}

/// A span of one second with these attributes, and whatever else is given in OTLP's own form.
pub(crate) fn span(name: &str, attributes: &serde_json::Value, more: &serde_json::Value) -> serde_json::Value {
    let mut span = serde_json::json!({
        "traceId": TRACE, "spanId": SPAN, "parentSpanId": "00f067aa0ba902b7", "name": name, "kind": 1,
        "startTimeUnixNano": START.to_string(), "endTimeUnixNano": (START + 1_000_000_000).to_string(),
        "attributes": otlp_attributes(attributes),
    });
    for (key, value) in more.as_object().unwrap() {
        span[key] = value.clone();
    }
    span
}

/// A request with these spans, of the service `shop`.
pub(crate) fn request(spans: &[serde_json::Value]) -> String {
    let resource = serde_json::json!({"service.name": "shop"});
    serde_json::json!({"resourceSpans": [{
        "resource": {"attributes": otlp_attributes(&resource)},
        "scopeSpans": [{"scope": {"name": "lib"}, "spans": spans}],
    }]})
    .to_string()
}

/// What comes of one span.
pub(crate) fn event(name: &str, attributes: &serde_json::Value, more: &serde_json::Value) -> Event {
    let export = Setting::default().json(Signal::Traces, &request(&[span(name, attributes, more)]));
    assert_eq!((export.rejected, export.events.len()), (0, 1), "{:?}", export.notes);
    export.events.into_iter().next().unwrap()
}
