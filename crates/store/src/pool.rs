//! Connections for reading: opened when needed, kept for the next reader, never more than a few.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::Semaphore;

use crate::error::{StoreError, StoreResult};
use crate::logic::fault::Fault;
use crate::sql::Connection;

/// Opens a reading connection.
type Open = Box<dyn Fn() -> StoreResult<Connection> + Send + Sync>;

/// A pool of reading connections.
pub(crate) struct Pool {
    shared: Arc<Shared>,
    turns: Arc<Semaphore>,
}

struct Shared {
    place: String,
    open: Open,
    idle: Mutex<Vec<(Connection, Instant)>>,
}

impl Pool {
    /// At most `readers` connections at a time, each made by `open`.
    pub(crate) fn new(
        place: String,
        readers: usize,
        open: impl Fn() -> StoreResult<Connection> + Send + Sync + 'static,
    ) -> Self {
        let shared = Arc::new(Shared { place, open: Box::new(open), idle: Mutex::default() });
        Self { shared, turns: Arc::new(Semaphore::new(readers)) }
    }

    /// Runs `work` on a connection of the pool, off the runtime's threads.
    pub(crate) async fn run<T, F>(&self, context: &'static str, work: F) -> StoreResult<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| StoreError::Closed)?;
        let shared = Arc::clone(&self.shared);
        let task = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let connection = shared.take()?;
            let result = work(&connection).map_err(|fault| fault.into_store(&shared.place, context));
            if !matches!(result, Err(StoreError::Unreachable { .. })) {
                shared.idle().push((connection, Instant::now()));
            }
            result
        });
        task.await.unwrap_or_else(|error| {
            let panicked = StoreError::Engine { context, reason: "it panicked".to_owned() };
            Err(if error.is_panic() { panicked } else { StoreError::Closed })
        })
    }

    /// Closes the idle connections.
    pub(crate) fn close(&self) {
        self.turns.close();
        self.shared.idle().clear();
    }
}

impl Shared {
    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<(Connection, Instant)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
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
