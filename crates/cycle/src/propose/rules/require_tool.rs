//! Makes an optional tool required whose use goes with success.
//!
//! Only tasks in which no call failed are compared: a task that breaks off misses its later tools because it fails, not
//! the other way round.

use uplift_model::edit::Edit;

use crate::propose::case::{CLEAR, Case, Contrast, Draft, uses};
use crate::propose::say::{Ident, Word, say};

/// Least difference of success, as a share of the tasks.
const LEAST_DIFFERENCE: f64 = 0.1;

pub(in crate::propose) fn write(case: &Case<'_>) -> Vec<Draft> {
    let pattern = case.pattern();
    let optional = case.configuration.tools.iter().filter(|tool| !tool.required);
    let concerned = |tool: &Ident<'_>| case.is_wish() || pattern.contains(tool);
    let tools: Vec<Ident<'_>> = optional.filter_map(|tool| Ident::of(&tool.name)).filter(concerned).collect();
    // Of many that are looked at some go with success by luck.
    let level = CLEAR / tools.len().max(1) as f64;
    let mut drafts: Vec<Draft> = tools.into_iter().filter_map(|tool| of_tool(case, tool, level)).collect();
    drafts.sort_by(|a, b| (b.touched * b.gain).total_cmp(&(a.touched * a.gain)));
    // One at a time: which of several helps is not known from tasks that use them together.
    drafts.truncate(1);
    drafts
}

fn of_tool(case: &Case<'_>, tool: Ident<'_>, level: f64) -> Option<Draft> {
    let whole = case.input.tasks.iter().filter(|task| task.calls.iter().all(|call| !call.failed));
    let contrast = Contrast::of(whole, |task| uses(task, tool));
    if !contrast.is_helpful(level) || -contrast.harm() < LEAST_DIFFERENCE {
        return None;
    }
    let (touched, share) = case.share(|task| !uses(task, tool));
    let (with, without) = contrast.rates();
    Some(Draft::edit(
        Edit::MakeToolRequired { name: tool.owned() },
        share,
        -contrast.harm(),
        say(
            "Of {} tasks without a failing call that call `{}`, {} fail; of {} that do not, {}.",
            &[
                Word::Count(contrast.with.0),
                Word::Name(tool),
                Word::Share(with),
                Word::Count(contrast.without.0),
                Word::Share(without),
            ],
        ),
        say("{} tasks of the window did without it.", &[Word::Count(touched)]),
    ))
}
