//! `uplift bench-intake`: hidden; `cargo xtask bench intake` runs it.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::bench;
use crate::usage::DONE;

/// Where recorded events are by default: as the tests look for them.
const DEFAULT_DATA: &str = "../shared/data";

/// Arguments.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Events to send
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    events: u64,
    /// Folder with recorded events; a generated sample is sent where there is none
    #[arg(long, value_name = "DIR", env = "UPLIFT_DATA", default_value = DEFAULT_DATA)]
    data: PathBuf,
    /// Send spans over OTLP instead of events in JSON
    #[arg(long)]
    otlp: bool,
    /// Events or spans a request [default: 1000; with --otlp 100, then 10]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=20_000))]
    request_events: Option<u16>,
    /// Connections that send at the same time [default: 8; with --otlp 4, then 16]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=64))]
    connections: Option<u8>,
    /// Print how the time goes, million by million
    #[arg(long)]
    curve: bool,
    /// Leave out the bare inserts to compare with
    #[arg(long)]
    no_bare: bool,
}

/// Measures and prints.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    bench::run(&bench::Plan {
        events: args.events,
        data: args.data,
        request_events: args.request_events.map_or(if args.otlp { 0 } else { 1_000 }, usize::from),
        connections: args.connections.map_or(if args.otlp { 0 } else { 8 }, usize::from),
        otlp: args.otlp,
        curve: args.curve,
        no_bare: args.no_bare,
    })?;
    Ok(ExitCode::from(DONE))
}
