//! The engine inside: SQLite, in WAL mode, fsync on every commit.
//!
//! - `migrate`: the numbered migrations, and refusing a database of a later version.
//! - `fault`: SQLite's errors as ours.
//! - `writer`: the thread that writes, and the one that writes the log back.

pub(crate) mod fault;
pub(crate) mod migrate;
pub(crate) mod writer;

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::OpenFlags;
use tokio::sync::oneshot;

use self::fault::of_sqlite;
use self::writer::SqliteWriter;
use crate::error::{StoreError, StoreResult};
use crate::logic::requests::Request;
use crate::pool::Pool;
use crate::sql::Connection;
use crate::store::{SqlStore, Writer};

pub use self::migrate::{LATEST_VERSION, MIGRATIONS};
pub use crate::store::SqlStore as SqliteStore;

/// How long to wait for another process's write lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Most readers at a time.
const READERS: u32 = 4;

/// Keeps a statement's plan whatever is bound to it. Without this, SQLite prepares a statement anew when a parameter
/// that it compared with the condition of a partial index changes.
fn keep_plans(connection: &rusqlite::Connection) -> rusqlite::Result<()> {
    connection.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(())
}

impl SqlStore {
    /// Opens, or creates, a database file and brings it up to date.
    ///
    /// # Errors
    /// When the file cannot be opened or written, is no database of ours, or is of a later version.
    pub fn open(path: &Path) -> StoreResult<Self> {
        let place = path.display().to_string();
        let connection = migrate::open_writer(path, &place)?;
        let writer = SqliteWriter::start(connection, place.clone(), Some(path.to_path_buf()))?;
        Ok(Self::over(path, place, Some(writer)))
    }

    /// Opens an existing database file for reading only. Writes are refused.
    ///
    /// # Errors
    /// When there is no such file, it is no database of ours, or not of this version.
    pub fn open_read_only(path: &Path) -> StoreResult<Self> {
        let place = path.display().to_string();
        if !path.exists() {
            let reason = "there is no such file: import or serve something first".to_owned();
            return Err(StoreError::Open { place, reason });
        }
        let connection = open_reader(path, &place)?;
        migrate::check_readable(&connection, &place)?;
        drop(connection);
        Ok(Self::over(path, place, None))
    }

    fn over(path: &Path, place: String, writer: Option<SqliteWriter>) -> Self {
        let (file, of_pool) = (path.to_path_buf(), place.clone());
        let pool = Pool::new(place.clone(), READERS, move || Ok(Connection::Sqlite(open_reader(&file, &of_pool)?)));
        Self {
            pool: Some(pool),
            writer: writer.map(Writer::Sqlite),
            place,
            file: Some(path.to_path_buf()),
            ear: None,
        }
    }

    /// A database in memory: gone when the store is dropped.
    ///
    /// # Errors
    /// When SQLite cannot be started.
    pub fn in_memory() -> StoreResult<Self> {
        let place = "memory".to_owned();
        let connection = migrate::open_in_memory(&place)?;
        let writer = Writer::Sqlite(SqliteWriter::start(connection, place.clone(), None)?);
        Ok(Self { pool: None, writer: Some(writer), place, file: None, ear: None })
    }

    /// Bounds how large a database of SQLite may grow, in pages of it: a commit that needs more is refused as on a full
    /// disk. A bound below its size keeps it from growing. Lasts until the store is closed. Nothing for PostgreSQL.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn bound_pages(&self, pages: u32) -> StoreResult<()> {
        let (reply, answer) = oneshot::channel();
        let place = self.place.clone();
        let bound = move |connection: &Connection| {
            let Connection::Sqlite(connection) = connection else { return };
            let sql = format!("PRAGMA max_page_count = {}", pages.max(1));
            let done = connection.query_row(&sql, [], |_| Ok(()));
            // The caller may have gone away: nobody to tell.
            drop(reply.send(done.map_err(|error| of_sqlite(&error, &place, "bounding the database"))));
        };
        self.writer()?.send(Request::Read(Box::new(bound))).await?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// Where the write-ahead log of a file is, for those who watch its size.
    pub fn wal_path(path: &Path) -> PathBuf {
        let mut name = path.as_os_str().to_owned();
        name.push("-wal");
        PathBuf::from(name)
    }
}

/// A connection that can only read.
fn open_reader(path: &Path, place: &str) -> StoreResult<rusqlite::Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let ready = rusqlite::Connection::open_with_flags(path, flags).and_then(|connection| {
        connection.busy_timeout(BUSY_TIMEOUT)?;
        keep_plans(&connection)?;
        connection.execute_batch("PRAGMA query_only = ON; PRAGMA cache_size = -4096; PRAGMA temp_store = MEMORY;")?;
        connection.set_prepared_statement_cache_capacity(64);
        Ok(connection)
    });
    ready.map_err(|error| of_sqlite(&error, place, "opening a reader"))
}
