//! Queries that return rows, whole or a page at a time.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::sql::Value;
use crate::sql::{Connection, Params, Row};

use super::decode;
use crate::logic::fault::Fault;
use crate::page::{PageRequest, Paged};

/// Conditions joined by AND: fixed fragments of SQL, each with its bound parameters.
#[derive(Default)]
pub(super) struct Conditions {
    fragments: Vec<Cow<'static, str>>,
    parameters: Vec<Value>,
}

impl Conditions {
    /// None yet, but the head of the query has these parameters.
    pub(super) fn after<const N: usize>(parameters: [Value; N]) -> Self {
        Self { fragments: Vec::new(), parameters: parameters.into() }
    }

    /// Adds a condition without parameters.
    pub(super) fn when(&mut self, fragment: &'static str) {
        self.fragments.push(fragment.into());
    }

    /// Adds the condition that a column is one of these names, where there are any. They are ours, never from outside,
    /// and stand in the statement: planners know how many rows have each, and see which partial indexes hold them.
    pub(super) fn among(&mut self, column: &'static str, mut names: Vec<&'static str>) {
        if !names.is_empty() {
            let mut seen = HashSet::new();
            names.retain(|name| seen.insert(*name));
            self.fragments.push(format!("{column} IN ('{}')", names.join("', '")).into());
        }
    }

    /// Adds a condition with a parameter for each `?` in it.
    pub(super) fn with<const N: usize>(&mut self, fragment: impl Into<Cow<'static, str>>, parameters: [Value; N]) {
        self.fragments.push(fragment.into());
        self.parameters.extend(parameters);
    }

    /// Adds a condition where there is a value for it.
    pub(super) fn given(&mut self, fragment: &'static str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.with(fragment, [value.into()]);
        }
    }

    /// The query: `head`, the conditions, `tail`, and a limit of one more than `limit`, which tells whether there is
    /// a next page. `head` ends in a WHERE with a condition of its own, so that there is always something to join.
    pub(super) fn query(mut self, head: &str, tail: &str, limit: u32) -> (String, Vec<Value>) {
        let mut sql = head.to_owned();
        for fragment in &self.fragments {
            sql.push_str(" AND ");
            sql.push_str(fragment);
        }
        sql.push(' ');
        sql.push_str(tail);
        sql.push_str(" LIMIT ?");
        self.parameters.push(Value::Integer(i64::from(limit) + 1));
        (sql, self.parameters)
    }
}

/// All rows of a query; `what` names them where one cannot be read.
pub(super) fn all<T>(
    connection: &Connection,
    what: &'static str,
    sql: &str,
    parameters: impl Params,
    mut decode: impl FnMut(&Row<'_>) -> Result<T, Fault>,
) -> Result<Vec<T>, Fault> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(parameters)?;
    let mut items = Vec::new();
    while let Some(row) = rows.next()? {
        items.push(decode(&row).map_err(|fault| decode::as_corrupt(what, fault))?);
    }
    Ok(items)
}

/// The first row of a query, if there is one.
pub(super) fn first<T>(
    connection: &Connection,
    what: &'static str,
    sql: &str,
    parameters: impl Params,
    decode: impl FnOnce(&Row<'_>) -> Result<T, Fault>,
) -> Result<Option<T>, Fault> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(parameters)?;
    let Some(row) = rows.next()? else { return Ok(None) };
    decode(&row).map(Some).map_err(|fault| decode::as_corrupt(what, fault))
}

/// Cuts what a query with one item too many returned to a page; `cursor` gives the cursor after an item.
pub(super) fn page<T>(mut items: Vec<T>, request: &PageRequest, cursor: impl FnOnce(&T) -> String) -> Paged<T> {
    let limit = request.clamped() as usize;
    let more = items.len() > limit;
    items.truncate(limit);
    let next = if more { items.last().map(cursor) } else { None };
    Paged { items, next }
}
