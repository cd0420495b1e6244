//! Rows on their way through the migrations, and what the views make of them.

use uplift_store::{postgres, sqlite};

use crate::pair::Pair;

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
        pair.compare(&format!("version {version}, filled"));
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
fn views_show_the_same() {
    let Some(pair) = Pair::current() else { return };
    pair.compare("empty");
    pair.fill();
    const DAY: i64 = 86_400_000_000;
    for kind in 0..=17 {
        let (outcome, source) = (["NULL", "0", "1", "2", "3"][kind % 5], kind % 4);
        pair.run(&format!(
            "INSERT INTO event_rows (trace_no, id, ts, kind, entity_type, entity_id, task, outcome, duration_ms, tokens_in,
                tokens_out, tokens_cached, cost_usd, source, clock, digest, parent, span_flags, waits_at)
             VALUES ({}, 'k{kind}', {}, {kind}, {}, {}, {}, {outcome}, {kind} / 7.0, {kind}, 2, 1, 0.1, {source}, {source},
                {kind}, {}, {}, {})",
            1 + kind % 2,
            [0_i64, 1, 999_999, 1_000_000, 1_767_225_599_999_999, 7_258_118_400_000_001][kind % 6],
            kind % 5,
            kind % 2,
            ["NULL", "'t'"][kind % 2],
            ["NULL", "''", "'up'"][kind % 3],
            ["NULL", "0", "3", "6", "127"][kind % 5],
            ["NULL", "'gone'"][kind % 2],
        ));
    }
    for (place, end) in ["NULL", "5", "1000001"].iter().enumerate() {
        for (number, duration) in ["NULL", "1", "1234567"].iter().enumerate() {
            pair.run(&format!(
                "INSERT INTO task_rows (trace_no, task, entity_type, entity_id, first_us, last_us, end_us, duration_us,
                    outcome, events, unclocked, llm_calls, tool_calls, errors, tokens_in, tokens_out, tokens_cached,
                    cost_nano, end_cost_nano)
                 VALUES (1, 'w{place}{number}', {place}, 1, {}, {}, {end}, {duration}, {}, 1, {number}, 2, 3, 4, 5, 6, 7,
                    123456789, {})",
                ["NULL", "3", "999999"][number],
                ["NULL", "1000002", "999999"][(number + place) % 3],
                ["NULL", "0", "2"][place],
                ["NULL", "0", "9007199254740993"][number],
            ));
        }
    }
    pair.compare("events and tasks");
    pair.run(&format!(
        "UPDATE engine_clock SET now_us = {}; DELETE FROM improvement_history; DELETE FROM improvement_alerts",
        100 * DAY
    ));
    pair.compare("nothing decided");
    for turn in 0..24_i64 {
        let outcome = ["kept", "rolled_back", "inconclusive", "rejected", "kept", "cancelled"][turn as usize % 6];
        let kind = ["error_prevention", "performance_tuning", "instruction_update"][turn as usize % 3];
        let effect = if turn % 5 == 0 { "NULL".to_owned() } else { format!("{} / 17.0", turn - 9) };
        pair.run(&format!(
            "INSERT INTO improvement_history (improvement_id, entity_type, entity_id, improvement_type, outcome,
                decided_at, effectiveness) VALUES (1, 'agent', 1, '{kind}', '{outcome}', {}, {effect})",
            (60 + 3 * turn) * DAY + turn % 2
        ));
        if turn % 4 == 0 {
            let alert = ["high_rollback_rate", "degraded_performance", "recurring_failure"][turn as usize % 3];
            pair.run(&format!(
                "INSERT INTO improvement_alerts (kind, fingerprint, message, value, threshold, at, resolved_at)
                 VALUES ('{alert}', '{turn}', 'm', 0.25, 0.2, 5, {})",
                if turn % 8 == 0 { "7" } else { "NULL" }
            ));
        }
        pair.run(&format!(
            "INSERT INTO optimization_opportunities (entity_type, entity_id, kind, fingerprint, source, improvement_type,
                created_at, updated_at, last_seen_at)
             VALUES ('agent', 1, 'inefficiency', '{turn}', 'review', 'performance_tuning', 1, 1, 1)"
        ));
        pair.compare(&format!("decision {turn}"));
    }
    for config in [r#"{"auto_improve_enabled":false}"#, r#"{"auto_improve_enabled":true}"#, "{}"] {
        pair.run(&format!("UPDATE entities SET improvement_config = '{config}' WHERE name = 'a'"));
        pair.compare(config);
    }
}
