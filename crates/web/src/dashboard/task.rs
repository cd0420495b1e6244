//! `/tasks/{id}`: what happened within a task, and what it waited for.

use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};
use uplift_model::event::{EventKind, Outcome};
use uplift_model::task::Task;
use uplift_store::PageRequest;
use uplift_store::rows::{EventFilter, EventRecord};

use super::chart::{Span, critical, waterfall};
use super::failed::{OnPage, PageError};
use super::format;
use super::layout::{self, Place};
use super::parts::{Standing, at, entity_link, environment, said, section};
use super::visit::Visit;
use crate::error::WebError;
use crate::extract::{PathOf, text};
use crate::state::AppState;

/// Most events of a task that are shown.
const MAX_EVENTS: u32 = 500;
/// Longest text of an event that is shown, characters.
const MAX_CONTENT: usize = 2_000;

/// The page.
pub(super) async fn page(
    State(state): State<AppState>,
    visit: Visit,
    path: Result<PathOf<String>, WebError>,
) -> Result<Response, PageError> {
    let PathOf(id) = path.on(&visit)?;
    let id = text("task_id", Some(id)).on(&visit)?.unwrap_or_default();
    let store = state.engine.store();
    let task = store.task(id).await.on(&visit)?;
    let filter = EventFilter { task_id: Some(task.task_id.clone()), ..EventFilter::default() };
    let found = store.events(filter, PageRequest::first(MAX_EVENTS)).await.on(&visit)?;
    let mut events = found.items;
    let start = |event: &EventRecord| event.ts.micros().saturating_sub(took_us(event));
    // The task's own event encloses the others: it comes first, and what began later under it.
    events.sort_by_key(|event| (!ends(event, &task), start(event), event.ts.micros()));
    let spans: Vec<Span> = events.iter().map(|event| span(event, &task)).collect();
    let on_path = critical(&spans, |place| ends(&events[place], &task));
    let waited = on_path.iter().flatten().map(|us| *us as f64 / 1e3).sum::<f64>();
    let body = html! {
        (head(&task))
        (section("waterfall", "Waterfall", &html! {
            @if events.is_empty() { p.muted { "Its events are no longer on record; what they came to is." } }
            @else {
                p.legend {
                    span.key.llm { "model" } span.key.tool { "tool" } span.key.bad { "failed" } span.key.task { "task" }
                    span.muted { "The marked rows are the critical path: what the end waited for, " (format::millis(waited)) " in all." }
                }
                (waterfall(&spans, &on_path))
                @if found.next.is_some() { p.muted { "The first " (MAX_EVENTS) " events." } }
            }
        }))
        (section("texts", "What was said", &texts(&events)))
    };
    Ok(layout::page(&visit, &format!("Task {}", format::cut(&task.task_id, 40)), Place::Tasks, &body))
}

fn took_us(event: &EventRecord) -> i64 {
    event.duration_ms.filter(|ms| ms.is_finite() && *ms > 0.0).map_or(0, |ms| (ms * 1e3) as i64)
}

/// Whether an event is the end of the task itself.
fn ends(event: &EventRecord, task: &Task) -> bool {
    event.event_type.ends_task() && event.task_id.as_deref().is_none_or(|id| id == task.task_id)
}

fn span(event: &EventRecord, task: &Task) -> Span {
    let failed = event.error_type.is_some() || event.outcome.is_some_and(|outcome| outcome != Outcome::Success);
    let tone = match event.event_type {
        _ if failed => "bad",
        EventKind::LlmCall => "llm",
        EventKind::ToolExecuted => "tool",
        kind if kind.ends_task() => "task",
        _ => "idle",
    };
    let what = event.tool.as_deref().unwrap_or_else(|| event.event_type.as_str());
    let depth =
        usize::from(!ends(event, task)) + usize::from(event.task_id.as_deref().is_some_and(|id| id != task.task_id));
    let end_us = event.ts.micros();
    Span {
        start_us: end_us.saturating_sub(took_us(event)),
        end_us,
        told: format!("{what}, ended {}", format::exactly(event.ts)),
        tone,
        depth,
        name: html! {
            @if let Some(tool) = &event.tool { (format::cut(tool, 40)) } @else { (format::words(&event.event_type.as_str().to_lowercase())) }
            @if event.entity != task.entity { " " span.muted { (entity_link(event.entity, &event.entity_name)) } }
        },
        aside: aside(event, failed),
    }
}

fn aside(event: &EventRecord, failed: bool) -> Markup {
    let tokens = event.tokens_in.unwrap_or_default().saturating_add(event.tokens_out.unwrap_or_default());
    html! { span.muted {
        @if failed { span.bad { (event.error_type.as_deref().map_or_else(|| "failed".to_owned(), |kind| format::cut(kind, 60))) } " " }
        @if tokens > 0 { (format::count(tokens)) " tokens " }
        @if let Some(cost) = event.cost_usd.filter(|cost| *cost > 0.0) { (format::dollars(cost)) " " }
        @for exposure in event.exposures.iter().take(3) { span.kind { "trial " (exposure.trial) " " (exposure.arm) } " " }
    } }
}

fn head(task: &Task) -> Markup {
    html! {
        div.head id="head" data-live="" {
            h1 { "Task " code { (format::cut(&task.task_id, 80)) } span.of { " of " (entity_link(task.entity, &task.entity_name)) (environment(&task.environment)) } }
            dl.facts {
                div { dt { "Outcome" } dd { (Standing::of_task(task.outcome, task.ended)) } }
                div { dt { "Took" } dd { (task.duration_ms.map_or_else(|| format::NONE.to_owned(), format::millis)) } }
                @if let Some(started) = task.started_at { div { dt { "Started" } dd { (at(started)) } } }
                div { dt { "Events" } dd { (format::count(task.events)) span.muted { ", " (format::count(task.llm_calls)) " of models, " (format::count(task.tool_calls)) " of tools" } } }
                div { dt { "Errors" } dd { (format::count(task.errors)) @if task.errors_recovered > 0 { span.muted { ", " (format::count(task.errors_recovered)) " recovered" } } } }
                div { dt { "Tokens in / out" } dd { (format::count(task.tokens_in)) " / " (format::count(task.tokens_out))
                    @if task.tokens_cached > 0 { span.muted { ", " (format::count(task.tokens_cached)) " cached" } } } }
                div { dt { "Cost" } dd { (format::dollars(task.cost_usd)) } }
                @if let Some(parent) = &task.parent_task_id { div { dt { "Part of" } dd { a href={ "/tasks/" (format::encoded(parent)) } { (format::cut(parent, 40)) } } } }
                @if let Some(session) = &task.session_id { div { dt { "Session" } dd { a href={ "/tasks?session=" (format::encoded(session)) } { (format::cut(session, 40)) } } } }
            }
        }
    }
}

fn texts(events: &[EventRecord]) -> Markup {
    let mut with_texts =
        events.iter().filter(|event| event.content.is_some() || event.attributes.is_some()).peekable();
    html! {
        @if with_texts.peek().is_none() { p.muted { "No texts are on record." } }
        @for event in with_texts {
            details.text {
                summary { (event.tool.as_deref().unwrap_or_else(|| event.event_type.as_str())) " " span.muted { (format::exactly(event.ts)) } }
                @if let Some(content) = &event.content { (said(&format::cut(content, MAX_CONTENT))) }
                @if let Some(attributes) = &event.attributes { (said(&format::cut(&attributes.to_string(), MAX_CONTENT))) }
            }
        }
    }
}
