//! `/entities`: who there is.

use axum::extract::State;
use axum::response::Response;
use maud::html;
use serde::Deserialize;
use uplift_model::entity::{EntityState, EntityType};
use uplift_store::rows::EntityFilter;

use super::failed::{OnPage, PageError};
use super::format;
use super::layout::{self, Place};
use super::parts::{Standing, choice, entity_address, more, section, when, wide};
use super::visit::Visit;
use crate::error::WebError;
use crate::extract::{Params, page, parse, text};
use crate::state::AppState;

/// Which entities.
#[derive(Debug, Deserialize)]
pub(super) struct Query {
    #[serde(rename = "type")]
    kind: Option<String>,
    environment: Option<String>,
    cursor: Option<String>,
}

/// Where an entity stands in its life.
pub(super) fn standing(state: EntityState) -> Standing {
    let (tone, sign) = match state {
        EntityState::Active => ("good", "●"),
        EntityState::Failed => ("bad", "✕"),
        EntityState::Deprecated => ("warn", "△"),
        EntityState::Inactive | EntityState::Archived => ("idle", "–"),
    };
    Standing::new(tone, sign, state.as_str())
}

/// The list.
pub(super) async fn list(
    State(state): State<AppState>,
    visit: Visit,
    query: Result<Params<Query>, WebError>,
) -> Result<Response, PageError> {
    let Params(query) = query.on(&visit)?;
    let kind = query.kind.as_deref().filter(|kind| !kind.is_empty());
    let entity_type: Option<EntityType> = parse("type", kind).on(&visit)?;
    let environment = text("environment", query.environment.filter(|name| !name.is_empty())).on(&visit)?;
    let filter = EntityFilter { entity_type, environment: environment.clone(), ..EntityFilter::default() };
    let request = page(None, query.cursor).on(&visit)?;
    let found = state.engine.store().entities(filter, request).await.on(&visit)?;
    let body = html! {
        h1 { "Entities" }
        form.filter method="get" action="/entities" role="search" {
            (choice("Type", "type", kind, "any", EntityType::ALL.map(EntityType::as_str)))
            label { span { "Environment" } input name="environment" value=[environment.as_deref()] placeholder="any"; }
            button.quiet { "Show" }
        }
        (section("list", "By type and number", &html! {
            @if found.items.is_empty() { p.muted { "None. Agents and tools register themselves when they are first seen." } }
            @else { (wide("Entities", &html! { table {
                thead { tr {
                    th scope="col" { "Name" }
                    th scope="col" { "Type" }
                    th scope="col" { "Environment" }
                    th scope="col" { "State" }
                    th scope="col" { "Improved by itself" }
                    th scope="col" { "Revision" }
                    th scope="col" { "Last seen" }
                } }
                tbody { @for one in &found.items { tr {
                    td { a href=(entity_address(one.key)) { (one.name) } }
                    td { (one.key.entity_type.as_str()) }
                    td { (one.environment) }
                    td { (standing(one.state)) }
                    td { @if one.improvement_config.auto_improve_enabled { "yes" } @else { span.muted { "no" } } }
                    td { @if let Some(revision) = &one.revision { code { (format::short(revision)) } } }
                    td { @if let Some(seen) = one.last_seen_at { (when(seen, visit.now)) } }
                } } }
            } })) }
            (more(&visit, found.next.as_deref()))
        }))
    };
    Ok(layout::page(&visit, "Entities", Place::Entities, &body))
}
