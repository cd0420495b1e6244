//! A guideline against the same call again and again: for agents whose calls nobody caches.

use std::collections::BTreeMap;

use uplift_model::edit::Edit;

use crate::propose::case::{Case, Draft, LEAST_A_SIDE, LEAST_GAIN};
use crate::propose::input::Task;
use crate::propose::say::{Ident, Word, say};

/// Identical calls within a task that count as repeated.
const REPEATED: usize = 3;

/// Calls of a tool beyond the first of each group of equal ones, in groups of [`REPEATED`] or more.
fn excess(task: &Task, tool: Ident<'_>) -> usize {
    let mut equal: BTreeMap<i64, usize> = BTreeMap::new();
    for call in task.calls.iter().filter(|call| call.tool == tool.as_str()) {
        if let Some(hash) = call.call_hash {
            *equal.entry(hash).or_default() += 1;
        }
    }
    equal.into_values().filter(|n| *n >= REPEATED).map(|n| n - 1).sum()
}

pub(in crate::propose) fn write(case: &Case<'_>) -> Vec<Draft> {
    case.tools().into_iter().filter_map(|tool| of_tool(case, tool)).collect()
}

fn of_tool(case: &Case<'_>, tool: Ident<'_>) -> Option<Draft> {
    let (n, share) = case.share(|task| excess(task, tool) > 0);
    if n < LEAST_A_SIDE {
        return None;
    }
    let calls: usize = case.input.tasks.iter().map(|task| task.calls.len()).sum();
    let more: usize = case.input.tasks.iter().map(|task| excess(task, tool)).sum();
    Some(Draft::edit(
        Edit::AppendGuideline {
            text: say("Do not call `{}` again with the same arguments in a task.", &[Word::Name(tool)]),
        },
        share,
        (more as f64 / calls.max(1) as f64).max(LEAST_GAIN) / 2.0,
        say(
            "{} of {} tasks call `{}` {} times or more with the same arguments.",
            &[Word::Count(n), Word::Count(case.input.tasks.len()), Word::Name(tool), Word::Count(REPEATED)],
        ),
        say("Up to {} fewer calls of {}.", &[Word::Count(more), Word::Count(calls)]),
    ))
}
