//! Lets calls be tried again whose failures pass by themselves: busy, away, out of time.

use serde_json::json;
use uplift_model::edit::Edit;

use crate::propose::case::{Case, Draft, LEAST_A_SIDE, LEAST_GAIN};
use crate::propose::input::Task;
use crate::propose::kinds::is_transient;
use crate::propose::say::{Ident, Word, say};

const PARAMETER: &str = "retries";
/// How often a call is tried again.
const RETRIES: u32 = 2;
/// Share of the second tries that must have worked.
const RECOVERED: f64 = 0.5;

pub(in crate::propose) fn write(case: &Case<'_>) -> Vec<Draft> {
    if case.number(PARAMETER).is_some_and(|old| old >= f64::from(RETRIES)) {
        return Vec::new();
    }
    let mut drafts: Vec<Draft> = case.tools().into_iter().filter_map(|tool| of_tool(case, tool)).collect();
    drafts.sort_by(|a, b| (b.touched * b.gain).total_cmp(&(a.touched * a.gain)));
    drafts.truncate(1);
    drafts
}

fn of_tool(case: &Case<'_>, tool: Ident<'_>) -> Option<Draft> {
    let passing = |task: &Task| task.calls.iter().any(|call| call.tool == tool.as_str() && is_transient(call));
    let (n, share) = case.share(passing);
    let tries: Vec<bool> = case.input.tasks.iter().flat_map(|task| second_tries(task, tool)).collect();
    let worked = tries.iter().filter(|worked| **worked).count();
    if n < LEAST_A_SIDE || tries.len() < LEAST_A_SIDE || (worked as f64) < RECOVERED * tries.len() as f64 {
        return None;
    }
    let recovered = worked as f64 / tries.len() as f64;
    let contrast = case.contrast(passing);
    Some(Draft::edit(
        Edit::SetParameter { name: PARAMETER.to_owned(), value: json!(RETRIES) },
        share,
        (contrast.harm() * recovered).max(LEAST_GAIN),
        say(
            "Calls of `{}` fail in passing in {} of {} tasks; of {} second tries {} worked.",
            &[
                Word::Name(tool),
                Word::Count(n),
                Word::Count(case.input.tasks.len()),
                Word::Count(tries.len()),
                Word::Count(worked),
            ],
        ),
        say("{} tasks without the detour.", &[Word::Count(n)]),
    ))
}

/// For each call that failed in passing and was followed by the same call: whether that one worked. Without hashes
/// the next call of the tool is taken for the same.
fn second_tries(task: &Task, tool: Ident<'_>) -> Vec<bool> {
    let calls: Vec<_> = task.calls.iter().filter(|call| call.tool == tool.as_str()).collect();
    let pairs = calls.windows(2).filter(|pair| is_transient(pair[0]) && pair[0].call_hash == pair[1].call_hash);
    pairs.map(|pair| !pair[1].failed).collect()
}
