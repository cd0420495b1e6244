//! A database's errors, read as ours.

use crate::error::StoreError;
use crate::postgres::session::Refusal;
use crate::sql::Error;
use crate::sqlite::fault::of_sqlite;

/// An error on its way out of a closure over a connection.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The database said no.
    Sql(Error),
    /// We did.
    Store(StoreError),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Sql(error)
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        Self::Sql(refusal.into())
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Fault {
    /// The error for callers: `place` is the database, `context` what was being done.
    pub(crate) fn into_store(self, place: &str, context: &'static str) -> StoreError {
        match self {
            Self::Store(error) => error,
            Self::Sql(Error::Sqlite(error)) => of_sqlite(&error, place, context),
            Self::Sql(Error::Postgres(refusal)) => refusal.into_store(place, context),
            Self::Sql(error) => StoreError::Engine { context, reason: error.to_string() },
        }
    }
}

/// What is stored in a column cannot be read as `what`.
pub(crate) fn corrupt(what: &'static str, reason: impl ToString) -> Fault {
    Fault::Store(StoreError::Corrupt { place: "the database".to_owned(), what, reason: reason.to_string() })
}
