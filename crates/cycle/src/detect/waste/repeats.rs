//! The same call with the same arguments, again and again within a task.

use std::collections::BTreeMap;

use uplift_model::opportunity::{EventRef, Finding, Impact, OpportunityKind};
use uplift_model::policy::DetectionPolicy;

use super::{Waste, finding, per_day};
use crate::detect::confidence;
use crate::detect::input::EntityWindow;
use crate::detect::text;

/// What the window shows of one tool.
#[derive(Default)]
struct Repeats {
    tasks: Vec<String>,
    /// Calls beyond the first of each series.
    excess: i64,
    /// Those of them that failed.
    failed: i64,
    longest: i64,
    events: Vec<EventRef>,
}

/// One finding per tool whose identical calls occur `policy.repeated_call_minimum` times or more within a task, in
/// `policy.repeated_call_task_share` of the tasks or more. Calls whose arguments are unknown do not count. How
/// sure: the probability that the true share of tasks lies above half the threshold, since repeats that are there
/// are facts and only how common they are is estimated.
pub(super) fn find(window: &EntityWindow, policy: &DetectionPolicy) -> Vec<Finding> {
    let mut by_tool: BTreeMap<&str, Repeats> = BTreeMap::new();
    for task in &window.tasks {
        let mut series: BTreeMap<(&str, i64), Vec<usize>> = BTreeMap::new();
        for (place, call) in task.calls.iter().enumerate() {
            if let Some(hash) = call.call_hash {
                series.entry((&call.tool, hash)).or_default().push(place);
            }
        }
        for ((tool, _), places) in series {
            let Some(excess) = places.len().checked_sub(1).filter(|_| is_repeated(places.len(), policy)) else {
                continue;
            };
            let repeats = by_tool.entry(tool).or_default();
            repeats.excess += excess as i64;
            repeats.failed += places[1..].iter().filter(|place| task.calls[**place].failed).count() as i64;
            repeats.longest = repeats.longest.max(places.len() as i64);
            repeats.events.extend(places.iter().take(3).map(|place| task.calls[*place].event.clone()));
            if repeats.tasks.last() != Some(&task.task_id) {
                repeats.tasks.push(task.task_id.clone());
            }
        }
    }
    by_tool.into_iter().filter_map(|(tool, repeats)| judge(window, tool, repeats, policy)).collect()
}

fn is_repeated(calls: usize, policy: &DetectionPolicy) -> bool {
    calls >= policy.repeated_call_minimum.max(2) as usize
}

fn judge(window: &EntityWindow, tool: &str, repeats: Repeats, policy: &DetectionPolicy) -> Option<Finding> {
    let (hits, n) = (repeats.tasks.len() as f64, window.tasks.len() as f64);
    let share = hits / n;
    if share < policy.repeated_call_task_share || hits < 1.0 {
        return None;
    }
    Some(finding(
        window,
        Waste {
            kind: OpportunityKind::RepeatedCalls,
            fingerprint: tool.to_owned(),
            rule: "repeated_calls",
            description: format!(
                "`{}` repeats identical calls of `{}` within {} of its tasks: {} calls that told it nothing new, up \
                 to {} in a row of the same",
                text::name(&window.entity_name),
                text::name(tool),
                text::percent(share),
                repeats.excess,
                repeats.longest
            ),
            confidence: confidence::share_above(hits, n, policy.repeated_call_task_share / 2.0),
            impact: Impact::from_share(
                share,
                format!("about {} calls a day", per_day(window, repeats.excess as f64)),
            ),
            count: repeats.excess,
            numbers: vec![
                ("tasks_with_repeats", hits),
                ("share_of_tasks", share),
                ("threshold_share_of_tasks", policy.repeated_call_task_share),
                ("excess_calls", repeats.excess as f64),
                ("failed_excess_calls", repeats.failed as f64),
                ("longest_series_calls", repeats.longest as f64),
            ],
            labels: vec![("tool", text::name(tool).to_owned())],
            events: repeats.events,
            tasks: repeats.tasks,
        },
    ))
}
