//! The one thread that writes: it takes what waits, runs all of it in one transaction, and answers after the commit,
//! so that an fsync serves many requests.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use super::fault::of_sqlite;
use crate::error::{StoreError, StoreResult};
use crate::logic::dictionary::Dictionary;
use crate::logic::requests::{Host, QUEUE, Request, serve};
use crate::sql::Connection;
use crate::store::SqlStore;

/// The WAL is written back in the background from this size on, bytes.
const PASSIVE_CHECKPOINT_BYTES: u64 = 16 << 20;
/// The writer pauses to begin the WAL anew once it holds so much, bytes: as soon as the background has written back nearly
/// all of it, so that the pause is short. The file keeps its size, because cutting it takes longer than all the rest.
const EMPTY_WAL_BYTES: u64 = 160 << 20;
/// It waits for that no longer once it holds so much, bytes.
const EMPTY_WAL_ANYWAY_BYTES: u64 = 256 << 20;
/// Bytes of a page with its header in the WAL.
const WAL_FRAME_BYTES: u64 = 4_096 + 24;
/// What may be left for the pause, pages.
const LEFT_FOR_PAUSE: i64 = 1_000;
/// How often the background tries in a row to come that close: each time it writes back what came in meanwhile.
const CATCH_UP: usize = 4;
/// How much the WAL may grow after a reader kept it from being emptied, before that is tried again, bytes.
const RETRY_WAL_BYTES: u64 = 32 << 20;
/// How often the background looks at the WAL's size.
const CHECKPOINT_INTERVAL: Duration = Duration::from_millis(250);

/// The handle of the writing thread.
pub(crate) struct SqliteWriter {
    requests: mpsc::Sender<Request>,
    stop: Arc<AtomicBool>,
    checkpointer: Mutex<Option<JoinHandle<()>>>,
}

impl SqliteWriter {
    /// Starts the thread on a connection that is ready; `file` is the database, unless it is in memory.
    pub(crate) fn start(connection: rusqlite::Connection, place: String, file: Option<PathBuf>) -> StoreResult<Self> {
        let spawn =
            |error: std::io::Error| StoreError::Engine { context: "starting a thread", reason: error.to_string() };
        connection.set_prepared_statement_cache_capacity(128);
        let (requests, inbox) = mpsc::channel(QUEUE);
        let stop = Arc::new(AtomicBool::new(false));
        let backlog = Arc::<Backlog>::default();
        let checkpointer = match &file {
            Some(path) => {
                let (path, stop, backlog) = (path.clone(), Arc::clone(&stop), Arc::clone(&backlog));
                let thread = std::thread::Builder::new().name("uplift-checkpoint".into());
                Some(thread.spawn(move || checkpoint_in_background(&path, &stop, &backlog)).map_err(spawn)?)
            }
            None => None,
        };
        let wal = file.as_deref().map(SqlStore::wal_path);
        let dictionary = Dictionary::default();
        let connection = Connection::Sqlite(connection);
        let state = State { connection, dictionary, place, wal, wal_retry_bytes: 0, backlog };
        std::thread::Builder::new().name("uplift-writer".into()).spawn(move || serve(state, inbox)).map_err(spawn)?;
        Ok(Self { requests, stop, checkpointer: Mutex::new(checkpointer) })
    }

    /// Hands a request over, waiting for room.
    pub(crate) async fn send(&self, request: Request) -> StoreResult<()> {
        self.requests.send(request).await.map_err(|_| StoreError::Closed)
    }

    /// Finishes what was accepted and ends the threads.
    pub(crate) async fn close(&self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.checkpointer.lock().unwrap_or_else(PoisonError::into_inner).take() {
            thread.thread().unpark();
        }
        let (reply, done) = oneshot::channel();
        if self.requests.send(Request::Close(reply)).await.is_ok() {
            // An error means that the thread has ended already.
            drop(done.await);
        }
    }
}

impl Drop for SqliteWriter {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// What the background knows of the WAL.
#[derive(Default)]
struct Backlog {
    /// Bytes it holds.
    held: AtomicU64,
    /// Nearly all of it is written back.
    caught_up: AtomicBool,
}

/// Writes the WAL back without stopping anybody, on a connection of its own.
fn checkpoint_in_background(path: &Path, stop: &AtomicBool, backlog: &Backlog) {
    let wal = SqlStore::wal_path(path);
    let mut connection = None;
    let mut failing = false;
    while !stop.load(Ordering::Relaxed) {
        std::thread::park_timeout(CHECKPOINT_INTERVAL);
        if wal.metadata().map_or(0, |meta| meta.len()) < PASSIVE_CHECKPOINT_BYTES {
            continue;
        }
        if connection.is_none() {
            connection = rusqlite::Connection::open(path).ok();
        }
        let Some(connection) = &connection else { continue };
        for _ in 0..CATCH_UP {
            let done = write_back(connection);
            // Once for each spell, not four times a second. A full disk ends some time, and so does this.
            if let Err(error) = &done
                && !failing
            {
                tracing::warn!(%error, "the write-ahead log could not be written back; it will be tried again");
            }
            failing = done.is_err();
            let Ok((held, left)) = done else { break };
            backlog.held.store(held, Ordering::Relaxed);
            backlog.caught_up.store(left <= LEFT_FOR_PAUSE, Ordering::Relaxed);
            if left <= LEFT_FOR_PAUSE || held < EMPTY_WAL_BYTES || stop.load(Ordering::Relaxed) {
                break;
            }
        }
    }
}

/// Writes back what the WAL holds, without stopping anybody. Returns how many bytes it holds, and how many pages of it
/// are left.
fn write_back(connection: &rusqlite::Connection) -> rusqlite::Result<(u64, i64)> {
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| {
        let (held, written): (i64, i64) = (row.get(1)?, row.get(2)?);
        Ok((held.max(0) as u64 * WAL_FRAME_BYTES, held - written))
    })
}

struct State {
    connection: Connection,
    dictionary: Dictionary,
    place: String,
    wal: Option<PathBuf>,
    wal_retry_bytes: u64,
    backlog: Arc<Backlog>,
}

impl Host for State {
    fn place(&self) -> &str {
        &self.place
    }

    fn connection(&self) -> Result<&Connection, StoreError> {
        Ok(&self.connection)
    }

    fn desk(&mut self) -> Result<(&Connection, &mut Dictionary), StoreError> {
        Ok((&self.connection, &mut self.dictionary))
    }

    fn forget(&mut self) {
        self.dictionary = Dictionary::default();
    }

    fn begin(&mut self) -> StoreResult<()> {
        self.run("BEGIN IMMEDIATE", "beginning a transaction")
    }

    fn commit(&mut self) -> StoreResult<()> {
        self.run("COMMIT", "committing")
    }

    fn is_within(&self) -> bool {
        !self.sqlite().is_autocommit()
    }

    fn rest(&mut self) {
        self.restart_long_wal();
    }

    fn finish(&mut self) {
        if self.wal.is_some()
            && let Err(error) = self.sqlite().query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        {
            // Nothing is lost: the next opening reads the WAL.
            tracing::debug!(%error, "the write-ahead log was left as it is");
        }
    }
}

impl State {
    fn sqlite(&self) -> &rusqlite::Connection {
        match &self.connection {
            Connection::Sqlite(connection) => connection,
            Connection::Postgres(_) => unreachable!("this writer was started with a connection of SQLite's"),
        }
    }

    fn run(&self, sql: &str, context: &'static str) -> StoreResult<()> {
        self.sqlite().execute_batch(sql).map_err(|error| of_sqlite(&error, &self.place, context))
    }

    /// Pauses to begin the WAL anew. Never waits for a reader: one that is in the middle of something leaves it for the
    /// next time.
    fn restart_long_wal(&mut self) {
        let held = self.backlog.held.load(Ordering::Relaxed);
        let enough =
            if self.backlog.caught_up.load(Ordering::Relaxed) { EMPTY_WAL_BYTES } else { EMPTY_WAL_ANYWAY_BYTES };
        if self.wal.is_none() || held < enough.max(self.wal_retry_bytes) {
            return;
        }
        let began = Instant::now();
        let restarted = self
            .sqlite()
            .busy_timeout(Duration::ZERO)
            .and_then(|()| self.sqlite().query_row("PRAGMA wal_checkpoint(RESTART)", [], |row| row.get::<_, i64>(0)));
        if let Err(error) = self.sqlite().busy_timeout(super::BUSY_TIMEOUT) {
            tracing::warn!(%error, "the busy timeout could not be set");
        }
        tracing::debug!(took = ?began.elapsed(), held, "the writer paused to begin the write-ahead log anew");
        self.wal_retry_bytes = match restarted {
            Ok(0) => {
                self.backlog.held.store(0, Ordering::Relaxed);
                0
            }
            // A reader was in the way: not worth another try at the very next commit.
            Ok(_) => held + RETRY_WAL_BYTES,
            Err(error) => {
                tracing::warn!(%error, "the write-ahead log is long and could not be begun anew");
                held + RETRY_WAL_BYTES
            }
        };
    }
}
