//! Connections for reading: opened when needed, kept for the next reader, never more than a few.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, OpenFlags};
use tokio::sync::Semaphore;

use super::fault::{Fault, of_sqlite};
use crate::error::{StoreError, StoreResult};

/// Most readers at a time.
const READERS: usize = 4;

/// A pool of reading connections.
pub(super) struct Pool {
    path: PathBuf,
    place: String,
    idle: Arc<Mutex<Vec<Connection>>>,
    turns: Arc<Semaphore>,
}

impl Pool {
    pub(super) fn new(path: PathBuf, place: String) -> Self {
        Self { path, place, idle: Arc::default(), turns: Arc::new(Semaphore::new(READERS)) }
    }

    /// Runs `work` on a connection of the pool, off the runtime's threads.
    pub(super) async fn run<T, F>(&self, context: &'static str, work: F) -> StoreResult<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| StoreError::Closed)?;
        let (path, place, idle) = (self.path.clone(), self.place.clone(), Arc::clone(&self.idle));
        let task = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let kept = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let connection = match kept {
                Some(connection) => connection,
                None => open_reader(&path, &place)?,
            };
            let result = work(&connection).map_err(|fault| fault.into_store(&place, context));
            idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
            result
        });
        task.await.unwrap_or_else(|error| {
            let panicked = StoreError::Engine { context, reason: "it panicked".to_owned() };
            Err(if error.is_panic() { panicked } else { StoreError::Closed })
        })
    }

    /// Closes the idle connections.
    pub(super) fn close(&self) {
        self.turns.close();
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// A connection that can only read.
pub(super) fn open_reader(path: &std::path::Path, place: &str) -> StoreResult<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let ready = Connection::open_with_flags(path, flags).and_then(|connection| {
        connection.busy_timeout(super::BUSY_TIMEOUT)?;
        super::keep_plans(&connection)?;
        connection.execute_batch("PRAGMA query_only = ON; PRAGMA cache_size = -4096; PRAGMA temp_store = MEMORY;")?;
        connection.set_prepared_statement_cache_capacity(64);
        Ok(connection)
    });
    ready.map_err(|error| of_sqlite(&error, place, "opening a reader"))
}
