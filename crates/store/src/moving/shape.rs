//! Which tables there are, and what the two sides call their columns. SQLite's migrations say which tables are Uplift's and
//! what their keys are; PostgreSQL's catalog says of which types the columns are, and what refers to what.

use std::collections::{BTreeMap, BTreeSet};

use tokio_postgres::types::Type;

use super::side::{Side, listed, quoted};
use crate::error::{StoreError, StoreResult};
use crate::logic::fault::Fault;
use crate::sql::{Connection, Result, Row};
use crate::sqlite;

/// The table by which writers take turns: empty until everything else is there, so that none can begin.
const LAST: &str = "writer_turns";
/// The table that each side keeps for itself.
pub(super) const VERSIONS: &str = "schema_migrations";

/// A table of both sides.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub(super) name: String,
    /// In the source's order.
    pub(super) columns: Vec<Column>,
    /// The places of the primary key's columns, in the key's order.
    pub(super) key: Vec<usize>,
    /// Whether anything happens by itself when a row comes in.
    pub(super) has_triggers: bool,
    /// The column that counts by itself.
    pub(super) counter: Option<String>,
    /// Rows that a new database has.
    pub(super) at_first: i64,
}

/// A column of both sides.
#[derive(Debug, Clone)]
pub(super) struct Column {
    pub(super) name: String,
    /// Its type in the target.
    pub(super) kind: Type,
}

impl Table {
    /// The columns, for a statement.
    pub(super) fn columns(&self) -> String {
        listed(self.columns.iter().map(|column| column.name.as_str()))
    }

    /// The columns of the key, for a statement.
    pub(super) fn key_columns(&self) -> String {
        listed(self.key.iter().filter_map(|place| self.columns.get(*place)).map(|column| column.name.as_str()))
    }

    /// The types of the columns in the target.
    pub(super) fn kinds(&self) -> Vec<Type> {
        self.columns.iter().map(|column| column.kind.clone()).collect()
    }

    /// Whether its rows go over: each side notes its own migrations.
    pub(super) fn goes_over(&self) -> bool {
        self.name != VERSIONS
    }
}

/// A table as SQLite knows it.
struct Own {
    name: String,
    columns: Vec<String>,
    key: Vec<usize>,
    rows: i64,
}

/// A table as PostgreSQL knows it.
#[derive(Default)]
struct Theirs {
    columns: BTreeMap<String, Type>,
    counter: Option<String>,
    has_triggers: bool,
    refers_to: BTreeSet<String>,
}

/// Names of the tables in a file.
pub(super) fn names(connection: &Connection) -> Result<Vec<String>> {
    let sql =
        r"SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\_%' ESCAPE '\' ORDER BY name";
    connection.prepare_cached(sql)?.query_map((), |row| row.get(0))?.collect()
}

/// The names of Uplift's tables, by its migrations.
pub(super) fn own_names() -> StoreResult<Vec<String>> {
    Ok(own()?.into_iter().map(|table| table.name).collect())
}

/// Uplift's tables, as a new database has them.
fn own() -> StoreResult<Vec<Own>> {
    let place = "a new database".to_owned();
    let connection = Connection::Sqlite(sqlite::migrate::open_in_memory(&place)?);
    Side { connection, place }.ask("reading the schema", |connection| {
        let mut tables = Vec::new();
        for name in names(connection)? {
            let sql = "SELECT name, pk FROM pragma_table_info(?1) ORDER BY cid";
            let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
            let columns: Vec<(String, i64)> =
                connection.prepare_cached(sql)?.query_map([&name], read)?.collect::<Result<_>>()?;
            let mut key: Vec<(i64, usize)> = columns
                .iter()
                .enumerate()
                .filter(|(_, (_, position))| *position > 0)
                .map(|(place, (_, position))| (*position, place))
                .collect();
            key.sort_unstable();
            let rows =
                connection.query_row(&format!("SELECT count(*) FROM {}", quoted(&name)), (), |row| row.get(0))?;
            tables.push(Own {
                name,
                columns: columns.into_iter().map(|(name, _)| name).collect(),
                key: key.into_iter().map(|(_, place)| place).collect(),
                rows,
            });
        }
        Ok(tables)
    })
}

/// The tables of a target whose schema is of this version, in an order in which what is referred to comes first.
pub(super) fn read(target: &Side) -> StoreResult<Vec<Table>> {
    let mut theirs = target.ask("reading the schema", |connection| Ok(catalog(connection)?))?;
    let mut tables = Vec::new();
    for own in own()? {
        let known = theirs.get_mut(&own.name).map(std::mem::take).unwrap_or_default();
        tables
            .push((pair(own, &known).map_err(|fault| fault.into_store(&target.place, "reading the schema"))?, known));
    }
    in_order(tables).ok_or_else(|| StoreError::Engine {
        context: "ordering the tables",
        reason: "tables refer to each other in a circle".to_owned(),
    })
}

/// What PostgreSQL's catalog says of the tables in the schema.
fn catalog(connection: &Connection) -> Result<BTreeMap<String, Theirs>> {
    let here = "(SELECT oid FROM pg_namespace WHERE nspname = current_schema())";
    let mut tables: BTreeMap<String, Theirs> = BTreeMap::new();
    let sql = format!(
        "SELECT c.relname, a.attname, CAST(a.atttypid AS bigint), a.attidentity <> '',
            EXISTS (SELECT 1 FROM pg_trigger AS t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal)
         FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid
         WHERE c.relnamespace = {here} AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(())?;
    while let Some(row) = rows.next()? {
        let table = tables.entry(row.get(0)?).or_default();
        let (name, oid): (String, i64) = (row.get(1)?, row.get(2)?);
        if row.get(3)? {
            table.counter = Some(name.clone());
        }
        table.has_triggers = row.get(4)?;
        let kind = u32::try_from(oid).ok().and_then(Type::from_oid).unwrap_or(Type::UNKNOWN);
        table.columns.insert(name, kind);
    }
    let sql = format!(
        "SELECT c.relname, r.relname FROM pg_constraint AS k
         JOIN pg_class AS c ON c.oid = k.conrelid JOIN pg_class AS r ON r.oid = k.confrelid
         WHERE k.contype = 'f' AND c.relnamespace = {here} AND c.oid <> r.oid"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(())?;
    while let Some(row) = rows.next()? {
        tables.entry(row.get(0)?).or_default().refers_to.insert(row.get(1)?);
    }
    Ok(tables)
}

/// A table of both sides; refused where they do not agree, which is a mistake of a migration.
fn pair(own: Own, theirs: &Theirs) -> std::result::Result<Table, Fault> {
    let refused = |reason: String| {
        let reason = format!("table {}: {reason}", own.name);
        Err(Fault::Store(StoreError::Engine { context: "comparing the schemas", reason }))
    };
    if own.key.is_empty() {
        return refused("it has no primary key to go by".to_owned());
    }
    if let Some(name) = theirs.columns.keys().find(|name| !own.columns.contains(name)) {
        return refused(format!("the source has no column {name}"));
    }
    let mut columns = Vec::new();
    for name in &own.columns {
        let Some(kind) = theirs.columns.get(name) else {
            return refused(format!("the target has no column {name}"));
        };
        if !super::value::KINDS.contains(kind) {
            return refused(format!("column {name} is of a type that cannot be moved, {kind}"));
        }
        columns.push(Column { name: name.clone(), kind: kind.clone() });
    }
    let (has_triggers, counter) = (theirs.has_triggers, theirs.counter.clone());
    Ok(Table { name: own.name, columns, key: own.key, has_triggers, counter, at_first: own.rows })
}

/// Whatever is referred to comes first, and what lets writers begin last. None where there is no such order.
fn in_order(mut left: Vec<(Table, Theirs)>) -> Option<Vec<Table>> {
    let mut order: Vec<Table> = Vec::with_capacity(left.len());
    while !left.is_empty() {
        let waits = |refers_to: &BTreeSet<String>| left.iter().any(|(table, _)| refers_to.contains(&table.name));
        let next = left
            .iter()
            .position(|(table, theirs)| !waits(&theirs.refers_to) && (table.name != LAST || left.len() == 1))?;
        order.push(left.remove(next).0);
    }
    Some(order)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(name: &str, refers_to: &[&str]) -> (Table, Theirs) {
        let table = Table {
            name: name.to_owned(),
            columns: Vec::new(),
            key: Vec::new(),
            has_triggers: false,
            counter: None,
            at_first: 0,
        };
        let refers_to = refers_to.iter().map(|name| (*name).to_owned()).collect();
        (table, Theirs { refers_to, ..Theirs::default() })
    }

    #[test]
    fn what_is_referred_to_comes_first() {
        let names = |tables: Option<Vec<Table>>| {
            tables.map(|tables| tables.into_iter().map(|table| table.name).collect::<Vec<_>>().join(" "))
        };
        for (tables, want) in [
            (vec![], Some("")),
            (vec![table("a", &[]), table(LAST, &[]), table("b", &[])], Some("a b writer_turns")),
            (vec![table("a", &["c"]), table("b", &["a", "c"]), table("c", &["elsewhere"])], Some("c a b")),
            (vec![table("a", &["b"]), table("b", &["a"])], None),
        ] {
            assert_eq!(names(in_order(tables)).as_deref(), want);
        }
    }

    #[test]
    fn schemas_that_do_not_agree_are_refused() {
        let own = |key: &[usize]| Own {
            name: "t".into(),
            columns: vec!["a".into(), "b".into()],
            key: key.to_vec(),
            rows: 0,
        };
        let theirs = |columns: &[(&str, Type)]| Theirs {
            columns: columns.iter().map(|(name, kind)| ((*name).to_owned(), kind.clone())).collect(),
            ..Theirs::default()
        };
        let (a, b) = (("a", Type::INT8), ("b", Type::TEXT));
        for (own, theirs, want) in [
            (own(&[0]), theirs(&[a.clone(), b.clone()]), None),
            (own(&[]), theirs(&[a.clone(), b.clone()]), Some("no primary key")),
            (own(&[0]), theirs(std::slice::from_ref(&a)), Some("the target has no column b")),
            (own(&[0]), theirs(&[a.clone(), b, ("c", Type::INT8)]), Some("the source has no column c")),
            (own(&[0]), theirs(&[a, ("b", Type::JSONB)]), Some("jsonb")),
        ] {
            let refused = pair(own, &theirs).err().map(|fault| fault.into_store("p", "c").to_string());
            assert_eq!(refused.is_some(), want.is_some(), "{refused:?}");
            assert!(refused.unwrap_or_default().contains(want.unwrap_or_default()));
        }
    }
}
