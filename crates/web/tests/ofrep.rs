//! What is resolved, as OpenFeature's protocol has it: keys, failures, tags, several at once, and agents' tokens.
#![allow(clippy::unwrap_used)]

mod common;

use axum::body::Body;
use axum::http::{Method, StatusCode};
use common::{Answer, Server};
use serde_json::{Value, json};
use uplift_model::Policy;
use uplift_model::access::Role;
use uplift_runner::access::Wanted;
use uplift_web::Guarding;

const BULK: &str = "/ofrep/v1/evaluate/flags";

impl Server {
    async fn configured(&self, agent: &str, configuration: Value) {
        let body = json!({ "defaults": configuration }).to_string();
        let headers = [("content-type", "application/json")];
        let path = format!("/api/resolve/agent/{agent}");
        let answer = self.request(Method::POST, &path, &headers, Body::from(body)).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    }

    async fn evaluate(&self, key: &str, body: &str) -> Answer {
        let path = format!("{BULK}/{key}");
        self.request(Method::POST, &path, &[("content-type", "application/json")], Body::from(body.to_owned())).await
    }

    async fn bulk(&self, body: &Value, headers: &[(&str, &str)]) -> Answer {
        self.request(Method::POST, BULK, headers, Body::from(body.to_string())).await
    }
}

fn configuration() -> Value {
    json!({"model": "large", "instruction": {"text": "Help."}, "parameters": {"timeout_ms": 5000, "temperature": 0.5},
        "tools": [{"name": "search", "required": true}], "cache": true})
}

#[tokio::test]
async fn keys_name_configurations_and_their_fields() {
    let server = Server::new();
    server.configured("researcher", configuration()).await;
    server.configured("team%2Flead", json!({"model": "small"})).await;
    let whole = server.evaluate("agent/researcher", r#"{"context":{"targetingKey":"t1"}}"#).await;
    assert_eq!(whole.status, StatusCode::OK, "{whole:?}");
    let whole = whole.json();
    assert_eq!((&whole["key"], &whole["reason"]), (&json!("agent/researcher"), &json!("STATIC")));
    assert_eq!(whole["value"]["parameters"], configuration()["parameters"]);
    let revision = server.get("/api/resolve/agent/researcher").await.json()["revision"].clone();
    assert_eq!(whole["variant"], revision);
    assert_eq!(
        whole["metadata"],
        json!({"version": revision, "revision": revision, "served": "no_trial", "environment": "default"})
    );
    for (key, value) in [
        ("agent/researcher/model", json!("large")),
        ("agent/1/model", json!("large")),
        ("agent%2Fresearcher%2Fmodel", json!("large")),
        ("agent/researcher/parameters.timeout_ms", json!(5000)),
        ("agent/researcher/parameters.temperature", json!(0.5)),
        ("agent/researcher/instruction.text", json!("Help.")),
        ("agent/researcher/cache", json!(true)),
        ("agent/researcher/tools", json!([{"name": "search", "required": true}])),
        ("agent/team/lead/model", json!("small")),
    ] {
        let answer = server.evaluate(key, "{}").await;
        assert_eq!((answer.status, &answer.json()["value"]), (StatusCode::OK, &value), "{key}");
    }
    for key in
        ["agent/nobody", "agent/researcher/nothing", "robot/researcher", "agent", "agent/", "agent/researcher/", "x"]
    {
        let answer = server.evaluate(key, "{}").await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{key}");
        let failure = answer.json();
        assert_eq!((&failure["key"], &failure["errorCode"]), (&json!(key), &json!("FLAG_NOT_FOUND")), "{failure}");
        assert!(failure["errorDetails"].as_str().is_some_and(|details| !details.is_empty()));
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_said_in_the_protocols_words() {
    let server = Server::new();
    server.configured("researcher", configuration()).await;
    let long = format!(r#"{{"context":{{"targetingKey":"{}"}}}}"#, "x".repeat(513));
    for (body, code) in [
        ("{", "PARSE_ERROR"),
        ("7", "PARSE_ERROR"),
        (r#"{"context":[]}"#, "INVALID_CONTEXT"),
        (r#"{"context":{"targetingKey":""}}"#, "TARGETING_KEY_MISSING"),
        (r#"{"context":{"targetingKey":7}}"#, "INVALID_CONTEXT"),
        (r#"{"context":{"environment":""}}"#, "INVALID_CONTEXT"),
        (r#"{"context":{"flags":[1]}}"#, "INVALID_CONTEXT"),
        (long.as_str(), "INVALID_CONTEXT"),
    ] {
        let answer = server.evaluate("agent/researcher", body).await;
        assert_eq!((answer.status, &answer.json()["errorCode"]), (StatusCode::BAD_REQUEST, &json!(code)), "{body}");
        let many = server.request(Method::POST, BULK, &[], Body::from(body.to_owned())).await;
        assert_eq!((many.status, &many.json()["errorCode"]), (StatusCode::BAD_REQUEST, &json!(code)), "{body}");
    }
    for body in ["", "{}", r#"{"context":null}"#, r#"{"context":{"targetingKey":null,"else":{"a":[1]}},"more":1}"#] {
        assert_eq!(server.evaluate("agent/researcher", body).await.status, StatusCode::OK, "{body}");
    }
    let large = server.evaluate("agent/researcher", &" ".repeat(70_000)).await;
    assert_eq!((large.status, &large.json()["errorCode"]), (StatusCode::PAYLOAD_TOO_LARGE, &json!("GENERAL")));
    let get = server.get("/ofrep/v1/evaluate/flags/agent/researcher").await;
    assert_eq!(get.status, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn an_environment_is_a_context_attribute() {
    let server = Server::new();
    let headers = [("content-type", "application/json")];
    let body = json!({"environment": "staging", "defaults": {"model": "s"}}).to_string();
    server.request(Method::POST, "/api/resolve/agent/a", &headers, Body::from(body)).await;
    let ask =
        async |context: Value| server.evaluate("agent/a/model", &json!({ "context": context }).to_string()).await;
    assert_eq!(ask(json!({"environment": "staging"})).await.json()["value"], "s");
    // The only one of that name.
    assert_eq!(ask(json!({})).await.json()["metadata"]["environment"], "staging");
    assert_eq!(ask(json!({"environment": "default"})).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn several_at_once_and_what_is_known_is_not_sent_again() {
    let server = Server::new();
    server.configured("researcher", configuration()).await;
    let asked = json!({"context": {"targetingKey": "t", "flags": ["agent/researcher/model", "agent/nobody"]}});
    let answer = server.bulk(&asked, &[]).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let flags = answer.json()["flags"].clone();
    assert_eq!((&flags[0]["value"], &flags[1]["errorCode"]), (&json!("large"), &json!("FLAG_NOT_FOUND")));
    assert_eq!(flags[1]["key"], "agent/nobody");
    let tag = answer.header("etag").to_owned();
    let again = server.bulk(&asked, &[("if-none-match", &tag)]).await;
    assert_eq!(
        (again.status, again.text.as_str(), again.header("etag")),
        (StatusCode::NOT_MODIFIED, "", tag.as_str())
    );
    // All of one, field by field; a text with commas does as well.
    let all =
        server.bulk(&json!({"context": {"flags": "agent/researcher/*, agent/researcher/model"}}), &[]).await.json();
    let keys: Vec<&str> = all["flags"].as_array().unwrap().iter().map(|flag| flag["key"].as_str().unwrap()).collect();
    let expected = [
        "agent/researcher",
        "agent/researcher/cache",
        "agent/researcher/instruction.guidelines",
        "agent/researcher/instruction.next_guideline",
        "agent/researcher/instruction.text",
        "agent/researcher/model",
        "agent/researcher/parameters.temperature",
        "agent/researcher/parameters.timeout_ms",
        "agent/researcher/tools",
        "agent/researcher/model",
    ];
    assert_eq!(keys, expected);
    server.configured("researcher", json!({"model": "other"})).await;
    let changed = server.bulk(&asked, &[("if-none-match", &tag)]).await;
    assert_eq!((changed.status, &changed.json()["flags"][0]["value"]), (StatusCode::OK, &json!("other")));
    // Bounds.
    let unsaid = server.bulk(&json!({}), &[]).await.json();
    assert_eq!(unsaid["errorCode"], "INVALID_CONTEXT");
    let many: Vec<String> = (0..101).map(|number| format!("agent/{number}")).collect();
    let many = server.bulk(&json!({"context": {"flags": many}}), &[]).await.json();
    assert_eq!(many["errorCode"], "INVALID_CONTEXT");
    let wide: serde_json::Map<String, Value> = (0..1_100).map(|number| (format!("f{number}"), json!(1))).collect();
    server.configured("wide", Value::from(wide)).await;
    let wide = server.bulk(&json!({"context": {"flags": ["agent/wide/*"]}}), &[]).await;
    assert_eq!((wide.status, &wide.json()["errorCode"]), (StatusCode::BAD_REQUEST, &json!("GENERAL")));
}

#[tokio::test]
async fn agents_see_themselves() {
    let server = Server::guarded(Policy::default(), Guarding { tokens: true, behind_proxy: false, tls: false });
    let token = async |name: &str, role, entities: &[&str]| {
        let entities = entities.iter().map(|text| text.parse().unwrap()).collect();
        let wanted = Wanted { name: name.into(), role, entities, expires_at: None };
        format!("Bearer {}", server.engine.make_token(wanted, "test").await.unwrap().secret)
    };
    let operator = token("op", Role::Operator, &[]).await;
    let agent = token("a", Role::Agent, &["agent/a", "staging:agent/a"]).await;
    let viewer = token("v", Role::Viewer, &[]).await;
    let ask = async |token: &str, path: &str, body: Value| {
        let headers = [("authorization", token), ("content-type", "application/json")];
        server.request(Method::POST, path, &headers, Body::from(body.to_string())).await
    };
    for (name, environment) in [("a", "default"), ("a", "staging"), ("b", "default")] {
        let body = json!({"environment": environment, "defaults": {"model": format!("{name} {environment}")}});
        assert_eq!(ask(&operator, &format!("/api/resolve/agent/{name}"), body).await.status, StatusCode::OK);
    }
    let one = |key: &str| format!("{BULK}/{key}");
    assert_eq!(ask(&agent, &one("agent/a/model"), json!({})).await.json()["value"], "a default");
    let staging = json!({"context": {"environment": "staging"}});
    assert_eq!(ask(&agent, &one("agent/a/model"), staging.clone()).await.json()["value"], "a staging");
    for key in ["agent/b", "agent/b/model", "agent/nobody"] {
        let refused = ask(&agent, &one(key), json!({})).await;
        assert_eq!(
            (refused.status, &refused.json()["errorCode"]),
            (StatusCode::FORBIDDEN, &json!("GENERAL")),
            "{key}"
        );
    }
    assert_eq!(ask(&operator, &one("agent/b/model"), json!({})).await.json()["value"], "b default");
    assert_eq!(ask(&viewer, &one("agent/b/model"), json!({})).await.status, StatusCode::FORBIDDEN);
    assert_eq!(server.evaluate("agent/a", "{}").await.status, StatusCode::UNAUTHORIZED);
    // An agent need not say for whom it asks.
    let own = ask(&agent, BULK, staging).await.json();
    let keys: Vec<_> =
        own["flags"].as_array().unwrap().iter().map(|flag| (flag["key"].clone(), flag["value"].clone())).collect();
    assert_eq!(
        keys,
        [(json!("agent/a"), json!({"model": "a staging"})), (json!("agent/a/model"), json!("a staging"))]
    );
    let others = ask(&agent, BULK, json!({"context": {"flags": ["agent/b", "agent/a/model"]}})).await.json();
    assert_eq!(
        (&others["flags"][0]["errorCode"], &others["flags"][1]["value"]),
        (&json!("GENERAL"), &json!("a default"))
    );
}
