//! `uplift bench-engine`: what running trials cost.

use std::process::ExitCode;

use super::block_on;
use crate::bench::engine::{Row, measure};
use crate::text::{bytes, count, print, put};

/// Trials and entities that are measured together.
const COMBINATIONS: [(usize, usize); 6] =
    [(1, 10), (1, 1_000), (1, 100_000), (100, 1_000), (100, 100_000), (10_000, 100_000)];

/// Arguments.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Tasks of each entity on trial between two looks
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    tasks: u16,
    /// Only combinations with at most so many entities
    #[arg(long, default_value_t = 100_000)]
    most_entities: usize,
    /// One JSON object instead of a table
    #[arg(long)]
    json: bool,
}

/// Runs the measurement and prints a table.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let mut rows = Vec::new();
    for (trials, entities) in COMBINATIONS.into_iter().filter(|(_, entities)| *entities <= args.most_entities) {
        rows.push(block_on(measure(trials, entities, usize::from(args.tasks)))?);
        if !args.json {
            print(&line(rows.len() == 1, &rows[rows.len() - 1]))?;
        }
    }
    if args.json {
        print(&format!("{}\n", serde_json::json!({ "rows": rows })))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn line(first: bool, row: &Row) -> String {
    let mut text = String::new();
    if first {
        text.push_str(
            "  trials  entities  idle tick  all looks   one look  intake/s  without trials  ratio    memory\n",
        );
    }
    put!(
        &mut text,
        "{:>8}  {:>8}  {:>6.2} ms  {:>6.0} ms  {:>5.2} ms  {:>8}  {:>14}  {:>5.2}  {:>8}\n",
        count(row.trials as i64),
        count(row.entities as i64),
        row.idle_tick_ms,
        row.all_looks_ms,
        row.look_ms,
        count(row.intake_per_s as i64),
        count(row.intake_without_per_s as i64),
        row.intake_per_s / row.intake_without_per_s.max(1e-9),
        bytes(row.resident_bytes),
    );
    text
}
