//! A guideline against one kind of error: of a tool, or of the agent's own answers.
//!
//! What it says follows from the kind of error by a fixed table; the error's message plays no part.

use std::collections::BTreeMap;

use uplift_model::edit::Edit;

use crate::propose::case::{ADVICE, Case, Draft, LEAST_A_SIDE, LEAST_GAIN};
use crate::propose::input::Task;
use crate::propose::kinds::Remedy;
use crate::propose::say::{Ident, Word, say};

/// The error of an answer that is not in the form asked for, by the words in its name.
const OF_FORM: [&str; 4] = ["format", "parse", "json", "schema"];

pub(in crate::propose) fn write(case: &Case<'_>) -> Vec<Draft> {
    if case.is_wish() {
        return common(case).into_iter().filter_map(|(tool, kind)| of_tool(case, tool, kind)).collect();
    }
    match (case.label("tool"), case.label("error_type")) {
        (Some(tool), Some(kind)) => of_tool(case, tool, kind).into_iter().collect(),
        (None, Some(kind)) if !case.finding.evidence.labels.contains_key("tool") => {
            of_form(case, kind).into_iter().collect()
        }
        _ => Vec::new(),
    }
}

/// The errors of the window, the most common first.
fn common<'a>(case: &Case<'a>) -> Vec<(Ident<'a>, Ident<'a>)> {
    let mut errors: BTreeMap<(Ident<'a>, Ident<'a>), usize> = BTreeMap::new();
    for call in case.input.tasks.iter().flat_map(|task| &task.calls).filter(|call| call.failed) {
        let kind = call.error_type.as_deref().and_then(Ident::of);
        if let (Some(tool), Some(kind)) = (Ident::of(&call.tool), kind) {
            *errors.entry((tool, kind)).or_default() += 1;
        }
    }
    let mut errors: Vec<_> = errors.into_iter().filter(|(_, n)| *n >= LEAST_A_SIDE).collect();
    errors.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    errors.into_iter().map(|(key, _)| key).collect()
}

fn of_tool(case: &Case<'_>, tool: Ident<'_>, kind: Ident<'_>) -> Option<Draft> {
    let both = [Word::Name(tool), Word::Name(kind)];
    let text = match Remedy::of(kind.as_str()) {
        Remedy::Time | Remedy::Retry => say("When `{}` fails with `{}`, wait a moment and call it once more.", &both),
        Remedy::OtherWay => say("When `{}` fails with `{}`, do not call it again; go on without it.", &both),
        Remedy::Arguments => say("Check the arguments of `{}` before calling it.", &[Word::Name(tool)]),
    };
    let has = |task: &Task| {
        task.calls.iter().any(|call| {
            call.failed && call.tool == tool.as_str() && call.error_type.as_deref() == Some(kind.as_str())
        })
    };
    draft(case, text, &has, say("`{}` fails with `{}` in {} of {} tasks; ", &words(case, tool, kind, &has)))
}

fn of_form(case: &Case<'_>, kind: Ident<'_>) -> Option<Draft> {
    let name = kind.as_str().to_ascii_lowercase();
    if !OF_FORM.iter().any(|word| name.contains(word)) {
        return None;
    }
    let has = |task: &Task| task.errors.iter().any(|error| error == kind.as_str());
    let (n, _) = case.share(has);
    let text = say("Check the form of each answer before giving it: it fails with `{}`.", &[Word::Name(kind)]);
    let numbers = [Word::Name(kind), Word::Count(n), Word::Count(case.input.tasks.len())];
    draft(case, text, &has, say("`{}` occurs in {} of {} tasks; ", &numbers))
}

fn words<'a>(case: &Case<'_>, tool: Ident<'a>, kind: Ident<'a>, has: &dyn Fn(&Task) -> bool) -> [Word<'a>; 4] {
    [Word::Name(tool), Word::Name(kind), Word::Count(case.share(has).0), Word::Count(case.input.tasks.len())]
}

/// `rationale` is made by [`say`] already; what is known of outcomes is added to it.
fn draft(case: &Case<'_>, text: String, has: &dyn Fn(&Task) -> bool, rationale: String) -> Option<Draft> {
    let (n, share) = case.share(has);
    if n == 0 {
        return None;
    }
    let contrast = case.contrast(has);
    let (with, without) = contrast.rates();
    let outcomes = say("{} of these fail, {} of the others.", &[Word::Share(with), Word::Share(without)]);
    Some(Draft::edit(
        Edit::AppendGuideline { text },
        share,
        (ADVICE * contrast.harm()).max(LEAST_GAIN),
        rationale + &outcomes,
        say("Fewer of the {} tasks with this error.", &[Word::Count(n)]),
    ))
}
