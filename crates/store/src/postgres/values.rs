//! Values on their way to the server and back.

use rusqlite::types::{ToSql as ToValue, ToSqlOutput, Value, ValueRef};
use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

use super::numeric;

/// The type that a parameter is sent as.
pub(super) fn widened(kind: &Type) -> Type {
    match *kind {
        Type::INT2 | Type::INT4 => Type::INT8,
        Type::FLOAT4 | Type::NUMERIC => Type::FLOAT8,
        _ => kind.clone(),
    }
}

/// A value and the type it is sent as do not go together.
#[derive(Debug, thiserror::Error)]
#[error("{value} cannot be sent as {kind}")]
pub(super) struct Mismatch {
    value: &'static str,
    kind: String,
}

/// A value on its way to the server.
#[derive(Debug)]
pub(super) struct Bound<'a>(rusqlite::Result<ToSqlOutput<'a>>);

impl<'a> Bound<'a> {
    pub(super) fn of(values: &[&'a dyn ToValue]) -> Vec<Self> {
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

/// A value that is kept until it is sent; none where it cannot be sent.
#[derive(Debug, Clone)]
pub(super) struct Owned(Option<Value>);

impl Owned {
    /// A copy of a value.
    pub(super) fn of(value: &dyn ToValue) -> Self {
        Self(match value.to_sql() {
            Ok(ToSqlOutput::Borrowed(value)) => Value::try_from(value).ok(),
            Ok(ToSqlOutput::Owned(value)) => Some(value),
            _ => None,
        })
    }
}

impl Owned {
    /// It, where it can be sent.
    pub(super) const fn value(&self) -> Option<&Value> {
        self.0.as_ref()
    }
}

impl ToSql for Owned {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Failure> {
        encode(self.0.as_ref().map(ValueRef::from), kind, out)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

impl ToSql for Bound<'_> {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Failure> {
        encode(self.value(), kind, out)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// Writes a value as the type that a parameter has.
fn encode(value: Option<ValueRef<'_>>, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Failure> {
    {
        let mismatch = |value| Err(Mismatch { value, kind: kind.to_string() }.into());
        let Some(value) = value else { return mismatch("what cannot be sent") };
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
