//! `uplift bench-pages`: hidden; `cargo xtask bench pages` runs it.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::bench::pages::{self, Plan};
use crate::usage::{DONE, FAILED};

/// Arguments.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Tasks in the database, about
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    tasks: u64,
    /// Improvements in it, about
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    improvements: u64,
    /// Where databases are kept for the next time
    #[arg(long, value_name = "FOLDER", default_value = "target/bench")]
    keep: PathBuf,
    /// Requests of each page
    #[arg(long, value_name = "N", default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    requests: u32,
    /// Requests a second, of all pages together
    #[arg(long, value_name = "N", default_value_t = 40, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rate: u32,
    /// Connections that ask
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=64))]
    connections: u8,
    /// What the 99th percentile of every page has to stay below, milliseconds
    #[arg(long, value_name = "MS", default_value_t = 50.0)]
    bar: f64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Measures and prints; fails if a page is too slow.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let plan = Plan {
        tasks: args.tasks,
        improvements: args.improvements,
        folder: args.keep,
        requests: args.requests as usize,
        rate: f64::from(args.rate),
        connections: args.connections.into(),
        bar_ms: args.bar,
        json: args.json,
    };
    Ok(ExitCode::from(if pages::run(&plan)? { DONE } else { FAILED }))
}
