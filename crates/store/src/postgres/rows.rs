//! Rows of one INSERT that go to the server together, column by column.

use tokio_postgres::types::Type;

use super::values::Owned;
use crate::sql::translate;

/// Rows that are sent at once.
const FULL: usize = 2_000;

/// The rows that one statement inserts.
pub(super) struct Rows {
    /// The INSERT as it was given.
    given: String,
    table: String,
    sql: String,
    columns: Vec<Vec<Owned>>,
}

impl Rows {
    /// For an INSERT of parameters only, which are of these types.
    pub(super) fn of(given: &str, kinds: Vec<Type>) -> Self {
        let text = translate(given);
        let head = text.find("VALUES").map_or(text.as_str(), |values| &text[..values]);
        let table = head.split_whitespace().nth(2).unwrap_or_default().to_owned();
        let arrays: Vec<String> =
            kinds.iter().enumerate().map(|(place, kind)| format!("${}::{}[]", place + 1, kind.name())).collect();
        let sql = format!("{head} SELECT * FROM unnest({})", arrays.join(", "));
        Self { given: given.to_owned(), table, sql, columns: kinds.iter().map(|_| Vec::new()).collect() }
    }

    /// Whether these are the rows of this INSERT.
    pub(super) fn is_for(&self, given: &str) -> bool {
        self.given == given
    }

    /// The table.
    pub(super) fn table(&self) -> &str {
        &self.table
    }

    /// The statement, in PostgreSQL's dialect: a list for each column.
    pub(super) fn sql(&self) -> &str {
        &self.sql
    }

    /// Adds a row.
    pub(super) fn add(&mut self, row: impl Iterator<Item = Owned>) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_insert_becomes_one_of_lists() {
        let given = "INSERT INTO bodies (body_no, content) VALUES (?1, ?2)";
        let mut rows = Rows::of(given, vec![Type::INT8, Type::TEXT]);
        assert!(rows.is_for(given));
        assert_eq!(rows.table(), "bodies");
        assert_eq!(rows.sql(), "INSERT INTO bodies (body_no, content)  SELECT * FROM unnest($1::int8[], $2::text[])");
        rows.add([Owned::of(&1), Owned::of(&"a")].into_iter());
        assert_eq!(rows.into_columns().len(), 2);
    }
}
