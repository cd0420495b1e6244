//! The file that is moved: held, so that nothing is written to it meanwhile.

use std::path::Path;
use std::time::Duration;

use rusqlite::OpenFlags;

use super::shape::{self, Table};
use super::side::{Side, quoted};
use crate::error::{StoreError, StoreResult};
use crate::sql::{Connection, OptionalExtension, Result};
use crate::sqlite::fault::of_sqlite;
use crate::sqlite::{self, LATEST_VERSION};

/// How long to wait for whoever is writing just now.
const PATIENCE: Duration = Duration::from_secs(5);
/// Tables that tell whether anything was written.
const TELLING: [&str; 4] = ["engine_clock", "config_seq", "writer_turns", "sqlite_sequence"];

/// A file of SQLite.
pub(super) struct Source {
    pub(super) side: Side,
}

impl Source {
    /// Opens it and begins a transaction that shuts out everybody else who would write.
    pub(super) fn hold(path: &Path) -> StoreResult<Self> {
        let place = path.display().to_string();
        if !path.is_file() {
            return Err(StoreError::Open { place, reason: "there is no such file".to_owned() });
        }
        let said = |error: rusqlite::Error| of_sqlite(&error, &place, "opening the database");
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = rusqlite::Connection::open_with_flags(path, flags).map_err(said)?;
        connection.busy_timeout(PATIENCE).map_err(said)?;
        sqlite::migrate::check_readable(&connection, &place)?;
        connection.execute_batch("PRAGMA temp_store = MEMORY; BEGIN IMMEDIATE").map_err(said)?;
        Ok(Self { side: Side { connection: Connection::Sqlite(connection), place } })
    }

    /// How to name it to people.
    pub(super) fn place(&self) -> &str {
        &self.side.place
    }

    /// Names of the tables in it that are not Uplift's.
    pub(super) fn left_out(&self) -> StoreResult<Vec<String>> {
        let own = shape::own_names()?;
        let mut names = self.side.ask("reading the schema", |connection| Ok(shape::names(connection)?))?;
        names.retain(|name| !own.contains(name));
        Ok(names)
    }

    /// What it holds in short: changes whenever the engine writes to it.
    pub(super) fn state(&self, tables: &[Table]) -> StoreResult<String> {
        self.side.ask("reading the state of the database", |connection| {
            let mut hasher = blake3::Hasher::new();
            hasher.update(&LATEST_VERSION.to_le_bytes());
            for table in TELLING {
                let sql = format!("SELECT * FROM {} ORDER BY 1", quoted(table));
                let mut statement = connection.prepare_cached(&sql)?;
                let mut rows = statement.query(())?;
                while let Some(row) = rows.next()? {
                    hasher.update(format!("{table} {:?} {:?}\n", row.get_ref(0)?, row.get_ref(1)?).as_bytes());
                }
            }
            for table in tables {
                let Some(key) = table.key.first().and_then(|place| table.columns.get(*place)) else { continue };
                let sql = format!("SELECT max({}) FROM {}", quoted(&key.name), quoted(&table.name));
                connection.query_row(&sql, (), |row| {
                    hasher.update(format!("{} {:?}\n", table.name, row.get_ref(0)?).as_bytes());
                    Ok(())
                })?;
            }
            Ok(hasher.finalize().to_hex().to_string())
        })
    }

    /// Rows of a table.
    pub(super) fn count(&self, table: &Table) -> StoreResult<u64> {
        let sql = format!("SELECT count(*) FROM {}", quoted(&table.name));
        let count: i64 =
            self.side.ask("counting rows", |connection| Ok(connection.query_row(&sql, (), |row| row.get(0))?))?;
        Ok(count.unsigned_abs())
    }

    /// The largest number that a column which counts by itself ever gave; 0 where it gave none.
    pub(super) fn last_number(&self, table: &Table, column: &str) -> StoreResult<i64> {
        self.side.ask("reading the numbers given so far", |connection| {
            let sql = format!("SELECT coalesce(max({}), 0) FROM {}", quoted(column), quoted(&table.name));
            let largest: i64 = connection.query_row(&sql, (), |row| row.get(0))?;
            let sql = "SELECT seq FROM sqlite_sequence WHERE name = ?1";
            let remembered: Result<Option<i64>> =
                connection.query_row(sql, [&table.name], |row| row.get(0)).optional();
            Ok(largest.max(remembered?.unwrap_or(0)).max(0))
        })
    }
}
