//! The same rows by bare inserts: same tables and indexes, no triggers, no decoding, no folding. What is left is what
//! SQLite itself takes, so the ratio says what the rest of the house costs.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags, Rows, Statement};
use uplift_store::sqlite::SqliteStore;

/// The table that sets the pace; the others follow in proportion.
const EVENTS: &str = "event_rows";
/// Spans that are no events.
const PLAIN: &str = "plain_spans";
/// What intake writes, each in the order of its identity, which is the order in which it was written.
const TABLES: [(&str, &str); 12] = [
    ("names", "name_no"),
    ("traces", "trace_no"),
    ("task_links", "task_hash"),
    ("bodies", "body_no"),
    ("attribute_sets", "attributes_no"),
    ("error_groups", "error_no"),
    (EVENTS, "trace_no, id"),
    (PLAIN, "trace_no, id"),
    ("task_rows", "trace_no, task"),
    ("rollup_ops", "entity_type, entity_id, operation, hour"),
    ("rollup_errors", "entity_type, entity_id, fingerprint, hour"),
    ("rolling_review_counters", "entity_type, entity_id"),
];
/// The log is written back from this size on, pages of 4 KiB: as often as the server does.
const CHECKPOINT_PAGES: u32 = 4_096;

/// What was measured.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Copied {
    /// Rows of events.
    pub(super) events: u64,
    /// Rows of spans, events or not.
    pub(super) spans: u64,
    /// Rows of the other tables.
    pub(super) other_rows: u64,
    /// Time spent inserting and committing; reading is not counted.
    pub(super) seconds: f64,
}

/// Copies what `from` holds into a fresh database `to`, `batch` events a commit.
pub(super) fn copy(from: &Path, to: &Path, batch: usize) -> anyhow::Result<Copied> {
    let target = prepare(to)?;
    let source = Connection::open_with_flags(from, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let mut total = Vec::new();
    for (table, _) in TABLES {
        let rows: i64 = source.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))?;
        total.push(rows as u64);
    }
    let events = TABLES.iter().position(|(table, _)| *table == EVENTS).map_or(0, |place| total[place]);
    let plain = TABLES.iter().position(|(table, _)| *table == PLAIN).map_or(0, |place| total[place]);
    let spans: i64 =
        source.query_row("SELECT count(*) FROM event_rows WHERE parent IS NOT NULL", [], |row| row.get(0))?;
    let spans = spans as u64 + plain;
    let mut reading = statements(&source, |(table, key)| format!("SELECT * FROM {table} ORDER BY {key}"))?;
    let width: Vec<usize> = reading.iter().map(Statement::column_count).collect();
    let mut rows: Vec<Rows<'_>> =
        reading.iter_mut().map(|statement| statement.query([])).collect::<Result<_, _>>()?;
    let mut places = width.iter();
    let mut writing = statements(&target, |(table, _)| {
        let marks = vec!["?"; places.next().copied().unwrap_or(0)].join(", ");
        format!("INSERT INTO {table} VALUES ({marks})")
    })?;
    let mut spent = Duration::ZERO;
    let commits = (events + plain).div_ceil(batch as u64).max(1);
    let mut copied = vec![0; TABLES.len()];
    for commit in 1..=commits {
        let mut chunk: Vec<Vec<Vec<Value>>> = Vec::with_capacity(TABLES.len());
        for place in 0..TABLES.len() {
            let due = total[place] * commit / commits;
            chunk.push(take(&mut rows[place], width[place], due - copied[place])?);
            copied[place] = due;
        }
        let began = Instant::now();
        target.execute_batch("BEGIN IMMEDIATE")?;
        for (statement, rows) in writing.iter_mut().zip(chunk) {
            for row in rows {
                statement.execute(rusqlite::params_from_iter(row))?;
            }
        }
        target.execute_batch("COMMIT")?;
        spent += began.elapsed();
    }
    Ok(Copied { events, spans, other_rows: total.iter().sum::<u64>() - events, seconds: spent.as_secs_f64() })
}

fn statements(
    connection: &Connection,
    mut text: impl FnMut(&(&str, &str)) -> String,
) -> rusqlite::Result<Vec<Statement<'_>>> {
    TABLES.iter().map(|table| connection.prepare(&text(table))).collect()
}

fn take(rows: &mut Rows<'_>, width: usize, count: u64) -> rusqlite::Result<Vec<Vec<Value>>> {
    let mut taken = Vec::with_capacity(count as usize);
    while (taken.len() as u64) < count {
        let Some(row) = rows.next()? else { break };
        taken.push((0..width).map(|column| row.get(column)).collect::<Result<_, _>>()?);
    }
    Ok(taken)
}

/// A database of our schema without triggers, set up as the server sets up its own.
fn prepare(path: &Path) -> anyhow::Result<Connection> {
    let store = SqliteStore::open(path)?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(store.close());
    drop(store);
    let connection = Connection::open(path)?;
    let triggers: Vec<String> = connection
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'trigger'")?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for trigger in triggers {
        connection.execute_batch(&format!("DROP TRIGGER \"{trigger}\""))?;
    }
    connection
        .execute_batch(&format!(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -32768;
             PRAGMA temp_store = MEMORY; PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES};"
        ))
        .context("the fresh database cannot be set up")?;
    Ok(connection)
}
