//! Takes away a tool that is not used, or whose use goes with failure: an optional one is taken, a required one made
//! optional first.

use uplift_model::edit::Edit;
use uplift_model::opportunity::OpportunityKind;
use uplift_model::revision::ToolUse;

use crate::propose::case::{CLEAR, Case, Draft, LEAST_GAIN, uses};
use crate::propose::say::{Ident, Word, say};

/// Least tasks before a tool counts as unused.
const LEAST_TASKS: usize = 20;

/// The edit that takes a tool away as far as one step goes.
pub(super) fn away(tool: &ToolUse) -> Edit {
    if tool.required {
        Edit::MakeToolOptional { name: tool.name.clone() }
    } else {
        Edit::UnassignTool { name: tool.name.clone() }
    }
}

pub(in crate::propose) fn write(case: &Case<'_>) -> Vec<Draft> {
    let tools = case.configuration.tools.iter().filter_map(|tool| Some((Ident::of(&tool.name)?, tool)));
    match case.finding.kind {
        OpportunityKind::UnusedTool => tools
            .filter(|(name, _)| case.finding.fingerprint == name.as_str())
            .filter_map(|t| unused(case, t))
            .collect(),
        // A sequence says that an order is wrong, not that a tool is.
        OpportunityKind::FailurePattern => {
            let pattern = case.pattern();
            let alone = |name: &Ident<'_>| pattern.len() == 1 && pattern[0] == *name;
            tools.filter(|(name, _)| alone(name)).filter_map(|tool| harmful(case, tool, CLEAR)).collect()
        }
        OpportunityKind::Request => {
            let reported = case.input.tasks.iter().any(|task| !task.calls.is_empty());
            let enough = reported && case.input.tasks.len() >= LEAST_TASKS;
            // Of many that are looked at some go with failure by luck.
            let level = CLEAR / case.configuration.tools.len().max(1) as f64;
            let judge = |tool| unused(case, tool).or_else(|| harmful(case, tool, level));
            tools.filter(|_| enough).filter_map(judge).collect()
        }
        _ => Vec::new(),
    }
}

fn unused(case: &Case<'_>, (name, tool): (Ident<'_>, &ToolUse)) -> Option<Draft> {
    (case.share(|task| uses(task, name)).0 == 0).then(|| {
        Draft::edit(
            away(tool),
            1.0,
            LEAST_GAIN,
            say(
                "It has `{}` and called it in none of {} tasks.",
                &[Word::Name(name), Word::Count(case.input.tasks.len())],
            ),
            say("Every task is spared the choice of `{}`.", &[Word::Name(name)]),
        )
    })
}

fn harmful(case: &Case<'_>, (name, tool): (Ident<'_>, &ToolUse), level: f64) -> Option<Draft> {
    let contrast = case.contrast(|task| uses(task, name));
    if !contrast.is_harmful(level) {
        return None;
    }
    let (with, without) = contrast.rates();
    let (touched, share) = case.share(|task| uses(task, name));
    Some(Draft::edit(
        away(tool),
        share,
        contrast.harm(),
        say(
            "Of {} tasks that call `{}`, {} fail; of {} that do not, {}.",
            &[
                Word::Count(contrast.with.0),
                Word::Name(name),
                Word::Share(with),
                Word::Count(contrast.without.0),
                Word::Share(without),
            ],
        ),
        say("{} tasks of the window called it.", &[Word::Count(touched)]),
    ))
}
