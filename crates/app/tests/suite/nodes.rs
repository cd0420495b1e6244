//! Servers that share a PostgreSQL database: one is killed, one is stopped for longer than its leases last, and the
//! database ends all sessions; or the database's server fails, again and again. Agents report all the while, and it comes
//! out as if one server had done it all.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use uplift_store::suite::scratch::{self, Scratch};
use uplift_store::suite::server::OwnServer;

use crate::http::{get, post_events};
use crate::support::{Server, event, folder, run, until, uplift, within};

const SENDERS: u64 = 3;
const BATCHES: u64 = 40;
const TASKS_PER_BATCH: u64 = 5;
/// Started, failed tool call, completed.
const EVENTS_PER_TASK: u64 = 3;
const LEASE_SECONDS: u64 = 2;

fn lines(batch: u64) -> Vec<String> {
    let mut lines = Vec::new();
    for task in 0..TASKS_PER_BATCH {
        let name = format!("task-{batch}-{task}");
        lines.push(event("start", "TASK_STARTED", &name, json!({})));
        let broken = json!({"tool": "search", "error_type": "Timeout", "content": "no answer", "duration_ms": 40});
        lines.push(event("call", "TOOL_EXECUTED", &name, broken));
        lines.push(event("end", "TASK_COMPLETED", &name, json!({"outcome": "SUCCESS", "tokens_in": 7})));
    }
    lines
}

/// Sends a batch to one server after the other until one has taken it.
fn send(servers: &[String], batch: u64) {
    let mut turn = batch as usize;
    within(Duration::from_mins(1), "some server takes the batch", || {
        turn += 1;
        let answer = post_events(&servers[turn % servers.len()], &lines(batch)).ok()?;
        let body = answer.json();
        let taken = body["accepted"].as_u64().unwrap_or(0) + body["duplicates"].as_u64().unwrap_or(0);
        (answer.status == 200 && taken == TASKS_PER_BATCH * EVENTS_PER_TASK).then_some(())
    });
}

fn server(address: &str) -> Server {
    let mut command = uplift();
    command.env("UPLIFT__NODES__LEASE_SECONDS", LEASE_SECONDS.to_string());
    Server::start_by(command, Path::new(address))
}

fn signal(server: &Server, signal: &str) {
    assert!(Command::new("kill").args([signal, &server.pid().to_string()]).status().unwrap().success());
}

/// All tasks as the API tells them, by id.
fn tasks(address: &str) -> Vec<Value> {
    let mut all = Vec::new();
    let mut path = "/api/tasks?limit=1000".to_owned();
    loop {
        let page = get(address, &path);
        all.extend(page["items"].as_array().cloned().unwrap_or_default());
        match page["next"].as_str() {
            Some(cursor) => path = format!("/api/tasks?limit=1000&cursor={cursor}"),
            None => break,
        }
    }
    all.sort_by_key(|task| task["task_id"].to_string());
    all
}

fn wait<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

#[test]
fn nodes_come_and_go() {
    let Some(place) = wait(scratch::make()) else { return };
    let address = place.address_of("nodes");
    let mut servers: Vec<Server> = (0..3).map(|_| server(&address)).collect();
    let urls: Vec<String> = servers.iter().map(|server| server.address.clone()).collect();
    report(&urls, |sent| disturb(&place, &mut servers, sent));
    let survivor = urls[1].clone();
    verify_shares(&survivor, 2);
    verify_against_one(&place.address(), &survivor);
}

/// The server of the database dies under load as in a failure of power, and comes back. What was acknowledged before is
/// never sent again, so that it must be there; what was not is, so that it must not count twice.
#[test]
fn the_servers_go_on_when_that_of_the_database_has_failed() {
    let Some(mut database) = OwnServer::make() else { return };
    database.start(&[]);
    let address = database.address();
    let mut servers: Vec<Server> = (0..2).map(|_| server(&address)).collect();
    let urls: Vec<String> = servers.iter().map(|server| server.address.clone()).collect();
    report(&urls, |sent| {
        for part in [1, 3, 5, 7, 9] {
            reached(sent, part);
            database.crash();
            for server in &mut servers {
                assert!(server.is_running(), "a server has ended with its database");
            }
            database.start(&[]);
        }
    });
    verify_shares(&urls[0], 2);
    verify_against_one(&address, &urls[1]);
}

/// Sends all batches, from several senders at once, while something happens.
fn report(urls: &[String], meanwhile: impl FnOnce(&AtomicU64)) {
    let sent = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for sender in 0..SENDERS {
            let sent = &sent;
            scope.spawn(move || {
                for batch in 0..BATCHES {
                    send(urls, sender * BATCHES + batch);
                    sent.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        meanwhile(&sent);
    });
}

/// Waits until so many tenths of the batches are taken.
fn reached(sent: &AtomicU64, part: u64) {
    let wanted = SENDERS * BATCHES * part / 10;
    within(Duration::from_mins(1), "batches are taken", || (sent.load(Ordering::Relaxed) >= wanted).then_some(()));
}

/// Kills the first server, stops the third past its leases, and ends all sessions, each once some batches more are in.
fn disturb(place: &Scratch, servers: &mut Vec<Server>, sent: &AtomicU64) {
    reached(sent, 2);
    servers.remove(0).kill();
    reached(sent, 4);
    signal(&servers[1], "-STOP");
    // Longer than its leases last, and longer than the database waits for its transaction, should it be in one.
    std::thread::sleep(Duration::from_secs(LEASE_SECONDS + 4));
    signal(&servers[1], "-CONT");
    reached(sent, 7);
    wait(place.end_sessions("nodes")).unwrap();
}

/// Every shard is somebody's, and nobody else's.
fn verify_shares(address: &str, nodes: usize) {
    let what = "the servers that are left share the work";
    within(Duration::from_mins(1), what, || {
        let answer = get(address, "/api/nodes");
        let at_work: Vec<Value> =
            answer["nodes"].as_array()?.iter().filter(|node| node["at_work"] == true).cloned().collect();
        let mut shards: Vec<u64> = at_work
            .iter()
            .flat_map(|node| node["shards"].as_array().cloned().unwrap_or_default())
            .filter_map(|shard| shard.as_u64())
            .collect();
        shards.sort_unstable();
        let all: Vec<u64> = (0..answer["shards"].as_u64()?).collect();
        let improving = at_work.iter().filter(|node| node["improves"] == true).count();
        let idle = at_work.iter().any(|node| node["shards"].as_array().is_none_or(Vec::is_empty));
        (at_work.len() == nodes && shards == all && improving == 1 && !idle).then_some(())
    });
}

/// The tasks, and what was found in them, are those of one server that nobody disturbed, over SQLite.
fn verify_against_one(database: &str, survivor: &str) {
    let folder = folder();
    let alone = Server::start(&folder.path().join("one.db"));
    for batch in 0..SENDERS * BATCHES {
        send(std::slice::from_ref(&alone.address), batch);
    }
    let expected = tasks(&alone.address);
    assert_eq!(expected.len() as u64, SENDERS * BATCHES * TASKS_PER_BATCH);
    assert_eq!(tasks(survivor), expected);
    let found = |address: &str| {
        let page = get(address, "/api/improvements/opportunities?kind=recurring_error");
        let items = page["items"].as_array()?.clone();
        let [one] = &items[..] else { return None };
        let all = (SENDERS * BATCHES * TASKS_PER_BATCH) as i64;
        (one["evidence"]["count"].as_i64() == Some(all)).then(|| (one["kind"].clone(), one["fingerprint"].clone()))
    };
    let one = until("one server finds it", || found(&alone.address));
    let many = within(Duration::from_mins(1), "the others find it, once", || found(survivor));
    assert_eq!(many, one);
    let shown = run(["status", "--json", "--database", database]).exits(0).json();
    assert_eq!(shown["counts"]["tasks"].as_u64(), Some(SENDERS * BATCHES * TASKS_PER_BATCH));
    let shown = run(["nodes", "--database", database]).exits(0).out;
    assert!(shown.contains("AT WORK"), "{shown}");
}
