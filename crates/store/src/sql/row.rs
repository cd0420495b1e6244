//! What comes back from a query.

use super::{Error, FromSql, Result, ValueRef};
use crate::postgres::values::Cell;

/// A row of a result.
pub(crate) enum Row<'r> {
    /// Of SQLite.
    Sqlite(&'r rusqlite::Row<'r>),
    /// Of PostgreSQL.
    Postgres(&'r tokio_postgres::Row),
}

impl Row<'_> {
    /// A column, by its place from 0.
    pub(crate) fn get<T: FromSql>(&self, column: usize) -> Result<T> {
        match self {
            Self::Sqlite(row) => Ok(row.get(column)?),
            Self::Postgres(_) => {
                let value = self.get_ref(column)?;
                T::column_result(value).map_err(|error| Error::Column { column, reason: error.to_string() })
            }
        }
    }

    /// A column as it is stored.
    pub(crate) fn get_ref(&self, column: usize) -> Result<ValueRef<'_>> {
        match self {
            Self::Sqlite(row) => Ok(row.get_ref(column)?),
            Self::Postgres(row) => row
                .try_get::<_, Cell<'_>>(column)
                .map(|cell| cell.0)
                .map_err(|error| Error::Column { column, reason: crate::postgres::session::reason_of(&error) }),
        }
    }
}

/// The rows of a result, one by one.
pub(crate) enum Rows<'s> {
    /// Of SQLite, read as they are asked for.
    Sqlite(rusqlite::Rows<'s>),
    /// Of PostgreSQL, which are all here.
    Postgres {
        /// The rows.
        rows: Vec<tokio_postgres::Row>,
        /// The next one.
        next: usize,
    },
}

impl Rows<'_> {
    /// The next row.
    pub(crate) fn next(&mut self) -> Result<Option<Row<'_>>> {
        Ok(match self {
            Self::Sqlite(rows) => rows.next()?.map(Row::Sqlite),
            Self::Postgres { rows, next } => {
                *next += 1;
                rows.get(*next - 1).map(Row::Postgres)
            }
        })
    }
}
