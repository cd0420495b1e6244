//! A review: an entity examined whole.

use std::collections::BTreeSet;

use uplift_model::event::Outcome;
use uplift_model::opportunity::{Finding, OpportunityKind, OpportunitySource};
use uplift_model::policy::DetectionPolicy;
use uplift_model::review::{Review, ReviewCounter, ReviewReason};

use super::input::EntityWindow;
use super::{bottlenecks, change_points, confidence, patterns, sequences, text, waste};

/// What every rule that looks at a window finds.
pub fn find(window: &EntityWindow, policy: &DetectionPolicy) -> Vec<Finding> {
    let mut findings = waste::find(window, policy);
    findings.extend(patterns::find(window, policy));
    findings.extend(sequences::find(window, policy));
    findings.extend(bottlenecks::find(window, policy));
    findings.extend(change_points::find(window, policy));
    findings
}

/// Runs [every rule](find) that looks at a window and sums the window up.
///
/// `already` are the findings that other rules made of the same entity in this evaluation: the summary counts them,
/// and what the review finds again is left out. Findings bear the source `review`. The review is dated by the
/// window's latest event; its reason is the one the counter gives, else what the counter's schedule says.
pub fn review(
    window: &EntityWindow,
    counter: &ReviewCounter,
    already: &[Finding],
    policy: &DetectionPolicy,
) -> (Vec<Finding>, Review) {
    let known: BTreeSet<(OpportunityKind, &str)> = already
        .iter()
        .filter(|finding| finding.entity == window.entity)
        .map(|finding| (finding.kind, finding.fingerprint.as_str()))
        .collect();
    let mut findings = find(window, policy);
    findings.retain(|finding| !known.contains(&(finding.kind, finding.fingerprint.as_str())));
    for finding in &mut findings {
        finding.source = OpportunitySource::Review;
    }
    let kinds: Vec<OpportunityKind> =
        findings.iter().map(|finding| finding.kind).chain(known.iter().map(|(kind, _)| *kind)).collect();
    let review = Review {
        entity: window.entity,
        reviewed_at: window.as_of,
        reason: counter.due.unwrap_or_else(|| reason(counter)),
        tasks: counter.tasks_since_review,
        findings: i64::try_from(findings.len()).unwrap_or(i64::MAX),
        summary: summary(window, &kinds),
    };
    (findings, review)
}

fn reason(counter: &ReviewCounter) -> ReviewReason {
    if counter.tasks_since_review >= i64::from(counter.schedule.task_threshold) {
        ReviewReason::Tasks
    } else {
        ReviewReason::Time
    }
}

/// The window in one paragraph: success, durations, tokens, errors, and what was found.
fn summary(window: &EntityWindow, kinds: &[OpportunityKind]) -> String {
    let n = window.tasks.len();
    let name = text::name(&window.entity_name);
    if n == 0 {
        return format!("`{name}`: no tasks on record from {} to {}.", window.start, window.as_of);
    }
    let mut sentences = vec![format!("`{name}`: {n} tasks from {} to {}", window.start, window.as_of)];
    let outcomes: Vec<Outcome> = window.tasks.iter().filter_map(|task| task.outcome).collect();
    if outcomes.is_empty() {
        sentences.push("no outcome is known".to_owned());
    } else {
        let good = outcomes.iter().filter(|outcome| **outcome == Outcome::Success).count();
        let share = good as f64 / outcomes.len() as f64;
        sentences.push(format!("{} of {} with a known outcome succeeded", text::percent(share), outcomes.len()));
    }
    let mut durations: Vec<f64> = window.tasks.iter().filter_map(|task| task.duration_ms).collect();
    if let (Some(p50), Some(p95)) =
        (confidence::quantile(&mut durations, 0.5), confidence::quantile(&mut durations, 0.95))
    {
        sentences.push(format!("half take at most {}, 95 % at most {}", text::duration(p50), text::duration(p95)));
    }
    let tokens: i64 = window.tasks.iter().map(|task| task.tokens).sum();
    let cost: f64 = window.tasks.iter().map(|task| task.cost_usd).sum();
    if tokens > 0 || cost > 0.0 {
        sentences.push(format!("{:.0} tokens and {:.4} USD a task", tokens as f64 / n as f64, cost / n as f64));
    }
    let errors: i64 = window.tasks.iter().map(|task| task.errors).sum();
    let with_errors = window.tasks.iter().filter(|task| task.errors > 0).count();
    sentences.push(format!("{errors} errors, in {} of the tasks", text::percent(with_errors as f64 / n as f64)));
    sentences.push(found(kinds));
    format!("{}.", sentences.join("; "))
}

fn found(kinds: &[OpportunityKind]) -> String {
    let distinct: BTreeSet<OpportunityKind> = kinds.iter().copied().collect();
    let counts: Vec<String> = distinct
        .into_iter()
        .map(|kind| format!("{} {}", kinds.iter().filter(|other| **other == kind).count(), kind.as_str()))
        .collect();
    if counts.is_empty() { "nothing found".to_owned() } else { format!("found: {}", counts.join(", ")) }
}

#[cfg(test)]
mod tests {
    use uplift_model::review::ReviewSchedule;

    use super::*;
    use crate::detect::waste::tests::{task, window};

    fn counter(tasks: i64, due: Option<ReviewReason>) -> ReviewCounter {
        ReviewCounter {
            entity: window(Vec::new()).entity,
            entity_name: "clerk".to_owned(),
            environment: "default".to_owned(),
            schedule: ReviewSchedule::default(),
            tasks_since_review: tasks,
            last_review_at: None,
            last_event_at: None,
            due,
        }
    }

    #[test]
    fn it_sums_up_and_marks_what_it_found_as_its_own() {
        let mut window = window(
            (0..40)
                .map(|n| {
                    task(
                        n,
                        Some(if n % 4 == 0 { Outcome::Failure } else { Outcome::Success }),
                        100,
                        &[("a", n as i64)],
                    )
                })
                .collect(),
        );
        window.declared_tools = vec!["a".to_owned(), "b".to_owned()];
        let (findings, review) = review(&window, &counter(40, None), &[], &DetectionPolicy::default());
        assert_eq!((findings.len(), review.findings, review.reason), (1, 1, ReviewReason::Time));
        assert_eq!(findings[0].source, OpportunitySource::Review);
        for part in ["40 tasks", "75 % of 40", "10 ms", "100 tokens", "0 errors", "1 unused_tool"] {
            assert!(review.summary.contains(part), "{part}: {}", review.summary);
        }
        let (again, review) = super::review(&window, &counter(140, None), &findings, &DetectionPolicy::default());
        assert_eq!((again.len(), review.reason), (0, ReviewReason::Tasks));
        assert!(review.summary.contains("1 unused_tool"));
    }

    #[test]
    fn an_empty_window_is_reviewed_too() {
        let due = Some(ReviewReason::Tasks);
        let (findings, review) = review(&window(Vec::new()), &counter(0, due), &[], &DetectionPolicy::default());
        assert!(findings.is_empty() && review.summary.contains("no tasks") && review.reason == ReviewReason::Tasks);
    }
}
