//! A database of each engine, to which the same is done.

use rusqlite::Connection;
use rusqlite::types::ValueRef;
use tokio::runtime::Runtime;
use tokio_postgres::types::{FromSql, Type};
use tokio_postgres::{Client, NoTls};
use uplift_store::suite::scratch::{self, Scratch};
use uplift_store::{postgres, sqlite};

use crate::data::ROWS;

/// What a session may be set to shows nowhere; and nobody waits for the disk.
const SESSION: &str = "SET TimeZone = 'Asia/Kolkata'; SET DateStyle = 'SQL, DMY'; SET IntervalStyle = 'iso_8601';
    SET extra_float_digits = 0; SET synchronous_commit = off";

/// A row in words: each value with its kind.
pub(crate) type Row = Vec<String>;

/// A database of each engine. The order of the fields is the order in which they go.
pub(crate) struct Pair {
    pub(crate) sqlite: Connection,
    client: Client,
    runtime: Runtime,
    _scratch: Scratch,
    version: usize,
}

impl Pair {
    /// Two empty databases; None where there is no server.
    pub(crate) fn new() -> Option<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let scratch = runtime.block_on(scratch::make())?;
        let (client, connection) = runtime.block_on(tokio_postgres::connect(&scratch.address(), NoTls)).unwrap();
        runtime.spawn(connection);
        runtime.block_on(client.batch_execute(SESSION)).unwrap();
        let sqlite = Connection::open_in_memory().unwrap();
        sqlite.execute_batch("PRAGMA foreign_keys = ON").unwrap();
        Some(Self { sqlite, client, runtime, _scratch: scratch, version: 0 })
    }

    /// Two databases of the current version.
    pub(crate) fn current() -> Option<Self> {
        let mut pair = Self::new()?;
        pair.migrate(sqlite::MIGRATIONS.len());
        Some(pair)
    }

    /// Runs the migrations up to this one.
    pub(crate) fn migrate(&mut self, version: usize) {
        for place in self.version..version {
            let (name, text) = sqlite::MIGRATIONS[place];
            self.sqlite.execute_batch(text).unwrap_or_else(|error| panic!("{name}: {error}"));
            let (name, text) = postgres::MIGRATIONS[place];
            self.on_server(text).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        self.version = version;
    }

    /// A row in every table there is.
    pub(crate) fn fill(&self) {
        let tables = self.named("table");
        for (_, insert) in ROWS.iter().filter(|(table, _)| tables.contains(&(*table).to_owned())) {
            self.run(insert);
        }
    }

    /// Runs statements on both. Both take them.
    pub(crate) fn run(&self, sql: &str) {
        self.sqlite.execute_batch(sql).unwrap_or_else(|error| panic!("SQLite: {error}: {sql}"));
        self.on_server(sql).unwrap_or_else(|error| panic!("PostgreSQL: {error}: {sql}"));
    }

    /// Runs statements on PostgreSQL; what it refuses, it says in words, with the code of the error.
    pub(crate) fn on_server(&self, sql: &str) -> Result<(), String> {
        let sql = sql.replace("printf('%064d', 7)", "lpad('7', 64, '0')");
        let sql = sql.replace(", x'", ", '\\x").replace("(x'", "('\\x");
        self.runtime.block_on(self.client.batch_execute(&sql)).map_err(|error| match error.as_db_error() {
            Some(said) => format!("{} [{}]", said.message(), said.code().code()),
            None => error.to_string(),
        })
    }

    /// Names of tables, views or triggers, as SQLite knows them.
    pub(crate) fn named(&self, kind: &str) -> Vec<String> {
        let sql = "SELECT name FROM sqlite_schema WHERE type = ?1 AND name NOT LIKE 'sqlite_%' ORDER BY name";
        let mut statement = self.sqlite.prepare(sql).unwrap();
        statement.query_map([kind], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    }

    /// What a query gives, in words, with the names of its columns: SQLite, PostgreSQL. Rows are in an order of their own.
    pub(crate) fn rows(&self, sql: &str) -> [(Vec<String>, Vec<Row>); 2] {
        let (columns, mut there) = self.rows_of_server(sql);
        let is_json = |at: usize| columns.get(at).is_some_and(|(_, kind)| *kind == Type::JSON);
        let (names, mut here) = self.rows_of_sqlite(sql, is_json);
        here.sort_unstable();
        there.sort_unstable();
        [(names, here), (columns.into_iter().map(|(name, _)| name).collect(), there)]
    }

    /// What SQLite says to a query, in words; `is_json` tells of a column, by its place, that it is read as JSON.
    pub(crate) fn rows_of_sqlite(&self, sql: &str, is_json: impl Fn(usize) -> bool) -> (Vec<String>, Vec<Row>) {
        let mut statement = self.sqlite.prepare(sql).unwrap();
        let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
        let spell = |row: &rusqlite::Row<'_>| -> rusqlite::Result<Row> {
            (0..names.len()).map(|at| Ok(in_words(row.get_ref(at)?, is_json(at)))).collect()
        };
        let rows = statement.query_map([], spell).unwrap().collect::<Result<_, _>>().unwrap();
        (names, rows)
    }

    /// What PostgreSQL says to a query, in words. All of its columns are of the types that cross the driver.
    pub(crate) fn rows_of_server(&self, sql: &str) -> (Vec<(String, Type)>, Vec<Row>) {
        let statement = self.runtime.block_on(self.client.prepare(sql)).unwrap();
        let column = |column: &tokio_postgres::Column| (column.name().to_owned(), column.type_().clone());
        let columns: Vec<_> = statement.columns().iter().map(column).collect();
        for (name, kind) in &columns {
            let known = [Type::INT8, Type::FLOAT8, Type::TEXT, Type::BYTEA, Type::JSON].contains(kind);
            assert!(known, "{sql}: {name} is a {kind}");
        }
        let found = self.runtime.block_on(self.client.query(&statement, &[])).unwrap();
        let spell = |row: &tokio_postgres::Row| -> Row {
            columns.iter().enumerate().map(|(at, (_, kind))| cell(row, at, kind)).collect()
        };
        let rows = found.iter().map(spell).collect();
        (columns, rows)
    }

    /// Every table and every view shows the same.
    pub(crate) fn compare(&self, when: &str) {
        let all = [self.named("table"), self.named("view")].concat();
        self.compare_some(&all.iter().map(String::as_str).collect::<Vec<_>>(), when);
    }

    /// These tables and views show the same.
    pub(crate) fn compare_some(&self, names: &[&str], when: &str) {
        for name in names {
            let mut columns = self.columns(name);
            // These numbers have gaps in PostgreSQL, where a rule finds that there is an open opportunity.
            columns.retain(|column| (*name, column.as_str()) != ("optimization_opportunities", "id"));
            self.compare_query(&format!("SELECT {} FROM {name}", columns.join(", ")), when);
        }
    }

    /// Columns of a table or view of SQLite's.
    fn columns(&self, name: &str) -> Vec<String> {
        let sql = "SELECT name FROM pragma_table_info(?1) ORDER BY cid";
        let mut statement = self.sqlite.prepare_cached(sql).unwrap();
        statement.query_map([name], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    }

    pub(crate) fn compare_query(&self, sql: &str, when: &str) {
        let [(columns, here), (of_server, there)] = self.rows(sql);
        assert_eq!(columns, of_server, "{when}: columns of {sql}");
        let only = |these: &[Row], others: &[Row]| -> Vec<Row> {
            these.iter().filter(|row| !others.contains(row)).cloned().collect()
        };
        let (missing, extra) = (only(&here, &there), only(&there, &here));
        assert!(here == there, "{when}: {sql}\nonly SQLite: {missing:#?}\nonly PostgreSQL: {extra:#?}");
    }
}

/// A value of PostgreSQL's in words.
fn cell(row: &tokio_postgres::Row, at: usize, kind: &Type) -> String {
    let value = match *kind {
        Type::INT8 => row.get::<_, Option<i64>>(at).map_or(ValueRef::Null, ValueRef::Integer),
        Type::FLOAT8 => row.get::<_, Option<f64>>(at).map_or(ValueRef::Null, ValueRef::Real),
        Type::BYTEA => row.get::<_, Option<&[u8]>>(at).map_or(ValueRef::Null, ValueRef::Blob),
        _ => row.get::<_, Option<Text<'_>>>(at).map_or(ValueRef::Null, |text| ValueRef::Text(text.0)),
    };
    in_words(value, *kind == Type::JSON)
}

/// A text, or JSON as it was stored.
struct Text<'a>(&'a [u8]);

impl<'a> FromSql<'a> for Text<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(raw))
    }

    fn accepts(kind: &Type) -> bool {
        [Type::TEXT, Type::JSON].contains(kind)
    }
}

/// A value with its kind. Twelve digits of a number: sums of them may be rounded otherwise.
fn in_words(value: ValueRef<'_>, json: bool) -> String {
    match value {
        ValueRef::Null => "nothing".to_owned(),
        ValueRef::Integer(number) => format!("integer {number}"),
        ValueRef::Real(number) => format!("real {number:.11e}"),
        ValueRef::Text(text) if json => {
            format!("json {}", serde_json::from_slice::<serde_json::Value>(text).unwrap())
        }
        ValueRef::Text(text) => format!("text {}", String::from_utf8_lossy(text)),
        ValueRef::Blob(bytes) => format!("bytes {bytes:?}"),
    }
}
