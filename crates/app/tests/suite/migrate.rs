//! A database moves to PostgreSQL: refused while a server has it, killed on the way, and the same in the end.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use uplift_store::suite::scratch;

use crate::support::{Server, event, file, folder, run, uplift};

const TASKS: usize = 12_000;

fn wait<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

/// What a command tells of a database.
fn told(command: &[&str], database: &str) -> Value {
    let mut told = run([command, &["--json", "--database", database]].concat()).exits(0).json();
    if let Some(status) = told.as_object_mut() {
        // What time it is, and how the engine stores things.
        status.remove("now");
        status.remove("storage");
    }
    told
}

#[test]
fn a_killed_move_goes_on_and_all_is_the_same() {
    let Some(target) = wait(scratch::make()) else { return };
    let (folder, address) = (folder(), target.address());
    let database = folder.path().join("uplift.db");
    let path = database.to_str().expect("a path in Unicode");
    let lines: Vec<String> = (0..TASKS)
        .flat_map(|task| {
            let id = format!("task-{task}");
            let broken = json!({"tool": "search", "error_type": "Timeout", "content": format!("no answer {task}")});
            [event("1", "TASK_STARTED", &id, json!({})), event("2", "TOOL_EXECUTED", &id, broken)]
        })
        .collect();
    let events = file(&folder, "events.ndjson", &lines);
    run([Path::new("import"), Path::new("--quiet"), Path::new("--database"), &database, &events]).exits(0);

    let server = Server::start(&database);
    let refused = run(["migrate", path, &address]).exits(1);
    assert!(refused.err.contains(&server.url()) && refused.err.contains("stop it first"), "{}", refused.err);
    server.end_by("-TERM");

    // Killed a little later each time, until it comes to its end before.
    let (mut patience, mut killed) = (Duration::from_millis(100), 0);
    loop {
        let command = ["migrate", path, &address, "--json"];
        let mut child = uplift().args(command).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        std::thread::sleep(patience);
        if child.try_wait().unwrap().is_none() && killed < 20 {
            child.kill().unwrap();
            child.wait().unwrap();
            killed += 1;
            patience += patience / 4;
            continue;
        }
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        // One that was killed between its last commit and its last word has done it all.
        assert!(output.status.success() || said.contains("--verify-only compares"), "{said}");
        break;
    }
    let compared = run(["migrate", path, &address, "--verify-only", "--json"]).exits(0).json();
    assert!(compared["rows"].as_u64().unwrap() > 2 * TASKS as u64, "{compared}");

    for command in [&["status"][..], &["tasks"], &["events"], &["entities"], &["opportunities"], &["reviews"]] {
        assert_eq!(told(command, path), told(command, &address), "{command:?}");
    }
    let again = run(["migrate", path, &address]).exits(1);
    assert!(again.err.contains("in use"), "{}", again.err);
    run(["migrate", &address, path]).exits(2);
    // The same events again are known there.
    let again =
        run([Path::new("import"), Path::new("--json"), Path::new("--database"), Path::new(&address), &events]);
    assert_eq!(again.exits(0).json()["already_known"].as_u64(), Some(2 * TASKS as u64));
}
