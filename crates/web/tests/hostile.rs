//! Whatever comes from outside is shown as text, each thing on every page that shows it; and forms are taken from the
//! session they were made for, and from no other.
#![allow(clippy::unwrap_used)]

mod common;

use axum::body::Body;
use axum::http::Method;
use common::{Answer, FORMS, Server};
use serde_json::{Value, json};
use uplift_model::Policy;
use uplift_model::access::Role;
use uplift_model::entity::EntityKey;
use uplift_model::opportunity::{Evidence, Finding, Impact, OpportunityKind, OpportunitySource};
use uplift_model::{EntityType, Time};
use uplift_runner::access::Wanted;
use uplift_runner::{processes, watch};
use uplift_store::Write;

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const JSON: (&str, &str) = ("content-type", "application/json");

/// A text that would be an element with an attribute, and would end an attribute that it stands in.
fn mark(name: &str) -> String {
    format!("<x-{name} y=\"1\">'&")
}

/// The same as a page has to write it.
fn written(name: &str) -> String {
    format!("&lt;x-{name} y=&quot;1&quot;&gt;'&amp;")
}

/// With every byte written as its number.
fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |encoded, byte| encoded + &format!("%{byte:02X}"))
}

async fn send(server: &Server, method: Method, path: &str, body: &Value) -> Value {
    let answer = server.request(method, path, &[JSON], Body::from(body.to_string())).await;
    assert!(answer.status.is_success(), "{path}: {answer:?}");
    answer.json()
}

/// What is on record: numbers of what pages are about.
struct Scene {
    server: Server,
    agent: i64,
    tested: i64,
    cancelled: i64,
    wished: i64,
    dismissed: i64,
    revision: String,
}

fn policy() -> Policy {
    let mut policy = Policy::default();
    policy.notifications.public_url = Some(mark("url"));
    policy
}

/// What an agent reports whose every word is hostile: it fails again and again.
fn events() -> String {
    let line = |number: u32, more: Value| {
        let (task, minute) = (if number == 0 { mark("task") } else { format!("t{number}") }, number);
        let mut line = json!({"ts": format!("2026-01-31T11:{minute:02}:00Z"), "agent": mark("agent"), "task_id": task,
            "session_id": mark("session")});
        line.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        line.to_string()
    };
    let lines = (0..6).flat_map(|number| {
        [
            json!({"id": "1", "event_type": "TOOL_EXECUTED", "tool": mark("tool"), "outcome": "ERROR",
                "error_type": mark("error"), "content": mark("content"), "attributes": {mark("key"): mark("value")}}),
            json!({"id": "2", "event_type": "LLM_CALL", "content": mark("said"), "attributes": {"model": mark("llm")}}),
            json!({"id": "3", "event_type": "FEEDBACK", "content": mark("comment"),
                "attributes": {"name": "solved", "score": 1}}),
            json!({"id": "4", "event_type": "TASK_COMPLETED", "content": mark("answer"), "duration_ms": 5}),
        ]
        .map(|more| line(number, more))
    });
    lines.collect::<Vec<_>>().join("\n")
}

async fn scene() -> Scene {
    let server = Server::with(policy());
    watch::prepare(&server.engine).await.unwrap();
    let answer = server.post_events(events()).await;
    assert_eq!(answer.json()["accepted"], 24, "{answer:?}");
    watch::settle(&server.engine).await.unwrap();
    let configuration = |name: &str| {
        json!({"configuration": {
            "instruction": {"text": mark("instruction"), "guidelines": [{"number": 1, "text": mark("guideline")}]},
            "model": mark("model"), "contexts": [mark("context")], "tools": [{"name": mark("has")}],
            "parameters": {mark("parameter"): mark(name)},
        }})
    };
    let name = encoded(&mark("agent"));
    let declared =
        send(&server, Method::PUT, &format!("/api/entities/agent/{name}"), &configuration("setting")).await;
    let (agent, revision) =
        (declared["entity_id"].as_i64().unwrap(), declared["revision"].as_str().unwrap().to_owned());
    let other = format!("/api/entities/agent/{}", encoded(&mark("other")));
    send(&server, Method::PUT, &other, &configuration("setting")).await;
    let change = |whom: &str, what: &str| {
        json!({"entity_type": "agent", "entity": mark(whom), "rationale": mark("rationale"), "proposer": mark("proposer"),
            "edits": [{"edit": "set_parameter", "name": mark("parameter"), "value": mark(what)}]})
    };
    let propose = async |whom: &str, what: &str| {
        send(&server, Method::POST, "/api/improvements", &change(whom, what)).await["id"].as_i64().unwrap()
    };
    let (tested, cancelled) = (propose("agent", "changed").await, propose("other", "changed").await);
    let no = json!({"by": mark("by"), "reason": mark("reason")});
    send(&server, Method::POST, &format!("/api/improvements/{cancelled}/cancel"), &no).await;
    for _ in 0..3 {
        processes::tick(&server.engine).await.unwrap();
    }
    let wish = json!({"improvement_type": "performance_tuning", "description": mark("wish"), "by": mark("asker")});
    let path = format!("/api/improvements/trigger-improvement/agent/{agent}");
    let wished = send(&server, Method::POST, &path, &wish).await["opportunity"]["id"].as_i64().unwrap();
    let dismissed = put(&server, agent).await;
    let path = format!("/api/improvements/opportunities/{dismissed}/dismiss");
    send(&server, Method::POST, &path, &json!({"reason": mark("dismissal")})).await;
    let alert = server.get("/api/improvements/alerts").await.json()["items"][0]["id"].as_i64().unwrap();
    let path = format!("/api/improvements/alerts/{alert}/acknowledge");
    send(&server, Method::POST, &path, &json!({"by": mark("looker"), "note": mark("note")})).await;
    Scene { server, agent, tested, cancelled, wished, dismissed, revision }
}

/// An opportunity that says more than rules would; its number.
async fn put(server: &Server, agent: i64) -> i64 {
    let mut evidence = Evidence { rule: mark("rule"), count: 7, ..Evidence::default() };
    evidence.labels.insert(mark("label"), mark("labelled"));
    let finding = Finding {
        entity: EntityKey::new(EntityType::Agent, agent),
        kind: OpportunityKind::TokenWaste,
        fingerprint: mark("fingerprint"),
        source: OpportunitySource::Agent,
        description: mark("description"),
        confidence: 0.5,
        impact: Impact::from_share(0.3, mark("gain")),
        evidence,
        last_seen_at: common::NOW,
    };
    let write = Write::PutFinding { finding: Box::new(finding), quiet_since: None };
    server.engine.commit(vec![write]).await.unwrap().opened[0]
}

/// Checks that nothing on a page is more than text; which marks are missing that it should show.
fn missing(path: &str, page: &Answer, shown: &[&str]) -> Vec<String> {
    assert!(page.header("content-type").starts_with("text/html"), "{path}: {page:?}");
    for raw in ["<x-", "y=\"1\"", "y='1'"] {
        assert!(!page.text.contains(raw), "{path} has {raw}: {}", page.text);
    }
    // Values are shown as JSON.
    let as_json = |name: &str| written(name).replace("&quot;", "\\&quot;");
    let lacks = |name: &&&str| !page.text.contains(&written(name)) && !page.text.contains(&as_json(name));
    shown.iter().filter(lacks).map(|name| format!("{path}: {name}")).collect()
}

#[tokio::test]
async fn every_page_shows_what_comes_from_outside_as_text() {
    let scene = scene().await;
    let (server, agent) = (&scene.server, scene.agent);
    let status = server.get(&format!("/api/improvements/{}", scene.tested)).await.json()["status"].clone();
    assert_eq!(status, "testing", "a trial is on the first page");
    let task = encoded(&mark("task"));
    let strange = encoded(&mark("strange"));
    let pages: &[(String, &[&str])] = &[
        ("/".to_owned(), &["agent"]),
        ("/opportunities".to_owned(), &["agent"]),
        ("/opportunities?status=dismissed".to_owned(), &["agent"]),
        (format!("/opportunities?agent={}", encoded(&mark("agent"))), &["agent"]),
        (format!("/opportunities/{}", scene.wished), &["agent", "wish"]),
        (
            format!("/opportunities/{}", scene.dismissed),
            &["agent", "description", "gain", "label", "labelled", "dismissal"],
        ),
        ("/improvements".to_owned(), &["agent", "other"]),
        (format!("/improvements?agent={}", encoded(&mark("other"))), &["other"]),
        (
            format!("/improvements/{}", scene.tested),
            &["agent", "rationale", "proposer", "parameter", "setting", "changed"],
        ),
        (format!("/improvements/{}", scene.cancelled), &["other", "rationale", "reason", "by"]),
        ("/entities".to_owned(), &["agent", "other", "tool"]),
        ("/entities?type=tool".to_owned(), &["tool"]),
        (
            format!("/entities/agent/{agent}"),
            &["agent", "instruction", "guideline", "model", "context", "has", "parameter", "setting"],
        ),
        (
            format!("/entities/agent/{agent}/revisions/{}", scene.revision),
            &["agent", "instruction", "guideline", "model", "context", "has", "parameter", "setting"],
        ),
        ("/tasks".to_owned(), &["agent", "task"]),
        (format!("/tasks?session={}", encoded(&mark("session"))), &["agent", "session"]),
        (format!("/tasks?agent={}", encoded(&mark("agent"))), &["agent"]),
        (
            format!("/tasks/{task}"),
            &["agent", "task", "session", "tool", "error", "content", "said", "comment", "answer"],
        ),
        ("/analytics".to_owned(), &[]),
        ("/alerts".to_owned(), &["looker", "note"]),
        ("/alerts?all=yes".to_owned(), &["looker", "note"]),
        ("/settings".to_owned(), &["url"]),
        ("/audit".to_owned(), &[]),
        (format!("/login?next=/{strange}"), &["strange"]),
        (format!("/entities/agent/{strange}"), &["strange"]),
        (format!("/tasks/{strange}"), &["strange"]),
        (format!("/improvements?agent={strange}"), &["strange"]),
        (format!("/improvements?status={strange}"), &["strange"]),
        (format!("/opportunities?kind={strange}"), &["strange"]),
        (format!("/?done={strange}"), &[]),
        (format!("/settings?done={strange}"), &[]),
    ];
    let mut lacking = Vec::new();
    for (path, shown) in pages {
        lacking.extend(missing(path, &server.get(path).await, shown));
    }
    assert!(lacking.is_empty(), "{lacking:#?}");
    // Names are what the page says of whoever looks, too, and what the audit log says of whoever acted.
    let server = scene.server.asking_for_tokens();
    let wanted = Wanted { name: mark("token"), role: Role::Admin, entities: Vec::new(), expires_at: None::<Time> };
    let bearer = format!("Bearer {}", server.engine.make_token(wanted, "test").await.unwrap().secret);
    let headers = [("authorization", bearer.as_str()), JSON];
    let path = format!("/api/improvements/{}/approve", 999);
    server.request(Method::POST, &path, &headers, Body::from("{}")).await;
    for path in ["/", "/audit", "/settings"] {
        let page = server.request(Method::GET, path, &headers, Body::empty()).await;
        assert_eq!(missing(path, &page, &["token"]), [""; 0]);
    }
}

#[tokio::test]
async fn the_api_gives_texts_as_they_are_and_never_as_a_page() {
    let scene = scene().await;
    for path in [
        "/api/tasks".to_owned(),
        "/api/events".to_owned(),
        "/api/entities".to_owned(),
        "/api/improvements".to_owned(),
        "/api/improvements/opportunities".to_owned(),
        "/api/improvements/alerts".to_owned(),
        "/api/improvements/history".to_owned(),
        "/api/trials".to_owned(),
        format!("/api/entities/agent/{}", scene.agent),
        format!("/api/entities/agent/{}", encoded(&mark("strange"))),
        format!("/{}", encoded(&mark("strange"))),
        format!("/api/tasks?{}=1", encoded(&mark("strange"))),
    ] {
        let answer = scene.server.get(&path).await;
        let media_type = answer.header("content-type");
        assert!(media_type == "application/json" || media_type == "application/problem+json", "{path}: {answer:?}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        // It is JSON whatever is in it, and says what was meant.
        let text = answer.json().to_string();
        assert!(
            text.contains("x-") && answer.text.contains("y=\\\"1\\\"") || path.starts_with("/%"),
            "{path}: {text}"
        );
    }
}

/// Begins a session; its cookie, and the token of its forms.
async fn session(server: &Server, name: &str, role: Role) -> (String, String) {
    let wanted = Wanted { name: name.to_owned(), role, entities: Vec::new(), expires_at: None::<Time> };
    let secret = server.engine.make_token(wanted, "test").await.unwrap().secret;
    let body = Body::from(format!("token={secret}&next=/"));
    let begun = server.request(Method::POST, "/login", &[FORM], body).await;
    assert_eq!(begun.status.as_u16(), 303, "{begun:?}");
    let cookie = begun.header("set-cookie").split(';').next().unwrap().to_owned();
    let page = server.request(Method::GET, "/settings", &[("cookie", &cookie)], Body::empty()).await.text;
    // Whoever may only look has the form by which one leaves, and no other.
    let field = page.split("name=\"form_token\" value=\"").nth(1).unwrap_or_else(|| panic!("no form: {page}"));
    (cookie, field.split('"').next().unwrap().to_owned())
}

#[tokio::test]
async fn a_form_is_taken_from_its_own_session_only() {
    let server = Server::new().asking_for_tokens();
    let (ada, of_ada) = session(&server, "ada", Role::Operator).await;
    let (bob, of_bob) = session(&server, "bob", Role::Operator).await;
    let (eve, of_eve) = session(&server, "eve", Role::Viewer).await;
    assert!(of_ada != of_bob && of_bob != of_eve);
    let pause = async |cookie: Option<&str>, token: &str, more: &[(&str, &str)]| {
        let headers: Vec<_> =
            [FORM].into_iter().chain(cookie.map(|cookie| ("cookie", cookie))).chain(more.iter().copied()).collect();
        let body = Body::from(format!("form_token={token}"));
        server.request(Method::POST, "/settings/pause", &headers, body).await.status.as_u16()
    };
    let elsewhere = [("origin", "https://evil.example")];
    let other_port = [("origin", "http://localhost:9999")];
    let nowhere = [("origin", "null")];
    for (what, cookie, token, more, status) in [
        ("another's token", Some(&ada), &of_bob, &[][..], 403),
        ("a viewer's token", Some(&ada), &of_eve, &[], 403),
        ("a viewer, with a token of an operator", Some(&eve), &of_ada, &[], 403),
        ("a viewer, with their own", Some(&eve), &of_eve, &[], 403),
        ("no session", None, &of_ada, &[], 303),
        ("no token", Some(&ada), &String::new(), &[], 403),
        ("another page", Some(&ada), &of_ada, &elsewhere, 403),
        ("another port", Some(&ada), &of_ada, &other_port, 403),
        ("a page from nowhere", Some(&ada), &of_ada, &nowhere, 403),
    ] {
        let answered = pause(cookie.map(String::as_str), token, more).await;
        assert!(answered == status || cookie.is_none() && answered == 401, "{what}: {answered}");
        assert!(!server.engine.is_paused(), "{what}");
    }
    assert_eq!(
        (pause(Some(&bob), &of_bob, &[("origin", "http://localhost:8080")]).await, server.engine.is_paused()),
        (303, true)
    );
    // Nobody logs others out, and whoever has left has left.
    for (token, status) in [(&of_bob, 403), (&of_ada, 303)] {
        let body = Body::from(format!("form_token={token}"));
        let left = server.request(Method::POST, "/logout", &[FORM, ("cookie", &ada)], body).await;
        assert_eq!(left.status.as_u16(), status, "{left:?}");
    }
}

/// Without a session there is a token all the same, and without it nothing is done, whatever the form.
#[tokio::test]
async fn no_form_is_taken_without_its_token() {
    let server = Server::new();
    for path in FORMS.iter().copied().filter(|path| *path != "/login") {
        for form in ["", "reason=x", "form_token=", "form_token=0&form_token=1", "form_token[]=x"] {
            let answer = server.request(Method::POST, path, &[FORM], Body::from(form)).await;
            assert_eq!(answer.status.as_u16(), 403, "{path} {form}: {answer:?}");
        }
        // Nor is it a link.
        assert_eq!(server.get(path).await.status.as_u16(), if path == "/settings" { 200 } else { 405 }, "{path}");
    }
}
