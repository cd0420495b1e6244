//! Takes out a context that no task of the window reads.

use uplift_model::edit::Edit;

use crate::propose::case::{Case, Draft, LEAST_GAIN};
use crate::propose::say::{Ident, Word, say};

/// Least tasks before a context counts as unread.
const LEAST_TASKS: usize = 20;

pub(in crate::propose) fn write(case: &Case<'_>) -> Vec<Draft> {
    let known = case.configuration.contexts.iter().filter_map(|name| Ident::of(name));
    let tasks = &case.input.tasks;
    // Where no reading at all is reported, nothing is known.
    let reported = tasks.iter().any(|task| !task.contexts.is_empty());
    known
        .filter(|name| case.is_wish() || case.finding.fingerprint == name.as_str())
        .filter(|_| !case.is_wish() || (reported && tasks.len() >= LEAST_TASKS))
        .filter(|name| case.share(|task| task.contexts.iter().any(|read| read == name.as_str())).0 == 0)
        .map(|name| {
            Draft::edit(
                Edit::RemoveContext { name: name.owned() },
                1.0,
                LEAST_GAIN,
                say(
                    "`{}` is given to it and was read in none of {} tasks.",
                    &[Word::Name(name), Word::Count(tasks.len())],
                ),
                say("Every task is spared `{}`.", &[Word::Name(name)]),
            )
        })
        .collect()
}
