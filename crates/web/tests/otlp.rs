//! Telemetry over HTTP.

mod common;

use axum::body::Body;
use axum::http::Method;
use common::{Answer, Server, gzip, protobuf, spans};
use prost::Message;
use serde_json::{Value, json};
use uplift_intake::otlp::proto::ExportTraceServiceResponse;
use uplift_model::Policy;
use uplift_model::policy::{EnginePolicy, IntakePolicy, OtlpPolicy};
use uplift_store::SystemReads;

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";

async fn post(server: &Server, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Answer {
    server.request(Method::POST, path, headers, body.into()).await
}

async fn post_json(server: &Server, spans: &Value) -> Answer {
    post(server, "/v1/traces", &[("content-type", JSON)], spans.to_string()).await
}

async fn events(server: &Server) -> Option<i64> {
    server.store.task_counts().await.ok().map(|counts| counts.events)
}

fn small(otlp: OtlpPolicy) -> Policy {
    Policy { otlp, ..Policy::default() }
}

/// `google.rpc.Status`, as far as it is looked at.
#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}

#[tokio::test]
async fn spans_are_taken_in_every_form_and_retries_change_nothing() {
    let server = Server::new();
    let all = spans(3);
    let answer = post(&server, "/v1/traces", &[("content-type", PROTOBUF)], protobuf(&all)).await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, PROTOBUF), "{answer:?}");
    assert_eq!(
        ExportTraceServiceResponse::decode(answer.bytes.as_slice()),
        Ok(ExportTraceServiceResponse::default())
    );
    assert_eq!(events(&server).await, Some(4));
    let packed = [("content-type", PROTOBUF), ("content-encoding", "gzip")];
    let packed_json = [("content-type", "application/json; charset=utf-8"), ("content-encoding", "gzip")];
    post(&server, "/v1/traces", &packed, gzip(&protobuf(&spans(5)))).await;
    assert_eq!(events(&server).await, Some(6));
    let answer = post(&server, "/v1/traces", &packed_json, gzip(spans(6).to_string().as_bytes())).await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type"), answer.text.as_str()), (200, JSON, "{}"));
    assert_eq!(events(&server).await, Some(7));
}

#[tokio::test]
async fn nothing_at_all_is_a_request_too() {
    let server = Server::new();
    for path in ["/v1/traces", "/v1/logs"] {
        let answer = post(&server, path, &[("content-type", PROTOBUF)], Vec::new()).await;
        assert_eq!((answer.status.as_u16(), answer.bytes.len()), (200, 0), "{answer:?}");
        let answer = post(&server, path, &[("content-type", JSON)], "{}").await;
        assert_eq!((answer.status.as_u16(), answer.text.as_str()), (200, "{}"), "{answer:?}");
    }
}

#[tokio::test]
async fn spans_that_cannot_be_taken_are_counted_and_the_others_are_stored() {
    let server = Server::new();
    assert_eq!(post_json(&server, &spans(1)).await.text, "{}");
    let mut changed = spans(3);
    let list = &mut changed["resourceSpans"][0]["scopeSpans"][0]["spans"];
    list[1]["name"] = json!("execute_tool other");
    list[1]["attributes"][1]["value"]["stringValue"] = json!("other");
    list[2]["spanId"] = json!("");
    let answer = post_json(&server, &changed).await;
    let partial = &answer.json()["partialSuccess"];
    assert_eq!((answer.status.as_u16(), &partial["rejectedSpans"]), (200, &json!("2")), "{answer:?}");
    assert!(partial["errorMessage"].as_str().is_some_and(|text| text.contains("id_conflict")), "{partial}");
    assert_eq!(events(&server).await, Some(3));
    let answer = post(&server, "/v1/traces", &[("content-type", PROTOBUF)], protobuf(&changed)).await;
    let partial = ExportTraceServiceResponse::decode(answer.bytes.as_slice()).unwrap_or_default().partial_success;
    assert_eq!(partial.map(|partial| partial.rejected_spans), Some(2));
}

#[tokio::test]
async fn entities_that_may_not_register_are_refused_and_not_tried_again() {
    let engine = EnginePolicy { auto_register: false, ..EnginePolicy::default() };
    let server = Server::with(Policy { engine, ..Policy::default() });
    let answer = post_json(&server, &spans(1)).await;
    // The agent; its call waits for it.
    assert_eq!((answer.status.as_u16(), &answer.json()["partialSuccess"]["rejectedSpans"]), (200, &json!("1")));
    assert!(answer.text.contains("entity_not_registered"), "{answer:?}");
}

#[tokio::test]
async fn many_spans_are_stored_whole() {
    let intake = IntakePolicy { chunk_events: 10, max_queued_events: 12, ..IntakePolicy::default() };
    let server = Server::with(Policy { intake, ..Policy::default() });
    assert_eq!(post_json(&server, &spans(234)).await.text, "{}");
    assert_eq!((events(&server).await, server.engine.queued_events()), (Some(235), 0));
}

#[tokio::test]
async fn bodies_that_cannot_be_taken_are_refused_in_their_own_form() {
    type Row = (&'static str, &'static str, Vec<u8>, u16, i32, &'static str);
    let server = Server::with(small(OtlpPolicy { max_request_bytes: 20_000, ..OtlpPolicy::default() }));
    let whole = protobuf(&spans(3));
    let cut = whole[..whole.len() - 7].to_vec();
    let bomb = gzip(&vec![0; 50_000_000]);
    let packed = gzip(&whole);
    let damaged = packed[..packed.len() - 9].to_vec();
    let table: Vec<Row> = vec![
        ("", "", whole.clone(), 415, 3, "unsupported_media_type"),
        ("text/plain", "", whole.clone(), 415, 3, "unsupported_media_type"),
        (PROTOBUF, "br", whole.clone(), 415, 3, "unsupported_encoding"),
        (PROTOBUF, "", cut, 400, 3, "malformed_otlp"),
        (PROTOBUF, "", b"{\"resourceSpans\":[]}".to_vec(), 400, 3, "malformed_otlp"),
        (JSON, "", b"{\"resourceSpans\":[{".to_vec(), 400, 3, "malformed_otlp"),
        (JSON, "", b"[1,2".to_vec(), 400, 3, "malformed_otlp"),
        (PROTOBUF, "gzip", damaged, 400, 3, "bad_gzip"),
        (PROTOBUF, "gzip", bomb, 413, 3, "body_too_large"),
        (JSON, "", spans(100).to_string().into_bytes(), 413, 3, "body_too_large"),
    ];
    for (media_type, encoding, body, status, code, name) in table {
        let mut headers = vec![("content-type", media_type), ("content-encoding", encoding)];
        headers.retain(|(_, value)| !value.is_empty());
        let answer = post(&server, "/v1/traces", &headers, body).await;
        let said = if answer.header("content-type") == PROTOBUF {
            Status::decode(answer.bytes.as_slice()).unwrap_or_default()
        } else {
            let json = answer.json();
            let code = json["code"].as_i64().unwrap_or_default() as i32;
            Status { code, message: json["message"].as_str().unwrap_or_default().to_owned() }
        };
        assert_eq!((answer.status.as_u16(), said.code), (status, code), "{name}: {answer:?}");
        assert!(said.message.contains(name), "{name}: {said:?}");
        assert_eq!(answer.header("content-type") == PROTOBUF, media_type == PROTOBUF);
    }
    assert_eq!(events(&server).await, Some(0));
}

#[tokio::test]
async fn what_passes_is_said_to_be_worth_a_retry() {
    let server = Server::new();
    let held = server.engine.try_admit(usize::MAX);
    for (media_type, body) in [(PROTOBUF, protobuf(&spans(1))), (JSON, b"not even looked at".to_vec())] {
        let answer = post(&server, "/v1/traces", &[("content-type", media_type)], body).await;
        assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (429, "1"), "{answer:?}");
    }
    drop(held);
    assert_eq!(post_json(&server, &spans(1)).await.status.as_u16(), 200);
    server.store.close().await;
    let answer = post_json(&server, &spans(2)).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("retry-after"), &answer.json()["code"]),
        (503, "10", &json!(14))
    );
}

#[tokio::test]
async fn metrics_and_strangers_are_refused() {
    let server = Server::new();
    let answer = post(&server, "/v1/metrics", &[("content-type", PROTOBUF)], vec![1, 2, 3]).await;
    let said = Status::decode(answer.bytes.as_slice()).unwrap_or_default();
    assert_eq!((answer.status.as_u16(), said.code), (404, 12));
    assert!(said.message.contains("OTEL_METRICS_EXPORTER=none"), "{said:?}");
    let page = [("content-type", JSON), ("origin", "http://evil.example")];
    assert_eq!(post(&server, "/v1/traces", &page, "{}").await.code(), "origin_not_allowed");
    assert_eq!(server.get("/v1/traces").await.code(), "method_not_allowed");
}

#[tokio::test]
async fn saved_requests_are_taken_as_files_have_them() {
    let server = Server::new();
    let (one, more) = (spans(2), spans(4));
    let framed = |request: &Value| {
        let bytes = protobuf(request);
        let mut framed = (bytes.len() as u32).to_be_bytes().to_vec();
        framed.extend(bytes);
        framed
    };
    let table = [
        (JSON, one.to_string().into_bytes(), 3, 0),
        (JSON, format!("{one}\n{more}\n").into_bytes(), 2, 6),
        (JSON, format!("[{one},{more}]").into_bytes(), 0, 8),
        (PROTOBUF, protobuf(&spans(5)), 1, 5),
        (PROTOBUF, [framed(&one), framed(&spans(6))].concat(), 1, 9),
        (JSON, Vec::from(b"{\"resourceSpans\":[]}"), 0, 0),
    ];
    for (media_type, body, accepted, duplicates) in table {
        let headers = [("content-type", media_type), ("content-encoding", "gzip")];
        let report = post(&server, "/api/events/otlp", &headers, gzip(&body)).await;
        let counts = (report.json()["accepted"].as_u64(), report.json()["duplicates"].as_u64());
        assert_eq!(counts, (Some(accepted), Some(duplicates)), "{report:?}");
    }
    assert_eq!(events(&server).await, Some(7));
}

#[tokio::test]
async fn a_file_that_breaks_off_leaves_an_account() {
    let server = Server::new();
    let headers = [("content-type", JSON)];
    for (rest, code) in [("{\"resourceSpans\":[", "malformed_otlp"), ("7", "malformed_otlp")] {
        let answer = post(&server, "/api/events/otlp", &headers, format!("{}\n{rest}", spans(2))).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, code), "{answer:?}");
        let known = answer.json()["accepted"].as_u64().zip(answer.json()["duplicates"].as_u64());
        assert_eq!(known.map(|(accepted, duplicates)| accepted + duplicates), Some(3), "{answer:?}");
    }
    let answer = post(&server, "/api/events/otlp", &[("content-type", "text/csv")], "a,b").await;
    assert_eq!(answer.code(), "unsupported_media_type");
}

#[tokio::test]
async fn credentials_are_masked_before_anything_is_stored() {
    let server = Server::new();
    let secret = "sk-abcdefghijklmnopqrstuvwx";
    let mut all = spans(1);
    let arguments = &mut all["resourceSpans"][0]["scopeSpans"][0]["spans"][1]["attributes"][2]["value"];
    arguments["stringValue"] = json!(format!("{{\"note\":\"see\\n{secret}\"}}"));
    assert_eq!(post_json(&server, &all).await.text, "{}");
    let stored =
        server.get("/api/events/lookup?trace_key=5b8efff798038103d269b633813fc60c&id=0000000000000001").await;
    assert!(stored.text.contains("[masked]") && !stored.text.contains(secret), "{stored:?}");
    let line = format!(r#"{{"id":"1","event_type":"ERROR","agent":"a","task_id":"t","content":"bad {secret}"}}"#);
    assert_eq!(server.post_events(line).await.status.as_u16(), 200);
    let stored = server.get("/api/events/lookup?trace_key=t&id=1").await;
    assert!(stored.text.contains("bad [masked]") && !stored.text.contains(secret), "{stored:?}");
}
