//! `uplift cancel`: an improvement is called off.

use std::process::ExitCode;

use super::improvements::{Actor, act};
use crate::api;

/// Arguments.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The improvement's number
    id: i64,
    /// Why, for those who read it later
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    actor: Actor,
    #[command(flatten)]
    look: api::Args,
}

/// Calls it off.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    act(&args.look, args.id, "cancel", &args.actor, args.reason)
}
