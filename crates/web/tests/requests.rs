//! What agents ask for over HTTP: who may, what is checked, what starts at once, and how they hear of it.
#![allow(clippy::unwrap_used)]

mod common;

use axum::body::Body;
use axum::http::Method;
use common::{Answer, NOW, Server};
use serde_json::{Value, json};
use uplift_model::Policy;
use uplift_model::access::Role;
use uplift_model::history::{HistoryEntry, HistoryOutcome};
use uplift_model::improvement::ImprovementType;
use uplift_model::policy::{Mode, RequestsPolicy};
use uplift_model::verdict::Interval;
use uplift_runner::access::Wanted;
use uplift_store::Write;
use uplift_web::Guarding;

const PATH: &str = "/api/improvements/requests";

async fn send(server: &Server, token: &str, method: Method, path: &str, body: &Value) -> Answer {
    let bearer = format!("Bearer {token}");
    let mut headers = vec![("content-type", "application/json")];
    if !token.is_empty() {
        headers.push(("authorization", bearer.as_str()));
    }
    server.request(method, path, &headers, Body::from(body.to_string())).await
}

async fn post(server: &Server, body: &Value) -> Answer {
    send(server, "", Method::POST, PATH, body).await
}

fn policy() -> Policy {
    let agents = vec!["agent/researcher".parse().unwrap(), "production:agent/*".parse().unwrap()];
    Policy { requests: RequestsPolicy { agents, ..RequestsPolicy::default() }, ..Policy::default() }
}

/// A server with some agents, of which `researcher` may ask, and two days of work in which one in ten tasks failed.
async fn server_with(policy: Policy) -> Server {
    let server = Server::guarded(policy, Guarding::default());
    let configuration = json!({"configuration": {
        "instruction": {"text": "Help."}, "tools": [{"name": "search", "required": true}],
        "parameters": {"timeout_ms": 1000},
    }});
    for agent in ["researcher", "writer"] {
        let answer = send(&server, "", Method::PUT, &format!("/api/entities/agent/{agent}"), &configuration).await;
        assert_eq!(answer.status.as_u16(), 201, "{answer:?}");
    }
    let lines: Vec<String> = (0..200)
        .map(|number| {
            let ts = (NOW.micros() - (200 - number) * 800_000_000) / 1_000;
            let kind = if number % 10 == 0 { "TASK_FAILED" } else { "TASK_COMPLETED" };
            let agent = if number < 20 { "writer" } else { "researcher" };
            json!({"id": "1", "ts": ts, "event_type": kind, "agent": agent, "task_id": format!("t{number}"),
                "duration_ms": 900 + number, "tokens_in": 1000})
            .to_string()
        })
        .collect();
    let answer = server.post_events(lines.join("\n")).await;
    assert_eq!(answer.json()["accepted"], 200, "{answer:?}");
    server
}

async fn server() -> Server {
    server_with(policy()).await
}

fn request(evidence: Value) -> Value {
    json!({
        "agent": "researcher", "improvement_type": "context_optimization",
        "description": "Add performance guide to context",
        "rationale": "Frequently need <b>performance</b> metrics reference", "evidence": evidence,
    })
}

fn with(mut body: Value, fields: Value) -> Value {
    for (name, value) in fields.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

fn detail(answer: &Answer) -> String {
    answer.json()["detail"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_request_is_checked_and_kept() {
    let server = server().await;
    let evidence = json!({"failed_tasks": ["t30", "t31", "t10", "t999"], "time_wasted": "15min"});
    let answer = post(&server, &request(evidence)).await;
    assert_eq!((answer.status.as_u16(), answer.header("location")), (201, "/api/improvements/requests/1"));
    let asked = answer.json();
    let found: Vec<_> = asked["evidence"].as_array().unwrap().iter().map(|item| item["found"].clone()).collect();
    assert_eq!(found, ["confirmed", "wrong", "wrong", "wrong", "unchecked"], "{asked}");
    assert_eq!((asked["status"].as_str(), asked["improvement_id"].is_null()), (Some("pending"), true));
    assert!(asked["message"].as_str().unwrap().contains("below the 0.80"), "{asked}");

    let one = server.get(&format!("{PATH}/1")).await.json();
    assert_eq!(
        (&one["agent"], &one["about"], &one["asked_by"]),
        (&json!("researcher"), &json!("researcher"), &json!("local"))
    );
    assert_eq!(one["rationale"], "Frequently need <b>performance</b> metrics reference");
    assert!(one.get("verdict").is_none());
    let opportunity = server.get(&format!("/api/improvements/opportunities/{}", one["opportunity_id"])).await.json();
    assert_eq!((opportunity["source"].as_str(), opportunity["kind"].as_str()), (Some("agent"), Some("request")));
    assert!(!opportunity.to_string().contains("guide"), "{opportunity}");

    // The same again, in other words for people, joins it; its weight never falls.
    let again = request(json!({"failed_tasks": ["t30", "t40", "t50"]}));
    let again =
        post(&server, &with(again, json!({"description": "add PERFORMANCE guide, to context!"}))).await.json();
    assert_eq!(again["opportunity_id"], one["opportunity_id"]);
    assert!(again["message"].as_str().unwrap().contains("asked for once before"), "{again}");
    let joined = server.get(&format!("/api/improvements/opportunities/{}", one["opportunity_id"])).await.json();
    assert_eq!(joined["evidence"]["count"], 2);
    assert!(joined["confidence"].as_f64() > opportunity["confidence"].as_f64());
    assert_eq!(server.get(PATH).await.json()["items"].as_array().unwrap().len(), 2);
    assert_eq!(server.get(&format!("{PATH}?agent=writer")).await.json()["items"], json!([]));
    assert_eq!(server.get(&format!("{PATH}?open=true&limit=1")).await.json()["items"][0]["request_id"], 2);
    assert_eq!(server.get(&format!("{PATH}/77")).await.code(), "not_found");
}

#[tokio::test]
async fn what_is_urgent_and_sure_starts_by_itself() {
    let confirmed = json!({"failed_tasks": ["t30", "t40"]});
    for (mode, priority, evidence, status) in [
        (Mode::Auto, "high", &confirmed, "needs_proposal"),
        (Mode::Auto, "high", &json!({}), "pending"),
        (Mode::Auto, "low", &confirmed, "pending"),
        (Mode::Observe, "high", &confirmed, "pending"),
    ] {
        let mut policy = policy();
        policy.engine.mode = mode;
        let server = server_with(policy).await;
        let asked = post(&server, &with(request(evidence.clone()), json!({"priority": priority}))).await.json();
        // No rule has anything to say about the context of an agent that never failed for one.
        assert_eq!(asked["status"], status, "{mode} {priority}: {asked}");
    }
}

#[tokio::test]
async fn a_missed_tool_waits_for_an_operator() {
    let server = server().await;
    let body = with(request(json!({"tool": "web_search"})), json!({"improvement_type": "tool_reassignment"}));
    let asked = post(&server, &body).await.json();
    assert_eq!(asked["status"], "proposed", "{asked}");
    uplift_runner::processes::tick(&server.engine).await.unwrap();
    let one = server.get(&format!("{PATH}/{}", asked["request_id"])).await.json();
    assert_eq!(one["status"], "awaiting_approval", "{one}");
    let improvement = server.get(&format!("/api/improvements/{}", one["improvement_id"])).await.json();
    assert_eq!((&improvement["proposed_by"], &improvement["proposer"]), (&json!("agent"), &json!("researcher")));
    assert_eq!(improvement["edits"], json!([{"edit": "assign_tool", "name": "web_search", "required": false}]));
    // Whoever asks for the same tool in other words joins; an operator's no is a verdict.
    let other = post(&server, &with(body, json!({"description": "Let me search the web"}))).await.json();
    assert_eq!(other["opportunity_id"], asked["opportunity_id"]);
    let path = format!("/api/improvements/{}/reject", one["improvement_id"]);
    let answer = send(&server, "", Method::POST, &path, &json!({"by": "ops", "reason": "not here"})).await;
    assert_eq!(answer.status.as_u16(), 200, "{answer:?}");
    for id in [&asked["request_id"], &other["request_id"]] {
        let one = server.get(&format!("{PATH}/{id}")).await.json();
        assert_eq!((&one["status"], &one["verdict"]["outcome"]), (&json!("rejected"), &json!("rejected")), "{one}");
        assert!(one["verdict"]["reason"].as_str().unwrap().contains("not here"), "{one}");
    }
}

#[tokio::test]
async fn an_agents_own_change_waits_for_approval() {
    let server = server().await;
    let edits = json!([{"edit": "append_guideline", "text": "Name the source of each number."}]);
    let own = with(request(json!({})), json!({"improvement_type": "instruction_update", "edits": edits}));
    let asked = post(&server, &own).await.json();
    assert!(asked["improvement_id"].is_i64(), "{asked}");
    uplift_runner::processes::tick(&server.engine).await.unwrap();
    let one = server.get(&format!("{PATH}/{}", asked["request_id"])).await.json();
    assert_eq!(one["status"], "awaiting_approval", "{one}");
    // What cannot be applied is refused, and nothing is on record.
    for (fields, code) in [
        (json!({"edits": [{"edit": "unassign_tool", "name": "nothing"}]}), "invalid_edit"),
        (json!({"improvement_type": "context_optimization"}), "invalid_edit"),
        (json!({"edits": [{"edit": "destroy"}]}), "invalid_edit"),
    ] {
        let answer = post(&server, &with(own.clone(), fields.clone())).await;
        assert_eq!(answer.code(), code, "{fields}");
    }
    assert_eq!(server.get(PATH).await.json()["items"].as_array().unwrap().len(), 1);
}

/// Writes into the history how an improvement ended.
async fn decide(server: &Server, improvement: i64, outcome: HistoryOutcome) {
    let entry = HistoryEntry {
        improvement_id: improvement,
        entity: server.engine.store().improvement(improvement).await.unwrap().entity,
        improvement_type: ImprovementType::InstructionUpdate,
        outcome,
        reason: "as measured".into(),
        started_at: Some(NOW),
        decided_at: NOW.plus_micros(1),
        metrics_before: None,
        metrics_after: None,
        effectiveness: Some(Interval { estimate: 0.25, low: 0.125, high: 0.5 }),
        rollback_revision: None,
        verdict: None,
        report: "# Report".into(),
    };
    server.engine.commit(vec![Write::RecordHistory(Box::new(entry))]).await.unwrap();
}

#[tokio::test]
async fn verdicts_come_back_with_numbers_and_make_a_record() {
    let server = server().await;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let telling = tokio::spawn(uplift_runner::requests::answers::run(server.engine.clone(), stopped));
    let mut answers = server.engine.answers().listen();
    let own = |text: &str| {
        let edits = json!([{"edit": "append_guideline", "text": text}]);
        with(
            request(json!({})),
            json!({"improvement_type": "instruction_update", "edits": edits, "description": text}),
        )
    };
    let first = post(&server, &own("Cite.")).await.json();
    assert_eq!(first["confidence"], 0.75);
    let improvement = first["improvement_id"].as_i64().unwrap();
    // What was decided before anybody listened is not told: so it is decided once the first look was held.
    let answer = loop {
        decide(&server, improvement, HistoryOutcome::Kept).await;
        let heard = tokio::time::timeout(std::time::Duration::from_secs(3), answers.recv()).await;
        if let Ok(answer) = heard {
            break answer.unwrap();
        }
    };
    assert_eq!((answer.request_id, answer.outcome, answer.effectiveness), (1, HistoryOutcome::Kept, Some(0.25)));
    stop.send(true).unwrap();
    telling.await.unwrap();
    let one = server.get(&format!("{PATH}/1")).await.json();
    assert_eq!(
        (&one["verdict"]["outcome"], &one["verdict"]["effectiveness"]),
        (&json!("kept"), &json!(0.25)),
        "{one}"
    );
    assert_eq!(
        (&one["verdict"]["effectiveness_low"], &one["verdict"]["effectiveness_high"]),
        (&json!(0.125), &json!(0.5))
    );
    // What turned out well gives weight to the next one, and what did harm takes it.
    let second = post(&server, &own("Be brief.")).await.json();
    assert_eq!(second["confidence"], 0.8);
    decide(&server, second["improvement_id"].as_i64().unwrap(), HistoryOutcome::RolledBack).await;
    assert_eq!(post(&server, &own("Be kind.")).await.json()["confidence"], 0.6667);
}

#[tokio::test]
async fn what_cannot_be_taken_is_told() {
    let server = server().await;
    let long = "x".repeat(2_001);
    for (fields, status, code) in [
        (json!({"agent": "nobody"}), 404, "not_found"),
        (json!({"agent": "writer"}), 403, "forbidden"),
        (json!({"agent": null}), 400, "invalid_body"),
        (json!({"about": "writer"}), 403, "forbidden"),
        // Whether there is such an agent is not told.
        (json!({"about": "nobody"}), 403, "forbidden"),
        (json!({"about": "nowhere:writer"}), 403, "forbidden"),
        (json!({"improvement_type": "magic"}), 422, "invalid_value"),
        (json!({"priority": "urgent"}), 422, "invalid_value"),
        (json!({"description": "  "}), 422, "invalid_value"),
        (json!({"description": long}), 422, "invalid_value"),
        (json!({"rationale": ""}), 422, "invalid_value"),
        (json!({"evidence": ["t1"]}), 422, "invalid_value"),
        (json!({"evidence": {"x": "y".repeat(20_000)}}), 422, "invalid_value"),
        (json!({"surprise": 1}), 400, "invalid_body"),
    ] {
        let answer = post(&server, &with(request(json!({})), fields.clone())).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (status, code), "{fields}: {answer:?}");
    }
    assert!(
        detail(&post(&server, &with(request(json!({})), json!({"agent": "writer"}))).await)
            .contains("requests.agents")
    );
    assert_eq!(server.get(PATH).await.json()["items"], json!([]));
    // The agents that come with Uplift may, and for others.
    let built_in = json!({"agent": "optimizer", "environment": "uplift", "about": "writer"});
    let asked = post(&server, &with(request(json!({"failed_tasks": ["t10"]})), built_in)).await.json();
    let one = server.get(&format!("{PATH}/{}", asked["request_id"])).await.json();
    assert_eq!((&one["agent"], &one["about"]), (&json!("optimizer"), &json!("writer")));
    assert_eq!(one["evidence"][0]["found"], "confirmed");
    // So may whoever was given the tool.
    let tools = json!({"configuration": {"tools": [{"name": "request_improvement"}]}});
    send(&server, "", Method::PUT, "/api/entities/agent/writer", &tools).await;
    let answer = post(&server, &with(request(json!({})), json!({"agent": "writer"}))).await;
    assert_eq!(answer.status.as_u16(), 201, "{answer:?}");
}

fn later(server: &Server, hours: i64) {
    server.clock.set(NOW.plus_micros(hours * 3_600_000_000));
}

#[tokio::test]
async fn nobody_asks_without_end() {
    let mut policy = policy();
    policy.requests = RequestsPolicy { per_hour: 2, per_day: 3, max_open: 3, ..policy.requests };
    let server = server_with(policy).await;
    let ask = async |number: u32| {
        post(&server, &with(request(json!({})), json!({"description": format!("wish {number}")}))).await
    };
    for number in 0..2 {
        assert_eq!(ask(number).await.status.as_u16(), 201);
    }
    let refused = ask(2).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (429, "rate_limited"));
    assert_eq!(refused.header("retry-after"), "3601");
    later(&server, 2);
    assert_eq!(ask(2).await.status.as_u16(), 201);
    assert!(detail(&ask(3).await).contains("in the last day"));
    later(&server, 26);
    let refused = ask(3).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (409, "occupied"));
    // What an operator sets aside makes room, and is not taken up again for a while.
    let dismiss = "/api/improvements/opportunities/1/dismiss";
    assert_eq!(send(&server, "", Method::POST, dismiss, &json!({"reason": "no"})).await.status.as_u16(), 200);
    let refused = ask(0).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (409, "not_open"));
    assert_eq!(ask(3).await.status.as_u16(), 201);
}

#[tokio::test]
async fn tokens_ask_for_themselves() {
    let server = Server::guarded(policy(), Guarding { tokens: true, ..Guarding::default() });
    let make = async |name: &str, role, entities: &[&str]| {
        let entities = entities.iter().map(|text| text.parse().unwrap()).collect();
        let wanted = Wanted { name: name.into(), role, entities, expires_at: None };
        server.engine.make_token(wanted, "test").await.unwrap().secret
    };
    let operator = make("ops", Role::Operator, &[]).await;
    let viewer = make("eyes", Role::Viewer, &[]).await;
    let one = make("one", Role::Agent, &["production:agent/researcher"]).await;
    let other = make("other", Role::Agent, &["production:agent/writer"]).await;
    for agent in ["researcher", "writer"] {
        let path = format!("/api/entities/agent/{agent}?environment=production");
        let made = send(&server, &operator, Method::PUT, &path, &json!({"configuration": {"model": "small"}})).await;
        assert_eq!(made.status.as_u16(), 201, "{made:?}");
    }
    // A token that stands for one agent need not say who it is.
    let body = with(request(json!({})), json!({"agent": null}));
    let asked = send(&server, &one, Method::POST, PATH, &body).await;
    assert_eq!(asked.status.as_u16(), 201, "{asked:?}");
    let path = format!("{PATH}/{}", asked.json()["request_id"]);
    let claims = with(body.clone(), json!({"agent": "writer", "environment": "production"}));
    for (token, method, path, body, status) in [
        (&one, Method::POST, PATH, &claims, 403),
        (&viewer, Method::POST, PATH, &claims, 403),
        (&other, Method::GET, path.as_str(), &Value::Null, 404),
        (&one, Method::GET, &path, &Value::Null, 200),
        (&viewer, Method::GET, &path, &Value::Null, 200),
        (&operator, Method::POST, PATH, &claims, 201),
        (&one, Method::GET, "/api/improvements/requests?agent=writer&environment=production", &Value::Null, 403),
    ] {
        let answer = send(&server, token, method, path, body).await;
        assert_eq!(answer.status.as_u16(), status, "{path} {answer:?}");
    }
    for (token, count) in [(&one, 1), (&other, 1), (&viewer, 2)] {
        let list = send(&server, token, Method::GET, PATH, &Value::Null).await.json();
        assert_eq!(list["items"].as_array().unwrap().len(), count, "{list}");
    }
    let log =
        send(&server, &make("root", Role::Admin, &[]).await, Method::GET, "/api/audit", &Value::Null).await.json();
    assert!(log.to_string().contains("POST /api/improvements/requests"), "{log}");
}
