//! `/`: how the fleet stands, what is being tried, and what waits for a person.

use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};
use uplift_cycle::detect::health::Health;
use uplift_model::alert::{Alert, HealthStatus};
use uplift_model::improvement::ImprovementStatus;
use uplift_model::opportunity::{Opportunity, OpportunityStatus};
use uplift_model::trial::TrialKind;
use uplift_store::PageRequest;
use uplift_store::rows::{HistoryRow, ImprovementFilter, OpportunityFilter, TrialFilter};

use super::chart::{self, Bar, Line, Point, Series, bars, line};
use super::failed::{OnPage, PageError};
use super::improvements::{Row, Waiting, rows, trials_table, waiting_table};
use super::layout::{self, Place};
use super::parts::{Standing, entity_link, live, prose, section, when, wide};
use super::trends::{Rates, Trends};
use super::visit::Visit;
use super::{alerts, format};
use crate::state::AppState;

/// Most of each that is shown here; the pages of their own have all.
const TRIALS: u32 = 25;
const WAITING: u32 = 15;
const DECIDED: u32 = 8;
const OPEN: u32 = 6;
const ALERTS: u32 = 8;

/// The page.
pub(super) async fn page(State(state): State<AppState>, visit: Visit) -> Result<Response, PageError> {
    let store = state.engine.store();
    let of = |status: &[ImprovementStatus]| ImprovementFilter { status: status.to_vec(), ..Default::default() };
    let needs = of(&[ImprovementStatus::AwaitingApproval, ImprovementStatus::NeedsProposal]);
    let running = TrialFilter { running: true, ..TrialFilter::default() };
    let open = OpportunityFilter { status: vec![OpportunityStatus::Pending], ..OpportunityFilter::default() };
    let first = PageRequest::first;
    let (trials, waiting, decided, opportunities, alerts) = tokio::try_join!(
        store.trials(running, first(TRIALS)),
        store.improvements(needs, first(WAITING)),
        store.history(None, first(DECIDED)),
        store.opportunities(open, first(OPEN)),
        store.alerts(true, first(ALERTS)),
    )
    .on(&visit)?;
    let trends = state.trends.latest(&state.engine).await.on(&visit)?;
    let more_trials = trials.next.is_some();
    let (watched, tried): (Vec<_>, Vec<_>) =
        trials.items.into_iter().partition(|record| record.trial.kind == TrialKind::HoldBack);
    let tried = rows(&state, tried).await.on(&visit)?;
    let watched = rows(&state, watched).await.on(&visit)?;
    let more_waiting = waiting.next.is_some();
    let waiting = Waiting::of(&state, waiting.items).await.on(&visit)?;
    let body = html! {
        h1.sr { "Overview" }
        (strip(&visit, &trends, tried.len(), watched.len(), more_trials, waiting.len()))
        div.columns {
            div {
                (running_part(&visit, &tried, &watched, more_trials))
                (waiting_part(&visit, &waiting, more_waiting))
                (decided_part(&visit, &decided.items))
                (open_part(&visit, &opportunities.items))
            }
            div {
                (health_part(&trends.health))
                (alerts_part(&visit, &alerts.items))
                (trends_part(&trends))
            }
        }
    };
    Ok(layout::page(&visit, "Overview", Place::Overview, &body))
}

/// A health in its sign and word.
pub(super) fn health_standing(status: HealthStatus) -> Standing {
    let (tone, sign) = match status {
        HealthStatus::Excellent | HealthStatus::Good => ("good", "●"),
        HealthStatus::Fair => ("warn", "●"),
        HealthStatus::NeedsAttention => ("bad", "●"),
    };
    Standing::new(tone, sign, format::words(status.as_str()))
}

fn strip(visit: &Visit, trends: &Trends, running: usize, watched: usize, more: bool, waiting: usize) -> Markup {
    let mut recent = uplift_model::rollup::OperationDelta::default();
    let latest = trends.agents.iter().map(|trend| trend.latest).max();
    for trend in trends.agents.iter().filter(|trend| latest.is_some_and(|latest| trend.latest > latest.plus(-24))) {
        recent.merge(trend.recent);
    }
    let metrics = &trends.metrics;
    html! {
        dl.strip id="strip" data-live="" {
            div { dt { "Health" } dd { b { (format!("{:.0}", trends.health.score)) } " " (health_standing(trends.health.status)) } }
            div { dt { "Tasks, last 24 h" } dd { b { (format::count(recent.n)) } @if let Some(success) = recent.success() { " " span.muted { (format::percent(success)) " ok" } } } }
            div { dt { "On trial" } dd { b { (format::count(running)) @if more { "+" } } @if visit.paused { " " span.bad { "paused" } } @else if watched > 0 { " " span.muted { (format::count(watched)) " watched" } } } }
            div { dt { "Wait for you" } dd { b { (format::count(waiting)) } } }
            div { dt { "Opportunities" } dd { b { (format::count(metrics.opportunities_pending)) } " " span.muted { "pending" } } }
            div { dt { "Kept" } dd { b { (format::count(metrics.kept)) } " " span.muted { "of " (format::count(metrics.decided)) " decided" } } }
            div { dt { "Taken back" } dd { b { (format::count(metrics.rolled_back)) } } }
            div { dt { "Alerts" } dd { b { (format::count(metrics.alerts_active)) } } }
        }
    }
}

fn running_part(visit: &Visit, tried: &[Row], watched: &[Row], more: bool) -> Markup {
    live(
        "running",
        &html! { "Running trials" },
        &html! {
            @if tried.is_empty() {
                p.muted {
                    @if visit.paused { "None, and none starts: trials are paused." }
                    @else { "None. A trial starts when an opportunity is found, a proposal answers it, and every check passes." }
                }
            } @else { (trials_table(visit, "Running trials", tried)) }
            @if more { p { a href="/improvements?status=testing" { "All of them" } } }
            @if !watched.is_empty() {
                h3 { "Kept, and watched against a share that stays on the old revision" }
                (trials_table(visit, "Watched", watched))
            }
        },
    )
}

fn waiting_part(visit: &Visit, waiting: &[Waiting], more: bool) -> Markup {
    section(
        "waiting",
        "Waits for a person",
        &html! {
            @if waiting.is_empty() { p.muted { "Nothing." } }
            @else { (waiting_table(visit, waiting)) }
            @if more { p.tabs {
                a href="/improvements?status=awaiting_approval" { "All that wait for approval" } " "
                a href="/improvements?status=needs_proposal" { "All without a proposal" }
            } }
        },
    )
}

fn decided_part(visit: &Visit, decided: &[HistoryRow]) -> Markup {
    section(
        "decided",
        "Decided last",
        &html! {
            @if decided.is_empty() { p.muted { "Nothing yet." } }
            @else {
                (decided_table(visit, decided, true))
                p { a href="/improvements" { "All improvements" } }
            }
        },
    )
}

/// Decisions, one a row; `whose` they are is left out where that is known.
pub(super) fn decided_table(visit: &Visit, decided: &[HistoryRow], whose: bool) -> Markup {
    wide(
        "Decisions",
        &html! {
            table {
                thead { tr {
                    th scope="col" { "Outcome" }
                    th scope="col" { "Improvement" }
                    @if whose { th scope="col" { "Of" } }
                    th.drawn scope="col" { "Effectiveness, −100 to +100\u{a0}%" }
                    th.num scope="col" { "" }
                    th scope="col" { "When" }
                } }
                tbody { @for row in decided { tr {
                    td { (Standing::of_outcome(&row.outcome)) }
                    td { a href={ "/improvements/" (row.improvement_id) } { "#" (row.improvement_id) " " (format::words(&row.improvement_type)) } }
                    @if whose { td { (entity_link(row.entity, &row.entity_name)) } }
                    @match (row.effectiveness, row.effectiveness_low, row.effectiveness_high) {
                        (Some(estimate), Some(low), Some(high)) => {
                            td.drawn { (chart::interval(estimate, low, high, None)) }
                            td.num { (format::change(estimate)) }
                        }
                        _ => { td {} td {} }
                    }
                    td { (when(row.decided_at, visit.now)) }
                } } }
            }
        },
    )
}

fn open_part(visit: &Visit, opportunities: &[Opportunity]) -> Markup {
    section(
        "open",
        "Open opportunities",
        &html! {
            @if opportunities.is_empty() { p.muted { "None." } }
            @else {
                ul.found { @for one in opportunities { li {
                    (Standing::of_impact(one.finding.impact.level)) " "
                    a href={ "/opportunities/" (one.id) } { (prose(&one.finding.description)) }
                    span.muted { " " (entity_link(one.finding.entity, &one.entity_name)) ", " @if one.confirmed { (format::percent(one.finding.confidence)) " sure" } @else { "not judged yet" }
                        ", seen " (when(one.finding.last_seen_at, visit.now)) }
                } } }
                p { a href="/opportunities" { "All opportunities" } }
            }
        },
    )
}

fn health_part(health: &Health) -> Markup {
    live(
        "health",
        &html! { "Health " b { (format!("{:.0}", health.score)) } " " (health_standing(health.status)) },
        &html! {
            table.factors {
                thead.sr { tr { th scope="col" { "Points" } th scope="col" { "What made them" } } }
                tbody {
                    @for factor in &health.factors { tr {
                        td.num.(if factor.points_lost > 0.05 { "bad" } else { "muted" }) { (points(0.0 - factor.points_lost)) }
                        td { (layout::capital(&factor.explanation)) }
                    } }
                }
            }
        },
    )
}

fn points(effect: f64) -> String {
    let sign = if effect > 0.05 {
        "+"
    } else if effect < -0.05 {
        "−"
    } else {
        "±"
    };
    format!("{sign}{:.1}", effect.abs())
}

fn alerts_part(visit: &Visit, active: &[Alert]) -> Markup {
    section(
        "alerts",
        "Alerts",
        &html! {
            @if active.is_empty() { p.muted { "None." } }
            @else {
                ul.found { @for alert in active { li { (alerts::sentence(visit, alert)) } } }
                p { a href="/alerts" { "All alerts" } }
            }
        },
    )
}

fn trends_part(trends: &Trends) -> Markup {
    let points = |value: fn(&uplift_model::rollup::OperationDelta) -> Option<f64>| -> Vec<Point> {
        trends
            .days
            .iter()
            .filter_map(|(day, sums)| {
                let at = uplift_model::Time::from_micros(day * uplift_model::time::MICROS_PER_DAY);
                value(sums).map(|value| Point { at, value, band: None, note: format::count(sums.n) })
            })
            .collect()
    };
    let tasks: Vec<Bar> = trends
        .days
        .iter()
        .map(|(day, sums)| Bar {
            name: format::day(*day),
            parts: vec![((sums.n - sums.errors) as f64, "plain"), (sums.errors as f64, "bad")],
        })
        .collect();
    let charts: [Series; 4] = [
        ("Success", points(Rates::success), format::percent),
        ("Duration, geometric mean", points(Rates::duration_ms), format::millis),
        ("Tokens a task", points(Rates::tokens), format::number),
        ("Cost a task", points(Rates::cost), format::dollars),
    ];
    section(
        "trends",
        "The fleet, day by day",
        &html! {
            @if trends.days.is_empty() {
                p.muted { "No task has ended yet. Agents report what they do to " code { "/api/events" } ", or point their OpenTelemetry exporter at "
                    code { "/v1/traces" } "; " code { "uplift import FILE" } " takes what was recorded." }
            }
            @else {
                h3 { "Tasks a day" }
                (bars("Tasks by day", &["succeeded", "failed"], &tasks, format::number))
                @for (name, points, format) in &charts {
                    @if !points.is_empty() {
                        h3 { (name) }
                        (line(&Line { label: name, value: name, points, format: *format, notes: Some("Tasks"), moment: format::day_of, ..Line::default() }))
                    }
                }
                p { a href="/analytics" { "By type, by entity and by day" } }
            }
        },
    )
}
