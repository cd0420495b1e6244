//! `uplift apply`: files into the database, merged with what was kept there.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{anyhow, bail};
use serde_json::{Value, json};
use uplift_model::entity::EntityName;
use uplift_model::merge::Conflict;
use uplift_model::revision::Configuration;

use super::block_on;
use super::improvements::standing;
use super::show::{command, items, tell, text};
use crate::api;
use crate::apply::{self, How, Merged, Plan};
use crate::declare::{self, Declaration, shown};
use crate::differ;
use crate::text::{Style, clean, plural, put};

/// Arguments.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[arg(
        short,
        long = "file",
        value_name = "FILE",
        required = true,
        num_args = 1..,
        help = "Files in YAML, JSON or TOML that declare entities: `entity: TYPE/NAME` with `configuration`, \
                `improvement_config`, `relationships`; - is standard input"
    )]
    files: Vec<PathBuf>,
    /// Try what changes instead of putting it in place
    #[arg(long, conflicts_with = "now")]
    trial: bool,
    /// Put it in place even while a trial runs, which then begins anew
    #[arg(long)]
    now: bool,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    look: api::Args,
}

/// Applies.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let Args { files, trial, now, dry_run, look } = args;
    let how = How { trial, now, dry_run };
    let mut declarations: Vec<Declaration> = Vec::new();
    for file in &files {
        for declaration in declare::read(file)? {
            if declarations.iter().any(|other| other.name == declaration.name) {
                bail!("{} stands in more than one place: nothing was applied", shown(&declaration.name));
            }
            declarations.push(declaration);
        }
    }
    let told = block_on(look.making(async |api| {
        let plans = apply::plan(api, &declarations).await?;
        stop_at_conflicts(&plans, &declarations)?;
        stop_at_trials(&plans, how)?;
        apply::carry_out(api, &plans, how).await
    }))?;
    tell(&look, &json!({ "items": told, "dry_run": dry_run }), |answer, _| said(&look, answer, dry_run))
}

fn stop_at_conflicts(plans: &[Plan<'_>], declarations: &[Declaration]) -> anyhow::Result<()> {
    let mut stopped_at: Option<anyhow::Error> = None;
    for (plan, declaration) in plans.iter().zip(declarations) {
        if let (Some(Merged::Conflicts { conflicts, in_place }), Some(mine)) =
            (plan.merged(), &declaration.configuration)
        {
            stopped_at = Some(stopped(plan.name(), conflicts, in_place, mine));
        }
    }
    stopped_at.map_or(Ok(()), Err)
}

/// Shows on standard error what stands against each other; the error that says so.
pub(super) fn stopped(
    name: &EntityName,
    conflicts: &[Conflict],
    in_place: &Configuration,
    mine: &Configuration,
) -> anyhow::Error {
    let style = Style { colour: false, ..Style::of_stdout() };
    let diff = differ::unified(&json!(in_place), &json!(mine), ["in place", "the file"], style);
    eprint!("{}\n{}", differ::conflicts(conflicts, style), diff.unwrap_or_default());
    let found = plural(conflicts.len() as i64, "conflict", "conflicts");
    let whom = format!("{}/{}", name.entity_type, name.name);
    anyhow!(
        "{}: {found} between the file and what was changed here; nothing was applied. `uplift export {}` gives what is \
         in place: bring the file to where it should be, and apply it again",
        clean(&shown(name)),
        clean(&whom)
    )
}

fn stop_at_trials(plans: &[Plan<'_>], how: How) -> anyhow::Result<()> {
    if how.trial || how.now {
        return Ok(());
    }
    match plans.iter().find_map(|plan| Some((plan.name(), plan.trial()?))) {
        None => Ok(()),
        Some((name, trial)) => bail!(
            "trial {trial} runs on {}; nothing was applied. Wait for its end, or say --trial to have the change tried \
             after it, or --now to put it in place at once: the trial then begins anew on it",
            clean(&shown(name))
        ),
    }
}

fn said(look: &api::Args, answer: &Value, dry_run: bool) -> String {
    let mut shown = String::new();
    for told in items(answer, "items") {
        let changes: Vec<String> = items(told, "changes").iter().map(|path| text(path, "")).collect();
        let whom = format!("{}/{}", text(told, "entity_type"), text(told, "name"));
        put!(&mut shown, "{whom}: {}", text(told, "action"));
        if changes.is_empty() {
            shown.push('\n');
        } else {
            put!(&mut shown, " ({})\n", changes.join(", "));
        }
        if told["improvement"].is_object() {
            shown.push_str(&standing(look, &told["improvement"]));
        } else if !changes.is_empty()
            && !dry_run
            && let Some(command) = command(look, &["diff", &whom])
        {
            put!(&mut shown, "  {command}\n");
        }
    }
    if dry_run {
        shown.push_str("nothing was written\n");
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_is_told_line_by_line() {
        let answer = json!({"items": [
            {"entity_type": "agent", "name": "a\u{1b}[2J", "action": "changed", "changes": ["parameters.timeout_ms", "model"]},
            {"entity_type": "tool", "name": "t", "action": "declared", "changes": []},
        ]});
        let shown = said(&api::Args::default(), &answer, true);
        assert_eq!(shown, "agent/a: changed (parameters.timeout_ms, model)\ntool/t: declared\nnothing was written\n");
    }
}
