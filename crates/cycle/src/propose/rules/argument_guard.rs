//! Checks arguments before a call: a field that working calls have and failing ones lack, or have in another type.
//!
//! Names and types of fields only; values never become part of a guard. A guard that would have stopped one working
//! call of the window is not proposed.

use std::collections::BTreeSet;

use uplift_model::edit::Edit;
use uplift_model::revision::{Guard, GuardCheck, GuardTarget};

use crate::propose::case::{CLEAR, Case, Draft, LEAST_A_SIDE, LEAST_GAIN, p_of_more};
use crate::propose::input::{Call, JsonType, Shape, Task};
use crate::propose::say::{Ident, Word, say};

/// What is left of the confidence in a type: a tool may well convert it.
const CONVERTED: f64 = 0.95;
/// Most drafts for a tool.
const MOST_A_TOOL: usize = 2;

pub(in crate::propose) fn write(case: &Case<'_>) -> Vec<Draft> {
    case.tools().into_iter().flat_map(|tool| of_tool(case, tool)).collect()
}

fn of_tool(case: &Case<'_>, tool: Ident<'_>) -> Vec<Draft> {
    let known = |failed: bool| -> Vec<&Shape> {
        case.calls(tool).filter(|call| call.failed == failed).filter_map(|call| call.arguments.as_ref()).collect()
    };
    let (working, failing) = (known(false), known(true));
    if working.len() < LEAST_A_SIDE || failing.len() < LEAST_A_SIDE {
        return Vec::new();
    }
    let fields: BTreeSet<Ident<'_>> =
        working.iter().flat_map(|shape| shape.0.keys()).filter_map(|field| Ident::of(field)).collect();
    let mut drafts: Vec<Draft> = Vec::new();
    for field in fields.into_iter().filter(|field| working.iter().all(|shape| shape.has(field.as_str()))) {
        let required = guard(case, tool, field, None, &working, &failing);
        let typed = || {
            let of = |shape: &&Shape| shape.0.get(field.as_str()).map(|field| field.json_type);
            let kind = working.first().and_then(of)?;
            working.iter().all(|shape| of(shape) == Some(kind)).then_some(())?;
            guard(case, tool, field, Some(kind), &working, &failing)
        };
        drafts.extend(required.or_else(typed));
    }
    drafts.sort_by(|a, b| (b.touched * b.gain * b.sure).total_cmp(&(a.touched * a.gain * a.sure)));
    drafts.truncate(MOST_A_TOOL);
    drafts
}

/// Whether a guard lets a call pass: the field is there, and of the type where one is asked for.
fn passes(shape: &Shape, field: Ident<'_>, kind: Option<JsonType>) -> bool {
    match kind {
        None => shape.has(field.as_str()),
        Some(kind) => shape.0.get(field.as_str()).is_some_and(|found| found.json_type == kind),
    }
}

fn guard(
    case: &Case<'_>,
    tool: Ident<'_>,
    field: Ident<'_>,
    kind: Option<JsonType>,
    working: &[&Shape],
    failing: &[&Shape],
) -> Option<Draft> {
    let stopped = failing.iter().filter(|shape| !passes(shape, field, kind)).count();
    if stopped < LEAST_A_SIDE || p_of_more((working.len(), 0), (failing.len(), stopped)) >= CLEAR {
        return None;
    }
    let (what, check) = match kind {
        None => ("required", GuardCheck::Required { field: field.owned() }),
        Some(kind) => ("type", GuardCheck::Type { field: field.owned(), json_type: kind.as_str().to_owned() }),
    };
    let caught = |call: &Call| {
        call.failed
            && call.tool == tool.as_str()
            && call.arguments.as_ref().is_some_and(|shape| !passes(shape, field, kind))
    };
    let touches = |task: &Task| task.calls.iter().any(caught);
    let (n, share) = case.share(touches);
    let explained = stopped as f64 / failing.len() as f64;
    let name = format!("{}.{}.{what}", tool.as_str(), field.as_str());
    let draft = Draft::edit(
        Edit::AddGuard { guard: Guard { name, tool: tool.owned(), target: GuardTarget::Arguments, check } },
        share,
        (case.contrast(touches).harm() * explained).max(LEAST_GAIN),
        say(
            match kind {
                None => "{} of {} failing calls of `{}` lack the field `{}`; all {} working ones have it.",
                Some(_) => {
                    "{} of {} failing calls of `{}` have the field `{}` in another type than all {} working ones."
                }
            },
            &[
                Word::Count(stopped),
                Word::Count(failing.len()),
                Word::Name(tool),
                Word::Name(field),
                Word::Count(working.len()),
            ],
        ),
        say("Up to {} of its errors caught before the call, in {} tasks.", &[Word::Share(explained), Word::Count(n)]),
    );
    Some(Draft { sure: if kind.is_some() { CONVERTED } else { 1.0 }, ..draft })
}
