//! A server whose database cannot grow: it refuses, everything else goes on, and it recovers by itself.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::http::{self, Answer};
use crate::support::{Server, event, folder, number, read, until, within};

/// Events of one request.
const EVENTS: usize = 100;

/// Sends a request of events of one task each, each with a long text.
fn send(server: &Server, request: usize) -> Answer {
    let lines: Vec<String> = (0..EVENTS)
        .map(|id| {
            let text = format!("{request}-{id}").repeat(300);
            event(&id.to_string(), "LLM_CALL", &format!("t{request}-{id}"), json!({"content": text}))
        })
        .collect();
    http::post_events(&server.address, &lines).unwrap()
}

fn get(server: &Server, path: &str) -> Answer {
    http::send(&server.address, "GET", path, &[], b"").unwrap()
}

fn on_record(database: &Path) -> i64 {
    number(&read(database), "SELECT count(*) FROM events")
}

/// Fills the disk, looks at what goes on, makes room, and looks whether all is well again.
fn fill_and_relieve(server: Server, database: &Path, relieve: impl FnOnce(&Server)) {
    let mut taken = 0;
    let refused = until("the disk is full", || {
        let answer = send(&server, taken);
        if answer.status == 200 {
            taken += 1;
            return None;
        }
        Some(answer)
    });
    assert_eq!((refused.status, &refused.json()["code"]), (503, &json!("disk_full")), "{}", refused.json());
    // Nothing else dies of it.
    assert_eq!(get(&server, "/healthz").status, 200);
    let ready = get(&server, "/readyz");
    assert_eq!((ready.status, &ready.json()["code"]), (503, &json!("disk_full")));
    let status = http::get(&server.address, "/api/improvements/status");
    assert!(status["storage"]["full_since"].is_string(), "{status:#}");
    assert_eq!(status["counts"]["events"], json!(taken * EVENTS), "{status:#}");
    assert_eq!(get(&server, "/api/tasks/t0-0").status, 200);
    assert_eq!(get(&server, "/api/events?task_id=t0-0").status, 200);
    for _ in 0..20 {
        assert_eq!(get(&server, "/api/improvements/opportunities").status, 200);
        assert_eq!(send(&server, taken).status, 503);
    }

    relieve(&server);
    // Without a restart: what was refused is taken, what was taken is known.
    let again = until("there is room again", || Some(send(&server, taken)).filter(|answer| answer.status == 200));
    assert_eq!(again.json()["accepted"], json!(EVENTS));
    assert_eq!(send(&server, taken - 1).json()["accepted"], json!(0));
    within(Duration::from_secs(40), "it is ready again", || (get(&server, "/readyz").status == 200).then_some(()));
    let alert = until("there is an alert", || {
        let alerts = http::get(&server.address, "/api/improvements/alerts?active_only=true");
        let found = |alert: &&Value| alert["kind"] == "disk_full";
        alerts["items"].as_array().unwrap().iter().find(found).cloned()
    });
    assert!(alert["message"].as_str().unwrap().contains("no room left"), "{alert:#}");
    // What was acknowledged is there, though it is killed now, and nothing beyond it.
    server.kill();
    assert_eq!(on_record(database), ((taken + 1) * EVENTS) as i64);
    let check: String = read(database).query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
}

#[test]
fn a_limit_of_the_size_of_files_is_a_full_disk() {
    let raised = |pid: u32| Command::new("prlimit").args(["--fsize=unlimited:", "--pid", &pid.to_string()]).output();
    if !raised(std::process::id()).is_ok_and(|ran| ran.status.success()) {
        println!("SKIPPED: there is no prlimit here, by which the limit is lifted while the server runs");
        return;
    }
    let folder = folder();
    let database = folder.path().join("fleet.db");
    let server = Server::start_limited(&database, 4_096);
    fill_and_relieve(server, &database, |server| assert!(raised(server.pid()).unwrap().status.success()));
}

/// A file system that is let go of in the end.
struct Mounted<'a>(&'a Path);

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(self.0).output());
    }
}

#[test]
fn a_disk_that_is_full_for_a_while() {
    let folder = folder();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=12m", "tmpfs"]).arg(folder.path()).output();
    if !mounted.is_ok_and(|ran| ran.status.success()) {
        println!("SKIPPED: a small file system cannot be mounted here");
        return;
    }
    let _mounted = Mounted(folder.path());
    let ballast = folder.path().join("ballast");
    std::fs::write(&ballast, vec![1; 6 << 20]).unwrap();
    let database = folder.path().join("fleet.db");
    let server = Server::start(&database);
    fill_and_relieve(server, &database, |_| std::fs::remove_file(&ballast).unwrap());
}
