//! Sending events.

mod common;

use axum::body::{Body, Bytes};
use axum::http::{Method, StatusCode};
use common::{NOW, Server, event, event_of, gzip, lines};
use futures::SinkExt;
use serde_json::json;
use uplift_model::Policy;
use uplift_model::policy::{EnginePolicy, IntakePolicy};
use uplift_store::SystemReads;
use uplift_store::sqlite::SqliteStore;

fn small(intake: IntakePolicy) -> Policy {
    Policy { intake, ..Policy::default() }
}

#[tokio::test]
async fn lines_arrays_and_gzip_are_taken_and_retries_change_nothing() {
    let server = Server::new();
    let answer = server.post_events(lines(3)).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let expected = json!({"accepted": 3, "duplicates": 0, "rejected": [], "rejected_count": 0, "warnings": []});
    assert_eq!(answer.json(), expected);
    let array = format!("[{},{},{}]", event("e0"), event("e1"), event("new"));
    let answer = server.post_events(array).await;
    assert_eq!((answer.json()["accepted"].clone(), answer.json()["duplicates"].clone()), (json!(1), json!(2)));
    let headers = [("content-encoding", "gzip")];
    let body = Body::from(gzip(lines(5).as_bytes()));
    let answer = server.request(Method::POST, "/api/events", &headers, body).await;
    assert_eq!((answer.json()["accepted"].clone(), answer.json()["duplicates"].clone()), (json!(2), json!(3)));
    assert_eq!(server.store.task_counts().await.map(|counts| counts.events), Ok(6));
}

#[tokio::test]
async fn bad_events_are_named_one_by_one_and_the_others_are_stored() {
    let server = Server::new();
    let unknown = r#"{"id":"u","event_type":"ERROR","agent":"a","model":"m"}"#;
    let conflict = event("a").replace("12.5", "13.5");
    let body =
        [event("a"), "no json".into(), "{\"id\":\"x\",\"agent\":\"a\"}".into(), unknown.into(), conflict].join("\n");
    let answer = server.post_events(body).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let report = answer.json();
    assert_eq!((report["accepted"].clone(), report["rejected_count"].clone()), (json!(2), json!(3)));
    let named: Vec<_> = report["rejected"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|item| format!("{} {} {}", item["line"], item["id"], item["code"]).replace('"', ""))
        .collect();
    assert_eq!(named, ["2 null malformed_json", "3 x missing_field", "5 a id_conflict"]);
    assert_eq!(report["warnings"][0]["field"], "model");
    let array = server.post_events(format!("[{},5]", event("b"))).await.json();
    assert_eq!((array["rejected"][0]["index"].clone(), array["rejected"][0].get("line")), (json!(1), None));
}

#[tokio::test]
async fn many_chunks_are_stored_whole() {
    let intake = IntakePolicy { chunk_events: 50, max_queued_events: 60, ..IntakePolicy::default() };
    let server = Server::with(small(intake));
    let answer = server.post_events(lines(1_234)).await;
    assert_eq!(answer.json()["accepted"], 1_234, "{answer:?}");
    assert_eq!(server.store.task_counts().await.map(|counts| counts.events), Ok(1_234));
    assert_eq!(server.engine.queued_events(), 0);
}

#[tokio::test]
async fn nothing_to_do_is_no_mistake_and_nothing_sent_is_one() {
    let server = Server::new();
    for body in ["[]", "\n\n"] {
        let answer = server.post_events(body).await;
        assert_eq!((answer.status, answer.json()["accepted"].clone()), (StatusCode::OK, json!(0)), "{body:?}");
    }
    assert_eq!(server.post_events("").await.code(), "empty_body");
}

#[tokio::test]
async fn bodies_that_cannot_be_read() {
    let server = Server::new();
    let whole = gzip(lines(100).as_bytes());
    let table: Vec<(&str, Vec<u8>, u16, &str)> = vec![
        ("", b"agent=a&x=1".to_vec(), 400, "malformed_body"),
        ("", b"\x1f\x8b\x08\x00".to_vec(), 400, "malformed_body"),
        ("", b"[".to_vec(), 400, "malformed_body"),
        ("", b"\"text\"".to_vec(), 422, "all_rejected"),
        ("", b"[{\"id\":\"1\"}]".to_vec(), 422, "all_rejected"),
        ("gzip", b"not gzip".to_vec(), 400, "bad_gzip"),
        ("gzip", whole[..whole.len() - 9].to_vec(), 400, "bad_gzip"),
        ("gzip", Vec::new(), 400, "empty_body"),
        ("br", b"x".to_vec(), 415, "unsupported_encoding"),
        ("gzip, gzip", b"x".to_vec(), 415, "unsupported_encoding"),
    ];
    for (encoding, body, status, code) in table {
        let headers: &[_] = &[("content-encoding", encoding)];
        let headers = if encoding.is_empty() { &[] } else { headers };
        let answer = server.request(Method::POST, "/api/events", headers, Body::from(body)).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (status, code), "{encoding} {answer:?}");
    }
}

#[tokio::test]
async fn a_bomb_is_stopped_at_the_limit_and_what_came_before_stays() {
    let intake = IntakePolicy { max_body_bytes: 300_000, chunk_events: 10, ..IntakePolicy::default() };
    let server = Server::with(small(intake));
    let bomb = gzip(&[lines(100).as_bytes(), &b" ".repeat(50_000_000)].concat());
    assert!(bomb.len() < 300_000);
    let answer = server.request(Method::POST, "/api/events", &[("content-encoding", "gzip")], Body::from(bomb)).await;
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"));
    assert_eq!(answer.json()["accepted"], 100, "{answer:?}");
    let announced =
        server.request(Method::POST, "/api/events", &[("content-length", "300001")], Body::from(" ".repeat(300_001)));
    assert_eq!(announced.await.code(), "body_too_large");
}

#[tokio::test]
async fn a_full_queue_is_said_before_anything_is_taken() {
    let server = Server::new();
    let held = server.engine.try_admit(usize::MAX);
    let answer = server.post_events(lines(1)).await;
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::TOO_MANY_REQUESTS, "overloaded"));
    assert_eq!(answer.header("retry-after"), "1");
    assert_eq!(server.store.task_counts().await.map(|counts| counts.events), Ok(0));
    drop(held);
    assert_eq!(server.post_events(lines(1)).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_long_list_of_rejections_is_cut_and_counted() {
    let intake = IntakePolicy { max_reported_rejections: 7, ..IntakePolicy::default() };
    let server = Server::with(small(intake));
    let answer = server.post_events(format!("{}{}", lines(1), "{}\n".repeat(1_000))).await.json();
    assert_eq!(
        (answer["rejected"].as_array().map(Vec::len), answer["rejected_count"].clone()),
        (Some(7), json!(1_000))
    );
}

#[tokio::test]
async fn the_time_given_counts_for_events_without_a_clock() {
    let server = Server::new();
    let line = r#"{"id":"1","event_type":"ERROR","agent":"a","task_id":"t"}"#;
    let path = "/api/events?at=2026-01-30T00:00:00Z";
    assert_eq!(server.request(Method::POST, path, &[], Body::from(line)).await.status, StatusCode::OK);
    let read = server.get("/api/events/lookup?trace_key=t&id=1").await.json();
    assert_eq!((read["ts"].as_str(), read["clock"].as_str()), (Some("2026-01-30T00:00:00Z"), Some("received")));
    for at in ["yesterday", "1999-01-01T00:00:00Z", "2026-01-31T14:00:00Z"] {
        let path = format!("/api/events?at={at}");
        let answer = server.request(Method::POST, &path, &[], Body::from(line)).await;
        assert_eq!((answer.code().as_str(), answer.status), ("invalid_parameter", StatusCode::BAD_REQUEST), "{at}");
        assert!(answer.text.contains("`at`"), "{answer:?}");
    }
    assert_eq!(NOW.to_string(), "2026-01-31T12:00:00Z");
}

#[tokio::test]
async fn entities_that_may_not_register_are_refused() {
    let engine = EnginePolicy { auto_register: false, ..EnginePolicy::default() };
    let server = Server::with(Policy { engine, ..Policy::default() });
    let by_number = event("b").replace("\"researcher\"", "99");
    let answer = server.post_events(format!("{}\n{by_number}", event_of("nobody", "a", "t"))).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (422, "all_rejected"));
    let report = answer.json();
    let codes = [report["rejected"][0]["code"].as_str(), report["rejected"][1]["code"].as_str()];
    assert_eq!(codes, [Some("entity_not_registered"), Some("unknown_entity")]);
}

#[tokio::test]
async fn a_store_that_fails_midway_leaves_an_account() {
    let intake = IntakePolicy { chunk_events: 100, ..IntakePolicy::default() };
    let server = Server::with(small(intake));
    let (mut sender, receiver) = futures::channel::mpsc::channel::<Result<Bytes, std::io::Error>>(1);
    let store = std::sync::Arc::clone(&server.store);
    let sending = async move {
        assert!(sender.send(Ok(lines(100).into())).await.is_ok());
        while store.task_counts().await.map(|counts| counts.events) != Ok(100) {
            tokio::task::yield_now().await;
        }
        store.close().await;
        let more = lines(250).into_bytes();
        assert!(sender.send(Ok(more.into())).await.is_ok());
    };
    let (answer, ()) = tokio::join!(server.post_events(Body::from_stream(receiver)), sending);
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (503, "store_closed"));
    assert_eq!(answer.json()["accepted"], 100, "{answer:?}");
    assert!(answer.text.contains("stored before are kept"), "{answer:?}");
}

#[tokio::test]
async fn a_body_that_breaks_off_leaves_an_account() {
    let intake = IntakePolicy { chunk_events: 100, ..IntakePolicy::default() };
    let server = Server::with(small(intake));
    let parts = [Ok(Bytes::from(lines(100))), Err(std::io::Error::other("gone"))];
    let answer = server.post_events(Body::from_stream(futures::stream::iter(parts))).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "body_interrupted"));
    assert_eq!(answer.json()["accepted"], 100);
}

#[tokio::test]
async fn a_client_that_goes_away_does_not_cut_a_write_in_half() {
    let intake = IntakePolicy { chunk_events: 100, ..IntakePolicy::default() };
    let server = Server::with(small(intake));
    let (mut sender, receiver) = futures::channel::mpsc::channel::<Result<Bytes, std::io::Error>>(1);
    assert!(sender.send(Ok(lines(100).into())).await.is_ok());
    let mut request = Box::pin(server.post_events(Body::from_stream(receiver)));
    // The handler runs as far as it can, then waits for the rest of the body; then it is dropped.
    while server.engine.queued_events() == 0 && server.store.task_counts().await.map(|counts| counts.events) == Ok(0)
    {
        let _ = futures::poll!(&mut request);
    }
    drop(request);
    while server.store.task_counts().await.map(|counts| counts.events) != Ok(100) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_read_only_store_says_so() {
    let folder = std::env::temp_dir().join(format!("uplift-web-{}", std::process::id()));
    assert!(std::fs::create_dir_all(&folder).is_ok());
    let path = folder.join("read-only.db");
    let created = SqliteStore::open(&path).unwrap_or_else(|error| panic!("{error}"));
    created.close().await;
    drop(created);
    let store = SqliteStore::open_read_only(&path).unwrap_or_else(|error| panic!("{error}"));
    let server = Server::over(store, Policy::default());
    let answer = server.post_events(lines(1)).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (503, "store_read_only"));
    assert!(std::fs::remove_dir_all(&folder).is_ok());
}

#[tokio::test]
async fn a_body_of_something_else_is_given_up_and_others_are_answered_meanwhile() {
    let server = Server::new();
    let body = format!("[{}{}1]", event("kept"), ",1".repeat(2_000_000));
    let body = Body::from(gzip(body.replacen("}1,", "},1,", 1).as_bytes()));
    let headers = [("content-encoding", "gzip")];
    let bomb = server.request(Method::POST, "/api/events", &headers, body);
    let health = server.request(Method::GET, "/healthz", &[], Body::empty());
    let (bomb, health) = tokio::join!(bomb, health);
    assert_eq!(health.status, StatusCode::OK);
    assert_eq!(
        (bomb.status, bomb.json()["code"].clone()),
        (StatusCode::UNPROCESSABLE_ENTITY, json!("too_many_rejected"))
    );
    assert_eq!(bomb.json()["rejected_count"], json!(100_000));
    let stored = server.store.task_counts().await.map(|counts| counts.events);
    assert_eq!((bomb.json()["accepted"].clone(), stored), (json!(0), Ok(0)), "it says what was stored");
}
