//! Both sides are read, and their sums compared.

use super::shape::Table;
use super::side::quoted;
use super::source::Source;
use super::target::Target;
use super::value::Sum;
use super::{MovedTable, Phase, Progress};
use crate::error::StoreResult;
use crate::logic::fault::Fault;
use crate::sql::Row;

/// Rows between two words on how far it is.
const TELL_EVERY: u64 = 10_000;

/// What comparing came to.
pub(super) struct Compared {
    pub(super) tables: Vec<MovedTable>,
    /// The tables that differ, in words.
    pub(super) differing: Vec<String>,
    /// Texts that are the same but for characters that the target cannot hold.
    pub(super) replaced: u64,
}

/// Reads all of both.
pub(super) fn all(
    source: &Source,
    target: &Target,
    tables: &[Table],
    tell: &mut dyn FnMut(Progress<'_>),
) -> StoreResult<Compared> {
    let mut all = 0;
    for table in tables {
        all += 2 * source.count(table)?;
    }
    let mut done = 0;
    let mut compared = Compared { tables: Vec::new(), differing: Vec::new(), replaced: 0 };
    for table in tables {
        let mut read = || {
            if done % TELL_EVERY == 0 {
                tell(Progress { phase: Phase::Comparing, table: &table.name, done, all });
            }
            done += 1;
        };
        let (here, replaced) = of_source(source, table, &mut read)?;
        let there = of_target(target, table, &mut read)?;
        compared.replaced += replaced;
        if here != there {
            let rows = match (here.rows, there.rows) {
                (here, there) if here == there => format!("{here} rows, of which some differ"),
                (here, there) => format!("{here} rows and {there}"),
            };
            compared.differing.push(format!("{}: {rows}", table.name));
        }
        compared.tables.push(MovedTable { name: table.name.clone(), rows: here.rows, checksum: here.hex() });
    }
    Ok(compared)
}

/// The order does not matter, so that neither side has to sort.
fn query(table: &Table) -> String {
    format!("SELECT {} FROM {}", table.columns(), quoted(&table.name))
}

fn of_source(source: &Source, table: &Table, read: &mut dyn FnMut()) -> StoreResult<(Sum, u64)> {
    let (sql, mut sum, mut replaced) = (query(table), Sum::default(), 0);
    source.side.ask("reading rows", |connection| {
        let mut statement = connection.prepare_cached(&sql)?;
        let mut rows = statement.query(())?;
        while let Some(row) = rows.next()? {
            replaced += sum.add(&row, table)?;
            read();
        }
        Ok((sum, replaced))
    })
}

fn of_target(target: &Target, table: &Table, read: &mut dyn FnMut()) -> StoreResult<Sum> {
    let (sql, mut sum) = (query(table), Sum::default());
    target.side.ask_server("reading rows", |session| {
        session.each(&sql, |row| -> Result<(), Fault> {
            sum.add(&Row::Postgres(row), table)?;
            read();
            Ok(())
        })?;
        Ok(sum)
    })
}
