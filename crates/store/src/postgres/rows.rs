//! Rows that one statement is run for and that go to the server together, column by column.

use std::collections::HashSet;
use std::fmt::Write as _;

use rusqlite::types::ValueRef;
use tokio_postgres::types::Type;

use super::values::Owned;
use crate::sql::translate;

/// Rows that are sent at once.
const FULL: usize = 2_000;

/// What names the columns of the lists.
const LISTS: &str = "lists";

/// The rows that one statement is run for.
pub(super) struct Rows {
    /// The statement as it was given, for one row.
    given: String,
    table: String,
    sql: String,
    columns: Vec<Vec<Owned>>,
    /// How many of the first values name a row that is there already, or may be; 0 for rows that are new.
    key: usize,
    /// The rows named so far.
    named: HashSet<Vec<u8>>,
}

impl Rows {
    /// For an INSERT (whose values are parameters), UPDATE or DELETE, the parameters of which are of these types.
    pub(super) fn of(given: &str, kinds: &[Type], key: usize) -> Self {
        let text = translate(given);
        let (table, sql) = with_lists(&text, kinds);
        let columns = kinds.iter().map(|_| Vec::new()).collect();
        Self { given: given.to_owned(), table, sql, columns, key, named: HashSet::new() }
    }

    /// Whether these are the rows of this statement.
    pub(super) fn is_for(&self, given: &str) -> bool {
        self.given == given
    }

    /// The table.
    pub(super) fn table(&self) -> &str {
        &self.table
    }

    /// Whether they are new. Such rows may go before others of their table, which do not mean them.
    pub(super) const fn are_new(&self) -> bool {
        self.key == 0
    }

    /// Whether a statement names the table.
    pub(super) fn are_meant_by(&self, sql: &str) -> bool {
        let is_part = |of: Option<char>| of.is_some_and(|of| of.is_ascii_alphanumeric() || of == '_');
        sql.match_indices(&self.table).any(|(at, table)| {
            !is_part(sql[..at].chars().next_back()) && !is_part(sql[at + table.len()..].chars().next())
        })
    }

    /// The statement, in PostgreSQL's dialect: a list for each column.
    pub(super) fn sql(&self) -> &str {
        &self.sql
    }

    /// Whether a row of the same name waits already: one statement cannot change a row twice.
    pub(super) fn has(&self, row: &[Owned]) -> bool {
        self.key > 0 && self.named.contains(&name(&row[..self.key.min(row.len())]))
    }

    /// Adds a row.
    pub(super) fn add(&mut self, row: Vec<Owned>) {
        if self.key > 0 {
            self.named.insert(name(&row[..self.key.min(row.len())]));
        }
        for (column, value) in self.columns.iter_mut().zip(row) {
            column.push(value);
        }
    }

    /// Whether it is time to send them.
    pub(super) fn is_full(&self) -> bool {
        self.columns.first().is_some_and(|column| column.len() >= FULL)
    }

    /// The lists.
    pub(super) fn into_columns(self) -> Vec<Vec<Owned>> {
        self.columns
    }
}

/// The values that name a row as bytes, different for different ones.
fn name(values: &[Owned]) -> Vec<u8> {
    let mut name = Vec::new();
    let mut part = |kind: u8, bytes: &[u8]| {
        name.push(kind);
        name.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        name.extend_from_slice(bytes);
    };
    for value in values {
        match value.value().map(ValueRef::from) {
            Some(ValueRef::Integer(number)) => part(1, &number.to_le_bytes()),
            Some(ValueRef::Real(number)) => part(2, &number.to_le_bytes()),
            Some(ValueRef::Text(text)) => part(3, text),
            Some(ValueRef::Blob(bytes)) => part(4, bytes),
            Some(ValueRef::Null) | None => part(0, &[]),
        }
    }
    name
}

/// The table of a statement, and the statement for lists: its parameters become columns of them.
fn with_lists(text: &str, kinds: &[Type]) -> (String, String) {
    let (arrays, names): (Vec<String>, Vec<String>) = kinds
        .iter()
        .enumerate()
        .map(|(place, kind)| (format!("${}::{}[]", place + 1, kind.name()), format!("c{}", place + 1)))
        .unzip();
    let lists = format!("unnest({}) AS {LISTS} ({})", arrays.join(", "), names.join(", "));
    let word = |place: usize| text.split_whitespace().nth(place).unwrap_or_default().to_owned();
    if let Some((head, rest)) = text.split_once("VALUES").filter(|_| text.starts_with("INSERT")) {
        // The list of values ends with its parenthesis: there are no others within it.
        let (values, tail) = rest.split_once(')').unwrap_or((rest, ""));
        let values = values.trim_start().trim_start_matches('(');
        return (word(2), format!("{head}SELECT {} FROM {lists}{tail}", of_lists(values)));
    }
    let (joined, table) = if text.starts_with("DELETE") { ("USING", word(2)) } else { ("FROM", word(1)) };
    let (head, rest) = text.split_once("WHERE").unwrap_or((text, "TRUE"));
    (table, format!("{}{joined} {lists} WHERE{}", of_lists(head), of_lists(rest)))
}

/// A part of a statement with columns of the lists in place of parameters.
fn of_lists(text: &str) -> String {
    let mut parts = text.split('$');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let _ = write!(out, "{LISTS}.c{part}");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_for_a_row_becomes_one_for_lists() {
        let kinds = [Type::INT8, Type::TEXT];
        let lists = "unnest($1::int8[], $2::text[]) AS lists (c1, c2)";
        for (given, table, sql) in [
            (
                "INSERT INTO bodies (body_no, content) VALUES (?1, ?2)",
                "bodies",
                format!("INSERT INTO bodies (body_no, content) SELECT lists.c1, lists.c2 FROM {lists}"),
            ),
            (
                "INSERT INTO late AS l (a, b, c) VALUES (?1, ?2, ?2) ON CONFLICT (a) DO UPDATE SET b = excluded.b",
                "late",
                format!(
                    "INSERT INTO late AS l (a, b, c) SELECT lists.c1, lists.c2, lists.c2 FROM {lists} \
                     ON CONFLICT (a) DO UPDATE SET b = excluded.b"
                ),
            ),
            (
                "UPDATE late SET b = ?2 WHERE a = ?1",
                "late",
                format!("UPDATE late SET b = lists.c2 FROM {lists} WHERE a = lists.c1"),
            ),
            (
                "DELETE FROM late WHERE a = ?1 AND b = ?2",
                "late",
                format!("DELETE FROM late USING {lists} WHERE a = lists.c1 AND b = lists.c2"),
            ),
        ] {
            let mut rows = Rows::of(given, &kinds, 1);
            assert!(rows.is_for(given));
            assert_eq!((rows.table(), rows.sql()), (table, &*sql));
            rows.add(vec![Owned::of(&1), Owned::of(&"a")]);
            assert_eq!(rows.into_columns().len(), 2);
        }
    }

    #[test]
    fn a_row_that_waits_is_known_by_its_name() {
        let mut rows =
            Rows::of("UPDATE t SET c = ?3 WHERE a = ?1 AND b = ?2", &[Type::INT8, Type::TEXT, Type::INT8], 2);
        let row = |a: i64, b: &str, c: i64| vec![Owned::of(&a), Owned::of(&b), Owned::of(&c)];
        rows.add(row(1, "x", 1));
        assert!(rows.has(&row(1, "x", 2)) && !rows.has(&row(1, "y", 1)) && !rows.has(&row(2, "x", 1)));
        assert!(!rows.are_new());
        let mut new = Rows::of("INSERT INTO t (a) VALUES (?1)", &[Type::INT8], 0);
        new.add(vec![Owned::of(&1)]);
        assert!(new.are_new() && !new.has(&[Owned::of(&1)]));
    }

    #[test]
    fn a_table_is_meant_by_its_whole_name() {
        let rows = Rows::of("INSERT INTO traces (a) VALUES (?1)", &[Type::INT8], 0);
        for (sql, meant) in [
            ("UPDATE traces SET a = 1", true),
            ("SELECT 1 FROM traces", true),
            ("DELETE FROM unsettled_traces", false),
            ("SELECT traces_x FROM late_traces", false),
            ("SELECT 1 FROM late_traces JOIN traces AS t ON TRUE", true),
        ] {
            assert_eq!(rows.are_meant_by(sql), meant, "{sql}");
        }
    }
}
