//! What people do over HTTP: declare, write a change, say yes or no, ask for something, pause, set settings.

mod common;

use axum::body::Body;
use axum::http::{Method, StatusCode};
use common::{Answer, Server};
use serde_json::{Value, json};

const JSON: [(&str, &str); 1] = [("content-type", "application/json")];

async fn send(server: &Server, method: Method, path: &str, body: &Value) -> Answer {
    server.request(method, path, &JSON, Body::from(body.to_string())).await
}

async fn post(server: &Server, path: &str, body: &Value) -> Answer {
    send(server, Method::POST, path, body).await
}

async fn put(server: &Server, path: &str, body: &Value) -> Answer {
    send(server, Method::PUT, path, body).await
}

fn configuration() -> Value {
    json!({
        "instruction": {"text": "Help.", "guidelines": [{"number": 1, "text": "Cite."}]},
        "contexts": ["handbook"], "tools": [{"name": "search", "required": true}],
        "parameters": {"timeout_ms": 1000}, "graph": {"nodes": 3},
    })
}

/// A server that knows the agent `researcher` with a configuration.
async fn server() -> Server {
    let server = Server::new();
    let answer = put(&server, "/api/entities/agent/researcher", &json!({"configuration": configuration()})).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
    server
}

/// The same with two days of work behind it: enough for a trial to be worth its while.
async fn busy_server() -> Server {
    let server = server().await;
    let (tasks, span_us) = (4_000, 2 * 86_400_000_000_i64);
    let lines: Vec<String> = (0..tasks)
        .map(|number| {
            let ts = (common::NOW.micros() - span_us + span_us / tasks * number) / 1_000;
            let duration = 900 + number * 7_919 % 400;
            json!({"id": "1", "ts": ts, "event_type": "TASK_COMPLETED", "agent": "researcher",
                "task_id": format!("t{number}"), "duration_ms": duration, "tokens_in": 1000, "cost_usd": 0.01})
            .to_string()
        })
        .collect();
    for part in lines.chunks(1_000) {
        let answer = server.post_events(part.join("\n")).await;
        assert_eq!(answer.json()["accepted"], part.len(), "{answer:?}");
    }
    server
}

/// A change of the researcher, not yet checked.
async fn proposed(server: &Server, proposed_by: &str) -> i64 {
    let change = json!({
        "entity_type": "agent", "entity": "researcher", "proposed_by": proposed_by, "proposer": "model-x",
        "edits": [{"edit": "set_parameter", "name": "timeout_ms", "value": 3000}], "rationale": "it is slow",
    });
    let answer = post(server, "/api/improvements", &change).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
    let id = answer.json()["id"].as_i64().unwrap_or_else(|| panic!("{answer:?}"));
    assert_eq!(answer.header("location"), format!("/api/improvements/{id}"));
    id
}

/// Lets the processes do what is due.
async fn tick(server: &Server) {
    for _ in 0..3 {
        let report = uplift_runner::processes::tick(&server.engine).await;
        assert!(report.is_ok(), "{report:?}");
    }
}

fn detail(answer: &Answer) -> String {
    answer.json()["detail"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn entities_are_declared_and_replaced() {
    let server = server().await;
    let path = "/api/entities/agent/researcher";
    let first = server.get(path).await.json();
    assert_eq!(first["configuration"]["graph"], json!({"nodes": 3}));
    assert_eq!((&first["applied"], &first["trial"]), (&first["configuration"], &Value::Null));
    let same = put(&server, path, &json!({"configuration": configuration()})).await;
    assert_eq!((same.status, same.json()["revision"].clone()), (StatusCode::OK, first["revision"].clone()));
    let body = json!({"improvement_config": {"mode": "observe"}, "expected_revision": first["revision"]});
    let settings = put(&server, &format!("/api/entities/agent/{}", first["entity_id"]), &body).await.json();
    assert_eq!(settings["improvement_config"]["mode"], "observe");
    assert_eq!(settings["configuration"], first["configuration"], "what is left out stays");
    let merged = json!({"configuration": {"model": "b"}, "applied": {"model": "a"}});
    let merged = put(&server, path, &merged).await.json();
    assert_eq!((&merged["configuration"]["model"], &merged["applied"]["model"]), (&json!("b"), &json!("a")));
    // Back to what was applied before: the latest to be applied is the one to start from, not the latest to be new.
    let again = put(&server, path, &json!({"configuration": configuration()})).await.json();
    assert_eq!(again["applied"], first["configuration"]);
    let tied = json!({"relationships": [{"kind": "uses", "to": "tool/search", "strength": 0.5}]});
    let lost = put(&server, "/api/entities/agent/lost", &tied).await;
    assert_eq!(lost.code(), "invalid_value");
    assert!(detail(&lost).contains("tool/search"), "{lost:?}");
    assert_eq!(server.get("/api/entities/agent/lost").await.code(), "not_found", "nothing was written");
    assert_eq!(put(&server, "/api/entities/tool/search", &json!({})).await.status, StatusCode::CREATED);
    let tied = put(&server, path, &tied).await.json();
    assert_eq!(tied["relationships"][0]["source"], "declared", "{tied}");
    let staging = put(&server, &format!("{path}?environment=staging"), &json!({})).await;
    assert_eq!(staging.status, StatusCode::CREATED);
    assert_ne!(staging.json()["entity_id"], first["entity_id"]);
}

#[tokio::test]
async fn declarations_that_cannot_be_taken() {
    let server = server().await;
    let agent = "/api/entities/agent/researcher";
    for (path, body, code, says) in [
        (agent, json!({"configuration": 3}), "invalid_body", "configuration"),
        (agent, json!({"speed": 1}), "invalid_body", "speed"),
        (agent, json!([]), "invalid_body", ""),
        (agent, json!({"improvement_config": {"max_rollback_rate": 2}}), "invalid_setting", "max_rollback_rate"),
        (agent, json!({"expected_revision": "abc"}), "version_conflict", "researcher"),
        (agent, json!({"relationships": [{"kind": "uses", "to": "search"}]}), "invalid_value", "TYPE/NAME"),
        (
            agent,
            json!({"relationships": [{"kind": "uses", "to": "tool/x", "strength": 2}]}),
            "invalid_value",
            "0 to 1",
        ),
        (agent, json!({"relationships": [{"kind": "eats", "to": "tool/x"}]}), "invalid_body", "eats"),
        ("/api/entities/robot/x", json!({}), "invalid_parameter", "entity_type"),
        ("/api/entities/agent/99", json!({}), "not_found", "99"),
        ("/api/entities/agent/a%0Ab", json!({}), "invalid_parameter", "entity"),
        ("/api/entities/agent/x?environment=7", json!({}), "invalid_parameter", "environment"),
    ] {
        let answer = put(&server, path, &body).await;
        assert_eq!(answer.code(), code, "{path} {body} {answer:?}");
        assert!(detail(&answer).contains(says), "{path} {body} {answer:?}");
    }
    let long = json!({"configuration": {"instruction": {"text": "x".repeat(190_000)}}});
    assert_eq!(put(&server, "/api/entities/agent/long", &long).await.status, StatusCode::CREATED);
    let longer = json!({"configuration": {"instruction": {"text": "x".repeat(3 << 20)}}});
    assert_eq!(put(&server, "/api/entities/agent/longer", &longer).await.code(), "body_too_large");
}

#[tokio::test]
async fn entities_change_their_state() {
    let server = server().await;
    let path = "/api/entities/agent/researcher/state";
    assert_eq!(put(&server, path, &json!({"state": "inactive"})).await.json()["state"], "inactive");
    assert_eq!(put(&server, path, &json!({"state": "active"})).await.json()["state"], "active");
    assert_eq!(put(&server, path, &json!({"state": "asleep"})).await.code(), "invalid_body");
    assert_eq!(put(&server, "/api/entities/agent/x/state", &json!({"state": "active"})).await.code(), "not_found");
}

#[tokio::test]
async fn a_change_of_ones_own_is_told_whole() {
    let server = busy_server().await;
    let id = proposed(&server, "llm").await;
    tick(&server).await;
    let report = server.get(&format!("/api/improvements/{id}")).await.json();
    for (field, expected) in [
        ("entity_name", json!("researcher")),
        ("proposed_by", json!("llm")),
        ("proposer", json!("model-x")),
        ("rationale", json!("it is slow")),
        ("improvement_type", json!("performance_tuning")),
        ("comparison", json!("concurrent")),
        ("status", json!("awaiting_approval")),
        ("opportunity", Value::Null),
        ("trials", json!([])),
        ("history", json!([])),
    ] {
        assert_eq!(report[field], expected, "{field}: {report:#}");
    }
    assert_eq!(report["base_configuration"]["parameters"]["timeout_ms"], 1000);
    assert_eq!(report["candidate_configuration"]["parameters"]["timeout_ms"], 3000);
    assert!(report["checks"].as_array().is_some_and(|checks| !checks.is_empty()), "{report:#}");
    assert_eq!(report["process_instances"][0]["name"], "ImprovementProcess", "{report:#}");
    let listed = server.get("/api/improvements?agent=researcher&limit=1").await.json();
    assert_eq!(listed["items"][0]["id"], id);
    assert!(report["preflight"]["expected_units"].as_f64().is_some_and(|units| units > 100.0), "{report:#}");
    let by_status = server.get("/api/improvements?status=rejected,awaiting_approval").await.json();
    assert_eq!(by_status["items"][0]["entity_name"], "researcher");
    assert_eq!(server.get("/api/improvements?status=rejected").await.json()["items"], json!([]));
    assert_eq!(server.get("/api/improvements?opportunity=9").await.json()["items"], json!([]));
    assert_eq!(server.get("/api/improvements?status=nonsense").await.code(), "invalid_parameter");
    assert_eq!(server.get("/api/improvements/99").await.code(), "not_found");
    assert_eq!(server.get("/api/improvements/nonsense").await.code(), "invalid_parameter");
    let running = server.get("/api/processes").await.json();
    let names: Vec<_> =
        running["registered"].as_array().into_iter().flatten().map(|one| one["name"].clone()).collect();
    assert_eq!(names, [json!("ImprovementMonitoringProcess"), json!("ImprovementProcess")], "{running:#}");
    assert_eq!(server.get("/api/processes?limit=0").await.code(), "invalid_parameter");
}

#[tokio::test]
async fn a_whole_configuration_becomes_edits() {
    let server = server().await;
    let mut target = configuration();
    target["contexts"] = json!([]);
    let change = json!({"entity_type": "agent", "entity": "researcher", "configuration": target});
    let answer = post(&server, "/api/improvements", &change).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
    assert_eq!(answer.json()["edits"], json!([{"edit": "remove_context", "name": "handbook"}]));
    assert_eq!(answer.json()["improvement_type"], "context_optimization");
}

#[tokio::test]
async fn changes_that_cannot_be_taken_say_which_edit_and_why() {
    let server = server().await;
    assert_eq!(put(&server, "/api/entities/agent/bare", &json!({})).await.status, StatusCode::CREATED);
    let timeout = |value: Value| json!({"edit": "set_parameter", "name": "timeout_ms", "value": value});
    let context = json!({"edit": "add_context", "name": "faq"});
    for (fields, code, says) in [
        (json!({}), "invalid_body", "edits"),
        (json!({"edits": [context], "configuration": {}}), "invalid_body", "not both"),
        (json!({"edits": [context, {"edit": "delete_everything"}]}), "invalid_edit", "edit 2"),
        (json!({"edits": [context, 7]}), "invalid_edit", "edit 2"),
        (json!({"edits": [context, {"edit": "remove_context", "name": "x"}]}), "invalid_edit", "edit 2"),
        (json!({"edits": [timeout(json!(-5))]}), "invalid_edit", "edit 1"),
        (json!({"edits": [timeout(json!(1000))]}), "invalid_edit", "as it was"),
        (json!({"edits": vec![context.clone(); 51]}), "invalid_edit", "51"),
        (json!({"edits": [context], "improvement_type": "performance_tuning"}), "invalid_edit", "edit 1"),
        (json!({"edits": [context], "improvement_type": "magic"}), "invalid_value", "error_prevention"),
        (json!({"edits": [context], "proposed_by": "rule"}), "invalid_value", "proposed_by"),
        (json!({"edits": [context], "proposed_by": "nobody"}), "invalid_value", "nobody"),
        (json!({"edits": [context], "comparison": "later"}), "invalid_body", "later"),
        (json!({"edits": [context], "rationale": " "}), "invalid_body", "rationale"),
        (json!({"edits": [context], "rationale": "x".repeat(5_000)}), "invalid_body", "5000"),
        (json!({"edits": [context], "proposer": "x".repeat(201)}), "invalid_body", "201"),
        (json!({"edits": [context], "force": true}), "invalid_body", "force"),
        (json!({"configuration": {"graph": 4}}), "invalid_value", "graph"),
        (json!({"edits": [context], "entity": "nobody"}), "not_found", "nobody"),
        (json!({"edits": [context], "entity": "bare"}), "invalid_value", "configuration"),
        (json!({"edits": [context], "entity_type": "robot"}), "invalid_parameter", "entity_type"),
    ] {
        let mut change = json!({"entity_type": "agent", "entity": "researcher"});
        change.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let answer = post(&server, "/api/improvements", &change).await;
        assert_eq!(answer.code(), code, "{change} {answer:?}");
        assert!(detail(&answer).contains(says), "{change} {answer:?}");
    }
    assert_eq!(server.get("/api/improvements").await.json()["items"], json!([]), "nothing was written");
}

#[tokio::test]
async fn yes_and_no_are_said_once() {
    for (action, status) in [("reject", "rejected"), ("cancel", "cancelled")] {
        let server = server().await;
        let id = proposed(&server, "operator").await;
        let path = format!("/api/improvements/{id}/{action}");
        let answer = post(&server, &path, &json!({"by": "ada", "reason": "too \u{1b}[31mbold"})).await;
        assert_eq!((answer.status, answer.json()["status"].clone()), (StatusCode::OK, json!(status)), "{answer:?}");
        let report = server.get(&format!("/api/improvements/{id}")).await.json();
        assert_eq!(report["history"][0]["outcome"], status, "{report:#}");
        for (again, code) in [("approve", "wrong_status"), ("reject", "wrong_status"), ("rollback", "wrong_status")] {
            let answer = post(&server, &format!("/api/improvements/{id}/{again}"), &json!({})).await;
            assert_eq!((answer.status, answer.code().as_str()), (StatusCode::CONFLICT, code), "{answer:?}");
            assert!(detail(&answer).contains(status), "{answer:?}");
        }
    }
    let server = server().await;
    let id = proposed(&server, "operator").await;
    let path = format!("/api/improvements/{id}/approve");
    let answer = server.request(Method::POST, &path, &[], Body::empty()).await;
    assert_eq!((answer.status, &answer.json()["approved_by"]), (StatusCode::OK, &json!("operator")), "{answer:?}");
}

#[tokio::test]
async fn a_trial_is_started_seen_and_called_off() {
    let server = busy_server().await;
    let id = proposed(&server, "llm").await;
    tick(&server).await;
    let approved = post(&server, &format!("/api/improvements/{id}/approve"), &json!({"by": "ada"})).await.json();
    assert_eq!(approved["approved_by"], "ada");
    tick(&server).await;
    let report = server.get(&format!("/api/improvements/{id}")).await.json();
    assert_eq!(report["status"], "testing", "{report:#}");
    let trial = &report["trials"][0];
    assert_eq!((&trial["running"], &trial["kind"], &trial["share"]), (&json!(true), &json!("trial"), &json!(0.1)));
    for path in ["/api/trials?running=true", "/api/trials?agent=researcher", &format!("/api/trials?improvement={id}")]
    {
        assert_eq!(server.get(path).await.json()["items"][0]["id"], trial["id"], "{path}");
    }
    assert_eq!(server.get("/api/trials?improvement=99").await.json()["items"], json!([]));
    let whole = server.get(&format!("/api/trials/{}", trial["id"])).await.json();
    assert_eq!((&whole["looks"], &whole["entity_name"]), (&json!([]), &json!("researcher")));
    assert!(whole["declaration"]["metrics"].as_array().is_some_and(|metrics| !metrics.is_empty()), "{whole:#}");
    assert_eq!(whole["declaration"]["key"].as_str().map(|key| key.starts_with("improvement/")), Some(true));
    assert_eq!(server.get("/api/trials/99").await.code(), "not_found");

    let agent = "/api/entities/agent/researcher";
    assert_eq!(server.get(agent).await.json()["trial"], trial["id"]);
    let mut change = json!({"configuration": configuration()});
    assert_eq!(put(&server, agent, &change).await.status, StatusCode::OK, "what is in place already disturbs nobody");
    change["configuration"]["model"] = json!("m2");
    let refused = put(&server, agent, &change).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (409, "occupied"));
    assert!(detail(&refused).contains("`now`"), "{refused:?}");
    change["now"] = json!(true);
    assert_eq!(put(&server, agent, &change).await.json()["configuration"]["model"], "m2");

    let cancelled = post(&server, &format!("/api/improvements/{id}/cancel"), &json!({"reason": "enough"})).await;
    assert_eq!(cancelled.json()["status"], "cancelled", "{cancelled:?}");
    let report = server.get(&format!("/api/improvements/{id}")).await.json();
    assert_eq!(
        (&report["trials"][0]["running"], &report["history"][0]["outcome"]),
        (&json!(false), &json!("cancelled"))
    );
    assert!(report["history"][0]["report"].as_str().is_some_and(|text| text.contains("researcher")), "{report:#}");
    let effect = server.get("/api/improvements/effectiveness/agent/researcher").await.json();
    assert_eq!(
        (&effect["kept"]["count"], &effect["history"]["items"][0]["outcome"]),
        (&json!(0), &json!("cancelled"))
    );
}

#[tokio::test]
async fn pausing_can_call_off_what_runs() {
    let server = busy_server().await;
    let id = proposed(&server, "operator").await;
    tick(&server).await;
    let left = post(&server, "/api/improvements/pause", &json!({})).await.json();
    assert_eq!((&left["still_running"], &left["rolled_back"]), (&json!([id]), &json!([])), "{left}");
    let off = post(&server, "/api/improvements/pause", &json!({"rollback_running": true})).await.json();
    assert_eq!((&off["still_running"], &off["rolled_back"]), (&json!([]), &json!([id])), "{off}");
    let report = server.get(&format!("/api/improvements/{id}")).await.json();
    assert_eq!(report["status"], "rolled_back", "{report:#}");
}

#[tokio::test]
async fn actions_that_cannot_be_taken() {
    let server = server().await;
    let id = proposed(&server, "operator").await;
    for action in ["approve", "reject", "cancel", "rollback"] {
        assert_eq!(post(&server, &format!("/api/improvements/99/{action}"), &json!({})).await.code(), "not_found");
        let path = format!("/api/improvements/{id}/{action}");
        for body in [json!({"by": ""}), json!({"reason": "x".repeat(1_001)}), json!({"why": "x"}), json!([1])] {
            let answer = post(&server, &path, &body).await;
            assert_eq!(answer.code(), "invalid_body", "{path} {body} {answer:?}");
        }
        let typed = server.request(Method::POST, &path, &[("content-type", "text/plain")], Body::from("{}")).await;
        assert_eq!(typed.code(), "invalid_body");
        assert_eq!(server.get(&path).await.code(), "method_not_allowed");
    }
    let report = server.get(&format!("/api/improvements/{id}")).await.json();
    assert_eq!(report["history"], json!([]), "nothing was written: {report:#}");
}

#[tokio::test]
async fn what_people_want_becomes_an_opportunity() {
    let server = server().await;
    let path = "/api/improvements/trigger-improvement/agent/1";
    let wish = json!({
        "improvement_type": "performance_tuning", "description": "Optimize database queries for task retrieval",
    });
    let answer = post(&server, path, &wish).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
    let triggered = answer.json();
    let opportunity = &triggered["opportunity"];
    assert_eq!(answer.header("location"), format!("/api/improvements/opportunities/{}", opportunity["id"]));
    assert_eq!((&opportunity["source"], &opportunity["kind"]), (&json!("operator"), &json!("request")));
    assert_eq!(opportunity["improvement_type"], "performance_tuning");
    let improvements = triggered["improvements"].as_array().unwrap_or_else(|| panic!("{triggered}"));
    assert!(!improvements.is_empty(), "{triggered}");
    assert!(improvements.iter().all(|one| one["opportunity_id"] == opportunity["id"]), "{triggered}");
    for (body, code, says) in [
        (json!({"improvement_type": "magic", "description": "x"}), "invalid_value", "instruction_update, context_"),
        (json!({"improvement_type": "performance_tuning", "description": " "}), "invalid_body", "description"),
        (json!({"improvement_type": "performance_tuning"}), "invalid_body", "description"),
        (json!({"improvement_type": "performance_tuning", "description": "x".repeat(2_001)}), "invalid_body", "2001"),
    ] {
        let answer = post(&server, path, &body).await;
        assert_eq!(answer.code(), code, "{answer:?}");
        assert!(detail(&answer).contains(says), "{answer:?}");
    }
    let nobody = post(&server, "/api/improvements/trigger-improvement/agent/nobody", &wish).await;
    assert_eq!(nobody.code(), "not_found");
}

/// What nobody could write edits for waits until somebody does.
#[tokio::test]
async fn what_waits_for_a_proposal_is_filled() {
    let server = busy_server().await;
    let wish = |what: &str| json!({"improvement_type": "error_prevention", "description": what});
    let waiting = async |what: &str| {
        let path = "/api/improvements/trigger-improvement/agent/researcher";
        let triggered = post(&server, path, &wish(what)).await.json();
        let improvement = &triggered["improvements"][0];
        assert_eq!(improvement["status"], "needs_proposal", "{triggered:#}");
        (improvement["id"].as_i64().unwrap_or_default(), triggered["opportunity"]["id"].clone())
    };
    let (id, opportunity) = waiting("Fewer wrong answers").await;
    let fill = format!("/api/improvements/{id}/propose");
    let timeout = json!({"edit": "set_parameter", "name": "timeout_ms", "value": 3000});
    for (path, body, code, says) in [
        (&fill, json!({}), "invalid_body", "edits"),
        (&fill, json!({"edits": [timeout], "configuration": {}}), "invalid_body", "not both"),
        (&fill, json!({"edits": [{"edit": "remove_context", "name": "x"}]}), "invalid_edit", "edit 1"),
        (&fill, json!({"edits": [timeout], "improvement_type": "instruction_update"}), "invalid_edit", "edit 1"),
        (&fill, json!({"edits": [timeout], "proposed_by": "rule"}), "invalid_value", "proposed_by"),
        (&fill, json!({"edits": [timeout], "entity": "researcher"}), "invalid_body", "entity"),
        (&"/api/improvements/4711/propose".to_owned(), json!({"edits": [timeout]}), "not_found", "4711"),
    ] {
        let answer = post(&server, path, &body).await;
        assert_eq!(answer.code(), code, "{body} {answer:?}");
        assert!(detail(&answer).contains(says), "{body} {answer:?}");
    }
    let body = json!({"edits": [timeout], "rationale": "slow ones are wrong", "proposer": "ada"});
    let answer = post(&server, &fill, &body).await;
    assert_eq!((answer.status, answer.json()["status"].clone()), (StatusCode::OK, json!("proposed")), "{answer:?}");
    let filled = answer.json();
    // What was asked for does not allow these edits: the type says what it is.
    assert_eq!((&filled["improvement_type"], &filled["proposer"]), (&json!("performance_tuning"), &json!("ada")));
    assert_eq!((&filled["opportunity_id"], &filled["edits"]), (&opportunity, &json!([timeout])));
    let again = post(&server, &fill, &body).await;
    assert_eq!((again.status, again.code().as_str()), (StatusCode::CONFLICT, "wrong_status"), "{again:?}");
    tick(&server).await;
    let report = server.get(&format!("/api/improvements/{id}")).await.json();
    assert_eq!(report["status"], "testing", "{report:#}");
    assert_eq!(report["opportunity"]["status"], "in_progress");

    // A whole configuration will do as well, and of the type that was asked for where it can be.
    let (id, _) = waiting("Even fewer").await;
    let mut configuration = configuration();
    configuration["guards"] = json!([{"name": "id", "tool": "search", "target": "arguments",
        "check": {"check": "required", "field": "id"}}]);
    let answer =
        post(&server, &format!("/api/improvements/{id}/propose"), &json!({"configuration": configuration})).await;
    assert_eq!(answer.json()["improvement_type"], "error_prevention", "{answer:?}");
    assert_eq!(answer.json()["edits"][0]["edit"], "add_guard", "{answer:?}");

    // What nobody wants any more is not tried.
    let (id, opportunity) = waiting("None at all").await;
    let dismissed =
        post(&server, &format!("/api/improvements/opportunities/{opportunity}/dismiss"), &json!({"reason": "no"}))
            .await;
    assert_eq!(dismissed.status, StatusCode::OK, "{dismissed:?}");
    let answer = post(&server, &format!("/api/improvements/{id}/propose"), &body).await;
    assert_eq!(answer.status, StatusCode::CONFLICT, "{answer:?}");
    let report = server.get(&format!("/api/improvements/{id}")).await.json();
    assert_eq!((&report["status"], &report["edits"]), (&json!("needs_proposal"), &json!([])));
}

#[tokio::test]
async fn the_kill_switch_is_seen() {
    let server = server().await;
    assert_eq!(server.get("/api/improvements/config").await.json()["paused"], false);
    let paused = server.request(Method::POST, "/api/improvements/pause", &[], Body::empty()).await;
    assert_eq!(paused.json(), json!({"paused": true, "rolled_back": [], "still_running": []}));
    assert_eq!(server.get("/api/improvements/config").await.json()["paused"], true);
    let again = post(&server, "/api/improvements/pause", &json!({"rollback_running": true, "by": "ada"})).await;
    assert_eq!((again.status, &again.json()["paused"]), (StatusCode::OK, &json!(true)));
    assert_eq!(post(&server, "/api/improvements/pause", &json!({"rollback": 1})).await.code(), "invalid_body");
    let resumed = post(&server, "/api/improvements/resume", &json!({})).await;
    assert_eq!(resumed.json()["paused"], false);
    assert_eq!(server.get("/api/improvements/config").await.json()["paused"], false);
}

#[tokio::test]
async fn settings_are_changed_by_their_names() {
    let server = server().await;
    let path = "/api/improvements/config";
    let six = json!({
        "min_confidence_score": 0.9, "test_duration_hours": 12, "improvement_batch_size": 7,
        "rollback_threshold": -0.2, "max_concurrent_improvements": 4, "cooldown_period": "2h",
    });
    let set = put(&server, path, &six).await.json();
    for (name, value) in six.as_object().unwrap() {
        let same = match value.as_f64() {
            Some(number) => set["engine"][name].as_f64() == Some(number),
            None => set["engine"][name] == *value,
        };
        assert!(same, "{name}: {set:#}");
    }
    assert_eq!(set["set_at_run_time"], six);
    let nested = put(&server, path, &json!({"engine": {"mode": "observe", "cooldown_period": null}})).await.json();
    assert_eq!((&nested["engine"]["mode"], &nested["engine"]["cooldown_period"]), (&json!("observe"), &json!("6h")));
    for (patch, says) in [
        (json!({"min_confidence_score": 80}), "from 0 to 1"),
        (json!({"rollback_threshold": 0.1}), "engine.rollback_threshold"),
        (json!({"improvement_batch_size": 1.5}), "improvement_batch_size"),
        (json!({"cooldown_period": 6}), "cooldown_period"),
        (json!({"speed": 9}), "min_confidence_score"),
        (json!({"mode": "fast"}), "observe"),
        (json!({}), "test_duration_hours"),
        (json!([1]), "object"),
    ] {
        let answer = put(&server, path, &patch).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (422, "invalid_setting"), "{patch} {answer:?}");
        assert!(detail(&answer).contains(says), "{patch} {answer:?}");
    }
    assert_eq!(put(&server, path, &json!("x")).await.status.as_u16(), 422);
    assert_eq!(server.get(path).await.json(), nested, "nothing was changed");
}
