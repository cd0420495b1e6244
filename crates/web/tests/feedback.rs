//! Scores of tasks: whose word they are, what they become, and whether trials count them.
#![allow(clippy::unwrap_used)]

mod common;

use axum::body::Body;
use axum::http::{Method, StatusCode};
use common::{Answer, NOW, Server};
use serde_json::{Value, json};
use uplift_model::access::Role;
use uplift_model::metric::{CustomMetric, DeclaredMetric, Direction, Roles, ScoreKind, ScoreSource};
use uplift_model::{Policy, Time};
use uplift_runner::access::Wanted;
use uplift_web::Guarding;

fn helpful() -> Policy {
    let metric = CustomMetric {
        name: "helpful".to_owned(),
        kind: ScoreKind::Boolean,
        direction: Direction::Higher,
        weight: 1.0,
        margin: None,
        source: ScoreSource::Human,
        attribution_window_ms: 60_000.0,
    };
    let roles = Roles { goal: true, ..Roles::default() };
    Policy { metrics: vec![DeclaredMetric { metric, roles }], ..Policy::default() }
}

async fn give(server: &Server, token: Option<&str>, body: &Value) -> Answer {
    let mut headers = vec![("content-type", "application/json")];
    headers.extend(token.map(|token| ("authorization", token)));
    server.request(Method::POST, "/api/feedback", &headers, Body::from(body.to_string())).await
}

/// A task of an agent that ended 30 s ago.
async fn task(server: &Server, token: Option<&str>, agent: &str, task: &str) {
    let at = |seconds: i64| Time::from_micros(NOW.micros() + seconds * 1_000_000).to_string();
    let event = |id: &str, kind: &str, seconds| json!({"id": id, "event_type": kind, "agent": agent, "task_id": task, "ts": at(seconds)});
    let events = json!([event("s", "TASK_STARTED", -40), event("e", "TASK_COMPLETED", -30)]);
    let mut headers = vec![("content-type", "application/json")];
    headers.extend(token.map(|token| ("authorization", token)));
    let answer = server.request(Method::POST, "/api/events", &headers, Body::from(events.to_string())).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
}

/// The FEEDBACK events of a task: entity, source, attributes, text.
async fn given(server: &Server, task: &str) -> Vec<Value> {
    let page = server.get(&format!("/api/events?task_id={task}&event_type=FEEDBACK")).await.json();
    let fields = ["entity_name", "source", "attributes", "content"];
    page["items"].as_array().unwrap().iter().map(|event| fields.map(|field| event[field].clone()).into()).collect()
}

#[tokio::test]
async fn a_score_becomes_an_event_that_trials_count() {
    let server = Server::with(helpful());
    task(&server, None, "support", "t").await;
    let human =
        json!({"task_id": "t", "name": "helpful", "score": true, "source": "human", "comment": "Quick.", "id": "f"});
    let receipt = give(&server, None, &human).await;
    assert_eq!(receipt.status, StatusCode::OK, "{receipt:?}");
    let expected = json!({"id": "f", "task_id": "t", "task_known": true, "name": "helpful", "source": "human",
        "duplicate": false, "counts": true, "note": null});
    assert_eq!(receipt.json(), expected);
    let event = json!(["support", "human", {"name": "helpful", "score": true, "by": "local"}, "Quick."]);
    assert_eq!(given(&server, "t").await, [event]);
    // What is not counted is said.
    let late = Time::from_micros(NOW.micros() + 50_000_000).to_string();
    for (body, note) in [
        (json!({"task_id": "t", "name": "helpful", "score": 1}), "comes from `environment`"),
        (json!({"task_id": "t", "name": "polite", "score": 0.25, "source": "human"}), "no metric `polite`"),
        (json!({"task_id": "t", "name": "helpful", "comment": "Hm.", "source": "human"}), "without a score"),
        (json!({"task_id": "t", "name": "helpful", "score": 0, "source": "human", "ts": late}), "within 60 s"),
    ] {
        let receipt = give(&server, None, &body).await.json();
        assert_eq!(receipt["counts"], false, "{receipt}");
        assert!(receipt["note"].as_str().unwrap().contains(note), "{receipt}");
        assert!(receipt["id"].as_str().unwrap().starts_with("feedback-"), "{receipt}");
    }
    assert_eq!(given(&server, "t").await.len(), 5);
    assert_eq!(server.get("/api/tasks/t").await.json()["entity_name"], "support");
}

#[tokio::test]
async fn the_same_again_changes_nothing_and_what_cannot_be_is_refused() {
    let server = Server::new();
    task(&server, None, "support", "t").await;
    let ts = NOW.to_string();
    let body = json!({"task_id": "t", "score": 4.5, "id": "f", "ts": ts});
    assert_eq!(give(&server, None, &body).await.json()["duplicate"], false);
    assert_eq!(give(&server, None, &body).await.json()["duplicate"], true);
    let other = give(&server, None, &json!({"task_id": "t", "score": 1, "id": "f", "ts": ts})).await;
    assert_eq!((other.status.as_u16(), other.code().as_str()), (422, "invalid_value"));
    assert!(other.text.contains("id_conflict"), "{other:?}");
    for (body, code) in [
        (json!({"task_id": "t"}), "invalid_value"),
        (json!({"task_id": "t", "comment": " "}), "invalid_value"),
        (json!({"task_id": "t", "score": "good"}), "invalid_body"),
        (json!({"task_id": "t", "score": 1, "stars": 5}), "invalid_body"),
        (json!({"score": 1}), "invalid_body"),
        (json!({"task_id": "", "score": 1}), "invalid_parameter"),
        (json!({"task_id": "t", "score": 1, "source": "robot"}), "invalid_parameter"),
        (json!({"task_id": "t", "score": 1, "name": "n".repeat(201)}), "invalid_value"),
        (json!({"task_id": "t", "score": 1, "ts": "yesterday"}), "invalid_value"),
        (json!({"task_id": "t", "score": 1, "ts": "2099-01-01T00:00:00Z"}), "invalid_value"),
        (json!({"task_id": "t", "score": 1, "agent": "12"}), "invalid_value"),
        (json!({"task_id": "unknown", "score": 1}), "not_found"),
        (json!({"task_id": "t", "score": 1, "environment": "staging"}), "not_found"),
    ] {
        assert_eq!(give(&server, None, &body).await.code(), code, "{body}");
    }
    assert_eq!(given(&server, "t").await.len(), 1);
    // Feedback may come before its task, where it says whose that is.
    let early = give(&server, None, &json!({"task_id": "later", "score": 1, "agent": "support"})).await.json();
    assert_eq!(early["task_known"], false);
    task(&server, None, "support", "later").await;
    assert_eq!(given(&server, "later").await.len(), 1);
}

#[tokio::test]
async fn an_agents_word_of_itself_is_its_own() {
    let server = Server::guarded(helpful(), Guarding { tokens: true, behind_proxy: false, tls: false });
    let token = async |name: &str, role, entities: &[&str]| {
        let entities = entities.iter().map(|text| text.parse().unwrap()).collect();
        let wanted = Wanted { name: name.into(), role, entities, expires_at: None };
        format!("Bearer {}", server.engine.make_token(wanted, "test").await.unwrap().secret)
    };
    let support = token("support", Role::Agent, &["agent/support"]).await;
    let judge = token("judge", Role::Agent, &["agent/judge"]).await;
    let fleet = token("fleet", Role::Agent, &["*:agent/*"]).await;
    let operator = token("op", Role::Operator, &[]).await;
    let viewer = token("viewer", Role::Viewer, &[]).await;
    task(&server, Some(&support), "support", "t").await;
    for (token, source, became) in [
        (&support, None, Ok("self")),
        (&support, Some("self"), Ok("self")),
        (&support, Some("environment"), Err(403)),
        (&support, Some("human"), Err(403)),
        (&judge, None, Ok("environment")),
        (&judge, Some("human"), Err(403)),
        (&fleet, None, Ok("environment")),
        (&fleet, Some("human"), Ok("human")),
        (&operator, None, Ok("environment")),
        (&operator, Some("human"), Ok("human")),
        (&operator, Some("self"), Ok("self")),
        (&viewer, None, Err(403)),
    ] {
        let mut body = json!({"task_id": "t", "name": "helpful", "score": 1});
        if let Some(source) = source {
            body["source"] = source.into();
        }
        let answer = give(&server, Some(token), &body).await;
        let found = if answer.status == StatusCode::OK {
            Ok(answer.json()["source"].as_str().unwrap().to_owned())
        } else {
            Err(answer.status.as_u16())
        };
        assert_eq!(found, became.map(str::to_owned), "{token} {source:?}");
    }
    // Nobody speaks for somebody else.
    let foreign = give(&server, Some(&judge), &json!({"task_id": "t", "score": 1, "agent": "support"})).await;
    assert_eq!(foreign.status, StatusCode::FORBIDDEN);
    let page = server
        .request(
            Method::GET,
            "/api/events?task_id=t&event_type=FEEDBACK",
            &[("authorization", &operator)],
            Body::empty(),
        )
        .await
        .json();
    let judged: Vec<_> =
        page["items"].as_array().unwrap().iter().filter(|event| event["entity_name"] == "judge").collect();
    assert_eq!((judged.len(), &judged[0]["attributes"]["by"]), (1, &json!("judge")));
    assert_eq!(give(&server, None, &json!({"task_id": "t", "score": 1})).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn an_agent_does_not_learn_where_others_are() {
    let server = Server::guarded(Policy::default(), Guarding { tokens: true, ..Guarding::default() });
    let token = |name: &str, entity: &str| {
        let wanted = Wanted {
            name: name.into(),
            role: Role::Agent,
            entities: vec![entity.parse().unwrap()],
            expires_at: None,
        };
        let engine = server.engine.clone();
        async move { format!("Bearer {}", engine.make_token(wanted, "test").await.unwrap().secret) }
    };
    let (all, own) = (token("all", "*:agent/*").await, token("own", "agent/a").await);
    let event = |environment: &str, task: &str| json!({"id": environment, "event_type": "TASK_STARTED", "agent": "hidden", "task_id": task, "environment": environment});
    let events = json!([event("staging", "one"), event("staging", "two"), event("production", "two")]);
    let headers = [("content-type", "application/json"), ("authorization", all.as_str())];
    server.request(Method::POST, "/api/events", &headers, Body::from(events.to_string())).await;
    for task in ["one", "two", "none"] {
        let answer = give(&server, Some(&own), &json!({"task_id": task, "score": true, "id": task})).await;
        let receipt = answer.json();
        assert_eq!((answer.status.as_u16(), &receipt["task_known"]), (200, &json!(false)), "{task}: {receipt}");
    }
}
