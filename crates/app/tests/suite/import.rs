//! Importing: the same content by every way in, twice is once, and bad lines do not keep good ones out.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::http;
use crate::support::{Server, event, file, folder, gzip, number, read, rows, run, run_with_input, until};

const AT: &str = "2026-01-05T12:00:00Z";

/// A little fleet: two agents, failures, an error that recurs, events without a clock.
fn lines() -> Vec<String> {
    let mut lines = Vec::new();
    for task in 0..60 {
        let id = format!("task-{task}");
        let more = |more: serde_json::Value| {
            let mut all = json!({"agent": if task % 3 == 0 { "writer" } else { "tester" },
                "ts": format!("2026-01-0{}T{:02}:00:00Z", 1 + task / 20, task % 20)});
            all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            all
        };
        lines.push(event("1", "TASK_STARTED", &id, more(json!({}))));
        lines.push(event(
            "2",
            "LLM_CALL",
            &id,
            more(json!({"tokens_in": 100 + task, "tokens_out": 7, "duration_ms": 12.5})),
        ));
        let failed = json!({"tool": "fetch", "outcome": "ERROR", "error_type": "Timeout", "content": format!("host {task} is silent")});
        lines.push(event("3", "TOOL_EXECUTED", &id, more(failed)));
        let mut end = more(json!({"outcome": if task % 4 == 0 { "FAILURE" } else { "SUCCESS" }}));
        if task % 5 == 0 {
            end["ts"] = serde_json::Value::Null;
        }
        lines.push(event("4", "TASK_COMPLETED", &id, end));
    }
    lines
}

/// Everything that does not depend on when it was written.
fn content(database: &Path) -> Vec<(&'static str, Vec<String>)> {
    let connection = read(database);
    [
        "SELECT * FROM events",
        "SELECT * FROM tasks",
        "SELECT * FROM rollup_ops",
        "SELECT * FROM rollup_errors",
        "SELECT entity_type, entity_id, environment, name, state, last_seen_at FROM entities",
        "SELECT * FROM entity_relationships",
        "SELECT fingerprint, error_type, tool, template FROM error_groups",
        "SELECT entity_type, entity_id, kind, fingerprint, status, source, confirmed, description, confidence, \
         potential_impact, occurrences, evidence, last_seen_at FROM optimization_opportunities",
    ]
    .into_iter()
    .map(|sql| (sql, rows(&connection, sql)))
    .collect()
}

fn assert_same(left: &Path, right: &Path) {
    for ((sql, left), (_, right)) in content(left).into_iter().zip(content(right)) {
        assert_eq!(left.len(), right.len(), "{sql}");
        for (left, right) in left.iter().zip(&right) {
            assert_eq!(left, right, "{sql}");
        }
    }
}

#[test]
fn every_way_in_leads_to_the_same_content() {
    let folder = folder();
    let lines = lines();
    let plain = file(&folder, "events.ndjson", &lines);
    let packed = folder.path().join("events.gz");
    std::fs::write(&packed, gzip(lines.join("\n").as_bytes())).unwrap();
    let array = folder.path().join("events.json");
    std::fs::write(&array, format!("[{}]", lines.join(",\n"))).unwrap();
    let by = |name: &str| folder.path().join(name);
    let import = |source: &Path, database: &Path| {
        let ran =
            run([Path::new("import"), source, Path::new("--at"), Path::new(AT), Path::new("--database"), database]);
        assert!(ran.exits(0).out.contains("240 accepted"));
    };
    import(&plain, &by("plain.db"));
    import(&packed, &by("packed.db"));
    import(&array, &by("array.db"));
    let ran = run_with_input(
        ["import", "-", "--at", AT, "--database", by("stdin.db").to_str().unwrap()],
        lines.join("\n").as_bytes(),
    );
    ran.exits(0);
    let server = Server::start(&by("http.db"));
    let summary =
        run(["import", packed.to_str().unwrap(), "--at", AT, "--json", "--server", &server.url()]).exits(0).json();
    assert_eq!((&summary["accepted"], &summary["counts"]["tasks"]), (&json!(240), &json!(60)));
    assert_eq!(server.end_by("-TERM"), 0);
    assert!(number(&read(&by("plain.db")), "SELECT count(*) FROM optimization_opportunities") > 0);
    for other in ["packed.db", "array.db", "stdin.db", "http.db"] {
        assert_same(&by("plain.db"), &by(other));
    }
}

#[test]
fn a_second_import_changes_nothing() {
    let folder = folder();
    let (source, database) = (file(&folder, "events.ndjson", &lines()), folder.path().join("fleet.db"));
    let arguments =
        ["import", source.to_str().unwrap(), "--at", AT, "--json", "--database", database.to_str().unwrap()];
    let first = run(arguments).exits(0).json();
    let before = content(&database);
    let second = run(arguments).exits(0).json();
    assert_eq!((&first["accepted"], &first["already_known"]), (&json!(240), &json!(0)));
    assert_eq!((&second["accepted"], &second["already_known"]), (&json!(0), &json!(240)));
    assert_eq!(before, content(&database));
}

#[test]
fn bad_lines_are_told_and_the_rest_goes_in() {
    let folder = folder();
    let mut lines = vec![event("1", "TASK_STARTED", "t", json!({})), "{not json".to_owned()];
    lines.push(event("2", "TASK_STARTED", "t2", json!({})));
    lines.extend((0..30).map(|number| event(&format!("x{number}"), "NONSENSE", "t", json!({}))));
    lines.push(event("3", "TASK_COMPLETED", "t", json!({})));
    let source = file(&folder, "mixed.ndjson", &lines);
    let database = folder.path().join("fleet.db");
    let (source, place) = (source.to_str().unwrap(), database.to_str().unwrap());
    let told = |ran: &crate::support::Ran| {
        assert!(ran.err.contains(&format!("{source}:2: ")), "{}", ran.err);
        assert!(ran.err.contains(&format!("{source}:4: ")) && ran.err.contains("TASK_STARTED"), "{}", ran.err);
        assert_eq!(ran.err.lines().filter(|line| line.starts_with(source)).count(), 20, "{}", ran.err);
        assert!(ran.err.contains("11 more"), "{}", ran.err);
    };
    let ran = run(["import", source, "--database", place]).exits(3);
    told(&ran);
    assert!(ran.out.contains("3 accepted") && ran.out.contains("31 refused"), "{}", ran.out);
    assert_eq!(number(&read(&database), "SELECT count(*) FROM events"), 3);
    // The same by way of a server, which is found through the lock file.
    let server = Server::start(&database);
    let ran = run(["import", source, "--database", place]).exits(3);
    told(&ran);
    assert!(ran.out.contains(&server.url()) && ran.out.contains("3 already known"), "{}", ran.out);
}

#[test]
fn a_missing_file_is_named_before_anything_is_done() {
    let folder = folder();
    let good = file(&folder, "good.ndjson", &lines());
    let database = folder.path().join("fleet.db");
    let missing = folder.path().join("missing.ndjson");
    let ran = run([Path::new("import"), &good, &missing, Path::new("--database"), &database]).exits(1);
    assert!(ran.err.contains("missing.ndjson"), "{}", ran.err);
    assert!(!database.exists());
    run(["import"]).exits(2);
    run(["import", "x", "--at", "yesterday"]).exits(2);
}

#[test]
fn a_torn_archive_gives_what_is_whole_in_it() {
    let folder = folder();
    let whole = gzip(lines().join("\n").as_bytes());
    let torn = folder.path().join("torn.gz");
    std::fs::write(&torn, &whole[..whole.len() - 100]).unwrap();
    let database = folder.path().join("fleet.db");
    let ran = run([Path::new("import"), &torn, Path::new("--database"), &database]).exits(1);
    assert!(ran.err.contains("torn.gz"), "{}", ran.err);
    assert!(
        !ran.err.contains("malformed") && !ran.err.contains("truncated]"),
        "half a line is nobody's mistake: {}",
        ran.err
    );
    assert!(number(&read(&database), "SELECT count(*) FROM events") > 100);
}

#[test]
fn databases_that_are_not_ours_stay_as_they_are() {
    let folder = folder();
    let source = file(&folder, "events.ndjson", &lines());
    let newer = folder.path().join("newer.db");
    run([Path::new("import"), &source, Path::new("--database"), &newer]).exits(0);
    rusqlite::Connection::open(&newer).unwrap().execute_batch("PRAGMA user_version = 99").unwrap();
    let text = folder.path().join("text.db");
    std::fs::write(&text, "this is no database, and long enough to be read as one\n".repeat(100)).unwrap();
    let foreign = folder.path().join("foreign.db");
    rusqlite::Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE x (y)").unwrap();
    for (database, reason) in
        [(&newer, "newer uplift"), (&text, "not an uplift database"), (&foreign, "another program")]
    {
        let before = std::fs::read(database).unwrap();
        for command in ["import", "serve", "status"] {
            let source = if command == "import" { vec![source.as_path()] } else { vec![] };
            let listen: &[&str] = if command == "serve" { &["--listen", "127.0.0.1:0"] } else { &[] };
            let mut arguments = vec![Path::new(command)];
            arguments.extend(source);
            arguments.extend(listen.iter().map(Path::new));
            arguments.extend([Path::new("--database"), database]);
            let ran = run(arguments).exits(1);
            assert!(ran.err.contains(reason), "{command}: {}", ran.err);
        }
        assert_eq!(before, std::fs::read(database).unwrap());
    }
}

#[test]
fn a_read_only_file_is_told() {
    let folder = folder();
    let source = file(&folder, "events.ndjson", &lines());
    let database = folder.path().join("fleet.db");
    run([Path::new("import"), &source, Path::new("--database"), &database]).exits(0);
    std::fs::set_permissions(&database, Permissions::from_mode(0o444)).unwrap();
    if std::fs::OpenOptions::new().write(true).open(&database).is_ok() {
        println!("skipped: whoever runs this may write read-only files");
        return;
    }
    let ran = run([Path::new("import"), &source, Path::new("--database"), &database]).exits(1);
    assert!(ran.err.contains("read-only"), "{}", ran.err);
    run([Path::new("status"), Path::new("--database"), &database]).exits(0);
}

#[test]
fn a_read_only_disk_is_told() {
    let Some(disk) = SmallDisk::mount() else {
        println!("skipped: a small file system cannot be mounted here");
        return;
    };
    let folder = folder();
    let source = file(&folder, "events.ndjson", &lines());
    let database = disk.0.path().join("fleet.db");
    run([Path::new("import"), &source, Path::new("--database"), &database]).exits(0);
    let remounted = Command::new("mount").args(["-o", "remount,ro"]).arg(disk.0.path()).status().unwrap();
    assert!(remounted.success());
    for command in ["import", "serve"] {
        let more: &[&Path] =
            if command == "import" { &[&source] } else { &[Path::new("--listen"), Path::new("127.0.0.1:0")] };
        let arguments = [Path::new(command)].into_iter().chain(more.iter().copied());
        let ran = run(arguments.chain([Path::new("--database"), &database])).exits(1);
        assert!(ran.err.contains("read-only") && ran.err.contains("fleet.db"), "{command}: {}", ran.err);
    }
}

/// A small file system of its own; none where we may not make one.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let folder = folder();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=3m", "tmpfs"])
            .arg(folder.path())
            .output()
            .is_ok_and(|ran| ran.status.success());
        mounted.then_some(Self(folder))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(self.0.path()).output());
    }
}

#[test]
fn a_full_disk_loses_nothing_that_was_taken() {
    let Some(disk) = SmallDisk::mount() else {
        println!("skipped: a small file system cannot be mounted here");
        return;
    };
    let folder = folder();
    let filler = "x".repeat(900);
    let lines: Vec<String> = (0..9_000)
        .map(|number| {
            event(
                &number.to_string(),
                "LLM_CALL",
                &format!("t{number}"),
                json!({"content": format!("{number} {filler}")}),
            )
        })
        .collect();
    let source = file(&folder, "events.ndjson", &lines);
    let database = disk.0.path().join("fleet.db");
    let ran = run([Path::new("import"), &source, Path::new("--database"), &database]).exits(1);
    assert!(ran.err.contains("no room left"), "{}", ran.err);
    // With room again, the rest goes in and nothing is there twice.
    let moved = folder.path().join("moved.db");
    for suffix in ["", "-wal"] {
        let from = disk.0.path().join(format!("fleet.db{suffix}"));
        if from.exists() {
            std::fs::copy(from, folder.path().join(format!("moved.db{suffix}"))).unwrap();
        }
    }
    let again =
        run([Path::new("import"), &source, Path::new("--json"), Path::new("--database"), &moved]).exits(0).json();
    assert_eq!(again["accepted"].as_i64().unwrap() + again["already_known"].as_i64().unwrap(), 9_000, "{again:#}");
    assert_eq!(number(&read(&moved), "SELECT count(*) FROM events"), 9_000);
    assert_eq!(number(&read(&moved), "SELECT sum(n) FROM rollup_ops WHERE operation = 'llm'"), 9_000);
}

#[test]
fn a_server_with_a_full_disk_says_so_and_goes_on() {
    let Some(disk) = SmallDisk::mount() else {
        println!("skipped: a small file system cannot be mounted here");
        return;
    };
    let server = Server::start(&disk.0.path().join("fleet.db"));
    let filler = "x".repeat(2_000);
    let mut acknowledged = 0;
    let refused = until("the disk is full", || {
        let lines: Vec<String> = (0..200)
            .map(|number| {
                event(
                    &number.to_string(),
                    "LLM_CALL",
                    &format!("t{acknowledged}-{number}"),
                    json!({"content": format!("{acknowledged}{filler}")}),
                )
            })
            .collect();
        let answer = http::post_events(&server.address, &lines).unwrap();
        if answer.status == 200 {
            acknowledged += 200;
            return None;
        }
        Some(answer)
    });
    assert_eq!((refused.status, &refused.json()["code"]), (503, &json!("disk_full")), "{}", refused.json());
    let status = http::get(&server.address, "/api/improvements/status");
    assert!(status["counts"]["events"].as_i64().unwrap() >= acknowledged, "{status:#}");
}

#[test]
fn two_imports_at_once_do_not_mix() {
    let folder = folder();
    let source = file(&folder, "events.ndjson", &lines());
    let database = folder.path().join("fleet.db");
    let held = std::fs::File::create(folder.path().join("fleet.db.lock")).unwrap();
    held.try_lock().unwrap();
    std::io::Write::write_all(&mut &held, br#"{"pid":4711,"url":null}"#).unwrap();
    let ran = run([Path::new("import"), &source, Path::new("--database"), &database]).exits(1);
    assert!(ran.err.contains("4711"), "{}", ran.err);
    assert!(!database.exists());
}

/// Two agents at work, as a collector writes it: a request a line.
fn saved_telemetry(secret: &str) -> String {
    let text = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
    let mut lines = String::new();
    for task in 1..=20 {
        let span = |number: u32, parent: u32, attributes: serde_json::Value| {
            let id = |number: u32| if number == 0 { String::new() } else { format!("{:016x}", task * 100 + number) };
            json!({"traceId": format!("{task:032x}"), "spanId": id(number), "parentSpanId": id(parent), "name": "span",
                "startTimeUnixNano": "1767607200000000000", "endTimeUnixNano": "1767607201000000000",
                "attributes": attributes, "status": {"code": 1}})
        };
        let agent = [text("gen_ai.operation.name", "invoke_agent"), text("gen_ai.agent.name", "desk")];
        let call = [
            text("gen_ai.operation.name", "execute_tool"),
            text("gen_ai.tool.name", "book"),
            text("gen_ai.tool.call.arguments", &format!("{{\"key\":\"{secret}\"}}")),
        ];
        let mut spans = vec![span(1, 0, json!(agent)), span(2, 1, json!(call)), span(3, 1, json!(call))];
        if task == 20 {
            spans.push(json!({"name": "neither trace nor id"}));
        }
        let request = json!({"resourceSpans": [{"resource": {}, "scopeSpans": [{"scope": {}, "spans": spans}]}]});
        lines.extend([request.to_string().as_str(), "\n"]);
    }
    lines
}

fn saved(folder: &tempfile::TempDir, name: &str, bytes: &[u8]) -> std::path::PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn saved_telemetry_is_taken_into_a_file_and_by_a_server_alike() {
    let folder = folder();
    let secret = "sk-abcdefghijklmnopqrstuvwx";
    let plain = saved(&folder, "traces.json", saved_telemetry(secret).as_bytes());
    let packed = saved(&folder, "traces.json.gz", &gzip(saved_telemetry(secret).as_bytes()));
    let (own, served) = (folder.path().join("own.db"), folder.path().join("served.db"));
    let server = Server::start(&served);
    for database in [&own, &served] {
        for (path, accepted, known) in [(&plain, 60, 0), (&packed, 0, 60)] {
            let arguments = ["import", path.to_str().unwrap(), "--json", "--database", database.to_str().unwrap()];
            let ran = run(arguments).exits(3);
            let tally = ran.json();
            let counts = [&tally["accepted"], &tally["already_known"], &tally["refused"]];
            assert_eq!(counts, [&json!(accepted), &json!(known), &json!(1)], "{} {}", ran.out, ran.err);
            assert!(ran.err.contains("traces.json"), "{}", ran.err);
        }
        let connection = read(database);
        assert_eq!(number(&connection, "SELECT count(*) FROM events"), 60);
        assert_eq!(number(&connection, "SELECT count(*) FROM events WHERE attributes LIKE '%sk-abc%'"), 0);
        assert_eq!(number(&connection, "SELECT count(*) FROM events WHERE attributes LIKE '%[masked]%'"), 40);
    }
    drop(server);
}

#[test]
fn saved_telemetry_that_breaks_off_is_told() {
    let folder = folder();
    let whole = saved_telemetry("none");
    let broken = saved(&folder, "broken.json", &whole.as_bytes()[..whole.len() / 2]);
    let garbage = saved(&folder, "garbage.pb", &[0, 1, 2, 3, 4, 5, 6, 7]);
    let database = folder.path().join("fleet.db");
    for (path, part) in [(&broken, "ends within a request"), (&garbage, "neither an export request")] {
        let ran = run(["import", path.to_str().unwrap(), "--database", database.to_str().unwrap()]).exits(1);
        assert!(ran.err.contains(part), "{}", ran.err);
    }
    assert!(number(&read(&database), "SELECT count(*) FROM events") > 10);
}
