//! Moving a database from SQLite to PostgreSQL. Skipped where no server is named.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "these are tests")]

#[path = "../migrations/data.rs"]
#[allow(dead_code, reason = "the tests of the migrations need more of it")]
mod data;
mod everything;
mod interrupted;
mod life;
mod refused;

use std::path::{Path, PathBuf};

use rusqlite::Connection;
use uplift_store::moving::{self, Moved, Plan, Progress};
use uplift_store::sqlite::SqliteStore;
use uplift_store::suite::scratch::Scratch;
use uplift_store::{StoreError, StoreResult};

/// A file of the current version, and the folder that goes with it.
async fn file() -> (PathBuf, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("uplift.db");
    SqliteStore::open(&path).unwrap().close().await;
    (path, folder)
}

/// A file with a row in every table.
async fn full_file() -> (PathBuf, tempfile::TempDir) {
    let (path, folder) = file().await;
    let connection = Connection::open(&path).unwrap();
    connection.execute_batch("PRAGMA foreign_keys = ON").unwrap();
    for (table, insert) in data::ROWS {
        connection.execute(insert, []).unwrap_or_else(|error| panic!("{table}: {error}"));
    }
    (path, folder)
}

/// Moves, telling how far it is. A panic of `tell` ends the move as the end of the process does: without a word.
fn migrate(
    from: &Path,
    to: &Scratch,
    plan: Plan,
    mut tell: impl FnMut(Progress<'_>) + Send + 'static,
) -> std::thread::Result<StoreResult<Moved>> {
    let (from, to) = (from.to_path_buf(), to.address());
    // Waits for the network, which threads of the tests' runtime may not.
    std::thread::spawn(move || moving::run(&from, &to, plan, &mut tell)).join()
}

/// Moves, or does what else is planned.
fn run(from: &Path, to: &Scratch, plan: Plan) -> StoreResult<Moved> {
    migrate(from, to, plan, |_| ()).unwrap()
}

/// What a refused plan says.
fn refusal(from: &Path, to: &Scratch, plan: Plan) -> String {
    run(from, to, plan).err().as_ref().map(StoreError::to_string).expect("a refusal")
}

/// The one number that a query of a file gives.
fn number(path: &Path, sql: &str) -> i64 {
    Connection::open(path).unwrap().query_row(sql, [], |row| row.get(0)).unwrap()
}
