//! Checks a tool's result: a field whose absence goes with failing tasks.

use std::collections::BTreeSet;

use uplift_model::edit::Edit;
use uplift_model::revision::{Guard, GuardCheck, GuardTarget};

use crate::propose::case::{CLEAR, Case, Contrast, Draft};
use crate::propose::input::Task;
use crate::propose::say::{Ident, Word, say};

/// Share of the successful tasks that may lack it.
const MOST_LACKING: f64 = 0.05;

pub(in crate::propose) fn write(case: &Case<'_>) -> Vec<Draft> {
    let mut tools = case.tools();
    tools.extend(case.pattern());
    let tools: BTreeSet<Ident<'_>> = tools.into_iter().collect();
    let mut drafts: Vec<Draft> = tools.into_iter().filter_map(|tool| of_tool(case, tool)).collect();
    drafts.sort_by(|a, b| (b.touched * b.gain).total_cmp(&(a.touched * a.gain)));
    drafts
}

/// Whether a task has a working call of the tool whose result is known and lacks the field; none without such calls.
fn lacks(task: &Task, tool: Ident<'_>, field: Ident<'_>) -> Option<bool> {
    let calls = task.calls.iter().filter(|call| call.tool == tool.as_str() && !call.failed);
    let known: Vec<bool> =
        calls.filter_map(|call| call.result.as_ref()).map(|shape| !shape.has(field.as_str())).collect();
    (!known.is_empty()).then(|| known.contains(&true))
}

fn of_tool(case: &Case<'_>, tool: Ident<'_>) -> Option<Draft> {
    let results = case.calls(tool).filter_map(|call| call.result.as_ref());
    let fields: BTreeSet<Ident<'_>> =
        results.flat_map(|shape| shape.0.keys()).filter_map(|field| Ident::of(field)).collect();
    let judged = fields.into_iter().filter_map(|field| {
        let known = case.input.tasks.iter().filter(|task| lacks(task, tool, field).is_some());
        let contrast = Contrast::of(known, |task| lacks(task, tool, field) == Some(true));
        let good = (contrast.with.0 - contrast.with.1) + (contrast.without.0 - contrast.without.1);
        let lacking = contrast.with.0 - contrast.with.1;
        let clear = contrast.is_harmful(CLEAR) && lacking as f64 <= MOST_LACKING * good as f64;
        clear.then_some((field, contrast))
    });
    let (field, contrast) = judged.max_by(|a, b| a.1.with.1.cmp(&b.1.with.1))?;
    let (n, share) = case.share(|task| lacks(task, tool, field) == Some(true));
    let (with, without) = contrast.rates();
    Some(Draft::edit(
        Edit::AddGuard {
            guard: Guard {
                name: format!("{}.{}.result", tool.as_str(), field.as_str()),
                tool: tool.owned(),
                target: GuardTarget::Result,
                check: GuardCheck::Required { field: field.owned() },
            },
        },
        share,
        contrast.harm(),
        say(
            "Of {} tasks in which a result of `{}` lacks `{}`, {} fail; of {} others, {}.",
            &[
                Word::Count(contrast.with.0),
                Word::Name(tool),
                Word::Name(field),
                Word::Share(with),
                Word::Count(contrast.without.0),
                Word::Share(without),
            ],
        ),
        say("{} tasks would have noticed.", &[Word::Count(n)]),
    ))
}
