//! Bodies that are broken, or meant to break something.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use proptest::prelude::*;
use prost::Message;
use serde_json::json;
use uplift_intake::otlp::{Encoding, Signal, decode, logs, traces};
use uplift_model::policy::{IntakePolicy, OtlpPolicy};

use crate::check::check;
use crate::common::{START, Setting, request, span};
use crate::corpus;

fn pair(key: &str, value: Any) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

fn made(attributes: Vec<KeyValue>) -> Span {
    Span {
        trace_id: vec![1; 16],
        span_id: vec![2; 8],
        name: "s".into(),
        start_time_unix_nano: START,
        end_time_unix_nano: START + 1,
        attributes,
        ..Span::default()
    }
}

fn all(spans: Vec<Span>) -> ExportTraceServiceRequest {
    let resource = Some(Resource {
        attributes: vec![pair("service.name", Any::StringValue("shop".into()))],
        ..Resource::default()
    });
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans { resource, scope_spans, ..ResourceSpans::default() }],
    }
}

/// The three ways in say the same.
fn both(setting: &Setting, request: ExportTraceServiceRequest) -> uplift_intake::otlp::Export {
    let bytes = setting.protobuf(Signal::Traces, &request.encode_to_vec()).unwrap();
    check(&bytes, &setting.context());
    assert_eq!(traces(request, &setting.context()), bytes);
    bytes
}

#[test]
fn attributes_lists_and_maps_are_cut_at_their_limits() {
    let setting = Setting {
        policy: OtlpPolicy { max_attributes: 10, max_depth: 3, ..OtlpPolicy::default() },
        ..Setting::default()
    };
    let mut deep = Any::BoolValue(true);
    for level in 0..200 {
        deep = if level % 2 == 0 {
            Any::ArrayValue(ArrayValue { values: vec![AnyValue { value: Some(deep) }] })
        } else {
            Any::KvlistValue(KeyValueList { values: vec![pair("k", deep)] })
        };
    }
    let long = Any::ArrayValue(ArrayValue { values: vec![AnyValue { value: Some(Any::IntValue(7)) }; 1_000] });
    let many: Vec<KeyValue> = (0..100_000).map(|n| pair(&format!("a{n}"), Any::IntValue(n))).collect();
    // The outermost of the 200 is a map.
    let table = [
        (vec![pair("deep", deep)], json!({"k": [{"k": null}]}), "deep"),
        (vec![pair("long", long)], json!([7, 7, 7, 7, 7, 7, 7, 7, 7, 7]), "long"),
        (many, json!(9), "a9"),
    ];
    for (attributes, expected, key) in table {
        let export = both(&setting, all(vec![made(attributes)]));
        assert_eq!((export.events.len(), export.rejected, export.notes.len()), (1, 0, 1), "{key}");
        let kept = crate::common::attributes(export.events[0].attributes.as_deref().unwrap());
        assert_eq!(kept[key], expected);
        assert!(!kept.contains_key("a10"));
    }
}

#[test]
fn what_is_beyond_the_number_of_items_is_refused_and_said() {
    let setting = Setting { policy: OtlpPolicy { max_items: 3, ..OtlpPolicy::default() }, ..Setting::default() };
    let spans = (1..=5).map(|n| Span { span_id: vec![n; 8], ..made(vec![]) }).collect();
    let export = both(&setting, all(spans));
    assert_eq!((export.events.len(), export.rejected), (3, 2));
    assert!(export.notes[0].contains("otlp.max_items"), "{:?}", export.notes);
}

#[test]
fn long_texts_are_cut_and_the_span_stays() {
    let setting =
        Setting { intake: IntakePolicy { max_event_bytes: 4_096, ..IntakePolicy::default() }, ..Setting::default() };
    let long = "é\n".repeat(10_000);
    let attributes = vec![
        pair("gen_ai.operation.name", Any::StringValue("chat".into())),
        pair("gen_ai.input.messages", Any::StringValue(long.clone())),
        pair("gen_ai.output.messages", Any::StringValue(long)),
        pair("small", Any::IntValue(1)),
    ];
    let export = both(&setting, all(vec![made(attributes)]));
    let event = &export.events[0];
    let kept = crate::common::attributes(event.attributes.as_deref().unwrap());
    assert!(kept.contains_key("small") && !kept.contains_key("gen_ai.input.messages"));
    assert!(event.content.as_ref().is_some_and(|text| text.len() > 2_000 && text.len() <= 2_048));
    assert_eq!((export.rejected, export.notes.len()), (0, 1));
}

#[test]
fn one_bad_span_never_refuses_the_others() {
    let zero = "0".repeat(32);
    let bad = |more: serde_json::Value| span("bad", &json!({}), &more);
    let table = [
        (bad(json!({"traceId": zero})), "trace id is all zeros"),
        (bad(json!({"traceId": null})), "trace id is missing"),
        (bad(json!({"traceId": "abcd"})), "trace id has the wrong length"),
        (bad(json!({"spanId": "0000000000000000"})), "span id is all zeros"),
        (bad(json!({"spanId": "not hex at all!!"})), "span id has the wrong length, or is not hex"),
        (bad(json!({"parentSpanId": "beef"})), "parent span id"),
        (bad(json!({"parentSpanId": crate::common::SPAN})), "its own parent"),
        (bad(json!({"startTimeUnixNano": 0, "endTimeUnixNano": "0"})), "no time"),
        (bad(json!({"endTimeUnixNano": START / 1_000_000})), "before the year 2000"),
        (bad(json!({"endTimeUnixNano": u64::MAX})), "intake.max_ahead_ms"),
        (bad(json!({"endTimeUnixNano": "soon"})), "cannot be read"),
        (bad(json!({"attributes": {"a": 1}})), "cannot be read"),
        (json!(7), "cannot be read"),
    ];
    for (bad, reason) in table {
        let good = span("good", &json!({}), &json!({}));
        let export = Setting::default().json(Signal::Traces, &request(&[good.clone(), bad.clone(), good]));
        assert_eq!((export.events.len(), export.rejected), (2, 1), "{bad}");
        assert!(export.notes[0].contains(reason), "{:?} for {bad}", export.notes);
    }
}

#[test]
fn times_that_cannot_be_are_none() {
    let table = [
        (json!({"startTimeUnixNano": (START + 5).to_string(), "endTimeUnixNano": START}), None, 1),
        (json!({"startTimeUnixNano": 0}), None, 0),
        (json!({"endTimeUnixNano": 0}), None, 0),
        (json!({"startTimeUnixNano": 1_000_000_000}), None, 1),
        (json!({"startTimeUnixNano": START}), Some(1_000.0), 0),
        (json!({"startTimeUnixNano": START + 1_000_000_000}), Some(0.0), 0),
    ];
    for (more, expected, notes) in table {
        let export = Setting::default().json(Signal::Traces, &request(&[span("s", &json!({}), &more)]));
        assert_eq!((export.events[0].duration_ms, export.notes.len()), (expected, notes), "{more}");
    }
}

#[test]
fn a_span_that_cannot_be_read_in_protobuf_is_refused_alone_and_a_body_that_ends_early_is_an_error() {
    let good = all(vec![made(vec![])]).encode_to_vec();
    // A span whose id is a number, within groups of the right length.
    let broken = [0x0a, 0x06, 0x12, 0x04, 0x12, 0x02, 0x08, 0x01];
    let together = [good.as_slice(), &broken, &good].concat();
    let export = Setting::default().protobuf(Signal::Traces, &together).unwrap();
    assert_eq!((export.events.len(), export.rejected), (2, 1), "{:?}", export.notes);
    for end in 1..good.len() {
        assert!(Setting::default().protobuf(Signal::Traces, &good[..end]).is_err(), "{end}");
    }
    assert_eq!(Setting::default().protobuf(Signal::Traces, &[]).unwrap().events, []);
}

#[test]
fn errors_say_what_to_do() {
    let setting =
        Setting { policy: OtlpPolicy { max_request_bytes: 1_024, ..OtlpPolicy::default() }, ..Setting::default() };
    let table: [(Encoding, &[u8], &str); 7] = [
        (Encoding::Protobuf, b"{\"resourceSpans\":[]}", "Content-Type: application/json"),
        (Encoding::Protobuf, &[0x1f, 0x8b, 8, 0], "Content-Encoding: gzip"),
        (Encoding::Json, &[0x1f, 0x8b, 8, 0], "Content-Encoding: gzip"),
        (Encoding::Json, &[0x0a, 0xff], "application/x-protobuf"),
        (Encoding::Json, b"{\"resourceSpans\":[", "line 1"),
        (Encoding::Json, b"[]", "object"),
        (Encoding::Json, &[b' '; 2_000], "otlp.max_request_bytes"),
    ];
    for (encoding, body, words) in table {
        let error = decode(Signal::Traces, encoding, body, &setting.context()).unwrap_err();
        assert!(error.detail.contains(words), "{}", error.detail);
    }
}

/// Replaces, inserts, removes, or cuts.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let edit = (any::<prop::sample::Index>(), any::<u8>(), 0..4_u8);
    (any::<prop::sample::Index>(), prop::collection::vec(edit, 1..8)).prop_map(|(which, edits)| {
        let bodies = corpus::all();
        let mut body = bodies[which.index(bodies.len())].1.clone();
        for (at, byte, how) in edits {
            if body.is_empty() {
                break;
            }
            let at = at.index(body.len());
            match how {
                0 => body[at] = byte,
                1 => body.insert(at, byte),
                2 => drop(body.remove(at)),
                _ => body[at] ^= 1 << (byte % 8),
            }
        }
        body
    })
}

fn nothing_breaks(body: &[u8]) {
    let policy = OtlpPolicy { max_items: 4, max_attributes: 6, max_depth: 3, ..OtlpPolicy::default() };
    for setting in [Setting::default(), Setting { policy, ..Setting::default() }] {
        for signal in [Signal::Traces, Signal::Logs] {
            for encoding in [Encoding::Protobuf, Encoding::Json] {
                if let Ok(export) = decode(signal, encoding, body, &setting.context()) {
                    check(&export, &setting.context());
                }
            }
        }
        // What the library can read, we read alike.
        if let Ok(request) = ExportTraceServiceRequest::decode(body) {
            check(&traces(request, &setting.context()), &setting.context());
        }
        if let Ok(request) = ExportLogsServiceRequest::decode(body) {
            check(&logs(request, &setting.context()), &setting.context());
        }
    }
}

proptest! {
    #[test]
    fn random_bytes(body in prop::collection::vec(any::<u8>(), 0..300)) {
        nothing_breaks(&body);
    }

    #[test]
    fn bodies_with_mistakes(body in mutated()) {
        nothing_breaks(&body);
    }
}

#[test]
fn the_corpus_of_the_fuzz_targets() {
    for (name, body) in corpus::all() {
        println!("{name}");
        nothing_breaks(&body);
    }
}
