//! `uplift bench-nodes`: hidden; `cargo xtask bench nodes` runs it.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::bench::nodes;
use crate::usage::DONE;

/// Arguments.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A PostgreSQL database in which schemas can be made
    #[arg(long, value_name = "URL", env = "UPLIFT_TEST_POSTGRES")]
    server: String,
    /// Events, and then spans, to send to one node and to two
    #[arg(long, value_name = "N", default_value_t = 300_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    events: u64,
    /// Seconds to resolve
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=60))]
    seconds: u64,
    /// Folder with recorded events; a generated sample is sent where there is none
    #[arg(long, value_name = "DIR", env = "UPLIFT_DATA", default_value = "../shared/data")]
    data: PathBuf,
}

/// Measures and prints.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let Args { server, events, seconds, data } = args;
    nodes::run(&nodes::Plan { server, events, seconds, data })?;
    Ok(ExitCode::from(DONE))
}
