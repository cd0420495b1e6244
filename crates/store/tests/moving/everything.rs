//! Every table comes over as it is.

use rusqlite::Connection;
use uplift_store::moving::Plan;
use uplift_store::suite::scratch::{self, Scratch};
use uplift_store::{EntityReads, EventReads, OpportunityReads, SqlStore};

use crate::{full_file, number, refusal, run};

/// What fails in the target, where a condition does not hold.
async fn check(target: &Scratch, condition: &str) {
    let text = condition.replace('\'', "''");
    target
        .run(format!("DO $$ BEGIN IF NOT ({condition}) THEN RAISE EXCEPTION '{text}'; END IF; END $$"))
        .await
        .unwrap();
}

#[tokio::test]
async fn every_table_comes_over_with_its_numbers() {
    let Some(target) = scratch::make().await else { return };
    let (path, _folder) = full_file().await;
    let file = Connection::open(&path).unwrap();
    // Numbers that were given and whose rows are gone are not given again; nor do the rules mark anything.
    file.execute_batch(
        "UPDATE sqlite_sequence SET seq = 900 WHERE name = 'event_inbox';
         DELETE FROM arrivals;
         INSERT INTO rollup_errors VALUES ('agent', 1, '00000000000000ee', 9, 700);
         UPDATE rolling_review_counters SET due = NULL;
         DELETE FROM optimization_opportunities WHERE fingerprint = '00000000000000ee';
         CREATE TABLE _somebody_elses (x)",
    )
    .unwrap();
    let moved = run(&path, &target, Plan::Move).unwrap();
    assert_eq!((moved.replaced, moved.found, moved.left_out), (0, 0, vec!["_somebody_elses".to_owned()]));
    let sql =
        "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%' AND name NOT LIKE '!_%'
        ESCAPE '!'";
    assert_eq!(i64::try_from(moved.tables.len()).unwrap(), number(&path, sql));
    for table in &moved.tables {
        let rows = number(&path, &format!("SELECT count(*) FROM {}", table.name));
        assert_eq!(i64::try_from(table.rows).unwrap(), rows, "{}", table.name);
        assert!(rows > 0 || table.name == "arrivals", "{} has no row here", table.name);
        check(&target, &format!("(SELECT count(*) FROM {}) = {rows}", table.name)).await;
    }
    check(&target, "to_regclass('uplift_moving') IS NULL AND to_regclass('uplift_moving_progress') IS NULL").await;
    for (table, column, next) in [
        ("event_inbox", "seq", 901),
        ("arrivals", "arrival_no", 2),
        ("names", "name_no", 3),
        ("traces", "trace_no", 3),
        ("optimization_opportunities", "id", 3),
    ] {
        check(&target, &format!("nextval(pg_get_serial_sequence('{table}', '{column}')) = {next}")).await;
    }
    // The rules are in force again.
    check(
        &target,
        "(SELECT count(*) FROM pg_trigger WHERE tgenabled <> 'O' AND tgrelid = 'rollup_errors'::regclass) = 0",
    )
    .await;
    let sql = "INSERT INTO rollup_errors VALUES ('agent', 1, '00000000000000dd', 9, 700)".to_owned();
    target.run(sql).await.unwrap();
    check(&target, "(SELECT count(*) FROM optimization_opportunities) = 2").await;

    // A second time there is something there, and it says what is to be done.
    let said = refusal(&path, &target, Plan::Move);
    assert!(said.contains("in use") && said.contains("--verify-only"), "{said}");
    let said = refusal(&path, &target, Plan::VerifyOnly);
    assert!(said.contains("rollup_errors") && said.contains("optimization_opportunities: 1 rows and 2"), "{said}");
    assert!(!said.contains("names"), "{said}");
}

#[tokio::test]
async fn texts_come_over_byte_for_byte_or_are_counted() {
    let Some(target) = scratch::make().await else { return };
    let (path, _folder) = full_file().await;
    let file = Connection::open(&path).unwrap();
    let config = "{ \"max_rollback_rate\":0.10,\n  \"auto_improve_enabled\" : true }";
    file.execute("UPDATE entities SET improvement_config = ?1 WHERE name = 'a'", [config]).unwrap();
    file.execute("INSERT INTO bodies VALUES (7, 'a' || char(0) || 'b' || char(0)), (8, 'ü' || char(10))", [])
        .unwrap();
    file.execute("INSERT INTO event_inbox (event) VALUES (CAST(x'41ff42' AS TEXT))", []).unwrap();
    // In the middle of a key, and the move has to go on behind it.
    file.execute("INSERT INTO settings VALUES ('a' || char(0) || 'z', '1', 5)", []).unwrap();
    file.execute("UPDATE event_rows SET duration_ms = 9e999 WHERE id = '2'", []).unwrap();
    let moved = run(&path, &target, Plan::Move).unwrap();
    assert_eq!(moved.replaced, 3);
    for (table, condition) in [
        ("bodies", "body_no = 7 AND content = U&'a\\FFFDb\\FFFD'"),
        ("bodies", "body_no = 8 AND content = U&'\\00FC\\000A'"),
        ("event_inbox", "event = U&'A\\FFFDB'"),
        ("settings", "name = U&'a\\FFFDz'"),
        ("event_rows", "duration_ms = 'infinity'"),
    ] {
        check(&target, &format!("EXISTS (SELECT 1 FROM {table} WHERE {condition})")).await;
    }
    check(&target, &format!("(SELECT CAST(improvement_config AS text) FROM entities WHERE name = 'a') = '{config}'"))
        .await;
    assert_eq!(run(&path, &target, Plan::VerifyOnly).unwrap().tables, moved.tables);
    for (change, table) in [
        ("UPDATE bodies SET content = content || ' ' WHERE body_no = 8", "bodies: 3 rows, of which some differ"),
        (
            "UPDATE entities SET improvement_config = CAST(improvement_config AS jsonb) WHERE name = 'a'",
            "entities: 7 rows",
        ),
        ("DELETE FROM outbox", "outbox: 1 rows and 0"),
    ] {
        target.run(change.to_owned()).await.unwrap();
        let said = refusal(&path, &target, Plan::VerifyOnly);
        assert!(said.contains(table), "{change}: {said}");
    }
}

#[tokio::test]
async fn a_database_that_was_only_connected_to_is_new() {
    let Some(target) = scratch::make().await else { return };
    let connected = SqlStore::connect(&target.address()).await.unwrap();
    let (path, _folder) = full_file().await;
    run(&path, &target, Plan::Move).unwrap();
    // Who was there before sees what came.
    assert_eq!(connected.inbox(10).await.unwrap().len(), 1);
    assert_eq!(connected.opportunity(1).await.unwrap().id, 1);
    assert_eq!(connected.relationships(None).await.unwrap().len(), 7);
    connected.close().await;
}
