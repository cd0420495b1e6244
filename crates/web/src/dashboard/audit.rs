//! `/audit`: what was asked to be changed, and by whom.

use axum::extract::State;
use axum::response::Response;
use maud::html;
use serde::Deserialize;
use uplift_model::access::Role;
use uplift_store::rows::AuditFilter;

use super::failed::{OnPage, PageError};
use super::layout::{self, Place};
use super::parts::{Standing, at, more, section, wide};
use super::visit::Visit;
use crate::error::WebError;
use crate::extract::{Params, page as page_request, text};
use crate::state::AppState;

/// By whom.
#[derive(Debug, Deserialize)]
pub(super) struct Query {
    actor: Option<String>,
    cursor: Option<String>,
}

/// The page.
pub(super) async fn page(
    State(state): State<AppState>,
    visit: Visit,
    query: Result<Params<Query>, WebError>,
) -> Result<Response, PageError> {
    visit.caller.require(Role::Admin).on(&visit)?;
    let Params(query) = query.on(&visit)?;
    let actor = text("actor", query.actor.filter(|actor| !actor.is_empty())).on(&visit)?;
    let request = page_request(None, query.cursor).on(&visit)?;
    let found = state.engine.store().audit_log(AuditFilter { actor: actor.clone() }, request).await.on(&visit)?;
    let body = html! {
        h1 { "Audit log" }
        form.filter method="get" action="/audit" role="search" {
            label { span { "Who" } input name="actor" value=[actor.as_deref()] placeholder="any"; }
            button.quiet { "Show" }
        }
        (section("list", "The latest first", &html! {
            @if found.items.is_empty() { p.muted { "Nothing was asked to be changed." } }
            @else { (wide("Audit log", &html! { table {
                thead { tr {
                    th scope="col" { "When" }
                    th scope="col" { "Who" }
                    th scope="col" { "From" }
                    th scope="col" { "Asked for" }
                    th scope="col" { "Of" }
                    th scope="col" { "Ended" }
                } }
                tbody { @for record in &found.items { tr {
                    td { (at(record.entry.at)) }
                    td { (record.entry.actor) " " span.muted { (record.entry.role.to_string()) } }
                    td.muted { (record.entry.peer.as_deref().unwrap_or_default()) }
                    td { code { (record.entry.action) } }
                    td { code { (record.entry.subject) } @if let Some(detail) = &record.entry.detail { br; span.muted { (detail) } } }
                    td { @match record.status {
                        Some(status) if status < 400 => (Standing::new("good", "✓", status.to_string())),
                        Some(status) => (Standing::new("bad", "✕", status.to_string())),
                        None => (Standing::new("warn", "?", "not known")),
                    } }
                } } }
            } })) }
            (more(&visit, found.next.as_deref()))
        }))
    };
    Ok(layout::page(&visit, "Audit log", Place::Audit, &body))
}
