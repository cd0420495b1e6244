//! Metrics of an agent that went over to a worse level and stayed there, whatever the cause: a new version of a model, a
//! slower service, other inputs.

mod segments;

use std::collections::BTreeMap;

use uplift_model::Time;
use uplift_model::event::Outcome;
use uplift_model::opportunity::{Evidence, Finding, Impact, MAX_EVIDENCE_EVENTS, OpportunityKind, OpportunitySource};
use uplift_model::policy::DetectionPolicy;
use uplift_model::time::{MICROS_PER_DAY, MICROS_PER_HOUR};

use super::confidence::{self, LogRatio, Logs};
use super::input::{EntityWindow, TaskSample};
use super::text;

pub use segments::{Change, changes};

/// Most and least groups of tasks in a row that a series is made of, and least tasks of a group.
const MOST_GROUPS: usize = 60;
const LEAST_GROUPS: usize = 20;
const LEAST_A_GROUP: usize = 5;
/// Days that a window must span before what is usual at an hour of the day is taken off.
const DAYS_OF_RHYTHM: i64 = 3;
/// How far from the middle a value counts, in standard deviations by the median absolute deviation.
const MOST_OUT: f64 = 4.0;
/// The median absolute deviation of a normal distribution, in standard deviations, inverted.
const MAD_TO_SIGMA: f64 = 1.482_6;

/// What is watched: each is worse when it is higher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Metric {
    Duration,
    Tokens,
    Cost,
    Failures,
}

impl Metric {
    const ALL: [Self; 4] = [Self::Duration, Self::Tokens, Self::Cost, Self::Failures];

    const fn name(self) -> &'static str {
        match self {
            Self::Duration => "duration_ms",
            Self::Tokens => "tokens",
            Self::Cost => "cost_usd",
            Self::Failures => "failures",
        }
    }

    fn of(self, task: &TaskSample) -> Option<f64> {
        let positive = |value: f64| Some(value).filter(|value| *value > 0.0 && value.is_finite());
        match self {
            Self::Duration => positive(task.duration_ms?),
            Self::Tokens => positive(task.tokens as f64),
            Self::Cost => positive(task.cost_usd),
            Self::Failures => task.outcome.map(|outcome| f64::from(u8::from(outcome != Outcome::Success))),
        }
    }

    /// A level in words.
    fn words(self, level: f64) -> String {
        match self {
            Self::Duration => text::duration(level),
            Self::Tokens => format!("{level:.0}"),
            Self::Cost => format!("{level:.4} USD"),
            Self::Failures => text::percent(level),
        }
    }
}

/// A value and when its task ended.
type Point<'w> = (Time, f64, &'w TaskSample);

/// The latest change of each metric for the worse, if tasks before and after it fill a day each and
/// `policy.min_tasks`, and the levels differ by more than `policy.change_point_threshold`: of durations, tokens and
/// costs the ratio of geometric means, of failures the relative drop of the share that succeeds.
///
/// The series is the means of at most 60 groups of tasks in a row, of logarithms where the metric has them, values
/// far out pulled in, less what is usual at the hour of the day where the window spans three days. How sure: the less
/// sure of the change (its posterior probability) and of the difference being above the threshold (Welch's comparison).
/// Durations that rose by more than `policy.degradation_threshold` are left to the rule for those. Tasks that ran before
/// the last trial or change are left out, and nothing is said while a trial runs: the cause would be known.
pub fn find(window: &EntityWindow, policy: &DetectionPolicy) -> Vec<Finding> {
    let since = |since| Metric::ALL.into_iter().filter_map(move |metric| of_metric(window, since, metric, policy));
    window.alike_since.map_or_else(Vec::new, |alike| since(alike).collect())
}

fn of_metric(window: &EntityWindow, since: Time, metric: Metric, policy: &DetectionPolicy) -> Option<Finding> {
    let mut points: Vec<Point<'_>> =
        window.tasks.iter().filter_map(|task| Some((task.ended_at?, metric.of(task)?, task))).collect();
    points.retain(|(at, _, _)| *at >= since);
    points.sort_by_key(|(at, _, _)| *at);
    let size = points.len().div_ceil(MOST_GROUPS).max(LEAST_A_GROUP);
    // What does not fill a group is left out at the old end.
    points.drain(..points.len() % size);
    if points.len() / size < LEAST_GROUPS {
        return None;
    }
    let even = evened(&points, metric);
    let series: Vec<f64> = even.chunks(size).map(|group| group.iter().sum::<f64>() / group.len() as f64).collect();
    let found = changes(&series);
    let change = *found.last()?;
    let (earlier, after) = points.split_at(change.at * size);
    let least = policy.min_tasks as usize;
    // The level before: back to the change before that, unless that is too short to be one.
    let starts = found.iter().rev().skip(1).map(|change| change.at * size).chain([0]);
    let before = starts.map(|start| &earlier[start..]).find(|before| is_long(before, least))?;
    is_long(after, least).then_some(())?;
    let (ratio, sure) = compare(metric, before, after, policy)?;
    Some(finding(window, metric, &Step { before, after, ratio, sure: sure.min(change.probability), policy }))
}

fn is_long(points: &[Point<'_>], least: usize) -> bool {
    let span = points.last().zip(points.first()).map(|(last, first)| last.0.micros_since(first.0));
    points.len() >= least && span.is_some_and(|span| span >= MICROS_PER_DAY)
}

/// Values (or their logarithms) without what is far out and what is usual at their hour of the day.
fn evened(points: &[Point<'_>], metric: Metric) -> Vec<f64> {
    let mut values: Vec<f64> = match metric {
        Metric::Failures => points.iter().map(|(_, value, _)| *value).collect(),
        _ => points.iter().map(|(_, value, _)| value.ln()).collect(),
    };
    if metric != Metric::Failures
        && let Some(middle) = confidence::median(values.clone())
        && let Some(mad) = confidence::median(values.iter().map(|value| (value - middle).abs()).collect())
        && mad > 0.0
    {
        let most = MOST_OUT * MAD_TO_SIGMA * mad;
        for value in &mut values {
            *value = value.clamp(middle - most, middle + most);
        }
    }
    let span = points.last().zip(points.first()).map_or(0, |(last, first)| last.0.micros_since(first.0));
    if span >= DAYS_OF_RHYTHM * MICROS_PER_DAY {
        let hour = |at: Time| at.micros().rem_euclid(MICROS_PER_DAY) / MICROS_PER_HOUR;
        let mut usual: BTreeMap<i64, (f64, f64)> = BTreeMap::new();
        for ((at, _, _), value) in points.iter().zip(&values) {
            let (sum, n) = usual.entry(hour(*at)).or_default();
            (*sum, *n) = (*sum + value, *n + 1.0);
        }
        for ((at, _, _), value) in points.iter().zip(&mut values) {
            let (sum, n) = usual[&hour(*at)];
            *value -= sum / n;
        }
    }
    values
}

/// How many times worse, and how sure it is that this is more than the threshold; none where it is not.
fn compare(
    metric: Metric,
    before: &[Point<'_>],
    after: &[Point<'_>],
    policy: &DetectionPolicy,
) -> Option<(f64, f64)> {
    let values = |points: &[Point<'_>]| points.iter().map(|(_, value, _)| *value).collect::<Vec<_>>();
    let (then, now) = (values(before), values(after));
    let threshold = policy.change_point_threshold;
    if metric == Metric::Failures {
        let share = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let (then_share, now_share) = (share(&then), share(&now));
        let drop = (now_share - then_share) / (1.0 - then_share).max(f64::MIN_POSITIVE);
        let variance = |share: f64, n: usize| share * (1.0 - share) / n as f64;
        let se = (variance(then_share, then.len()) + variance(now_share, now.len())).sqrt();
        let sure = confidence::estimate_above(now_share - then_share, se, threshold * (1.0 - then_share));
        return (drop > threshold && drop.is_finite()).then_some((1.0 + drop, sure));
    }
    let ratio = LogRatio::new(Logs::of(now)?, Logs::of(then)?);
    let told_elsewhere = metric == Metric::Duration && ratio.ratio() > 1.0 + policy.degradation_threshold;
    (ratio.ratio() > 1.0 + threshold && !told_elsewhere).then(|| (ratio.ratio(), ratio.above(1.0 + threshold)))
}

/// A change for the worse.
struct Step<'s, 'w> {
    before: &'s [Point<'w>],
    after: &'s [Point<'w>],
    /// Of the levels; for failures 1 and the relative drop of what succeeds.
    ratio: f64,
    sure: f64,
    policy: &'s DetectionPolicy,
}

fn finding(window: &EntityWindow, metric: Metric, step: &Step<'_, '_>) -> Finding {
    let level = |points: &[Point<'_>]| {
        let n = points.len().max(1) as f64;
        match metric {
            Metric::Failures => points.iter().map(|(_, value, _)| value).sum::<f64>() / n,
            _ => (points.iter().map(|(_, value, _)| value.ln()).sum::<f64>() / n).exp(),
        }
    };
    let (then, now) = (level(step.before), level(step.after));
    let since = step.after.first().map_or(window.start, |(at, _, _)| *at);
    let whose = text::name(&window.entity_name);
    let description = match metric {
        Metric::Duration => format!("Tasks of `{whose}` take longer since {since}: {}", metric.words(now)),
        Metric::Tokens => format!("Tasks of `{whose}` use more tokens since {since}: {}", metric.words(now)),
        Metric::Cost => format!("Tasks of `{whose}` are dearer since {since}: {}", metric.words(now)),
        Metric::Failures => format!("More tasks of `{whose}` fail since {since}: {}", metric.words(now)),
    };
    let numbers = [
        ("level_before", then),
        ("level_since", now),
        ("ratio", step.ratio),
        ("threshold", step.policy.change_point_threshold),
        ("tasks_before", step.before.len() as f64),
        ("tasks_since", step.after.len() as f64),
    ];
    let labels = [("metric", metric.name().to_owned()), ("since", since.to_string())];
    Finding {
        entity: window.entity,
        kind: OpportunityKind::ChangePoint,
        fingerprint: metric.name().to_owned(),
        source: OpportunitySource::Monitor,
        description: format!("{description} instead of {}", metric.words(then)),
        confidence: confidence::sure(step.sure),
        impact: Impact::from_share(
            step.after.len() as f64 / window.tasks.len().max(1) as f64,
            format!("back to {} a task", metric.words(then)),
        ),
        evidence: Evidence {
            rule: "change_point".to_owned(),
            count: i64::try_from(step.after.len()).unwrap_or(i64::MAX),
            window_start: step.before.first().map(|(at, _, _)| *at),
            window_end: Some(window.as_of),
            numbers: numbers.map(|(name, value)| (name.to_owned(), value)).into(),
            labels: labels.map(|(name, value)| (name.to_owned(), value)).into(),
            events: Vec::new(),
            tasks: step.after.iter().take(MAX_EVIDENCE_EVENTS).map(|(_, _, task)| task.task_id.clone()).collect(),
        },
        last_seen_at: window.as_of,
    }
}

#[cfg(test)]
mod tests;
