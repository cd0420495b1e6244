//! Reading what there is.

mod common;

use axum::body::Body;
use axum::http::{Method, StatusCode};
use common::{NOW, Server, event_of};
use serde_json::{Value, json};
use uplift_model::opportunity::{Evidence, Finding, Impact, OpportunityKind, OpportunitySource};
use uplift_model::{EntityKey, EntityType};
use uplift_store::writes::Write;

/// Two agents, three tasks (one of them with slashes in its id), one opportunity.
async fn server() -> Server {
    let server = Server::new();
    let started = r#"{"id":"s","ts":"2026-01-31T10:00:00Z","event_type":"TASK_STARTED","agent":"researcher","task_id":"retail/9:0","session_id":"s1"}"#;
    let failed = r#"{"id":"f","ts":"2026-01-31T11:30:00Z","event_type":"TASK_FAILED","agent":"researcher","task_id":"retail/9:0","error_type":"Timeout"}"#;
    let staging = r#"{"id":"g","ts":"2026-01-31T11:30:00Z","event_type":"TASK_COMPLETED","agent":"researcher","environment":"staging","task_id":"t3"}"#;
    let lines = [
        started.to_owned(),
        event_of("researcher", "a", "retail/9:0"),
        failed.to_owned(),
        event_of("writer", "b", "t2"),
        staging.to_owned(),
    ];
    let answer = server.post_events(lines.join("\n")).await;
    assert_eq!(answer.json()["accepted"], 5, "{answer:?}");
    let finding = Finding {
        entity: EntityKey::new(EntityType::Agent, agent(&server, "writer").await),
        kind: OpportunityKind::RecurringError,
        fingerprint: "abc".into(),
        source: OpportunitySource::Monitor,
        description: "the same error again and again".into(),
        confidence: 0.9,
        impact: Impact::from_share(0.5, "less of it"),
        evidence: Evidence::default(),
        last_seen_at: NOW,
    };
    let written =
        server.engine.commit(vec![Write::PutFinding { finding: Box::new(finding), quiet_since: None }]).await;
    assert!(written.is_ok(), "{written:?}");
    server
}

async fn agent(server: &Server, name: &str) -> i64 {
    let entity = server.get(&format!("/api/entities/agent/{name}?environment=default")).await;
    entity.json()["entity_id"].as_i64().unwrap_or_else(|| panic!("{entity:?}"))
}

fn items(page: &Value, field: &str) -> Vec<String> {
    let items = page["items"].as_array().unwrap_or_else(|| panic!("{page}"));
    items.iter().map(|item| item[field].as_str().unwrap_or_default().to_owned()).collect()
}

#[tokio::test]
async fn tasks_are_found_by_id_however_it_is_written() {
    let server = server().await;
    for path in ["/api/tasks/retail%2F9:0", "/api/tasks/retail%2F9%3A0"] {
        let task = server.get(path).await;
        assert_eq!(task.status, StatusCode::OK, "{task:?}");
        let task = task.json();
        assert_eq!((task["outcome"].as_str(), task["tool_calls"].as_i64()), (Some("FAILURE"), Some(1)));
    }
    let page = server.get("/api/tasks?task_id=retail/9:0").await.json();
    assert_eq!(items(&page, "task_id"), ["retail/9:0"]);
    let none = server.get("/api/tasks?task_id=nothing").await.json();
    assert_eq!(none, json!({"items": [], "next": null}));
    assert_eq!(server.get("/api/tasks/nothing").await.code(), "not_found");
}

#[tokio::test]
async fn lists_are_narrowed_and_cut_into_pages() {
    let server = server().await;
    let table = [
        ("/api/tasks?outcome=FAILURE", "task_id", vec!["retail/9:0"]),
        ("/api/tasks?agent=writer", "task_id", vec!["t2"]),
        ("/api/tasks?entity_type=agent&entity=researcher&environment=staging", "task_id", vec!["t3"]),
        ("/api/tasks?session_id=s1", "task_id", vec!["retail/9:0"]),
        ("/api/tasks?has_errors=true", "task_id", vec!["retail/9:0"]),
        ("/api/events?event_type=TASK_STARTED", "id", vec!["s"]),
        ("/api/events?task_id=retail/9:0", "id", vec!["s", "a", "f"]),
        ("/api/events?tool=search&agent=writer", "id", vec!["b"]),
        ("/api/entities?entity_type=agent&environment=staging", "name", vec!["researcher"]),
        ("/api/improvements/opportunities?status=pending,in_progress", "kind", vec!["recurring_error"]),
        ("/api/improvements/opportunities?agent=writer&impact=high", "fingerprint", vec!["abc"]),
        ("/api/improvements/opportunities?status=completed", "kind", vec![]),
        ("/api/improvements/history", "outcome", vec![]),
        ("/api/improvements/active", "status", vec![]),
        ("/api/improvements/alerts?active_only=false", "kind", vec![]),
    ];
    for (path, field, expected) in table {
        let answer = server.get(path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path} {answer:?}");
        assert_eq!(items(&answer.json(), field), expected, "{path}");
    }
    let mut seen = Vec::new();
    let mut path = "/api/tasks?limit=1".to_owned();
    loop {
        let page = server.get(&path).await.json();
        seen.extend(items(&page, "task_id"));
        let Some(next) = page["next"].as_str() else { break };
        path =
            format!("/api/tasks?limit=1&cursor={}", next.replace('%', "%25").replace('+', "%2B").replace('&', "%26"));
        assert!(seen.len() < 10, "the pages do not end");
    }
    seen.sort();
    assert_eq!(seen, ["retail/9:0", "t2", "t3"]);
}

#[tokio::test]
async fn one_of_each() {
    let server = server().await;
    let entity = server.get("/api/entities/agent/writer").await.json();
    assert_eq!((entity["name"].as_str(), entity["configuration"].clone()), (Some("writer"), Value::Null));
    assert_eq!(entity["status"]["open_opportunities"], 1, "{entity}");
    assert!(entity["relationships"].is_array());
    let by_number = server.get(&format!("/api/entities/agent/{}", entity["entity_id"])).await.json();
    assert_eq!(by_number, entity);
    let shared = ["one", "two"]
        .map(|place| format!(r#"{{"id":"{place}","event_type":"ERROR","agent":"shared","environment":"{place}"}}"#));
    assert_eq!(server.post_events(shared.join("\n")).await.json()["accepted"], 2);
    assert_eq!(server.get("/api/entities/agent/shared").await.code(), "ambiguous_name");
    assert_eq!(server.get("/api/entities/agent/shared?environment=two").await.json()["environment"], "two");
    assert_eq!(server.get("/api/entities/agent/nobody").await.code(), "not_found");
    let effect = server.get("/api/improvements/effectiveness/agent/writer").await.json();
    assert_eq!((effect["entity"]["name"].as_str(), effect["history"]["items"].clone()), (Some("writer"), json!([])));
    let event = server.get("/api/events/lookup?trace_key=t2&id=b").await.json();
    assert_eq!((event["tool"].as_str(), event["content"].as_str()), (Some("search"), Some("<b>hi</b>")));
    let status = server.get("/api/improvements/status").await.json();
    assert_eq!(
        (status["counts"]["events"].clone(), status["counts"]["tasks"].clone()),
        (json!(7), json!(3)),
        "{status}"
    );
    assert!(status["health"]["score"].is_number() && status["version"].is_string(), "{status}");
    let config = server.get("/api/improvements/config").await.json();
    assert_eq!(config["engine"]["min_confidence_score"], 0.8);
    assert_eq!(config["engine"]["cooldown_period"], "6h");
    for path in ["/api/improvements/review-queue?due_only=true", "/api/improvements/analytics"] {
        let answer = server.get(path).await;
        assert!(answer.status == StatusCode::OK && answer.json()["items"].is_array(), "{answer:?}");
    }
}

#[tokio::test]
async fn an_opportunity_is_dismissed_once() {
    let server = server().await;
    let open = server.get("/api/improvements/opportunities").await.json();
    let id = open["items"][0]["id"].clone();
    let mut one = server.get(&format!("/api/improvements/opportunities/{id}")).await.json();
    for event in one["evidence"]["events"].as_array_mut().unwrap() {
        assert_eq!(event.as_object_mut().unwrap().remove("on_record"), Some(json!(true)));
    }
    assert_eq!(one, open["items"][0]);
    let path = format!("/api/improvements/opportunities/{id}/dismiss");
    let send = async |body: &str, kind: &str| {
        server.request(Method::POST, &path, &[("content-type", kind)], Body::from(body.to_owned())).await
    };
    let json = "application/json";
    for (body, kind) in [
        ("{}", json),
        ("{\"reason\":\" \"}", json),
        ("{\"reason\":1}", json),
        ("{\"reason\":\"x\",\"y\":1}", json),
        ("nothing", json),
        ("", json),
        ("{\"reason\":\"x\"}", "text/plain"),
    ] {
        let answer = send(body, kind).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "invalid_body"), "{body} {answer:?}");
    }
    let long = format!("{{\"reason\":\"{}\"}}", "x".repeat(70_000));
    assert_eq!(send(&long, json).await.code(), "body_too_large");
    let answer = send("{\"reason\":\"known and harmless\"}", json).await;
    assert_eq!((answer.status, answer.json()["status"].as_str()), (StatusCode::OK, Some("dismissed")), "{answer:?}");
    assert_eq!(answer.json()["resolution"], "known and harmless");
    assert_eq!(send("{\"reason\":\"again\"}", json).await.code(), "not_open");
    let path = "/api/improvements/opportunities/99/dismiss";
    let body = Body::from("{\"reason\":\"x\"}");
    assert_eq!(server.request(Method::POST, path, &[("content-type", json)], body).await.code(), "not_found");
}
