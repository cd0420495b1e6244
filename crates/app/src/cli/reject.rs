//! `uplift reject`: no to an improvement that waits.

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
    reason: String,
    #[command(flatten)]
    actor: Actor,
    #[command(flatten)]
    look: api::Args,
}

/// Says no.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    act(&args.look, args.id, "reject", &args.actor, Some(args.reason))
}
