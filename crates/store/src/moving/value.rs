//! What a value becomes on the way, and the sums by which both sides are compared.

use std::borrow::Cow;

use tokio_postgres::types::Type;

use super::shape::{Column, Table};
use crate::error::StoreError;
use crate::logic::fault::Fault;
use crate::sql::{Row, Value, ValueRef};

/// The types of columns that can be moved.
pub(super) const KINDS: &[Type] = &[Type::INT8, Type::FLOAT8, Type::TEXT, Type::JSON, Type::BYTEA];

/// A value as the target holds it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Held<'v> {
    /// Nothing.
    Null,
    /// A whole number.
    Whole(i64),
    /// A number.
    Real(f64),
    /// A text, and whether characters of it were replaced.
    Text(Cow<'v, str>, bool),
    /// Bytes.
    Bytes(&'v [u8]),
}

/// What the target makes of a value in a column of this type; none where it cannot hold it.
pub(super) fn held<'v>(value: ValueRef<'v>, kind: &Type) -> Option<Held<'v>> {
    Some(match (value, kind) {
        (ValueRef::Null, _) => Held::Null,
        (ValueRef::Real(real), _) if real.is_nan() => Held::Null,
        (ValueRef::Integer(number), &Type::INT8) => Held::Whole(number),
        (ValueRef::Integer(number), &Type::FLOAT8) => Held::Real(number as f64),
        (ValueRef::Real(real), &Type::FLOAT8) => Held::Real(real),
        (ValueRef::Text(bytes), &Type::TEXT | &Type::JSON) => {
            let text = String::from_utf8_lossy(bytes);
            let damaged = matches!(text, Cow::Owned(_));
            // A NUL is the one character that PostgreSQL's text cannot hold.
            if text.contains('\0') {
                Held::Text(Cow::Owned(text.replace('\0', "\u{fffd}")), true)
            } else {
                Held::Text(text, damaged)
            }
        }
        (ValueRef::Text(bytes) | ValueRef::Blob(bytes), &Type::BYTEA) => Held::Bytes(bytes),
        _ => return None,
    })
}

impl Held<'_> {
    /// Whether characters were replaced.
    pub(super) fn is_replaced(&self) -> bool {
        matches!(self, Self::Text(_, true))
    }

    /// To send it.
    pub(super) fn into_value(self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Whole(number) => Value::Integer(number),
            Self::Real(real) => Value::Real(real),
            Self::Text(text, _) => Value::Text(text.into_owned()),
            Self::Bytes(bytes) => Value::Blob(bytes.to_vec()),
        }
    }

    /// How much of a chunk it takes up, about.
    pub(super) fn size(&self) -> usize {
        8 + match self {
            Self::Text(text, _) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
            _ => 0,
        }
    }

    fn digest(&self, hasher: &mut blake3::Hasher) {
        let (tag, bytes) = match self {
            Self::Null => (0, &[][..]),
            Self::Whole(number) => return hash(hasher, 1, &number.to_le_bytes()),
            Self::Real(real) => return hash(hasher, 2, &real.to_bits().to_le_bytes()),
            Self::Text(text, _) => (3, text.as_bytes()),
            Self::Bytes(bytes) => (4, *bytes),
        };
        hash(hasher, tag, bytes);
    }
}

/// What a value is goes in with how long it is, so that no two rows look alike.
fn hash(hasher: &mut blake3::Hasher, tag: u8, bytes: &[u8]) {
    hasher.update(&[tag]).update(&(bytes.len() as u64).to_le_bytes()).update(bytes);
}

/// A column of a row, as the target holds it.
pub(super) fn column<'r>(row: &'r Row<'_>, place: usize, column: &Column, table: &Table) -> Result<Held<'r>, Fault> {
    let value = row.get_ref(place)?;
    held(value, &column.kind).ok_or_else(|| {
        let what = match value {
            ValueRef::Null => "nothing",
            ValueRef::Integer(_) => "an integer",
            ValueRef::Real(_) => "a number",
            ValueRef::Text(_) => "a text",
            ValueRef::Blob(_) => "bytes",
        };
        let reason = format!(
            "{}.{} of the row with {} holds {what}, where {} is expected: another program must have written it",
            table.name,
            column.name,
            key_in_words(row, table),
            column.kind
        );
        Fault::Store(StoreError::Corrupt { place: "the database".to_owned(), what: "a row", reason })
    })
}

/// The key of a row, for people.
fn key_in_words(row: &Row<'_>, table: &Table) -> String {
    let part = |place: &usize| {
        let name = table.columns.get(*place).map_or("", |column| column.name.as_str());
        match row.get_ref(*place) {
            Ok(ValueRef::Integer(number)) => format!("{name} {number}"),
            Ok(ValueRef::Text(text)) => format!("{name} {:?}", String::from_utf8_lossy(text)),
            _ => format!("{name} ?"),
        }
    };
    table.key.iter().map(part).collect::<Vec<_>>().join(", ")
}

/// Rows, summed up: the same rows have the same sum, in whatever order they come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sum {
    pub(super) rows: u64,
    halves: [u128; 2],
}

impl Sum {
    /// Adds a row; says how many of its texts had characters replaced.
    pub(super) fn add(&mut self, row: &Row<'_>, table: &Table) -> Result<u64, Fault> {
        let (mut hasher, mut replaced) = (blake3::Hasher::new(), 0);
        for (place, of) in table.columns.iter().enumerate() {
            let value = column(row, place, of, table)?;
            replaced += u64::from(value.is_replaced());
            value.digest(&mut hasher);
        }
        self.add_digest(*hasher.finalize().as_bytes());
        Ok(replaced)
    }

    fn add_digest(&mut self, digest: [u8; 32]) {
        self.rows += 1;
        for (half, bytes) in self.halves.iter_mut().zip(digest.chunks_exact(16)) {
            let bytes = <[u8; 16]>::try_from(bytes).unwrap_or_default();
            *half = half.wrapping_add(u128::from_le_bytes(bytes));
        }
    }

    /// As hexadecimal digits.
    pub(super) fn hex(&self) -> String {
        let [low, high] = self.halves;
        format!("{high:032x}{low:032x}")
    }
}

/// Values of a key, as a note of how far a table came keeps them.
pub(super) fn write_key(key: &[Value]) -> String {
    let part = |value: &Value| match value {
        Value::Null => serde_json::Value::Null,
        Value::Integer(number) => (*number).into(),
        // To the last bit, which a decimal may not be.
        Value::Real(real) => serde_json::json!({ "bits": real.to_bits() }),
        Value::Text(text) => text.as_str().into(),
        Value::Blob(bytes) => {
            let hex = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
            let hex: String = hex.filter_map(|digit| char::from_digit(digit.into(), 16)).collect();
            serde_json::json!({ "bytes": hex })
        }
    };
    serde_json::Value::Array(key.iter().map(part).collect()).to_string()
}

/// Reads what [`write_key`] wrote.
pub(super) fn read_key(text: &str) -> Option<Vec<Value>> {
    let part = |value: serde_json::Value| {
        Some(match value {
            serde_json::Value::Null => Value::Null,
            serde_json::Value::Number(number) => Value::Integer(number.as_i64()?),
            serde_json::Value::String(text) => Value::Text(text),
            serde_json::Value::Object(of) => match (of.get("bits"), of.get("bytes")) {
                (Some(bits), _) => Value::Real(f64::from_bits(bits.as_u64()?)),
                (_, Some(hex)) => Value::Blob(from_hex(hex.as_str()?)?),
                _ => return None,
            },
            _ => return None,
        })
    };
    serde_json::from_str::<Vec<serde_json::Value>>(text).ok()?.into_iter().map(part).collect()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits.len().is_multiple_of(2).then(|| digits.chunks_exact(2).map(byte).collect())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_become_what_the_target_holds() {
        let text = |text: &'static str, replaced| Some(Held::Text(text.into(), replaced));
        for (value, kind, want) in [
            (ValueRef::Null, Type::INT8, Some(Held::Null)),
            (ValueRef::Integer(-3), Type::INT8, Some(Held::Whole(-3))),
            (ValueRef::Integer(3), Type::FLOAT8, Some(Held::Real(3.0))),
            (ValueRef::Real(0.5), Type::FLOAT8, Some(Held::Real(0.5))),
            (ValueRef::Real(f64::NAN), Type::FLOAT8, Some(Held::Null)),
            (ValueRef::Real(0.5), Type::INT8, None),
            (ValueRef::Text(b"noon"), Type::INT8, None),
            (ValueRef::Blob(b"\x01"), Type::TEXT, None),
            (ValueRef::Blob(b"\x01"), Type::BYTEA, Some(Held::Bytes(b"\x01"))),
            (ValueRef::Text("ü".as_bytes()), Type::TEXT, text("ü", false)),
            (ValueRef::Text(b"{ }"), Type::JSON, text("{ }", false)),
            (ValueRef::Text(b"a\0b\0"), Type::TEXT, text("a\u{fffd}b\u{fffd}", true)),
            (ValueRef::Text(b"a\xffb"), Type::TEXT, text("a\u{fffd}b", true)),
        ] {
            assert_eq!(held(value, &kind), want, "{value:?} {kind}");
        }
    }

    #[test]
    fn keys_are_noted_and_read_back() {
        for key in [
            vec![Value::Integer(i64::MIN)],
            vec![Value::Text("a\0\"ü".into()), Value::Integer(i64::MAX)],
            vec![Value::Blob(vec![0, 255, 16]), Value::Real(0.1), Value::Null],
            vec![],
        ] {
            assert_eq!(read_key(&write_key(&key)), Some(key));
        }
        for nonsense in ["", "{}", "[{}]", "[1.5]", r#"[{"bytes":"0"}]"#, r#"[{"bytes":"zz"}]"#] {
            assert_eq!(read_key(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn sums_know_rows_but_not_their_order() {
        let digest = |value: Held<'_>| {
            let mut hasher = blake3::Hasher::new();
            value.digest(&mut hasher);
            *hasher.finalize().as_bytes()
        };
        let values = [Held::Null, Held::Whole(0), Held::Real(0.0), Held::Text("".into(), false), Held::Bytes(b"")];
        let sum = |order: &[usize]| {
            let mut sum = Sum::default();
            for place in order {
                sum.add_digest(digest(values[*place].clone()));
            }
            sum
        };
        assert_eq!(sum(&[0, 1, 2, 3, 4]), sum(&[4, 2, 0, 3, 1]));
        for (left, right) in [(0, 1), (1, 2), (2, 3), (3, 4)] {
            assert_ne!(sum(&[left]), sum(&[right]));
        }
        assert_ne!(sum(&[0, 0]), sum(&[0]));
    }
}
