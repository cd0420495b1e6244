//! `ETag` and `If-Match`: what is changed is what was read.
#![allow(clippy::unwrap_used)]

mod common;

use axum::body::Body;
use axum::http::Method;
use common::{Answer, Server};
use serde_json::{Value, json};

const CONFIG: &str = "/api/improvements/config";
const AGENT: &str = "/api/entities/agent/researcher";

async fn put(server: &Server, path: &str, wanted: Option<&str>, body: Value) -> Answer {
    let mut headers = vec![("content-type", "application/json")];
    headers.extend(wanted.map(|tag| ("if-match", tag)));
    server.request(Method::PUT, path, &headers, Body::from(body.to_string())).await
}

#[tokio::test]
async fn settings_change_only_from_the_state_that_was_read() {
    let server = Server::new();
    let read = server.get(CONFIG).await.header("etag").to_owned();
    assert!(read.len() == 18 && read.starts_with('"'), "{read}");
    assert_eq!(server.get(CONFIG).await.header("etag"), read, "reading changes nothing");
    let first = put(&server, CONFIG, Some(&read), json!({"test_duration_hours": 12})).await;
    assert_eq!(first.status.as_u16(), 200, "{first:?}");
    let current = first.header("etag").to_owned();
    assert!(current != read && current == server.get(CONFIG).await.header("etag"));
    for stale in [read.as_str(), &format!("W/{current}"), "\"nonsense\"", "nonsense", ""] {
        let refused = put(&server, CONFIG, Some(stale), json!({"test_duration_hours": 6})).await;
        assert_eq!((refused.status.as_u16(), refused.code().as_str()), (412, "precondition_failed"), "{stale}");
        assert_eq!(refused.header("etag"), current);
    }
    assert_eq!(server.get(CONFIG).await.json()["engine"]["test_duration_hours"], 12.0);
    // A change that is wrong is refused as such, and changes no state.
    assert_eq!(put(&server, CONFIG, Some(&current), json!({"test_duration_hours": -1})).await.status.as_u16(), 422);
    for wanted in [Some(current.as_str()), Some("*"), None] {
        let set = put(&server, CONFIG, wanted, json!({"improvement_batch_size": 7})).await;
        assert_eq!((set.status.as_u16(), set.json()["engine"]["improvement_batch_size"].as_i64()), (200, Some(7)));
    }
    let before = server.get(CONFIG).await.header("etag").to_owned();
    server.request(Method::POST, "/api/improvements/pause", &[], Body::empty()).await;
    assert_ne!(server.get(CONFIG).await.header("etag"), before, "the kill switch is shown there, too");
}

#[tokio::test]
async fn of_many_who_read_the_same_one_changes_it_and_none_is_lost_without() {
    let server = Server::new();
    let read = server.get(CONFIG).await.header("etag").to_owned();
    let (a, b, c, d) = tokio::join!(
        put(&server, CONFIG, Some(&read), json!({"min_health_score": 1})),
        put(&server, CONFIG, Some(&read), json!({"min_health_score": 2})),
        put(&server, CONFIG, Some(&read), json!({"min_health_score": 3})),
        put(&server, CONFIG, Some(&read), json!({"min_health_score": 4})),
    );
    let mut statuses = [a, b, c, d].map(|answer| answer.status.as_u16());
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412, 412, 412]);
    let (e, f, g) = tokio::join!(
        put(&server, CONFIG, None, json!({"preflight_change": 0.4})),
        put(&server, CONFIG, None, json!({"inconclusive_rest_days": 3})),
        put(&server, CONFIG, None, json!({"false_claims": 0.2})),
    );
    assert!([e, f, g].iter().all(|answer| answer.status.as_u16() == 200));
    let set = server.get(CONFIG).await.json()["set_at_run_time"].clone();
    let names: Vec<&String> = set.as_object().unwrap().keys().collect();
    assert_eq!(names, ["false_claims", "inconclusive_rest_days", "min_health_score", "preflight_change"]);
}

#[tokio::test]
async fn entities_change_only_from_the_state_that_was_read() {
    let server = Server::new();
    let absent = put(&server, AGENT, Some("*"), json!({})).await;
    assert_eq!((absent.status.as_u16(), absent.header("etag")), (412, ""), "nothing is there yet");
    assert_eq!(server.get(AGENT).await.status.as_u16(), 404);
    let created = put(&server, AGENT, None, json!({"configuration": {"model": "a"}})).await;
    assert_eq!(created.status.as_u16(), 201);
    let read = created.header("etag").to_owned();
    assert_eq!(server.get(AGENT).await.header("etag"), read);
    let settings = |mode: &str| json!({"improvement_config": {"mode": mode}});
    let changed = put(&server, AGENT, Some(&read), settings("observe")).await;
    assert_eq!(changed.status.as_u16(), 200, "{changed:?}");
    let current = changed.header("etag").to_owned();
    assert_ne!(current, read);
    let refused = put(&server, AGENT, Some(&read), settings("auto")).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (412, "precondition_failed"));
    assert_eq!(refused.header("etag"), current);
    assert_eq!(server.get(AGENT).await.json()["improvement_config"]["mode"], "observe");
    let (a, b) = tokio::join!(
        put(&server, AGENT, Some(&current), settings("propose")),
        put(&server, AGENT, Some(&current), settings("approve")),
    );
    let mut statuses = [a.status.as_u16(), b.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412]);
}
