//! What is said of raw events that are gone, and of a disk that is full.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use axum::body::Body;
use axum::http::{Method, StatusCode};
use serde_json::json;
use uplift_store::writes::{Prune, StepCommit, Write};
use uplift_store::{SystemReads, Writes};

use common::{NOW, Server, lines, spans};

fn errors() -> String {
    let line = |number: usize| {
        json!({"id": "e", "ts": format!("2026-01-31T10:{number:02}:00Z"), "event_type": "TOOL_EXECUTED", "agent": "a",
            "tool": "search", "task_id": format!("t{number}"), "outcome": "ERROR", "error_type": "Timeout",
            "content": "no answer"})
        .to_string()
    };
    (0..7).map(|number| line(number) + "\n").collect()
}

#[tokio::test]
async fn evidence_is_shown_when_its_events_are_gone() {
    let server = Server::new();
    assert_eq!(server.post_events(errors()).await.status, StatusCode::OK);
    uplift_runner::watch::settle(&server.engine).await.unwrap();
    let before = server.get("/api/improvements/opportunities/1").await.json();
    let events = before["evidence"]["events"].as_array().unwrap();
    assert!(events.len() == 7 && events.iter().all(|event| event["on_record"] == true), "{before:#}");
    let status = server.get("/api/improvements/status").await.json()["storage"].clone();
    assert_eq!((&status["events_deleted"], &status["events_since"]), (&json!(0), &json!("2026-01-31T12:00:00Z")));

    let at = NOW.plus_hours(100);
    let prune = Prune { events_before: Some(at.plus_hours(-50).hour()), tasks_before: None, rows: 1_000 };
    let commit = StepCommit { at, writes: vec![Write::Prune(prune)], ..StepCommit::default() };
    assert_eq!(server.store.commit_step(commit).await.unwrap().pruned.unwrap().events, 7);

    let mut after = server.get("/api/improvements/opportunities/1").await.json();
    for event in after["evidence"]["events"].as_array_mut().unwrap() {
        assert_eq!(event["on_record"], json!(false));
        event["on_record"] = json!(true);
    }
    assert_eq!(after, before);
    let answer = server.get("/api/events/lookup?trace_key=t1&id=e").await;
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::NOT_FOUND, "not_found"));
    assert!(answer.json()["detail"].as_str().unwrap().contains("because of their age"), "{answer:?}");
    assert_eq!(server.get("/api/tasks/t1").await.json()["errors"], 1);
    let status = server.get("/api/improvements/status").await.json()["storage"].clone();
    assert_eq!((&status["events_deleted"], &status["events_since"]), (&json!(7), &json!(null)));
    assert!(status["used_bytes"].as_u64().unwrap() <= status["file_bytes"].as_u64().unwrap());
    // What was judged goes on to be judged, and what it rests on is not lost.
    uplift_runner::watch::settle(&server.engine).await.unwrap();
    assert_eq!(server.get("/api/improvements/opportunities/1").await.json()["evidence"]["count"], 7);
}

#[tokio::test]
async fn a_full_disk_is_told_and_the_rest_goes_on() {
    let server = Server::new();
    assert_eq!(server.post_events(errors()).await.status, StatusCode::OK);
    let pages = server.store.storage().await.unwrap().file_bytes / 4_096;
    server.store.bound_pages(u32::try_from(pages).unwrap()).await.unwrap();
    let refused = server.post_events(lines(5_000)).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (503, "disk_full"), "{refused:?}");
    assert_eq!((refused.header("retry-after"), &refused.json()["accepted"]), ("10", &json!(0)));
    let headers = [("content-type", "application/json")];
    let body = Body::from(spans(5_000).to_string());
    let refused = server.request(Method::POST, "/v1/traces", &headers, body).await;
    assert_eq!((refused.status.as_u16(), refused.header("retry-after")), (503, "10"), "{refused:?}");
    assert_eq!(server.get("/healthz").await.status, StatusCode::OK);
    let ready = server.get("/readyz").await;
    assert_eq!((ready.status.as_u16(), ready.code().as_str()), (503, "disk_full"));
    let status = server.get("/api/improvements/status").await.json();
    assert_eq!(status["storage"]["full_since"], json!("2026-01-31T12:00:00Z"));
    let factors = status["health"]["factors"].as_array().unwrap();
    assert!(factors.iter().any(|factor| factor["name"] == "disk_full"), "{status:#}");
    assert_eq!(status["counts"]["events"], 7);
    assert_eq!(server.get("/api/tasks/t1").await.status, StatusCode::OK);
    server.store.bound_pages(u32::MAX).await.unwrap();
    assert_eq!(server.post_events(lines(5_000)).await.status, StatusCode::OK);
}
