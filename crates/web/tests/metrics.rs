//! What is counted. One test, as the recorder is one for the whole process.

mod common;

use axum::body::Body;
use axum::http::Method;
use common::{Server, lines, spans};
use metrics_exporter_prometheus::PrometheusBuilder;
use uplift_model::Policy;
use uplift_store::sqlite::SqliteStore;

#[tokio::test]
async fn requests_are_counted_by_route_and_events_by_result() {
    let handle = PrometheusBuilder::new().install_recorder().unwrap_or_else(|error| panic!("{error}"));
    let store = SqliteStore::in_memory().unwrap_or_else(|error| panic!("{error}"));
    let server = Server::measured(store, Policy::default(), handle);
    server.post_events(format!("{}{{}}\n", lines(3))).await;
    server.post_events(lines(2)).await;
    server.get("/api/resolve/agent/researcher?defaults=%7B%7D").await;
    server.get("/api/resolve/agent/researcher").await;
    server.get("/api/tasks/a").await;
    server.get("/api/tasks/b").await;
    server.get("/nothing/one").await;
    server.request(Method::from_bytes(b"MADEUP").unwrap_or_default(), "/nothing/two", &[], Body::empty()).await;
    let json = [("content-type", "application/json")];
    let mut changed = spans(2);
    changed["resourceSpans"][0]["scopeSpans"][0]["spans"][1]["name"] = "another".into();
    changed["resourceSpans"][0]["scopeSpans"][0]["spans"][2]["spanId"] = "".into();
    for body in [spans(1).to_string(), changed.to_string(), "{".to_owned()] {
        server.request(Method::POST, "/v1/traces", &json, Body::from(body)).await;
    }
    let held = server.engine.try_admit(usize::MAX);
    let protobuf = [("content-type", "application/x-protobuf")];
    server.request(Method::POST, "/v1/logs", &protobuf, Body::from(vec![1])).await;
    drop(held);
    let metrics = server.get("/metrics").await.text;
    for line in [
        r#"uplift_events_total{result="accepted"} 5"#,
        r#"uplift_events_total{result="duplicate"} 3"#,
        r#"uplift_events_total{result="rejected"} 3"#,
        r#"uplift_http_requests_total{method="POST",path="/api/events",status="200"} 2"#,
        r#"uplift_http_requests_total{method="GET",path="/api/tasks/{task_id}",status="404"} 2"#,
        r#"uplift_http_requests_total{method="GET",path="unmatched",status="404"} 1"#,
        r#"uplift_http_requests_total{method="other",path="unmatched",status="404"} 1"#,
        r#"uplift_resolves_total{reason="no_trial"} 2"#,
        "uplift_resolve_duration_seconds_count 2",
        "uplift_intake_queued_events 0",
        r#"uplift_otlp_requests_total{signal="traces",transport="http_json",result="ok"} 1"#,
        r#"uplift_otlp_requests_total{signal="traces",transport="http_json",result="partial"} 1"#,
        r#"uplift_otlp_requests_total{signal="traces",transport="http_json",result="malformed_otlp"} 1"#,
        r#"uplift_otlp_requests_total{signal="logs",transport="http_protobuf",result="overloaded"} 1"#,
        r#"uplift_otlp_items_total{signal="traces",transport="http_json",result="accepted"} 2"#,
        r#"uplift_otlp_items_total{signal="traces",transport="http_json",result="duplicate"} 1"#,
        r#"uplift_otlp_items_total{signal="traces",transport="http_json",result="rejected"} 2"#,
        r#"uplift_otlp_rejected_total{signal="traces",reason="unreadable"} 1"#,
        r#"uplift_otlp_rejected_total{signal="traces",reason="id_conflict"} 1"#,
        r#"uplift_otlp_decode_duration_seconds_count{signal="traces"} 3"#,
        r#"uplift_otlp_commit_duration_seconds_count{signal="traces"} 2"#,
    ] {
        assert!(metrics.lines().any(|shown| shown == line), "{line}\n{metrics}");
    }
    assert!(metrics.contains("uplift_http_request_duration_seconds"), "{metrics}");
}
