//! What single events become, and why some are refused.

mod common;

use common::{DEFAULTS, NOW, decode, events};
use uplift_intake::{DecodeContext, Decoder, Item, Place, RejectionCode, decode_one};
use uplift_model::Time;
use uplift_model::entity::{EntityKey, EntityType};
use uplift_model::event::{Clock, EntityRef, Event, Outcome, Source};

/// A minimal event with `fields` added.
fn with(fields: &str) -> String {
    format!(r#"{{"id":"1","event_type":"ERROR","agent":"a"{fields}}}"#)
}

fn one(text: &str) -> Event {
    decode_one(text, Place::Line(1), &DEFAULTS, NOW).unwrap_or_else(|rejection| panic!("{text}: {rejection}"))
}

#[test]
fn every_field_arrives() {
    let event =
        one(r#"{"id":"e1","ts":"2026-01-31T12:00:00.5+02:00","event_type":"TASK_COMPLETED","entity_type":"process",
        "entity":"nightly","environment":"staging","tool":"t","task_id":"k","parent_task_id":"p","session_id":"s",
        "trace_id":"r","span_id":"n","outcome":"FAILURE","duration_ms":1.5,"tokens_in":10,"tokens_out":2.0,
        "tokens_cached":0,"cost_usd":1e-3,"error_type":"Timeout","content":"a\u00e9\n","attributes":{"x":1},
        "exposures":[{"trial":3,"arm":"candidate","revision":"abc"}],"source":"human"}"#);
    assert_eq!(event.ts.to_string(), "2026-01-31T10:00:00.5Z");
    assert_eq!((event.clock, event.outcome, event.source), (Clock::Own, Some(Outcome::Failure), Source::Human));
    assert_eq!(event.environment, "staging");
    let EntityRef::Name(name) = &event.entity else { panic!("{event:?}") };
    assert_eq!(
        (name.environment.as_str(), name.entity_type, name.name.as_str()),
        ("staging", EntityType::Process, "nightly")
    );
    assert_eq!((event.tokens_in, event.tokens_out, event.tokens_cached), (Some(10), Some(2), Some(0)));
    assert_eq!((event.duration_ms, event.cost_usd), (Some(1.5), Some(0.001)));
    assert_eq!(event.content.as_deref(), Some("aé\n"));
    assert_eq!(event.attributes.as_deref(), Some(r#"{"x":1}"#));
    assert_eq!(event.exposures.len(), 1);
    let ids =
        [&event.task_id, &event.parent_task_id, &event.session_id, &event.trace_id, &event.span_id, &event.tool];
    assert_eq!(ids.map(|id| id.as_deref().unwrap()), ["k", "p", "s", "r", "n", "t"]);
}

#[test]
fn nulls_are_as_good_as_nothing() {
    let nulls = [
        "ts",
        "environment",
        "tool",
        "task_id",
        "outcome",
        "duration_ms",
        "tokens_in",
        "cost_usd",
        "error_type",
        "content",
        "attributes",
        "exposures",
        "source",
        "entity",
        "entity_type",
    ]
    .map(|name| format!(r#","{name}":null"#))
    .concat();
    assert_eq!(one(&with(&nulls)), one(&with("")));
}

#[test]
fn other_json_in_content_is_kept_as_its_text() {
    for (sent, kept) in [("{\"a\": [1]}", "{\"a\": [1]}"), ("12", "12"), ("\"x\\\\y\"", "x\\y"), ("\"\"", "")] {
        assert_eq!(one(&with(&format!(",\"content\":{sent}"))).content.as_deref(), Some(kept));
    }
}

#[test]
fn an_entity_can_be_named_by_its_id() {
    let event = one(r#"{"id":"1","event_type":"ERROR","entity_type":"tool","entity":7}"#);
    assert_eq!(event.entity, EntityRef::Key(EntityKey::new(EntityType::Tool, 7)));
}

#[test]
fn unknown_fields_are_kept_and_warned_of_once_a_name() {
    let mut decoder = Decoder::new(&DEFAULTS, NOW);
    let mut items = Vec::new();
    let text = [with(r#","model":"m","attributes":{"model":1}"#), with(r#","model":2"#)].join("\n");
    decoder.push(text.as_bytes(), &mut items);
    decoder.finish(&mut items);
    let kept: Vec<_> = events(items).into_iter().map(|event| event.attributes.unwrap()).collect();
    assert_eq!(kept, [r#"{"model":1,"field.model":"m"}"#, r#"{"model":2}"#]);
    let warnings = decoder.warnings();
    assert_eq!((warnings.len(), warnings[0].field.as_str(), warnings[0].count), (1, "model", 2));
}

#[test]
fn many_unknown_names_do_not_fill_the_memory() {
    let mut decoder = Decoder::new(&DEFAULTS, NOW);
    let mut items = Vec::new();
    for number in 0..1_000 {
        decoder.push(with(&format!(r#","f{number}":1"#)).as_bytes(), &mut items);
        decoder.push(b"\n", &mut items);
    }
    let warnings = decoder.warnings();
    assert_eq!(warnings.len(), 51);
    assert_eq!(warnings.iter().map(|warning| warning.count).sum::<u64>(), 1_000);
}

#[test]
fn an_event_without_a_clock_takes_the_time_of_its_task_then_the_one_given_then_its_arrival() {
    let line = |id: &str, ts: &str, task: &str| {
        format!(r#"{{"id":"{id}","event_type":"ERROR","agent":"a","task_id":"{task}"{ts}}}"#)
    };
    let own = r#","ts":"2026-01-31T11:00:00Z""#;
    let lines = [
        line("1", "", "t"),
        line("2", own, "t"),
        line("3", r#","ts":null"#, "t"),
        line("4", "", "u"),
        line("5", r#","ts":1769857200000.5"#, "u"),
        // Refused, so its time counts for nothing.
        line("6", r#","ts":"2026-01-31T11:30:00Z","tokens_in":-1"#, "t"),
        line("7", "", "t"),
    ]
    .join("\n");
    let given: Time = "2026-01-01T00:00:00Z".parse().unwrap();
    for (at, fallback) in [(None, NOW.received_at), (Some(given), given)] {
        let mut decoder = Decoder::new(&DEFAULTS, DecodeContext { at, ..NOW });
        let mut items = Vec::new();
        decoder.push(lines.as_bytes(), &mut items);
        decoder.finish(&mut items);
        let times: Vec<_> = events(items).into_iter().map(|event| (event.id, event.clock, event.ts)).collect();
        let own: Time = "2026-01-31T11:00:00Z".parse().unwrap();
        let expected = [
            ("1", Clock::Received, fallback),
            ("2", Clock::Own, own),
            ("3", Clock::Inherited, own),
            ("4", Clock::Received, fallback),
            ("5", Clock::Own, own.plus_micros(500)),
            ("7", Clock::Inherited, own),
        ];
        assert_eq!(times, expected.map(|(id, clock, time)| (id.to_owned(), clock, time)));
    }
}

#[test]
fn a_completed_task_may_have_failed() {
    let event = one(r#"{"id":"1","event_type":"TASK_COMPLETED","agent":"a","outcome":"FAILURE"}"#);
    assert_eq!(event.task_outcome(), Some(Outcome::Failure));
}

/// What is added to a minimal event, the code, and what the detail says.
fn refused() -> Vec<(String, RejectionCode, &'static str)> {
    use RejectionCode as C;
    let long = |field: &str, bytes: usize| format!(",\"{field}\":\"{}\"", "x".repeat(bytes));
    let owned = |rows: &[(&str, RejectionCode, &'static str)]| {
        rows.iter().map(|(text, code, says)| ((*text).to_owned(), *code, *says)).collect::<Vec<_>>()
    };
    let mut rows = owned(&[
        (r#","task_id":"""#, C::EmptyValue, "leave the field out"),
        (r#","task_id":7"#, C::WrongType, "write \"7\""),
        (r#","trace_id":"a\u0000b""#, C::InvalidName, "control characters"),
        (r#","tool":"a\u0000b""#, C::InvalidName, "control characters"),
        (r#","environment":"""#, C::InvalidName, "must not be empty"),
        (r#","outcome":"success""#, C::UnknownValue, "SUCCESS, FAILURE, ERROR"),
        (r#","outcome":true"#, C::WrongType, "not a boolean"),
        (r#","source":"robot""#, C::UnknownValue, "self, environment, human"),
        (r#","duration_ms":-1"#, C::NumberOutOfRange, "from 0 to 366 days"),
        (r#","duration_ms":31622400001"#, C::NumberOutOfRange, "check its unit"),
        (r#","duration_ms":1e999"#, C::NumberOutOfRange, "too large"),
        (r#","duration_ms":"12""#, C::WrongType, "without quotation marks"),
        (r#","duration_ms":NaN"#, C::MalformedJson, "NaN and Infinity are not JSON"),
        (r#","tokens_in":-1"#, C::NumberOutOfRange, "whole number"),
        (r#","tokens_out":1.5"#, C::NumberOutOfRange, "whole number"),
        (r#","tokens_cached":1000000000001"#, C::NumberOutOfRange, "10^9"),
        (r#","tokens_in":18446744073709551615"#, C::NumberOutOfRange, "10^9"),
        (r#","cost_usd":-0.01"#, C::NumberOutOfRange, "US dollars"),
        (r#","cost_usd":1000001"#, C::NumberOutOfRange, "US dollars"),
        (r#","ts":"2026-01-31T12:00:00""#, C::InvalidTime, "with an offset"),
        (r#","ts":"1769860800000""#, C::InvalidTime, "as a number"),
        (r#","ts":1769860800"#, C::TimeTooEarly, "looks like seconds"),
        (r#","ts":"1999-12-31T23:59:59Z""#, C::TimeTooEarly, "sender's clock"),
        (r#","ts":1769860800000000"#, C::TimeInFuture, "micro"),
        (r#","ts":"2026-01-31T13:00:01Z""#, C::TimeInFuture, "right offset"),
        (r#","ts":true"#, C::WrongType, "RFC 3339"),
        (r#","attributes":[1]"#, C::WrongType, "must be an object"),
        (r#","attributes":{"a":1,"a":1}"#, C::DuplicateKey, "`a` twice"),
        (r#","tool":"x","tool":"x""#, C::DuplicateKey, "`tool`"),
        (r#","content":"x","content":"x""#, C::DuplicateKey, "`content`"),
        (r#","new":1,"new":1"#, C::DuplicateKey, "`new`"),
        (r#","content":"\ud800""#, C::MalformedJson, "in `content`"),
        (r#","exposures":{}"#, C::WrongType, "as resolve answered"),
        (r#","exposures":[{"trial":1,"arm":"both","revision":"r"}]"#, C::WrongType, "not an arm"),
        (r#","entity":"b""#, C::ConflictingFields, "one or the other"),
    ]);
    rows.extend([
        (long("task_id", 513), C::ValueTooLong, "at most 512"),
        (long("error_type", 513), C::ValueTooLong, "in `content`"),
        (long("tool", 201), C::InvalidName, "at most 200 bytes"),
    ]);
    rows
}

#[test]
fn refusals_name_the_field_and_the_remedy() {
    for (fields, code, says) in refused() {
        let text = with(&fields);
        let rejection = decode_one(&text, Place::Line(1), &DEFAULTS, NOW).expect_err(&text);
        assert_eq!(rejection.code, code, "{text}: {rejection}");
        assert!(rejection.detail.contains(says), "{text}: {rejection}");
        assert_eq!(rejection.id.as_deref(), Some("1"), "{text}: {rejection}");
    }
}

#[test]
fn refusals_of_what_every_event_needs() {
    use RejectionCode as C;
    let long_id = format!(r#"{{"id":"{}","event_type":"ERROR","agent":"a"}}"#, "i".repeat(129));
    let table = [
        (r#"{"event_type":"ERROR","agent":"a"}"#, C::MissingField, "`id` is missing"),
        (r#"{"id":null,"event_type":"ERROR","agent":"a"}"#, C::MissingField, "`id` is missing"),
        (r#"{"id":"","event_type":"ERROR","agent":"a"}"#, C::EmptyValue, "`id` is empty"),
        (r#"{"id":5,"event_type":"ERROR","agent":"a"}"#, C::WrongType, "write \"5\""),
        (&long_id, C::ValueTooLong, "at most 128"),
        (r#"{"id":"1","agent":"a"}"#, C::MissingField, "`event_type` is missing"),
        (r#"{"id":"1","event_type":"ERROR"}"#, C::MissingField, "`agent` is missing"),
        (r#"{"id":"1","event_type":"ERROR","entity":"x"}"#, C::MissingField, "`entity_type` is missing"),
        (r#"{"id":"1","event_type":"ERROR","entity_type":"tool"}"#, C::MissingField, "`entity` is missing"),
        (r#"{"id":"1","event_type":"ERROR","entity_type":"robot","entity":"x"}"#, C::UnknownValue, "agent, tool"),
        (r#"{"id":"1","event_type":"ERROR","agent":"42"}"#, C::InvalidName, "as a number"),
        (r#"{"id":"1","event_type":"ERROR","agent":0}"#, C::NumberOutOfRange, "from 1"),
        (r#"{"id":"1","event_type":"tool-executed","agent":"a"}"#, C::UnknownEventType, "did you mean TOOL_EXECUTED"),
        (
            r#"{"id":"1","event_type":"IMPROVEMENT_DEPLOYED","agent":"a"}"#,
            C::ReservedEventType,
            "request_improvement",
        ),
        (r#"{"id":"1","event_type":"IMPROVEMENT_X","agent":"a"}"#, C::ReservedEventType, "Uplift itself"),
        ("[]", C::NotAnObject, "JSON object"),
        ("\"x\"", C::NotAnObject, "JSON object"),
        ("{\"id\":\"1\"", C::Truncated, "write each event whole"),
        ("{\"id\":\"1\"} {}", C::MalformedJson, "one event on each line"),
        ("{'id':1}", C::MalformedJson, "byte 1"),
    ];
    for (text, code, says) in table {
        let rejection = decode_one(text, Place::InboxRow(3), &DEFAULTS, NOW).expect_err(text);
        assert_eq!(rejection.code, code, "{text}: {rejection}");
        assert!(rejection.detail.contains(says), "{text}: {rejection}");
        assert!(rejection.to_string().starts_with("inbox row 3: "));
    }
}

#[test]
fn wrong_encodings_are_recognised() {
    let utf16: Vec<u8> =
        [0xFF, 0xFE].into_iter().chain("{\"id\"".encode_utf16().flat_map(u16::to_le_bytes)).collect();
    for (bytes, says) in [(utf16.as_slice(), "UTF-16"), (&[0x1F, 0x8B, 8, 0], "Content-Encoding: gzip")] {
        let items = decode(bytes);
        let Item::Rejection(rejection) = &items[0] else { panic!("{items:?}") };
        assert_eq!(rejection.code, RejectionCode::InvalidEncoding);
        assert!(rejection.detail.contains(says), "{rejection}");
    }
}
