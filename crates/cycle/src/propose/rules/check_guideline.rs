//! Asks for a look at the arguments of a tool whose calls fail, where no guard tells the failing from the working ones.

use uplift_model::edit::Edit;

use crate::propose::case::{ADVICE, Case, Draft, LEAST_A_SIDE, LEAST_GAIN};
use crate::propose::input::Task;
use crate::propose::kinds::is_transient;
use crate::propose::rules::{argument_guard, result_guard};
use crate::propose::say::{Ident, Word, say};

/// Share of the failures that may pass by themselves: against these no look helps.
const MOST_TRANSIENT: f64 = 0.5;

pub(in crate::propose) fn write(case: &Case<'_>) -> Vec<Draft> {
    if !argument_guard::write(case).is_empty() || !result_guard::write(case).is_empty() {
        return Vec::new();
    }
    case.tools().into_iter().filter_map(|tool| of_tool(case, tool)).collect()
}

fn of_tool(case: &Case<'_>, tool: Ident<'_>) -> Option<Draft> {
    let failing: Vec<_> = case.calls(tool).filter(|call| call.failed).collect();
    let passing = failing.iter().filter(|call| is_transient(call)).count();
    if failing.len() < LEAST_A_SIDE || passing as f64 > MOST_TRANSIENT * failing.len() as f64 {
        return None;
    }
    let has = |task: &Task| task.calls.iter().any(|call| call.failed && call.tool == tool.as_str());
    let (n, share) = case.share(has);
    let contrast = case.contrast(has);
    let (with, without) = contrast.rates();
    Some(Draft::edit(
        Edit::AppendGuideline { text: say("Check the arguments of `{}` before calling it.", &[Word::Name(tool)]) },
        share,
        (ADVICE * contrast.harm()).max(LEAST_GAIN),
        say(
            "Calls of `{}` fail in {} of {} tasks; {} of these fail, {} of the others. No field of the arguments or the \
             result tells failing calls from working ones.",
            &[
                Word::Name(tool),
                Word::Count(n),
                Word::Count(case.input.tasks.len()),
                Word::Share(with),
                Word::Share(without),
            ],
        ),
        say("Fewer of the {} tasks with this error.", &[Word::Count(n)]),
    ))
}
