//! `uplift approve`: yes to an improvement that waits.

use std::process::ExitCode;

use super::improvements::{Actor, act};
use crate::api;

/// Arguments.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The improvement's number
    id: i64,
    #[command(flatten)]
    actor: Actor,
    #[command(flatten)]
    look: api::Args,
}

/// Says yes.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    act(&args.look, args.id, "approve", &args.actor, None)
}
