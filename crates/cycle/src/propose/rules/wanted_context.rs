//! Puts in a context that successful tasks read: its own (found in some other way than being given it), or those of
//! other agents with the same tools that do better.

use std::collections::BTreeSet;

use uplift_model::edit::Edit;

use crate::propose::case::{CLEAR, Case, Contrast, Draft, LEAST_A_SIDE, LEAST_GAIN};
use crate::propose::input::Task;
use crate::propose::say::{Ident, Word, say};

/// Share of the tools in common from which on another agent does the same kind of work.
const SAME_TOOLS: f64 = 0.5;
/// Share of a peer's successful tasks that read a context it relies on.
const RELIED_ON: f64 = 0.5;
/// What is left of the confidence where only others were seen with it.
const BORROWED: f64 = 0.6;

pub(in crate::propose) fn write(case: &Case<'_>) -> Vec<Draft> {
    let mut drafts: Vec<Draft> = of_its_own(case);
    drafts.extend(of_others(case));
    drafts.sort_by(|a, b| (b.touched * b.gain * b.sure).total_cmp(&(a.touched * a.gain * a.sure)));
    drafts
}

fn reads(task: &Task, context: Ident<'_>) -> bool {
    task.contexts.iter().any(|read| read == context.as_str())
}

fn new_contexts<'a>(case: &Case<'_>, tasks: &'a [Task]) -> BTreeSet<Ident<'a>> {
    let read = tasks.iter().flat_map(|task| &task.contexts).filter_map(|name| Ident::of(name));
    read.filter(|name| case.configuration.contexts.iter().all(|known| known != name.as_str())).collect()
}

fn of_its_own(case: &Case<'_>) -> Vec<Draft> {
    let candidates = new_contexts(case, &case.input.tasks);
    // Of many that are looked at some go with success by luck.
    let level = CLEAR / candidates.len().max(1) as f64;
    let judge = |name: Ident<'_>| {
        let contrast = case.contrast(|task| reads(task, name));
        if !contrast.is_helpful(level) {
            return None;
        }
        let (with, without) = contrast.rates();
        let (touched, share) = case.share(|task| !reads(task, name));
        Some(Draft::edit(
            Edit::AddContext { name: name.owned() },
            share,
            -contrast.harm(),
            say(
                "Of {} tasks that read `{}`, {} fail; of {} that do not, {}.",
                &[
                    Word::Count(contrast.with.0),
                    Word::Name(name),
                    Word::Share(with),
                    Word::Count(contrast.without.0),
                    Word::Share(without),
                ],
            ),
            say("{} tasks of the window would have had it.", &[Word::Count(touched)]),
        ))
    };
    candidates.into_iter().filter_map(judge).collect()
}

fn of_others(case: &Case<'_>) -> Vec<Draft> {
    let tools = |tasks: &[Task]| -> BTreeSet<String> {
        tasks.iter().flat_map(|task| &task.calls).map(|call| call.tool.clone()).collect()
    };
    let own_tools = tools(&case.input.tasks);
    let (_, own_failing) = case.contrast(|_| false).rates();
    let mut drafts = Vec::new();
    for peer in &case.input.peers {
        let common = tools(&peer.tasks).intersection(&own_tools).count();
        let (_, failing) = Contrast::of(&peer.tasks, |_| false).rates();
        if own_tools.is_empty() || (common as f64) < SAME_TOOLS * own_tools.len() as f64 || failing > own_failing {
            continue;
        }
        let good: Vec<&Task> = peer.tasks.iter().filter(|task| task.succeeded == Some(true)).collect();
        for name in new_contexts(case, &peer.tasks) {
            let with = good.iter().filter(|task| reads(task, name)).count();
            if with < 2 * LEAST_A_SIDE || (with as f64) < RELIED_ON * good.len() as f64 {
                continue;
            }
            drafts.push(Draft {
                sure: BORROWED,
                ..Draft::edit(
                    Edit::AddContext { name: name.owned() },
                    1.0,
                    ((own_failing - failing) / 2.0).max(LEAST_GAIN),
                    say(
                        "Another agent with {} of the same tools reads `{}` in {} of its {} successful tasks.",
                        &[Word::Count(common), Word::Name(name), Word::Count(with), Word::Count(good.len())],
                    ),
                    say("{} of its tasks fail, {} of this one's.", &[Word::Share(failing), Word::Share(own_failing)]),
                )
            });
        }
    }
    drafts
}
