//! `/tasks`: what agents did.

use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};
use serde::Deserialize;
use uplift_model::event::Outcome;
use uplift_model::task::Task;
use uplift_store::rows::TaskFilter;

use super::failed::{OnPage, PageError};
use super::format;
use super::layout::{self, Place};
use super::parts::{Standing, choice, entity_link, environment, more, section, when, wide};
use super::visit::Visit;
use crate::error::WebError;
use crate::extract::{EntityQuery, Params, named_entity, page, parse, text};
use crate::state::AppState;

/// Which tasks.
#[derive(Debug, Deserialize)]
pub(super) struct Query {
    agent: Option<String>,
    entity_type: Option<String>,
    entity: Option<String>,
    outcome: Option<String>,
    errors: Option<String>,
    session: Option<String>,
    cursor: Option<String>,
}

/// The list.
pub(super) async fn list(
    State(state): State<AppState>,
    visit: Visit,
    query: Result<Params<Query>, WebError>,
) -> Result<Response, PageError> {
    let Params(query) = query.on(&visit)?;
    let filled = |field: Option<String>| field.filter(|text| !text.is_empty());
    let (agent, outcome, session) = (filled(query.agent), filled(query.outcome), filled(query.session));
    let errors = filled(query.errors);
    let named = EntityQuery {
        agent: agent.clone(),
        entity_type: filled(query.entity_type),
        entity: filled(query.entity),
        environment: None,
    };
    let filter = TaskFilter {
        entity: named_entity(&state, named).await.on(&visit)?,
        outcome: parse::<Outcome>("outcome", outcome.as_deref()).on(&visit)?,
        has_errors: errors.as_deref().map(|word| word == "with"),
        session_id: text("session", session.clone()).on(&visit)?,
        ..TaskFilter::default()
    };
    let request = page(None, query.cursor).on(&visit)?;
    let found = state.engine.store().tasks(filter, request).await.on(&visit)?;
    let body = html! {
        h1 { "Tasks" }
        form.filter method="get" action="/tasks" role="search" {
            label { span { "Agent" } input name="agent" value=[agent.as_deref()] placeholder="any"; }
            (choice("Outcome", "outcome", outcome.as_deref(), "any", ["SUCCESS", "FAILURE", "ERROR"]))
            (choice("Errors", "errors", errors.as_deref(), "any", ["with", "without"]))
            label { span { "Session" } input name="session" value=[session.as_deref()] placeholder="any"; }
            button.quiet { "Show" }
        }
        (section("list", "The latest first", &html! {
            @if found.items.is_empty() { p.muted { "None." } } @else { (table(&visit, &found.items, true)) }
            (more(&visit, found.next.as_deref()))
        }))
    };
    Ok(layout::page(&visit, "Tasks", Place::Tasks, &body))
}

/// Tasks, one a row; `whose` they are is left out where that is known.
pub(super) fn table(visit: &Visit, tasks: &[Task], whose: bool) -> Markup {
    wide(
        "Tasks",
        &html! { table {
            thead { tr {
                th scope="col" { "Task" }
                @if whose { th scope="col" { "Agent" } }
                th scope="col" { "Outcome" }
                th.num scope="col" { "Took" }
                th.num scope="col" { "Model calls" }
                th.num scope="col" { "Tool calls" }
                th.num scope="col" { "Errors" }
                th.num scope="col" { "Tokens" }
                th.num scope="col" { "Cost" }
                th scope="col" { "Started" }
            } }
            tbody { @for task in tasks { tr {
                td.id { a href={ "/tasks/" (format::encoded(&task.task_id)) } { (format::cut(&task.task_id, 36)) } }
                @if whose { td { (entity_link(task.entity, &task.entity_name)) (environment(&task.environment)) } }
                td { (Standing::of_task(task.outcome, task.ended)) }
                td.num { (task.duration_ms.map_or_else(|| format::NONE.to_owned(), format::millis)) }
                td.num { (format::count(task.llm_calls)) }
                td.num { (format::count(task.tool_calls)) }
                td.num { @if task.errors > 0 { span.bad { (format::count(task.errors)) } } @else { "0" } }
                td.num { (format::count(task.tokens_in.saturating_add(task.tokens_out))) }
                td.num { (format::dollars(task.cost_usd)) }
                td { @if let Some(started) = task.started_at { (when(started, visit.now)) } }
            } } }
        } },
    )
}
