//! The dashboard as browsers get it: pages that hold what they should and nothing that acts, and forms that only our own
//! pages can send.
#![allow(clippy::unwrap_used)]

mod common;

use axum::body::Body;
use axum::http::Method;
use common::{Answer, Server, event_of};
use serde_json::json;
use uplift_model::Policy;
use uplift_model::access::Role;
use uplift_model::entity::EntityKey;
use uplift_model::opportunity::{Evidence, Finding, Impact, OpportunityKind, OpportunitySource};
use uplift_model::{EntityType, Time};
use uplift_runner::access::Wanted;
use uplift_store::Write;
use uplift_web::Guarding;

/// What somebody writes who wants to be more than text. Names are taken as they are.
const HOSTILE: &str = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>&lt;";

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

/// Pages that every server has.
const PAGES: &[&str] = &[
    "/",
    "/opportunities",
    "/opportunities?status=open&kind=&source=&impact=&agent=",
    "/improvements",
    "/improvements?status=testing&agent=",
    "/entities",
    "/entities?type=agent",
    "/tasks",
    "/tasks?outcome=SUCCESS&errors=without&session=",
    "/analytics",
    "/alerts",
    "/alerts?all=yes",
    "/settings",
    "/audit",
];

async fn post(server: &Server, path: &str, form: &str) -> Answer {
    server.request(Method::POST, path, &[FORM], Body::from(form.to_owned())).await
}

/// The token of the forms on a page.
async fn token(server: &Server, page: &str) -> String {
    let html = server.get(page).await.text;
    let start = html.find("name=\"form_token\" value=\"").unwrap_or_else(|| panic!("no form on {page}"));
    html[start..].split('"').nth(3).unwrap().to_owned()
}

/// With every byte written as its number.
fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |encoded, byte| encoded + &format!("%{byte:02X}"))
}

/// Checks what holds for every page.
fn check(path: &str, page: &Answer) {
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8", "{path}: {page:?}");
    let policy = page.header("content-security-policy");
    for part in
        ["default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"]
    {
        assert!(policy.contains(part), "{path}: {policy}");
    }
    assert!(!policy.contains("unsafe"), "{path}: {policy}");
    assert_eq!(page.header("cache-control"), "no-store", "{path}");
    // Nothing the policy would have to allow: no styles, scripts or handlers within the page.
    for inline in ["<style", " style=\"", " onclick=", "javascript:", "<script>"] {
        assert!(!page.text.contains(inline), "{path} has {inline}");
    }
    assert_eq!(page.text.matches("<script").count(), 1, "{path}");
    assert_eq!(page.text.matches("<h1").count(), 1, "{path}");
    assert!(page.text.contains("<html lang=\"en\">") && page.text.contains("<main id=\"content\""), "{path}");
}

/// An agent with hostile texts wherever texts come from outside, and an opportunity.
async fn hostile() -> (Server, i64) {
    let server = Server::new();
    let event = json!({
        "id": HOSTILE, "ts": "2026-01-31T11:00:00Z", "event_type": "TOOL_EXECUTED", "agent": HOSTILE, "tool": HOSTILE,
        "task_id": HOSTILE, "session_id": HOSTILE, "outcome": "ERROR", "error_type": HOSTILE, "content": HOSTILE,
        "attributes": {HOSTILE: HOSTILE}, "duration_ms": 5,
    });
    let answer = server.post_events(event.to_string()).await;
    assert_eq!(answer.json()["accepted"], 1, "{answer:?}");
    let configuration = json!({
        "instruction": {"text": HOSTILE, "guidelines": [{"number": 1, "text": HOSTILE}]}, "model": HOSTILE,
        "parameters": {HOSTILE: HOSTILE},
    });
    let agent = server.get("/api/entities?entity_type=agent").await.json()["items"][0]["entity_id"].as_i64().unwrap();
    let body = Body::from(json!({"configuration": configuration}).to_string());
    let path = format!("/api/entities/agent/{agent}");
    let put = server.request(Method::PUT, &path, &[("content-type", "application/json")], body).await;
    assert_eq!(put.status.as_u16(), 200, "{put:?}");
    (server, agent)
}

/// Puts an opportunity on record; its number.
async fn opportunity(server: &Server, agent: i64) -> i64 {
    let mut evidence = Evidence { rule: HOSTILE.to_owned(), count: 7, ..Evidence::default() };
    evidence.labels.insert(HOSTILE.to_owned(), HOSTILE.to_owned());
    let finding = Finding {
        entity: EntityKey::new(EntityType::Agent, agent),
        kind: OpportunityKind::TokenWaste,
        fingerprint: HOSTILE.to_owned(),
        source: OpportunitySource::Agent,
        description: HOSTILE.to_owned(),
        confidence: 0.5,
        impact: Impact::from_share(0.3, HOSTILE),
        evidence,
        last_seen_at: common::NOW,
    };
    let write = Write::PutFinding { finding: Box::new(finding), quiet_since: None };
    server.engine.commit(vec![write]).await.unwrap().opened[0]
}

#[tokio::test]
async fn every_page_of_an_empty_server_can_be_looked_at() {
    let server = Server::new();
    for path in PAGES {
        let page = server.get(path).await;
        assert_eq!(page.status.as_u16(), 200, "{path}: {page:?}");
        check(path, &page);
    }
    for file in ["/ui/style.css", "/ui/app.js", "/ui/icon.svg"] {
        let answer = server.get(file).await;
        assert_eq!(answer.status.as_u16(), 200, "{file}");
        assert!(answer.header("cache-control").contains("immutable"), "{file}");
    }
    assert_eq!(server.get("/api").await.status.as_u16(), 200);
}

#[tokio::test]
async fn nothing_that_is_reported_becomes_part_of_a_page() {
    let (server, agent) = hostile().await;
    let found = opportunity(&server, agent).await;
    let task = server.get("/api/tasks").await.json()["items"][0]["task_id"].as_str().unwrap().to_owned();
    let task: String = encoded(&task);
    let change = json!({"entity_type": "agent", "entity": agent.to_string(), "proposed_by": "llm", "proposer": HOSTILE,
        "edits": [{"edit": "append_guideline", "text": format!("2 {HOSTILE}")}], "rationale": HOSTILE});
    let headers = [("content-type", "application/json")];
    let made = server.request(Method::POST, "/api/improvements", &headers, Body::from(change.to_string())).await;
    let improvement = made.json()["id"].as_i64().unwrap_or_else(|| panic!("{made:?}"));
    let (entity, task) = (format!("/entities/agent/{agent}"), format!("/tasks/{task}"));
    let (found, improvement) = (format!("/opportunities/{found}"), format!("/improvements/{improvement}"));
    let query: String = encoded(HOSTILE);
    let filtered = format!("/improvements?agent={query}");
    let session = format!("/tasks?session={query}");
    let paths = PAGES.iter().copied().chain([&*entity, &*task, &*found, &*improvement, &*filtered, &*session]);
    let mut shown = 0;
    for path in paths {
        let page = server.get(path).await;
        assert_eq!(page.status.as_u16(), 200, "{path}: {page:?}");
        check(path, &page);
        assert!(!page.text.contains("<img"), "{path}");
        shown += usize::from(page.text.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    }
    assert!(shown >= 8, "{shown} pages show it, as text");
}

#[tokio::test]
async fn addresses_that_lead_nowhere_are_told_so() {
    let (server, _) = hostile().await;
    for (path, status) in [
        ("/improvements/99", 404),
        ("/improvements/0", 404),
        ("/improvements/-1", 404),
        ("/improvements/99999999999999999999", 400),
        ("/improvements/x", 400),
        ("/improvements/%00", 400),
        ("/opportunities/99", 404),
        ("/opportunities/..%2F..%2Fetc", 400),
        ("/opportunities?status=no", 400),
        ("/opportunities?cursor=no", 400),
        ("/opportunities?strange=1", 200),
        ("/entities/agent/%2E%2E%2F%2E%2E%2Fetc%2Fpasswd", 404),
        ("/entities/agent/nobody", 404),
        ("/entities/nothing/1", 400),
        ("/entities/agent/1/revisions/%2E%2E", 404),
        ("/tasks/nothing", 404),
        ("/tasks/%2E%2E%2F", 404),
        ("/tasks?agent=nobody", 404),
        ("/ui/..%2F..%2FCargo.toml", 404),
        ("/ui/%2Fetc%2Fpasswd", 404),
    ] {
        let answer = server.get(path).await;
        assert_eq!(answer.status.as_u16(), status, "{path}: {}", answer.text);
        if !path.starts_with("/ui/") {
            check(path, &answer);
        }
    }
    for path in ["/ui/", "/improvements/1/2/3", "/../etc/passwd", "/%2e%2e/secret"] {
        assert_eq!(server.get(path).await.status.as_u16(), 404, "{path}");
    }
}

#[tokio::test]
async fn a_form_that_is_not_ours_does_nothing() {
    let (server, agent) = hostile().await;
    let id = opportunity(&server, agent).await;
    let path = format!("/opportunities/{id}/dismiss");
    let right = token(&server, &format!("/opportunities/{id}")).await;
    let other = token(&Server::new(), "/settings").await;
    assert_ne!(right, other, "each process has its own");
    let wrong = [
        "reason=x".to_owned(),
        "reason=x&form_token=".to_owned(),
        format!("reason=x&form_token={other}"),
        format!("reason=x&form_token={right}0"),
        format!("reason=x&form_token={}", right.to_uppercase()),
        format!("reason=x&form%5Ftoken={}", &right[1..]),
    ];
    for form in &wrong {
        let answer = post(&server, &path, form).await;
        assert_eq!(answer.status.as_u16(), 403, "{form}: {answer:?}");
        check(&path, &answer);
    }
    // From a page of somebody else it is refused before anything is read.
    let headers = [FORM, ("origin", "https://evil.example")];
    let form = format!("reason=x&form_token={right}");
    let elsewhere = server.request(Method::POST, &path, &headers, Body::from(form.clone())).await;
    assert_eq!(elsewhere.status.as_u16(), 403);
    for (headers, body) in
        [(("content-type", "application/json"), "{}"), (("content-type", "text/plain"), form.as_str())]
    {
        let answer = server.request(Method::POST, &path, &[headers], Body::from(body.to_owned())).await;
        assert!(answer.status.is_client_error(), "{answer:?}");
    }
    assert_eq!(server.get(&format!("/api/improvements/opportunities/{id}")).await.json()["status"], "pending");
    // The same with everything in order.
    assert_eq!(post(&server, &path, &format!("reason=+&form_token={right}")).await.status.as_u16(), 400, "no reason");
    let done = post(&server, &path, &format!("reason=not+worth+it&form_token={right}")).await;
    assert_eq!(
        (done.status.as_u16(), done.header("location")),
        (303, &*format!("/opportunities/{id}?done=dismissed"))
    );
    let page = server.get(done.header("location")).await;
    assert!(page.text.contains("Dismissed.") && page.text.contains("not worth it"), "{}", page.text);
    assert_eq!(post(&server, &path, &format!("reason=again&form_token={right}")).await.status.as_u16(), 409);
}

#[tokio::test]
async fn settings_are_checked_and_never_overwritten_unseen() {
    let server = Server::new();
    let page = server.get("/settings").await.text;
    let value = |name: &str| {
        let at = page.find(&format!("name=\"{name}\" value=\"")).unwrap();
        page[at..].split('"').nth(3).unwrap().to_owned()
    };
    let (form, tag) = (value("form_token"), value("tag"));
    let set = |what: &str| format!("form_token={form}&tag={tag}&{what}");
    let refused = post(&server, "/settings", &set("min_confidence_score=2&cooldown_period=1h")).await;
    assert_eq!(refused.status.as_u16(), 422, "{refused:?}");
    assert!(
        refused.text.contains("min_confidence_score") && refused.text.contains("from 0 to 1"),
        "{}",
        refused.text
    );
    assert!(refused.text.contains("value=\"1h\""), "what was filled in stays");
    assert_eq!(post(&server, "/settings", &set("cooldown_period=soon")).await.status.as_u16(), 422);
    assert!((server.engine.policy().engine.min_confidence_score - 0.8).abs() < 1e-9);
    let saved = post(&server, "/settings", &set("min_confidence_score=0.9&cooldown_period=6h")).await;
    assert_eq!((saved.status.as_u16(), saved.header("location")), (303, "/settings?done=saved"));
    assert!((server.engine.policy().engine.min_confidence_score - 0.9).abs() < 1e-9);
    // The page that is still open elsewhere knows nothing of it.
    let late = post(&server, "/settings", &set("min_confidence_score=0.7")).await;
    assert_eq!(late.status.as_u16(), 412, "{late:?}");
    assert!((server.engine.policy().engine.min_confidence_score - 0.9).abs() < 1e-9);
    let paused = post(&server, "/settings/pause", &set("")).await;
    assert_eq!((paused.status.as_u16(), server.engine.is_paused()), (303, true));
    let resumed = post(&server, "/settings/resume", &set("")).await;
    assert_eq!((resumed.status.as_u16(), server.engine.is_paused()), (303, false));
}

#[tokio::test]
async fn an_entity_is_set_as_it_was_seen() {
    let (server, agent) = hostile().await;
    let path = format!("/entities/agent/{agent}");
    let form = token(&server, &path).await;
    let page = server.get(&path).await.text;
    let at = page.find("name=\"version\" value=\"").unwrap();
    let version = page[at..].split('"').nth(3).unwrap().to_owned();
    let set = |what: &str| format!("form_token={form}&version={version}&{what}");
    let target = format!("{path}/settings");
    for wrong in ["max_rollback_rate=2", "max_rollback_rate=x", "max_rollback_rate=0.1&mode=often"] {
        assert_eq!(post(&server, &target, &set(wrong)).await.status.as_u16(), 422, "{wrong}");
    }
    for (wrong, field) in [
        ("unit=team", "unit"),
        ("frozen.everything=true", "frozen"),
        ("outcome=guess", "outcome"),
        ("outcome=attribute", "outcome_name"),
        ("outcome=feedback&outcome_name=quality", "outcome_at_least"),
        ("outcome=feedback&outcome_name=quality&outcome_at_least=NaN", "outcome_at_least"),
        ("review=often", "review"),
        ("review=periodic&review_hours=0", "review"),
        ("review=threshold&review_tasks=-4", "review_tasks"),
    ] {
        let refused = post(&server, &target, &set(wrong)).await;
        assert!(refused.status.as_u16() == 422 && refused.text.contains(field), "{wrong}: {refused:?}");
    }
    // What was written stays, and what is wrong is said beside its field.
    let some = "max_rollback_rate=0.2&unit=session&frozen.tools=true&outcome=feedback&outcome_name=quality&outcome_at_least=x";
    let refused = post(&server, &target, &set(some)).await.text;
    for kept in [
        "name=\"outcome_at_least\" value=\"x\" placeholder=\"\" autocomplete=\"off\" inputmode=\"decimal\" aria-invalid=\"true\"",
        "id=\"wrong\">`outcome_at_least` cannot be `x`",
        "<option value=\"session\" selected",
        "name=\"frozen.tools\" value=\"true\" checked",
        "value=\"quality\"",
    ] {
        assert!(refused.contains(kept), "{kept}: {refused}");
    }
    let all = "max_rollback_rate=0.2&mode=approve&unit=session&frozen.tools=true&frozen.instruction=true&\
               outcome=feedback&outcome_name=quality&outcome_at_least=0.5&review=periodic&review_hours=12";
    let saved = post(&server, &target, &set(all)).await;
    assert_eq!(saved.status.as_u16(), 303, "{saved:?}");
    let config = server.get(&format!("/api/entities/agent/{agent}")).await.json()["improvement_config"].clone();
    let expected = json!({
        "auto_improve_enabled": false, "max_rollback_rate": 0.2, "mode": "approve", "unit": "session",
        "frozen": ["instruction", "tools"], "outcome": {"from": "feedback", "name": "quality", "at_least": 0.5},
        "review": {"kind": "periodic", "task_threshold": 100, "period_hours": 12},
    });
    assert_eq!(config, expected);
    // The page shows what was saved: sent as it is, it changes nothing.
    let page = server.get(&path).await.text;
    for shown in
        ["<option value=\"session\" selected", "name=\"frozen.tools\" value=\"true\" checked", "value=\"quality\""]
    {
        assert!(page.contains(shown), "{shown}");
    }
    assert_eq!(post(&server, &target, &set("max_rollback_rate=0.3")).await.status.as_u16(), 412);
}

#[tokio::test]
async fn where_there_is_nothing_a_browser_gets_a_page_and_a_program_an_error() {
    let server = Server::new();
    let path = "/no%22%3E%3Cscript%3Ethere";
    let ask = async |accept: &str| server.request(Method::GET, path, &[("accept", accept)], Body::empty()).await;
    let page = ask("text/html,application/xhtml+xml,*/*;q=0.8").await;
    assert!(page.status.as_u16() == 404 && page.text.contains("There is nothing at"), "{page:?}");
    check(path, &page);
    assert_eq!(ask("*/*").await.json()["code"], "unknown_route");
    let posted = server.request(Method::POST, path, &[("accept", "text/html")], Body::empty()).await;
    assert_eq!((posted.status.as_u16(), &posted.json()["code"]), (404, &json!("unknown_route")));
}

#[tokio::test]
async fn a_page_that_did_not_change_is_not_sent_again() {
    let server = Server::new();
    let ask = async |tag: &str| server.request(Method::GET, "/tasks", &[("if-none-match", tag)], Body::empty()).await;
    let first = ask("\"\"").await;
    let tag = first.header("etag").to_owned();
    assert!(first.status.as_u16() == 200 && tag.len() > 10, "{first:?}");
    assert_eq!(ask(&tag).await.status.as_u16(), 304);
    server.post_events(event_of("new", "1", "t1")).await;
    let changed = ask(&tag).await;
    assert!(changed.status.as_u16() == 200 && changed.text.contains("t1"), "{changed:?}");
}

#[tokio::test]
async fn viewers_see_everything_and_change_nothing() {
    let guarding = Guarding { tokens: true, behind_proxy: false, tls: false };
    let server = Server::guarded(Policy::default(), guarding);
    server.engine.commit(vec![]).await.unwrap();
    let wanted = Wanted { name: "looker".into(), role: Role::Viewer, entities: Vec::new(), expires_at: None::<Time> };
    let secret = server.engine.make_token(wanted, "test").await.unwrap().secret;
    let bearer = format!("Bearer {secret}");
    let headers = [("authorization", bearer.as_str()), FORM];
    for path in PAGES.iter().filter(|path| **path != "/audit") {
        let page = server.request(Method::GET, path, &headers, Body::empty()).await;
        assert_eq!(page.status.as_u16(), 200, "{path}");
        assert!(!page.text.contains("Pause</button>") && !page.text.contains("Save</button>"), "{path}");
    }
    assert_eq!(server.request(Method::GET, "/audit", &headers, Body::empty()).await.status.as_u16(), 403);
    let paused = server.request(Method::POST, "/settings/pause", &headers, Body::from("form_token=x")).await;
    assert_eq!((paused.status.as_u16(), server.engine.is_paused()), (403, false));
    assert_eq!(server.get("/").await.status.as_u16(), 303, "nobody is led to the login");
}
