//! The stock Python exporters, over HTTP and gRPC, with instrumentors of two conventions: what users have.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::http;
use crate::support::{Server, folder, uplift};

/// A Python with the clients: `cargo xtask test` makes one and names it by this variable.
const PYTHON: &str = "UPLIFT_TEST_PYTHON";

fn python() -> Option<PathBuf> {
    let named = std::env::var_os(PYTHON).map(PathBuf::from);
    if named.is_none() {
        eprintln!(
            "SKIPPED: {PYTHON} names no Python with the OpenTelemetry clients; `cargo xtask test` prepares one"
        );
    }
    named
}

fn run_agents(python: &Path, protocol: &str, endpoint: &str, convention: &str, environment: &str) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/agents.py");
    let mut command = Command::new(python);
    command.arg(script).args([protocol, endpoint, convention, environment]);
    // Exporters, instrumentors and the client of the model take settings from there.
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("OTEL_") || name.starts_with("OPENAI_")) {
        command.env_remove(name);
    }
    command.env("NO_PROXY", "*");
    let ran = command.output().expect("Python runs");
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{environment}: {said}");
    // Exporters report what they could not deliver, and end well all the same.
    assert!(!said.contains("Failed to export") && !said.contains("Transient error"), "{environment}: {said}");
}

/// These fields of what the API lists, in its order.
fn listed(server: &Server, path: &str, fields: &[&str]) -> Vec<Value> {
    let page = http::get(&server.address, path);
    let items = page["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    items.iter().map(|item| fields.iter().map(|field| item[*field].clone()).collect()).collect()
}

/// The only task of an agent.
fn task(server: &Server, agent: &str, environment: &str) -> Value {
    let path = format!("/api/tasks?agent={agent}&environment={environment}");
    let tasks = http::get(&server.address, &path);
    assert_eq!(tasks["items"].as_array().map(Vec::len), Some(1), "{tasks}");
    tasks["items"][0].clone()
}

/// Checks what these agents did, whichever way it came and in whichever words.
fn verify(server: &Server, environment: &str) {
    let events_of = |agent: &str, fields: &[&str]| {
        let mut events = listed(server, &format!("/api/events?agent={agent}&environment={environment}"), fields);
        events.sort_by_key(Value::to_string);
        events
    };
    // The script ends when everything is acknowledged, and so there.
    let counts = (events_of("planner", &["id"]).len(), events_of("researcher", &["id"]).len());
    assert_eq!(counts, (3, 4), "{environment}");
    let (planner, researcher) = (task(server, "planner", environment), task(server, "researcher", environment));
    assert_eq!((&researcher["parent_task_id"], &planner["parent_task_id"]), (&planner["task_id"], &Value::Null));
    assert_eq!(researcher["trace_key"], planner["trace_key"]);
    for (task, expected) in
        [(&planner, json!(["SUCCESS", 3, 1, 0, 0, 0, 31, 7])), (&researcher, json!([null, 4, 1, 2, 1, 0, 31, 7]))]
    {
        let fields = ["outcome", "events", "llm_calls", "tool_calls", "errors", "errors_recovered", "tokens_in"];
        let found: Value = fields.iter().chain(&["tokens_out"]).map(|field| task[*field].clone()).collect();
        assert_eq!(found, expected, "{environment}: {task}");
        let name = task["entity_name"].as_str().unwrap_or_default();
        assert_eq!((&task["session_id"], &task["environment"]), (&json!("talk-1"), &json!(environment)), "{name}");
        assert!(task["ended"] == true && task["duration_ms"].as_f64() > Some(0.0), "{environment}: {task}");
    }
    let fields = ["event_type", "tool", "outcome", "error_type", "content"];
    let tools: Vec<Value> =
        events_of("researcher", &fields).into_iter().filter(|event| event[0] == "TOOL_EXECUTED").collect();
    let expected = json!([
        ["TOOL_EXECUTED", "find_flights", null, null, null],
        ["TOOL_EXECUTED", "find_trains", "ERROR", "TimeoutError", "no answer within 30 s"],
    ]);
    assert_eq!(Value::from(tools), expected, "{environment}");
    for agent in ["planner", "researcher"] {
        let path = format!("/api/events?agent={agent}&environment={environment}&event_type=LLM_CALL");
        let calls = listed(server, &path, &["tokens_in", "tokens_out", "task_id"]);
        let task_id = task(server, agent, environment)["task_id"].clone();
        assert_eq!(calls, [json!([31, 7, task_id])], "{environment} {agent}");
        let timed = listed(server, &path, &["duration_ms"]);
        assert!(timed[0][0].as_f64() > Some(0.0), "{environment} {agent}: {timed:?}");
    }
}

#[test]
fn stock_exporters_and_instrumentors_are_understood() {
    let Some(python) = python() else { return };
    let folder = folder();
    // Nothing else is to take the port between now and the server's start; should that happen, the test says so.
    let extra = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let mut command = uplift();
    command.env("UPLIFT_OTLP_GRPC_LISTEN", &extra);
    let server = Server::start_by(command, &folder.path().join("fleet.db"));
    let http = server.url();
    for (way, protocol, endpoint, convention) in [
        ("http", "http", &http, "genai"),
        ("http", "http", &http, "openinference"),
        ("shared-port", "grpc", &server.address, "openinference"),
        ("own-port", "grpc", &extra, "genai"),
    ] {
        let environment = format!("{way}-{convention}");
        run_agents(&python, protocol, endpoint, convention, &environment);
        verify(&server, &environment);
    }
    // The service that stands in where nobody is named has nothing to stand in for.
    let strangers = http::get(&server.address, "/api/entities?entity_type=agent");
    let names = strangers["items"].as_array().unwrap().iter().map(|entity| entity["name"].as_str().unwrap());
    assert!(names.clone().all(|name| name == "planner" || name == "researcher"), "{:?}", names.collect::<Vec<_>>());
    assert_eq!(server.end_by("-TERM"), 0);
}
