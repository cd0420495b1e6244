//! The schema by itself: what other programs see of it, and how it comes from one version to the next.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "these are tests")]

mod data;
mod files;
mod names;
mod rows;
mod rules;
mod upgrades;
mod views;

use std::path::PathBuf;

use rusqlite::Connection;
use uplift_store::sqlite::SqliteStore;

/// A database file of the current version, and the folder that goes with it.
async fn fresh() -> (PathBuf, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("uplift.db");
    SqliteStore::open(&path).unwrap().close().await;
    (path, folder)
}

/// The current schema, in memory, in plain SQL.
fn plain() -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch("PRAGMA foreign_keys = ON;").unwrap();
    for (_, text) in uplift_store::sqlite::MIGRATIONS {
        connection.execute_batch(text).unwrap();
    }
    connection
}

/// The one number that a query gives.
fn number(connection: &Connection, sql: &str) -> i64 {
    connection.query_row(sql, [], |row| row.get(0)).unwrap()
}
