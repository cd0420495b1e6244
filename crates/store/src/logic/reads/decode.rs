//! Columns as nouns. What cannot be read is a corrupt row, never a panic.

use std::str::FromStr;

use crate::sql::{Error, FromSql, Row};
use serde::de::DeserializeOwned;
use uplift_model::entity::{EntityKey, EntityType};
use uplift_model::event::Outcome;
use uplift_model::rollup::OperationDelta;
use uplift_model::{Hour, Time};

use crate::logic::fault::{Fault, corrupt};

/// An error that a column holds what it should not is about the row, not about the engine.
pub(super) fn as_corrupt(what: &'static str, fault: Fault) -> Fault {
    match fault {
        Fault::Sql(error @ Error::Column { .. }) => corrupt(what, error),
        other => other,
    }
}

/// Columns in order, one by one: a query and its decoding then cannot drift apart by a wrong number.
pub(super) struct Columns<'r> {
    row: &'r Row<'r>,
    next: usize,
    what: &'static str,
}

impl<'r> Columns<'r> {
    /// The columns of `row`, from the first; `what` names the row in errors.
    pub(super) fn of(row: &'r Row<'r>, what: &'static str) -> Self {
        Self { row, next: 0, what }
    }

    /// The next column as it is.
    pub(super) fn get<T: FromSql>(&mut self) -> Result<T, Fault> {
        let place = self.next;
        self.next += 1;
        self.row.get(place).map_err(|error| as_corrupt(self.what, Fault::Sql(error)))
    }

    /// The next column as a name of a closed set.
    pub(super) fn parsed<T>(&mut self) -> Result<T, Fault>
    where
        T: FromStr,
        T::Err: ToString,
    {
        let text: String = self.get()?;
        text.parse().map_err(|error: T::Err| corrupt(self.what, error.to_string()))
    }

    /// The next column as a name of a closed set, or nothing.
    pub(super) fn parsed_option<T>(&mut self) -> Result<Option<T>, Fault>
    where
        T: FromStr,
        T::Err: ToString,
    {
        let text: Option<String> = self.get()?;
        text.map(|text| text.parse().map_err(|error: T::Err| corrupt(self.what, error.to_string()))).transpose()
    }

    /// The next column as a name of a closed set that is known by its JSON only.
    pub(super) fn named<T: DeserializeOwned>(&mut self) -> Result<T, Fault> {
        let text: String = self.get()?;
        serde_json::from_value(text.into()).map_err(|error| corrupt(self.what, error))
    }

    /// The next column, JSON as text.
    pub(super) fn json<T: DeserializeOwned>(&mut self) -> Result<T, Fault> {
        let text: String = self.get()?;
        serde_json::from_str(&text).map_err(|error| corrupt(self.what, error))
    }

    /// The next column, JSON as text, or nothing.
    pub(super) fn json_option<T: DeserializeOwned>(&mut self) -> Result<Option<T>, Fault> {
        let text: Option<String> = self.get()?;
        text.map(|text| serde_json::from_str(&text).map_err(|error| corrupt(self.what, error))).transpose()
    }

    /// The next column as a moment.
    pub(super) fn time(&mut self) -> Result<Time, Fault> {
        self.get().map(Time::from_micros)
    }

    /// The next column as a moment, or nothing.
    pub(super) fn time_option(&mut self) -> Result<Option<Time>, Fault> {
        Ok(self.get::<Option<i64>>()?.map(Time::from_micros))
    }

    /// The next column as an hour.
    pub(super) fn hour(&mut self) -> Result<Hour, Fault> {
        self.get().map(Hour::from_number)
    }

    /// The next two columns, a type's name and an id.
    pub(super) fn key(&mut self) -> Result<EntityKey, Fault> {
        Ok(EntityKey::new(self.parsed()?, self.get()?))
    }

    /// The next two columns, a type's code and an id.
    pub(super) fn coded_key(&mut self) -> Result<EntityKey, Fault> {
        let entity_type = self.code(EntityType::from_code, "an entity type")?;
        Ok(EntityKey::new(entity_type, self.get()?))
    }

    /// The next column, a code of a closed set.
    pub(super) fn code<T>(&mut self, from: impl FnOnce(i64) -> Option<T>, set: &str) -> Result<T, Fault> {
        let code: i64 = self.get()?;
        from(code).ok_or_else(|| corrupt(self.what, format!("{code} is no code of {set}")))
    }

    /// The next column, an outcome's code or nothing.
    pub(super) fn outcome(&mut self) -> Result<Option<Outcome>, Fault> {
        let code: Option<i64> = self.get()?;
        code.map(|code| {
            Outcome::from_code(code).ok_or_else(|| corrupt(self.what, format!("{code} is no code of an outcome")))
        })
        .transpose()
    }

    /// The next nine columns, sums over an operation in the order of `rollup_ops`.
    pub(super) fn sums(&mut self) -> Result<OperationDelta, Fault> {
        Ok(OperationDelta {
            n: self.get()?,
            errors: self.get()?,
            timed: self.get()?,
            sum_us: self.get()?,
            sum_ln: self.get()?,
            sum_ln2: self.get()?,
            tokens_in: self.get()?,
            tokens_out: self.get()?,
            cost_nano: self.get()?,
        })
    }
}

/// A page limit or another bound as SQLite takes it.
pub(super) fn bound(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
