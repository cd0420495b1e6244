//! Names that other programs rely on.

use crate::plain;

fn exists(kind: &str, name: &str) -> bool {
    plain()
        .query_row("SELECT count(*) FROM sqlite_schema WHERE type = ?1 AND name = ?2", [kind, name], |row| {
            row.get::<_, i64>(0)
        })
        .unwrap()
        == 1
}

#[test]
fn tables_views_and_triggers_have_their_names() {
    for (kind, names) in [
        (
            "table",
            &[
                "improvement_history",
                "improvement_alerts",
                "optimization_opportunities",
                "rolling_review_counters",
                "event_inbox",
                "detection_settings",
                "engine_clock",
            ][..],
        ),
        (
            "view",
            &[
                "improvement_analytics",
                "self_improvement_status",
                "self_improvement_metrics",
                "system_self_improvement_status",
                "events",
                "tasks",
            ],
        ),
        ("trigger", &["auto_create_error_opportunities", "auto_create_performance_opportunities"]),
    ] {
        for name in names {
            assert!(exists(kind, name), "{kind} {name}");
        }
    }
    plain().prepare("SELECT description FROM optimization_opportunities").unwrap();
}

#[test]
fn migrations_have_their_names() {
    let names: Vec<&str> = uplift_store::sqlite::MIGRATIONS.iter().map(|(name, _)| *name).collect();
    assert_eq!(
        names[..8],
        [
            "001_add_entity_framework",
            "002_add_event_system",
            "003_add_rolling_reviews",
            "004_add_process_framework",
            "005_add_optional_tools_and_agents",
            "006_add_improvement_history",
            "007_add_self_improvement_context",
            "008_add_trials",
        ]
    );
}

#[test]
fn what_comes_with_uplift_is_there() {
    let connection = plain();
    for (kind, name) in
        [("tool", "request_improvement"), ("agent", "optimizer"), ("agent", "planning"), ("agent", "recovery")]
    {
        let sql = "SELECT count(*) FROM entities WHERE environment = 'uplift' AND entity_type = ?1 AND name = ?2";
        assert_eq!(connection.query_row(sql, [kind, name], |row| row.get::<_, i64>(0)).unwrap(), 1, "{name}");
    }
    let processes = "SELECT count(*) FROM process_registry
        WHERE name IN ('ImprovementProcess', 'ImprovementMonitoringProcess')";
    assert_eq!(crate::number(&connection, processes), 2);
    let optional = "SELECT count(*) FROM optional_tools WHERE tool = 'request_improvement'";
    assert_eq!(crate::number(&connection, optional), 3);
}

#[test]
fn revisions_cannot_be_changed_or_deleted() {
    let connection = plain();
    connection.execute("INSERT INTO revisions VALUES (printf('%064d', 7), '{}', 5)", []).unwrap();
    for sql in ["UPDATE revisions SET configuration = '[]'", "DELETE FROM revisions"] {
        assert!(connection.execute(sql, []).is_err(), "{sql}");
    }
}
