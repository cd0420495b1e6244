//! `kill -9` under OTLP load: what was acknowledged is there exactly once, what was not can be sent again as exporters
//! do, and the tasks come out as if nothing had happened, although the spans of a trace come in two requests.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use crate::http;
use crate::support::{Server, folder, number, read};

/// How often the server is killed; `UPLIFT_KILL_ROUNDS` says otherwise.
const ROUNDS: u64 = 4;
const SENDERS: u64 = 3;
const TRACES_PER_BATCH: u64 = 8;
const TOKENS: i64 = 17;
/// 2026-01-05T00:00:00Z, seconds.
const START_S: u64 = 1_767_571_200;

/// A request by number: the inner spans of some traces where it is even, the outer ones of the same where it is odd.
type Request = u64;

fn attribute(key: &str, value: &str) -> Value {
    json!({"key": key, "value": {"stringValue": value}})
}

fn span(trace: &str, id: u64, parent: u64, at: u64, what: Value) -> Value {
    let id_of = |id: u64| format!("{id:016x}");
    let mut span = json!({
        "traceId": trace, "spanId": id_of(id), "kind": 1,
        "startTimeUnixNano": (at * 1_000_000_000).to_string(),
        "endTimeUnixNano": (at * 1_000_000_000 + id * 1_000_000).to_string(),
    });
    let span_map = span.as_object_mut().unwrap();
    if parent > 0 {
        span_map.insert("parentSpanId".into(), id_of(parent).into());
    }
    span_map.extend(what.as_object().unwrap().clone());
    span
}

fn agent(name: &str) -> Value {
    let attributes = [attribute("gen_ai.operation.name", "invoke_agent"), attribute("gen_ai.agent.name", name)];
    json!({"name": format!("invoke_agent {name}"), "attributes": attributes})
}

fn call() -> Value {
    let tokens = json!({"key": "gen_ai.usage.input_tokens", "value": {"intValue": TOKENS.to_string()}});
    json!({"name": "chat m", "attributes": [attribute("gen_ai.operation.name", "chat"), tokens]})
}

fn broken_tool() -> Value {
    let attributes = [
        attribute("gen_ai.operation.name", "execute_tool"),
        attribute("gen_ai.tool.name", "fetch"),
        attribute("error.type", "Timeout"),
    ];
    json!({"name": "execute_tool fetch", "attributes": attributes, "status": {"code": 2, "message": "no answer"}})
}

fn trace_of(request: Request, place: u64) -> String {
    format!("{:032x}", (request / 2) * TRACES_PER_BATCH + place + 1)
}

fn body(request: Request) -> Vec<u8> {
    let mut spans = Vec::new();
    let at = START_S + (request / 2 % 24) * 3_600;
    for place in 0..TRACES_PER_BATCH {
        let trace = trace_of(request, place);
        // Ids: 1 the web request, 2 an agent in it, 3 an agent under that one, from 4 on their calls.
        if request.is_multiple_of(2) {
            spans.push(span(&trace, 4, 2, at, call()));
            spans.push(span(&trace, 5, 3, at, call()));
            spans.push(span(&trace, 6, 3, at, broken_tool()));
        } else {
            spans.push(span(&trace, 3, 2, at, agent("researcher")));
            spans.push(span(&trace, 2, 1, at, agent("support")));
            spans.push(span(&trace, 1, 0, at, json!({"name": "POST /chat"})));
        }
    }
    let resource = json!({"attributes": [attribute("service.name", "shop")]});
    let request = json!({"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": spans}]}]});
    serde_json::to_vec(&request).unwrap()
}

#[derive(Default)]
struct Log {
    sent: Mutex<BTreeSet<Request>>,
    acknowledged: Mutex<BTreeSet<Request>>,
}

impl Log {
    /// Sends a request; false means that the server is gone.
    fn send(&self, address: &str, request: Request) -> bool {
        self.sent.lock().unwrap().insert(request);
        let headers = [("Content-Type", "application/json")];
        match http::send(address, "POST", "/v1/traces", &headers, &body(request)) {
            Ok(answer) if matches!(answer.status, 429 | 503) => true,
            Ok(answer) => {
                assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
                let partial = &answer.json()["partialSuccess"]["rejectedSpans"];
                assert!(matches!(partial.as_str(), None | Some("0")), "{partial}");
                self.acknowledged.lock().unwrap().insert(request);
                true
            }
            Err(_) => false,
        }
    }

    fn unacknowledged(&self) -> Vec<Request> {
        self.sent.lock().unwrap().difference(&self.acknowledged.lock().unwrap()).copied().collect()
    }
}

#[test]
fn killed_at_any_moment_no_span_is_lost_or_doubled() {
    let rounds = std::env::var("UPLIFT_KILL_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(ROUNDS);
    let folder = folder();
    let database = folder.path().join("fleet.db");
    let log = Log::default();
    let mut caught = 0;
    for round in 0..rounds {
        let server = Server::start(&database);
        let address = server.address.clone();
        let mut dice = SmallRng::seed_from_u64(round);
        let moment = Duration::from_millis(dice.random_range(20..500));
        std::thread::scope(|scope| {
            for sender in 0..SENDERS {
                let (log, address) = (&log, address.as_str());
                scope.spawn(move || {
                    let mut request = (round * SENDERS + sender) * 1_000_000;
                    while log.send(address, request) {
                        request += 1;
                    }
                });
            }
            // The moment of death is what is tried here, not a wait for a result.
            std::thread::sleep(moment);
            server.kill();
        });
        let open = log.unacknowledged();
        caught += u64::from(!open.is_empty());
        verify_acknowledged(&database, &log, round * SENDERS * 1_000_000);
        let server = Server::start(&database);
        // What was not answered is sent again, and some of what was; and the rest of what was begun.
        let sent: Vec<Request> = log.sent.lock().unwrap().iter().copied().collect();
        let begun = sent.iter().filter(|request| request.is_multiple_of(2)).map(|request| request + 1);
        let rest: Vec<Request> = begun.filter(|request| !sent.contains(request)).collect();
        let again = sent.iter().rev().take(5).copied();
        for request in open.iter().copied().chain(again).chain(rest) {
            assert!(log.send(&server.address, request));
        }
        assert_eq!(log.unacknowledged(), Vec::<Request>::new());
        verify_sums(&database, &log);
        server.kill();
    }
    assert!(caught >= rounds / 2, "the kills came between requests: {caught} of {rounds} caught one");
    assert_eq!(read(&database).query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0)).unwrap(), "ok");
}

/// Every span acknowledged since a request is there exactly once; those before are among the sums.
fn verify_acknowledged(database: &Path, log: &Log, since: Request) {
    let connection = read(database);
    let mut counted = connection
        .prepare(
            "SELECT count(*), count(DISTINCT span_id) FROM spans
             WHERE trace_key = ?1 AND (span_id IN ('0000000000000004', '0000000000000005', '0000000000000006')) = ?2",
        )
        .unwrap();
    for request in log.acknowledged.lock().unwrap().range(since..) {
        for place in 0..TRACES_PER_BATCH {
            let key = (trace_of(*request, place), request.is_multiple_of(2));
            let found: (i64, i64) = counted.query_row(key, |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
            assert_eq!(found, (3, 3), "trace {place} of request {request}");
        }
    }
}

/// Once both requests of every trace are acknowledged, every sum is that of everything sent.
fn verify_sums(database: &Path, log: &Log) {
    let connection = read(database);
    let traces = (log.sent.lock().unwrap().len() as u64 / 2 * TRACES_PER_BATCH) as i64;
    for (sql, expected) in [
        ("SELECT count(*) FROM spans", traces * 6),
        ("SELECT count(*) FROM spans WHERE waits_at IS NOT NULL", 0),
        ("SELECT count(*) FROM unsettled_traces", 0),
        // Two agents, two calls of a model, one of a tool, one hand-off.
        ("SELECT count(*) FROM events", traces * 6),
        ("SELECT count(*) FROM tasks", traces * 2),
        ("SELECT count(*) FROM tasks WHERE entity = 'researcher' AND parent_task_id = '0000000000000002'", traces),
        ("SELECT count(*) FROM tasks WHERE entity = 'support' AND parent_task_id IS NULL AND ended", traces),
        ("SELECT coalesce(sum(tokens_in), 0) FROM tasks WHERE entity = 'support'", traces * TOKENS),
        ("SELECT coalesce(sum(tokens_in), 0) FROM tasks WHERE entity = 'researcher'", traces * TOKENS),
        ("SELECT coalesce(sum(errors), 0) FROM tasks WHERE entity = 'researcher'", traces),
        ("SELECT coalesce(sum(n), 0) FROM rollup_ops WHERE entity_type = 'agent' AND operation = 'llm'", traces * 2),
        ("SELECT coalesce(sum(n), 0) FROM rollup_ops WHERE operation = 'task'", traces * 2),
        ("SELECT coalesce(sum(n), 0) FROM rollup_errors WHERE entity_type = 'agent'", traces),
        ("SELECT count(*) FROM entities WHERE entity_type = 'agent' AND name = 'shop'", 0),
    ] {
        assert_eq!(number(&connection, sql), expected, "{sql}");
    }
}
