//! The stock MCP client for Python, over HTTP and over standard input and output: as an agent of a fleet, and as those
//! that improve it.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::http;
use crate::support::{Server, folder, run};

/// A Python with the client: `cargo xtask test` makes one and names it by this variable.
const PYTHON: &str = "UPLIFT_TEST_PYTHON";
const BINARY: &str = env!("CARGO_BIN_EXE_uplift");

fn python() -> Option<PathBuf> {
    let named = std::env::var_os(PYTHON).map(PathBuf::from);
    if named.is_none() {
        eprintln!("SKIPPED: {PYTHON} names no Python with the MCP client; `cargo xtask test` prepares one");
    }
    named
}

/// Lets the client make these calls; what it saw.
fn visit(python: &Path, arguments: &[&str], calls: &Value) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/mcp_client.py");
    let mut command = Command::new(python);
    command.arg(script).args(arguments).env("NO_PROXY", "*");
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("Python runs");
    child.stdin.take().expect("a pipe").write_all(calls.to_string().as_bytes()).expect("it reads the calls");
    let ran = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{arguments:?}: {said}");
    serde_json::from_slice(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {said}"))
}

fn put(server: &Server, path: &str, configuration: &Value) {
    let body = json!({ "configuration": configuration }).to_string();
    let headers = [("content-type", "application/json")];
    let answer = http::send(&server.address, "PUT", path, &headers, body.as_bytes()).unwrap();
    assert!(answer.status == 201 || answer.status == 200, "{path}: {}", answer.json());
}

/// A server with an agent that may ask, and a task of it that failed.
fn fleet(database: &Path) -> Server {
    let server = Server::start(database);
    let configuration = json!({"instruction": {"text": "Help."}, "contexts": ["guide"], "processes": ["steps"],
        "tools": [{"name": "request_improvement"}]});
    put(&server, "/api/entities/agent/researcher", &configuration);
    put(&server, "/api/entities/context/guide", &json!({"content": "Read this."}));
    put(&server, "/api/entities/process/steps", &json!({"steps": ["search", "read"]}));
    let event = json!({"id": "1", "event_type": "TASK_FAILED", "agent": "researcher", "task_id": "task_123"});
    http::post_events(&server.address, &[event.to_string()]).unwrap();
    server
}

fn token(server: &Server, name: &str, entity: &str) -> String {
    let url = server.url();
    let made = ["token", "create", name, "--role", "agent", "--entity", entity, "--server", &url, "--json"];
    run(made).exits(0).json()["token"].as_str().expect("it is shown once").to_owned()
}

fn wish(description: &str) -> Value {
    json!({"improvement_type": "context_optimization", "description": description,
        "rationale": "Frequently need performance metrics reference",
        "evidence": {"failed_tasks": ["task_123"], "time_wasted": "15min"}})
}

#[test]
fn the_stock_client_plays_every_role() {
    let Some(python) = python() else { return };
    let folder = folder();
    let server = fleet(&folder.path().join("fleet.db"));
    let url = format!("{}/mcp", server.url());
    let own = token(&server, "researcher", "agent/researcher");
    // In the old form of the protocol and in the new one.
    for mode in ["legacy", "auto"] {
        let calls = json!([
            ["request_improvement", wish(&format!("Add performance guide to context, {mode}"))],
            ["improvement_status", {}],
            ["my_configuration", {"unit": "u"}],
            ["report_outcome", {"task_id": "task_123", "success": false}],
            ["improvement_status", {"request_id": 999}],
        ]);
        let seen = visit(&python, &["http", &url, &own, mode], &calls);
        let fleet = json!(["request_improvement", "improvement_status", "my_configuration", "report_outcome"]);
        assert_eq!(seen["tools"], fleet, "{mode}");
        assert_eq!(seen["resources"], json!({"guide": "Read this."}), "{mode}");
        assert!(seen["prompts"]["steps"].as_str().unwrap().contains("1. search"), "{mode}: {seen}");
        let said = |place: usize| &seen["said"][place]["content"];
        assert_eq!(said(0)["evidence"][0]["found"], "confirmed", "{mode}: {seen}");
        assert_eq!(said(1)["requests"][0]["request_id"], said(0)["request_id"], "{mode}: {seen}");
        assert_eq!(said(2)["configuration"]["contexts"], json!(["guide"]), "{mode}: {seen}");
        assert_eq!(said(3)["source"], "self", "{mode}: {seen}");
        assert_eq!((&seen["said"][4]["failed"], &said(4)["error"]), (&json!(true), &json!("not_found")), "{mode}");
    }

    let optimizer = token(&server, "optimizer", "uplift:agent/optimizer");
    let open = visit(&python, &["http", &url, &optimizer, "auto"], &json!([["list_opportunities", {}]]));
    let id = open["said"][0]["content"]["opportunities"][0]["opportunity_id"].clone();
    let edits = json!([{"edit": "append_guideline", "text": "Name the source of each number."}]);
    let calls = json!([
        ["get_evidence", {"opportunity_id": id}],
        ["propose_change", {"opportunity_id": id, "edits": edits, "improvement_type": "instruction_update",
            "rationale": "Numbers without a source failed."}],
    ]);
    let seen = visit(&python, &["http", &url, &optimizer, "auto"], &calls);
    assert_eq!(seen["said"][0]["content"]["untrusted"]["asked"][0]["agent"], "researcher", "{seen}");
    let improvement = &seen["said"][1]["content"]["improvement_id"];
    let report = http::get(&server.address, &format!("/api/improvements/{improvement}"));
    assert_eq!(report["proposer"], "uplift/optimizer", "{report}");

    // As somebody at the keyboard sees it.
    let listed = run(["requests", "--server", &server.url()]).exits(0);
    assert!(listed.out.contains("context_optimization") && listed.out.contains("researcher"), "{}", listed.out);
    let shown = run(["requests", "show", "1", "--server", &server.url()]).exits(0);
    assert!(shown.out.contains("task_123") && shown.out.contains("confirmed"), "{}", shown.out);
    let shown = run(["requests", "show", "1", "--json", "--server", &server.url()]).exits(0).json();
    assert_eq!(shown["evidence"][0]["subject"], "task_123");
    assert_eq!(server.end_by("-TERM"), 0);
}

#[test]
fn the_stock_client_starts_it_by_itself() {
    let Some(python) = python() else { return };
    let folder = folder();
    let database = folder.path().join("fleet.db");
    let server = fleet(&database);
    let own = token(&server, "researcher", "agent/researcher");
    let calls = |text: &str| json!([["request_improvement", wish(text)], ["improvement_status", {}]]);
    for mode in ["legacy", "auto"] {
        // Of a server by its address, as the agent that the token stands for.
        let environment = json!({"UPLIFT_SERVER": server.url(), "UPLIFT_TOKEN": own}).to_string();
        let seen = visit(&python, &["stdio", BINARY, r#"["mcp"]"#, &environment, mode], &calls(mode));
        assert_eq!(seen["resources"], json!({"guide": "Read this."}), "{mode}: {seen}");
        assert_eq!(seen["said"][0]["content"]["evidence"][0]["found"], "confirmed", "{mode}: {seen}");
    }
    let named = json!(["mcp", "--agent", "researcher", "--database", database]).to_string();
    // Of the server that has the database open.
    let seen = visit(&python, &["stdio", BINARY, &named, "{}", "auto"], &calls("of the server"));
    assert_eq!(seen["said"][0]["failed"], false, "{seen}");
    assert_eq!(server.end_by("-TERM"), 0);
    // Of no server at all.
    let seen = visit(&python, &["stdio", BINARY, &named, "{}", "auto"], &calls("of nobody"));
    assert_eq!(seen["said"][1]["content"]["requests"].as_array().map(Vec::len), Some(4), "{seen}");
}
