//! `/improvements/{id}`: everything about one improvement.
//!
//! In reading order: [`page`]; `trial` (what was measured, and how that came about); `story` (what happened, step by step).

mod story;
mod trial;

use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};
use serde::Deserialize;
use uplift_model::check::CheckResult;
use uplift_model::entity::Entity;
use uplift_model::improvement::{Improvement, ImprovementStatus, ProposalSource};
use uplift_model::revision::Configuration;
use uplift_model::trial::{TrialKind, TrialRecord};
use uplift_store::PageRequest;
use uplift_store::rows::{HistoryRow, TrialFilter};

use super::failed::{OnPage, PageError};
use super::layout::{self, Place};
use super::parts::{Standing, entity, first_sentence, live, prose, said, section, when, wide};
use super::visit::Visit;
use super::{changes, configuration, csrf, format, markdown};
use crate::api::{configurations, entity_of};
use crate::error::WebError;
use crate::extract::{Params, PathOf, parse};
use crate::state::AppState;

/// Trials of one improvement that are shown: one, its hold-back, and restarts of it.
const MAX_TRIALS: u32 = 50;

/// Which of its trials.
#[derive(Debug, Deserialize)]
pub(super) struct Query {
    trial: Option<String>,
}

/// The page.
pub(super) async fn page(
    State(state): State<AppState>,
    visit: Visit,
    id: Result<PathOf<i64>, WebError>,
    query: Result<Params<Query>, WebError>,
) -> Result<Response, PageError> {
    let (PathOf(id), Params(query)) = (id.on(&visit)?, query.on(&visit)?);
    let store = state.engine.store();
    let improvement = store.improvement(id).await.on(&visit)?;
    let of = entity_of(&state, improvement.entity).await.on(&visit)?;
    let opportunity = match improvement.opportunity_id {
        Some(id) => Some(store.opportunity(id).await.on(&visit)?),
        None => None,
    };
    let (base, candidate) = configurations(&state, &improvement, &of).await.on(&visit)?;
    let filter = TrialFilter { improvement_id: Some(id), ..TrialFilter::default() };
    let trials = store.trials(filter, PageRequest::first(MAX_TRIALS)).await.on(&visit)?.items;
    let history = store.history_of(id).await.on(&visit)?;
    let processes = store.processes_of(format!("improvement/{id}")).await.on(&visit)?;
    let wanted: Option<i64> = parse("trial", query.trial.as_deref()).on(&visit)?;
    let shown = chosen(&trials, wanted);
    let looks = match shown {
        Some(record) => store.looks(record.id).await.on(&visit)?,
        None => Vec::new(),
    };
    let body = html! {
        (head(&visit, &improvement, &of, opportunity.as_ref().map(|one| one.finding.description.as_str()), &history))
        div.columns {
            div {
                @if let Some(record) = shown {
                    (trial::measured(&visit, record, &trials, is_told(&history, record)))
                    (trial::over_time(record, &looks))
                }
                (what_changes(&improvement, base.as_ref(), candidate.as_ref()))
                (report(&history))
            }
            div {
                @if let Some(record) = shown { (trial::course(&visit, record)) }
                (preflight(&improvement))
                (checks(&improvement))
                (story::story(&visit, &improvement, &trials, &history, &processes))
            }
        }
    };
    let title = format!("#{id} {}", format::words(improvement.proposal.improvement_type.as_str()));
    Ok(layout::page(&visit, &title, Place::Improvements, &body))
}

/// The trial that was asked for; else the one that runs; else the latest that was no hold-back.
fn chosen(trials: &[TrialRecord], wanted: Option<i64>) -> Option<&TrialRecord> {
    let named = wanted.and_then(|id| trials.iter().find(|record| record.id == id));
    let tried = |record: &&TrialRecord| record.trial.kind == TrialKind::Trial;
    named
        .or_else(|| trials.iter().find(|record| record.running && tried(record)))
        .or_else(|| trials.iter().find(tried))
        .or_else(|| trials.first())
}

/// Whether the head of the page tells what the trial's latest look says.
fn is_told(history: &[HistoryRow], record: &TrialRecord) -> bool {
    let said = history.last().and_then(|row| row.reason.as_deref());
    record.verdict.as_ref().is_some_and(|verdict| said.is_some_and(|said| said.starts_with(&verdict.text)))
}

fn head(
    visit: &Visit,
    improvement: &Improvement,
    of: &Entity,
    found: Option<&str>,
    history: &[HistoryRow],
) -> Markup {
    let proposal = &improvement.proposal;
    let foreign = proposal.proposed_by != ProposalSource::Rule;
    html! {
        div.head id="head" data-live="" {
            h1 {
                span.number { "#" (improvement.id) } " " (layout::capital(&format::words(proposal.improvement_type.as_str())))
                span.of { " of " (entity(of)) }
            }
            p.lead {
                (Standing::of_improvement(improvement.status)) " "
                @if let Some(reason) = history.last().and_then(|decided| decided.reason.as_deref()) {
                    @let first = first_sentence(reason);
                    (prose(first)) ". " span.muted { (prose(reason[first.len()..].trim_start_matches(['.', ' ']))) }
                }
                @else { (prose(&changes::edits(&proposal.edits))) }
            }
            (acts(visit, improvement))
            dl.facts {
                div { dt { "Proposed" } dd { (when(improvement.created_at, visit.now)) " by " (proposal.proposer)
                    @if proposal.proposer != proposal.proposed_by.as_str() { " (" (proposal.proposed_by.as_str()) ")" } } }
                @if let Some(by) = &improvement.approved_by { div { dt { "Approved by" } dd { (by) } } }
                @if let (Some(id), Some(found)) = (improvement.opportunity_id, found) {
                    div.long { dt { "Answers" } dd { a href={ "/opportunities/" (id) } { (prose(found)) } } }
                }
                div.long { dt { "Why" } dd { @if foreign { (said(&proposal.rationale)) } @else { (prose(&proposal.rationale)) } } }
                @if !proposal.expected_impact.is_empty() {
                    div.long { dt { "Expected" } dd { (prose(&proposal.expected_impact)) } }
                }
                div { dt { "Confidence" } dd { (format::percent(proposal.confidence)) } }
                div { dt { "Expected gain" } dd { (format::percent(proposal.expected_gain)) } }
                @for (name, revision) in [("Base", &improvement.base), ("Candidate", &improvement.candidate)] {
                    @if let Some(revision) = revision {
                        div { dt { (name) } dd { a href={ "/entities/" (of.key.entity_type) "/" (of.key.entity_id) "/revisions/" (revision) } { code { (format::short(revision.as_str())) } } } }
                    }
                }
            }
        }
    }
}

/// What a person may do with an improvement in this status: word, name, whether it wants a reason, and its weight.
fn possible(status: ImprovementStatus) -> &'static [(&'static str, &'static str, bool, &'static str)] {
    use ImprovementStatus as S;
    const APPROVE: (&str, &str, bool, &str) = ("approve", "Approve", false, "");
    const REJECT: (&str, &str, bool, &str) = ("reject", "Reject", true, "quiet");
    const CANCEL: (&str, &str, bool, &str) = ("cancel", "Call off", true, "quiet");
    const BACK: (&str, &str, bool, &str) = ("rollback", "Roll back", true, "danger");
    match status {
        S::AwaitingApproval => &[APPROVE, REJECT, CANCEL],
        S::NeedsProposal => &[CANCEL],
        S::Proposed | S::Validated | S::Queued => &[REJECT, CANCEL],
        S::Testing => &[BACK, CANCEL],
        S::Deployed => &[BACK],
        S::Rejected | S::RolledBack | S::Cancelled => &[],
    }
}

fn acts(visit: &Visit, improvement: &Improvement) -> Markup {
    let possible = possible(improvement.status);
    html! {
        @if visit.operates() && !possible.is_empty() {
            div.acts { @for (act, name, reason, weight) in possible {
                form method="post" action={ "/improvements/" (improvement.id) "/" (act) } {
                    (csrf::field(visit))
                    @if *reason {
                        label { span.sr { "Reason to " (name.to_lowercase()) }
                            input name="reason" maxlength="1000" placeholder="reason" autocomplete="off"; }
                    }
                    button class=(weight) { (name) }
                }
            } }
        }
    }
}

fn what_changes(
    improvement: &Improvement,
    base: Option<&Configuration>,
    candidate: Option<&Configuration>,
) -> Markup {
    let proposal = &improvement.proposal;
    section(
        "changes",
        "What it changes",
        &html! {
            @if proposal.edits.is_empty() { p.muted { "Nobody has proposed anything yet." } }
            @else { ol.edits { @for edit in &proposal.edits { li { (prose(&changes::edit(edit))) " " code.muted { (edit.name()) } } } } }
            @for process in &proposal.processes {
                p { "Declares the process " code { (process.name) } ": " (process.steps.join(" → ")) }
            }
            @match (base, candidate) {
                (Some(base), Some(candidate)) => (configuration::diff(base, candidate)),
                (Some(_), None) if !proposal.edits.is_empty() => p.bad { "The edits do not apply to what is in place." },
                _ => {}
            }
        },
    )
}

fn report(history: &[HistoryRow]) -> Markup {
    let reports: Vec<(i64, &str)> =
        history.iter().filter_map(|row| Some((row.decided_at.micros(), row.report.as_deref()?))).collect();
    html! {
        @if let Some(((_, latest), earlier)) = reports.split_last() {
            (section("report", "Report", &html! {
                details { summary { "As it was written when it was decided" } (markdown::render(latest)) }
                @for (_, report) in earlier {
                    details { summary { "An earlier one" } (markdown::render(report)) }
                }
            }))
        }
    }
}

fn preflight(improvement: &Improvement) -> Markup {
    html! { @if let Some(preflight) = &improvement.preflight {
        (section("preflight", "Expected of the trial", &html! {
            p { (preflight.text) }
            @if !preflight.metrics.is_empty() { (wide("What the trial can be expected to see", &html! {
                table {
                    thead { tr {
                        th scope="col" { "Metric" }
                        th.num scope="col" { "Power" }
                        th.num scope="col" { "Units needed" }
                        th.num scope="col" { "Least change seen" }
                    } }
                    tbody { @for metric in &preflight.metrics { tr {
                        td { (format::metric_name(&metric.name)) }
                        td.num { (format::percent(metric.power)) }
                        td.num { (format::count(metric.units_needed)) }
                        td.num { (format::percent(metric.smallest_change)) }
                    } } }
                }
            })) }
        }))
    } }
}

fn checks(improvement: &Improvement) -> Markup {
    let passed = improvement.checks.iter().filter(|check| check.result == CheckResult::Passed).count();
    let count = improvement.checks.len();
    html! { @if count > 0 {
        (live("checks", &html! { "Checks " span.muted { (passed) " of " (count) " passed" } }, &html! {
            ul.checks { @for check in &improvement.checks { li {
                @let (tone, sign) = match check.result {
                    CheckResult::Passed => ("good", "✓"),
                    CheckResult::Waits => ("warn", "…"),
                    CheckResult::Refused => ("bad", "✕"),
                };
                (Standing::new(tone, sign, format::words(check.name.as_str())))
                span.sr { ": " (check.result.as_str()) }
                span.muted { " " (prose(&check.detail)) }
            } } }
        }))
    } }
}
