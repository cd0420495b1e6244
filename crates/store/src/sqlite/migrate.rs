//! The numbered migrations: each runs once, in order, in a transaction of its own.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::BUSY_TIMEOUT;
use super::fault::of_sqlite;
use crate::error::{StoreError, StoreResult};
use crate::migrations;

/// Name and text of every migration, in order; a migration's number is its place, from 1.
pub const MIGRATIONS: &[(&str, &str)] = migrations::SQLITE;

/// The schema version this code writes.
pub const LATEST_VERSION: i64 = migrations::LATEST_VERSION;

/// Marks a file as ours, in the header field for that: "uplf".
const APPLICATION_ID: i64 = 0x7570_6c66;

/// Opens the writing connection and brings the schema up to date.
pub(super) fn open_writer(path: &Path, place: &str) -> StoreResult<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let sql = |error: rusqlite::Error| of_sqlite(&error, place, "opening the database");
    let mut connection = Connection::open_with_flags(path, flags).map_err(sql)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(sql)?;
    super::keep_plans(&connection).map_err(sql)?;
    // Before anything that could change the file: a foreign or later database stays as it is.
    check_version(&connection, place)?;
    connection
        .execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0;
             PRAGMA cache_size = -32768; PRAGMA temp_store = MEMORY; PRAGMA foreign_keys = ON;",
        )
        .map_err(sql)?;
    run(&mut connection, place, LATEST_VERSION)?;
    Ok(connection)
}

/// Opens a database in memory.
pub(crate) fn open_in_memory(place: &str) -> StoreResult<Connection> {
    let sql = |error: rusqlite::Error| of_sqlite(&error, place, "opening the database");
    let mut connection = Connection::open_in_memory().map_err(sql)?;
    connection.execute_batch("PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY;").map_err(sql)?;
    run(&mut connection, place, LATEST_VERSION)?;
    Ok(connection)
}

/// Checks that a database can be read by this code as it is.
pub(crate) fn check_readable(connection: &Connection, place: &str) -> StoreResult<()> {
    let version = check_version(connection, place)?;
    if version < LATEST_VERSION {
        return Err(StoreError::Open {
            place: place.to_owned(),
            reason: format!(
                "its schema is version {version} of {LATEST_VERSION}: `uplift serve` or `uplift import` bring it up to date"
            ),
        });
    }
    Ok(())
}

/// The schema version; refuses a database of another program or of a later version.
fn check_version(connection: &Connection, place: &str) -> StoreResult<i64> {
    let sql = |error: rusqlite::Error| of_sqlite(&error, place, "reading the schema version");
    let pragma = |name: &str| connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0));
    let version = pragma("user_version").map_err(sql)?;
    let application = pragma("application_id").map_err(sql)?;
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(sql)?;
    if application != APPLICATION_ID && (tables > 0 || application != 0) {
        let reason = "it belongs to another program".to_owned();
        return Err(StoreError::NotADatabase { place: place.to_owned(), reason });
    }
    if version > LATEST_VERSION {
        return Err(StoreError::NewerDatabase { place: place.to_owned(), found: version, known: LATEST_VERSION });
    }
    Ok(version)
}

/// Runs the migrations up to `target`.
fn run(connection: &mut Connection, place: &str, target: i64) -> StoreResult<()> {
    let sql = |error: rusqlite::Error| of_sqlite(&error, place, "migrating the schema");
    loop {
        // IMMEDIATE: of two processes that start at once, one waits and then finds the work done.
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sql)?;
        let version: i64 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(sql)?;
        if version >= target {
            return Ok(());
        }
        let (name, text) = MIGRATIONS[usize::try_from(version).unwrap_or(0)];
        if version == 0 {
            transaction
                .execute_batch(&format!(
                    "PRAGMA application_id = {APPLICATION_ID};
                     CREATE TABLE schema_migrations (version INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);"
                ))
                .map_err(sql)?;
        }
        transaction.execute_batch(text).map_err(sql)?;
        transaction
            .execute("INSERT INTO schema_migrations (version, name) VALUES (?1, ?2)", (version + 1, name))
            .map_err(sql)?;
        transaction.execute_batch(&format!("PRAGMA user_version = {}", version + 1)).map_err(sql)?;
        transaction.commit().map_err(sql)?;
    }
}
