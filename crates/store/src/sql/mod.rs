//! One way to talk to a database that speaks SQL, whichever it is.
//!
//! The engines share their statements: what they do is written once, in `logic`, on the types of this module. These have
//! the shape of rusqlite's, whose traits for values in and out ([`ToSql`], [`FromSql`]) are used as they are: a value is
//! an integer, a number, a text, bytes or nothing. Statements are written in SQLite's dialect as far as PostgreSQL
//! understands it; what remains is translated (`dialect`), or written twice where it is used ([`Connection::either`]).
//!
//! - `params`: what is bound to a statement.
//! - `row`: what comes back.
//! - `statement`: running one.
//! - `dialect`: SQLite's statements as PostgreSQL reads them.

mod dialect;
mod params;
mod row;
mod statement;

use std::time::Duration;

use crate::postgres::session::{Refusal, Session};

pub(crate) use self::dialect::translate;
pub(crate) use self::params::Params;
pub(crate) use self::row::{Row, Rows};
pub(crate) use self::statement::Statement;
pub(crate) use rusqlite::params;
pub(crate) use rusqlite::types::{FromSql, ToSql, ToSqlOutput, Value, ValueRef};

/// How long an idle connection to a server is taken to be in order.
const TRUSTED: Duration = Duration::from_secs(2);

/// The result of a call to a database.
pub(crate) type Result<T> = std::result::Result<T, Error>;

/// What a database said.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// SQLite said no.
    #[error(transparent)]
    Sqlite(rusqlite::Error),
    /// PostgreSQL said no, or was not to be reached.
    #[error(transparent)]
    Postgres(Refusal),
    /// A row was expected and there is none.
    #[error("the query returned no rows")]
    NoRows,
    /// What a column holds is not what is read.
    #[error("column {column}: {reason}")]
    Column {
        /// Its place, from 0.
        column: usize,
        /// Why.
        reason: String,
    },
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::Error as Said;
        match error {
            Said::QueryReturnedNoRows => Self::NoRows,
            error @ (Said::InvalidColumnType(column, ..)
            | Said::FromSqlConversionFailure(column, ..)
            | Said::IntegralValueOutOfRange(column, _)
            | Said::Utf8Error(column, _)) => Self::Column { column, reason: error.to_string() },
            error => Self::Sqlite(error),
        }
    }
}

impl From<Refusal> for Error {
    fn from(error: Refusal) -> Self {
        Self::Postgres(error)
    }
}

/// A connection to one of the databases. Not shared between threads.
pub(crate) enum Connection {
    /// To a file, or to memory.
    Sqlite(rusqlite::Connection),
    /// To a server.
    Postgres(Box<Session>),
}

impl Connection {
    /// A statement, prepared once a connection.
    pub(crate) fn prepare_cached<'c>(&'c self, sql: &'c str) -> Result<Statement<'c>> {
        Ok(match self {
            Self::Sqlite(connection) => Statement::Sqlite(connection.prepare_cached(sql)?),
            Self::Postgres(session) => Statement::Postgres { session, sql },
        })
    }

    /// The first row of a query.
    pub(crate) fn query_row<T>(
        &self,
        sql: &str,
        parameters: impl Params,
        read: impl FnOnce(&Row<'_>) -> Result<T>,
    ) -> Result<T> {
        self.prepare_cached(sql)?.query_row(parameters, read)
    }

    /// Runs statements without parameters.
    pub(crate) fn execute_batch(&self, sql: &str) -> Result<()> {
        match self {
            Self::Sqlite(connection) => Ok(connection.execute_batch(sql)?),
            Self::Postgres(session) => Ok(session.batch(sql)?),
        }
    }

    /// Runs a statement without parameters, as [`Statement::defer`] does.
    pub(crate) fn defer_batch(&self, sql: &'static str) -> Result<()> {
        match self {
            Self::Sqlite(connection) => Ok(connection.execute_batch(sql)?),
            Self::Postgres(session) => {
                session.defer_batch(sql);
                Ok(())
            }
        }
    }

    /// Forgets what was deferred: the transaction is given up.
    pub(crate) fn forget_deferred(&self) {
        if let Self::Postgres(session) = self {
            session.forget_deferred();
        }
    }

    /// Waits until what was deferred is done.
    pub(crate) fn settle(&self) -> Result<()> {
        match self {
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(session) => Ok(session.settle()?),
        }
    }

    /// Whether every question to the database is a message to a server and back.
    pub(crate) const fn is_remote(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }

    /// One state of the database for all that is read until the snapshot goes.
    pub(crate) fn snapshot(&self) -> Result<Snapshot<'_>> {
        self.execute_batch(self.either("BEGIN", "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"))?;
        Ok(Snapshot(self))
    }

    /// Whether it still works after having lain idle for so long.
    pub(crate) fn answers(&self, idle: Duration) -> bool {
        match self {
            Self::Sqlite(_) => true,
            Self::Postgres(session) => !session.is_closed() && (idle < TRUSTED || session.batch("").is_ok()),
        }
    }

    /// A query for the texts in a JSON list, which is bound to a parameter such as `?4`.
    pub(crate) fn elements(&self, parameter: &str) -> String {
        match self {
            Self::Sqlite(_) => format!("SELECT value FROM json_each({parameter})"),
            Self::Postgres(_) => format!("SELECT json_array_elements_text(CAST({parameter} AS json))"),
        }
    }

    /// A table `name` with a column `value` of the lists in a JSON list, which is bound to a parameter such as `?1`.
    pub(crate) fn each(&self, parameter: &str, name: &str) -> String {
        match self {
            Self::Sqlite(_) => format!("json_each({parameter}) AS {name}"),
            Self::Postgres(_) => format!("json_array_elements(CAST({parameter} AS json)) AS {name} (value)"),
        }
    }

    /// Which of two wordings is for this database.
    pub(crate) fn either<T>(&self, sqlite: T, postgres: T) -> T {
        match self {
            Self::Sqlite(_) => sqlite,
            Self::Postgres(_) => postgres,
        }
    }
}

/// A transaction that only reads.
pub(crate) struct Snapshot<'c>(&'c Connection);

impl std::ops::Deref for Snapshot<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.0
    }
}

impl Drop for Snapshot<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.0.execute_batch("ROLLBACK") {
            tracing::debug!(%error, "a snapshot could not be let go");
        }
    }
}

/// Nothing in place of an error that there is no row.
pub(crate) trait OptionalExtension<T> {
    /// The row, if there is one.
    fn optional(self) -> Result<Option<T>>;
}

impl<T> OptionalExtension<T> for Result<T> {
    fn optional(self) -> Result<Option<T>> {
        match self {
            Ok(value) => Ok(Some(value)),
            Err(Error::NoRows) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
