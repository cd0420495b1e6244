//! A store in a database that speaks SQL.

use std::path::PathBuf;

use async_trait::async_trait;
use tokio::sync::oneshot;

use crate::error::{StoreError, StoreResult};
use crate::logic::fault::Fault;
use crate::logic::requests::Request;
use crate::pool::Pool;
use crate::postgres::ear::Ear;
use crate::postgres::writer::PostgresWriter;
use crate::reads::Store;
use crate::sql::Connection;
use crate::sqlite::writer::SqliteWriter;
use crate::writes::{IntakeBatch, IntakeReceipt, StepCommit, StepReceipt, Writes};

/// A store in SQLite or PostgreSQL. One thread writes; readers have connections of their own.
pub struct SqlStore {
    pub(crate) place: String,
    /// The file, where there is one.
    pub(crate) file: Option<PathBuf>,
    pub(crate) writer: Option<Writer>,
    /// None in memory, where the writer's connection is the only one there is.
    pub(crate) pool: Option<Pool>,
    /// Where other servers may be at work on the database.
    pub(crate) ear: Option<Ear>,
}

/// The thread that writes.
pub(crate) enum Writer {
    /// To SQLite.
    Sqlite(SqliteWriter),
    /// To PostgreSQL.
    Postgres(PostgresWriter),
}

impl Writer {
    /// Hands a request over, waiting for room.
    pub(crate) async fn send(&self, request: Request) -> StoreResult<()> {
        match self {
            Self::Sqlite(writer) => writer.send(request).await,
            Self::Postgres(writer) => writer.send(request).await,
        }
    }

    async fn close(&self) {
        match self {
            Self::Sqlite(writer) => writer.close().await,
            Self::Postgres(writer) => writer.close().await,
        }
    }
}

impl SqlStore {
    /// The file's path, `memory`, or the server and database without the password.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Whether it is in a server's database, which others may use as well.
    pub(crate) const fn is_on_server(&self) -> bool {
        self.file.is_none() && self.pool.is_some()
    }

    /// Finishes what was accepted and closes; SQLite's log is written back. Later calls fail with
    /// [`StoreError::Closed`].
    pub async fn close(&self) {
        if let Some(pool) = &self.pool {
            pool.close().await;
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

    pub(crate) fn writer(&self) -> StoreResult<&Writer> {
        self.writer.as_ref().ok_or_else(|| StoreError::ReadOnly { place: self.place.clone() })
    }
}

impl Store for SqlStore {}

#[async_trait]
impl Writes for SqlStore {
    async fn commit_intake(&self, batch: IntakeBatch) -> StoreResult<IntakeReceipt> {
        let (reply, answer) = oneshot::channel();
        self.writer()?.send(Request::Intake(Box::new(batch), reply)).await?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    async fn commit_step(&self, commit: StepCommit) -> StoreResult<StepReceipt> {
        let (reply, answer) = oneshot::channel();
        self.writer()?.send(Request::Step(Box::new(commit), reply)).await?;
        answer.await.map_err(|_| StoreError::Closed)?
    }
}
