//! `uplift migrate`: a database of SQLite carried over to PostgreSQL.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};
use uplift_store::StoreError;
use uplift_store::moving::{self, Moved, Phase, Plan, Progress};

use crate::database::Place;
use crate::lock::{self, Claim, Holder};
use crate::text::{Column, Style, Table, clean, count, plural, print, print_json, put};
use crate::usage::{DONE, Misuse};

/// How often the bar is drawn anew, times a second.
const DRAWS: u8 = 5;
/// How often a line says how far it is where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);
/// Tables without rows are not worth a line each.
const SHOWN: u64 = 1;

/// Arguments.
#[derive(Debug, clap::Args)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of its own on the command line")]
pub(crate) struct Args {
    /// The database to move: a file, which no server has open and which stays as it is
    #[arg(value_name = "PATH")]
    from: PathBuf,
    /// Where to: an empty database of PostgreSQL, or one that a move to was interrupted
    #[arg(value_name = "postgres://USER:PASSWORD@HOST/NAME")]
    to: PathBuf,
    /// Only compare what was moved before
    #[arg(long, conflicts_with = "start_over")]
    verify_only: bool,
    /// Forget what an interrupted move brought over, and begin again
    #[arg(long)]
    start_over: bool,
    /// What came of it as JSON
    #[arg(long)]
    json: bool,
    /// Print nothing but errors
    #[arg(long, short)]
    quiet: bool,
}

/// Moves, and says what went over.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let plan = match (args.verify_only, args.start_over) {
        (true, _) => Plan::VerifyOnly,
        (_, true) => Plan::StartOver,
        _ => Plan::Move,
    };
    let (from, to) = (Place::named(args.from), Place::named(args.to));
    let (Place::File(path), Place::Server(address)) = (&from, &to) else {
        return Err(Misuse::error(
            "a move goes from a file of SQLite to a database of PostgreSQL: \
             uplift migrate PATH postgres://user:password@host/name",
        ));
    };
    if !path.is_file() {
        bail!("there is no database at {from}");
    }
    let _lock = match lock::claim(path, &Holder::this_process(None))? {
        Claim::Ours(lock) => lock,
        Claim::Held(holder) => {
            bail!("{from} is being written by {holder}: stop it first, so that nothing is missed")
        }
    };
    let began = Instant::now();
    let mut teller = Teller::new(args.quiet);
    let moved = moving::run(path, address, plan, &mut |progress| teller.tell(progress));
    teller.bar.finish_and_clear();
    let moved = match moved {
        // What is refused says itself what is to be done.
        Err(error) if teller.copied && !matches!(error, StoreError::Invalid { .. }) => {
            return Err(error)
                .context("the move has stopped; what went over is kept, and the same command goes on from there");
        }
        moved => moved?,
    };
    let taken = began.elapsed();
    if args.json {
        print_json(&as_json(&moved, &from, &to, taken))?;
    } else if !args.quiet {
        print(&in_words(&moved, &to, plan, taken, Style::of_stdout()))?;
    }
    Ok(ExitCode::from(DONE))
}

/// Says how far it is.
struct Teller {
    bar: ProgressBar,
    /// Where there is no terminal: when a line was written last.
    lines: Option<Instant>,
    /// Whether anything went over in this run.
    copied: bool,
}

impl Teller {
    fn new(quiet: bool) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let bar = if quiet || !terminal {
            ProgressBar::hidden()
        } else {
            ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(DRAWS))
        };
        // Without a style of ours the default one serves.
        if let Ok(style) =
            ProgressStyle::with_template("{prefix} {bar:32} {human_pos}/{human_len} rows, {eta} left, {msg}")
        {
            bar.set_style(style);
        }
        Self { bar, lines: (!quiet && !terminal).then(Instant::now), copied: false }
    }

    fn tell(&mut self, progress: Progress<'_>) {
        let phase = match progress.phase {
            Phase::Copying => "copying",
            Phase::Comparing => "comparing",
        };
        self.copied |= progress.phase == Phase::Copying;
        if self.bar.prefix() != phase {
            self.bar.set_prefix(phase);
            self.bar.reset();
        }
        self.bar.set_length(progress.all);
        self.bar.set_position(progress.done);
        self.bar.set_message(progress.table.to_owned());
        if let Some(last) = self.lines.filter(|last| last.elapsed() >= LINE_EVERY) {
            let now = last + last.elapsed();
            self.lines = Some(now);
            eprintln!(
                "{phase} {}: {} of {} rows",
                progress.table,
                count(progress.done as i64),
                count(progress.all as i64)
            );
        }
    }
}

fn rows(moved: &Moved) -> u64 {
    moved.tables.iter().map(|table| table.rows).sum()
}

fn as_json(moved: &Moved, from: &Place, to: &Place, taken: Duration) -> Value {
    let tables: Vec<Value> = moved
        .tables
        .iter()
        .map(|table| json!({"name": table.name, "rows": table.rows, "checksum": table.checksum}))
        .collect();
    json!({
        "from": from.to_string(), "to": to.to_string(), "rows": rows(moved), "copied": moved.copied,
        "found": moved.found, "replaced_texts": moved.replaced, "left_out": moved.left_out,
        "seconds": taken.as_secs_f64(), "tables": tables,
    })
}

/// For people.
fn in_words(moved: &Moved, to: &Place, plan: Plan, taken: Duration, style: Style) -> String {
    let mut table = Table::new([Column::text("TABLE", 40), Column::number("ROWS"), Column::text("CHECKSUM", 16)]);
    for one in moved.tables.iter().filter(|table| table.rows >= SHOWN) {
        let checksum: String = one.checksum.chars().take(16).collect();
        table.row([one.name.clone(), count(one.rows as i64), checksum]);
    }
    let mut text = table.render(style);
    let all = plural(rows(moved) as i64, "row", "rows");
    let took = format!("{:.1} s", taken.as_secs_f64());
    let tables = plural(moved.tables.len() as i64, "table", "tables");
    match plan {
        Plan::VerifyOnly => put!(&mut text, "\nthe same on both sides: {all} in {tables}; compared in {took}\n"),
        Plan::Move | Plan::StartOver => {
            let earlier = match moved.found {
                0 => String::new(),
                found => format!(" ({} of them by an earlier run)", count(found as i64)),
            };
            put!(&mut text, "\nmoved {all}{earlier} in {tables}, and compared both sides, in {took}\n");
            let to = clean(&to.to_string());
            put!(&mut text, "it is in {to} now: start servers with that address; the file is as it was\n");
        }
    }
    if moved.replaced > 0 {
        let texts = plural(moved.replaced as i64, "text", "texts");
        put!(&mut text, "in {texts}, characters that PostgreSQL cannot hold (NUL, or no UTF-8) became U+FFFD\n");
    }
    if !moved.left_out.is_empty() {
        put!(&mut text, "not Uplift's, and left where they are: {}\n", clean(&moved.left_out.join(", ")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use uplift_store::moving::MovedTable;

    #[test]
    fn what_was_moved_is_said() {
        let table = |name: &str, rows| MovedTable { name: name.into(), rows, checksum: "ab".repeat(32) };
        let moved = Moved {
            tables: vec![table("event_rows", 1_234_567), table("outbox", 0)],
            copied: 1_000_000,
            found: 234_567,
            replaced: 1,
            left_out: vec!["_other".into()],
        };
        let to = Place::named("postgres://ada:secret@db/fleet".into());
        let style = Style { width: 100, colour: false };
        let said = in_words(&moved, &to, Plan::Move, Duration::from_millis(12_340), style);
        for part in [
            "event_rows  1,234,567  abababababababab",
            "moved 1,234,567 rows (234,567 of them by an earlier run) in 2 tables, and compared both sides, in 12.3 s",
            "it is in postgres://ada@db",
            "in 1 text, characters",
            "left where they are: _other",
        ] {
            assert!(said.contains(part), "{part} is not in:\n{said}");
        }
        assert!(!said.contains("outbox") && !said.contains("secret"), "{said}");
        let compared = in_words(&moved, &to, Plan::VerifyOnly, Duration::ZERO, style);
        assert!(compared.contains("the same on both sides"), "{compared}");
        let json = as_json(&moved, &Place::named("x.db".into()), &to, Duration::ZERO);
        assert_eq!((json["rows"].as_u64(), json["tables"][1]["rows"].as_u64()), (Some(1_234_567), Some(0)));
        assert!(!json.to_string().contains("secret"));
    }
}
