//! `uplift judge`: the verdict on recorded runs, for people and for evaluation in CI.
//!
//! Exit code 0 keep, 10 rollback, 11 inconclusive, 12 invalid, 2 bad usage.

mod args;
mod criteria;
mod fold;
mod output;
mod select;
mod watch;

use std::io::Write as _;
use std::process::ExitCode;

pub(crate) use args::Args;
pub(super) use criteria::Criteria;
pub(super) use output::{json, text};
use uplift_cycle::{decide, judge};
use uplift_model::verdict::{Decision, Verdict};

/// Runs the command.
///
/// # Errors
///
/// Unwritable output. Unreadable input and bad usage are exit code 2.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    match judged(&args) {
        Ok((verdict, watched)) => {
            let text = if args.json {
                serde_json::to_string_pretty(&json(&verdict, watched.as_ref()))?
            } else {
                text(&verdict, watched.as_ref())
            };
            writeln!(std::io::stdout(), "{text}")?;
            Ok(exit_code(&verdict))
        }
        Err(error) => {
            writeln!(std::io::stderr(), "error: {error:#}")?;
            Ok(ExitCode::from(2))
        }
    }
}

/// The verdict, and where the live trial would have stopped if that was asked for.
///
/// # Errors
///
/// Unreadable input and bad usage.
pub(super) fn judged(args: &Args) -> anyhow::Result<(Verdict, Option<watch::Watched>)> {
    let chosen = select::arms(args)?;
    let question = args.question(&chosen)?;
    let findings = judge::findings(&chosen.control, &chosen.candidate, &question);
    let verdict = decide::decide(&findings, &question.policy);
    let watched = args.watch.then(|| watch::replay(&chosen, &question));
    Ok((verdict, watched))
}

/// The exit code that says the verdict.
pub(super) fn exit_code(verdict: &Verdict) -> ExitCode {
    ExitCode::from(match verdict.decision {
        Decision::Keep => 0,
        Decision::Rollback => 10,
        Decision::Inconclusive | Decision::Running => 11,
        Decision::InvalidAllocation => 12,
    })
}
