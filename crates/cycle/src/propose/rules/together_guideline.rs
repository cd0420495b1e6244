//! A guideline to call a slow tool for several things at once, where tasks wait for one call of it after the other.

use uplift_model::edit::Edit;

use crate::propose::case::{ADVICE, Case, Draft, LEAST_A_SIDE};
use crate::propose::input::Task;
use crate::propose::say::{Ident, Word, say};

/// Calls in a row, or waits in a task, from which on there is something to be done at once.
const LEAST: usize = 2;

/// The longest row of different calls of a tool with no other call between them.
fn row(task: &Task, tool: Ident<'_>) -> usize {
    let rows = task.calls.chunk_by(|a, b| a.tool == b.tool && (a.call_hash.is_none() || a.call_hash != b.call_hash));
    let of_tool = rows.filter(|row| row.first().is_some_and(|call| call.tool == tool.as_str()));
    of_tool.map(<[_]>::len).max().unwrap_or(0)
}

pub(in crate::propose) fn write(case: &Case<'_>) -> Vec<Draft> {
    // A wish has no critical path to show.
    let number = |name: &str| case.finding.evidence.numbers.get(name).copied().filter(|number| number.is_finite());
    let (Some(tool), Some(time), Some(waits)) = (case.label("tool"), number("share_of_time"), number("waits_a_task"))
    else {
        return Vec::new();
    };
    let rows: Vec<usize> = case.input.tasks.iter().map(|task| row(task, tool)).filter(|row| *row >= LEAST).collect();
    if rows.len() < LEAST_A_SIDE || waits < LEAST as f64 {
        return Vec::new();
    }
    let share = rows.len() as f64 / case.input.tasks.len().max(1) as f64;
    let mean = rows.iter().sum::<usize>() as f64 / rows.len() as f64;
    let saved = time * (1.0 - 1.0 / mean);
    vec![Draft::edit(
        Edit::AppendGuideline {
            text: say(
                "Where several calls of `{}` do not need each other's results, make them in one step.",
                &[Word::Name(tool)],
            ),
        },
        share,
        saved * ADVICE,
        say(
            "{} of {} tasks call `{}` several times in a row and wait for each call; {} of their time goes to it.",
            &[Word::Count(rows.len()), Word::Count(case.input.tasks.len()), Word::Name(tool), Word::Share(time)],
        ),
        say("Up to {} of the time of these tasks.", &[Word::Share(saved)]),
    )]
}
