//! Telemetry that is wrong on purpose, over HTTP and gRPC: whatever is sent, the sender is told what came of it, and the
//! next one is served.
#![allow(clippy::unwrap_used, clippy::panic, reason = "all of it is a test: what is unexpected should stop it")]

mod common;

use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{Method, Request};
use common::{Answer, NOW, Server, gzip, protobuf, spans};
use futures::StreamExt;
use prost::Message;
use serde_json::{Value, json};
use tower::ServiceExt;
use uplift_intake::otlp::proto::ExportTraceServiceResponse;
use uplift_model::Policy;
use uplift_model::policy::{IntakePolicy, OtlpPolicy};
use uplift_store::writes::IntakeBatch;
use uplift_store::{SystemReads, Writes};

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";
const GRPC: &str = "application/grpc";
const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
const TRACE: &str = "5b8efff798038103d269b633813fc60c";
/// 2026-01-31T11:00:00Z, nanoseconds.
const START: u64 = 1_769_857_200_000_000_000;

async fn post(server: &Server, media_type: &str, body: impl Into<Body>) -> Answer {
    server.request(Method::POST, "/v1/traces", &[("content-type", media_type)], body.into()).await
}

/// How many were refused, and what was said of the request, which was taken.
fn partial(answer: &Answer) -> (i64, String) {
    assert_eq!(answer.status.as_u16(), 200, "{answer:?}");
    let partial = ExportTraceServiceResponse::decode(answer.bytes.as_slice()).unwrap().partial_success;
    partial.map_or((0, String::new()), |partial| (partial.rejected_spans, partial.error_message))
}

async fn events(server: &Server) -> i64 {
    server.store.task_counts().await.unwrap().events
}

/// Whoever comes next is served: one event, the first time.
async fn assert_serves(server: &Server) {
    let before = events(server).await;
    let mut good = spans(1);
    for span in good["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array_mut().unwrap() {
        span["traceId"] = json!("ffffffffffffffffffffffffffffffff");
    }
    assert_eq!(partial(&post(server, PROTOBUF, protobuf(&good)).await), (0, String::new()));
    assert_eq!(events(server).await, before + 2);
    assert_eq!(server.get("/readyz").await.status.as_u16(), 200);
}

fn text(key: &str, value: &str) -> Value {
    json!({"key": key, "value": {"stringValue": value}})
}

fn span(id: u64, parent: u64, attributes: &[Value]) -> Value {
    let mut span = json!({
        "traceId": TRACE, "spanId": format!("{id:016x}"), "name": format!("span {id}"), "attributes": attributes,
        "startTimeUnixNano": START.to_string(), "endTimeUnixNano": (START + 250_000_000).to_string(),
    });
    if parent > 0 {
        span["parentSpanId"] = json!(format!("{parent:016x}"));
    }
    span
}

fn agent(id: u64, parent: u64, name: &str) -> Value {
    span(id, parent, &[text("gen_ai.operation.name", "invoke_agent"), text("gen_ai.agent.name", name)])
}

fn tool(id: u64, parent: u64) -> Value {
    span(id, parent, &[text("gen_ai.operation.name", "execute_tool"), text("gen_ai.tool.name", "book")])
}

fn all(spans: &[Value]) -> Value {
    let resource = json!({"attributes": [text("service.name", "desk-service")]});
    json!({"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": spans}]}]})
}

/// A field of protobuf with its length.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2];
    prost::encoding::encode_varint(bytes.len() as u64, &mut field);
    field.extend_from_slice(bytes);
    field
}

/// A request of one span, the tool call 1, with more bytes among its fields.
fn with_more(more: &[u8]) -> Vec<u8> {
    let mut sent =
        uplift_intake::otlp::proto::ExportTraceServiceRequest::decode(protobuf(&all(&[tool(1, 0)])).as_slice())
            .unwrap();
    let span = sent.resource_spans.remove(0).scope_spans.remove(0).spans.remove(0);
    let span = [span.encode_to_vec().as_slice(), more].concat();
    field(1, &field(2, &field(2, &span)))
}

async fn lookup(server: &Server, id: u64) -> Value {
    server.get(&format!("/api/events/lookup?trace_key={TRACE}&id={id:016x}")).await.json()
}

#[tokio::test]
async fn a_million_attributes_are_cut_and_the_span_stays() {
    let mut many = Vec::new();
    for number in 0..1_000_000_u32 {
        // An attribute that has a key and no value.
        many.extend(field(9, &field(1, format!("{number:06}").as_bytes())));
    }
    let body = with_more(&many);
    assert!((8_000_000..16 << 20).contains(&body.len()));
    let server = Server::new();
    let (rejected, message) = partial(&post(&server, PROTOBUF, body).await);
    assert!(rejected == 0 && message.contains("otlp.max_attributes"), "{message}");
    let stored = lookup(&server, 1).await;
    let kept = stored["attributes"].as_object().map_or(0, serde_json::Map::len);
    assert!(stored["tool"] == "book" && kept <= OtlpPolicy::default().max_attributes + 10, "{kept}");
    assert_serves(&server).await;
}

#[tokio::test]
async fn values_nested_without_end_are_cut_or_refused() {
    const LEVELS: usize = 100_000;
    // In protobuf every length is around all that is inside it.
    let mut value = Vec::new();
    let mut sizes = vec![0_usize];
    for _ in 0..LEVELS {
        let inner = sizes.last().copied().unwrap_or_default();
        let list = 1 + prost::encoding::encoded_len_varint(inner as u64) + inner;
        sizes.push(1 + prost::encoding::encoded_len_varint(list as u64) + list);
    }
    for size in sizes.iter().rev().skip(1) {
        let list = 1 + prost::encoding::encoded_len_varint(*size as u64) + size;
        value.push(5 << 3 | 2);
        prost::encoding::encode_varint(list as u64, &mut value);
        value.push(1 << 3 | 2);
        prost::encoding::encode_varint(*size as u64, &mut value);
    }
    let deep = field(9, &[field(1, b"deep"), field(2, &value)].concat());
    let server = Server::new();
    let (rejected, message) = partial(&post(&server, PROTOBUF, with_more(&deep)).await);
    assert!(rejected == 0 && message.contains("otlp.max_depth"), "{message}");
    assert_eq!(lookup(&server, 1).await["tool"], "book");
    // The reader of JSON has a limit of its own.
    let value = r#"{"arrayValue":{"values":["#.repeat(LEVELS) + &"]}}".repeat(LEVELS);
    let deep = all(&[tool(2, 0)]).to_string().replace(r#"{"stringValue":"book"}"#, &value);
    let answer = post(&server, JSON, deep).await;
    assert!(matches!(answer.status.as_u16(), 200 | 400), "{answer:?}");
    assert_serves(&server).await;
}

#[tokio::test]
async fn lengths_that_lie_are_refused() {
    let server = Server::new();
    let good = with_more(&[]);
    let table: [Vec<u8>; 6] = [
        // A length of 2^63 and more, one of eleven bytes, one that goes one byte too far, a group, field 0.
        [&[0x0a][..], &[0xff; 8], &[0x7f]].concat(),
        [&[0x0a][..], &[0xff; 9], &[0x01]].concat(),
        [&[0x0a][..], &[0xff; 10], &[0x01]].concat(),
        [&[0x0a, good.len() as u8 + 1][..], &good].concat(),
        vec![0x0b; 100_000],
        vec![0x02, 0x00],
    ];
    for body in table {
        let answer = post(&server, PROTOBUF, body.clone()).await;
        assert_eq!(answer.status.as_u16(), 400, "{:?}: {answer:?}", &body[..2]);
    }
    assert_eq!(events(&server).await, 0);
    assert_serves(&server).await;
}

#[tokio::test]
async fn spans_without_ids_are_counted_and_those_that_end_before_they_start_have_no_duration() {
    let server = Server::new();
    let mut bad: Vec<Value> = (10..16).map(|id| tool(id, 1)).collect();
    bad[0]["traceId"] = json!("");
    bad[1]["traceId"] = json!("0".repeat(32));
    bad[2]["spanId"] = json!("");
    bad[3]["spanId"] = json!("0".repeat(16));
    bad[4]["spanId"] = json!("ab");
    bad[5]["parentSpanId"] = bad[5]["spanId"].clone();
    let mut backwards = agent(1, 0, "desk");
    backwards["endTimeUnixNano"] = json!((START - 1_000_000).to_string());
    let sent = [bad, vec![backwards, tool(2, 1)]].concat();
    let (rejected, message) = partial(&post(&server, PROTOBUF, protobuf(&all(&sent))).await);
    assert_eq!(rejected, 6, "{message}");
    assert!(message.contains("trace id") && message.contains("span id"), "{message}");
    assert_eq!(events(&server).await, 2);
    assert_eq!(
        (lookup(&server, 1).await["duration_ms"].clone(), &lookup(&server, 2).await["duration_ms"]),
        (Value::Null, &json!(250.0))
    );
    let tasks = server.get("/api/tasks").await.json();
    assert_eq!((&tasks["items"][0]["entity_name"], &tasks["items"][0]["events"]), (&json!("desk"), &json!(2)));
    assert_serves(&server).await;
}

#[tokio::test]
async fn parents_in_a_circle_end_somewhere() {
    let server = Server::new();
    let plain = |id, parent| span(id, parent, &[]);
    // Three plain spans in a circle with an agent's and a call below it; two agents that are each other's parent.
    let ring = [plain(1, 2), plain(2, 3), plain(3, 1), agent(4, 2, "desk"), tool(5, 4), tool(6, 3)];
    let pair = [agent(7, 8, "one"), agent(8, 7, "other"), tool(9, 7), tool(10, 8)];
    for piece in ring.chunks(2).chain(pair.chunks(3)) {
        assert_eq!(partial(&post(&server, PROTOBUF, protobuf(&all(piece))).await), (0, String::new()));
    }
    let settle = IntakeBatch {
        events: Vec::new(),
        received_at: NOW,
        inbox: Vec::new(),
        auto_register: true,
        defaults: Policy::default().entity,
        review: Policy::default().review,
        settle_before: Some(NOW.plus_hours(1)),
        stands_for: Vec::new(),
    };
    server.store.commit_intake(settle).await.unwrap();
    let tasks = server.get("/api/tasks").await.json();
    let mut found: Vec<(&str, i64)> = (tasks["items"].as_array().unwrap().iter())
        .map(|task| (task["entity_name"].as_str().unwrap(), task["tool_calls"].as_i64().unwrap()))
        .collect();
    found.sort_unstable();
    // The call in the circle has no agent above it, and is the service's.
    assert_eq!(found, [("desk", 1), ("desk-service", 1), ("one", 1), ("other", 1)], "{tasks}");
    assert_serves(&server).await;
}

#[tokio::test]
async fn a_chain_of_thousands_is_climbed_to_its_agent_whichever_end_comes_first() {
    const DEEP: u64 = 5_000;
    for inner_first in [false, true] {
        let server = Server::new();
        let mut chain = vec![agent(1, 0, "desk")];
        chain.extend((2..DEEP).map(|id| span(id, id - 1, &[])));
        chain.push(tool(DEEP, DEEP - 1));
        if inner_first {
            chain.reverse();
        }
        for piece in chain.chunks(500) {
            assert_eq!(partial(&post(&server, PROTOBUF, protobuf(&all(piece))).await), (0, String::new()));
        }
        let tasks = server.get("/api/tasks").await.json();
        let found = (&tasks["items"][0]["entity_name"], &tasks["items"][0]["tool_calls"]);
        assert_eq!(found, (&json!("desk"), &json!(1)), "{tasks}");
        assert_serves(&server).await;
    }
}

#[tokio::test]
async fn amounts_beyond_measure_are_left_out_of_the_sums() {
    let server = Server::new();
    let amounts = [
        json!({"intValue": i64::MAX.to_string()}),
        json!({"intValue": "-5"}),
        json!({"doubleValue": 1e300}),
        json!({"doubleValue": "NaN"}),
        json!({"doubleValue": "-Infinity"}),
        json!({"stringValue": "many"}),
        json!({"arrayValue": {"values": []}}),
        json!({"intValue": "11"}),
    ];
    let mut sent = vec![agent(1, 0, "desk")];
    for (amount, id) in amounts.iter().zip(2..) {
        let amount = |key: &str| json!({"key": key, "value": amount});
        let keys = ["gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens", "gen_ai.usage.cost"].map(amount);
        let mut call = span(id, 1, &[&[text("gen_ai.operation.name", "chat")][..], &keys].concat());
        call["endTimeUnixNano"] = json!((START + 1_000_000_000).to_string());
        sent.push(call);
    }
    // A call of thirty years.
    sent[2]["startTimeUnixNano"] = json!((START / 2).to_string());
    let answer = post(&server, JSON, all(&sent).to_string()).await;
    assert_eq!(answer.status.as_u16(), 200, "{answer:?}");
    let task = server.get("/api/tasks").await.json()["items"][0].clone();
    let sums = ["llm_calls", "tokens_in", "tokens_out", "cost_usd"].map(|key| task[key].clone());
    assert_eq!(sums, [json!(8), json!(11), json!(11), json!(11.0)], "{task}");
    assert_serves(&server).await;
}

/// These bytes, and then one a second, for ever.
fn trickle(first: &'static [u8]) -> Body {
    let rest = futures::stream::repeat(Bytes::from_static(&[0x0a])).then(|byte| async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        byte
    });
    let bytes = futures::stream::once(std::future::ready(Bytes::from_static(first))).chain(rest);
    Body::from_stream(bytes.map(Ok::<_, std::io::Error>))
}

/// The status that a message over gRPC is answered with, in gRPC's numbers.
async fn grpc_status(router: &Router, headers: &[(&str, &str)], body: Body) -> String {
    let mut request = Request::post(EXPORT).header("host", "localhost:4317").header("content-type", GRPC);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = router.clone().oneshot(request.body(body).unwrap()).await.unwrap();
    assert_eq!(answer.status().as_u16(), 200, "gRPC says in a header what is wrong");
    answer.headers().get("grpc-status").map_or("0", |status| status.to_str().unwrap()).to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_body_that_trickles_for_ever_is_given_up() {
    // A message of 200 bytes that is not compressed.
    const FRAME: &[u8] = &[0, 0, 0, 0, 200];
    let server = Server::new();
    for media_type in [PROTOBUF, JSON] {
        assert_eq!(post(&server, media_type, trickle(b"")).await.status.as_u16(), 408, "{media_type}");
    }
    for router in [&server.router, &server.grpc] {
        // DEADLINE_EXCEEDED.
        assert_eq!(grpc_status(router, &[], trickle(FRAME)).await, "4");
    }
    // That was on the clock of the test, which nobody waited for.
    tokio::time::resume();
    assert_serves(&server).await;
}

#[tokio::test]
async fn bombs_of_many_kinds_are_refused_on_every_way() {
    let otlp = OtlpPolicy { max_request_bytes: 1 << 20, ..OtlpPolicy::default() };
    let intake = IntakePolicy { max_body_bytes: 1 << 20, ..IntakePolicy::default() };
    let server = Server::with(Policy { otlp, intake, ..Policy::default() });
    let zeros = gzip(&vec![0; 5_000_000]);
    // Many small members one after the other, and one bomb within another.
    let members = gzip(&[0x0a; 1_000]).repeat(2_000);
    let nested = gzip(&zeros);
    for (bomb, status) in [(&zeros, 413), (&members, 413), (&nested, 400)] {
        for media_type in [PROTOBUF, JSON] {
            let headers = [("content-type", media_type), ("content-encoding", "gzip")];
            for path in ["/v1/traces", "/v1/logs", "/api/events/otlp"] {
                let answer = server.request(Method::POST, path, &headers, Body::from(bomb.clone())).await;
                let found = answer.status.as_u16();
                // Files are read as they arrive: what is no JSON is refused before there is too much of it.
                let right = found == status || path == "/api/events/otlp" && media_type == JSON && found == 400;
                assert!(right, "{path} {media_type}: {answer:?}");
            }
        }
        let length = u32::try_from(bomb.len()).unwrap().to_be_bytes();
        let message = [&[1][..], &length, bomb].concat();
        for router in [&server.router, &server.grpc] {
            let status = grpc_status(router, &[("grpc-encoding", "gzip")], Body::from(message.clone())).await;
            // INVALID_ARGUMENT; RESOURCE_EXHAUSTED, which without a pause is final; INTERNAL, of the compression.
            assert!(["3", "8", "13"].contains(&status.as_str()), "{status}");
        }
    }
    assert_eq!(events(&server).await, 0);
    assert_serves(&server).await;
}

#[tokio::test]
async fn truncated_and_corrupt_bodies_are_answered_whatever_they_hold() {
    let server = Server::new();
    let good = protobuf(&spans(3));
    let json = spans(3).to_string();
    let cuts = |length: usize| (0..length).step_by(1 + length / 60);
    for cut in cuts(good.len()) {
        let answer = post(&server, PROTOBUF, good[..cut].to_vec()).await;
        // A body of no bytes is a request with nothing in it.
        assert_eq!(answer.status.as_u16(), if cut == 0 { 200 } else { 400 }, "cut at {cut}: {answer:?}");
    }
    for cut in cuts(json.len()) {
        let answer = post(&server, JSON, json[..cut].to_owned()).await;
        assert_eq!(answer.status.as_u16(), 400, "cut at {cut}: {answer:?}");
    }
    assert_eq!(events(&server).await, 0, "of what is cut short nothing is taken");
    // One byte is another one: what comes of it depends on the byte, but it is never a fault of the server.
    for (number, at) in cuts(good.len()).enumerate() {
        let mut corrupt = good.clone();
        corrupt[at] ^= 1 << (number % 8);
        let answer = post(&server, PROTOBUF, corrupt.clone()).await;
        assert!(matches!(answer.status.as_u16(), 200 | 400), "byte {at}: {answer:?}");
        let frame = [&[0][..], &u32::try_from(corrupt.len()).unwrap().to_be_bytes(), &corrupt].concat();
        let status = grpc_status(&server.router, &[], Body::from(frame)).await;
        assert!(["0", "3"].contains(&status.as_str()), "byte {at}: {status}");
    }
    assert_serves(&server).await;
}
