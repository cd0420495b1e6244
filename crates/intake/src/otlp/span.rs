//! From a span to an event.

use std::borrow::Cow;

use uplift_model::Time;
use uplift_model::entity::{EntityName, EntityType};
use uplift_model::event::{Clock, EntityRef, Event, EventKind, Outcome, Source};
use uplift_model::span::{SpanLink, SpanRole};

use super::amounts::{cost, tokens};
use super::collect::Mapping;
use super::exposure::Claims;
use super::keys::Field;
use super::names::name;
use super::offered::offered;
use super::part::{Part, part};
use super::read::{Read, Writer};
use super::text::clip;
use super::view::{CONSUMER, IdFault, KINDS, SERVER, STATUS_ERROR, STATUS_OK, Span, SpanEvent, Value};

/// Longest duration: 366 days.
const MAX_DURATION_NS: u64 = 366 * 86_400 * 1_000_000_000;
/// Longest id of a conversation and longest kind of error, bytes.
const MAX_ID_BYTES: usize = 512;
const NANOS_PER_MICRO: u64 = 1_000;
const NANOS_PER_MILLI: f64 = 1e6;

/// Something a sender should know of a span that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remark {
    EndsBeforeStart,
    TooLong,
    BadExposure,
}

impl Remark {
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::EndsBeforeStart => "ends before it starts: taken without a duration; check the sender's clock",
            Self::TooLong => "lasts longer than 366 days: taken without a duration; check the sender's clock",
            Self::BadExposure => {
                "has uplift.* attributes that claim no arm of a trial: send uplift.trial, uplift.arm (control or \
                 candidate) and uplift.revision as resolve answered"
            }
        }
    }
}

/// Maps a span.
///
/// # Errors
/// In words, when it cannot be taken.
pub(super) fn map(span: &Span<'_>, with: &mut Mapping<'_, '_>) -> Result<Event, Cow<'static, str>> {
    let id = |what: &str, fault: IdFault| Cow::Owned(format!("its {what} id {}", fault.words()));
    let trace_id = span.trace_id.hex::<16>().map_err(|fault| id("trace", fault))?;
    let span_id = span.id.hex::<8>().map_err(|fault| id("span", fault))?;
    let parent = span.parent_id.optional_hex::<8>().map_err(|fault| id("parent span", fault))?;
    if parent.as_ref() == Some(&span_id) {
        return Err("it is its own parent".into());
    }
    let (ts, duration_ms) = times(span, with)?;
    let mut read = Read::new(&span.attributes.items, with.marks);
    let part = part(span, &read);
    let (role, kind) = kind(part, span);
    let named = agent(part, span, &mut read);
    let tool = (part == Part::Tool).then(|| tool(span, &mut read)).flatten();
    let session_id = id_of(&mut read, Field::Session);
    let tokens = tokens(&mut read);
    let cost_usd = cost(&mut read, tokens, part == Part::Llm, with.prices);
    let (outcome, error_type) = ending(span, &mut read);
    let claims = Claims::of(&mut read, &span.events);
    if claims.broken {
        with.remarks.push(Remark::BadExposure);
    }
    let whole = role == SpanRole::Agent || parent.is_none() || matches!(span.kind, SERVER | CONSUMER);
    with.writer.begin(if whole { &with.origin.whole } else { &with.origin.brief }, with.most_bytes);
    extra(part, span, &mut read, with.writer);
    let failed = outcome == Some(Outcome::Error) || error_type.is_some();
    let content = content(part, span, &mut read, failed).map(|text| clip(&text, with.most_bytes).to_owned());
    read.write(with.writer);
    about(span, [error_type.as_deref(), content.as_deref()], with.writer);
    let entity = named.as_ref().map_or(with.origin.service.as_str(), |name| name.as_ref());
    Ok(Event {
        ts,
        clock: Clock::Own,
        kind,
        environment: with.origin.environment.clone(),
        entity: EntityRef::Name(EntityName {
            environment: with.origin.environment.clone(),
            entity_type: EntityType::Agent,
            name: entity.to_owned(),
        }),
        task_id: (role != SpanRole::Work).then(|| span_id.clone()),
        parent_task_id: None,
        session_id,
        trace_id: Some(trace_id),
        span_id: None,
        tool,
        outcome,
        duration_ms,
        tokens_in: tokens.read,
        tokens_out: tokens.written,
        tokens_cached: tokens.cached,
        cost_usd,
        error_type,
        content,
        attributes: with.writer.finish(),
        exposures: claims.exposures,
        source: Source::Environment,
        link: Some(SpanLink { parent, role, names_entity: named.is_some() }),
        id: span_id,
    })
}

const fn kind(part: Part, span: &Span<'_>) -> (SpanRole, EventKind) {
    let ending = if span.status == STATUS_ERROR { EventKind::TaskFailed } else { EventKind::TaskCompleted };
    match part {
        Part::Agent => (SpanRole::Agent, ending),
        Part::Plain => (SpanRole::Plain, ending),
        Part::Llm => (SpanRole::Work, EventKind::LlmCall),
        Part::Tool => (SpanRole::Work, EventKind::ToolExecuted),
        Part::Retrieval => (SpanRole::Work, EventKind::ContextRead),
        Part::Handoff => (SpanRole::Work, EventKind::Handoff),
        Part::Feedback => (SpanRole::Work, EventKind::Feedback),
        Part::Alarm => (SpanRole::Work, EventKind::Error),
    }
}

/// When it ended, and how long it took, milliseconds.
fn times(span: &Span<'_>, with: &mut Mapping<'_, '_>) -> Result<(Time, Option<f64>), Cow<'static, str>> {
    let end = if span.end_ns == 0 { span.start_ns } else { span.end_ns };
    let ts = with.clock.check(end)?;
    if span.start_ns == 0 || span.end_ns == 0 {
        return Ok((ts, None));
    }
    match span.end_ns.checked_sub(span.start_ns) {
        Some(nanos) if nanos <= MAX_DURATION_NS => Ok((ts, Some(nanos as f64 / NANOS_PER_MILLI))),
        lasted => {
            with.remarks.push(if lasted.is_some() { Remark::TooLong } else { Remark::EndsBeforeStart });
            Ok((ts, None))
        }
    }
}

/// What counts as a time of a span or record.
#[derive(Debug, Clone, Copy)]
pub(super) struct SpanClock {
    pub(super) received_at: Time,
    pub(super) max_ahead_ms: i64,
}

impl SpanClock {
    /// The time of so many nanoseconds since 1970.
    pub(super) fn check(self, nanos: u64) -> Result<Time, Cow<'static, str>> {
        if nanos == 0 {
            return Err("it has no time".into());
        }
        // Beyond the years that nanoseconds can count, this is far ahead anyway.
        let time = Time::from_micros(i64::try_from(nanos / NANOS_PER_MICRO).unwrap_or(i64::MAX));
        if time < Time::EARLIEST {
            return Err("its time is before the year 2000: OTLP counts nanoseconds".into());
        }
        if time > self.received_at.plus_micros(self.max_ahead_ms.saturating_mul(1_000)) {
            return Err("its time is too far ahead (intake.max_ahead_ms): check the sender's clock".into());
        }
        Ok(time)
    }
}

/// The agent that the span names. An attribute that was only put into form stays as it was.
fn agent<'s>(part: Part, span: &'s Span<'_>, read: &mut Read<'s, '_>) -> Option<Cow<'s, str>> {
    // An agent's id on a call is no name: its agent's own span may name it.
    const ID: u8 = 4;
    let field = match part {
        Part::Plain => return None,
        Part::Handoff if read.text(Field::HandoffFrom).is_some() => Field::HandoffFrom,
        Part::Agent if !read.has(Field::Agent) && read.text(Field::Traceloop) == Some("agent") => Field::EntityName,
        Part::Agent => Field::Agent,
        _ if read.has(Field::Agent) && read.rank(Field::Agent) >= ID => return None,
        _ => Field::Agent,
    };
    if let Some(found) = read.text(field).and_then(name) {
        if read.text(field) == Some(found.as_ref()) {
            read.take(field);
            read.take_if_same(Field::Agent, field);
        }
        return Some(found);
    }
    let by_span = span.name.strip_prefix("invoke_agent ").or_else(|| span.name.strip_suffix(".agent"));
    match part {
        Part::Agent if by_span.is_some() => by_span.and_then(name),
        Part::Agent if read.has(Field::Inference) || read.has(Field::Langfuse) => name(&span.name),
        _ => None,
    }
}

fn tool(span: &Span<'_>, read: &mut Read<'_, '_>) -> Option<String> {
    let fields = [Field::Tool, Field::EntityName];
    if let Some((field, text)) = fields.into_iter().find_map(|field| Some((field, read.text(field)?))) {
        let found = name(text)?;
        if found == text {
            read.take(field);
            read.take_if_same(Field::EntityName, field);
        }
        return Some(found.into_owned());
    }
    let by_span = span.name.strip_prefix("execute_tool ").unwrap_or(&span.name);
    name(by_span.strip_suffix(".tool").unwrap_or(by_span)).map(Cow::into_owned)
}

/// A short text that others refer to.
pub(super) fn id_of(read: &mut Read<'_, '_>, field: Field) -> Option<String> {
    let text = read.text(field)?;
    if text.len() > MAX_ID_BYTES || text.chars().any(char::is_control) {
        return None;
    }
    read.take(field);
    Some(text.to_owned())
}

fn exceptions<'s, 'a>(span: &'s Span<'a>) -> impl DoubleEndedIterator<Item = &'s SpanEvent<'a>> {
    span.events.iter().filter(|event| event.name == "exception")
}

/// The outcome, and the kind of error. An exception on a span that did not fail is one it recovered from.
fn ending(span: &Span<'_>, read: &mut Read<'_, '_>) -> (Option<Outcome>, Option<String>) {
    let thrown = exceptions(span).next_back().and_then(|event| event.attributes.get("exception.type")?.text());
    let own = read.text(Field::ErrorType).filter(|kind| kind.len() <= MAX_ID_BYTES && !kind.contains('\0'));
    if own.is_some() {
        read.take(Field::ErrorType);
    }
    let error_type = own.or(thrown).map(|kind| clip(kind.trim(), MAX_ID_BYTES).replace('\0', ""));
    let said = read.text(Field::TaskStatus);
    let broke = own.is_some() || matches!(said, Some("failure" | "error"));
    let outcome = if span.status == STATUS_ERROR || span.status != STATUS_OK && broke {
        Some(Outcome::Error)
    } else if span.status == STATUS_OK || said == Some("success") {
        Some(Outcome::Success)
    } else {
        None
    };
    (outcome, error_type.filter(|kind| !kind.is_empty()))
}

/// The text of the event: of the error where there is one, else what came out.
fn content<'s>(part: Part, span: &'s Span<'_>, read: &mut Read<'s, '_>, failed: bool) -> Option<Cow<'s, str>> {
    if failed {
        let thrown = exceptions(span).next_back().and_then(|event| event.attributes.get("exception.message")?.text());
        let own = || Some(span.message.trim()).filter(|message| !message.is_empty());
        if let Some(message) = thrown.or_else(own) {
            return Some(Cow::Borrowed(message));
        }
        if let Some(message) = read.text(Field::ErrorMessage) {
            read.take(Field::ErrorMessage);
            return Some(Cow::Borrowed(message));
        }
    }
    let fields: &[Field] = match part {
        Part::Tool => &[Field::ToolResult, Field::Output],
        Part::Feedback => &[Field::EvaluationReason],
        Part::Handoff => return Some(handoff(span, read)),
        _ => &[Field::Answer, Field::Output],
    };
    let found = fields.iter().find_map(|field| Some((*field, read.value(*field)?.said()?)));
    if let Some((field, text)) = found {
        read.take(field);
        read.take_if_same(Field::Output, field);
        return Some(text);
    }
    span.events.iter().filter(|event| event.name.starts_with("gen_ai.")).find_map(|event| {
        let keys = ["gen_ai.output.messages", "gen_ai.completion"];
        keys.iter().find_map(|key| event.attributes.get(key)?.said())
    })
}

fn handoff<'s>(span: &'s Span<'_>, read: &Read<'s, '_>) -> Cow<'s, str> {
    match read.text(Field::HandoffTo) {
        Some(to) => Cow::Owned(format!("to {to}")),
        None => Cow::Borrowed(span.name.as_ref()),
    }
}

/// Attributes under the names by which the rest of Uplift knows them.
fn extra(part: Part, span: &Span<'_>, read: &mut Read<'_, '_>, writer: &mut Writer) {
    match part {
        Part::Agent | Part::Llm => {
            if let Some(names) = offered(read) {
                writer.put("tools", &Value::Json(names.into()));
            }
        }
        Part::Tool => {
            let field = if read.has(Field::Arguments) { Field::Arguments } else { Field::Input };
            if let Some(arguments) = read.value(field) {
                writer.put("gen_ai.tool.call.arguments", arguments);
                read.take(field);
                read.take_if_same(Field::Input, field);
            }
            read.take_if_same(Field::Output, Field::ToolResult);
        }
        Part::Retrieval => {
            let fields = [Field::DataSource, Field::EntityName, Field::Tool];
            let source = fields.into_iter().find_map(|field| read.text(field)).unwrap_or(&span.name);
            if let Some(context) = name(source.strip_prefix("retrieval ").unwrap_or(source)) {
                writer.put_text("context", &context);
            }
        }
        Part::Feedback => score(read, writer),
        _ => {}
    }
}

/// What was judged, and how, as FEEDBACK events say it.
pub(super) fn score(read: &mut Read<'_, '_>, writer: &mut Writer) {
    if let Some(what) = read.text(Field::EvaluationName) {
        writer.put_text("name", what);
        read.take(Field::EvaluationName);
    }
    if let Some(score) = read.value(Field::EvaluationScore) {
        match score.number() {
            Some(number) => writer.put("score", &Value::Real(number)),
            None => writer.put("score", score),
        }
        read.take(Field::EvaluationScore);
        return;
    }
    let score = match read.text(Field::EvaluationLabel).map(str::to_ascii_lowercase).as_deref() {
        Some("pass" | "passed" | "true" | "yes") => true,
        Some("fail" | "failed" | "false" | "no") => false,
        _ => return,
    };
    writer.put("score", &Value::Bool(score));
}

/// What a span says beside its attributes, apart from what the event holds itself.
fn about(span: &Span<'_>, held: [Option<&str>; 2], writer: &mut Writer) {
    writer.put_text("otel.name", &span.name);
    if let Some(kind) = KINDS.get(usize::try_from(span.kind).unwrap_or(usize::MAX)).filter(|_| span.kind > 1) {
        writer.put_text("otel.kind", kind);
    }
    writer.put_text("otel.trace_state", &span.trace_state);
    if !held.contains(&Some(span.message.trim())) {
        writer.put_text("otel.status_message", &span.message);
    }
    if span.dropped > 0 {
        writer.put("otel.dropped", &Value::Int(i64::try_from(span.dropped).unwrap_or(i64::MAX)));
    }
    if let Some(last) = exceptions(span).next_back() {
        for attribute in &last.attributes.items {
            let named = matches!(attribute.key.as_ref(), "exception.type" | "exception.message");
            if !(named && held.contains(&attribute.value.text())) {
                writer.put(&attribute.key, &attribute.value);
            }
        }
    }
    super::trail::events(span, writer);
    super::trail::links(span, writer);
}
