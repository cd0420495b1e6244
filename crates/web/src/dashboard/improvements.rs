//! `/improvements`: what is tried, what waits, and what came of the rest.

use std::collections::HashMap;

use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};
use serde::Deserialize;
use uplift_model::entity::Entity;
use uplift_model::improvement::{Improvement, ImprovementStatus};
use uplift_model::trial::TrialRecord;
use uplift_model::verdict::MetricFinding;
use uplift_store::rows::ImprovementFilter;

use super::chart;
use super::csrf;
use super::failed::{OnPage, PageError};
use super::layout::{self, Place};
use super::parts::{Standing, choice, entity, more, prose, section, when, wide};
use super::visit::Visit;
use super::{changes, format};
use crate::api::Entities;
use crate::error::WebError;
use crate::extract::{Params, page, parse};
use crate::state::AppState;

/// A trial with what is tried, and where.
pub(super) struct Row {
    pub(super) record: TrialRecord,
    pub(super) improvement: Improvement,
    pub(super) entity: Entity,
}

/// Adds to trials what is tried, and where.
pub(super) async fn rows(state: &AppState, trials: Vec<TrialRecord>) -> Result<Vec<Row>, WebError> {
    let mut entities = Entities::of(state, trials.iter().map(|record| record.entity)).await?;
    let tried = trials.iter().map(|record| record.improvement_id).collect();
    let improvements = state.engine.store().improvements_of(tried).await?;
    let improvements: HashMap<i64, Improvement> = improvements.into_iter().map(|one| (one.id, one)).collect();
    let mut rows = Vec::with_capacity(trials.len());
    for record in trials {
        let Some(improvement) = improvements.get(&record.improvement_id).cloned() else { continue };
        let entity = entities.get(record.entity).await?.clone();
        rows.push(Row { record, improvement, entity });
    }
    Ok(rows)
}

/// Trials with their evidence, one a row.
pub(super) fn trials_table(visit: &Visit, label: &str, rows: &[Row]) -> Markup {
    wide(
        label,
        &html! {
            table.trials {
                thead { tr {
                    th scope="col" { "Trial" }
                    th.drawn scope="col" { "Goal, control → candidate" }
                    th.num scope="col" { "" }
                    th.narrow scope="col" { "Evidence against it" }
                    th.num scope="col" { "Units" }
                    th.num scope="col" { "Share" }
                    th.narrow scope="col" { "Horizon" }
                } }
                tbody { @for row in rows { (trial_row(visit, row)) } }
            }
        },
    )
}

/// The metric that stands for a trial in a list: the first goal, else the first of all.
pub(super) fn leading(metrics: &[MetricFinding]) -> Option<&MetricFinding> {
    metrics.iter().find(|metric| metric.roles.goal).or_else(|| metrics.first())
}

fn trial_row(visit: &Visit, row: &Row) -> Markup {
    let (record, improvement) = (&row.record, &row.improvement);
    let trial = &record.trial;
    let verdict = record.verdict.as_ref();
    let share = trial.stages.get(trial.stage_at(visit.now.micros())).map_or(0.0, |stage| stage.share);
    let units = verdict.map(|verdict| verdict.findings.allocation.assigned);
    let goal = verdict.and_then(|verdict| leading(&verdict.findings.metrics));
    html! { tr {
        td {
            a href={ "/improvements/" (improvement.id) } { "#" (improvement.id) } " " (entity(&row.entity))
            br; span.muted { (prose(&format::cut(&changes::edits(&improvement.proposal.edits), 110))) }
        }
        @if let Some(goal) = goal {
            td.drawn {
                (chart::interval(goal.effect.estimate, goal.effect.low, goal.effect.high, Some(goal.margin)))
                span.muted { (format::metric_name(&goal.name)) " " (format::metric(&goal.name, goal.control)) " → "
                    (format::metric(&goal.name, goal.candidate)) }
            }
            td.num { (format::change(goal.effect.estimate)) }
        } @else { td.drawn { span.muted { "first look in a moment" } } td {} }
        td.narrow { @if let Some(verdict) = verdict { (evidence(verdict)) } }
        td.num { @if let Some([control, candidate]) = units { (format::count(control)) " / " (format::count(candidate)) } }
        td.num { (format::percent(share)) }
        td.narrow { (progress(visit, record)) }
    } }
}

/// The evidence against a candidate on its way to a rollback.
pub(super) fn evidence(verdict: &uplift_model::verdict::Verdict) -> Markup {
    let combined = &verdict.findings.combined;
    let told =
        format!("e-value {}, taken back at {}", e_value(combined.log_evidence), e_value(combined.log_threshold));
    html! {
        (chart::meter(combined.log_evidence, combined.log_threshold, &told))
        span.muted { (e_value(combined.log_evidence)) " of " (e_value(combined.log_threshold)) }
    }
}

/// An e-value from its logarithm.
pub(super) fn e_value(log: f64) -> String {
    if log > 13.8 { format!("10^{:.0}", log / std::f64::consts::LN_10) } else { format::number(log.exp()) }
}

/// How far a trial is on its way to its horizon.
pub(super) fn progress(visit: &Visit, record: &TrialRecord) -> Markup {
    let trial = &record.trial;
    let (start, end) = (trial.started_us, trial.horizon_us());
    let horizon = uplift_model::Time::from_micros(end);
    let part = visit.now.micros().saturating_sub(start) as f64 / end.saturating_sub(start).max(1) as f64;
    let told = format!("{} of the time to the horizon", format::percent(part.clamp(0.0, 1.0)));
    html! { (chart::share(part, &told)) span.muted { (when(horizon, visit.now)) } }
}

/// An improvement that waits for a person.
pub(super) struct Waiting {
    improvement: Improvement,
    entity: Entity,
}

impl Waiting {
    /// Adds to improvements what they change.
    pub(super) async fn of(state: &AppState, improvements: Vec<Improvement>) -> Result<Vec<Self>, WebError> {
        let mut entities = Entities::of(state, improvements.iter().map(|improvement| improvement.entity)).await?;
        let mut waiting = Vec::with_capacity(improvements.len());
        for improvement in improvements {
            let entity = entities.get(improvement.entity).await?.clone();
            waiting.push(Self { improvement, entity });
        }
        Ok(waiting)
    }
}

/// Improvements that wait for a person, with the ways to answer.
pub(super) fn waiting_table(visit: &Visit, waiting: &[Waiting]) -> Markup {
    html! {
        ul.waits { @for Waiting { improvement, entity: of } in waiting { li {
            div {
                (Standing::of_improvement(improvement.status)) " "
                a href={ "/improvements/" (improvement.id) } { "#" (improvement.id) " " (format::words(improvement.proposal.improvement_type.as_str())) }
                " of " (entity(of))
                @if improvement.status == ImprovementStatus::NeedsProposal {
                    span.muted { ", " (when(improvement.created_at, visit.now)) }
                    br; "No rule has an answer to what was found: it takes an agent's or a person's."
                } @else {
                    span.muted { ", by " (improvement.proposal.proposer) ", " (when(improvement.created_at, visit.now)) }
                    br; (prose(&changes::edits(&improvement.proposal.edits)))
                }
            }
            @if visit.operates() && improvement.status == ImprovementStatus::AwaitingApproval {
                div.acts {
                    form method="post" action={ "/improvements/" (improvement.id) "/approve" } { (csrf::field(visit))
                        button aria-label={ "Approve improvement " (improvement.id) } { "Approve" } }
                    form method="post" action={ "/improvements/" (improvement.id) "/reject" } { (csrf::field(visit))
                        button.quiet aria-label={ "Reject improvement " (improvement.id) } { "Reject" } }
                }
            }
        } } }
    }
}

/// Which improvements.
#[derive(Debug, Deserialize)]
pub(super) struct Query {
    status: Option<String>,
    agent: Option<String>,
    cursor: Option<String>,
}

/// The list, the latest first.
pub(super) async fn list(
    State(state): State<AppState>,
    visit: Visit,
    query: Result<Params<Query>, WebError>,
) -> Result<Response, PageError> {
    let Params(query) = query.on(&visit)?;
    let status = query.status.as_deref().filter(|name| !name.is_empty());
    let chosen: Option<ImprovementStatus> = parse("status", status).on(&visit)?;
    let agent = query.agent.filter(|name| !name.is_empty());
    let named = crate::extract::EntityQuery { agent: agent.clone(), ..Default::default() };
    let filter = ImprovementFilter {
        entity: crate::extract::named_entity(&state, named).await.on(&visit)?,
        status: chosen.into_iter().collect(),
        ..ImprovementFilter::default()
    };
    let request = page(None, query.cursor).on(&visit)?;
    let found = state.engine.store().improvements(filter, request).await.on(&visit)?;
    let shown = Waiting::of(&state, found.items).await.on(&visit)?;
    let names = ImprovementStatus::ALL.iter().map(|status| status.as_str());
    let body = html! {
        h1 { "Improvements" }
        form.filter method="get" action="/improvements" role="search" {
            (choice("Status", "status", status, "any", names))
            label { span { "Agent" } input name="agent" value=[agent.as_deref()] placeholder="any"; }
            button.quiet { "Show" }
        }
        (section("list", "The latest first", &html! {
            @if shown.is_empty() { p.muted { "None." } } @else { (table(&visit, &shown)) }
            (more(&visit, found.next.as_deref()))
        }))
    };
    Ok(layout::page(&visit, "Improvements", Place::Improvements, &body))
}

/// Improvements in a narrow list, where it is known what they change.
pub(super) fn brief(visit: &Visit, shown: &[Waiting]) -> Markup {
    html! { ul.found { @for Waiting { improvement, .. } in shown { li {
        (Standing::of_improvement(improvement.status)) " "
        a href={ "/improvements/" (improvement.id) } { "#" (improvement.id) } " "
        (prose(&changes::edits(&improvement.proposal.edits)))
        span.muted { ", " (format::words(improvement.proposal.improvement_type.as_str())) " by " (improvement.proposal.proposer)
            ", " (when(improvement.updated_at, visit.now)) }
    } } } }
}

/// Improvements, one a row.
pub(super) fn table(visit: &Visit, shown: &[Waiting]) -> Markup {
    wide(
        "Improvements",
        &html! {
            table {
                thead { tr {
                    th.num scope="col" { "#" }
                    th scope="col" { "Status" }
                    th scope="col" { "Of" }
                    th scope="col" { "What it does" }
                    th scope="col" { "By" }
                    th.num scope="col" { "Sure" }
                    th scope="col" { "Changed" }
                } }
                tbody { @for Waiting { improvement, entity: of } in shown { tr {
                    td.num { a href={ "/improvements/" (improvement.id) } { (improvement.id) } }
                    td { (Standing::of_improvement(improvement.status)) }
                    td { (entity(of)) }
                    td { (prose(&changes::edits(&improvement.proposal.edits))) " "
                        span.muted { (format::words(improvement.proposal.improvement_type.as_str())) } }
                    td { (improvement.proposal.proposer) }
                    td.num { (format::percent(improvement.proposal.confidence)) }
                    td { (when(improvement.updated_at, visit.now)) }
                } } }
            }
        },
    )
}
