//! `kill -9` under OTLP load: what was acknowledged is there exactly once, what was not can be sent again as exporters
//! do, and the tasks come out as if nothing had happened, although the spans of a trace come in two requests.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use rusqlite::Connection;
use serde_json::{Value, json};
use uplift_intake::otlp::proto::{ExportTraceServiceRequest, ExportTraceServiceResponse, Message};

use crate::http::{self, Answer};
use crate::killing::{Load, Log, kill_at_any_moment};
use crate::support::{Server, folder, number, read, rows, until, uplift};

const ROUNDS: u64 = 4;
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
    serde_json::from_value::<ExportTraceServiceRequest>(request).unwrap().encode_to_vec()
}

/// Requests in protobuf.
struct Requests;

impl Load for Requests {
    fn send(&self, address: &str, request: Request) -> io::Result<Answer> {
        http::send(address, "POST", "/v1/traces", &[("Content-Type", "application/x-protobuf")], &body(request))
    }

    fn verify_answer(&self, answer: &Answer) {
        let said = ExportTraceServiceResponse::decode(answer.body.as_slice());
        assert_eq!(said, Ok(ExportTraceServiceResponse::default()));
    }

    /// The outer spans of those whose inner ones were sent.
    fn rest(&self, sent: &BTreeSet<Request>) -> Vec<Request> {
        let begun = sent.iter().filter(|request| request.is_multiple_of(2)).map(|request| request + 1);
        begun.filter(|request| !sent.contains(request)).collect()
    }

    fn verify_stored(&self, connection: &Connection, acknowledged: &BTreeSet<Request>) {
        let mut counted = connection
            .prepare(
                "SELECT count(*), count(DISTINCT span_id) FROM spans
                 WHERE trace_key = ?1 AND (span_id >= '0000000000000004') = ?2",
            )
            .unwrap();
        for request in acknowledged {
            for place in 0..TRACES_PER_BATCH {
                let key = (trace_of(*request, place), request.is_multiple_of(2));
                let found: (i64, i64) = counted.query_row(key, |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
                assert_eq!(found, (3, 3), "trace {place} of request {request}");
            }
        }
    }

    fn verify_sums(&self, connection: &Connection, sent: &BTreeSet<Request>) {
        let traces = (sent.len() as u64 / 2 * TRACES_PER_BATCH) as i64;
        for (sql, expected) in [
            ("SELECT count(*) FROM spans", traces * 6),
            ("SELECT count(*) FROM spans WHERE waits_at IS NOT NULL", 0),
            ("SELECT count(*) FROM unsettled_traces", 0),
            // Two agents, two calls of a model, one of a tool, one hand-off.
            ("SELECT count(*) FROM events", traces * 6),
            ("SELECT count(*) FROM tasks", traces * 2),
            (
                "SELECT count(*) FROM tasks WHERE entity = 'researcher' AND parent_task_id = '0000000000000002'",
                traces,
            ),
            ("SELECT count(*) FROM tasks WHERE entity = 'support' AND parent_task_id IS NULL AND ended", traces),
            ("SELECT coalesce(sum(tokens_in), 0) FROM tasks WHERE entity = 'support'", traces * TOKENS),
            ("SELECT coalesce(sum(tokens_in), 0) FROM tasks WHERE entity = 'researcher'", traces * TOKENS),
            ("SELECT coalesce(sum(errors), 0) FROM tasks WHERE entity = 'researcher'", traces),
            (
                "SELECT coalesce(sum(n), 0) FROM rollup_ops WHERE entity_type = 'agent' AND operation = 'llm'",
                traces * 2,
            ),
            ("SELECT coalesce(sum(n), 0) FROM rollup_ops WHERE operation = 'task'", traces * 2),
            ("SELECT coalesce(sum(n), 0) FROM rollup_errors WHERE entity_type = 'agent'", traces),
            ("SELECT count(*) FROM entities WHERE entity_type = 'agent' AND name = 'shop'", 0),
        ] {
            assert_eq!(number(connection, sql), expected, "{sql}");
        }
    }
}

/// What of a database does not depend on the order in which requests came.
const CONTENT: &[&str] = &[
    "SELECT trace_key, task_id, environment, entity, parent_task_id, session_id, started_at, last_at, ended, outcome,
         duration_ms, events, llm_calls, tool_calls, errors, errors_recovered, tokens_in, tokens_out, tokens_cached,
         cost_usd
     FROM tasks",
    "SELECT trace_key, id, ts, event_type, environment, entity, task_id, parent_task_id, parent_span_id, tool, outcome,
         duration_ms, tokens_in, error_type, fingerprint, content, attributes, clock
     FROM events",
    "SELECT * FROM spans",
    "SELECT n.name, r.operation, r.hour, r.n, r.errors, r.timed, r.sum_us, r.sum_ln, r.sum_ln2, r.tokens_in
     FROM rollup_ops AS r JOIN entities AS n ON n.entity_type = r.entity_type AND n.entity_id = r.entity_id",
    "SELECT n.name, r.fingerprint, r.hour, r.n
     FROM rollup_errors AS r JOIN entities AS n ON n.entity_type = r.entity_type AND n.entity_id = r.entity_id",
];

/// Checks that a database is that of a server that took all of this undisturbed.
fn assert_as_undisturbed(database: &Path, sent: &BTreeSet<Request>) {
    let folder = folder();
    let other = folder.path().join("undisturbed.db");
    let server = Server::start(&other);
    Log::of(&Requests).send_all(&server.address, sent.iter().copied());
    let (found, expected) = (read(database), read(&other));
    for sql in CONTENT {
        let (found, expected) = (rows(&found, sql), rows(&expected, sql));
        assert_eq!(found.len(), expected.len(), "{sql}");
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!(found, expected, "{sql}");
        }
    }
}

#[test]
fn killed_at_any_moment_no_span_is_lost_or_doubled() {
    let folder = folder();
    let database = folder.path().join("fleet.db");
    let sent = kill_at_any_moment(&Requests, &database, ROUNDS);
    assert_as_undisturbed(&database, &sent);
}

/// What was settled without the agents, because nothing more came for a while, is theirs when they come after all,
/// though the server was killed before and after it was settled.
#[test]
fn settled_between_two_kills_spans_still_go_to_the_agents_that_come_late() {
    const BEGUN: u64 = 6;
    let folder = folder();
    let database = folder.path().join("fleet.db");
    let log = Log::of(&Requests);
    let start = || {
        let mut command = uplift();
        command.env("UPLIFT__OTLP__SETTLE_SECONDS", "1");
        Server::start_by(command, &database)
    };
    let server = start();
    log.send_all(&server.address, (0..BEGUN).map(|request| request * 2));
    server.kill();
    let server = start();
    let unsettled = "SELECT count(*) FROM unsettled_traces";
    until("every trace is settled", || (number(&read(&database), unsettled) == 0).then_some(()));
    let service = "SELECT count(*) FROM tasks WHERE entity = 'shop'";
    assert!(number(&read(&database), service) > 0, "nobody was given what was settled");
    server.kill();
    let server = start();
    let rest = Requests.rest(&log.sent());
    log.send_all(&server.address, rest);
    Requests.verify_stored(&read(&database), &log.sent());
    assert_as_undisturbed(&database, &log.sent());
}
