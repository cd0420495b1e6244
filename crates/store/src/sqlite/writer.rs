//! The one thread that writes: it takes what waits, runs all of it in one transaction, and answers after the commit,
//! so that an fsync serves many requests.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::dictionary::Dictionary;
use super::fault::{Fault, of_sqlite};
use super::{SqliteStore, intake, step};
use crate::error::{StoreError, StoreResult};
use crate::writes::{IntakeBatch, IntakeReceipt, StepCommit, StepReceipt};

/// Requests that may wait for the writer; more wait in their senders.
const QUEUE: usize = 256;
/// Most events in one transaction: bounds how long a request waits for the others in its commit.
const EVENTS_PER_COMMIT: usize = 8_000;
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
/// A commit that takes longer is worth a line in the log.
const LONG_COMMIT: Duration = Duration::from_millis(50);
/// How much the WAL may grow after a reader kept it from being emptied, before that is tried again, bytes.
const RETRY_WAL_BYTES: u64 = 32 << 20;
/// How often the background looks at the WAL's size.
const CHECKPOINT_INTERVAL: Duration = Duration::from_millis(250);

/// Work that only reads, on the writer's connection.
type Read = Box<dyn FnOnce(&Connection) + Send>;

/// What the writer can be asked for.
pub(super) enum Request {
    /// Take in events.
    Intake(IntakeBatch, oneshot::Sender<StoreResult<IntakeReceipt>>),
    /// Write what a step decided.
    Step(Box<StepCommit>, oneshot::Sender<StoreResult<StepReceipt>>),
    /// Read, where there is only one connection.
    Read(Read),
    /// Finish.
    Close(oneshot::Sender<()>),
}

/// The handle of the writing thread.
pub(super) struct Writer {
    requests: mpsc::Sender<Request>,
    stop: Arc<AtomicBool>,
    checkpointer: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    /// Starts the thread on a connection that is ready; `file` is the database, unless it is in memory.
    pub(super) fn start(connection: Connection, place: String, file: Option<PathBuf>) -> StoreResult<Self> {
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
        let wal = file.as_deref().map(SqliteStore::wal_path);
        let dictionary = Dictionary::default();
        let state = State { connection, dictionary, place, wal, wal_retry_bytes: 0, backlog };
        std::thread::Builder::new().name("uplift-writer".into()).spawn(move || state.run(inbox)).map_err(spawn)?;
        Ok(Self { requests, stop, checkpointer: Mutex::new(checkpointer) })
    }

    /// Hands a request over, waiting for room.
    pub(super) async fn send(&self, request: Request) -> StoreResult<()> {
        self.requests.send(request).await.map_err(|_| StoreError::Closed)
    }

    /// Finishes what was accepted and ends the threads.
    pub(super) async fn close(&self) {
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

impl Drop for Writer {
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
    let wal = SqliteStore::wal_path(path);
    let mut connection = None;
    let mut failing = false;
    while !stop.load(Ordering::Relaxed) {
        std::thread::park_timeout(CHECKPOINT_INTERVAL);
        if wal.metadata().map_or(0, |meta| meta.len()) < PASSIVE_CHECKPOINT_BYTES {
            continue;
        }
        if connection.is_none() {
            connection = Connection::open(path).ok();
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
fn write_back(connection: &Connection) -> rusqlite::Result<(u64, i64)> {
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

/// An answer that waits for the commit.
enum Answer {
    Intake(oneshot::Sender<StoreResult<IntakeReceipt>>, StoreResult<IntakeReceipt>),
    Step(oneshot::Sender<StoreResult<StepReceipt>>, StoreResult<StepReceipt>),
}

impl Answer {
    /// Tells the caller; `commit` is the fate of the transaction.
    fn send(self, commit: Result<(), &StoreError>) {
        // A caller that has gone away is nobody to tell.
        match self {
            Self::Intake(to, result) => drop(to.send(commit.map_err(Clone::clone).and(result))),
            Self::Step(to, result) => drop(to.send(commit.map_err(Clone::clone).and(result))),
        }
    }
}

/// A panic in one request must not end the only thread that writes: it becomes that request's error.
fn guarded<T>(work: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).unwrap_or_else(|_| {
        let reason = "it panicked; nothing of it was written".to_owned();
        Err(StoreError::Engine { context: "writing", reason }.into())
    })
}

impl State {
    fn run(mut self, mut inbox: mpsc::Receiver<Request>) {
        while let Some(first) = inbox.blocking_recv() {
            let mut next = Some(first);
            while let Some(request) = next.take() {
                match request {
                    Request::Read(work) => work(&self.connection),
                    Request::Close(reply) => {
                        inbox.close();
                        while let Ok(left) = inbox.try_recv() {
                            self.group(left, &mut inbox);
                        }
                        self.finish();
                        // Whoever asked may have gone away.
                        let _gone = reply.send(());
                        return;
                    }
                    write => next = self.group(write, &mut inbox),
                }
            }
        }
        self.finish();
    }

    /// Runs `first` and what waits behind it in one transaction. Returns a request that does not belong to it.
    fn group(&mut self, first: Request, inbox: &mut mpsc::Receiver<Request>) -> Option<Request> {
        let mut left = None;
        let mut answers = Vec::new();
        let begun = self.connection.execute_batch("BEGIN IMMEDIATE");
        let mut fate = begun.map_err(|error| of_sqlite(&error, &self.place, "beginning a transaction"));
        let (began, mut events, mut next) = (Instant::now(), 0, Some(first));
        while let Some(request) = next.take() {
            match request {
                Request::Intake(batch, reply) => {
                    events += batch.events.len();
                    let result = self.within(&mut fate, |state| state.intake(&batch));
                    answers.push(Answer::Intake(reply, result));
                }
                Request::Step(commit, reply) => {
                    let result = self.within(&mut fate, |state| state.step(&commit));
                    answers.push(Answer::Step(reply, result));
                }
                other => {
                    left = Some(other);
                    break;
                }
            }
            if events < EVENTS_PER_COMMIT && fate.is_ok() {
                next = inbox.try_recv().ok();
            }
        }
        if fate.is_ok() {
            let committed = self.connection.execute_batch("COMMIT");
            fate = committed.map_err(|error| of_sqlite(&error, &self.place, "committing"));
        }
        if fate.is_err() {
            self.roll_back();
        }
        let (took, requests) = (began.elapsed(), answers.len());
        if took > LONG_COMMIT {
            tracing::debug!(?took, requests, events, "a commit took long");
        }
        for answer in answers {
            answer.send(fate.as_ref().copied());
        }
        self.restart_long_wal();
        left
    }

    /// Runs one request within the transaction, undoing only it when it fails; where the failure took the whole
    /// transaction with it (a full disk does), that becomes the fate of all.
    fn within<T>(
        &mut self,
        fate: &mut StoreResult<()>,
        work: impl FnOnce(&mut Self) -> Result<T, Fault>,
    ) -> StoreResult<T> {
        if let Err(error) = fate {
            return Err(error.clone());
        }
        let result = self
            .connection
            .execute_batch("SAVEPOINT request")
            .map_err(Fault::from)
            .and_then(|()| guarded(|| work(self)))
            .and_then(|value| Ok(self.connection.execute_batch("RELEASE request").map(|()| value)?));
        result.map_err(|fault| {
            let error = fault.into_store(&self.place, "writing");
            // What the failed request put into the caches is not in the database.
            self.dictionary = Dictionary::default();
            let undone = self.connection.execute_batch("ROLLBACK TO request; RELEASE request");
            if self.connection.is_autocommit() || undone.is_err() {
                *fate = Err(error.clone());
            }
            error
        })
    }

    fn intake(&mut self, batch: &IntakeBatch) -> Result<IntakeReceipt, Fault> {
        intake::commit(&self.connection, &mut self.dictionary, batch)
    }

    fn step(&mut self, commit: &StepCommit) -> Result<StepReceipt, Fault> {
        step::commit(&self.connection, &mut self.dictionary, commit)
    }

    fn roll_back(&mut self) {
        self.dictionary = Dictionary::default();
        if !self.connection.is_autocommit()
            && let Err(error) = self.connection.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, "a failed transaction could not be rolled back");
        }
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
        let restarted = self.connection.busy_timeout(Duration::ZERO).and_then(|()| {
            self.connection.query_row("PRAGMA wal_checkpoint(RESTART)", [], |row| row.get::<_, i64>(0))
        });
        if let Err(error) = self.connection.busy_timeout(super::BUSY_TIMEOUT) {
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

    fn finish(&self) {
        if self.wal.is_some()
            && let Err(error) = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        {
            // Nothing is lost: the next opening reads the WAL.
            tracing::debug!(%error, "the write-ahead log was left as it is");
        }
    }
}
