//! Tokens that go where they do no good.

use uplift_model::event::Outcome;
use uplift_model::opportunity::{Finding, Impact, OpportunityKind};
use uplift_model::policy::DetectionPolicy;

use super::{Waste, finding, per_day};
use crate::detect::confidence::{self, LogRatio, Logs};
use crate::detect::input::{EntityWindow, TaskSample};
use crate::detect::text;

/// How many times the tokens of a successful task a failing one must burn before failing is also wasteful.
const FAILING_RATIO: f64 = 1.5;
/// Least tasks on each side of a comparison of failing and successful ones.
const LEAST_A_SIDE: usize = 5;

/// Tokens of a task, where it used any.
fn tokens(task: &TaskSample) -> f64 {
    task.tokens.max(0) as f64
}

/// Failing tasks burn more than `policy.token_waste_share` of all tokens, and each more than 1.5 times what a
/// successful one uses (geometric means). How sure: the less sure of the two, the share by linearisation of the
/// ratio of totals, the multiple by Welch's comparison of logarithms.
pub(super) fn failing(window: &EntityWindow, policy: &DetectionPolicy) -> Option<Finding> {
    let known: Vec<&TaskSample> = window.tasks.iter().filter(|task| task.outcome.is_some()).collect();
    let (good, bad): (Vec<&TaskSample>, Vec<&TaskSample>) =
        known.iter().copied().partition(|task| task.outcome == Some(Outcome::Success));
    if known.len() < policy.min_tasks as usize || good.len() < LEAST_A_SIDE || bad.len() < LEAST_A_SIDE {
        return None;
    }
    let parts: Vec<(f64, bool)> =
        known.iter().map(|task| (tokens(task), task.outcome != Some(Outcome::Success))).collect();
    let (share, se) = confidence::share_of_totals(&parts);
    let of = |tasks: &[&TaskSample]| Logs::of(tasks.iter().map(|task| tokens(task)));
    let ratio = LogRatio::new(of(&bad)?, of(&good)?);
    if share <= policy.token_waste_share || ratio.ratio() <= FAILING_RATIO {
        return None;
    }
    let burnt: f64 = bad.iter().map(|task| tokens(task)).sum();
    let (low, high) = ratio.interval();
    Some(finding(
        window,
        Waste {
            kind: OpportunityKind::TokenWaste,
            fingerprint: "failing_tasks".to_owned(),
            rule: "token_waste_failing_tasks",
            description: format!(
                "Failing tasks of `{}` burn {} of its tokens, each {:.1} times what a successful one uses",
                text::name(&window.entity_name),
                text::percent(share),
                ratio.ratio()
            ),
            confidence: confidence::estimate_above(share, se, policy.token_waste_share).min(ratio.above(1.0)),
            impact: Impact::from_share(
                bad.len() as f64 / known.len() as f64,
                format!("up to {} tokens a day", per_day(window, burnt)),
            ),
            count: i64::try_from(bad.len()).unwrap_or(i64::MAX),
            numbers: vec![
                ("failing_tasks", bad.len() as f64),
                ("successful_tasks", good.len() as f64),
                ("tokens_of_failing_tasks", burnt),
                ("token_share_of_failing_tasks", share),
                ("threshold_token_share", policy.token_waste_share),
                ("token_ratio_failing_to_successful", ratio.ratio()),
                ("token_ratio_low_95", low),
                ("token_ratio_high_95", high),
            ],
            labels: Vec::new(),
            events: Vec::new(),
            tasks: dearest(bad),
        },
    ))
}

/// Tasks beyond `policy.token_outlier_factor` times the median burn more than `policy.token_waste_share` of all
/// tokens. How sure: the share by linearisation of the ratio of totals.
pub(super) fn outliers(window: &EntityWindow, policy: &DetectionPolicy) -> Option<Finding> {
    let used: Vec<&TaskSample> = window.tasks.iter().filter(|task| task.tokens > 0).collect();
    if used.len() < policy.min_tasks as usize {
        return None;
    }
    let median = confidence::median(used.iter().map(|task| tokens(task)).collect())?;
    let limit = median * policy.token_outlier_factor;
    let parts: Vec<(f64, bool)> = used.iter().map(|task| (tokens(task), tokens(task) > limit)).collect();
    let (share, se) = confidence::share_of_totals(&parts);
    let outliers: Vec<&TaskSample> = used.iter().copied().filter(|task| tokens(task) > limit).collect();
    if outliers.is_empty() || share <= policy.token_waste_share {
        return None;
    }
    let excess: f64 = outliers.iter().map(|task| tokens(task) - median).sum();
    Some(finding(
        window,
        Waste {
            kind: OpportunityKind::TokenWaste,
            fingerprint: "outlier_tasks".to_owned(),
            rule: "token_waste_outlier_tasks",
            description: format!(
                "{} of {} tasks of `{}` use more than {} times the median's tokens and burn {} of all",
                outliers.len(),
                used.len(),
                text::name(&window.entity_name),
                policy.token_outlier_factor,
                text::percent(share)
            ),
            confidence: confidence::estimate_above(share, se, policy.token_waste_share),
            impact: Impact::from_share(
                outliers.len() as f64 / used.len() as f64,
                format!("up to {} tokens a day, were they as the median", per_day(window, excess)),
            ),
            count: i64::try_from(outliers.len()).unwrap_or(i64::MAX),
            numbers: vec![
                ("outlier_tasks", outliers.len() as f64),
                ("median_tokens", median),
                ("outlier_limit_tokens", limit),
                ("token_share_of_outliers", share),
                ("threshold_token_share", policy.token_waste_share),
                ("tokens_beyond_the_median", excess),
            ],
            labels: Vec::new(),
            events: Vec::new(),
            tasks: dearest(outliers),
        },
    ))
}

/// The ids of the tasks with the most tokens first.
fn dearest(mut tasks: Vec<&TaskSample>) -> Vec<String> {
    tasks.sort_by_key(|task| std::cmp::Reverse(task.tokens));
    tasks.into_iter().map(|task| task.task_id.clone()).collect()
}
