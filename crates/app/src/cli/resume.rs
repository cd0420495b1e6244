//! `uplift resume`: trials may start again.

use std::process::ExitCode;

use serde_json::json;

use super::improvements::Actor;
use super::show::tell;
use super::{block_on, pause};
use crate::api::{self, Endpoint};

/// Arguments.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    actor: Actor,
    #[command(flatten)]
    look: api::Args,
}

/// Resumes.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let path = Endpoint::new(["api", "improvements", "resume"]);
    let answer = block_on(args.look.change(&path, &json!({ "by": args.actor.name() })))?;
    tell(&args.look, &answer, |answer, _| pause::said(answer))
}
