//! From a log record to an event, where it is one that agents are judged by.

use std::borrow::Cow;

use uplift_model::entity::{EntityName, EntityType};
use uplift_model::event::{Clock, EntityRef, Event, EventKind, Outcome, Source};
use uplift_model::span::{SpanLink, SpanRole};

use super::amounts::{cost, tokens};
use super::collect::Mapping;
use super::exposure::Claims;
use super::keys::Field;
use super::names::name;
use super::price::Tokens;
use super::read::{Read, Writer};
use super::span::{id_of, score};
use super::text::clip;
use super::view::{Record, Value};

/// From here on a record tells of an error.
const SEVERITY_ERROR: i32 = 17;
/// A judgement of something a model or an agent did.
const EVALUATION: &str = "gen_ai.evaluation.result";
/// A call of a model, with all its details.
const INFERENCE: &str = "gen_ai.client.inference.operation.details";
/// Longest kind of error, bytes.
const MAX_TYPE_BYTES: usize = 512;
/// Bytes of the hash that is the id of a record: it has none of its own.
const ID_BYTES: usize = 16;

/// Maps a record; nothing comes of one that is not wanted.
///
/// # Errors
/// In words, when it cannot be taken.
pub(super) fn map(record: &Record<'_>, with: &mut Mapping<'_, '_>) -> Result<Option<Event>, Cow<'static, str>> {
    let event_name = event_name(record);
    let (trace, span) = (record.trace_id.optional_hex::<16>(), record.span_id.optional_hex::<8>());
    let place = trace.ok().flatten().zip(span.ok().flatten());
    let kind = match event_name {
        EVALUATION => EventKind::Feedback,
        // The span of the call has its numbers; without one the record is all there is.
        INFERENCE if place.is_none() => EventKind::LlmCall,
        _ if record.severity >= SEVERITY_ERROR => EventKind::Error,
        _ => return Ok(None),
    };
    let (ts, clock) = match (record.time_ns, record.observed_ns) {
        (0, 0) => (with.clock.received_at, Clock::Received),
        (0, seen) => (with.clock.check(seen)?, Clock::Own),
        (time, _) => (with.clock.check(time)?, Clock::Own),
    };
    let mut read = Read::new(&record.attributes.items, with.marks);
    let named = read.text(Field::Agent).and_then(name);
    if named.is_some() && read.text(Field::Agent) == named.as_deref() {
        read.take(Field::Agent);
    }
    let session_id = id_of(&mut read, Field::Session);
    let claims = Claims::of(&mut read, &[]);
    let tokens = if kind == EventKind::LlmCall { tokens(&mut read) } else { Tokens::default() };
    let cost_usd = cost(&mut read, tokens, kind == EventKind::LlmCall, with.prices);
    let error_type = error_type(kind, &mut read, event_name);
    with.writer.begin(if place.is_some() { &with.origin.brief } else { &with.origin.whole }, with.most_bytes);
    if kind == EventKind::Feedback {
        score(&mut read, with.writer);
    }
    let content = content(kind, record, &mut read, with.writer).map(|text| clip(&text, with.most_bytes).to_owned());
    read.write(with.writer);
    with.writer.put_text("otel.event_name", &record.event_name);
    with.writer.put_text("otel.severity", &record.severity_text);
    let attributes = with.writer.finish();
    let entity = EntityName {
        environment: with.origin.environment.clone(),
        entity_type: EntityType::Agent,
        name: named.as_deref().unwrap_or(&with.origin.service).to_owned(),
    };
    let id = id(record, place.as_ref(), &[event_name, content.as_deref().unwrap_or_default()], attributes.as_deref());
    let names_entity = named.is_some();
    let (trace_id, parent) = place.unzip();
    let failed = kind != EventKind::Feedback && error_type.is_some();
    Ok(Some(Event {
        id,
        ts,
        clock,
        kind,
        environment: with.origin.environment.clone(),
        entity: EntityRef::Name(entity),
        task_id: None,
        parent_task_id: None,
        session_id,
        link: trace_id.is_some().then_some(SpanLink { parent, role: SpanRole::Work, names_entity }),
        trace_id,
        span_id: None,
        tool: None,
        outcome: failed.then_some(Outcome::Error),
        duration_ms: None,
        tokens_in: tokens.read,
        tokens_out: tokens.written,
        tokens_cached: tokens.cached,
        cost_usd,
        error_type,
        content,
        attributes,
        exposures: claims.exposures,
        source: Source::Environment,
    }))
}

/// Before the field there was an attribute.
fn event_name<'s>(record: &'s Record<'_>) -> &'s str {
    match record.event_name.as_ref() {
        "" => record.attributes.get("event.name").and_then(Value::text).unwrap_or_default(),
        name => name,
    }
}

fn error_type(kind: EventKind, read: &mut Read<'_, '_>, event_name: &str) -> Option<String> {
    // Feedback that could not be given says nothing bad of the one who was judged.
    if kind == EventKind::Feedback {
        return None;
    }
    let own = read.text(Field::ErrorType).map(str::trim).filter(|kind| kind.len() <= MAX_TYPE_BYTES);
    if own.is_some() {
        read.take(Field::ErrorType);
    }
    let by_name = || Some(event_name).filter(|name| kind == EventKind::Error && !name.is_empty());
    own.or_else(by_name).map(|kind| clip(kind, MAX_TYPE_BYTES).replace('\0', ""))
}

/// The text of the event; a body that is not the text stays an attribute.
fn content<'s>(
    kind: EventKind,
    record: &'s Record<'_>,
    read: &mut Read<'s, '_>,
    writer: &mut Writer,
) -> Option<Cow<'s, str>> {
    let field = match kind {
        EventKind::Feedback => Field::EvaluationReason,
        EventKind::LlmCall => Field::Answer,
        _ => Field::ErrorMessage,
    };
    let Some(text) = read.value(field).and_then(Value::said) else { return record.body.said() };
    read.take(field);
    if record.body != Value::Empty {
        writer.put("otel.body", &record.body);
    }
    Some(text)
}

/// The same for the same record, however often it is sent.
fn id(record: &Record<'_>, place: Option<&(String, String)>, texts: &[&str], attributes: Option<&str>) -> String {
    let mut hasher = blake3::Hasher::new();
    let mut put = |text: &str| {
        hasher.update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
    };
    if let Some((trace, span)) = place {
        put(trace);
        put(span);
    }
    texts.iter().chain(&attributes).for_each(|text| put(text));
    // Whoever passes a record on may stamp it anew; its own time stays.
    let time = if record.time_ns == 0 { record.observed_ns } else { record.time_ns };
    hasher.update(&time.to_le_bytes()).update(&record.severity.to_le_bytes());
    let mut out = [0; ID_BYTES];
    hasher.finalize_xof().fill(&mut out);
    super::text::hex(&out)
}
