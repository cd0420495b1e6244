//! One of the two databases.

use crate::error::{StoreError, StoreResult};
use crate::logic::fault::Fault;
use crate::postgres::session::Session;
use crate::sql::{Connection, Error};

/// What PostgreSQL says where a right is missing.
const NO_RIGHT: &str = "42501";
/// What the user needs on the server.
const RIGHTS: &str = "its user has to own the schema and the tables in it, which are made, filled and emptied, while their \
    triggers are held back";

/// A connection, and how to name the database to people.
pub(super) struct Side {
    pub(super) connection: Connection,
    pub(super) place: String,
}

impl Side {
    /// Does something with the connection; an error says what was being done.
    pub(super) fn ask<T>(
        &self,
        context: &'static str,
        work: impl FnOnce(&Connection) -> Result<T, Fault>,
    ) -> StoreResult<T> {
        work(&self.connection).map_err(|fault| self.said(fault, context))
    }

    /// The same, where the connection is to a server.
    pub(super) fn ask_server<T>(
        &self,
        context: &'static str,
        work: impl FnOnce(&Session) -> Result<T, Fault>,
    ) -> StoreResult<T> {
        match &self.connection {
            Connection::Postgres(session) => work(session).map_err(|fault| self.said(fault, context)),
            Connection::Sqlite(_) => {
                Err(StoreError::Engine { context, reason: format!("{} is no server", self.place) })
            }
        }
    }

    fn said(&self, fault: Fault, context: &'static str) -> StoreError {
        match fault {
            Fault::Sql(Error::Postgres(refusal)) if refusal.code() == Some(NO_RIGHT) => {
                missing_right(self.place.clone(), &refusal.to_string())
            }
            fault => fault.into_store(&self.place, context),
        }
    }
}

/// The error for a right that the user does not have.
pub(super) fn missing_right(place: String, said: &str) -> StoreError {
    StoreError::Open { place, reason: format!("{said}: {RIGHTS}") }
}

/// A name as statements of both databases take it.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Names, as statements list them.
pub(super) fn listed<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    names.into_iter().map(quoted).collect::<Vec<_>>().join(", ")
}
