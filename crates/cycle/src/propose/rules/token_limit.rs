//! Limits what one model call may write to what 99 in 100 calls of successful tasks write, with some room.

use serde_json::json;
use uplift_model::edit::Edit;

use crate::propose::case::{Case, Draft, quantile};
use crate::propose::input::Task;
use crate::propose::rank::SAME_VALUE;
use crate::propose::say::{Word, say};

const PARAMETER: &str = "max_tokens";
/// Least model calls of successful tasks.
const LEAST_CALLS: usize = 50;
/// What is given beyond the 99th percentile.
const ROOM: f64 = 1.2;
/// Limits are whole multiples of this, tokens.
const STEP: f64 = 16.0;
/// Least share of the written tokens that a limit must save.
const LEAST_SAVED: f64 = 0.01;

pub(in crate::propose) fn write(case: &Case<'_>) -> Vec<Draft> {
    let written = |task: &Task| task.written.clone().into_iter().filter(|n| *n > 0).map(|n| n as f64);
    let good = case.input.tasks.iter().filter(|task| task.succeeded == Some(true));
    let mut of_good: Vec<f64> = good.flat_map(written).collect();
    let calls = of_good.len();
    let Some(p99) = quantile(&mut of_good, 0.99).filter(|_| calls >= LEAST_CALLS) else { return Vec::new() };
    let limit = (p99 * ROOM / STEP).ceil() * STEP;
    if case.number(PARAMETER).is_some_and(|old| limit > old * (1.0 - SAME_VALUE)) {
        return Vec::new();
    }
    let all: f64 = case.input.tasks.iter().flat_map(written).sum();
    let beyond: f64 = case.input.tasks.iter().flat_map(written).map(|n| (n - limit).max(0.0)).sum();
    let saved = beyond / all.max(1.0);
    let (n, share) = case.share(|task| written(task).any(|tokens| tokens > limit));
    if saved < LEAST_SAVED {
        return Vec::new();
    }
    vec![Draft::edit(
        Edit::SetParameter { name: PARAMETER.to_owned(), value: json!(limit as i64) },
        share,
        saved,
        say(
            "99 of 100 model calls of successful tasks write at most {} tokens ({} calls); {} of {} tasks have calls \
             that write more than {}.",
            &[
                Word::Amount(p99 as i64),
                Word::Count(calls),
                Word::Count(n),
                Word::Count(case.input.tasks.len()),
                Word::Amount(limit as i64),
            ],
        ),
        say("Up to {} of the tokens written.", &[Word::Share(saved)]),
    )]
}
