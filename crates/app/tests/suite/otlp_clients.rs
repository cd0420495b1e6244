//! The stock Python exporters, over HTTP and gRPC, with instrumentors of two conventions: what users have.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use rusqlite::Connection;

use crate::support::{Server, folder, read, until, uplift};

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

fn run_agents(python: &Path, protocol: &str, endpoint: &str, convention: &str) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/agents.py");
    let ran = Command::new(python).arg(script).args([protocol, endpoint, convention]).output().expect("Python runs");
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{protocol} {convention}: {said}");
    // Exporters report what they could not deliver, and end well all the same.
    assert!(
        !said.contains("Failed to export") && !said.contains("Transient error"),
        "{protocol} {convention}: {said}"
    );
}

/// What a query of one text column finds.
fn lines(connection: &Connection, query: &str) -> Vec<String> {
    let mut statement = connection.prepare(query).unwrap();
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

#[test]
fn stock_exporters_and_instrumentors_are_understood() {
    let Some(python) = python() else { return };
    let folder = folder();
    let database = folder.path().join("fleet.db");
    // Nothing else is to take the port between now and the server's start; should that happen, the test says so.
    let extra = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut command = uplift();
    command.env("UPLIFT_OTLP_GRPC_LISTEN", extra.to_string());
    let server = Server::start_by(command, &database);
    let (http, shared) = (format!("http://{}", server.address), server.address.clone());
    for (protocol, endpoint, convention) in [
        ("http", &http, "genai"),
        ("grpc", &shared, "openinference"),
        ("grpc", &extra.to_string(), "genai"),
        ("http", &http, "openinference"),
    ] {
        run_agents(&python, protocol, endpoint, convention);
        let environment = format!("{protocol}-{convention}");
        let query = format!(
            "SELECT entity || '|' || coalesce(outcome, '?') || '|' || session_id || '|' || (parent_task_id IS NOT NULL)
                || '|' || events || '|' || llm_calls || '|' || tool_calls || '|' || errors || '|' || tokens_in || '|'
                || tokens_out || '|' || (duration_ms > 0) || '|' || ended
             FROM tasks WHERE environment = '{environment}' ORDER BY entity"
        );
        let connection = read(&database);
        let tasks = until("both tasks", || Some(lines(&connection, &query)).filter(|tasks| tasks.len() == 2));
        // Agent, outcome, session, below another, events, calls of models, of tools, errors, tokens, timed, ended.
        // The planner's third event is the hand-off.
        let expected = ["planner|SUCCESS|talk-1|0|3|1|0|0|31|7|1|1", "researcher|?|talk-1|1|4|1|2|1|31|7|1|1"];
        assert_eq!(tasks, expected, "{environment}");
        let query = format!(
            "SELECT entity || '|' || tool || '|' || coalesce(outcome, '?') || '|' || coalesce(error_type, '-') || '|'
                || coalesce(content, '-')
             FROM events WHERE environment = '{environment}' AND event_type = 'TOOL_EXECUTED' ORDER BY tool"
        );
        let tools = lines(&connection, &query);
        assert_eq!(
            tools,
            ["researcher|find_flights|?|-|-", "researcher|find_trains|ERROR|TimeoutError|no answer within 30 s"],
            "{environment}"
        );
    }
    assert_eq!(server.end_by("-TERM"), 0);
}
