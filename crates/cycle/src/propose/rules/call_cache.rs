//! Switches the cache on where identical calls are repeated and work.

use std::collections::BTreeSet;

use serde_json::json;
use uplift_model::edit::Edit;

use crate::propose::case::{Case, Draft, LEAST_A_SIDE};
use crate::propose::input::{Call, Task};
use crate::propose::say::{Ident, Word, say};

const PARAMETER: &str = "cache";
/// Share of the repeated calls that may fail: what fails is tried again for a reason.
const MOST_FAILING: f64 = 0.05;

pub(in crate::propose) fn write(case: &Case<'_>) -> Vec<Draft> {
    if case.configuration.parameters.get(PARAMETER).is_some_and(|old| old != &json!(false)) {
        return Vec::new();
    }
    let mut drafts: Vec<Draft> = case.tools().into_iter().filter_map(|tool| of_tool(case, tool)).collect();
    drafts.sort_by(|a, b| (b.touched * b.gain).total_cmp(&(a.touched * a.gain)));
    // There is one cache.
    drafts.truncate(1);
    drafts
}

/// Calls of a tool that an earlier one of the task equals.
fn repeats<'t>(task: &'t Task, tool: Ident<'_>) -> Vec<&'t Call> {
    let mut seen: BTreeSet<i64> = BTreeSet::new();
    let calls = task.calls.iter().filter(|call| call.tool == tool.as_str());
    calls.filter(|call| call.call_hash.is_some_and(|hash| !seen.insert(hash))).collect()
}

fn of_tool(case: &Case<'_>, tool: Ident<'_>) -> Option<Draft> {
    let (n, share) = case.share(|task| !repeats(task, tool).is_empty());
    let again: Vec<&Call> = case.input.tasks.iter().flat_map(|task| repeats(task, tool)).collect();
    let failing = again.iter().filter(|call| call.failed).count();
    if n < LEAST_A_SIDE || failing as f64 > MOST_FAILING * again.len() as f64 {
        return None;
    }
    let all: Vec<&Call> = case.input.tasks.iter().flat_map(|task| &task.calls).collect();
    let time = |calls: &[&Call]| calls.iter().filter_map(|call| call.duration_ms).sum::<f64>();
    let of_calls = again.len() as f64 / all.len().max(1) as f64;
    let of_time = if time(&all) > 0.0 { time(&again) / time(&all) } else { 0.0 };
    Some(Draft::edit(
        Edit::SetParameter { name: PARAMETER.to_owned(), value: json!(true) },
        share,
        of_calls.max(of_time),
        say(
            "{} of {} tasks repeat identical calls of `{}`: {} calls, of which {} failed.",
            &[
                Word::Count(n),
                Word::Count(case.input.tasks.len()),
                Word::Name(tool),
                Word::Count(again.len()),
                Word::Count(failing),
            ],
        ),
        say("Up to {} of {} calls answered at once.", &[Word::Count(again.len()), Word::Count(all.len())]),
    ))
}
