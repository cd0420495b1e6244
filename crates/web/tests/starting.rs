//! An opportunity is started by hand: over HTTP and by the form on its page.
#![allow(clippy::unwrap_used)]

mod common;

use axum::body::Body;
use axum::http::Method;
use common::{Answer, Server};
use serde_json::{Value, json};
use uplift_model::Policy;
use uplift_model::access::Role;
use uplift_model::policy::Mode;
use uplift_runner::access::Wanted;
use uplift_runner::watch;

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

/// Nothing is started here unless somebody says so.
fn policy() -> Policy {
    let mut policy = Policy::default();
    policy.engine.mode = Mode::Observe;
    policy
}

/// A server that has found so many opportunities: tools of an agent that fail.
async fn server(tools: &[&str]) -> Server {
    let server = Server::with(policy());
    watch::prepare(&server.engine).await.unwrap();
    let body = Body::from(json!({"configuration": {"model": "m"}}).to_string());
    let json = [("content-type", "application/json")];
    let put = server.request(Method::PUT, "/api/entities/agent/support", &json, body).await;
    assert_eq!(put.status.as_u16(), 201, "{put:?}");
    for tool in tools {
        let lines: Vec<String> = (0..6)
            .map(|number| {
                json!({"id": "1", "ts": format!("2026-01-31T0{number}:00:00Z"), "event_type": "TOOL_EXECUTED",
                    "agent": "support", "tool": tool, "task_id": format!("{tool}-{number}"), "outcome": "ERROR",
                    "error_type": "ToolError", "content": "it is gone"})
                .to_string()
            })
            .collect();
        assert_eq!(server.post_events(lines.join("\n")).await.json()["accepted"], 6);
    }
    watch::settle(&server.engine).await.unwrap();
    server
}

/// The numbers of the opportunities that are pending.
async fn pending(server: &Server) -> Vec<i64> {
    let list = server.get("/api/improvements/opportunities?status=pending&kind=recurring_error").await.json();
    list["items"].as_array().unwrap().iter().map(|one| one["id"].as_i64().unwrap()).collect()
}

async fn post(server: &Server, path: &str, body: &Value) -> Answer {
    let json = [("content-type", "application/json")];
    server.request(Method::POST, path, &json, Body::from(body.to_string())).await
}

async fn start(server: &Server, id: i64) -> Answer {
    let path = format!("/api/improvements/opportunities/{id}/start");
    server.request(Method::POST, &path, &[], Body::empty()).await
}

#[tokio::test]
async fn what_waits_is_started_at_once_and_only_once() {
    let server = server(&["search", "fetch"]).await;
    let [first, second] = pending(&server).await[..] else { panic!("two were found") };
    let begun = start(&server, first).await;
    let answer = begun.json();
    assert_eq!((begun.status.as_u16(), &answer["opportunity"]["status"]), (200, &json!("in_progress")), "{answer:#}");
    let [improvement] = &answer["improvements"].as_array().unwrap()[..] else { panic!("one is made: {answer:#}") };
    assert_eq!((&improvement["opportunity_id"], &improvement["entity_name"]), (&json!(first), &json!("support")));
    // Under way already: that is the answer, and nothing is made.
    let again = start(&server, first).await;
    assert_eq!(
        (again.status.as_u16(), &again.json()["improvements"][0]["id"]),
        (200, &improvement["id"]),
        "{again:?}"
    );
    // Two who are just as quick get the same.
    let (a, b) = tokio::join!(start(&server, second), start(&server, second));
    assert_eq!((a.status.as_u16(), b.status.as_u16()), (200, 200), "{a:?} {b:?}");
    assert_eq!(a.json()["improvements"][0]["id"], b.json()["improvements"][0]["id"]);
    let made = server.get("/api/improvements").await.json();
    assert_eq!(made["items"].as_array().unwrap().len(), 2, "{made:#}");
}

#[tokio::test]
async fn what_is_not_pending_is_not_started() {
    let server = server(&["search", "fetch"]).await;
    let [dismissed, cancelled] = pending(&server).await[..] else { panic!("two were found") };
    let path = format!("/api/improvements/opportunities/{dismissed}/dismiss");
    assert_eq!(post(&server, &path, &json!({"reason": "known"})).await.status.as_u16(), 200);
    let answer = start(&server, dismissed).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (409, "not_open"));
    assert!(answer.json()["detail"].as_str().unwrap().contains("dismissed"), "{answer:?}");
    // Whose improvement was called off is pending again, though nothing claims it yet: whoever wants to starts it anew.
    let first = start(&server, cancelled).await.json()["improvements"][0]["id"].clone();
    let path = format!("/api/improvements/{first}/cancel");
    assert_eq!(post(&server, &path, &json!({"reason": "not now"})).await.status.as_u16(), 200);
    assert_eq!(pending(&server).await, [cancelled]);
    let anew = start(&server, cancelled).await;
    assert_eq!(anew.status.as_u16(), 200, "{anew:?}");
    assert_ne!(anew.json()["improvements"][0]["id"], first);
    for (path, status, code) in [
        ("999", 404, "not_found"),
        ("0", 404, "not_found"),
        ("x", 400, "invalid_parameter"),
        ("99999999999999999999", 400, "invalid_parameter"),
    ] {
        let answer = post(&server, &format!("/api/improvements/opportunities/{path}/start"), &json!({})).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (status, code), "{path}");
    }
}

#[tokio::test]
async fn the_form_starts_and_leads_to_the_improvement() {
    let server = server(&["search", "fetch"]).await;
    let [id, dismissed] = pending(&server).await[..] else { panic!("two were found") };
    let page = server.get(&format!("/opportunities/{id}")).await.text;
    assert!(page.contains(&format!("action=\"/opportunities/{id}/start\"")), "{page}");
    let at = page.find("name=\"form_token\" value=\"").unwrap();
    let token = page[at..].split('"').nth(3).unwrap().to_owned();
    let send = async |id: i64, form: &str| {
        let path = format!("/opportunities/{id}/start");
        server.request(Method::POST, &path, &[FORM], Body::from(form.to_owned())).await
    };
    let right = format!("form_token={token}");
    for wrong in ["", "form_token=", &right[..right.len() - 1]] {
        assert_eq!(send(id, wrong).await.status.as_u16(), 403, "{wrong}");
    }
    assert_eq!(pending(&server).await.len(), 2, "nothing was started");
    let begun = send(id, &right).await;
    assert_eq!(begun.status.as_u16(), 303, "{begun:?}");
    let place = begun.header("location").to_owned();
    assert!(place.starts_with("/improvements/") && place.ends_with("?done=started"), "{place}");
    assert_eq!(server.get(&place).await.status.as_u16(), 200);
    assert_eq!(send(id, &right).await.header("location"), place, "it is under way already");
    let page = server.get(&format!("/opportunities/{id}")).await.text;
    assert!(!page.contains(&format!("action=\"/opportunities/{id}/start\"")), "it is not offered again");
    let path = format!("/api/improvements/opportunities/{dismissed}/dismiss");
    post(&server, &path, &json!({"reason": "known"})).await;
    for (id, status) in [(dismissed, 409), (999, 404)] {
        let answer = send(id, &right).await;
        assert_eq!(answer.status.as_u16(), status, "{id}");
        assert!(answer.header("content-type").starts_with("text/html"), "{answer:?}");
    }
}

#[tokio::test]
async fn who_only_looks_starts_nothing() {
    let server = server(&["search"]).await;
    let id = pending(&server).await[0];
    let server = server.asking_for_tokens();
    for (role, status) in [(Role::Viewer, 403), (Role::Agent, 403), (Role::Operator, 200)] {
        let entities = if role == Role::Agent { vec!["agent/support".parse().unwrap()] } else { Vec::new() };
        let wanted = Wanted { name: role.as_str().to_owned(), role, entities, expires_at: None };
        let secret = server.engine.make_token(wanted, "test").await.unwrap().secret;
        let bearer = format!("Bearer {secret}");
        let headers = [("authorization", bearer.as_str()), FORM];
        let form = format!("/opportunities/{id}/start");
        let answer = server.request(Method::POST, &form, &headers, Body::from("form_token=x")).await;
        assert_eq!(answer.status.as_u16(), 403, "{role:?} has no form of ours");
        let page = server.request(Method::GET, &format!("/opportunities/{id}"), &headers, Body::empty()).await;
        assert_eq!(page.text.contains("Start an improvement"), role == Role::Operator, "{role:?}");
        let path = format!("/api/improvements/opportunities/{id}/start");
        let answer = server.request(Method::POST, &path, &headers, Body::empty()).await;
        assert_eq!(answer.status.as_u16(), status, "{role:?} {answer:?}");
    }
    assert_eq!(start(&server, id).await.status.as_u16(), 401);
}
