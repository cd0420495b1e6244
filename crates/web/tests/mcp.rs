//! The tools for agents: who sees which, what they do, and what they refuse.
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
use uplift_model::policy::RequestsPolicy;
use uplift_runner::access::Wanted;
use uplift_store::Write;
use uplift_web::Guarding;

/// A server that asks for tokens, with an agent that reads a guide and follows a process, and two of its tasks.
async fn server() -> Server {
    let requests = RequestsPolicy { agents: vec!["agent/researcher".parse().unwrap()], ..RequestsPolicy::default() };
    let policy = Policy { requests, ..Policy::default() };
    let server = Server::guarded(policy, Guarding { tokens: true, behind_proxy: true, ..Guarding::default() });
    let operator = token(&server, "ops", Role::Operator, &[]).await;
    for (path, configuration) in [
        (
            "agent/researcher",
            json!({"instruction": {"text": "Help."}, "contexts": ["the guide"], "processes": ["steps"],
            "parameters": {"timeout_ms": 1000}}),
        ),
        ("agent/writer", json!({"model": "small"})),
        ("context/the%20guide", json!({"content": "Read this."})),
        ("process/steps", json!({"steps": ["search", "read"]})),
    ] {
        let body = json!({ "configuration": configuration });
        let answer = send(&server, &operator, Method::PUT, &format!("/api/entities/{path}"), &body).await;
        assert_eq!(answer.status.as_u16(), 201, "{answer:?}");
    }
    let events = ["researcher", "writer"].map(|agent| {
        json!({"id": "1", "ts": NOW.micros() / 1_000 - 1, "event_type": "TASK_FAILED", "agent": agent,
            "task_id": format!("task-{agent}")})
    });
    let answer = send(&server, &operator, Method::POST, "/api/events", &json!(events)).await;
    assert_eq!(answer.json()["accepted"], 2, "{answer:?}");
    server
}

async fn token(server: &Server, name: &str, role: Role, entities: &[&str]) -> String {
    let entities = entities.iter().map(|text| text.parse().unwrap()).collect();
    let wanted = Wanted { name: name.into(), role, entities, expires_at: None };
    server.engine.make_token(wanted, "test").await.unwrap().secret
}

async fn send(server: &Server, token: &str, method: Method, path: &str, body: &Value) -> Answer {
    let bearer = format!("Bearer {token}");
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
        ("x-forwarded-for", "192.0.2.7"),
    ];
    server.request(method, path, &headers, Body::from(body.to_string())).await
}

/// One message over MCP; its answer.
async fn message(server: &Server, token: &str, path: &str, method: &str, params: Value) -> Value {
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    let answer = send(server, token, Method::POST, path, &body).await;
    assert_eq!(answer.header("content-type"), "application/json", "{answer:?}");
    answer.json()
}

/// What a tool says, and whether that is an error.
async fn call(server: &Server, token: &str, tool: &str, arguments: Value) -> (bool, Value) {
    let answer = message(server, token, "/mcp", "tools/call", json!({"name": tool, "arguments": arguments})).await;
    let result = &answer["result"];
    let text = result["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{answer}"));
    (result["isError"] == true, serde_json::from_str(text).unwrap())
}

async fn works(server: &Server, token: &str, tool: &str, arguments: Value) -> Value {
    let (failed, said) = call(server, token, tool, arguments).await;
    assert!(!failed, "{tool}: {said}");
    said
}

fn request(fields: Value) -> Value {
    let mut body = json!({"improvement_type": "context_optimization", "description": "Add performance guide to context",
        "rationale": "Frequently need performance metrics reference",
        "evidence": {"failed_tasks": ["task-researcher"], "time_wasted": "15min"}});
    for (name, value) in fields.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

#[tokio::test]
async fn each_sees_the_tools_that_are_for_them() {
    let server = server().await;
    let params =
        json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
    let fleet = ["request_improvement", "improvement_status", "my_configuration", "report_outcome"].as_slice();
    let optimizer =
        ["list_opportunities", "get_evidence", "propose_change", "request_improvement", "improvement_status"]
            .as_slice();
    let planning =
        ["list_opportunities", "get_evidence", "order_backlog", "request_improvement", "improvement_status"]
            .as_slice();
    for (name, role, bound, path, tools) in [
        ("a", Role::Agent, &["agent/researcher"][..], "/mcp", fleet),
        ("b", Role::Agent, &["uplift:agent/optimizer"], "/mcp", optimizer),
        ("c", Role::Agent, &["uplift:agent/recovery"], "/mcp", optimizer),
        ("d", Role::Agent, &["uplift:agent/planning"], "/mcp", planning),
        ("e", Role::Agent, &["*:agent/*"], "/mcp", fleet),
        ("f", Role::Agent, &["*:agent/*"], "/mcp?agent=planning&environment=uplift", planning),
        ("g", Role::Operator, &[], "/mcp?agent=researcher", fleet),
    ] {
        let token = token(&server, name, role, bound).await;
        let hello = message(&server, &token, path, "initialize", params.clone()).await;
        assert_eq!(hello["result"]["serverInfo"]["name"], "uplift", "{hello}");
        let listed = message(&server, &token, path, "tools/list", json!({})).await;
        let listed = listed["result"]["tools"].as_array().unwrap_or_else(|| panic!("{listed}"));
        let names: Vec<_> = listed.iter().map(|tool| tool["name"].as_str().unwrap()).collect();
        assert_eq!(names, tools, "{name}");
        // Who is known is not asked for a name.
        let asks = listed.iter().any(|tool| tool["inputSchema"]["properties"].get("agent").is_some());
        assert_eq!(asks, name == "e", "{name}");
    }
    let all = token(&server, "h", Role::Operator, &[]).await;
    let listed = message(&server, &all, "/mcp", "tools/list", json!({})).await;
    assert_eq!(listed["result"]["tools"].as_array().unwrap().len(), 8);
}

#[tokio::test]
async fn strangers_stay_outside() {
    let server = server().await;
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}});
    let nobody =
        server.request(Method::POST, "/mcp", &[("content-type", "application/json")], Body::from(body.to_string()));
    assert_eq!(nobody.await.code(), "unauthorized");
    let viewer = token(&server, "eyes", Role::Viewer, &[]).await;
    assert_eq!(send(&server, &viewer, Method::POST, "/mcp", &body).await.code(), "forbidden");
    let own = token(&server, "own", Role::Agent, &["agent/writer"]).await;
    assert_eq!(send(&server, &own, Method::GET, "/mcp", &Value::Null).await.status.as_u16(), 405);
    // A seat that is not theirs is not had by its name in the address, nor by asking for its tools.
    let path = "/mcp?agent=optimizer&environment=uplift";
    let refused = message(&server, &own, path, "tools/list", json!({})).await;
    assert!(refused["error"]["message"].as_str().unwrap().contains("does not stand for"), "{refused}");
    let params = json!({"name": "propose_change", "arguments": {}});
    let refused = message(&server, &own, "/mcp", "tools/call", params).await;
    assert!(refused["error"]["message"].as_str().unwrap().contains("no tool"), "{refused}");
    // Nor is anybody else's name.
    for (tool, arguments) in [
        ("request_improvement", request(json!({"agent": "researcher"}))),
        ("my_configuration", json!({"agent": "researcher"})),
        ("report_outcome", json!({"task_id": "task-researcher", "success": true})),
        ("request_improvement", request(json!({}))),
    ] {
        let (failed, said) = call(&server, &own, tool, arguments).await;
        assert!(failed && said["error"] == "forbidden", "{tool}: {said}");
    }
    for (tool, arguments, code) in [
        ("request_improvement", json!({}), "invalid_body"),
        ("request_improvement", request(json!({"surprise": 1})), "invalid_body"),
        ("improvement_status", json!({"request_id": "x"}), "invalid_body"),
        ("improvement_status", json!({"request_id": 99}), "not_found"),
        ("report_outcome", json!({"task_id": 5}), "invalid_body"),
    ] {
        let (failed, said) = call(&server, &own, tool, arguments).await;
        assert!(failed && said["error"] == code && said["remedy"].is_string(), "{tool}: {said}");
    }
    let large = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"x": "y".repeat(1_100_000)}});
    assert_eq!(send(&server, &own, Method::POST, "/mcp", &large).await.code(), "body_too_large");
}

#[tokio::test]
async fn an_agent_asks_and_hears_of_it() {
    let server = server().await;
    let own = token(&server, "own", Role::Agent, &["agent/researcher"]).await;
    let asked = works(&server, &own, "request_improvement", request(json!({}))).await;
    assert_eq!(
        (&asked["status"], &asked["evidence"][0]["found"]),
        (&json!("needs_proposal"), &json!("confirmed")),
        "{asked}"
    );
    // Some models send objects as texts.
    let text = request(json!({"evidence": "{\"failed_tasks\": [\"task-writer\"]}", "description": "something else"}));
    let other = works(&server, &own, "request_improvement", text).await;
    assert_eq!(other["evidence"][0]["found"], "wrong", "{other}");
    let status = works(&server, &own, "improvement_status", json!({})).await;
    let ids: Vec<_> =
        status["requests"].as_array().unwrap().iter().map(|request| request["request_id"].clone()).collect();
    assert_eq!(ids, [other["request_id"].clone(), asked["request_id"].clone()]);
    let one = works(&server, &own, "improvement_status", json!({"request_id": asked["request_id"]})).await;
    assert_eq!(one["status"], "needs_proposal");

    let configuration = works(&server, &own, "my_configuration", json!({"unit": "u"})).await;
    assert_eq!(configuration["configuration"]["contexts"], json!(["the guide"]), "{configuration}");
    let told = works(&server, &own, "report_outcome", json!({"task_id": "task-researcher", "success": false})).await;
    assert_eq!((&told["source"], &told["counts"]), (&json!("self"), &json!(false)), "{told}");

    let admin = token(&server, "root", Role::Admin, &[]).await;
    let log = send(&server, &admin, Method::GET, "/api/audit", &Value::Null).await.json();
    let entries = log["items"].as_array().unwrap();
    let entry = entries.iter().find(|entry| entry["action"] == "MCP request_improvement");
    assert_eq!(entry.unwrap_or_else(|| panic!("{log}"))["peer"], "192.0.2.7");
}

#[tokio::test]
async fn contexts_and_processes_are_there_to_be_read() {
    let server = server().await;
    let own = token(&server, "own", Role::Agent, &["agent/researcher"]).await;
    let listed = message(&server, &own, "/mcp", "resources/list", json!({})).await;
    let uri = listed["result"]["resources"][0]["uri"].clone();
    assert_eq!(uri, "uplift://contexts/the%20guide", "{listed}");
    let read = message(&server, &own, "/mcp", "resources/read", json!({ "uri": uri })).await;
    assert_eq!(read["result"]["contents"][0]["text"], "Read this.", "{read}");
    let listed = message(&server, &own, "/mcp", "prompts/list", json!({})).await;
    assert_eq!(listed["result"]["prompts"][0]["name"], "steps", "{listed}");
    let got = message(&server, &own, "/mcp", "prompts/get", json!({"name": "steps"})).await;
    let text = got["result"]["messages"][0]["content"]["text"].as_str().unwrap_or_else(|| panic!("{got}"));
    assert!(text.contains("1. search\n2. read"), "{text}");
    let other = token(&server, "other", Role::Agent, &["agent/writer"]).await;
    for (method, params) in [
        ("resources/read", json!({"uri": "uplift://contexts/the%20guide"})),
        ("resources/read", json!({"uri": "file:///etc/passwd"})),
        ("prompts/get", json!({"name": "steps"})),
    ] {
        let refused = message(&server, &other, "/mcp", method, params).await;
        assert!(
            refused["error"]["message"].as_str().is_some_and(|text| text.contains("there is no such")),
            "{refused}"
        );
    }
}

#[tokio::test]
async fn the_agents_that_improve_others_do_their_work() {
    let server = server().await;
    let own = token(&server, "own", Role::Agent, &["agent/researcher"]).await;
    let optimizer = token(&server, "optimizer", Role::Agent, &["uplift:agent/optimizer"]).await;
    let planning = token(&server, "planning", Role::Agent, &["uplift:agent/planning"]).await;
    for text in ["one", "two"] {
        let asked = request(json!({"description": text, "evidence": {}}));
        works(&server, &own, "request_improvement", asked).await;
    }
    let listed = works(&server, &optimizer, "list_opportunities", json!({})).await;
    let listed = listed["opportunities"].as_array().unwrap();
    assert_eq!(listed.len(), 2);
    assert_eq!(listed[0]["entity"], "agent/researcher");
    let id = &listed[1]["opportunity_id"];
    let evidence = works(&server, &optimizer, "get_evidence", json!({"opportunity_id": id})).await;
    assert_eq!(evidence["configuration"]["parameters"]["timeout_ms"], 1000, "{evidence}");
    assert_eq!(evidence["untrusted"]["asked"][0]["agent"], "researcher");

    works(&server, &planning, "order_backlog", json!({"opportunity_ids": [id]})).await;
    let claimable = server.engine.store().claimable(NOW, 10).await.unwrap();
    assert_eq!(json!(claimable[0].id), *id);
    let (failed, said) = call(&server, &planning, "order_backlog", json!({"opportunity_ids": [id, id]})).await;
    assert!(failed && said["error"] == "invalid_value", "{said}");

    let edits = json!([{"edit": "append_guideline", "text": "Name your sources."}]);
    let proposal = json!({"opportunity_id": id, "edits": edits, "improvement_type": "instruction_update",
        "rationale": "Answers without sources failed."});
    let proposed = works(&server, &optimizer, "propose_change", proposal.clone()).await;
    let path = format!("/api/improvements/{}", proposed["improvement_id"]);
    let operator = token(&server, "ops2", Role::Operator, &[]).await;
    let report = send(&server, &operator, Method::GET, &path, &Value::Null).await.json();
    assert_eq!(
        (&report["proposed_by"], &report["proposer"]),
        (&json!("llm"), &json!("uplift/optimizer")),
        "{report}"
    );
    // It is being worked on: a second one has to wait, and whoever asked sees the first.
    let (failed, said) = call(&server, &optimizer, "propose_change", proposal).await;
    assert!(failed && said["error"] == "not_open", "{said}");
    let status = works(&server, &own, "improvement_status", json!({})).await;
    assert!(status.to_string().contains("\"proposed\""), "{status}");

    // Once it did harm, it is for the recovery agent to say what to try instead.
    let recovery = token(&server, "recovery", Role::Agent, &["uplift:agent/recovery"]).await;
    let none = works(&server, &recovery, "list_opportunities", json!({})).await;
    assert_eq!(none["opportunities"], json!([]));
    let improvement = proposed["improvement_id"].as_i64().unwrap();
    let entry = HistoryEntry {
        improvement_id: improvement,
        entity: server.engine.store().improvement(improvement).await.unwrap().entity,
        improvement_type: ImprovementType::InstructionUpdate,
        outcome: HistoryOutcome::RolledBack,
        reason: "it did harm".into(),
        started_at: None,
        decided_at: NOW,
        metrics_before: None,
        metrics_after: None,
        effectiveness: None,
        rollback_revision: None,
        verdict: None,
        report: String::new(),
    };
    let opportunity = id.as_i64().unwrap();
    let back = Write::ReturnOpportunity { id: opportunity, not_before: NOW, reason: "it did harm".into() };
    server.engine.commit(vec![Write::RecordHistory(Box::new(entry)), back]).await.unwrap();
    let harmed = works(&server, &recovery, "list_opportunities", json!({})).await;
    assert_eq!(harmed["opportunities"][0]["opportunity_id"], *id, "{harmed}");
    assert_eq!(harmed["opportunities"].as_array().unwrap().len(), 1);
    let evidence = works(&server, &recovery, "get_evidence", json!({"opportunity_id": id})).await;
    assert_eq!(evidence["tried"][0]["outcome"], "rolled_back", "{evidence}");
    assert_eq!(evidence["tried"][0]["edits"][0]["text"], "Name your sources.");
}
