//! Takes a tool away from an agent that uses it badly where others use it well, and where it gets along without.

use crate::propose::case::{CLEAR, Case, Contrast, Draft, LEAST_GAIN, p_of_more, uses};
use crate::propose::rules::drop_tool::away;
use crate::propose::say::{Ident, Word, say};

/// Least calls on each side.
const LEAST_CALLS: usize = 20;
/// How many times as often its calls must fail.
const WORSE: f64 = 2.0;
/// Least successful tasks without the tool that show another way.
const LEAST_WITHOUT: usize = 5;

pub(in crate::propose) fn write(case: &Case<'_>) -> Vec<Draft> {
    let mut tools = case.tools();
    tools.extend(case.pattern().into_iter().take(1).filter(|_| case.pattern().len() == 1));
    tools.into_iter().filter_map(|tool| of_tool(case, tool)).collect()
}

fn of_tool(case: &Case<'_>, tool: Ident<'_>) -> Option<Draft> {
    let known = case.tool_use(tool)?;
    let count = |calls: &mut dyn Iterator<Item = bool>| {
        calls.fold((0, 0), |(n, failed), fails| (n + 1, failed + usize::from(fails)))
    };
    let own: (usize, usize) = count(&mut case.calls(tool).map(|call| call.failed));
    let others = case.input.peers.iter().flat_map(|peer| &peer.tasks).flat_map(|task| &task.calls);
    let others = count(&mut others.filter(|call| call.tool == tool.as_str()).map(|call| call.failed));
    let rate = |(n, failed): (usize, usize)| failed as f64 / n.max(1) as f64;
    let worse = rate(own) >= WORSE * rate(others) && p_of_more(others, own) < CLEAR;
    if own.0 < LEAST_CALLS || others.0 < LEAST_CALLS || !worse || !gets_along(case, tool) {
        return None;
    }
    let (touched, share) = case.share(|task| uses(task, tool));
    Some(Draft::edit(
        away(known),
        share,
        case.contrast(|task| uses(task, tool)).harm().max(LEAST_GAIN),
        say(
            "{} of its {} calls of `{}` fail, {} of {} by other agents.",
            &[
                Word::Share(rate(own)),
                Word::Count(own.0),
                Word::Name(tool),
                Word::Share(rate(others)),
                Word::Count(others.0),
            ],
        ),
        say("{} tasks of the window called it.", &[Word::Count(touched)]),
    ))
}

/// Whether there are successful tasks without the tool, no rarer than among those with it.
fn gets_along(case: &Case<'_>, tool: Ident<'_>) -> bool {
    let contrast: Contrast = case.contrast(|task| uses(task, tool));
    contrast.without.0 - contrast.without.1 >= LEAST_WITHOUT && contrast.harm() >= 0.0
}
