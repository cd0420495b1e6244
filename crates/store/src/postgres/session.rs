//! A connection to PostgreSQL that is called like a library: the caller waits, on a thread that may.

use std::cell::RefCell;
use std::collections::HashMap;
use std::error::Error as _;

use rusqlite::types::{ToSql as ToValue, ToSqlOutput, ValueRef};
use tokio::runtime::Runtime;
use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, Config, NoTls, Row, Statement};

use super::numeric;
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

impl Refusal {
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
    client: Client,
    statements: RefCell<HashMap<String, Statement>>,
}

impl Session {
    /// Connects.
    pub(crate) fn open(config: &Config, place: &str) -> Result<Self, StoreError> {
        let refused = |error| StoreError::Open { place: place.to_owned(), reason: reason_of(&error) };
        let built = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime =
            built.map_err(|error| StoreError::Open { place: place.to_owned(), reason: error.to_string() })?;
        let (client, connection) = runtime.block_on(config.connect(NoTls)).map_err(refused)?;
        runtime.spawn(async move {
            // Whoever asks for something next is told what happened.
            if let Err(error) = connection.await {
                tracing::debug!(reason = reason_of(&error), "a connection to the database ended");
            }
        });
        Ok(Self { runtime: Some(runtime), client, statements: RefCell::default() })
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

    /// Runs statements without parameters.
    pub(crate) fn batch(&self, sql: &str) -> Result<(), Refusal> {
        self.wait(self.client.batch_execute(sql))
    }

    /// Runs a statement in SQLite's dialect; says how many rows it changed.
    pub(crate) fn execute(&self, sql: &str, values: &[&dyn ToValue]) -> Result<usize, Refusal> {
        let statement = self.prepare(sql)?;
        let values = Bound::of(values);
        self.wait(self.client.execute_raw(&statement, &values)).map(|rows| rows as usize)
    }

    /// Runs a query in SQLite's dialect.
    pub(crate) fn query(&self, sql: &str, values: &[&dyn ToValue]) -> Result<Vec<Row>, Refusal> {
        use futures::TryStreamExt;
        let statement = self.prepare(sql)?;
        let values = Bound::of(values);
        self.wait(async { self.client.query_raw(&statement, &values).await?.try_collect().await })
    }

    fn prepare(&self, sql: &str) -> Result<Statement, Refusal> {
        if let Some(statement) = self.statements.borrow().get(sql) {
            return Ok(statement.clone());
        }
        let text = translate(sql);
        let mut statement = self.wait(self.client.prepare(&text))?;
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

/// The type that a parameter is sent as.
fn widened(kind: &Type) -> Type {
    match *kind {
        Type::INT2 | Type::INT4 => Type::INT8,
        Type::FLOAT4 | Type::NUMERIC => Type::FLOAT8,
        _ => kind.clone(),
    }
}

/// A value and the type it is sent as do not go together.
#[derive(Debug, thiserror::Error)]
#[error("{value} cannot be sent as {kind}")]
struct Mismatch {
    value: &'static str,
    kind: String,
}

/// A value on its way to the server.
#[derive(Debug)]
struct Bound<'a>(rusqlite::Result<ToSqlOutput<'a>>);

impl<'a> Bound<'a> {
    fn of(values: &[&'a dyn ToValue]) -> Vec<Self> {
        values.iter().map(|value| Self(ToValue::to_sql(*value))).collect()
    }

    fn value(&self) -> Option<ValueRef<'_>> {
        match &self.0 {
            Ok(ToSqlOutput::Borrowed(value)) => Some(*value),
            Ok(ToSqlOutput::Owned(value)) => Some(value.into()),
            _ => None,
        }
    }
}

type Failure = Box<dyn std::error::Error + Sync + Send>;

impl ToSql for Bound<'_> {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Failure> {
        let mismatch = |value| Err(Mismatch { value, kind: kind.to_string() }.into());
        let Some(value) = self.value() else { return mismatch("what cannot be sent") };
        let text_like = matches!(*kind, Type::TEXT | Type::VARCHAR | Type::JSON | Type::UNKNOWN | Type::NAME);
        match (value, kind) {
            (ValueRef::Null, _) => Ok(IsNull::Yes),
            // SQLite keeps what is no number as nothing.
            (ValueRef::Real(real), _) if real.is_nan() => Ok(IsNull::Yes),
            (ValueRef::Integer(number), &Type::INT8) => ToSql::to_sql(&number, kind, out),
            (ValueRef::Integer(number), &Type::FLOAT8) => ToSql::to_sql(&(number as f64), kind, out),
            (ValueRef::Integer(number), &Type::BOOL) => ToSql::to_sql(&(number != 0), kind, out),
            (ValueRef::Real(real), &Type::FLOAT8) => ToSql::to_sql(&real, kind, out),
            (ValueRef::Text(text), _) if text_like => {
                let text = std::str::from_utf8(text)?;
                // A NUL is the one character that PostgreSQL's text cannot hold.
                if text.contains('\0') {
                    ToSql::to_sql(&text.replace('\0', "\u{fffd}"), &Type::TEXT, out)
                } else {
                    ToSql::to_sql(&text, &Type::TEXT, out)
                }
            }
            (ValueRef::Blob(bytes) | ValueRef::Text(bytes), &Type::BYTEA) => ToSql::to_sql(&bytes, kind, out),
            (ValueRef::Integer(_), _) => mismatch("an integer"),
            (ValueRef::Real(_), _) => mismatch("a number"),
            (ValueRef::Text(_), _) => mismatch("a text"),
            (ValueRef::Blob(_), _) => mismatch("bytes"),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// A value that came from the server.
pub(crate) struct Cell<'r>(pub(crate) ValueRef<'r>);

impl<'r> FromSql<'r> for Cell<'r> {
    fn from_sql(kind: &Type, raw: &'r [u8]) -> Result<Self, Failure> {
        Ok(Self(match *kind {
            Type::INT8 => ValueRef::Integer(i64::from_sql(kind, raw)?),
            Type::INT4 => ValueRef::Integer(i32::from_sql(kind, raw)?.into()),
            Type::INT2 => ValueRef::Integer(i16::from_sql(kind, raw)?.into()),
            Type::BOOL => ValueRef::Integer(bool::from_sql(kind, raw)?.into()),
            Type::FLOAT8 => ValueRef::Real(f64::from_sql(kind, raw)?),
            Type::FLOAT4 => ValueRef::Real(f32::from_sql(kind, raw)?.into()),
            Type::NUMERIC => numeric::read(raw)?,
            Type::BYTEA => ValueRef::Blob(raw),
            // Texts, and what the server writes as one.
            _ => ValueRef::Text(raw),
        }))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Failure> {
        Ok(Self(ValueRef::Null))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}
