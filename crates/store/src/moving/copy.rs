//! Rows go over, in chunks.

use super::shape::Table;
use super::side::quoted;
use super::source::Source;
use super::target::{Note, Target};
use super::value::column;
use super::{Phase, Progress};
use crate::error::StoreResult;
use crate::logic::fault::Fault;
use crate::sql::{Row, Rows, Value};

/// Most rows of a chunk.
const ROWS: usize = 20_000;
/// A chunk ends with the row by which it holds so much, bytes: bounds memory, and what is done again after a stop.
const BYTES: usize = 8 << 20;

/// Copies what is not there yet; says how many rows went over.
pub(super) fn all(
    source: &Source,
    target: &Target,
    tables: &[Table],
    found: u64,
    tell: &mut dyn FnMut(Progress<'_>),
) -> StoreResult<u64> {
    let mut all = 0;
    for table in tables.iter().filter(|table| table.goes_over()) {
        all += source.count(table)?;
    }
    let mut copied = 0;
    for table in tables.iter().filter(|table| table.goes_over()) {
        tell(Progress { phase: Phase::Copying, table: &table.name, done: found + copied, all });
        let note = target.note(table)?;
        if note.finished {
            continue;
        }
        one(source, target, table, note, &mut |rows| {
            copied += rows;
            tell(Progress { phase: Phase::Copying, table: &table.name, done: found + copied, all });
        })?;
    }
    Ok(copied)
}

/// Copies what is left of a table.
fn one(
    source: &Source,
    target: &Target,
    table: &Table,
    mut note: Note,
    added: &mut dyn FnMut(u64),
) -> StoreResult<()> {
    let (columns, key, name) = (table.columns(), table.key_columns(), quoted(&table.name));
    let after = note.last_key.clone().unwrap_or_default();
    let behind = match after.len() {
        0 => String::new(),
        values => format!("WHERE ({key}) > ({})", vec!["?"; values].join(", ")),
    };
    let sql = format!("SELECT {columns} FROM {name} {behind} ORDER BY {key}");
    source.side.ask("reading rows", |connection| {
        let mut statement = connection.prepare_cached(&sql)?;
        let mut rows = statement.query(after)?;
        while !note.finished {
            let mut chunk = Chunk::default();
            chunk.fill(&mut rows, table)?;
            note.rows += chunk.rows.len() as u64;
            note.finished = !chunk.is_full();
            note.last_key = chunk.last_key.take().or(note.last_key.take());
            target.add(table, &chunk.rows, &note)?;
            added(chunk.rows.len() as u64);
        }
        Ok(())
    })
}

/// Rows that go over together.
#[derive(Default)]
struct Chunk {
    rows: Vec<Vec<Value>>,
    bytes: usize,
    /// The source's own values: what was replaced on the way is not where the source goes on.
    last_key: Option<Vec<Value>>,
}

impl Chunk {
    fn is_full(&self) -> bool {
        self.rows.len() >= ROWS || self.bytes >= BYTES
    }

    /// Takes rows until it is full or there are no more.
    fn fill(&mut self, rows: &mut Rows<'_>, table: &Table) -> Result<(), Fault> {
        while !self.is_full() {
            let Some(row) = rows.next()? else { return Ok(()) };
            let mut values = Vec::with_capacity(table.columns.len());
            for (place, of) in table.columns.iter().enumerate() {
                let value = column(&row, place, of, table)?;
                self.bytes += value.size();
                values.push(value.into_value());
            }
            self.rows.push(values);
            if self.is_full() {
                self.last_key = Some(key_of(&row, table)?);
            }
        }
        Ok(())
    }
}

/// The key of a row, as the source has it.
fn key_of(row: &Row<'_>, table: &Table) -> Result<Vec<Value>, Fault> {
    table.key.iter().map(|place| Ok(row.get(*place)?)).collect()
}
