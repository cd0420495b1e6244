//! Rows on their way through the migrations, and what the views make of them.

use uplift_store::{postgres, sqlite};

use crate::pair::Pair;

/// Microseconds.
const DAY: i64 = 86_400_000_000;

#[test]
fn names_of_migrations_are_the_same() {
    let names = |of: &[(&'static str, &str)]| of.iter().map(|(name, _)| *name).collect::<Vec<_>>();
    assert_eq!(names(sqlite::MIGRATIONS), names(postgres::MIGRATIONS));
}

#[test]
fn every_version_leads_to_the_same_rows() {
    for version in 0..=sqlite::MIGRATIONS.len() {
        let Some(mut pair) = Pair::new() else { return };
        pair.migrate(version);
        pair.fill();
        pair.migrate(sqlite::MIGRATIONS.len());
        pair.compare(&format!("from version {version}"));
    }
}

#[test]
fn settings_that_were_copies_are_left_to_the_engine() {
    let Some(mut pair) = Pair::new() else { return };
    pair.migrate(7);
    for (place, config) in [
        r#"{"auto_improve_enabled":true,"min_confidence_threshold":0.8,"test_duration_hours":24.0,"max_rollback_rate":0.1}"#,
        r#"{"min_confidence_threshold":0.9,"test_duration_hours":24,"mode":"approve"}"#,
        r#"{"min_confidence_threshold":0.80,"test_duration_hours":12.5}"#,
        r#"{"max_rollback_rate": 0.1, "auto_improve_enabled": false}"#,
        "{}",
    ]
    .iter()
    .enumerate()
    {
        pair.run(&format!(
            "INSERT INTO entities (entity_type, entity_id, name, improvement_config, created_at)
             VALUES ('agent', 100 + {place}, 'n{place}', '{config}', 5)"
        ));
    }
    pair.migrate(sqlite::MIGRATIONS.len());
    pair.compare("after 008");
}

#[test]
fn events_and_tasks_are_spelled_out_the_same() {
    let Some(pair) = Pair::current() else { return };
    pair.compare("empty");
    pair.fill();
    // Without any task.
    pair.run("INSERT INTO traces (trace_no, trace_hash, trace_key, environment) VALUES (3, x'04', 'z', 'default')");
    for kind in 0..=17 {
        let (outcome, source) = (["NULL", "0", "1", "2", "3"][kind % 5], kind % 4);
        pair.run(&format!(
            "INSERT INTO event_rows (trace_no, id, ts, kind, entity_type, entity_id, task, outcome, duration_ms, tokens_in,
                tokens_out, tokens_cached, cost_usd, source, clock, digest, parent, span_flags, waits_at)
             VALUES ({}, 'k{kind}', {}, {kind}, {}, {}, {}, {outcome}, {kind} / 7.0, {kind}, 2, 1, 0.1, {source}, {source},
                {kind}, {}, {}, {})",
            1 + kind % 4 % 3,
            [0_i64, 1, 999_999, 1_000_000, 1_767_225_599_999_999, 7_258_118_400_000_001][kind % 6],
            kind % 5,
            kind % 2,
            ["NULL", "'t'"][kind % 2],
            ["NULL", "''", "'up'"][kind % 3],
            ["NULL", "0", "3", "6", "127"][kind % 5],
            ["NULL", "'gone'"][kind % 2],
        ));
    }
    for (place, end) in ["NULL", "5", "1000001", "7"].iter().enumerate() {
        for (number, duration) in ["1", "NULL", "1234567"].iter().enumerate() {
            pair.run(&format!(
                "INSERT INTO task_rows (trace_no, task, entity_type, entity_id, first_us, last_us, end_us, duration_us,
                    outcome, events, unclocked, llm_calls, tool_calls, errors, tokens_in, tokens_out, tokens_cached,
                    cost_nano, end_cost_nano)
                 VALUES (1, 'w{place}{number}', {place}, 1, {}, {}, {end}, {duration}, {}, 1, {}, 2, 3, 4, 5, 6, 7,
                    123456789, {})",
                ["NULL", "3", "999999"][number],
                ["NULL", "1000002", "3"][(number + place) % 3],
                ["NULL", "0", "2", "1"][place],
                number / 2,
                ["NULL", "0", "9007199254740993"][number],
            ));
        }
    }
    pair.compare("events and tasks");
    for config in [r#"{"auto_improve_enabled":false}"#, r#"{"auto_improve_enabled":true}"#, "{}"] {
        pair.run(&format!("UPDATE entities SET improvement_config = '{config}' WHERE name = 'a'"));
        pair.compare(config);
    }
}

/// A decision, so many microseconds before the clock.
fn decide(pair: &Pair, kind: &str, outcome: &str, before_us: i64, effectiveness: &str) {
    pair.run(&format!(
        "INSERT INTO improvement_history (improvement_id, entity_type, entity_id, improvement_type, outcome, decided_at,
            effectiveness) VALUES (1, 'agent', 1, '{kind}', '{outcome}', {}, {effectiveness})",
        100 * DAY - before_us
    ));
}

/// Nothing decided, nothing waiting, no alert, and a hundred days on the clock.
fn clear(pair: &Pair) {
    pair.run(
        "DELETE FROM improvement_requests; UPDATE improvements SET opportunity_id = NULL;
        DELETE FROM optimization_opportunities",
    );
    pair.run("DELETE FROM improvement_history; DELETE FROM improvement_alerts");
    pair.run(&format!("UPDATE engine_clock SET now_us = {}", 100 * DAY));
}

#[test]
fn decisions_add_up_to_the_same() {
    let Some(pair) = Pair::current() else { return };
    pair.fill();
    clear(&pair);
    pair.compare("nothing decided");
    for turn in 0..24_i64 {
        let outcome = ["kept", "rolled_back", "inconclusive", "rejected", "kept", "cancelled"][turn as usize % 6];
        let kind = ["error_prevention", "performance_tuning", "instruction_update"][turn as usize % 3];
        let effect = if turn % 5 == 0 { "NULL".to_owned() } else { format!("{} / 17.0", turn - 9) };
        // The rate of rollbacks is of thirty days, to the microsecond.
        decide(&pair, kind, outcome, (20 + turn) * DAY - turn % 2, &effect);
        pair.compare(&format!("decision {turn}"));
    }
    for before_us in [30 * DAY + 1, 30 * DAY, 30 * DAY - 1] {
        decide(&pair, "error_prevention", "rolled_back", before_us, "-0.5");
        pair.compare("at thirty days");
    }
}

#[test]
fn health_is_the_same() {
    let Some(pair) = Pair::current() else { return };
    pair.fill();
    // Kept, taken back, how well the kept did, opportunities that wait, alerts of kinds of their own.
    for (kept, taken_back, effect, waiting, alerts) in [
        (0, 0, "NULL", 0, 0),
        (1, 0, "0.1", 0, 0),
        (1, 0, "0.0", 1, 0),
        (9, 1, "0.1", 3, 0),
        (8, 2, "0.1", 0, 0),
        (4, 1, "0.2", 60, 0),
        (3, 1, "-0.1", 0, 0),
        (1, 1, "0.5", 49, 0),
        (0, 3, "NULL", 51, 0),
        (2, 1, "0.3", 7, 1),
        (0, 2, "NULL", 60, 3),
        (0, 0, "NULL", 1, 4),
    ] {
        clear(&pair);
        for turn in 0..kept + taken_back {
            let outcome = if turn < kept { "kept" } else { "rolled_back" };
            decide(&pair, "error_prevention", outcome, DAY + turn, effect);
        }
        for turn in 0..waiting {
            pair.run(&format!(
                "INSERT INTO optimization_opportunities (entity_type, entity_id, kind, fingerprint, source,
                    improvement_type, created_at, updated_at, last_seen_at)
                 VALUES ('agent', 1, 'inefficiency', '{turn}', 'review', 'performance_tuning', 1, 1, 1)"
            ));
        }
        let kinds = ["high_rollback_rate", "degraded_performance", "opportunity_backlog", "recurring_failure"];
        for kind in &kinds[..alerts] {
            for (fingerprint, resolved) in [("a", "NULL"), ("b", "NULL"), ("c", "7")] {
                pair.run(&format!(
                    "INSERT INTO improvement_alerts (kind, fingerprint, message, value, threshold, at, resolved_at)
                     VALUES ('{kind}', '{fingerprint}', 'm', 0.25, 0.2, 5, {resolved})"
                ));
            }
        }
        let case = format!("{kept} kept, {taken_back} taken back ({effect}), {waiting} waiting, {alerts} alerts");
        let views = ["system_self_improvement_status", "self_improvement_metrics", "improvement_analytics"];
        pair.compare_some(&[&views[..], &["self_improvement_status"]].concat(), &case);
    }
}
