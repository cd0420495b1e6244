//! What neither engine takes.

use crate::pair::Pair;

/// Statements that break a rule of the schema, on a row in every table.
const BROKEN: &[&str] = &[
    "INSERT INTO engine_clock VALUES (2, 0)",
    "INSERT INTO config_seq VALUES (2, 0)",
    "INSERT INTO detection_settings VALUES (2, 5, 1.5, 405465, 20, 0)",
    "INSERT INTO retention_totals VALUES (2, 0, 0, 0, NULL)",
    "INSERT INTO writer_turns VALUES (2, 0)",
    "UPDATE settings SET value = '{'",
    "INSERT INTO settings VALUES ('policy', '{}', 6)",
    "INSERT INTO revisions VALUES ('short', '{}', 5)",
    "INSERT INTO revisions VALUES (printf('%064d', 7), '{}', 5)",
    "UPDATE entities SET entity_type = 'robot' WHERE name = 'a'",
    "UPDATE entities SET entity_id = 0 WHERE name = 'a'",
    "UPDATE entities SET state = 'asleep' WHERE name = 'a'",
    "UPDATE entities SET improvement_config = '{' WHERE name = 'a'",
    "UPDATE entities SET improvement_config = NULL WHERE name = 'a'",
    "UPDATE entities SET revision_id = 'unknown' WHERE name = 'a'",
    "INSERT INTO entities (entity_type, entity_id, name, created_at) VALUES ('agent', 9, 'a', 5)",
    "UPDATE entity_relationships SET strength = 1.5 WHERE from_id = 1",
    "UPDATE entity_relationships SET kind = 'knows' WHERE from_id = 1",
    "UPDATE entity_relationships SET source = 'guess' WHERE from_id = 1",
    "INSERT INTO names VALUES (9, 'search')",
    "INSERT INTO traces (trace_no, trace_hash, trace_key, environment) VALUES (9, x'01', 'y', 'default')",
    "UPDATE event_rows SET digest = NULL",
    "UPDATE optimization_opportunities SET status = 'lost'",
    "UPDATE optimization_opportunities SET source = 'rumour'",
    "UPDATE optimization_opportunities SET confidence = 1.01",
    "UPDATE optimization_opportunities SET potential_impact = 'huge'",
    "UPDATE optimization_opportunities SET impact = '{'",
    "UPDATE optimization_opportunities SET evidence = ''",
    "INSERT INTO optimization_opportunities (entity_type, entity_id, kind, fingerprint, source, status, improvement_type,
        created_at, updated_at, last_seen_at)
     VALUES ('agent', 1, 'recurring_error', '00000000000000ff', 'trigger', 'in_progress', 'error_prevention', 5, 6, 7)",
    "UPDATE rolling_review_counters SET review_type = 'daily'",
    "UPDATE rolling_review_counters SET task_threshold = 0",
    "UPDATE rolling_review_counters SET period_hours = 0",
    "UPDATE rolling_review_counters SET due = 'soon'",
    "UPDATE reviews SET reason = 'mood'",
    "UPDATE process_instances SET name = 'Unknown'",
    "INSERT INTO process_instances (name, subject, state, created_at)
     VALUES ('ImprovementProcess', 'improvement/1', 'again', 5)",
    "UPDATE process_steps SET instance_id = 99",
    "UPDATE outbox SET payload = 'plain words'",
    "UPDATE agent_tools SET required = 2",
    "UPDATE improvements SET improvement_type = 'wish'",
    "UPDATE improvements SET proposed_by = 'nobody'",
    "UPDATE improvements SET edits = '['",
    "UPDATE improvements SET base = 'unknown'",
    "UPDATE improvements SET candidate = 'unknown'",
    "UPDATE improvements SET opportunity_id = 99",
    "UPDATE improvements SET confidence = -0.1",
    "UPDATE improvements SET status = 'lost'",
    "UPDATE improvements SET comparison = 'guess'",
    "UPDATE improvements SET processes = '['",
    "UPDATE improvements SET checks = '['",
    "UPDATE improvements SET preflight = '{'",
    "INSERT INTO improvements (entity_type, entity_id, improvement_type, proposed_by, edits, rationale, expected_impact,
        confidence, status, created_at, updated_at)
     VALUES ('agent', 1, 'error_prevention', 'rule', '[]', 'r', 'e', 0.9, 'validated', 5, 6)",
    "UPDATE improvement_history SET improvement_id = 99",
    "UPDATE improvement_history SET outcome = 'draw'",
    "UPDATE improvement_history SET metrics_before = '{'",
    "UPDATE improvement_history SET metrics_after = '{'",
    "UPDATE improvement_history SET verdict = '{'",
    "UPDATE improvement_history SET effectiveness = 1.5",
    "UPDATE improvement_history SET rollback_revision = 'unknown'",
    "UPDATE improvement_alerts SET kind = 'mood'",
    "INSERT INTO improvement_alerts (kind, message, value, threshold, at)
     VALUES ('opportunity_backlog', 'again', 61, 50, 6)",
    "UPDATE trials SET trial = '{'",
    "UPDATE trials SET state = '{'",
    "UPDATE trials SET verdict = '{'",
    "UPDATE trials SET base = 'unknown'",
    "UPDATE trials SET improvement_id = 99",
    "INSERT INTO trials (improvement_id, entity_type, entity_id, base, candidate, trial, looked_us, started_at)
     VALUES (1, 'agent', 1, printf('%064d', 7), printf('%064d', 7), '{}', 5, 5)",
    "UPDATE trial_units SET gone = 2",
    "UPDATE trial_units SET trial_id = 99",
    "UPDATE trial_looks SET summary = '{'",
    "INSERT INTO entity_defaults VALUES ('agent', 1, 2, printf('%064d', 7), 6)",
    "DELETE FROM improvements",
];

#[test]
fn what_one_refuses_the_other_does_too() {
    let Some(pair) = Pair::current() else { return };
    pair.fill();
    for sql in BROKEN {
        assert!(pair.sqlite.execute_batch(sql).is_err(), "SQLite takes {sql}");
        assert!(pair.on_server(sql).is_err(), "PostgreSQL takes {sql}");
    }
    pair.compare("after what was refused");
}

#[test]
fn revisions_are_refused_in_the_same_words() {
    let Some(pair) = Pair::current() else { return };
    pair.fill();
    for (sql, words) in [
        ("UPDATE revisions SET configuration = '[]'", "a revision is never edited"),
        ("UPDATE revisions SET created_at = created_at", "a revision is never edited"),
        ("DELETE FROM revisions", "a revision is never deleted"),
    ] {
        assert_eq!(pair.sqlite.execute_batch(sql).unwrap_err().to_string(), words);
        // As other rules of the schema that are broken.
        assert_eq!(pair.on_server(sql).unwrap_err(), format!("{words} [23514]"));
    }
}

#[test]
fn both_call_the_same_json() {
    let Some(pair) = Pair::current() else { return };
    for text in [
        "",
        " ",
        "{",
        "{}",
        " {} ",
        "[]",
        "[1,]",
        "{\"a\":1,}",
        "{\"a\":1}",
        "{\"a\":1,\"a\":2}",
        "{a:1}",
        "{''a'':1}",
        "1",
        "01",
        "-0",
        "+1",
        ".5",
        "1.",
        "1.5e3",
        "1e999",
        "0x1f",
        "null",
        "NULL",
        "nul",
        "true",
        "True",
        "NaN",
        "Infinity",
        "1 2",
        "\"x\"",
        "\"x",
        "x",
        "\"\\u0000\"",
        "\"\\ud800\"",
        "\"\\uZZZZ\"",
        "\"\\x41\"",
        "\"\\/\"",
        "\"\ttab\"",
        "\"line\nline\"",
        "\u{b}{}",
        "\u{feff}{}",
        "\"\u{1f600}\"",
        "[/* note */]",
        "--",
        "{}{}",
        "[[[[[[[[]]]]]]]]",
    ] {
        pair.compare_query(
            &format!("SELECT CAST(CASE WHEN json_valid('{text}') THEN 1 ELSE 0 END AS bigint) AS valid"),
            text,
        );
    }
    pair.compare_query(
        "SELECT CAST(CASE WHEN json_valid(NULL) IS NULL THEN 1 ELSE 0 END AS bigint) AS unknown",
        "nothing",
    );
}
