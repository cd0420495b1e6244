//! Every migration runs on a database that was in use, and keeps what is in it.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::Connection;
use rusqlite::types::Value;
use uplift_model::trial::Comparison;
use uplift_store::sqlite::{LATEST_VERSION, MIGRATIONS, SqliteStore};
use uplift_store::{ImprovementReads, OpportunityReads};

use crate::data::{FILLED, ROWS};

/// "uplf", as the engine marks its files.
const APPLICATION_ID: i64 = 0x7570_6c66;

/// The column that a migration rewrites.
const REWRITTEN: (&str, &str) = ("entities", "improvement_config");

/// A database as version `version` left it, with a row in every table.
fn used(path: &Path, version: usize) -> Connection {
    let connection = Connection::open(path).unwrap();
    connection.execute_batch("PRAGMA foreign_keys = ON; PRAGMA journal_mode = WAL;").unwrap();
    if version == 0 {
        return connection;
    }
    connection
        .execute_batch(&format!(
            "PRAGMA application_id = {APPLICATION_ID};
             CREATE TABLE schema_migrations (version INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);"
        ))
        .unwrap();
    for (place, (name, text)) in MIGRATIONS[..version].iter().enumerate() {
        connection.execute_batch(text).unwrap();
        connection.execute("INSERT INTO schema_migrations VALUES (?1, ?2)", (place as i64 + 1, name)).unwrap();
    }
    connection.execute_batch(&format!("PRAGMA user_version = {version}")).unwrap();
    let tables = tables(&connection);
    for (table, insert) in ROWS {
        if tables.contains(&(*table).to_owned()) {
            connection.execute(insert, []).unwrap_or_else(|error| panic!("{table}: {error}"));
        }
    }
    for table in &tables {
        let rows: i64 = connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap();
        assert!(rows > 0, "{table} has no sample row: add one to data.rs");
        let known = FILLED.contains(&table.as_str()) || ROWS.iter().any(|(name, _)| name == table);
        assert!(known, "{table} is not in data.rs");
    }
    connection
}

fn tables(connection: &Connection) -> Vec<String> {
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name";
    connection.prepare(sql).unwrap().query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
}

fn columns(connection: &Connection, table: &str) -> Vec<String> {
    let sql = "SELECT name FROM pragma_table_info(?1) ORDER BY cid";
    connection.prepare(sql).unwrap().query_map([table], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
}

/// Every row of these columns.
fn dump(connection: &Connection, table: &str, columns: &[String]) -> Vec<Vec<Value>> {
    let sql = format!("SELECT {} FROM {table}", columns.join(", "));
    let mut statement = connection.prepare(&sql).unwrap();
    let row = |row: &rusqlite::Row<'_>| (0..columns.len()).map(|place| row.get(place)).collect::<Result<Vec<_>, _>>();
    statement.query_map([], row).unwrap().collect::<Result<_, _>>().unwrap()
}

#[tokio::test]
async fn every_migration_keeps_what_the_version_before_wrote() {
    for version in 0..=MIGRATIONS.len() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("uplift.db");
        let connection = used(&path, version);
        let before: BTreeMap<String, (Vec<String>, Vec<Vec<Value>>)> = tables(&connection)
            .into_iter()
            .map(|table| {
                let mut columns = columns(&connection, &table);
                // 008 leaves to the engine what was a copy of its defaults: a test of its own.
                columns.retain(|column| version >= 8 || (table.as_str(), column.as_str()) != REWRITTEN);
                let rows = dump(&connection, &table, &columns);
                (table, (columns, rows))
            })
            .collect();
        drop(connection);

        SqliteStore::open(&path).unwrap_or_else(|error| panic!("from {version}: {error}")).close().await;
        let connection = Connection::open(&path).unwrap();
        assert_eq!(crate::number(&connection, "PRAGMA user_version"), LATEST_VERSION);
        for (table, (columns, rows)) in before {
            let now = dump(&connection, &table, &columns);
            for row in rows {
                assert!(now.contains(&row), "from {version}: {table} lost {row:?}");
            }
        }
        assert_eq!(crate::number(&connection, "SELECT count(*) FROM pragma_foreign_key_check"), 0);
        let check: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(check, "ok");
    }
}

#[tokio::test]
async fn a_database_that_grew_up_is_like_a_new_one() {
    let schema = |connection: &Connection| -> Vec<(String, Option<String>)> {
        let sql = "SELECT name, sql FROM sqlite_schema ORDER BY type, name";
        let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
        connection.prepare(sql).unwrap().query_map([], row).unwrap().collect::<Result<_, _>>().unwrap()
    };
    let (new, _folder) = crate::fresh().await;
    let expected = schema(&Connection::open(new).unwrap());
    for version in 1..MIGRATIONS.len() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("uplift.db");
        drop(used(&path, version));
        SqliteStore::open(&path).unwrap().close().await;
        assert_eq!(schema(&Connection::open(&path).unwrap()), expected, "from {version}");
    }
}

#[tokio::test]
async fn settings_that_were_copies_are_left_to_the_engine() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("uplift.db");
    let connection = used(&path, 7);
    let cases = [
        (
            r#"{"auto_improve_enabled":true,"min_confidence_threshold":0.8,"test_duration_hours":24.0,"max_rollback_rate":0.1}"#,
            r#"{"auto_improve_enabled":true,"max_rollback_rate":0.1}"#,
        ),
        (
            r#"{"min_confidence_threshold":0.9,"test_duration_hours":24,"mode":"approve"}"#,
            r#"{"min_confidence_threshold":0.9,"mode":"approve"}"#,
        ),
        (r#"{"test_duration_hours":12.5}"#, r#"{"test_duration_hours":12.5}"#),
        ("{}", "{}"),
    ];
    for (place, (before, _)) in cases.iter().enumerate() {
        let sql = "INSERT INTO entities (entity_type, entity_id, name, improvement_config, created_at)
            VALUES ('agent', 100 + ?1, 'n' || ?1, ?2, 5)";
        connection.execute(sql, (place as i64, before)).unwrap();
    }
    drop(connection);
    SqliteStore::open(&path).unwrap().close().await;
    let connection = Connection::open(&path).unwrap();
    for (place, (_, after)) in cases.iter().enumerate() {
        let sql = "SELECT improvement_config FROM entities WHERE entity_type = 'agent' AND entity_id = 100 + ?1";
        let now: String = connection.query_row(sql, [place as i64], |row| row.get(0)).unwrap();
        assert_eq!(now, *after);
    }
}

#[tokio::test]
async fn improvements_of_before_are_read_as_ever() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("uplift.db");
    drop(used(&path, 7));
    let store = SqliteStore::open(&path).unwrap();
    let old = store.improvement(1).await.unwrap();
    assert_eq!((old.proposal.proposer.as_str(), old.proposal.edits.len(), old.version), ("", 1, 1));
    assert_eq!((old.proposal.comparison, old.checks.len(), old.approved_by), (Comparison::Concurrent, 0, None));
    assert_eq!(store.history_of(1).await.unwrap().len(), 1);
    assert_eq!(store.claimable(uplift_model::Time::from_micros(0), 10).await.unwrap().len(), 0);
    store.close().await;
}
