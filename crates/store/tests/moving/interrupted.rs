//! A move that ends at any moment goes on where it was.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::Connection;
use uplift_store::SqlStore;
use uplift_store::moving::{Moved, Phase, Plan};
use uplift_store::postgres::MIGRATIONS;
use uplift_store::suite::scratch::{self, Scratch};

use crate::{full_file, migrate, refusal, run};

/// More than two chunks of rows.
const MANY: i64 = 45_000;

fn fill(path: &std::path::Path) {
    let sql = format!(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {MANY})
         INSERT INTO task_links SELECT CAST(printf('%08x', i * 40503 % 65537) AS BLOB) || CAST(i AS BLOB), i, 't' || i FROM n;"
    );
    Connection::open(path).unwrap().execute_batch(&sql).unwrap();
}

/// Moves until the move has been told of `steps` steps; none where it came to its end before.
fn stop_after(steps: u64, path: &std::path::Path, target: &Scratch) -> Option<Moved> {
    let told = Arc::new(AtomicU64::new(0));
    let ended = migrate(path, target, Plan::Move, move |_| {
        assert!(told.fetch_add(1, Ordering::Relaxed) < steps, "this is where the test ends it");
    });
    ended.ok().map(|moved| moved.unwrap())
}

#[tokio::test]
async fn a_move_goes_on_where_it_was() {
    let (Some(straight), Some(target)) = (scratch::make().await, scratch::make().await) else { return };
    let (path, _folder) = full_file().await;
    fill(&path);
    let expected = run(&path, &straight, Plan::Move).unwrap();
    assert_eq!(
        expected.tables.iter().map(|table| table.rows).sum::<u64>(),
        expected.copied + MIGRATIONS.len() as u64
    );

    let mut steps = 1;
    let moved = loop {
        if let Some(moved) = stop_after(steps, &path, &target) {
            break moved;
        }
        // Until it is complete, nobody works on it.
        for refused in [
            SqlStore::connect(&target.address()).await.err(),
            SqlStore::connect_read_only(&target.address()).await.err(),
        ] {
            let said = refused.expect("it is not complete").to_string();
            assert!(said.contains("uplift migrate"), "{said}");
        }
        let said = refusal(&path, &target, Plan::VerifyOnly);
        assert!(said.contains("not all of it is there"), "{said}");
        steps += 5;
        assert!(steps < 1_000, "it never comes to an end");
    };
    assert_eq!(moved.tables, expected.tables);
    assert!(moved.found > 0 && moved.found + moved.copied == expected.copied, "{moved:?}");
    SqlStore::connect(&target.address()).await.unwrap().close().await;
}

#[tokio::test]
async fn within_a_table_too() {
    let Some(target) = scratch::make().await else { return };
    let (path, _folder) = full_file().await;
    fill(&path);
    let mut within = Vec::new();
    let mut last = 0;
    loop {
        // Ends it as soon as more than a chunk of the large table went over in this run.
        let before = last;
        let at = Arc::new(AtomicU64::new(last));
        let seen = Arc::clone(&at);
        let ended = migrate(&path, &target, Plan::Move, move |told| {
            if told.phase == Phase::Copying {
                seen.store(told.done, Ordering::Relaxed);
                assert!(told.done < before + 20_000, "this is where the test ends it");
            }
        });
        last = at.load(Ordering::Relaxed);
        match ended {
            Ok(moved) => {
                let moved = moved.unwrap();
                assert!(moved.found >= 40_000 && moved.copied < 20_000, "{moved:?}");
                break;
            }
            Err(_) => within.push(last),
        }
    }
    assert_eq!(within.len(), 2, "{within:?}");
    assert!(within[1] >= within[0] + 20_000, "{within:?}");
}

#[tokio::test]
async fn what_was_written_meanwhile_is_noticed() {
    let Some(target) = scratch::make().await else { return };
    let (path, _folder) = full_file().await;
    assert!(stop_after(10, &path, &target).is_none());
    let (other, _other_folder) = crate::file().await;
    let write = |sql: &str| Connection::open(&path).unwrap().execute_batch(sql).unwrap();
    write("INSERT INTO outbox (kind, payload, created_at) VALUES ('webhook', '{}', 6)");
    for from in [&path, &other] {
        let said = refusal(from, &target, Plan::Move);
        assert!(said.contains("--start-over"), "{said}");
    }
    let moved = run(&path, &target, Plan::StartOver).unwrap();
    assert_eq!((moved.found, moved.tables.iter().find(|table| table.name == "outbox").unwrap().rows), (0, 2));
    // What is complete is not thrown away.
    let said = refusal(&path, &target, Plan::StartOver);
    assert!(said.contains("in use"), "{said}");
    assert_eq!(run(&path, &target, Plan::VerifyOnly).unwrap().tables, moved.tables);
}

#[tokio::test]
async fn what_escaped_notice_is_found_by_comparing() {
    let Some(target) = scratch::make().await else { return };
    let (path, _folder) = full_file().await;
    let ended = migrate(&path, &target, Plan::Move, |told| {
        assert_eq!(told.phase, Phase::Copying, "this is where the test ends it");
    });
    assert!(ended.is_err());
    Connection::open(&path).unwrap().execute("UPDATE leases SET holder = 'other'", []).unwrap();
    let said = refusal(&path, &target, Plan::Move);
    assert!(said.contains("leases: 1 rows, of which some differ") && said.contains("--start-over"), "{said}");
    assert!(SqlStore::connect(&target.address()).await.is_err());
    run(&path, &target, Plan::StartOver).unwrap();
}

#[tokio::test]
async fn a_schema_that_was_not_whole_is_finished() {
    let Some(target) = scratch::make().await else { return };
    let (path, _folder) = full_file().await;
    // As it is left by a move that was killed while it made the tables.
    assert!(stop_after(0, &path, &target).is_none());
    let undone = "TRUNCATE uplift_moving; INSERT INTO uplift_moving VALUES (1, '');
        DELETE FROM schema_migrations WHERE version > 13;
        DROP VIEW system_self_improvement_status, self_improvement_metrics;
        CREATE VIEW self_improvement_metrics AS SELECT 1 AS one;
        CREATE VIEW system_self_improvement_status AS SELECT 1 AS one;
        DROP TABLE news, notification_cursor, notification_deliveries, notification_targets, health_settings, health_trends;
        DROP INDEX improvement_alerts_by_hand, optimization_opportunities_listed, improvement_history_counted,
            improvements_by_status;
        ALTER TABLE improvement_alerts DROP COLUMN raised_at, DROP COLUMN quiet_since, DROP COLUMN acknowledged_at,
            DROP COLUMN acknowledged_by, DROP COLUMN note, DROP COLUMN resolved_by";
    target.run(undone.to_owned()).await.unwrap();
    assert!(SqlStore::connect(&target.address()).await.is_err());
    run(&path, &target, Plan::Move).unwrap();
    SqlStore::connect(&target.address()).await.unwrap().close().await;
    // One of an earlier version that no move made is somebody's.
    target.run("DELETE FROM schema_migrations WHERE version > 10".to_owned()).await.unwrap();
    let said = refusal(&path, &target, Plan::Move);
    assert!(said.contains("earlier version"), "{said}");
}
