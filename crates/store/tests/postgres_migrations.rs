//! The two schemas are one: the same statements, run by SQLite and by PostgreSQL, leave the same rows in every table and
//! show the same rows in every view. Passed over, with a line that says so, where no PostgreSQL server is named.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "these are tests")]

#[path = "migrations/data.rs"]
#[allow(dead_code, reason = "the tests of SQLite's migrations use all of it")]
mod data;

use rusqlite::Connection;
use rusqlite::types::ValueRef;
use tokio::runtime::Runtime;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, NoTls};
use uplift_store::suite::sample::Dice;
use uplift_store::suite::scratch::Scratch;
use uplift_store::{postgres, sqlite};

use data::ROWS;

/// A database of each engine. The order of the fields is the order in which they go.
struct Pair {
    sqlite: Connection,
    client: Client,
    runtime: Runtime,
    _scratch: Scratch,
    version: usize,
}

impl Pair {
    /// Two empty databases; None where there is no server.
    fn new() -> Option<Self> {
        let scratch = Scratch::make()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (client, connection) = runtime.block_on(tokio_postgres::connect(&scratch.address(), NoTls)).unwrap();
        runtime.spawn(connection);
        let sqlite = Connection::open_in_memory().unwrap();
        sqlite.execute_batch("PRAGMA foreign_keys = ON").unwrap();
        Some(Self { sqlite, client, runtime, _scratch: scratch, version: 0 })
    }

    /// Two databases of the current version.
    fn current() -> Option<Self> {
        let mut pair = Self::new()?;
        pair.migrate(sqlite::MIGRATIONS.len());
        Some(pair)
    }

    /// Runs the migrations up to this one.
    fn migrate(&mut self, version: usize) {
        for place in self.version..version {
            let (name, text) = sqlite::MIGRATIONS[place];
            self.sqlite.execute_batch(text).unwrap_or_else(|error| panic!("{name}: {error}"));
            let (name, text) = postgres::MIGRATIONS[place];
            self.on_server(text).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        self.version = version;
    }

    /// A row in every table there is.
    fn fill(&self) {
        let tables = self.named("table");
        for (_, insert) in ROWS.iter().filter(|(table, _)| tables.contains(&(*table).to_owned())) {
            self.run(insert);
        }
    }

    /// Runs statements on both. Both take them.
    fn run(&self, sql: &str) {
        self.sqlite.execute_batch(sql).unwrap_or_else(|error| panic!("SQLite: {error}: {sql}"));
        self.on_server(sql).unwrap_or_else(|error| panic!("PostgreSQL: {error}: {sql}"));
    }

    fn on_server(&self, sql: &str) -> Result<(), String> {
        let sql = sql.replace("printf('%064d', 7)", "lpad('7', 64, '0')");
        let sql = sql.replace(", x'", ", '\\x").replace("(x'", "('\\x");
        self.runtime.block_on(self.client.batch_execute(&sql)).map_err(|error| match error.as_db_error() {
            Some(said) => format!("{} [{}]", said.message(), said.code().code()),
            None => error.to_string(),
        })
    }

    /// Names of tables, views or triggers, as SQLite knows them.
    fn named(&self, kind: &str) -> Vec<String> {
        let sql = "SELECT name FROM sqlite_schema WHERE type = ?1 AND name NOT LIKE 'sqlite_%' ORDER BY name";
        let mut statement = self.sqlite.prepare(sql).unwrap();
        statement.query_map([kind], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    }

    /// What a query gives, in words: the names of the columns, and the rows in an order of their own.
    fn rows(&self, sql: &str) -> [(Vec<String>, Vec<Vec<String>>); 2] {
        let (columns, mut there) = self.rows_of_server(sql);
        let json: Vec<bool> = columns.iter().map(|(_, kind)| *kind == Type::JSON).collect();
        let mut statement = self.sqlite.prepare(sql).unwrap();
        let names = statement.column_names().into_iter().map(str::to_owned).collect();
        let spell = |row: &rusqlite::Row<'_>| -> rusqlite::Result<Vec<String>> {
            json.iter().enumerate().map(|(at, json)| Ok(in_words(row.get_ref(at)?, *json))).collect()
        };
        let mut here: Vec<_> = statement.query_map([], spell).unwrap().collect::<Result<_, _>>().unwrap();
        here.sort_unstable();
        there.sort_unstable();
        [(names, here), (columns.into_iter().map(|(name, _)| name).collect(), there)]
    }

    fn rows_of_server(&self, sql: &str) -> (Vec<(String, Type)>, Vec<Vec<String>>) {
        let statement = self.runtime.block_on(self.client.prepare(sql)).unwrap();
        let columns: Vec<_> =
            statement.columns().iter().map(|column| (column.name().to_owned(), column.type_().clone())).collect();
        let cell = |row: &tokio_postgres::Row, at: usize, kind: &Type| match *kind {
            Type::INT8 => row.get::<_, Option<i64>>(at).map(|value| in_words(ValueRef::Integer(value), false)),
            Type::FLOAT8 => row.get::<_, Option<f64>>(at).map(|value| in_words(ValueRef::Real(value), false)),
            Type::TEXT => row.get::<_, Option<&str>>(at).map(|text| in_words(ValueRef::Text(text.as_bytes()), false)),
            Type::BYTEA => row.get::<_, Option<&[u8]>>(at).map(|bytes| in_words(ValueRef::Blob(bytes), false)),
            Type::JSON => {
                row.get::<_, Option<AsText>>(at).map(|text| in_words(ValueRef::Text(text.0.as_bytes()), true))
            }
            _ => panic!("{sql}: {} is a {kind}", columns[at].0),
        };
        let found = self.runtime.block_on(self.client.query(&statement, &[])).unwrap();
        let spell = |row| {
            let cells = columns.iter().enumerate().map(|(at, (_, kind))| cell(row, at, kind));
            cells.map(|cell| cell.unwrap_or_else(|| "nothing".to_owned())).collect()
        };
        let rows = found.iter().map(spell).collect();
        // A column that no row has shown is looked at, too.
        for (name, kind) in &columns {
            let known = [Type::INT8, Type::FLOAT8, Type::TEXT, Type::BYTEA, Type::JSON].contains(kind);
            assert!(known, "{sql}: {name} is a {kind}");
        }
        (columns, rows)
    }

    /// Every table and every view shows the same.
    fn compare(&self, when: &str) {
        for name in [self.named("table"), self.named("view")].concat() {
            // Its numbers have gaps in PostgreSQL, where a mark finds an open opportunity.
            if name != "optimization_opportunities" {
                self.compare_query(&format!("SELECT * FROM {name}"), when);
            }
        }
        let all =
            "SELECT entity_type, entity_id, kind, fingerprint, status, source, confirmed, description, confidence,
            potential_impact, impact, improvement_type, occurrences, evidence, marked_hour, created_at, updated_at,
            last_seen_at, resolution, withdrawn FROM optimization_opportunities";
        self.compare_query(all, when);
    }

    fn compare_query(&self, sql: &str, when: &str) {
        let [(columns, here), (of_server, there)] = self.rows(sql);
        assert_eq!(columns, of_server, "{when}: columns of {sql}");
        let only = |these: &[Vec<String>], others: &[Vec<String>]| -> Vec<Vec<String>> {
            these.iter().filter(|row| !others.contains(row)).cloned().collect()
        };
        let (missing, extra) = (only(&here, &there), only(&there, &here));
        assert!(here == there, "{when}: {sql}\nonly SQLite: {missing:#?}\nonly PostgreSQL: {extra:#?}");
    }
}

/// JSON as it is stored.
struct AsText<'a>(&'a str);

impl<'a> tokio_postgres::types::FromSql<'a> for AsText<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(std::str::from_utf8(raw)?))
    }

    fn accepts(kind: &Type) -> bool {
        *kind == Type::JSON
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

#[test]
fn names_of_migrations_are_the_same() {
    let names = |of: &[(&'static str, &str)]| of.iter().map(|(name, _)| *name).collect::<Vec<_>>();
    assert_eq!(names(sqlite::MIGRATIONS), names(postgres::MIGRATIONS));
}

#[test]
fn every_version_leads_to_the_same_rows() {
    for version in 0..=sqlite::MIGRATIONS.len() {
        let Some(mut pair) = Pair::new() else { return };
        pair.migrate(version);
        pair.fill();
        pair.compare(&format!("version {version}, filled"));
        pair.migrate(sqlite::MIGRATIONS.len());
        pair.compare(&format!("from version {version}"));
    }
}

#[test]
fn settings_that_were_copies_are_left_to_the_engine() {
    let Some(mut pair) = Pair::new() else { return };
    pair.migrate(7);
    for (place, config) in [
        r#"{"auto_improve_enabled":true,"min_confidence_threshold":0.8,"test_duration_hours":24.0,"max_rollback_rate":0.1}"#,
        r#"{"min_confidence_threshold":0.9,"test_duration_hours":24,"mode":"approve"}"#,
        r#"{"min_confidence_threshold":0.80,"test_duration_hours":12.5}"#,
        r#"{"max_rollback_rate": 0.1, "auto_improve_enabled": false}"#,
        "{}",
    ]
    .iter()
    .enumerate()
    {
        pair.run(&format!(
            "INSERT INTO entities (entity_type, entity_id, name, improvement_config, created_at)
             VALUES ('agent', 100 + {place}, 'n{place}', '{config}', 5)"
        ));
    }
    pair.migrate(sqlite::MIGRATIONS.len());
    pair.compare("after 008");
}

#[test]
fn views_show_the_same() {
    let Some(pair) = Pair::current() else { return };
    pair.compare("empty");
    pair.fill();
    const DAY: i64 = 86_400_000_000;
    for kind in 0..=17 {
        let (outcome, source) = (["NULL", "0", "1", "2", "3"][kind % 5], kind % 4);
        pair.run(&format!(
            "INSERT INTO event_rows (trace_no, id, ts, kind, entity_type, entity_id, task, outcome, duration_ms, tokens_in,
                tokens_out, tokens_cached, cost_usd, source, clock, digest, parent, span_flags, waits_at)
             VALUES ({}, 'k{kind}', {}, {kind}, {}, {}, {}, {outcome}, {kind} / 7.0, {kind}, 2, 1, 0.1, {source}, {source},
                {kind}, {}, {}, {})",
            1 + kind % 2,
            [0_i64, 1, 999_999, 1_000_000, 1_767_225_599_999_999, 7_258_118_400_000_001][kind % 6],
            kind % 5,
            kind % 2,
            ["NULL", "'t'"][kind % 2],
            ["NULL", "''", "'up'"][kind % 3],
            ["NULL", "0", "3", "6", "127"][kind % 5],
            ["NULL", "'gone'"][kind % 2],
        ));
    }
    for (place, end) in ["NULL", "5", "1000001"].iter().enumerate() {
        for (number, duration) in ["NULL", "1", "1234567"].iter().enumerate() {
            pair.run(&format!(
                "INSERT INTO task_rows (trace_no, task, entity_type, entity_id, first_us, last_us, end_us, duration_us,
                    outcome, events, unclocked, llm_calls, tool_calls, errors, tokens_in, tokens_out, tokens_cached,
                    cost_nano, end_cost_nano)
                 VALUES (1, 'w{place}{number}', {place}, 1, {}, {}, {end}, {duration}, {}, 1, {number}, 2, 3, 4, 5, 6, 7,
                    123456789, {})",
                ["NULL", "3", "999999"][number],
                ["NULL", "1000002", "999999"][(number + place) % 3],
                ["NULL", "0", "2"][place],
                ["NULL", "0", "9007199254740993"][number],
            ));
        }
    }
    pair.compare("events and tasks");
    pair.run(&format!(
        "UPDATE engine_clock SET now_us = {}; DELETE FROM improvement_history; DELETE FROM improvement_alerts",
        100 * DAY
    ));
    pair.compare("nothing decided");
    for turn in 0..24_i64 {
        let outcome = ["kept", "rolled_back", "inconclusive", "rejected", "kept", "cancelled"][turn as usize % 6];
        let kind = ["error_prevention", "performance_tuning", "instruction_update"][turn as usize % 3];
        let effect = if turn % 5 == 0 { "NULL".to_owned() } else { format!("{} / 17.0", turn - 9) };
        pair.run(&format!(
            "INSERT INTO improvement_history (improvement_id, entity_type, entity_id, improvement_type, outcome,
                decided_at, effectiveness) VALUES (1, 'agent', 1, '{kind}', '{outcome}', {}, {effect})",
            (60 + 3 * turn) * DAY + turn % 2
        ));
        if turn % 4 == 0 {
            let alert = ["high_rollback_rate", "degraded_performance", "recurring_failure"][turn as usize % 3];
            pair.run(&format!(
                "INSERT INTO improvement_alerts (kind, fingerprint, message, value, threshold, at, resolved_at)
                 VALUES ('{alert}', '{turn}', 'm', 0.25, 0.2, 5, {})",
                if turn % 8 == 0 { "7" } else { "NULL" }
            ));
        }
        pair.run(&format!(
            "INSERT INTO optimization_opportunities (entity_type, entity_id, kind, fingerprint, source, improvement_type,
                created_at, updated_at, last_seen_at)
             VALUES ('agent', 1, 'inefficiency', '{turn}', 'review', 'performance_tuning', 1, 1, 1)"
        ));
        pair.compare(&format!("decision {turn}"));
    }
    for config in [r#"{"auto_improve_enabled":false}"#, r#"{"auto_improve_enabled":true}"#, "{}"] {
        pair.run(&format!("UPDATE entities SET improvement_config = '{config}' WHERE name = 'a'"));
        pair.compare(config);
    }
}

/// One of the statements by which rollups and counters change, one row each.
fn statement(dice: &mut Dice) -> String {
    let (entity, hour) = (1 + dice.below(2), 1_000 + dice.below(260));
    let fingerprint = ["f", "g"][dice.below(2)];
    let (n, ln) = (dice.below(5), 4_000_000 + dice.below(2_000_000));
    match dice.below(16) {
        0..4 => format!(
            "INSERT INTO rollup_errors AS r VALUES ('agent', {entity}, '{fingerprint}', {hour}, {n})
             ON CONFLICT (entity_type, entity_id, fingerprint, hour) DO UPDATE SET n = r.n + excluded.n"
        ),
        4..9 => format!(
            "INSERT INTO rollup_ops AS r (entity_type, entity_id, operation, hour, n, timed, sum_ln)
             VALUES ('agent', {entity}, 'task', {hour}, {n}, {n}, {n} * {ln})
             ON CONFLICT (entity_type, entity_id, operation, hour) DO UPDATE SET n = r.n + excluded.n,
                timed = r.timed + excluded.timed, sum_ln = r.sum_ln + excluded.sum_ln"
        ),
        9 => format!("UPDATE rollup_errors SET n = n - 1 WHERE n > 0 AND entity_id = {entity}
            AND fingerprint = '{fingerprint}' AND hour = (SELECT max(hour) FROM rollup_errors WHERE entity_id = {entity}
            AND fingerprint = '{fingerprint}' AND hour <= {hour})"),
        10 => format!("UPDATE rollup_ops SET timed = timed - 1, sum_ln = sum_ln - {ln} WHERE timed > 0
            AND entity_id = {entity} AND hour = (SELECT min(hour) FROM rollup_ops
            WHERE entity_id = {entity} AND hour >= {hour})"),
        11 => format!("DELETE FROM rollup_ops WHERE entity_id = {entity} AND hour = (SELECT min(hour) FROM rollup_ops
            WHERE entity_id = {entity} AND hour >= {hour})"),
        12 => format!(
            "UPDATE optimization_opportunities SET status = '{}', withdrawn = {}, updated_at =
                (SELECT now_us FROM engine_clock) WHERE status = 'pending' AND entity_id = {entity} AND fingerprint = '{}'",
            ["dismissed", "completed", "dismissed"][dice.below(3)],
            dice.below(2),
            ["f", "g", "task"][dice.below(3)],
        ),
        13 => "UPDATE engine_clock SET now_us = now_us + 11 * 86400000000".to_owned(),
        14 => format!(
            "UPDATE detection_settings SET error_threshold = {}, baseline_minimum = {}, degradation_ln = {}, quiet_us = {}",
            1 + dice.below(8),
            dice.below(9),
            ["1", "405465", "100000"][dice.below(3)],
            ["0", "2592000000000"][dice.below(2)],
        ),
        _ => counter(dice, entity),
    }
}

/// A change of the counter of reviews.
fn counter(dice: &mut Dice, entity: usize) -> String {
    if dice.below(3) == 0 {
        return format!(
            "UPDATE rolling_review_counters SET due = NULL, tasks_since_review = {}, period_start_at = last_event_at,
                review_type = '{}' WHERE entity_id = {entity}",
            dice.below(2) * 7,
            ["threshold", "periodic", "hybrid"][dice.below(3)],
        );
    }
    format!(
        "INSERT INTO rolling_review_counters AS c (entity_type, entity_id, review_type, task_threshold, period_hours,
            tasks_since_review, period_start_at, last_event_at)
         VALUES ('agent', {entity}, '{}', 5, 2, {}, {}, {}) ON CONFLICT (entity_type, entity_id) DO UPDATE SET
            tasks_since_review = c.tasks_since_review + excluded.tasks_since_review, last_event_at = excluded.last_event_at",
        ["threshold", "periodic", "hybrid"][dice.below(3)],
        dice.below(4),
        ["NULL", "0", "3600000000"][dice.below(3)],
        ["NULL", "7200000000", "10800000000", "5"][dice.below(4)],
    )
}

#[test]
fn rules_do_the_same() {
    let mut marks = 0;
    for seed in 0..6 {
        let Some(pair) = Pair::current() else { return };
        pair.run("BEGIN");
        let mut dice = Dice::new(seed);
        let mut done = Vec::new();
        for turn in 1..=400 {
            done.push(statement(&mut dice));
            pair.run(&done[done.len() - 1]);
            if turn % 10 == 0 {
                pair.compare(&format!("seed {seed}, turn {turn}, {:#?}", &done[done.len() - 10..]));
            }
        }
        let [(_, here), _] = pair.rows("SELECT kind, status FROM optimization_opportunities");
        marks += here.len();
        pair.run("COMMIT");
    }
    assert!(marks > 30, "the rules hardly ran: {marks} marks");
}

#[test]
fn several_rows_of_one_statement() {
    for statements in [
        &["INSERT INTO rollup_errors VALUES ('agent', 1, 'f', 100, 6), ('agent', 1, 'f', 101, 6)"][..],
        &["INSERT INTO rollup_errors VALUES ('agent', 1, 'f', 101, 3), ('agent', 1, 'f', 100, 3)"],
        &["INSERT INTO rollup_errors VALUES ('agent', 1, 'f', 100, 2), ('agent', 1, 'f', 101, 2)",
          "UPDATE rollup_errors SET n = 6"],
        &["INSERT INTO rollup_ops (entity_type, entity_id, operation, hour, n, timed, sum_ln)
           VALUES ('agent', 1, 'task', 12, 1, 1, 5), ('agent', 1, 'task', 10, 1, 1, 7), ('agent', 1, 'task', 50, 1, 1, 9)"],
        &["INSERT INTO rollup_ops (entity_type, entity_id, operation, hour, n, timed, sum_ln)
           VALUES ('agent', 1, 'task', 10, 1, 1, 5), ('agent', 1, 'task', 12, 1, 1, 7), ('agent', 1, 'task', 50, 1, 1, 9)",
          "UPDATE rollup_ops SET timed = timed + 1, sum_ln = sum_ln + hour", "DELETE FROM rollup_ops WHERE hour < 20"],
        &["INSERT INTO rolling_review_counters (entity_type, entity_id, tasks_since_review) VALUES ('agent', 1, 100),
           ('agent', 2, 99), ('agent', 3, 101)", "UPDATE rolling_review_counters SET tasks_since_review = 200"],
    ] {
        let Some(pair) = Pair::current() else { return };
        for sql in statements {
            pair.run(sql);
            pair.compare(sql);
        }
    }
}
