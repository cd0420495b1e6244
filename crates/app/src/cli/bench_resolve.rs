//! `uplift bench-resolve`: hidden; `cargo xtask bench resolve` runs it.

use std::process::ExitCode;
use std::time::Duration;

use crate::bench::resolve;
use crate::usage::DONE;

/// Arguments.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Seconds each measurement takes
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=60))]
    seconds: u64,
    /// Connections that ask at the same time
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u8).range(1..=64))]
    connections: u8,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Measures and prints.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let Args { seconds, connections, json } = args;
    resolve::run(resolve::Plan { each: Duration::from_secs(seconds), connections: connections.into(), json })?;
    Ok(ExitCode::from(DONE))
}
