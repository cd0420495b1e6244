//! `uplift pause`: the kill switch.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::block_on;
use super::improvements::Actor;
use super::show::{items, tell, text};
use crate::api::{self, Endpoint};
use crate::text::put;

/// Arguments.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Also call off every running trial, at once
    #[arg(long)]
    rollback_running: bool,
    #[command(flatten)]
    actor: Actor,
    #[command(flatten)]
    look: api::Args,
}

/// Pauses.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let path = Endpoint::new(["api", "improvements", "pause"]);
    let body = json!({ "rollback_running": args.rollback_running, "by": args.actor.name() });
    let answer = block_on(args.look.change(&path, &body))?;
    tell(&args.look, &answer, |answer, _| said(answer))
}

/// Whether trials are paused, and what that did.
pub(super) fn said(answer: &Value) -> String {
    let mut shown = if answer["paused"].as_bool() == Some(true) {
        "paused: no trial starts until `uplift resume`\n".to_owned()
    } else {
        "resumed: trials may start again\n".to_owned()
    };
    let numbers = |place: &str| items(answer, place).iter().map(|id| text(id, "")).collect::<Vec<_>>().join(", ");
    for (place, words) in
        [("rolled_back", "called off: improvements"), ("still_running", "trials go on: improvements")]
    {
        let numbers = numbers(place);
        if !numbers.is_empty() {
            put!(&mut shown, "{words} {numbers}\n");
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_goes_on() {
        let paused = said(&json!({"paused": true, "rolled_back": [], "still_running": [3, 4]}));
        assert!(
            paused.contains("uplift resume") && paused.ends_with("trials go on: improvements 3, 4\n"),
            "{paused}"
        );
        assert_eq!(said(&json!({"paused": false})), "resumed: trials may start again\n");
    }
}
