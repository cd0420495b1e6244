//! Running a statement.

use super::{Error, Params, Result, Row, Rows};
use crate::postgres::session::Session;

/// A prepared statement.
pub(crate) enum Statement<'c> {
    /// Of SQLite.
    Sqlite(rusqlite::CachedStatement<'c>),
    /// Of PostgreSQL, prepared when it first runs.
    Postgres {
        /// Where it runs.
        session: &'c Session,
        /// It, in SQLite's dialect.
        sql: &'c str,
    },
}

impl Statement<'_> {
    /// Runs it; says how many rows it changed.
    pub(crate) fn execute(&mut self, parameters: impl Params) -> Result<usize> {
        parameters.bind(|values| match self {
            Self::Sqlite(statement) => Ok(statement.execute(values)?),
            Self::Postgres { session, sql } => Ok(session.execute(sql, values)?),
        })
    }

    /// Runs it where nobody needs to know what came of it: PostgreSQL may do so later, but in its order, and before
    /// anything else is answered. What goes wrong with it then is the next one's error.
    pub(crate) fn defer(&mut self, parameters: impl Params) -> Result<()> {
        parameters.bind(|values| match self {
            Self::Sqlite(statement) => Ok(statement.execute(values).map(drop)?),
            Self::Postgres { session, sql } => Ok(session.defer(sql, values)?),
        })
    }

    /// As [`defer`](Self::defer), for a plain INSERT of a row into a table without triggers and conflicts: rows for the
    /// same statement go together.
    pub(crate) fn append(&mut self, parameters: impl Params) -> Result<()> {
        parameters.bind(|values| match self {
            Self::Sqlite(statement) => Ok(statement.execute(values).map(drop)?),
            Self::Postgres { session, sql } => Ok(session.gather(sql, 0, values)?),
        })
    }

    /// As [`defer`](Self::defer), for an INSERT that may find the row there already, or an UPDATE or DELETE, of one row of a
    /// table without triggers, which the first `key` parameters name: rows for the same statement go together. None of its
    /// parameters may be a value that is worked out, and its first WHERE has to be that of the statement.
    pub(crate) fn gather(&mut self, key: usize, parameters: impl Params) -> Result<()> {
        parameters.bind(|values| match self {
            Self::Sqlite(statement) => Ok(statement.execute(values).map(drop)?),
            Self::Postgres { session, sql } => Ok(session.gather(sql, key, values)?),
        })
    }

    /// Inserts a row; gives the number it got. A table with such numbers has them in its first column.
    pub(crate) fn insert(&mut self, parameters: impl Params) -> Result<i64> {
        parameters.bind(|values| match self {
            Self::Sqlite(statement) => Ok(statement.insert(values)?),
            Self::Postgres { session, sql } => {
                let rows = session.query(&format!("{sql} RETURNING *"), values)?;
                rows.first().map_or(Err(Error::NoRows), |row| Row::Postgres(row).get(0))
            }
        })
    }

    /// Runs a query.
    pub(crate) fn query(&mut self, parameters: impl Params) -> Result<Rows<'_>> {
        parameters.bind(|values| match self {
            Self::Sqlite(statement) => Ok(Rows::Sqlite(statement.query(values)?)),
            Self::Postgres { session, sql } => Ok(Rows::Postgres { rows: session.query(sql, values)?, next: 0 }),
        })
    }

    /// The first row of a query.
    pub(crate) fn query_row<T>(
        &mut self,
        parameters: impl Params,
        read: impl FnOnce(&Row<'_>) -> Result<T>,
    ) -> Result<T> {
        match self.query(parameters)?.next()? {
            Some(row) => read(&row),
            None => Err(Error::NoRows),
        }
    }

    /// All rows of a query.
    pub(crate) fn query_map<T>(
        &mut self,
        parameters: impl Params,
        mut read: impl FnMut(&Row<'_>) -> Result<T>,
    ) -> Result<std::vec::IntoIter<Result<T>>> {
        let mut rows = self.query(parameters)?;
        let mut items = Vec::new();
        while let Some(row) = rows.next()? {
            items.push(read(&row));
        }
        Ok(items.into_iter())
    }

    /// Whether a query finds anything.
    pub(crate) fn exists(&mut self, parameters: impl Params) -> Result<bool> {
        Ok(self.query(parameters)?.next()?.is_some())
    }
}
