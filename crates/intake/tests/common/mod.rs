//! What the tests share.
#![allow(dead_code, reason = "each test file uses a part of it")]

use uplift_intake::{DecodeContext, Decoder, Item};
use uplift_model::Time;
use uplift_model::event::Event;
use uplift_model::policy::IntakePolicy;

/// The limits in force.
pub(crate) const DEFAULTS: IntakePolicy = IntakePolicy {
    max_event_bytes: 1 << 20,
    max_body_bytes: 1 << 30,
    max_queued_events: 20_000,
    chunk_events: 1_000,
    max_ahead_ms: 3_600_000,
    max_reported_rejections: 100,
};

/// A stream that arrived on 2026-01-31T12:00:00Z.
pub(crate) const NOW: DecodeContext =
    DecodeContext { received_at: Time::from_micros(1_769_860_800_000_000), at: None };

/// All items of `bytes`, in one chunk.
pub(crate) fn decode(bytes: &[u8]) -> Vec<Item> {
    decode_with(&DEFAULTS, bytes, &[bytes.len().max(1)])
}

/// All items of `bytes`, in chunks of these sizes, again and again.
pub(crate) fn decode_with(limits: &IntakePolicy, mut bytes: &[u8], sizes: &[usize]) -> Vec<Item> {
    let mut decoder = Decoder::new(limits, NOW);
    let mut items = Vec::new();
    for size in sizes.iter().cycle() {
        if bytes.is_empty() {
            break;
        }
        let (chunk, rest) = bytes.split_at((*size).min(bytes.len()));
        decoder.push(chunk, &mut items);
        bytes = rest;
    }
    decoder.finish(&mut items);
    items
}

/// An event of this id with many fields.
pub(crate) fn event_line(id: &str) -> String {
    format!(
        r#"{{"id":"{id}","ts":"2026-01-31T11:00:00Z","event_type":"TOOL_EXECUTED","agent":"rés","tool":"se\"arch","task_id":"t/1:0","outcome":"SUCCESS","duration_ms":12.5,"tokens_in":3,"content":"[\\]}},{{","attributes":{{"k":[1,{{"z":null}}]}}}}"#
    )
}

/// Each item as its place and its id or code.
pub(crate) fn show(items: &[Item]) -> Vec<String> {
    items
        .iter()
        .map(|item| match item {
            Item::Event(decoded) => format!("{} {}", decoded.place, decoded.event.id),
            Item::Rejection(rejection) => format!("{} {}", rejection.place, rejection.code),
        })
        .collect()
}

/// The events among them.
pub(crate) fn events(items: Vec<Item>) -> Vec<Event> {
    items
        .into_iter()
        .filter_map(|item| match item {
            Item::Event(decoded) => Some(decoded.event),
            Item::Rejection(_) => None,
        })
        .collect()
}
