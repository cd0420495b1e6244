//! What a page takes for granted: a fleet that has run for a while, or records of it.

use std::path::Path;

use serde_json::{Value, json};

use super::place::Place;
use crate::http::send;
use crate::support::{run, until};

/// Sees to what the reader of a page has.
pub fn prepare(page: &str, place: &mut Place) {
    match page {
        "docs/guide.md" => {
            // Nothing begins by itself between the commands.
            place.set("UPLIFT__ENGINE__MIN_CONFIDENCE_SCORE", "1");
            place.write("runs.ndjson", &runs(None));
            place.write("main.ndjson", &runs(Some("base")));
            place.write("branch.ndjson", &runs(Some("terse")));
        }
        "docs/postgresql.md" => {
            place.write("runs.ndjson", &runs(None));
            let (database, records) = (place.path("uplift.db"), place.path("runs.ndjson"));
            run([Path::new("import"), &records, Path::new("--quiet"), Path::new("--database"), &database]).exits(0);
        }
        "docs/agents.md" => {
            send_events(
                place,
                &[
                    json!({"id": "1", "event_type": "TASK_STARTED", "agent": "researcher", "task_id": "task_123"}),
                    json!({"id": "2", "event_type": "TASK_FAILED", "agent": "researcher", "task_id": "task_123"}),
                ],
            );
        }
        "docs/feedback.md" => {
            send_events(
                place,
                &[json!({"id": "1", "event_type": "TASK_STARTED", "agent": "support", "task_id": "t-81"})],
            );
        }
        "docs/resolve.md" => begin_trial(place),
        "docs/api.md" => send_events(place, &failures()),
        _ => {}
    }
}

fn post(place: &mut Place, path: &str, body: &Value) {
    let kind = [("Content-Type", "application/json")];
    let answer = send(&place.address(), "POST", path, &kind, body.to_string().as_bytes()).unwrap();
    assert!(answer.status < 300, "{path}: {}", String::from_utf8_lossy(&answer.body));
}

fn send_events(place: &mut Place, events: &[Value]) {
    post(place, "/api/events", &json!(events));
}

/// Six calls that fail, and with them something that could be better.
fn failures() -> Vec<Value> {
    let call = |number: usize| {
        json!({"id": number.to_string(), "event_type": "TOOL_EXECUTED", "agent": "billing", "task_id": format!("b-{number}"),
            "tool": "charge", "outcome": "ERROR", "error_type": "LookupError", "content": format!("order {number} not found")})
    };
    (1..=6).map(call).collect()
}

/// The page's agent in a trial, so that it is served one of two arms.
fn begin_trial(place: &mut Place) {
    let defaults = json!({"instruction": {"text": "Answer with sources."}, "model": "m-large",
        "parameters": {"timeout_ms": 5000}, "tools": [{"name": "search", "required": true}]});
    post(place, "/api/resolve/agent/researcher", &json!({"unit": "task-1", "defaults": defaults}));
    let edits = json!([{"edit": "set_parameter", "name": "timeout_ms", "value": 8000}]);
    let change = json!({"entity_type": "agent", "entity": "researcher", "rationale": "Slow pages.", "edits": edits});
    post(place, "/api/improvements", &change);
    let address = place.address();
    until("the trial is served", || {
        let answer = send(&address, "GET", "/api/resolve/agent/researcher?unit=task-2", &[], b"").ok()?;
        (answer.json()["reason"] == "trial").then_some(())
    });
}

/// Recorded runs of one agent in two variants, each item with both; of one variant only where it is named. Half of what the
/// first one fails, it fails with the same error.
fn runs(only: Option<&str>) -> String {
    let mut lines = String::new();
    for (variant, number) in
        ["base", "terse"].into_iter().flat_map(|variant| (0..60).map(move |number| (variant, number)))
    {
        if only.is_some_and(|only| only != variant) {
            continue;
        }
        let failed = variant == "base" && number % 3 == 0;
        let task = format!("{variant}-{number}");
        let at = |second: usize| format!("2026-01-05T10:{number:02}:{second:02}Z");
        let about = json!({"variant": variant, "item": format!("item-{number}"), "trial": 0});
        let start = json!({"id": "1", "ts": at(0), "event_type": "TASK_STARTED", "agent": "billing", "task_id": task,
            "attributes": about});
        let mut call = json!({"id": "2", "ts": at(1), "event_type": "TOOL_EXECUTED", "agent": "billing", "task_id": task,
            "tool": "charge", "outcome": if failed { "ERROR" } else { "SUCCESS" }, "duration_ms": 120});
        if failed {
            call["error_type"] = json!("LookupError");
            call["content"] = json!("order not found");
        }
        let end = json!({"id": "3", "ts": at(2), "event_type": if failed { "TASK_FAILED" } else { "TASK_COMPLETED" },
            "agent": "billing", "task_id": task, "outcome": if failed { "FAILURE" } else { "SUCCESS" },
            "duration_ms": 2000 + number, "tokens_in": 900, "tokens_out": 40, "attributes": about});
        for event in [start, call, end] {
            lines.push_str(&event.to_string());
            lines.push('\n');
        }
    }
    lines
}
