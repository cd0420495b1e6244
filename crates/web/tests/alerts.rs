//! Alerts over HTTP and on their page: listed, looked after, resolved by hand, by whom it may be done.
#![allow(clippy::unwrap_used)]

mod common;

use axum::body::Body;
use axum::http::Method;
use common::{Answer, Server};
use serde_json::{Value, json};
use uplift_model::Policy;
use uplift_model::access::Role;
use uplift_runner::access::Wanted;
use uplift_runner::watch;

const PATH: &str = "/api/improvements/alerts";
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

/// One pending opportunity is a backlog here: an alert that nobody resolves by hand.
fn policy() -> Policy {
    let mut policy = Policy::default();
    policy.detection.backlog_alert = 0;
    policy
}

/// Has a tool fail so many times within an hour of 2026-01-31, once in each of as many tasks.
async fn fail(server: &Server, tool: &str, hour: u32, times: u32) {
    let line = |number: u32, more: Value| {
        let (task, minute) = (format!("{tool}-{hour}-{number}"), number);
        let mut line =
            json!({"ts": format!("2026-01-31T{hour:02}:{minute:02}:00Z"), "agent": "support", "task_id": task});
        line.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        line.to_string()
    };
    let lines: Vec<String> = (0..times)
        .flat_map(|number| {
            let failed = json!({"id": "1", "event_type": "TOOL_EXECUTED", "tool": tool, "outcome": "ERROR",
                "error_type": "ToolError", "content": "it is gone"});
            [line(number, failed), line(number, json!({"id": "2", "event_type": "TASK_COMPLETED"}))]
        })
        .collect();
    let answer = server.post_events(lines.join("\n")).await;
    assert_eq!(answer.json()["accepted"], 2 * times, "{answer:?}");
    watch::settle(&server.engine).await.unwrap();
}

/// A server on which three tools fail again and again, and the opportunities wait.
async fn troubled(server: Server) -> Server {
    watch::prepare(&server.engine).await.unwrap();
    for tool in ["search", "fetch", "book"] {
        fail(&server, tool, 11, 6).await;
    }
    server
}

async fn post(server: &Server, path: &str, body: &Value) -> Answer {
    let json = [("content-type", "application/json")];
    server.request(Method::POST, path, &json, Body::from(body.to_string())).await
}

async fn listed(server: &Server, query: &str) -> Value {
    let answer = server.get(&format!("{PATH}{query}")).await;
    assert_eq!(answer.status.as_u16(), 200, "{answer:?}");
    answer.json()
}

/// Numbers of alerts, as listed.
fn ids(list: &Value) -> Vec<i64> {
    list["items"].as_array().unwrap().iter().map(|alert| alert["id"].as_i64().unwrap()).collect()
}

/// The latest alert of a kind that holds.
async fn of_kind(server: &Server, kind: &str) -> i64 {
    let list = listed(server, "").await;
    let found = list["items"].as_array().unwrap().iter().find(|alert| alert["kind"] == kind);
    found.unwrap_or_else(|| panic!("{list:#}"))["id"].as_i64().unwrap()
}

#[tokio::test]
async fn alerts_are_listed_page_by_page_and_shown_one_by_one() {
    let server = troubled(Server::with(policy())).await;
    let all = listed(&server, "").await;
    assert_eq!((ids(&all).len(), &all["next"]), (4, &Value::Null), "{all:#}");
    let mut paged = Vec::new();
    let mut query = "?limit=3".to_owned();
    for expected in [3, 1] {
        let page = listed(&server, &query).await;
        assert_eq!(ids(&page).len(), expected, "{page:#}");
        paged.extend(ids(&page));
        query = format!("?limit=3&cursor={}", page["next"].as_str().unwrap_or_default());
    }
    assert_eq!((&paged, query.as_str()), (&ids(&all), "?limit=3&cursor="), "the last page leads nowhere");
    assert!(paged.is_sorted_by(|a, b| a > b), "the latest first: {paged:?}");
    for item in all["items"].as_array().unwrap() {
        let one = server.get(&format!("{PATH}/{}", item["id"])).await.json();
        assert_eq!((&one, &one["state"], &one["active"]), (item, &json!("open"), &json!(true)));
    }
    let recurring = &all["items"].as_array().unwrap().iter().find(|one| one["kind"] == "recurring_failure").unwrap();
    assert_eq!((&recurring["value"], &recurring["threshold"]), (&json!(6.0), &json!(5.0)), "{recurring:#}");
    assert_eq!(recurring["entity"]["entity_type"], "agent");
    for (path, status, code) in [
        ("/999", 404, "not_found"),
        ("/0", 404, "not_found"),
        ("/x", 400, "invalid_parameter"),
        ("/99999999999999999999", 400, "invalid_parameter"),
        ("?active_only=maybe", 400, "invalid_parameter"),
        ("?limit=0", 400, "invalid_parameter"),
        ("?kind=all", 400, "invalid_parameter"),
        ("?cursor=nonsense", 400, "bad_cursor"),
    ] {
        let answer = server.get(&format!("{PATH}{path}")).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (status, code), "{path}");
    }
}

#[tokio::test]
async fn somebody_looks_after_an_alert_and_the_last_word_counts() {
    let server = troubled(Server::with(policy())).await;
    let id = of_kind(&server, "recurring_failure").await;
    let path = format!("{PATH}/{id}/acknowledge");
    for (body, by, note) in [
        (json!({"by": "ada", "note": " on it "}), "ada", json!("on it")),
        (json!({"by": "bob"}), "bob", Value::Null),
        (json!({"note": " "}), "operator", Value::Null),
    ] {
        let answer = post(&server, &path, &body).await;
        let alert = answer.json();
        assert_eq!((answer.status.as_u16(), &alert["state"]), (200, &json!("acknowledged")), "{alert:#}");
        assert_eq!((&alert["acknowledged"]["by"], &alert["acknowledged"]["note"]), (&json!(by), &note), "{alert:#}");
        assert_eq!(server.get(&format!("{PATH}/{id}")).await.json(), alert);
    }
    let bare = server.request(Method::POST, &path, &[], Body::empty()).await;
    assert_eq!(bare.json()["acknowledged"]["by"], "operator", "{bare:?}");
    for (body, code) in [
        (json!({"note": "x".repeat(1_001)}), "invalid_value"),
        (json!({"by": "x".repeat(201)}), "invalid_body"),
        (json!({"by": ""}), "invalid_body"),
        (json!({"by": "ada", "state": "resolved"}), "invalid_body"),
        (json!([]), "invalid_body"),
    ] {
        assert_eq!(post(&server, &path, &body).await.code(), code, "{body}");
    }
    for (path, status) in [("999/acknowledge", 404), ("999/resolve", 404), ("x/acknowledge", 400), ("x/resolve", 400)]
    {
        assert_eq!(post(&server, &format!("{PATH}/{path}"), &json!({})).await.status.as_u16(), status, "{path}");
    }
    // What is measured later leaves it acknowledged: it is the same alert.
    let before = server.get(&format!("{PATH}/{id}")).await.json();
    for tool in ["search", "fetch", "book"] {
        fail(&server, tool, 10, 9).await;
    }
    let after = server.get(&format!("{PATH}/{id}")).await.json();
    assert_eq!((&after["acknowledged"], &after["value"]), (&before["acknowledged"], &json!(9.0)), "{after:#}");
    assert_eq!(ids(&listed(&server, "").await).len(), 4, "no further ones");
}

#[tokio::test]
async fn a_recurring_failure_is_resolved_by_hand_once_and_only_later_errors_raise_it_again() {
    let server = troubled(Server::with(policy())).await;
    server.clock.set(common::NOW.plus_micros(30 * 60_000_000));
    let backlog = of_kind(&server, "opportunity_backlog").await;
    let refused = post(&server, &format!("{PATH}/{backlog}/resolve"), &json!({})).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (409, "wrong_status"), "it ends by itself");
    let id = of_kind(&server, "recurring_failure").await;
    let raised = server.get(&format!("{PATH}/{id}")).await.json();
    let resolved = post(&server, &format!("{PATH}/{id}/resolve"), &json!({"by": "ada"})).await.json();
    assert_eq!((&resolved["state"], &resolved["active"]), (&json!("resolved"), &json!(false)), "{resolved:#}");
    assert_eq!((&resolved["resolved_by"], resolved["resolved_at"].is_string()), (&json!("ada"), true));
    for what in ["resolve", "acknowledge"] {
        let again = post(&server, &format!("{PATH}/{id}/{what}"), &json!({"by": "bob"})).await;
        assert_eq!((again.status.as_u16(), again.code().as_str()), (409, "wrong_status"), "{what}");
    }
    assert_eq!(server.get(&format!("{PATH}/{id}")).await.json(), resolved, "nothing was changed");
    assert!(!ids(&listed(&server, "?active_only=true").await).contains(&id));
    assert!(ids(&listed(&server, "?active_only=false").await).contains(&id));
    // The errors that are on record do not bring it back, nor do those of the hour in which it was resolved.
    let again = async |server: &Server| {
        let list = listed(server, "").await;
        let same = |one: &&Value| one["fingerprint"] == raised["fingerprint"];
        list["items"].as_array().unwrap().iter().find(same).map(|one| one["id"].as_i64().unwrap())
    };
    watch::settle(&server.engine).await.unwrap();
    assert_eq!(again(&server).await, None);
    for tool in ["search", "fetch", "book"] {
        fail(&server, tool, 12, 6).await;
    }
    assert_eq!(again(&server).await, None);
    server.clock.set(common::NOW.plus_micros(90 * 60_000_000));
    for tool in ["search", "fetch", "book"] {
        fail(&server, tool, 13, 6).await;
    }
    let anew = again(&server).await.unwrap();
    assert!(anew > id, "{anew} is another one than {id}");
}

#[tokio::test]
async fn only_operators_say_something_about_alerts_and_under_their_own_name() {
    let server = troubled(Server::with(policy())).await;
    let id = of_kind(&server, "recurring_failure").await;
    let server = server.asking_for_tokens();
    for (role, reads, acts) in
        [(Role::Agent, 403, 403), (Role::Viewer, 200, 403), (Role::Operator, 200, 200), (Role::Admin, 200, 200)]
    {
        let entities = if role == Role::Agent { vec!["agent/support".parse().unwrap()] } else { Vec::new() };
        let wanted = Wanted { name: format!("the {}", role.as_str()), role, entities, expires_at: None };
        let secret = server.engine.make_token(wanted, "test").await.unwrap().secret;
        let bearer = format!("Bearer {secret}");
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        for path in [PATH.to_owned(), format!("{PATH}/{id}")] {
            let answer = server.request(Method::GET, &path, &headers, Body::empty()).await;
            assert_eq!(answer.status.as_u16(), reads, "{role:?} {path}");
        }
        let body = json!({"by": "somebody else", "note": "mine"}).to_string();
        let path = format!("{PATH}/{id}/acknowledge");
        let answer = server.request(Method::POST, &path, &headers, Body::from(body)).await;
        assert_eq!(answer.status.as_u16(), acts, "{role:?}");
        if acts == 200 {
            assert_eq!(
                answer.json()["acknowledged"]["by"],
                format!("the {}", role.as_str()),
                "whatever the body says"
            );
        } else {
            let path = format!("{PATH}/{id}/resolve");
            let refused = server.request(Method::POST, &path, &headers, Body::from("{}")).await;
            assert_eq!((refused.status.as_u16(), refused.code().as_str()), (403, "forbidden"));
        }
    }
    let log = server.engine.store().alert(id).await.unwrap();
    assert_eq!(log.acknowledged.unwrap().by, "the admin");
}

#[tokio::test]
async fn the_page_offers_what_can_be_done_and_does_it() {
    let server = troubled(Server::with(policy())).await;
    let (id, backlog) = (of_kind(&server, "recurring_failure").await, of_kind(&server, "opportunity_backlog").await);
    let page = server.get("/alerts").await.text;
    let offers = |page: &str, id: i64, what: &str| page.contains(&format!("action=\"/alerts/{id}/{what}\""));
    assert!(offers(&page, id, "acknowledge") && offers(&page, id, "resolve"));
    assert!(offers(&page, backlog, "acknowledge") && !offers(&page, backlog, "resolve"), "that would be refused");
    let at = page.find("name=\"form_token\" value=\"").unwrap();
    let token = page[at..].split('"').nth(3).unwrap().to_owned();
    let send = async |id: i64, what: &str, form: &str| {
        let body = Body::from(format!("form_token={token}&{form}"));
        server.request(Method::POST, &format!("/alerts/{id}/{what}"), &[FORM], body).await
    };
    let done = send(id, "acknowledge", "note=%3Cb%3Eon+it").await;
    assert_eq!((done.status.as_u16(), done.header("location")), (303, "/alerts?done=acknowledged"));
    let page = server.get("/alerts").await.text;
    assert!(page.contains("&lt;b&gt;on it") && !page.contains("<b>on it"), "{page}");
    assert!(!offers(&page, id, "acknowledge") && offers(&page, id, "resolve"));
    assert_eq!(send(id, "resolve", "").await.status.as_u16(), 303);
    for (id, what, status) in [
        (id, "resolve", 409),
        (id, "acknowledge", 409),
        (backlog, "resolve", 409),
        (999, "resolve", 404),
        (999, "acknowledge", 404),
    ] {
        let answer = send(id, what, "").await;
        assert_eq!(answer.status.as_u16(), status, "{id} {what}");
        assert!(answer.header("content-type").starts_with("text/html"), "{answer:?}");
    }
    assert!(!server.get("/alerts").await.text.contains(&format!("/alerts/{id}/")));
    let all = server.get("/alerts?all=yes").await.text;
    assert!(all.contains("resolved") && !offers(&all, id, "resolve"), "{all}");
}
