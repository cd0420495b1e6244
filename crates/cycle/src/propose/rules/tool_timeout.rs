//! Sets the time that a call may take, from how long calls do take: half again what 99 in 100 need.
//!
//! The parameter holds for all tools of the agent, so the slowest tool counts. Calls that ran out of time say only that
//! they would have needed more; how much more is read off a log-normal curve through the median and the share that
//! came through, up to four times the longest seen.

use std::collections::BTreeMap;

use serde_json::json;
use uplift_model::edit::Edit;
use uplift_model::opportunity::OpportunityKind;

use crate::propose::case::{Case, Draft, LEAST_A_SIDE, LEAST_GAIN, quantile};
use crate::propose::input::{Call, Task};
use crate::propose::kinds::is_timeout;
use crate::propose::rank::SAME_VALUE;
use crate::propose::say::{Ident, Word, say};
use crate::stats::normal;

const PARAMETER: &str = "timeout_ms";
/// Least timed calls of a tool.
const LEAST_CALLS: usize = 20;
/// What is given beyond the 99th percentile.
const ROOM: f64 = 1.5;
/// Timeouts are whole multiples of this, milliseconds.
const STEP_MS: f64 = 100.0;
/// The 99th percentile of the standard normal distribution.
const Z99: f64 = 2.326;
/// Most that a curve through timed-out calls is believed, as a multiple of the longest seen.
const MOST_BEYOND: f64 = 4.0;
/// Least share of the time of all calls that a shorter timeout must save.
const LEAST_SAVED: f64 = 0.05;

pub(in crate::propose) fn write(case: &Case<'_>) -> Vec<Draft> {
    let tools = case.tools();
    // A wish looks at all tools at once: there is one timeout.
    let concerned = |call: &Call| tools.iter().any(|tool| tool.as_str() == call.tool);
    let Some((target, slowest)) = target(case) else { return Vec::new() };
    let in_place = case.number(PARAMETER);
    let differs = in_place.is_none_or(|old| (target - old).abs() > SAME_VALUE * old);
    if tools.is_empty() || !differs {
        return Vec::new();
    }
    let ran_out = |task: &Task| task.calls.iter().any(|call| concerned(call) && is_timeout(call));
    if case.share(ran_out).0 >= LEAST_A_SIDE {
        return if in_place.is_none_or(|old| target > old) {
            longer(case, target, slowest, &ran_out)
        } else {
            Vec::new()
        };
    }
    match case.finding.kind {
        OpportunityKind::RecurringError => Vec::new(),
        _ if in_place.is_none_or(|old| target < old) => shorter(case, target, slowest),
        _ => Vec::new(),
    }
}

fn edit(target: f64) -> Edit {
    Edit::SetParameter { name: PARAMETER.to_owned(), value: json!(target as i64) }
}

fn longer(case: &Case<'_>, target: f64, slowest: Ident<'_>, ran_out: &dyn Fn(&Task) -> bool) -> Vec<Draft> {
    let (n, share) = case.share(ran_out);
    let contrast = case.contrast(ran_out);
    let (with, without) = contrast.rates();
    vec![Draft::edit(
        edit(target),
        share,
        contrast.harm().max(LEAST_GAIN),
        say(
            "{} of {} tasks have calls that ran out of time; {} of these fail, {} of the others. \
             `{}` needs about {} ms in 99 of 100 calls.",
            &[
                Word::Count(n),
                Word::Count(case.input.tasks.len()),
                Word::Share(with),
                Word::Share(without),
                Word::Name(slowest),
                Word::Amount((target / ROOM) as i64),
            ],
        ),
        say("Up to {} tasks without a call that runs out of time.", &[Word::Count(n)]),
    )]
}

/// Calls that hang are given up earlier.
fn shorter(case: &Case<'_>, target: f64, slowest: Ident<'_>) -> Vec<Draft> {
    let durations = || case.input.tasks.iter().flat_map(|task| &task.calls).filter_map(|call| call.duration_ms);
    let all: f64 = durations().sum();
    let beyond: f64 = durations().map(|ms| (ms - target).max(0.0)).sum();
    let saved = beyond / all.max(1.0);
    let hangs = |task: &Task| task.calls.iter().filter_map(|call| call.duration_ms).any(|ms| ms > target);
    let (n, share) = case.share(hangs);
    if saved < LEAST_SAVED || n < LEAST_A_SIDE {
        return Vec::new();
    }
    vec![Draft::edit(
        edit(target),
        share,
        saved,
        say(
            "{} of {} tasks have calls that take longer than {} ms; `{}`, the slowest, needs about {} ms in 99 of 100.",
            &[
                Word::Count(n),
                Word::Count(case.input.tasks.len()),
                Word::Amount(target as i64),
                Word::Name(slowest),
                Word::Amount((target / ROOM) as i64),
            ],
        ),
        say("Up to {} of the time that calls take.", &[Word::Share(saved)]),
    )]
}

/// The timeout that the slowest tool needs, and that tool.
fn target<'a>(case: &Case<'a>) -> Option<(f64, Ident<'a>)> {
    let mut by_tool: BTreeMap<Ident<'a>, Vec<&Call>> = BTreeMap::new();
    for call in case.input.tasks.iter().flat_map(|task| &task.calls) {
        if let Some(tool) = Ident::of(&call.tool) {
            by_tool.entry(tool).or_default().push(call);
        }
    }
    let needs = by_tool.into_iter().filter_map(|(tool, calls)| Some((need(&calls)?, tool)));
    let (p99, tool) = needs.max_by(|a, b| a.0.total_cmp(&b.0))?;
    let target = (p99 * ROOM / STEP_MS).ceil() * STEP_MS;
    (target.is_finite() && (STEP_MS..=86_400_000.0).contains(&target)).then_some((target, tool))
}

/// What 99 in 100 calls of a tool need, milliseconds.
fn need(calls: &[&Call]) -> Option<f64> {
    let timed = |call: &&&Call| call.duration_ms.is_some_and(|ms| ms.is_finite() && ms > 0.0);
    // Other errors come early or late for reasons of their own.
    let counted: Vec<&Call> =
        calls.iter().filter(timed).filter(|call| !call.failed || is_timeout(call)).copied().collect();
    let mut durations: Vec<f64> = counted.iter().filter_map(|call| call.duration_ms).collect();
    if durations.len() < LEAST_CALLS {
        return None;
    }
    let ran_out = counted.iter().filter(|call| is_timeout(call)).count() as f64 / counted.len() as f64;
    let (p99, median) = (quantile(&mut durations, 0.99)?, quantile(&mut durations, 0.5)?);
    if ran_out < 0.01 {
        return Some(p99);
    }
    let longest = durations.last().copied()?;
    let z = normal::upper_quantile(ran_out);
    let curve = if z > 0.0 { median * (Z99 * (longest / median).ln() / z).exp() } else { f64::INFINITY };
    Some(curve.clamp(longest, MOST_BEYOND * longest))
}
