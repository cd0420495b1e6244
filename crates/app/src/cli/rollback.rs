//! `uplift rollback`: a change is taken back.

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

/// Takes it back.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    act(&args.look, args.id, "rollback", &args.actor, args.reason)
}
