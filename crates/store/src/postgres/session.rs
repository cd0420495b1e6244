//! A connection to PostgreSQL that is called like a library: the caller waits, on a thread that may.
//!
//! - `bulk`: many rows at once.

mod bulk;

use std::cell::RefCell;
use std::collections::HashMap;
use std::error::Error as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use rusqlite::types::ToSql as ToValue;
use tokio::runtime::Runtime;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row, Statement};

use super::rows::Rows;
use super::tls::Server;
use super::values::{Bound, Mismatch, Owned, widened};
use crate::error::StoreError;
use crate::sql::translate;

/// Statements kept prepared; beyond them all are forgotten, which costs a round trip each.
const STATEMENTS: usize = 512;

/// What PostgreSQL refused, or why it was not reached.
#[derive(Debug, thiserror::Error)]
#[error("{}", reason_of(.0))]
pub(crate) struct Refusal(tokio_postgres::Error);

/// What an error says, with what caused it.
pub(crate) fn reason_of(error: &tokio_postgres::Error) -> String {
    if let Some(said) = error.as_db_error() {
        let detail = said.detail().map(|detail| format!(" ({detail})")).unwrap_or_default();
        return format!("{}{detail} [{}]", said.message(), said.code().code());
    }
    let mut reason = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        reason = format!("{reason}: {error}");
        cause = error.source();
    }
    reason
}

impl From<tokio_postgres::Error> for Refusal {
    fn from(error: tokio_postgres::Error) -> Self {
        Self(error)
    }
}

impl Refusal {
    /// The server's code of five characters; none where the server said nothing.
    pub(crate) fn code(&self) -> Option<&str> {
        self.0.code().map(tokio_postgres::error::SqlState::code)
    }

    /// The error for callers: `place` is the database, `context` what was being done.
    pub(crate) fn into_store(self, place: &str, context: &'static str) -> StoreError {
        let place = place.to_owned();
        let reason = reason_of(&self.0);
        let Some(code) = self.0.code() else {
            return if self.is_of_a_value() {
                StoreError::Engine { context, reason }
            } else {
                StoreError::Unreachable { place, reason }
            };
        };
        match code.code() {
            "53100" => StoreError::DiskFull { place },
            "25006" | "42501" => StoreError::ReadOnly { place },
            // Deadlocks, serialization, lock timeouts: whoever tries again finds the way free.
            "40001" | "40P01" | "55P03" => StoreError::Busy { place },
            // Shutting down, starting up, no more connections, or the session was ended by an operator or a timeout.
            "57P01" | "57P02" | "57P03" | "57P05" | "25P03" | "53300" => StoreError::Unreachable { place, reason },
            "28P01" | "28000" | "3D000" => StoreError::Open { place, reason },
            "XX001" | "XX002" => StoreError::Corrupt { place, what: "pages", reason },
            _ => StoreError::Engine { context, reason },
        }
    }

    /// Whether a value could not be sent or read: nothing is wrong with the connection.
    fn is_of_a_value(&self) -> bool {
        self.0.source().is_some_and(|cause| cause.is::<Mismatch>() || cause.is::<tokio_postgres::types::WrongType>())
    }
}

/// A connection.
pub(crate) struct Session {
    /// Drives the connection while somebody waits for an answer. None only while it is dropped.
    runtime: Option<Runtime>,
    client: Arc<Client>,
    statements: RefCell<HashMap<String, Statement>>,
    /// Sent, and not answered yet.
    sent: RefCell<Vec<Answer>>,
    /// Rows that go together, by statement; sent before anything that could see them.
    rows: RefCell<Vec<Rows>>,
}

/// What a statement that was sent will come to.
type Answer = Pin<Box<dyn Future<Output = Result<u64, tokio_postgres::Error>> + Send>>;

impl Session {
    /// Connects.
    pub(crate) fn open(server: &Server) -> Result<Self, StoreError> {
        let place = server.place();
        let refused = |error| StoreError::Open { place: place.to_owned(), reason: reason_of(&error) };
        let built = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime =
            built.map_err(|error| StoreError::Open { place: place.to_owned(), reason: error.to_string() })?;
        let (client, connection) = runtime.block_on(server.connect()).map_err(refused)?;
        runtime.spawn(async move {
            // Whoever asks for something next is told what happened.
            if let Err(error) = connection.await {
                tracing::debug!(reason = reason_of(&error), "a connection to the database ended");
            }
        });
        let (client, statements) = (Arc::new(client), RefCell::default());
        Ok(Self { runtime: Some(runtime), client, statements, sent: RefCell::default(), rows: RefCell::default() })
    }

    /// Whether the connection has ended.
    pub(crate) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    fn wait<T>(&self, work: impl Future<Output = Result<T, tokio_postgres::Error>>) -> Result<T, Refusal> {
        match &self.runtime {
            Some(runtime) => runtime.block_on(work).map_err(Refusal),
            None => unreachable!("the runtime is there until the session is dropped"),
        }
    }

    /// Waits for an answer, and first for those to what was sent before: the first failure is what is told.
    fn wait_in_turn<T>(&self, work: impl Future<Output = Result<T, tokio_postgres::Error>>) -> Result<T, Refusal> {
        let sent = std::mem::take(&mut *self.sent.borrow_mut());
        if sent.is_empty() {
            return self.wait(work);
        }
        self.wait(async {
            // Both are under way at once, in the order in which they were sent.
            let (before, answer) = futures::future::join(futures::future::join_all(sent), work).await;
            before.into_iter().collect::<Result<Vec<u64>, _>>()?;
            answer
        })
    }

    /// Runs statements without parameters.
    pub(crate) fn batch(&self, sql: &str) -> Result<(), Refusal> {
        self.send_rows(|_| true)?;
        self.wait_in_turn(self.client.batch_execute(sql))
    }

    /// Runs statements without parameters, some time before the next answer.
    pub(crate) fn defer_batch(&self, sql: &'static str) {
        let client = Arc::clone(&self.client);
        self.send(Box::pin(async move { client.batch_execute(sql).await.map(|()| 0) }));
    }

    /// Runs a statement in SQLite's dialect; says how many rows it changed.
    pub(crate) fn execute(&self, sql: &str, values: &[&dyn ToValue]) -> Result<usize, Refusal> {
        self.send_rows(|_| true)?;
        let statement = self.prepare(sql)?;
        let values = Bound::of(values);
        self.wait_in_turn(self.client.execute_raw(&statement, &values)).map(|rows| rows as usize)
    }

    /// Runs a query in SQLite's dialect.
    pub(crate) fn query(&self, sql: &str, values: &[&dyn ToValue]) -> Result<Vec<Row>, Refusal> {
        use futures::TryStreamExt;
        self.send_rows(|_| true)?;
        let statement = self.prepare(sql)?;
        let values = Bound::of(values);
        self.wait_in_turn(async { self.client.query_raw(&statement, &values).await?.try_collect().await })
    }

    /// Sends a statement in SQLite's dialect. Whatever waits for an answer next waits for this one's, too.
    pub(crate) fn defer(&self, sql: &str, values: &[&dyn ToValue]) -> Result<(), Refusal> {
        self.send_rows(|rows| rows.are_meant_by(sql))?;
        let statement = self.prepare(sql)?;
        let values: Vec<Owned> = values.iter().map(|value| Owned::of(*value)).collect();
        let client = Arc::clone(&self.client);
        self.send(Box::pin(async move { client.execute_raw(&statement, &values).await }));
        Ok(())
    }

    /// Adds a row to those of a statement in SQLite's dialect that go together. The first `key` values name a row that may
    /// be there already; with 0 the rows are new, and nothing else that waits means them.
    pub(crate) fn gather(&self, sql: &str, key: usize, values: &[&dyn ToValue]) -> Result<(), Refusal> {
        let row: Vec<Owned> = values.iter().map(|value| Owned::of(*value)).collect();
        let found = self.rows.borrow().iter().find(|rows| rows.is_for(sql)).map(|rows| rows.has(&row));
        if found != Some(false) {
            let mut rows = Rows::of(sql, self.prepare(sql)?.params(), key);
            // What is there already is changed in the order in which that was asked for.
            let table = rows.table().to_owned();
            if key > 0 {
                let in_turn = |other: &Rows| other.table() == table && (found.is_some() || !other.are_new());
                if self.rows.borrow().iter().any(in_turn) {
                    self.send_rows(|other| other.table() == table)?;
                }
            }
            rows.add(row);
            self.rows.borrow_mut().push(rows);
            return Ok(());
        }
        let mut full = None;
        if let Some(rows) = self.rows.borrow_mut().iter_mut().find(|rows| rows.is_for(sql)) {
            rows.add(row);
            full = rows.is_full().then(|| rows.table().to_owned());
        }
        match full {
            Some(table) => self.send_rows(|rows| rows.table() == table),
            None => Ok(()),
        }
    }

    /// Waits until everything that was sent is done.
    pub(crate) fn settle(&self) -> Result<(), Refusal> {
        self.send_rows(|_| true)?;
        self.wait_in_turn(async { Ok(()) })
    }

    fn send_rows(&self, which: impl Fn(&Rows) -> bool) -> Result<(), Refusal> {
        if self.rows.borrow().is_empty() {
            return Ok(());
        }
        let all = std::mem::take(&mut *self.rows.borrow_mut());
        let (mut some, left): (Vec<Rows>, Vec<Rows>) = all.into_iter().partition(which);
        *self.rows.borrow_mut() = left;
        // Rows come into being before they are changed; otherwise the order stays.
        some.sort_by_key(|rows| !rows.are_new());
        for rows in some {
            let statement = self.prepare_as_is(rows.sql())?;
            let (client, columns) = (Arc::clone(&self.client), rows.into_columns());
            self.send(Box::pin(async move { client.execute_raw(&statement, &columns).await }));
        }
        Ok(())
    }

    /// Puts a statement on its way: the first look at its future sends it.
    fn send(&self, mut answer: Answer) {
        let mut nobody = Context::from_waker(Waker::noop());
        let answer: Answer = match answer.as_mut().poll(&mut nobody) {
            Poll::Pending => answer,
            Poll::Ready(done) => Box::pin(std::future::ready(done)),
        };
        self.sent.borrow_mut().push(answer);
    }

    /// What was deferred and is not to be: its transaction is given up.
    pub(crate) fn forget_deferred(&self) {
        self.rows.borrow_mut().clear();
        let sent = std::mem::take(&mut *self.sent.borrow_mut());
        // Their failures are known already, or of no interest.
        let _ = self.wait(async { Ok(futures::future::join_all(sent).await) });
    }

    fn prepare(&self, sql: &str) -> Result<Statement, Refusal> {
        self.prepare_with(sql, translate)
    }

    /// A statement that is in PostgreSQL's dialect already.
    fn prepare_as_is(&self, sql: &str) -> Result<Statement, Refusal> {
        self.prepare_with(sql, str::to_owned)
    }

    fn prepare_with(&self, sql: &str, translate: impl FnOnce(&str) -> String) -> Result<Statement, Refusal> {
        if let Some(statement) = self.statements.borrow().get(sql) {
            return Ok(statement.clone());
        }
        let text = translate(sql);
        let mut statement = self.wait_in_turn(self.client.prepare(&text))?;
        // `? + 1` is taken for a small integer, and `? / 1e9` for a decimal: ours have 64 bits, whatever is near them.
        if statement.params().iter().any(|kind| widened(kind) != *kind) {
            let kinds: Vec<Type> = statement.params().iter().map(widened).collect();
            statement = self.wait(self.client.prepare_typed(&text, &kinds))?;
        }
        let mut statements = self.statements.borrow_mut();
        if statements.len() >= STATEMENTS {
            statements.clear();
        }
        statements.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // It may be dropped where waiting is not allowed; the server notices that the connection is gone.
            runtime.shutdown_background();
        }
    }
}
