//! What happened to an improvement, in the order of time.

use maud::{Markup, html};
use uplift_model::Time;
use uplift_model::improvement::Improvement;
use uplift_model::trial::{TrialKind, TrialRecord};
use uplift_store::rows::{HistoryRow, ProcessRow};

use crate::dashboard::format;
use crate::dashboard::parts::{Standing, at, first_sentence, live, prose};
use crate::dashboard::visit::Visit;

/// Most steps that are shown, the latest ones.
const MAX_STEPS: usize = 60;

/// The story.
pub(super) fn story(
    visit: &Visit,
    improvement: &Improvement,
    trials: &[TrialRecord],
    history: &[HistoryRow],
    processes: &[ProcessRow],
) -> Markup {
    let mut steps: Vec<(Time, Markup)> =
        vec![(improvement.created_at, html! { "Proposed by " (improvement.proposal.proposer) })];
    for record in trials {
        let what = match record.trial.kind {
            TrialKind::Trial => "Trial",
            TrialKind::HoldBack => "Watch after the keep",
        };
        steps.push((Time::from_micros(record.trial.started_us), html! { (what) " " (record.id) " began" }));
        for stage in record.trial.stages.iter().skip(1) {
            steps.push((
                Time::from_micros(stage.from_us),
                html! { "Share of the candidate: " (format::percent(stage.share)) },
            ));
        }
        if let Some(ended) = record.ended_at {
            let ending = record.ending.as_deref().unwrap_or_default();
            steps.push((
                ended,
                html! { (what) " " (record.id) " ended" @if !ending.is_empty() { ": " (prose(first_sentence(ending))) } },
            ));
        }
    }
    for row in history {
        steps.push((row.decided_at, html! { (Standing::of_outcome(&row.outcome)) }));
    }
    for process in processes {
        for (time, from, to, note) in &process.steps {
            steps.push((
                *time,
                html! {
                    span.muted { (process.instance.name) ": " } (format::words(from)) " → " (format::words(to))
                    @if let Some(note) = note { span.muted { ", " (prose(first_sentence(note))) } }
                },
            ));
        }
    }
    steps.sort_by_key(|(time, _)| *time);
    let left_out = steps.len().saturating_sub(MAX_STEPS);
    live(
        "story",
        &html! { "Timeline" },
        &html! {
            @if left_out > 0 { p.muted { (left_out) " earlier steps are left out." } }
            ol.story { @for (time, what) in steps.iter().skip(left_out) { li { (at(*time)) span { (what) } } } }
            @for process in processes.iter().filter(|process| process.ended_at.is_none()) {
                p.muted {
                    (process.instance.name) " is at " (format::words(&process.instance.state))
                    @if let Some(wake) = process.instance.wake_at { ", due " (crate::dashboard::parts::when(wake, visit.now)) }
                    "."
                    @if let Some(error) = &process.instance.last_error { " " span.bad { "Last error: " (format::cut(error, 300)) } }
                }
            }
        },
    )
}
