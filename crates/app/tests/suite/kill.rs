//! `kill -9` under load: what was acknowledged is there exactly once, what was not can be sent again, and sums come
//! out as if nothing had happened.

use std::collections::BTreeSet;
use std::io;

use rusqlite::Connection;
use serde_json::json;

use crate::http::{Answer, post_events};
use crate::killing::{Load, kill_at_any_moment};
use crate::support::{event, folder, number};

const ROUNDS: u64 = 12;
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

/// Batches of events as JSON.
struct Batches;

impl Load for Batches {
    fn send(&self, address: &str, batch: u64) -> io::Result<Answer> {
        post_events(address, &lines(batch))
    }

    fn verify_answer(&self, answer: &Answer) {
        let body = answer.json();
        let taken = body["accepted"].as_u64().unwrap() + body["duplicates"].as_u64().unwrap();
        assert_eq!(taken, TASKS_PER_BATCH * EVENTS_PER_TASK, "{body}");
    }

    fn rest(&self, _: &BTreeSet<u64>) -> Vec<u64> {
        Vec::new()
    }

    fn verify_stored(&self, connection: &Connection, acknowledged: &BTreeSet<Batch>) {
        let mut counted =
            connection.prepare("SELECT count(*), count(DISTINCT id) FROM events WHERE trace_key = ?1").unwrap();
        let all = EVENTS_PER_TASK as i64;
        for batch in acknowledged {
            for task in 0..TASKS_PER_BATCH {
                let key = [format!("task-{batch}-{task}")];
                let found: (i64, i64) = counted.query_row(key, |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
                assert_eq!(found, (all, all), "task {task} of batch {batch}");
            }
        }
    }

    fn verify_sums(&self, connection: &Connection, batches: &BTreeSet<Batch>) {
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
            assert_eq!(number(connection, sql), expected, "{sql}");
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
}

#[test]
fn killed_at_any_moment_nothing_is_lost_or_doubled() {
    let folder = folder();
    kill_at_any_moment(&Batches, &folder.path().join("fleet.db"), ROUNDS);
}
