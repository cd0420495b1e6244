//! `/analytics`: what came of improvements, by type, by entity and by day; and what agents did.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};
use uplift_model::Time;
use uplift_model::rollup::OperationDelta;
use uplift_model::time::MICROS_PER_DAY;
use uplift_runner::Engine;
use uplift_runner::helped::WhatHelped;
use uplift_store::StoreResult;
use uplift_store::rows::{AnalyticsRow, DayDecisions, EntityAnalyticsRow, EntityTrend, MetricsRow};

use super::chart::{self, Bar, bars};
use super::failed::{OnPage, PageError};
use super::format;
use super::layout::{self, Place};
use super::parts::{entity_link, environment, section, wide};
use super::trends::{Rates, Trends};
use super::visit::Visit;
use crate::kept::Answer;
use crate::state::AppState;

/// Most entities that are listed.
const MAX_ENTITIES: u32 = 50;
/// Most agents that are listed, the busiest ones.
const MAX_AGENTS: usize = 100;
/// Days of decisions.
const DAYS: i64 = 30;

/// What came of improvements.
#[derive(Debug)]
pub(crate) struct Decided {
    types: Vec<AnalyticsRow>,
    entities: Vec<EntityAnalyticsRow>,
    days: Vec<DayDecisions>,
    helped: Arc<WhatHelped>,
}

impl Answer for Decided {
    const WHAT: &'static str = "what came of improvements";

    async fn work_out(engine: &Engine) -> StoreResult<Self> {
        let store = engine.store();
        let since = Time::from_micros((engine.now().day() - DAYS + 1) * MICROS_PER_DAY);
        let (types, entities, days) = tokio::try_join!(
            store.analytics(),
            store.analytics_by_entity(MAX_ENTITIES),
            store.decisions_by_day(since)
        )?;
        Ok(Self { types, entities, days, helped: engine.what_helped().await? })
    }
}

/// The page.
pub(super) async fn page(State(state): State<AppState>, visit: Visit) -> Result<Response, PageError> {
    let (decided, trends) =
        tokio::try_join!(state.decided.latest(&state.engine), state.trends.latest(&state.engine)).on(&visit)?;
    let Decided { types, entities, days, helped } = &*decided;
    let body = html! {
        h1 { "Analytics" }
        (whole(&trends.metrics, helped))
        div.columns.even.first-wide {
            div { (section("types", "By type", &by_type(types, helped))) (section("days", "Decisions, day by day", &by_day(days, visit.now))) }
            div { (section("entities", "By entity", &by_entity(entities))) }
        }
        (section("agents", "Agents, the last 24 hours of each against the 7 days before", &agents(&trends)))
    };
    Ok(layout::page(&visit, "Analytics", Place::Analytics, &body))
}

fn whole(metrics: &MetricsRow, helped: &WhatHelped) -> Markup {
    let claims = helped.standing();
    html! {
        dl.strip id="strip" data-live="" {
            div { dt { "Decided" } dd { b { (format::count(metrics.decided)) } } }
            div { dt { "Kept" } dd { b { (format::count(metrics.kept)) } } }
            div { dt { "Shown to help" } dd { b { (format::count(claims as i64)) } " " span.muted { "at most " (format::percent(helped.false_claims)) " of them wrong" } } }
            div { dt { "Taken back" } dd { b { (format::count(metrics.rolled_back)) } } }
            div { dt { "Without an answer" } dd { b { (format::count(metrics.inconclusive)) } } }
            div { dt { "Taken back, 30 days" } dd { b { (metrics.rollback_rate.map_or_else(|| format::NONE.to_owned(), format::percent)) } } }
            div { dt { "Mean effectiveness of the kept" } dd { b { (metrics.mean_effectiveness.map_or_else(|| format::NONE.to_owned(), format::change)) } } }
        }
    }
}

fn rate(share: Option<f64>) -> Markup {
    html! {
        @if let Some(share) = share {
            td.narrow { (chart::share(share, &format::percent(share))) }
            td.num { (format::percent(share)) }
        } @else { td {} td.num { (format::NONE) } }
    }
}

fn by_type(rows: &[AnalyticsRow], helped: &WhatHelped) -> Markup {
    if rows.is_empty() {
        return html! { p.muted { "Nothing was decided yet." } };
    }
    let table = wide(
        "By type",
        &html! { table {
            thead { tr {
                th scope="col" { "Type" }
                th.num scope="col" { "Decided" }
                th.num scope="col" { "Kept" }
                th.num scope="col" { "Shown to help" }
                th.num scope="col" { "Taken back" }
                th.num scope="col" { "No answer" }
                th.narrow scope="col" { "Share kept" }
                th.num scope="col" { "" }
                th.num scope="col" { "Mean effect" }
            } }
            tbody { @for row in rows { tr {
                td { (format::words(&row.improvement_type)) }
                td.num { (format::count(row.total)) }
                td.num { (format::count(row.kept)) }
                td.num { (format::count(helped.by_type.get(&row.improvement_type).copied().unwrap_or_default())) }
                td.num { (format::count(row.rolled_back)) }
                td.num { (format::count(row.inconclusive)) }
                (rate(row.success_rate))
                td.num { (row.mean_effectiveness.map_or_else(|| format::NONE.to_owned(), format::change)) }
            } } }
        } },
    );
    html! { (table) p.muted.small { "Share kept: of those that were either kept or taken back." } }
}

fn by_entity(rows: &[EntityAnalyticsRow]) -> Markup {
    if rows.is_empty() {
        return html! { p.muted { "Nothing was decided yet." } };
    }
    wide(
        "By entity",
        &html! { table {
            thead { tr {
                th scope="col" { "Entity" }
                th.num scope="col" { "Decided" }
                th.num scope="col" { "Kept" }
                th.num scope="col" { "Taken back" }
                th.narrow scope="col" { "Share kept" }
                th.num scope="col" { "" }
                th.num scope="col" { "Mean effect" }
            } }
            tbody { @for row in rows { tr {
                td { (entity_link(row.entity, &row.entity_name)) (environment(&row.environment)) }
                td.num { (format::count(row.total)) }
                td.num { (format::count(row.kept)) }
                td.num { (format::count(row.rolled_back)) }
                (rate(row.success_rate))
                td.num { (row.mean_effectiveness.map_or_else(|| format::NONE.to_owned(), format::change)) }
            } } }
        } },
    )
}

fn by_day(days: &[DayDecisions], now: Time) -> Markup {
    if days.is_empty() {
        return html! { p.muted { "Nothing was decided in the last " (DAYS) " days." } };
    }
    let known: BTreeMap<i64, &DayDecisions> = days.iter().map(|row| (row.day, row)).collect();
    let drawn: Vec<Bar> = (now.day() - DAYS + 1..=now.day())
        .map(|day| {
            let row = known.get(&day);
            let of = |count: fn(&DayDecisions) -> i64| row.map_or(0.0, |row| count(row) as f64);
            let parts = vec![
                (of(|row| row.kept), "good"),
                (of(|row| row.rolled_back), "bad"),
                (of(|row| row.inconclusive), "idle"),
                (of(|row| row.rejected + row.cancelled), "pale"),
            ];
            Bar { name: format::day(day), parts }
        })
        .collect();
    bars("Decisions by day", &["kept", "taken back", "no answer", "refused or called off"], &drawn, format::number)
}

/// A name, how its number is worked out, and how it is written.
type Rate = (&'static str, fn(&OperationDelta) -> Option<f64>, format::Written);

/// What is told of an agent's tasks.
const RATES: [Rate; 4] = [
    ("Success", <OperationDelta as Rates>::success, format::percent),
    ("Duration", <OperationDelta as Rates>::duration_ms, format::millis),
    ("Tokens a task", <OperationDelta as Rates>::tokens, format::number),
    ("Cost a task", <OperationDelta as Rates>::cost, format::dollars),
];

fn agents(trends: &Trends) -> Markup {
    let mut busiest: Vec<&EntityTrend> = trends.agents.iter().collect();
    busiest.sort_by_key(|trend| std::cmp::Reverse(trend.recent.n));
    let left_out = busiest.len().saturating_sub(MAX_AGENTS);
    busiest.truncate(MAX_AGENTS);
    if busiest.is_empty() {
        return html! { p.muted { "No task has ended yet." } };
    }
    // What nobody reports is no column.
    let told: Vec<_> =
        RATES.iter().filter(|(_, rate, _)| busiest.iter().any(|one| rate(&one.recent).is_some())).collect();
    let moved = |now: Option<f64>, before: Option<f64>| {
        now.zip(before).filter(|(_, before)| *before > 0.0).map(|(now, before)| now / before - 1.0)
    };
    html! {
        (wide("Agents", &html! { table.fit {
            thead { tr {
                th scope="col" { "Agent" }
                th.num scope="col" { "Tasks" }
                @for (name, _, _) in &told { th.num scope="col" { (name) } }
            } }
            tbody { @for trend in &busiest { tr {
                td { (entity_link(trend.entity, &trend.entity_name)) }
                td.num { (format::count(trend.recent.n)) br; span.muted { (format::count(trend.before.n)) " before" } }
                @for (_, rate, shown) in &told {
                    @let (now, before) = (rate(&trend.recent), rate(&trend.before));
                    td.num { (now.map_or_else(|| format::NONE.to_owned(), shown)) br;
                        span.muted { (moved(now, before).map_or_else(String::new, format::change)) } }
                }
            } } }
        } }))
        @if left_out > 0 { p.muted { "And " (format::count(left_out as i64)) " agents with fewer tasks." } }
    }
}
