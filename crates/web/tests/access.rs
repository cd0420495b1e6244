//! Who may do what; and attempts to do what one may not.
#![allow(clippy::unwrap_used)]

mod common;

use std::net::SocketAddr;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Method, Request};
use common::{Answer, Server, event_of, spans};
use serde_json::{Value, json};
use tower::ServiceExt;
use uplift_model::Policy;
use uplift_model::access::Role;
use uplift_model::event::Outcome;
use uplift_model::policy::AccessPolicy;
use uplift_runner::access::Wanted;
use uplift_web::Guarding;

const GUARDED: Guarding = Guarding { tokens: true, behind_proxy: false, tls: false };

fn guarded() -> Server {
    Server::guarded(Policy::default(), GUARDED)
}

async fn token(server: &Server, name: &str, role: Role, entities: &[&str]) -> String {
    let entities = entities.iter().map(|text| text.parse().unwrap()).collect();
    let wanted = Wanted { name: name.into(), role, entities, expires_at: None };
    server.engine.make_token(wanted, "test").await.unwrap().secret
}

async fn ask(server: &Server, token: &str, method: Method, path: &str, body: Option<Value>) -> Answer {
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    server.request(method, path, &headers, body.map_or_else(Body::empty, |body| Body::from(body.to_string()))).await
}

/// Resolves with defaults, by which the agent registers itself.
async fn bring(server: &Server, token: &str, agent: &str) -> Answer {
    let body = json!({"unit": "u", "defaults": {"model": "small"}});
    ask(server, token, Method::POST, &format!("/api/resolve/agent/{agent}"), Some(body)).await
}

#[tokio::test]
async fn without_a_token_little_is_said() {
    let server = guarded();
    for path in ["/healthz", "/readyz", "/errors/unauthorized", "/api/openapi.json"] {
        assert_ne!(server.get(path).await.status.as_u16(), 401, "{path}");
    }
    for path in ["/api/improvements/status", "/api/events", "/metrics", "/api/tokens", "/api/changes"] {
        let answer = server.get(path).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (401, "unauthorized"), "{path}");
        assert!(answer.header("www-authenticate").starts_with("Bearer"), "{path}");
    }
    let answer = server.post_events(event_of("a", "1", "t")).await;
    assert_eq!(answer.status.as_u16(), 401);
    assert_eq!(server.engine.store().task_counts().await.unwrap().events, 0);
    // A browser is led to the login, and back.
    let page = server.get("/?a=1&b=2").await;
    assert_eq!((page.status.as_u16(), page.header("location")), (303, "/login?next=/?a=1%26b=2"));
    // Where no token is needed, nothing has changed.
    assert_eq!(Server::new().get("/api/improvements/status").await.status.as_u16(), 200);
}

#[tokio::test]
async fn every_role_does_its_own() {
    let server = guarded();
    let viewer = token(&server, "viewer", Role::Viewer, &[]).await;
    let agent = token(&server, "agent", Role::Agent, &["agent/researcher"]).await;
    let operator = token(&server, "operator", Role::Operator, &[]).await;
    let admin = token(&server, "admin", Role::Admin, &[]).await;
    let change =
        json!({"entity_type": "agent", "entity": "researcher", "edits": [{"AssignTool": {"tool": "shell"}}]});
    // Method, path, body; and who is not turned away: viewer, agent, operator, admin.
    let table = [
        (Method::GET, "/api/improvements/status", None, [true, false, true, true]),
        (Method::GET, "/api/tasks", None, [true, false, true, true]),
        (Method::GET, "/metrics", None, [true, false, true, true]),
        (Method::GET, "/api/resolve/agent/researcher", None, [false, true, true, true]),
        (Method::POST, "/api/improvements", Some(change), [false, false, true, true]),
        (Method::POST, "/api/improvements/1/approve", None, [false, false, true, true]),
        (Method::POST, "/api/improvements/1/rollback", None, [false, false, true, true]),
        (Method::POST, "/api/improvements/pause", None, [false, false, true, true]),
        (Method::PUT, "/api/improvements/config", Some(json!({})), [false, false, true, true]),
        (Method::PUT, "/api/entities/agent/researcher", Some(json!({})), [false, false, true, true]),
        (Method::GET, "/api/tokens", None, [false, false, false, true]),
        (Method::POST, "/api/tokens", Some(json!({"name": "x", "role": "admin"})), [false, false, false, true]),
        (Method::DELETE, "/api/tokens/999", None, [false, false, false, true]),
        (Method::GET, "/api/audit", None, [false, false, false, true]),
    ];
    for (method, path, body, allowed) in table {
        for (token, allowed) in [&viewer, &agent, &operator, &admin].into_iter().zip(allowed) {
            let answer = ask(&server, token, method.clone(), path, body.clone()).await;
            let turned_away = answer.status.as_u16() == 403;
            assert_eq!(turned_away, !allowed, "{method} {path}: {answer:?}");
            if turned_away {
                assert_eq!(answer.code(), "forbidden");
            }
        }
    }
}

#[tokio::test]
async fn an_agent_reports_for_itself_only() {
    let server = guarded();
    let own = token(&server, "a", Role::Agent, &["agent/a"]).await;
    let human = event_of("a", "3", "t").replacen('{', "{\"source\":\"human\",", 1);
    let elsewhere = event_of("a", "4", "t").replacen('{', "{\"environment\":\"production\",", 1);
    let body = [event_of("a", "1", "t"), event_of("b", "2", "t"), human, elsewhere].join("\n");
    let bearer = format!("Bearer {own}");
    let answer = server.request(Method::POST, "/api/events", &[("authorization", &bearer)], Body::from(body)).await;
    let report = answer.json();
    assert_eq!((answer.status.as_u16(), &report["accepted"], &report["rejected_count"]), (200, &json!(1), &json!(3)));
    let codes: Vec<_> = report["rejected"].as_array().unwrap().iter().map(|item| &item["code"]).collect();
    assert_eq!(codes, [&json!("not_yours"); 3]);
    assert_eq!(server.engine.store().task_counts().await.unwrap().events, 1);

    let report = ask(&server, &own, Method::POST, "/v1/traces", Some(spans(1))).await;
    let refused = &report.json()["partialSuccess"];
    assert_eq!(refused["rejectedSpans"], "2", "{report:?}");
    assert!(refused["errorMessage"].as_str().unwrap().contains("not_yours"));
    // A collector's token stands for all agents of an environment.
    let collector = token(&server, "collector", Role::Agent, &["default:agent/*"]).await;
    let report = ask(&server, &collector, Method::POST, "/v1/traces", Some(spans(1))).await;
    assert_eq!(report.json(), json!({}), "{report:?}");
}

#[tokio::test]
async fn an_agent_ends_no_task_of_another() {
    let server = guarded();
    let (a, b) =
        (token(&server, "a", Role::Agent, &["agent/a"]).await, token(&server, "b", Role::Agent, &["agent/b"]).await);
    let sent = async |bearer: &str, agent: &str, id: &str, kind: &str, outcome: Option<&str>, ts: &str| {
        let event =
            json!({"id": id, "ts": ts, "event_type": kind, "agent": agent, "task_id": "t", "outcome": outcome});
        let bearer = format!("Bearer {bearer}");
        let headers = [("authorization", bearer.as_str())];
        server.request(Method::POST, "/api/events", &headers, Body::from(event.to_string())).await.json()
    };
    let failed = sent(&a, "a", "1", "TASK_FAILED", Some("FAILURE"), "2026-01-31T11:00:00Z").await;
    assert_eq!(failed["accepted"], 1, "{failed}");
    // Neither by its end, nor by a beginning before everything that is known of it.
    for (id, kind, outcome, ts) in [
        ("2", "TASK_COMPLETED", Some("SUCCESS"), "2026-01-31T11:30:00Z"),
        ("3", "TASK_STARTED", None, "2026-01-31T10:00:00Z"),
    ] {
        let refused = sent(&b, "b", id, kind, outcome, ts).await;
        assert_eq!(
            (&refused["accepted"], &refused["rejected"][0]["code"]),
            (&json!(0), &json!("not_yours")),
            "{refused}"
        );
    }
    let task = server.engine.store().task("t".into()).await.unwrap();
    assert_eq!((task.entity_name.as_str(), task.outcome), ("a", Some(Outcome::Failure)));
}

#[tokio::test]
async fn a_score_that_an_agent_gives_itself_is_its_own_word() {
    let server = guarded();
    let agent = token(&server, "agent", Role::Agent, &["agent/researcher"]).await;
    let runner = token(&server, "runner", Role::Agent, &["agent/*"]).await;
    let score = |id: &str, more: &Value| {
        let mut event = json!({"id": id, "event_type": "FEEDBACK", "agent": "researcher", "task_id": "t",
            "attributes": {"name": "solved", "score": 1}});
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!([event])
    };
    let cases = [
        ("1", &agent, json!({}), "self"),
        ("2", &agent, json!({"source": "environment"}), "self"),
        ("3", &agent, json!({"source": "self"}), "self"),
        ("4", &runner, json!({}), "environment"),
        ("5", &runner, json!({"source": "human"}), "human"),
    ];
    for (id, token, more, source) in cases {
        let answer = ask(&server, token, Method::POST, "/api/events", Some(score(id, &more))).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["accepted"]), (200, &json!(1)), "{more}");
        let stored = server.engine.store().event("t".into(), id.into()).await.unwrap();
        assert_eq!(stored.source.as_str(), source, "{id} {more}");
    }
    let answer =
        ask(&server, &agent, Method::POST, "/api/events", Some(score("6", &json!({"source": "human"})))).await;
    assert_eq!(answer.json()["rejected"][0]["code"], "not_yours", "{}", answer.json());
}

#[tokio::test]
async fn an_agent_resolves_for_itself_only() {
    let server = guarded();
    let a = token(&server, "a", Role::Agent, &["production:agent/a"]).await;
    let b = token(&server, "b", Role::Agent, &["agent/b"]).await;
    // It means its own environment where it names none.
    let made = bring(&server, &a, "a").await;
    assert_eq!((made.status.as_u16(), made.json()["environment"].as_str()), (200, Some("production")), "{made:?}");
    assert_eq!(bring(&server, &b, "b").await.status.as_u16(), 200);
    let key = made.json()["entity_id"].as_i64().unwrap();
    let get = |path: String| {
        let (server, b) = (&server, &b);
        async move { ask(server, b, Method::GET, &path, None).await }
    };
    let strangers = [
        "a".to_owned(),
        "a?environment=production".to_owned(),
        key.to_string(),
        "999".to_owned(),
        "nobody".to_owned(),
    ];
    for path in strangers {
        let answer = get(format!("/api/resolve/agent/{path}")).await;
        // Whether there is such an agent is not told.
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (403, "forbidden"), "{path}");
    }
    assert_eq!(get("/api/resolve/agent/b".to_owned()).await.status.as_u16(), 200);
    let many = json!({"unit": "u", "entities": [
        {"entity_type": "agent", "entity": "b"}, {"entity_type": "agent", "entity": "a"}]});
    let answer = ask(&server, &b, Method::POST, "/api/resolve", Some(many)).await.json();
    assert_eq!(answer["results"][0]["entity"], "b", "{answer}");
    assert_eq!(answer["results"][1]["code"], "forbidden", "{answer}");
    // It registers nobody else.
    assert_eq!(bring(&server, &b, "c").await.status.as_u16(), 403);
}

#[tokio::test]
async fn tokens_end() {
    let server = guarded();
    let admin = token(&server, "admin", Role::Admin, &[]).await;
    let wanted = json!({"name": "short", "role": "viewer", "expires_in_seconds": 60});
    let made = ask(&server, &admin, Method::POST, "/api/tokens", Some(wanted)).await;
    assert_eq!((made.status.as_u16(), made.header("cache-control")), (201, "no-store"));
    let short = made.json()["token"].as_str().unwrap().to_owned();
    let status = |token: String| {
        let server = &server;
        async move { ask(server, &token, Method::GET, "/api/improvements/status", None).await.status.as_u16() }
    };
    assert_eq!(status(short.clone()).await, 200);
    server.clock.set(common::NOW.plus_micros(60_000_000));
    assert_eq!(status(short.clone()).await, 401);

    let other = token(&server, "other", Role::Viewer, &[]).await;
    let listed = ask(&server, &admin, Method::GET, "/api/tokens", None).await;
    // Neither tokens nor their hashes can be read back.
    for secret in [&other, &short, &admin] {
        assert!(!listed.text.contains(secret.as_str()));
    }
    assert!(!listed.text.contains("hash"), "{listed:?}");
    let states: Vec<_> =
        listed.json()["items"].as_array().unwrap().iter().map(|token| token["state"].clone()).collect();
    assert_eq!(states, ["in_force", "expired", "in_force"]);
    let id = listed.json()["items"][0]["id"].as_i64().unwrap();
    assert_eq!(status(other.clone()).await, 200);
    let revoked = ask(&server, &admin, Method::DELETE, &format!("/api/tokens/{id}"), None).await;
    assert_eq!(revoked.status.as_u16(), 204);
    assert_eq!(status(other).await, 401);
    for (body, code) in [
        (json!({"name": "", "role": "viewer"}), "invalid_value"),
        (json!({"name": "x", "role": "root"}), "invalid_value"),
        (json!({"name": "x", "role": "agent"}), "invalid_value"),
        (json!({"name": "x", "role": "agent", "entities": ["nonsense"]}), "invalid_value"),
        (json!({"name": "x", "role": "viewer", "entities": ["agent/a"]}), "invalid_value"),
        (json!({"name": "admin", "role": "viewer"}), "invalid_value"),
        (json!({"name": "x", "role": "viewer", "expires_in_seconds": 0}), "invalid_value"),
        (json!({"name": "x", "role": "viewer", "hash": "0"}), "invalid_body"),
    ] {
        let answer = ask(&server, &admin, Method::POST, "/api/tokens", Some(body.clone())).await;
        assert_eq!(answer.code(), code, "{body}");
    }
}

/// Sends a request as from an address.
async fn from(server: &Server, address: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::builder().uri("/api/improvements/status").header("host", "localhost");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let peer: SocketAddr = address.parse().unwrap();
    server.send(request.extension(ConnectInfo(peer)).body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn guessing_and_flooding_end_soon() {
    let access = AccessPolicy { failures_per_minute: 3, requests_per_second: 1, burst: 5, ..AccessPolicy::default() };
    let policy = Policy { access, ..Policy::default() };
    let server = Server::guarded(policy.clone(), GUARDED);
    let good = format!("Bearer {}", token(&server, "viewer", Role::Viewer, &[]).await);
    let guess = [("authorization", "Bearer uplift_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")];
    for _ in 0..3 {
        assert_eq!(from(&server, "192.0.2.1:1", &guess).await.status.as_u16(), 401);
    }
    let refused = from(&server, "192.0.2.1:2", &guess).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (429, "rate_limited"));
    assert!(refused.header("retry-after").parse::<u64>().unwrap() >= 1);
    // Others, and whoever has a token, are not kept out with it.
    assert_eq!(from(&server, "192.0.2.2:1", &guess).await.status.as_u16(), 401);
    for _ in 0..5 {
        assert_eq!(from(&server, "192.0.2.1:3", &[("authorization", &good)]).await.status.as_u16(), 200);
    }
    let refused = from(&server, "192.0.2.1:3", &[("authorization", &good)]).await;
    assert_eq!(refused.code(), "rate_limited");
    // Behind a proxy the address is the one that the proxy wrote, whatever the client wrote before it.
    let server = Server::guarded(policy, Guarding { behind_proxy: true, ..GUARDED });
    for number in 0..4 {
        let forwarded = format!("10.0.0.{number}, 198.51.100.7");
        let answer = from(&server, "127.0.0.1:1", &[guess[0], ("x-forwarded-for", &forwarded)]).await;
        assert_eq!(answer.status.as_u16(), if number < 3 { 401 } else { 429 });
    }
}

#[tokio::test]
async fn what_is_done_is_written_down() {
    let server = guarded();
    let operator = token(&server, "ops", Role::Operator, &[]).await;
    let admin = token(&server, "admin", Role::Admin, &[]).await;
    ask(&server, &operator, Method::POST, "/api/improvements/7/approve", None).await;
    ask(&server, &operator, Method::POST, "/api/improvements/pause", None).await;
    ask(&server, &operator, Method::GET, "/api/improvements/status", None).await;
    // What was refused for want of a role was never begun.
    ask(&server, &operator, Method::DELETE, "/api/tokens/1", None).await;
    let log = ask(&server, &admin, Method::GET, "/api/audit?actor=ops", None).await.json();
    let entries: Vec<_> = log["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            (entry["action"].as_str().unwrap(), entry["subject"].as_str().unwrap(), entry["status"].as_u64())
        })
        .collect();
    let expected = [
        ("POST /api/improvements/pause", "/api/improvements/pause", Some(200)),
        ("POST /api/improvements/{id}/approve", "/api/improvements/7/approve", Some(404)),
    ];
    assert_eq!(entries, expected, "{log}");
    assert_eq!(
        (log["items"][0]["actor"].as_str(), log["items"][0]["role"].as_str()),
        (Some("ops"), Some("operator"))
    );
    // Who acts is who the token says, whatever the body says.
    let paused = server.engine.store().setting("paused".to_owned()).await.unwrap().unwrap_or_default();
    assert!(!paused.to_string().contains("operator"), "{paused}");
}

#[tokio::test]
async fn exporters_over_grpc_are_told_in_their_words() {
    let server = guarded();
    let viewer = token(&server, "viewer", Role::Viewer, &[]).await;
    let bearer = format!("Bearer {viewer}");
    let path = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
    let grpc = ("content-type", "application/grpc");
    // 16 is UNAUTHENTICATED, 7 PERMISSION_DENIED.
    for (headers, status) in [(vec![grpc], "16"), (vec![grpc, ("authorization", bearer.as_str())], "7")] {
        for router in [&server.router, &server.grpc] {
            let mut request = Request::builder().method(Method::POST).uri(path).header("host", "localhost");
            for (name, value) in &headers {
                request = request.header(*name, *value);
            }
            let answer = router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
            assert_eq!(answer.headers()["grpc-status"], status);
        }
    }
}

#[tokio::test]
async fn people_log_in_with_a_token() {
    let server = guarded();
    let operator = token(&server, "ops", Role::Operator, &[]).await;
    let agent = token(&server, "agent", Role::Agent, &["agent/a"]).await;
    let form = ("content-type", "application/x-www-form-urlencoded");
    let login = |token: String, next: &'static str| {
        let server = &server;
        async move {
            let body = Body::from(format!("token={token}&next={next}"));
            server.request(Method::POST, "/login", &[form], body).await
        }
    };
    assert_eq!(login("uplift_nonsense".into(), "/").await.status.as_u16(), 401);
    assert_eq!(login(agent, "/").await.status.as_u16(), 403);
    // Nobody is led elsewhere by a link to the login.
    assert_eq!(login(operator.clone(), "https://evil.example").await.header("location"), "/");
    let begun = login(operator, "/improvements").await;
    assert_eq!((begun.status.as_u16(), begun.header("location")), (303, "/improvements"));
    let cookie = begun.header("set-cookie").to_owned();
    for part in ["HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    let session = cookie.split(';').next().unwrap().to_owned();
    let with = |cookie: String, path: &'static str| {
        let server = &server;
        async move { server.request(Method::GET, path, &[("cookie", &cookie)], Body::empty()).await }
    };
    assert_eq!(with(session.clone(), "/api/improvements/status").await.status.as_u16(), 200);
    let page = with(session.clone(), "/").await;
    assert_eq!(page.status.as_u16(), 200);
    // A cookie that was changed is none: another token, a longer life, another seal.
    let (body, seal) = session.rsplit_once('.').unwrap();
    let (name, value) = body.split_once('=').unwrap();
    let (id, until) = value.split_once('.').unwrap();
    let longer = until.parse::<i64>().unwrap() + 1_000;
    for forged in [
        format!("{name}=999.{until}.{seal}"),
        format!("{name}={id}.{longer}.{seal}"),
        format!("{name}={id}.{until}.{}", "0".repeat(64)),
        format!("{name}={id}.{until}"),
        format!("{name}="),
    ] {
        assert_eq!(with(forged.clone(), "/api/improvements/status").await.status.as_u16(), 401, "{forged}");
    }
    // Without the token of a form, or with somebody else's, a cookie changes nothing on a page.
    for token in ["", "0000", &"0".repeat(64)] {
        let body = Body::from(format!("form_token={token}"));
        let answer = server.request(Method::POST, "/settings/pause", &[form, ("cookie", &session)], body).await;
        assert_eq!(answer.status.as_u16(), 403, "{token}");
    }
    assert!(!server.engine.is_paused());
    let field = page.text.split("name=\"form_token\" value=\"").nth(1).unwrap();
    let field = field.split('"').next().unwrap();
    let body = Body::from(format!("form_token={field}"));
    let answer = server.request(Method::POST, "/settings/pause", &[form, ("cookie", &session)], body).await;
    assert_eq!(answer.status.as_u16(), 303, "{answer:?}");
    assert!(server.engine.is_paused());
    // The session ends with its token, and by itself.
    server.clock.set(common::NOW.plus_micros(12 * 3_600_000_000 + 1));
    assert_eq!(with(session, "/api/improvements/status").await.status.as_u16(), 401);
}
