//! A guideline about the order of two calls, from a sequence that goes with failure or success.
//!
//! Of every pair in the sequence, tasks with both tools are compared by which comes first. Where the order of the
//! sequence does worse (or, for success, the other order does), the better order is asked for. Where no other order was
//! seen, tasks in which the first stands right before the second are compared with the others that call the second.

use uplift_model::edit::Edit;
use uplift_model::opportunity::OpportunityKind;

use crate::propose::case::{Case, Contrast, Draft, POINTED_TO, uses};
use crate::propose::input::Task;
use crate::propose::say::{Ident, Word, say};

pub(in crate::propose) fn write(case: &Case<'_>) -> Vec<Draft> {
    let tools = case.pattern();
    let failure = match case.finding.kind {
        OpportunityKind::FailurePattern => true,
        OpportunityKind::SuccessPattern => false,
        _ => return Vec::new(),
    };
    let mut drafts = Vec::new();
    for (place, first) in tools.iter().enumerate() {
        for second in tools[place + 1..].iter().filter(|second| *second != first) {
            let (early, late) = if failure { (*second, *first) } else { (*first, *second) };
            drafts.extend(order(case, early, late));
        }
    }
    // The weaker advice only where no order is known to do better.
    if drafts.is_empty() && failure {
        let pairs = tools.windows(2).filter(|pair| pair[0] != pair[1]);
        drafts.extend(pairs.filter_map(|pair| apart(case, pair[0], pair[1])));
    }
    drafts.sort_by(|a, b| (b.touched * b.gain).total_cmp(&(a.touched * a.gain)));
    drafts
}

/// "Call early before late", where tasks that do fail less.
fn order(case: &Case<'_>, early: Ident<'_>, late: Ident<'_>) -> Option<Draft> {
    let place = |task: &Task, tool: Ident<'_>| task.calls.iter().position(|call| call.tool == tool.as_str());
    let wrong = |task: &Task| place(task, late) < place(task, early);
    let both = case.input.tasks.iter().filter(|task| uses(task, early) && uses(task, late));
    let contrast = Contrast::of(both, wrong);
    if !contrast.is_harmful(POINTED_TO) {
        return None;
    }
    let (touched, share) = case.share(|task| uses(task, early) && uses(task, late) && wrong(task));
    let (wrong_rate, right_rate) = contrast.rates();
    let text = say("Call `{}` before `{}`.", &[Word::Name(early), Word::Name(late)]);
    Some(Draft::edit(
        Edit::AppendGuideline { text },
        share,
        contrast.harm(),
        say(
            "Of {} tasks that call `{}` before `{}`, {} fail; of {} in the other order, {}.",
            &[
                Word::Count(contrast.with.0),
                Word::Name(late),
                Word::Name(early),
                Word::Share(wrong_rate),
                Word::Count(contrast.without.0),
                Word::Share(right_rate),
            ],
        ),
        impact(touched, contrast),
    ))
}

/// "Do not call first right before second", where tasks that do fail more.
fn apart(case: &Case<'_>, first: Ident<'_>, second: Ident<'_>) -> Option<Draft> {
    let adjacent = |task: &Task| {
        task.calls.windows(2).any(|pair| pair[0].tool == first.as_str() && pair[1].tool == second.as_str())
    };
    let contrast = Contrast::of(case.input.tasks.iter().filter(|task| uses(task, second)), adjacent);
    if !contrast.is_harmful(POINTED_TO) {
        return None;
    }
    let (touched, share) = case.share(adjacent);
    let (with, without) = contrast.rates();
    let text = say("Do not call `{}` right before `{}`.", &[Word::Name(first), Word::Name(second)]);
    Some(Draft::edit(
        Edit::AppendGuideline { text },
        share,
        contrast.harm(),
        say(
            "Of {} tasks that call `{}` right before `{}`, {} fail; of {} others that call the latter, {}.",
            &[
                Word::Count(contrast.with.0),
                Word::Name(first),
                Word::Name(second),
                Word::Share(with),
                Word::Count(contrast.without.0),
                Word::Share(without),
            ],
        ),
        impact(touched, contrast),
    ))
}

fn impact(touched: usize, contrast: Contrast) -> String {
    let fewer = (touched as f64 * contrast.harm()).round().max(0.0) as usize;
    say("Up to {} fewer failing tasks of {} touched.", &[Word::Count(fewer), Word::Count(touched)])
}
