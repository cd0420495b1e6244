//! Looking: the file and the server say the same, changes find their way, and nothing from events reaches the
//! terminal as it is.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Server, event, file, folder, run, run_with_input};

fn fleet(folder: &tempfile::TempDir) -> String {
    let lines: Vec<String> = (0..8)
        .flat_map(|number| {
            let task = format!("run/{number}: it's $(red)?");
            let failed = json!({"tool": "fetch", "outcome": "ERROR", "error_type": "Timeout", "content": "\u{1b}]0;owned\u{7}silent"});
            [
                event("1", "TASK_STARTED", &task, json!({})),
                event("2", "TOOL_EXECUTED", &task, failed),
                event("3", "TASK_COMPLETED", &task, json!({"duration_ms": 1500})),
            ]
        })
        .collect();
    let database = folder.path().join("fleet.db");
    run([Path::new("import"), &file(folder, "events.ndjson", &lines), Path::new("--database"), &database]).exits(0);
    database.to_str().unwrap().to_owned()
}

/// Every command that looks.
const LOOKS: [&[&str]; 14] = [
    &["status"],
    &["opportunities"],
    &["opportunities", "list", "--status", "all", "--kind", "recurring_error", "--source", "trigger"],
    &["opportunities", "show", "1"],
    &["entities"],
    &["entities", "list", "--type", "tool"],
    &["entities", "show", "agent/tester"],
    &["tasks"],
    &["tasks", "list", "--agent", "tester", "--outcome", "SUCCESS", "--errors"],
    &["events", "--limit", "5"],
    &["events", "list", "--type", "TOOL_EXECUTED", "--entity", "agent/tester"],
    &["reviews"],
    &["improvements", "list", "--status", "testing,awaiting_approval"],
    &["alerts", "--all"],
];

#[test]
fn the_file_and_the_server_say_the_same() {
    let folder = folder();
    let database = fleet(&folder);
    let server = Server::start(Path::new(&database));
    let url = server.url();
    for look in LOOKS {
        let ask = |place: [&str; 2], more: &[&str]| {
            run(look.iter().copied().chain(place).chain(more.iter().copied())).exits(0)
        };
        let (file, server) = (["--database", database.as_str()], ["--server", url.as_str()]);
        let mut answers = [ask(file, &["--json"]).json(), ask(server, &["--json"]).json()];
        for answer in &mut answers {
            // The moment of asking is no part of what is asked.
            answer.as_object_mut().unwrap().remove("now");
            // Neither is what a running server writes meanwhile.
            for (of, what) in [("system", "clock"), ("storage", "wal_bytes")] {
                answer.get_mut(of).and_then(|of| of.as_object_mut()?.remove(what));
            }
        }
        assert_eq!(answers[0], answers[1], "{look:?}");
        for place in [file, server] {
            let text = ask(place, &[]).out;
            assert!(
                !text.contains('\u{1b}') && !text.contains("owned") && !text.trim().is_empty(),
                "{look:?}: {text}"
            );
        }
    }
}

#[test]
fn evidence_leads_to_what_was_recorded() {
    let folder = folder();
    let database = fleet(&folder);
    let found = run(["opportunities", "--json", "--database", &database]).json()["items"][0].clone();
    let event = &found["evidence"]["events"][0];
    let (trace, id) = (event["trace_key"].as_str().unwrap(), event["id"].as_str().unwrap());
    let shown = run(["events", "show", trace, id, "--json", "--database", &database]).exits(0).json();
    assert_eq!(shown["fingerprint"], found["fingerprint"]);
    let task = run(["tasks", "show", trace, "--json", "--database", &database]).exits(0).json();
    assert_eq!(task["events"]["items"].as_array().map(Vec::len), Some(3));
    let text = run(["opportunities", "show", &found["id"].to_string(), "--database", &database]).exits(0).out;
    assert!(text.contains("uplift events --entity agent/1 --fingerprint"), "{text}");
}

#[test]
fn dismissing_goes_to_the_file_or_to_the_server_that_has_it() {
    for served in [false, true] {
        let folder = folder();
        let database = fleet(&folder);
        let server = served.then(|| Server::start(Path::new(&database)));
        let dismiss = ["opportunities", "dismiss", "1", "--reason", "known", "--database", &database];
        run(dismiss).exits(0);
        let shown = run(["opportunities", "show", "1", "--json", "--database", &database]).exits(0).json();
        assert_eq!((&shown["status"], &shown["resolution"]), (&json!("dismissed"), &json!("known")));
        let again = run(dismiss).exits(1);
        assert!(again.err.contains("dismissed already"), "{}", again.err);
        run(["opportunities", "dismiss", "99", "--reason", "x", "--database", &database]).exits(1);
        drop(server);
    }
}

#[test]
fn starting_goes_to_the_file_or_to_the_server_that_has_it() {
    for served in [false, true] {
        let folder = folder();
        let database = fleet(&folder);
        let server = served.then(|| Server::start(Path::new(&database)));
        let start = |id: &str| run(["opportunities", "start", id, "--json", "--database", &database]);
        let begun = start("1").exits(0).json();
        assert_eq!(begun["opportunity"]["status"], "in_progress", "{begun:#}");
        let said = run(["opportunities", "start", "1", "--database", &database]).exits(0).out;
        let id = &begun["improvements"][0]["id"];
        assert!(said.starts_with(&format!("improvement {id} of agent/tester")), "it is under way already: {said}");
        assert!(start("99").exits(1).err.contains("99"));
        run(["opportunities", "start", "first", "--database", &database]).exits(2);
        drop(server);
    }
}

#[test]
fn entities_can_be_declared() {
    let folder = folder();
    let database = folder.path().join("fleet.db");
    let database = database.to_str().unwrap();
    let fleet = concat!(
        r#"{"entity_type":"agent","name":"writer","improvement_config":{"mode":"observe"},"#,
        r#""configuration":{"model":"m1","instruction":{"text":"Write."}},"relationships":[{"kind":"uses","to":"tool/search"}]}"#,
        "\n",
        r#"{"entity_type":"tool","name":"search"}"#
    );
    let declare = ["entities", "declare", "-f", "-", "--json", "--database", database];
    let declared = run_with_input(declare, fleet.as_bytes()).exits(0).json();
    assert_eq!(declared["items"].as_array().map(Vec::len), Some(2));
    let shown = run(["entities", "show", "writer", "--json", "--database", database]).exits(0).json();
    assert_eq!(shown["configuration"]["model"], "m1", "{shown:#}");
    assert_eq!(shown["relationships"][0]["source"], "declared");
    assert_eq!(shown["improvement_config"]["mode"], "observe");
    let again = run_with_input(declare, fleet.as_bytes()).exits(0).json();
    assert_eq!(declared, again);
    let lost = br#"{"entity_type":"agent","name":"lost","relationships":[{"kind":"uses","to":"tool/nowhere"}]}"#;
    let ran = run_with_input(declare, lost).exits(1);
    assert!(ran.err.contains("nowhere"), "{}", ran.err);
    run(["entities", "show", "lost", "--database", database]).exits(1);
    let _server = Server::start(Path::new(database));
    let served = run_with_input(declare, fleet.as_bytes()).exits(0).json();
    assert_eq!(declared, served, "a server that has the database takes declarations too");
}

#[test]
fn what_is_not_there_says_what_to_do() {
    let folder = folder();
    let nowhere = folder.path().join("none.db");
    for command in ["status", "opportunities", "tasks", "events", "entities", "reviews", "alerts", "improvements"] {
        let ran = run([command, "--database", nowhere.to_str().unwrap()]).exits(1);
        assert!(ran.err.contains("none.db") && ran.err.contains("uplift import"), "{}", ran.err);
    }
    assert!(!nowhere.exists());
    let ran = run(["status", "--server", "http://127.0.0.1:9"]).exits(1);
    assert!(ran.err.contains("uplift serve"), "{}", ran.err);
    for misused in [
        &["status", "--server", "nonsense"][..],
        &["status", "--server", "http://127.0.0.1:9", "--database", "x"],
        &["opportunities", "--kind", "nonsense"],
        &["opportunities", "--kind", "request", "show", "1"],
        &["nonsense"],
        &[],
    ] {
        run(misused).exits(2);
    }
}

#[test]
fn the_default_database_is_in_the_data_directory() {
    let folder = folder();
    let source = file(&folder, "events.ndjson", &[event("1", "TASK_STARTED", "t", json!({}))]);
    let ran = crate::support::uplift()
        .args([Path::new("import"), &source])
        .env("XDG_DATA_HOME", folder.path())
        .output()
        .unwrap();
    assert!(ran.status.success());
    assert!(folder.path().join("uplift/uplift.db").is_file());
}

#[test]
fn settings_come_from_the_file_and_the_environment() {
    let folder = folder();
    let settings = folder.path().join("fleet.toml");
    std::fs::write(&settings, "[detection]\nerror_threshold = 2\n").unwrap();
    let show = |settings: &Path, mode: &str| {
        let mut command = crate::support::uplift();
        command.args(["config", "show", "--json", "--config"]).arg(settings).env("UPLIFT__ENGINE__MODE", mode);
        command.output().unwrap()
    };
    let shown: Value = serde_json::from_slice(&show(&settings, "observe").stdout).unwrap();
    assert_eq!((&shown["detection"]["error_threshold"], &shown["engine"]["mode"]), (&json!(2), &json!("observe")));
    assert_eq!(show(&settings, "fast").status.code(), Some(2));
    // The settings act: three errors are enough now.
    let database = folder.path().join("fleet.db");
    let lines: Vec<String> = (0..3)
        .map(|number| {
            event(&number.to_string(), "ERROR", &format!("t{number}"), json!({"error_type": "Oops", "content": "no"}))
        })
        .collect();
    let source = file(&folder, "events.ndjson", &lines);
    let arguments = [
        Path::new("import"),
        &source,
        Path::new("--json"),
        Path::new("--config"),
        &settings,
        Path::new("--database"),
        &database,
    ];
    assert_eq!(run(arguments).exits(0).json()["opportunities_open"], 1);
}
