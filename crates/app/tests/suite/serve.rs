//! The server as a process: where it listens, who may write, how it ends, and how soon it sees what is wrong.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::Duration;

use serde_json::json;

use crate::http::{get, post_events, send};
use crate::support::{Server, event, folder, number, read, run, uplift, within};

#[test]
fn other_machines_are_not_let_in() {
    let folder = folder();
    let database = folder.path().join("fleet.db");
    for listen in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        let ran = run(["serve", "--listen", listen, "--database", database.to_str().unwrap()]).exits(2);
        assert!(ran.err.contains("tokens") && ran.err.contains("127.0.0.1"), "{}", ran.err);
        let beside = ["serve", "--listen", "127.0.0.1:0", "--otlp-grpc-listen", listen];
        let ran = run(beside.into_iter().chain(["--database", database.to_str().unwrap()])).exits(2);
        assert!(ran.err.contains("tokens"), "{}", ran.err);
    }
    assert!(!database.exists());
}

#[test]
fn a_port_in_use_is_named() {
    let folder = folder();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let database = folder.path().join("fleet.db");
    let ran = run(["serve", "--listen", &address, "--database", database.to_str().unwrap()]).exits(1);
    assert!(ran.err.contains(&address) && ran.err.contains("in use"), "{}", ran.err);
}

#[test]
fn telemetry_has_a_port_of_its_own_unless_that_is_taken() {
    let folder = folder();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().map(|address| (taken, address.to_string())).unwrap();
    for (listen, own_port) in [("127.0.0.1:0", true), (taken.1.as_str(), false)] {
        let mut child = uplift()
            .args(["serve", "--listen", "127.0.0.1:0", "--otlp-grpc-listen", listen, "--database"])
            .arg(folder.path().join("fleet.db"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let first = lines.next().unwrap();
        let all = first.strip_prefix("listening on http://").and_then(|rest| rest.split(',').next()).unwrap();
        get(all, "/readyz");
        if own_port {
            let second = lines.next().unwrap();
            let own = second.strip_prefix("taking OpenTelemetry over gRPC also on ").unwrap();
            let refused = send(own, "GET", "/api/events", &[], b"").unwrap();
            assert_eq!((refused.status, refused.json()["code"].clone()), (404, json!("unknown_route")));
        }
        child.kill().unwrap();
        let said = String::from_utf8(child.wait_with_output().unwrap().stderr).unwrap();
        assert_eq!(said.contains("--otlp-grpc-listen") && said.contains(listen), !own_port, "{said}");
    }
}

#[test]
fn patterns_that_cannot_be_used_are_refused_before_anything_is_stored() {
    let folder = folder();
    let (database, config) = (folder.path().join("fleet.db"), folder.path().join("fleet.toml"));
    std::fs::write(&config, "[content]\nmask = ['fine', 'not(']\n").unwrap();
    let (database_name, config_name) = (database.to_str().unwrap(), config.to_str().unwrap());
    let ran =
        run(["serve", "--listen", "127.0.0.1:0", "--config", config_name, "--database", database_name]).exits(2);
    for part in ["fleet.toml", "pattern 2", "not(", "unclosed"] {
        assert!(ran.err.contains(part), "{part}: {}", ran.err);
    }
    assert!(!database.exists());
}

#[test]
fn a_second_server_learns_who_has_the_database() {
    let folder = folder();
    let database = folder.path().join("fleet.db");
    let server = Server::start(&database);
    let ran = run(["serve", "--listen", "127.0.0.1:0", "--database", database.to_str().unwrap()]).exits(1);
    assert!(ran.err.contains(&server.url()) && ran.err.contains(&server.pid().to_string()), "{}", ran.err);
    get(&server.address, "/readyz");
}

#[test]
fn it_ends_when_asked_and_what_it_took_stays() {
    for signal in ["-TERM", "-INT"] {
        let folder = folder();
        let database = folder.path().join("fleet.db");
        let server = Server::start(&database);
        assert_eq!(post_events(&server.address, &[event("1", "TASK_STARTED", "t", json!({}))]).unwrap().status, 200);
        assert_eq!(server.end_by(signal), 0, "{signal}");
        assert!(!folder.path().join("fleet.db-wal").exists(), "the log was not written back");
        assert_eq!(number(&read(&database), "SELECT count(*) FROM events"), 1);
    }
}

#[test]
fn connections_that_stay_open_do_not_keep_it() {
    use std::io::Write;
    let folder = folder();
    let server = Server::start(&folder.path().join("fleet.db"));
    // A request that never gets its body.
    let mut idle = std::net::TcpStream::connect(&server.address).unwrap();
    idle.write_all(b"POST /api/events HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n").unwrap();
    get(&server.address, "/healthz");
    assert_eq!(server.end_by("-TERM"), 0);
}

#[test]
fn the_log_can_be_json() {
    let folder = folder();
    let mut child = uplift()
        .args(["serve", "--listen", "127.0.0.1:0", "--log-format", "json", "--database"])
        .arg(folder.path().join("fleet.db"))
        .env("RUST_LOG", "debug")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().unwrap()), &mut line).unwrap();
    assert!(line.starts_with("listening on http://127.0.0.1:"), "{line}");
    child.kill().unwrap();
    let output = child.wait_with_output().unwrap();
    for line in String::from_utf8(output.stderr).unwrap().lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    }
}

#[test]
fn the_sixth_error_is_an_opportunity_within_a_second() {
    let folder = folder();
    let server = Server::start(&folder.path().join("fleet.db"));
    let failure = |number: u32| {
        let more = json!({"tool": "fetch", "outcome": "ERROR", "error_type": "Timeout",
            "content": format!("no answer from host {number} after {}00 ms", number + 3)});
        event(&number.to_string(), "TOOL_EXECUTED", &format!("task-{number}"), more)
    };
    let path = "/api/improvements/opportunities?kind=recurring_error";
    let five: Vec<String> = (1..=5).map(failure).collect();
    assert_eq!(post_events(&server.address, &five).unwrap().status, 200);
    assert_eq!(get(&server.address, path)["items"], json!([]));
    assert_eq!(post_events(&server.address, &[failure(6)]).unwrap().status, 200);
    let found = within(Duration::from_secs(1), "the opportunity is listed", || {
        get(&server.address, path)["items"].get(0).filter(|found| found["confirmed"] == true).cloned()
    });
    assert_eq!((&found["entity_name"], &found["evidence"]["count"]), (&json!("tester"), &json!(6)), "{found:#}");
}

#[test]
fn idle_it_is_small() {
    let folder = folder();
    let server = Server::start(&folder.path().join("fleet.db"));
    get(&server.address, "/api/improvements/status");
    let Ok(status) = std::fs::read_to_string(format!("/proc/{}/status", server.pid())) else {
        println!("skipped: this system does not say how much memory a process has");
        return;
    };
    let kilobytes = |name: &str| -> u64 {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    // The code of a debug build alone takes half of what the shipped program may have.
    let used = if cfg!(debug_assertions) { kilobytes("RssAnon:") } else { kilobytes("VmRSS:") };
    assert!(used < 40 * 1024, "{status}");
}

#[test]
fn a_link_to_a_database_is_that_database() {
    let folder = folder();
    let database = folder.path().join("real.db");
    let link = folder.path().join("link.db");
    let server = Server::start(&database);
    std::os::unix::fs::symlink(&database, &link).unwrap();
    let second = run(["serve", "--listen", "127.0.0.1:0", "--database", link.to_str().unwrap()]);
    assert!(second.exits(1).err.contains("process"), "a second writer by another name");
    drop(server);
}
