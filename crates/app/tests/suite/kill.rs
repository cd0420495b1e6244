//! `kill -9` under load: what was acknowledged is there exactly once, what was not can be sent again, and sums come
//! out as if nothing had happened.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde_json::json;

use crate::http::post_events;
use crate::support::{Server, event, folder, number, read};

const ROUNDS: u64 = 12;
const SENDERS: u64 = 3;
const TASKS_PER_BATCH: u64 = 8;
/// Started, model call, failed tool call, completed.
const EVENTS_PER_TASK: u64 = 4;
const TOKENS_PER_TASK: i64 = 17;
const HOUR_US: i64 = 3_600_000_000;

/// Batches are known by number; a batch's events follow from it.
type Batch = u64;

fn lines(batch: Batch) -> Vec<String> {
    let mut lines = Vec::new();
    for task in 0..TASKS_PER_BATCH {
        let task = format!("task-{batch}-{task}");
        // Spread over hours, so that sums by the hour are many rows.
        let ts = format!("2026-01-05T{:02}:00:00Z", batch % 24);
        lines.push(event("1", "TASK_STARTED", &task, json!({"ts": ts})));
        lines.push(event("2", "LLM_CALL", &task, json!({"ts": ts, "tokens_in": TOKENS_PER_TASK, "duration_ms": 5})));
        let failed =
            json!({"ts": ts, "tool": "fetch", "outcome": "ERROR", "error_type": "Timeout", "content": "no answer"});
        lines.push(event("3", "TOOL_EXECUTED", &task, failed));
        lines.push(event("4", "TASK_COMPLETED", &task, json!({"ts": ts})));
    }
    lines
}

/// Sends batches until the server is gone; notes which were sent, and which were acknowledged.
struct Log {
    sent: Mutex<BTreeSet<Batch>>,
    acknowledged: Mutex<BTreeSet<Batch>>,
}

impl Log {
    fn send(&self, address: &str, batch: Batch) -> bool {
        self.sent.lock().unwrap().insert(batch);
        match post_events(address, &lines(batch)) {
            Ok(answer) if answer.status == 429 => true,
            Ok(answer) => {
                assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
                let body = answer.json();
                let taken = body["accepted"].as_u64().unwrap() + body["duplicates"].as_u64().unwrap();
                assert_eq!(taken, TASKS_PER_BATCH * EVENTS_PER_TASK, "{body}");
                self.acknowledged.lock().unwrap().insert(batch);
                true
            }
            Err(_) => false,
        }
    }

    fn unacknowledged(&self) -> Vec<Batch> {
        self.sent.lock().unwrap().difference(&self.acknowledged.lock().unwrap()).copied().collect()
    }
}

#[test]
fn killed_at_any_moment_nothing_is_lost_or_doubled() {
    let folder = folder();
    let database = folder.path().join("fleet.db");
    let log = Log { sent: Mutex::default(), acknowledged: Mutex::default() };
    let mut caught = 0;
    for round in 0..ROUNDS {
        let server = Server::start(&database);
        let address = server.address.clone();
        let mut dice = SmallRng::seed_from_u64(round);
        let moment = Duration::from_millis(dice.random_range(20..500));
        std::thread::scope(|scope| {
            for sender in 0..SENDERS {
                let (log, address) = (&log, address.as_str());
                scope.spawn(move || {
                    let mut batch = (round * SENDERS + sender) * 1_000_000;
                    while log.send(address, batch) {
                        batch += 1;
                    }
                });
            }
            // The moment of death is what is tried here, not a wait for a result.
            std::thread::sleep(moment);
            server.kill();
        });
        let open = log.unacknowledged();
        caught += usize::from(!open.is_empty());
        verify_acknowledged(&database, &log);
        let server = Server::start(&database);
        for batch in open {
            assert!(log.send(&server.address, batch));
        }
        assert_eq!(log.unacknowledged(), Vec::<Batch>::new());
        verify_sums(&database, &log);
        server.kill();
    }
    assert!(caught >= ROUNDS as usize / 2, "the kills came between requests: {caught} of {ROUNDS} caught one");
    assert_eq!(Server::start(&database).end_by("-TERM"), 0);
    assert_eq!(read(&database).query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0)).unwrap(), "ok");
}

/// Every acknowledged event is there exactly once.
fn verify_acknowledged(database: &Path, log: &Log) {
    let connection = read(database);
    let mut counted =
        connection.prepare("SELECT count(*), count(DISTINCT id) FROM events WHERE trace_key = ?1").unwrap();
    for batch in log.acknowledged.lock().unwrap().iter() {
        for task in 0..TASKS_PER_BATCH {
            let found: (i64, i64) =
                counted.query_row([format!("task-{batch}-{task}")], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
            let all = EVENTS_PER_TASK as i64;
            assert_eq!(found, (all, all), "task {task} of batch {batch}");
        }
    }
}

/// Once everything sent is acknowledged, every sum is that of everything sent.
fn verify_sums(database: &Path, log: &Log) {
    let connection = read(database);
    let batches = log.sent.lock().unwrap().clone();
    let tasks = (batches.len() as u64 * TASKS_PER_BATCH) as i64;
    let events = tasks * EVENTS_PER_TASK as i64;
    for (sql, expected) in [
        ("SELECT count(*) FROM events", events),
        ("SELECT count(*) FROM tasks", tasks),
        ("SELECT count(*) FROM tasks WHERE outcome = 'SUCCESS' AND ended", tasks),
        ("SELECT coalesce(sum(events), 0) FROM tasks", events),
        ("SELECT coalesce(sum(errors), 0) FROM tasks", tasks),
        ("SELECT coalesce(sum(tokens_in), 0) FROM tasks", tasks * TOKENS_PER_TASK),
        ("SELECT coalesce(sum(n), 0) FROM rollup_ops WHERE entity_type = 'agent' AND operation = 'llm'", tasks),
        ("SELECT coalesce(sum(tokens_in), 0) FROM rollup_ops WHERE operation = 'llm'", tasks * TOKENS_PER_TASK),
        ("SELECT coalesce(sum(n), 0) FROM rollup_errors WHERE entity_type = 'agent'", tasks),
    ] {
        assert_eq!(number(&connection, sql), expected, "{sql}");
    }
    let mut by_hour = connection
        .prepare("SELECT n FROM rollup_ops WHERE entity_type = 'agent' AND operation = 'llm' AND hour = ?1")
        .unwrap();
    let first: i64 = "2026-01-05T00:00:00Z".parse::<jiff::Timestamp>().unwrap().as_microsecond() / HOUR_US;
    for hour in 0..24 {
        let expected = batches.iter().filter(|batch| *batch % 24 == hour).count() as u64 * TASKS_PER_BATCH;
        let found: i64 = by_hour.query_row([first + hour as i64], |row| row.get(0)).unwrap_or(0);
        assert_eq!(found, expected as i64, "hour {hour}");
    }
}
