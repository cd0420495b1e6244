//! Connections for reading: opened when needed, kept for the next reader, never more than a few.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use crate::error::{StoreError, StoreResult};
use crate::logic::fault::Fault;
use crate::sql::Connection;

/// Longest that closing waits for those who read.
const PATIENCE: Duration = Duration::from_secs(3);

/// Opens a reading connection.
type Open = Box<dyn Fn() -> StoreResult<Connection> + Send + Sync>;

/// A pool of reading connections.
pub(crate) struct Pool {
    shared: Arc<Shared>,
    turns: Arc<Semaphore>,
    readers: u32,
}

struct Shared {
    place: String,
    open: Open,
    idle: Mutex<Vec<(Connection, Instant)>>,
    closed: AtomicBool,
}

impl Pool {
    /// At most `readers` connections at a time, each made by `open`.
    pub(crate) fn new(
        place: String,
        readers: u32,
        open: impl Fn() -> StoreResult<Connection> + Send + Sync + 'static,
    ) -> Self {
        let (idle, closed) = (Mutex::default(), AtomicBool::new(false));
        let shared = Arc::new(Shared { place, open: Box::new(open), idle, closed });
        Self { shared, turns: Arc::new(Semaphore::new(readers as usize)), readers }
    }

    /// Runs `work` on a connection of the pool, off the runtime's threads.
    pub(crate) async fn run<T, F>(&self, context: &'static str, work: F) -> StoreResult<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| StoreError::Closed)?;
        let shared = Arc::clone(&self.shared);
        if shared.is_closed() {
            return Err(StoreError::Closed);
        }
        let task = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let connection = shared.take()?;
            let result = work(&connection).map_err(|fault| fault.into_store(&shared.place, context));
            if !matches!(result, Err(StoreError::Unreachable { .. })) {
                shared.keep(connection);
            }
            result
        });
        task.await.unwrap_or_else(|error| {
            let panicked = StoreError::Engine { context, reason: "it panicked".to_owned() };
            Err(if error.is_panic() { panicked } else { StoreError::Closed })
        })
    }

    /// Closes the connections, when those who read are done; who takes very long closes their own.
    pub(crate) async fn close(&self) {
        self.shared.closed.store(true, Ordering::Release);
        // SQLite writes its log back when the last connection closes, which is to be the writer's.
        let done = tokio::time::timeout(PATIENCE, self.turns.acquire_many(self.readers)).await;
        self.turns.close();
        drop(done);
        self.shared.idle().clear();
    }
}

impl Shared {
    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<(Connection, Instant)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Keeps a connection for the next reader, unless there is none any more.
    fn keep(&self, connection: Connection) {
        let mut idle = self.idle();
        // Looked at under the lock: whoever closes clears what is kept after it said so.
        if !self.is_closed() {
            idle.push((connection, Instant::now()));
        }
    }

    /// A connection that works.
    fn take(&self) -> StoreResult<Connection> {
        loop {
            let kept = self.idle().pop();
            let Some((connection, since)) = kept else { return (self.open)() };
            if connection.answers(since.elapsed()) {
                return Ok(connection);
            }
        }
    }
}
