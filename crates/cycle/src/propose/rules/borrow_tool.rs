//! Gives an agent a tool that another agent with the same tools relies on and does better with. It is new to this one,
//! so the confidence is low; where validation does not take that other agent for its peer, an operator is asked.

use std::collections::BTreeSet;

use uplift_model::edit::Edit;

use crate::propose::case::{Case, Contrast, Draft, LEAST_A_SIDE, LEAST_GAIN, uses};
use crate::propose::input::Task;
use crate::propose::say::{Ident, Word, say};

/// Share of its tools in common from which on another agent does the same kind of work.
const SAME_TOOLS: f64 = 0.5;
/// Share of the other agent's successful tasks that call the tool.
const RELIED_ON: f64 = 0.5;
/// What is left of the confidence.
const NEW: f64 = 0.5;

pub(in crate::propose) fn write(case: &Case<'_>) -> Vec<Draft> {
    let own: BTreeSet<&str> = case.configuration.tools.iter().map(|tool| tool.name.as_str()).collect();
    let (_, own_failing) = case.contrast(|_| false).rates();
    let mut drafts = Vec::new();
    for peer in &case.input.peers {
        let theirs: BTreeSet<&str> =
            peer.tasks.iter().flat_map(|task| &task.calls).map(|call| call.tool.as_str()).collect();
        let common = own.intersection(&theirs).count();
        let (_, failing) = Contrast::of(&peer.tasks, |_| false).rates();
        if own.is_empty() || (common as f64) < SAME_TOOLS * own.len() as f64 || failing >= own_failing {
            continue;
        }
        let good: Vec<&Task> = peer.tasks.iter().filter(|task| task.succeeded == Some(true)).collect();
        for tool in theirs.difference(&own).filter_map(|tool| Ident::of(tool)) {
            let with = good.iter().filter(|task| uses(task, tool)).count();
            if with < 2 * LEAST_A_SIDE || (with as f64) < RELIED_ON * good.len() as f64 {
                continue;
            }
            drafts.push(Draft {
                sure: NEW,
                ..Draft::edit(
                    Edit::AssignTool { name: tool.owned(), required: false },
                    1.0,
                    ((own_failing - failing) / 2.0).max(LEAST_GAIN),
                    say(
                        "Another agent with {} of the same tools calls `{}` in {} of its {} successful tasks.",
                        &[Word::Count(common), Word::Name(tool), Word::Count(with), Word::Count(good.len())],
                    ),
                    say("{} of its tasks fail, {} of this one's.", &[Word::Share(failing), Word::Share(own_failing)]),
                )
            });
        }
    }
    drafts
}
