//! Moving a database from SQLite to PostgreSQL: every table, row for row, and then both are compared.
//!
//! Rows go over in the order of their primary keys, in chunks; each chunk is one transaction together with the note of how
//! far it came. So a move that ends at any moment goes on behind the last chunk that was committed. The tables and their
//! columns are taken from the schema, so a later migration cannot be forgotten here. While a database is being moved
//! to, no server works on it: it has a table `uplift_moving`, and the row by which writers take turns comes last.
//!
//! - `shape`: which tables there are, and what the two sides call their columns.
//! - `side`: one of the two databases; `source`, `target`: the one that is held, and the one that is filled.
//! - `value`: what a value becomes on the way, and the sums by which both sides are compared.
//! - `copy`, `verify`: the two halves of the work.

mod copy;
mod shape;
mod side;
mod source;
mod target;
mod value;
mod verify;

use std::path::Path;

use self::source::Source;
use self::target::{Begun, Target};
use crate::error::{StoreError, StoreResult};
use crate::postgres::tls::Server;

pub(crate) use self::target::refuse_unfinished;

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plan {
    /// Move, or go on with a move that was interrupted, and compare.
    Move,
    /// Forget what an interrupted move brought over, and begin again.
    StartOver,
    /// Compare what was moved before.
    VerifyOnly,
}

/// Which half of the work is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Rows go over.
    Copying,
    /// Both sides are read.
    Comparing,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress<'a> {
    /// What is being done.
    pub phase: Phase,
    /// The table it is at.
    pub table: &'a str,
    /// Rows done, of all tables, those of an earlier run included.
    pub done: u64,
    /// Rows to do, of all tables; while comparing, those of both sides.
    pub all: u64,
}

/// What a move came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// The tables, in the order in which they went over.
    pub tables: Vec<MovedTable>,
    /// Rows that went over in this run.
    pub copied: u64,
    /// Rows that an earlier run had brought over.
    pub found: u64,
    /// Texts in which characters were replaced by U+FFFD: NUL, which PostgreSQL cannot hold, and what was no UTF-8.
    pub replaced: u64,
    /// Tables of the source that are not Uplift's and stayed there.
    pub left_out: Vec<String>,
}

/// A table that is the same on both sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MovedTable {
    /// Its name.
    pub name: String,
    /// Its rows.
    pub rows: u64,
    /// The sum of the checksums of its rows, as 64 hexadecimal digits.
    pub checksum: String,
}

/// Moves the database in the file `source` to the one at the address `target`, or compares them. Nothing else can write to
/// the file meanwhile; it is not changed. Waits for the disk and the network: not to be called from async code.
///
/// # Errors
/// When the file is no database of this version or is being written, the server is not to be reached or refuses, the target
/// holds anything that is not from this move, or the two sides are not the same in the end. What was brought over until
/// then is kept, and the next run goes on from there.
pub fn run(source: &Path, target: &str, plan: Plan, tell: &mut dyn FnMut(Progress<'_>)) -> StoreResult<Moved> {
    // The address first: it is checked without touching anything.
    let server = Server::read(target)?;
    let source = Source::hold(source)?;
    let target = Target::connect(&server)?;
    let begun = match plan {
        Plan::VerifyOnly => target.require_finished()?,
        Plan::Move | Plan::StartOver => target.begin(&source, plan == Plan::StartOver)?,
    };
    let Begun { tables, found } = begun;
    let mut moved = Moved { tables: Vec::new(), copied: 0, found, replaced: 0, left_out: source.left_out()? };
    if plan != Plan::VerifyOnly {
        moved.copied = copy::all(&source, &target, &tables, found, tell)?;
        target.set_numbers(&source, &tables)?;
        target.analyze(&tables)?;
    }
    let compared = verify::all(&source, &target, &tables, tell)?;
    moved.replaced = compared.replaced;
    moved.tables = compared.tables;
    if !compared.differing.is_empty() {
        return Err(StoreError::Invalid { reason: differing(&source, &target, &compared.differing, plan) });
    }
    if plan != Plan::VerifyOnly {
        target.finish()?;
    }
    Ok(moved)
}

/// What to say where the two sides are not the same.
fn differing(source: &Source, target: &Target, tables: &[String], plan: Plan) -> String {
    let (from, to) = (source.place(), target.place());
    let tables = tables.join("; ");
    let remedy = match plan {
        Plan::VerifyOnly => "that is so once either has been written to since the move",
        Plan::Move | Plan::StartOver => {
            "the move is not finished: begin it again with --start-over, while nothing writes to either"
        }
    };
    format!("{from} and {to} are not the same ({tables}): {remedy}")
}
