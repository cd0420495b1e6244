//! The views, on rows made by hand.

use rusqlite::Connection;
use rusqlite::types::Value;

use crate::data::ROWS;
use crate::plain;

/// A database with a row in every table, and decisions of one agent.
fn sample() -> Connection {
    let connection = plain();
    for (table, insert) in ROWS {
        connection.execute(insert, []).unwrap_or_else(|error| panic!("{table}: {error}"));
    }
    connection
}

/// Decisions: kind, outcome, days before the clock, effectiveness.
const DECISIONS: &str = "
    UPDATE engine_clock SET now_us = 100 * 86400000000;
    DELETE FROM improvement_history;
    INSERT INTO improvement_history (improvement_id, entity_type, entity_id, improvement_type, outcome, decided_at,
        effectiveness)
    VALUES (1, 'agent', 1, 'error_prevention', 'kept', 99 * 86400000000, 0.5),
        (1, 'agent', 1, 'error_prevention', 'kept', 98 * 86400000000, 0.1),
        (1, 'agent', 1, 'error_prevention', 'rolled_back', 97 * 86400000000, -0.4),
        (1, 'agent', 1, 'error_prevention', 'rolled_back', 10 * 86400000000, -0.4),
        (1, 'agent', 1, 'performance_tuning', 'inconclusive', 96 * 86400000000, 0.0),
        (1, 'agent', 1, 'performance_tuning', 'cancelled', 96 * 86400000000, NULL),
        (1, 'agent', 1, 'instruction_update', 'rejected', 96 * 86400000000, NULL);";

fn all(connection: &Connection, sql: &str) -> Vec<Vec<Value>> {
    let mut statement = connection.prepare(sql).unwrap();
    let columns = statement.column_count();
    let row = |row: &rusqlite::Row<'_>| (0..columns).map(|place| row.get(place)).collect::<Result<Vec<_>, _>>();
    statement.query_map([], row).unwrap().collect::<Result<_, _>>().unwrap()
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

#[test]
fn events_are_spelled_out() {
    let connection = sample();
    let rows = all(
        &connection,
        "SELECT trace_key, id, ts, event_type, entity_type, entity, task_id, parent_task_id, session_id, tool, outcome,
            duration_ms, error_type, fingerprint, content, attributes, source, clock FROM events ORDER BY ts",
    );
    let nothing = || Value::Null;
    assert_eq!(rows.len(), 4);
    assert_eq!(
        rows[0],
        [
            text("x"),
            text("1"),
            text("2026-01-01T00:00:00.000001Z"),
            text("TASK_STARTED"),
            text("agent"),
            text("a"),
            text("t"),
            text("p"),
            text("s"),
            nothing(),
            nothing(),
            nothing(),
            nothing(),
            nothing(),
            nothing(),
            text("{\"task_class\":\"x\"}"),
            text("environment"),
            text("own"),
        ]
    );
    assert_eq!(
        rows[1],
        [
            text("x"),
            text("2"),
            text("2026-01-01T00:00:01.000000Z"),
            text("TOOL_EXECUTED"),
            text("agent"),
            text("a"),
            text("t"),
            text("p"),
            text("s"),
            text("search"),
            text("ERROR"),
            Value::Real(30.5),
            text("Timeout"),
            text("00000000000000ff"),
            text("no answer"),
            nothing(),
            text("self"),
            text("inherited"),
        ]
    );
    // Without a task of its own it belongs to the task named as its trace; a pseudo-task is none.
    assert_eq!((&rows[2][6], &rows[2][16], &rows[2][17]), (&text("x"), &text("human"), &text("received")));
    assert_eq!((&rows[3][3], &rows[3][6]), (&text("ERROR"), &Value::Null));
}

#[test]
fn every_code_has_its_name() {
    use uplift_model::event::{EventKind, Outcome, Source};
    let connection = sample();
    let read = |column: &str, set: String| -> Value {
        connection.execute(&format!("UPDATE event_rows SET {set} WHERE id = '1'"), []).unwrap();
        connection.query_row(&format!("SELECT {column} FROM events WHERE id = '1'"), [], |row| row.get(0)).unwrap()
    };
    for kind in EventKind::ALL {
        assert_eq!(read("event_type", format!("kind = {}", kind.code())), text(kind.as_str()));
    }
    for outcome in Outcome::ALL {
        assert_eq!(read("outcome", format!("outcome = {}", outcome.code())), text(outcome.as_str()));
    }
    for source in Source::ALL {
        assert_eq!(read("source", format!("source = {}", source.code())), text(source.as_str()));
    }
    for kind in uplift_model::EntityType::ALL {
        let insert = "INSERT INTO entities (entity_type, entity_id, name, created_at) VALUES (?1, 1, ?1, 1)
            ON CONFLICT DO NOTHING";
        connection.execute(insert, [kind.as_str()]).unwrap();
        let set = format!("entity_type = {}", kind.code());
        assert_eq!(read("entity_type", set), text(kind.as_str()));
    }
}

#[test]
fn tasks_are_worked_out() {
    let rows = all(
        &sample(),
        "SELECT task_id, started_at, ended, outcome, duration_ms, events, errors, errors_recovered, tokens_in,
            tokens_out, cost_usd, parent_task_id FROM tasks ORDER BY task_id",
    );
    assert_eq!(
        rows,
        [
            [
                text("t"),
                text("2026-01-01T00:00:00.000001Z"),
                Value::Integer(0),
                Value::Null,
                Value::Null,
                Value::Integer(2),
                Value::Integer(1),
                Value::Integer(0),
                Value::Integer(10),
                Value::Integer(20),
                Value::Real(0.25),
                text("p"),
            ],
            // The totals of its end stand above the sums; it took from its first to its last moment.
            [
                text("x"),
                text("2026-01-01T00:00:00.000000Z"),
                Value::Integer(1),
                text("SUCCESS"),
                Value::Real(2_000.0),
                Value::Integer(1),
                Value::Integer(2),
                Value::Integer(2),
                Value::Integer(99),
                Value::Integer(20),
                Value::Real(0.75),
                Value::Null,
            ],
        ]
    );
}

#[test]
fn analytics_count_what_was_decided() {
    let connection = sample();
    connection.execute_batch(DECISIONS).unwrap();
    let rows = all(
        &connection,
        "SELECT improvement_type, total, kept, rolled_back, inconclusive, success_rate, round(mean_effectiveness, 9)
         FROM improvement_analytics ORDER BY improvement_type",
    );
    assert_eq!(
        rows,
        [
            [
                text("error_prevention"),
                Value::Integer(4),
                Value::Integer(2),
                Value::Integer(2),
                Value::Integer(0),
                Value::Real(0.5),
                Value::Real(0.3),
            ],
            [
                text("performance_tuning"),
                Value::Integer(1),
                Value::Integer(0),
                Value::Integer(0),
                Value::Integer(1),
                Value::Null,
                Value::Null,
            ],
        ]
    );
}

#[test]
fn the_status_of_an_entity() {
    let connection = sample();
    connection.execute_batch(DECISIONS).unwrap();
    let rows = all(
        &connection,
        "SELECT name, state, auto_improve_enabled, open_opportunities, active_improvements, kept, rolled_back,
            last_decided_at, tasks_since_review, review_due FROM self_improvement_status
         WHERE environment = 'default' ORDER BY name",
    );
    let zero = || Value::Integer(0);
    assert_eq!(
        rows,
        [
            [
                text("a"),
                text("active"),
                Value::Integer(1),
                Value::Integer(1),
                Value::Integer(1),
                Value::Integer(2),
                Value::Integer(2),
                Value::Integer(99 * 86_400_000_000),
                Value::Integer(100),
                text("tasks"),
            ],
            [
                text("search"),
                text("active"),
                Value::Integer(1),
                zero(),
                zero(),
                zero(),
                zero(),
                Value::Null,
                zero(),
                Value::Null,
            ],
        ]
    );
}

#[test]
fn the_rollback_rate_is_of_thirty_days_and_of_decisions_only() {
    let connection = sample();
    connection.execute_batch(DECISIONS).unwrap();
    let rows = all(
        &connection,
        "SELECT decided, kept, rolled_back, inconclusive, round(rollback_rate, 9), round(mean_effectiveness, 9),
            opportunities_pending, alerts_active FROM self_improvement_metrics",
    );
    let third = Value::Real(0.333_333_333);
    let [row] = &rows[..] else { panic!("one row") };
    let integer = Value::Integer;
    assert_eq!(row[..4], [integer(5), integer(2), integer(2), integer(1)]);
    assert_eq!(row[4..], [third, Value::Real(0.3), integer(1), integer(1)]);
}

#[test]
fn the_health_of_the_whole() {
    let connection = sample();
    let health = |setup: &str| -> (String, f64) {
        connection.execute_batch(setup).unwrap();
        let sql = "SELECT health, score FROM system_self_improvement_status";
        connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
    };
    let near = |(name, score): (String, f64), expected: &str, points: f64| {
        assert_eq!(name, expected);
        assert!((score - points).abs() < 1e-6, "{name}: {score} and not {points}");
    };
    // An active alert: 15 points; one pending: 0.2; of three decisions nothing can be said yet.
    near(health(DECISIONS), "needs_attention", 100.0 - 15.0 - 0.2);
    // One of three taken back: 23.33 points.
    near(health("UPDATE health_settings SET min_decisions = 3"), "needs_attention", 100.0 - 15.0 - 70.0 / 3.0 - 0.2);
    near(health("UPDATE improvement_alerts SET resolved_at = 1"), "fair", 100.0 - 70.0 / 3.0 - 0.2);
    let trends = "UPDATE health_trends SET success_change = -0.1, duration_change = 0.05";
    near(health(trends), "fair", 100.0 - 70.0 / 3.0 - 0.2 - 10.0 - 2.0);
    health("UPDATE health_trends SET success_change = 0.1, duration_change = NULL");
    let harmless = "DELETE FROM improvement_history WHERE outcome = 'rolled_back'";
    near(health(harmless), "excellent", 99.8);
    near(health("DELETE FROM improvement_history"), "good", 99.8);
}
