//! `/alerts`: what needs attention.

use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};
use serde::Deserialize;
use uplift_model::alert::{Alert, AlertKind, AlertState};

use super::failed::{OnPage, PageError};
use super::layout::{self, Place};
use super::parts::{Standing, at, entity_address, more, prose, section, when, wide};
use super::visit::Visit;
use super::{csrf, format};
use crate::error::WebError;
use crate::extract::{Params, page as page_request};
use crate::state::AppState;

/// Which alerts.
#[derive(Debug, Deserialize)]
pub(super) struct Query {
    all: Option<String>,
    cursor: Option<String>,
}

/// The page.
pub(super) async fn page(
    State(state): State<AppState>,
    visit: Visit,
    query: Result<Params<Query>, WebError>,
) -> Result<Response, PageError> {
    let Params(query) = query.on(&visit)?;
    let all = query.all.is_some();
    let request = page_request(None, query.cursor).on(&visit)?;
    let found = state.engine.store().alerts(!all, request).await.on(&visit)?;
    let body = html! {
        h1 { "Alerts" }
        nav.tabs aria-label="Which alerts" {
            a href="/alerts" aria-current=[(!all).then_some("true")] { "Those that hold" }
            a href="/alerts?all=yes" aria-current=[all.then_some("true")] { "All" }
        }
        (section("list", if all { "The latest first" } else { "Those that hold" }, &html! {
            @if found.items.is_empty() { p.muted { "None." } } @else { (table(&visit, &found.items)) }
            (more(&visit, found.next.as_deref()))
        }))
    };
    Ok(layout::page(&visit, "Alerts", Place::Alerts, &body))
}

fn standing(alert: &Alert) -> Standing {
    match alert.state() {
        AlertState::Open => Standing::new("bad", "▲", "open"),
        AlertState::Acknowledged => Standing::new("warn", "△", "acknowledged"),
        AlertState::Resolved => Standing::new("good", "✓", "resolved"),
    }
}

/// An alert in a sentence.
pub(super) fn sentence(visit: &Visit, alert: &Alert) -> Markup {
    html! {
        (standing(alert)) " "
        @if let Some(entity) = alert.finding.entity { a href=(entity_address(entity)) { (prose(&alert.finding.message)) } }
        @else { (prose(&alert.finding.message)) }
        span.muted { " " (format::words(alert.finding.kind.as_str())) ", " (when(alert.finding.at, visit.now)) }
    }
}

fn table(visit: &Visit, alerts: &[Alert]) -> Markup {
    wide(
        "Alerts",
        &html! { table {
            thead { tr {
                th scope="col" { "State" }
                th scope="col" { "Alert" }
                th scope="col" { "What happened" }
                th.num scope="col" { "Value" }
                th.num scope="col" { "Threshold" }
                th scope="col" { "Since" }
                th scope="col" { "Seen to by" }
            } }
            tbody { @for alert in alerts { tr {
                td { (standing(alert)) }
                td { (format::words(alert.finding.kind.as_str())) }
                td.what { @if let Some(entity) = alert.finding.entity { a href=(entity_address(entity)) { (prose(&alert.finding.message)) } } @else { (prose(&alert.finding.message)) } }
                td.num { (format::number(alert.finding.value)) }
                td.num { (format::number(alert.finding.threshold)) }
                td { (at(alert.finding.at)) br; span.muted { (when(alert.finding.at, visit.now)) } }
                td {
                    (acts(visit, alert))
                @if let Some(seen) = &alert.acknowledged { (seen.by) " " span.muted { (when(seen.at, visit.now)) @if let Some(note) = &seen.note { ": " (note) } } br; }
                    @if let Some(resolved) = alert.resolved_at { "resolved " span.muted { (when(resolved, visit.now)) @if let Some(by) = &alert.resolved_by { " by " (by) } } }
                }
            } } }
        } },
    )
}

fn acts(visit: &Visit, alert: &Alert) -> Markup {
    let state = alert.state();
    html! { @if visit.operates() && state != AlertState::Resolved {
        div.acts {
            @if state == AlertState::Open {
                form method="post" action={ "/alerts/" (alert.id) "/acknowledge" } {
                    (csrf::field(visit))
                    label { span.sr { "Note on alert " (alert.id) } input name="note" maxlength="1000" placeholder="note" autocomplete="off"; }
                    button.quiet aria-label={ "Acknowledge alert " (alert.id) } { "Acknowledge" }
                }
            }
            // All others end by themselves, and the engine says no.
            @if alert.finding.kind == AlertKind::RecurringFailure {
                form method="post" action={ "/alerts/" (alert.id) "/resolve" } {
                    (csrf::field(visit))
                    button.quiet aria-label={ "Resolve alert " (alert.id) } { "Resolve" }
                }
            }
        }
    } }
}
