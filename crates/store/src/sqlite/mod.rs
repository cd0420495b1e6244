//! The engine inside: SQLite, in WAL mode, fsync on every commit.
//!
//! One thread writes; readers have connections of their own. In reading order:
//!
//! - `migrate`: the numbered migrations, and refusing a database of a later version.
//! - `fault`, `pool`: SQLite's errors as ours; connections for reading.
//! - `writer`: the one thread that writes, many requests to a commit.
//! - `dictionary` (with `cache`): names, entities and traces as numbers, with caches.
//! - `intake`, `event_row`, `task_row`, `sums`: events in, tasks and rollups folded.
//! - `spans`: events that came as spans: whose task each counts for, settled as the trace comes in.
//! - `arrivals`, `prune`: when things came in, and how the old ones go.
//! - `units`: which traces are units of running trials, kept by the intake.
//! - `step`, `ties`: what a step of the loop decided.
//! - `reads`: one file per noun.

mod arrivals;
mod cache;
mod dictionary;
mod event_row;
mod fault;
mod intake;
mod migrate;
mod pool;
mod prune;
mod reads;
mod spans;
mod step;
mod sums;
mod task_row;
mod ties;
mod units;
mod writer;

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::Connection;
use tokio::sync::oneshot;

use self::fault::Fault;
use self::pool::Pool;
use self::writer::{Request, Writer};
use crate::error::{StoreError, StoreResult};
use crate::reads::Store;
use crate::writes::{IntakeBatch, IntakeReceipt, StepCommit, StepReceipt, Writes};

pub use self::migrate::{LATEST_VERSION, MIGRATIONS};

/// How long to wait for another process's write lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Keeps a statement's plan whatever is bound to it. Without this, SQLite prepares a statement anew when a parameter
/// that it compared with the condition of a partial index changes.
fn keep_plans(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(())
}

/// A store in SQLite.
pub struct SqliteStore {
    place: String,
    writer: Option<Writer>,
    /// None in memory, where the writer's connection is the only one there is.
    pool: Option<Pool>,
}

impl SqliteStore {
    /// Opens, or creates, a database file and brings it up to date.
    ///
    /// # Errors
    /// When the file cannot be opened or written, is no database of ours, or is of a later version.
    pub fn open(path: &Path) -> StoreResult<Self> {
        let place = path.display().to_string();
        let connection = migrate::open_writer(path, &place)?;
        let writer = Writer::start(connection, place.clone(), Some(path.to_path_buf()))?;
        Ok(Self { pool: Some(Pool::new(path.to_path_buf(), place.clone())), writer: Some(writer), place })
    }

    /// Opens an existing database for reading only. Writes are refused.
    ///
    /// # Errors
    /// When there is no such file, it is no database of ours, or not of this version.
    pub fn open_read_only(path: &Path) -> StoreResult<Self> {
        let place = path.display().to_string();
        if !path.exists() {
            let reason = "there is no such file: import or serve something first".to_owned();
            return Err(StoreError::Open { place, reason });
        }
        let connection = pool::open_reader(path, &place)?;
        migrate::check_readable(&connection, &place)?;
        drop(connection);
        Ok(Self { pool: Some(Pool::new(path.to_path_buf(), place.clone())), writer: None, place })
    }

    /// A database in memory: gone when the store is dropped.
    ///
    /// # Errors
    /// When SQLite cannot be started.
    pub fn in_memory() -> StoreResult<Self> {
        let place = "memory".to_owned();
        let connection = migrate::open_in_memory(&place)?;
        let writer = Writer::start(connection, place.clone(), None)?;
        Ok(Self { pool: None, writer: Some(writer), place })
    }

    /// The path, or `memory`.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Finishes what was accepted, writes the WAL back and closes. Later calls fail with [`StoreError::Closed`].
    pub async fn close(&self) {
        if let Some(pool) = &self.pool {
            pool.close();
        }
        if let Some(writer) = &self.writer {
            writer.close().await;
        }
    }

    /// Runs `work` on a reading connection.
    pub(crate) async fn read<T, F>(&self, context: &'static str, work: F) -> StoreResult<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        match (&self.pool, &self.writer) {
            (Some(pool), _) => pool.run(context, work).await,
            (None, Some(writer)) => {
                let place = self.place.clone();
                let (reply, answer) = oneshot::channel();
                let run = move |connection: &Connection| {
                    let result = work(connection).map_err(|fault| fault.into_store(&place, context));
                    // The caller may have gone away: nobody to tell.
                    drop(reply.send(result));
                };
                writer.send(Request::Read(Box::new(run))).await?;
                answer.await.map_err(|_| StoreError::Closed)?
            }
            (None, None) => Err(StoreError::Closed),
        }
    }

    /// Bounds how large the database may grow, in pages of it: a commit that needs more is refused as on a full disk. A
    /// bound below its size keeps it from growing. Lasts until the store is closed.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn bound_pages(&self, pages: u32) -> StoreResult<()> {
        let (reply, answer) = oneshot::channel();
        let place = self.place.clone();
        let bound = move |connection: &Connection| {
            let sql = format!("PRAGMA max_page_count = {}", pages.max(1));
            let done = connection.query_row(&sql, [], |_| Ok(()));
            // The caller may have gone away: nobody to tell.
            drop(reply.send(done.map_err(|error| fault::of_sqlite(&error, &place, "bounding the database"))));
        };
        self.writer()?.send(Request::Read(Box::new(bound))).await?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    fn writer(&self) -> StoreResult<&Writer> {
        self.writer.as_ref().ok_or_else(|| StoreError::ReadOnly { place: self.place.clone() })
    }

    /// Where the write-ahead log is, for those who watch its size.
    pub fn wal_path(path: &Path) -> PathBuf {
        let mut name = path.as_os_str().to_owned();
        name.push("-wal");
        PathBuf::from(name)
    }
}

impl Store for SqliteStore {}

#[async_trait]
impl Writes for SqliteStore {
    async fn commit_intake(&self, batch: IntakeBatch) -> StoreResult<IntakeReceipt> {
        let (reply, answer) = oneshot::channel();
        self.writer()?.send(Request::Intake(batch, reply)).await?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    async fn commit_step(&self, commit: StepCommit) -> StoreResult<StepReceipt> {
        let (reply, answer) = oneshot::channel();
        self.writer()?.send(Request::Step(Box::new(commit), reply)).await?;
        answer.await.map_err(|_| StoreError::Closed)?
    }
}
