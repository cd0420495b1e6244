//! `uplift demo`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;

use super::block_on;
use crate::demo;
use crate::text::{Style, print, print_json};
use crate::usage::{DONE, FAILED};

/// Arguments.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where the recorded past starts from: the same seed gives the same past
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// A new database file to keep it in [default: one in a temporary folder]
    #[arg(long, value_name = "PATH")]
    database: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Plays the demo; fails if a planted flaw was not found.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let database = match args.database {
        Some(path) if path.exists() => bail!("{} exists already: name a new file", path.display()),
        Some(path) => path,
        None => demo::own_folder()?,
    };
    let outcome = block_on(demo::play(args.seed, &database))?;
    if args.json {
        print_json(&outcome)?;
    } else {
        print(&demo::render(&outcome, Style::of_stdout()))?;
    }
    let all = outcome.comparison.found() == outcome.comparison.planted.len();
    Ok(ExitCode::from(if all { DONE } else { FAILED }))
}
