//! The rules fire for whoever writes rollups, and cost the same however long the history is.

use rusqlite::{Connection, StatementStatus};
use uplift_store::sqlite::SqliteStore;
use uplift_store::suite::sample;
use uplift_store::{DetectionReads, EventReads, Writes};

use crate::{fresh, number, plain};

const ERRORS: &str = "INSERT INTO rollup_errors VALUES ('agent', 1, 'f', ?1, ?2)
    ON CONFLICT DO UPDATE SET n = n + excluded.n";
const CALLS: &str = "INSERT INTO rollup_ops (entity_type, entity_id, operation, hour, n, timed, sum_ln)
    VALUES ('agent', 1, 'tool:search', ?1, ?2, ?2, ?2 * ?3)
    ON CONFLICT DO UPDATE SET n = n + excluded.n, timed = timed + excluded.timed, sum_ln = sum_ln + excluded.sum_ln";
/// ln(100) and ln(200), millionths.
const FAST: i64 = 4_605_170;
const SLOW: i64 = 5_298_317;

fn opportunities(connection: &Connection) -> i64 {
    number(connection, "SELECT count(*) FROM optimization_opportunities")
}

#[tokio::test]
async fn rollups_of_other_programs_are_marked() {
    let (path, _folder) = fresh().await;
    let connection = Connection::open(&path).unwrap();
    connection.execute("UPDATE engine_clock SET now_us = 77", []).unwrap();
    connection.execute(ERRORS, [100, 5]).unwrap();
    assert_eq!(opportunities(&connection), 0);
    connection.execute(ERRORS, [100, 1]).unwrap();
    for hour in 0..40 {
        connection.execute(CALLS, [hour, 1, FAST]).unwrap();
    }
    connection.execute(CALLS, [90, 20, SLOW]).unwrap();
    assert_eq!(opportunities(&connection), 2);

    let store = SqliteStore::open(&path).unwrap();
    let marks = store.unconfirmed_marks(10).await.unwrap();
    let shown: Vec<_> = marks
        .iter()
        .map(|mark| {
            let finding = &mark.opportunity.finding;
            (finding.kind.as_str(), finding.fingerprint.as_str(), finding.source.as_str(), mark.marked_hour.number())
        })
        .collect();
    assert_eq!(
        shown,
        [("recurring_error", "f", "trigger", 100), ("performance_degradation", "tool:search", "trigger", 90)]
    );
    assert_eq!(marks[0].opportunity.created_at.micros(), 77);
    assert!(marks[0].opportunity.finding.description.contains("6 times within 24 hours"));
}

#[test]
fn the_error_rule_fires_on_crossing_only() {
    let connection = plain();
    connection.execute(ERRORS, [100, 6]).unwrap();
    connection.execute("UPDATE optimization_opportunities SET status = 'dismissed'", []).unwrap();
    connection.execute(ERRORS, [100, 1]).unwrap();
    connection.execute(ERRORS, [101, 1]).unwrap();
    assert_eq!(opportunities(&connection), 1);
    // What a person dismissed stays quiet, even when it crosses anew; after that time it does not.
    connection.execute(ERRORS, [200, 6]).unwrap();
    assert_eq!(opportunities(&connection), 1);
    connection.execute("UPDATE rollup_errors SET n = 0 WHERE hour = 200", []).unwrap();
    connection.execute("UPDATE engine_clock SET now_us = now_us + 31 * 86400000000", []).unwrap();
    // A late hour that lifts another window over the threshold.
    connection.execute(ERRORS, [200, 3]).unwrap();
    connection.execute(ERRORS, [180, 3]).unwrap();
    assert_eq!(opportunities(&connection), 2);
    // Fewer errors than before are no crossing.
    connection.execute("UPDATE rollup_errors SET n = 1 WHERE hour = 180", []).unwrap();
    connection.execute("UPDATE optimization_opportunities SET status = 'completed'", []).unwrap();
    connection.execute("UPDATE rollup_errors SET n = 0", []).unwrap();
    assert_eq!(opportunities(&connection), 2);
    // The threshold is a setting.
    connection.execute("UPDATE detection_settings SET error_threshold = 50", []).unwrap();
    connection.execute(ERRORS, [400, 50]).unwrap();
    assert_eq!(opportunities(&connection), 2);
    connection.execute(ERRORS, [401, 1]).unwrap();
    assert_eq!(opportunities(&connection), 3);
}

#[test]
fn the_performance_rule_needs_calls_on_both_sides() {
    for (before, after, slow, marked) in [
        (20, 20, SLOW, 1),
        (19, 20, SLOW, 0),
        (20, 19, SLOW, 0),
        // 1.49 and 1.51 times as slow.
        (20, 20, FAST + 398_776, 0),
        (20, 20, FAST + 412_110, 1),
    ] {
        let connection = plain();
        connection.execute(CALLS, [100, before, FAST]).unwrap();
        connection.execute(CALLS, [200, after, slow]).unwrap();
        assert_eq!(opportunities(&connection), marked, "{before} {after} {slow}");
        // The week before ends where the day begins: 192 hours back, and no more.
        let connection = plain();
        connection.execute(CALLS, [200 - 192, before, FAST]).unwrap();
        connection.execute(CALLS, [200, after, slow]).unwrap();
        assert_eq!(opportunities(&connection), 0);
        // A late hour of slow calls counts in the windows that hold it.
        let connection = plain();
        connection.execute(CALLS, [100, before, FAST]).unwrap();
        connection.execute(CALLS, [205, after / 2, slow]).unwrap();
        connection.execute(CALLS, [200, after - after / 2, slow]).unwrap();
        assert_eq!(opportunities(&connection), marked, "late: {before} {after} {slow}");
    }
}

#[test]
fn the_sums_in_the_rows_are_those_of_their_windows() {
    for seed in 0..5 {
        let connection = plain();
        let mut dice = sample::Dice::new(seed);
        for _ in 0..300 {
            let (hour, n) = (dice.below(400) as i64, dice.below(4) as i64);
            connection.execute(CALLS, [hour, n, dice.below(9_000_000) as i64]).unwrap();
        }
        let window = |sums: &str, from: i64, to: i64| {
            format!(
                "(SELECT {sums} FROM rollup_ops AS w WHERE w.entity_type = r.entity_type AND w.entity_id = r.entity_id
                  AND w.operation = r.operation AND w.hour BETWEEN r.hour - {from} AND r.hour - {to})"
            )
        };
        let wrong = format!(
            "SELECT count(*) FROM rollup_ops AS r WHERE
                (day_timed, day_ln) IS NOT {} OR (week_timed, week_ln) IS NOT {}",
            window("sum(timed), sum(sum_ln)", 23, 0),
            window("coalesce(sum(timed), 0), coalesce(sum(sum_ln), 0)", 191, 24),
        );
        assert_eq!(number(&connection, &wrong), 0, "seed {seed}");
        assert!(number(&connection, "SELECT count(*) FROM rollup_ops WHERE week_timed > 0") > 100);
    }
}

#[tokio::test]
async fn rows_of_the_inbox_become_events_and_marks() {
    let (path, _folder) = fresh().await;
    let connection = Connection::open(&path).unwrap();
    for id in 0..6 {
        connection
            .execute("INSERT INTO event_inbox (event) VALUES (json_object('id', ?1))", [id.to_string()])
            .unwrap();
    }
    let store = SqliteStore::open(&path).unwrap();
    let rows = store.inbox(10).await.unwrap();
    assert_eq!((rows.len(), rows[0].event.as_str()), (6, r#"{"id":"0"}"#));
    assert_eq!(store.inbox(2).await.unwrap(), rows[..2]);
    let events = rows.iter().map(|row| sample::broken(&row.seq.to_string(), sample::hour(0))).collect();
    let mut batch = sample::batch(events);
    batch.inbox = rows.iter().map(|row| row.seq).collect();
    assert_eq!(store.commit_intake(batch).await.unwrap().accepted, 6);
    assert!(store.inbox(10).await.unwrap().is_empty());
    assert_eq!(store.unconfirmed_marks(10).await.unwrap().len(), 1);
}

/// Steps of SQLite's machine that one upsert takes, triggers included.
fn steps(connection: &Connection, sql: &str, parameters: impl rusqlite::Params) -> i32 {
    let mut statement = connection.prepare(sql).unwrap();
    statement.execute(parameters).unwrap();
    statement.get_status(StatementStatus::VmStep)
}

/// So many days of history, hour by hour, of this entity and some others.
fn history(days: i64) -> Connection {
    let connection = plain();
    for entity in 1..=3 {
        let fill = "WITH RECURSIVE h (hour) AS (SELECT 1 UNION ALL SELECT hour + 1 FROM h WHERE hour < ?1)";
        let calls = format!(
            "{fill} INSERT INTO rollup_ops (entity_type, entity_id, operation, hour, n, timed, sum_ln)
             SELECT 'agent', ?2, 'tool:search', hour, 9, 9, 9 * {FAST} FROM h"
        );
        connection.execute(&calls, [days * 24, entity]).unwrap();
        let errors = format!("{fill} INSERT INTO rollup_errors SELECT 'agent', ?2, 'f', hour, 0 FROM h");
        connection.execute(&errors, [days * 24, entity]).unwrap();
    }
    // Opportunities of the past, closed.
    let closed = "WITH RECURSIVE d (day) AS (SELECT 1 UNION ALL SELECT day + 1 FROM d WHERE day < ?1)
        INSERT INTO optimization_opportunities (entity_type, entity_id, kind, fingerprint, source, status,
            improvement_type, created_at, updated_at, last_seen_at)
        SELECT 'agent', 1, 'recurring_error', 'f', 'trigger', 'completed', 'error_prevention', 1, 1, 1 FROM d";
    connection.execute(closed, [days]).unwrap();
    connection
}

#[test]
fn the_rules_cost_the_same_after_a_thousand_days() {
    let (short, long) = (history(10), history(1_000));
    // The latest hour, an hour in the middle, and the next hour: each as the first crossing and as one more.
    for (back, n) in [(0, 6), (0, 1), (100, 6), (100, 1), (-1, 6), (-1, 1)] {
        for (sql, extra) in [(ERRORS, None), (CALLS, Some(SLOW))] {
            let cost = |connection: &Connection, days: i64| match extra {
                None => steps(connection, sql, [days * 24 - back, n]),
                Some(ln) => steps(connection, sql, [days * 24 - back, n * 50, ln]),
            };
            let (few, many) = (cost(&short, 10), cost(&long, 1_000));
            assert!(few > 100, "the rules do not seem to run: {few} steps");
            assert!(many <= few + few / 5, "{few} steps after 10 days, {many} after 1,000: {sql}");
        }
    }
    assert!(opportunities(&long) > 1_001);
}
