//! `/opportunities`: what could be better, why that is believed, and what is done about it.

use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};
use serde::Deserialize;
use uplift_model::opportunity::{ImpactLevel, Opportunity, OpportunityKind, OpportunitySource, OpportunityStatus};
use uplift_store::rows::{ImprovementFilter, OpportunityFilter};
use uplift_store::{PageRequest, StoreError};

use super::failed::{OnPage, PageError};
use super::improvements::{Waiting, brief};
use super::layout::{self, Place};
use super::parts::{Standing, at, choice, entity_link, environment, more, prose, said, section, when, wide};
use super::visit::Visit;
use super::{csrf, format};
use crate::error::WebError;
use crate::extract::{EntityQuery, Params, PathOf, named_entity, page, parse};
use crate::state::AppState;

/// Most improvements of one opportunity that are shown.
const MAX_IMPROVEMENTS: u32 = 20;
/// The filter for those that are open, beside the names of states.
const OPEN: &str = "open";

/// Which opportunities.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Query {
    status: Option<String>,
    kind: Option<String>,
    source: Option<String>,
    impact: Option<String>,
    agent: Option<String>,
    cursor: Option<String>,
}

impl Query {
    /// Forms send what was left empty, too.
    fn chosen(field: Option<&String>) -> Option<&str> {
        field.map(String::as_str).filter(|text| !text.is_empty())
    }

    async fn filter(&self, state: &AppState) -> Result<OpportunityFilter, WebError> {
        let agent = Self::chosen(self.agent.as_ref()).map(str::to_owned);
        let status = match Self::chosen(self.status.as_ref()) {
            Some(OPEN) => vec![OpportunityStatus::Pending, OpportunityStatus::InProgress],
            named => parse("status", named)?.into_iter().collect(),
        };
        Ok(OpportunityFilter {
            entity: named_entity(state, EntityQuery { agent, ..EntityQuery::default() }).await?,
            status,
            kind: parse("kind", Self::chosen(self.kind.as_ref()))?,
            source: parse("source", Self::chosen(self.source.as_ref()))?,
            impact: parse("impact", Self::chosen(self.impact.as_ref()))?,
            environment: None,
        })
    }
}

/// The list.
pub(super) async fn list(
    State(state): State<AppState>,
    visit: Visit,
    query: Result<Params<Query>, WebError>,
) -> Result<Response, PageError> {
    let Params(query) = query.on(&visit)?;
    let filter = query.filter(&state).await.on(&visit)?;
    let request = page(None, query.cursor.clone()).on(&visit)?;
    let found = state.engine.store().opportunities(filter, request).await.on(&visit)?;
    let statuses = [OPEN].into_iter().chain(OpportunityStatus::ALL.iter().map(|status| status.as_str()));
    let body = html! {
        h1 { "Opportunities" }
        form.filter method="get" action="/opportunities" role="search" {
            (choice("Status", "status", Query::chosen(query.status.as_ref()), "any", statuses))
            (choice("Kind", "kind", Query::chosen(query.kind.as_ref()), "any", OpportunityKind::ALL.iter().map(|kind| kind.as_str())))
            (choice("Impact", "impact", Query::chosen(query.impact.as_ref()), "any", ImpactLevel::ALL.iter().map(|level| level.as_str())))
            (choice("Source", "source", Query::chosen(query.source.as_ref()), "any", OpportunitySource::ALL.iter().map(|source| source.as_str())))
            label { span { "Agent" } input name="agent" value=[Query::chosen(query.agent.as_ref())] placeholder="any"; }
            button.quiet { "Show" }
        }
        (section("list", "The open ones first, by impact", &html! {
            @if found.items.is_empty() { p.muted { "None." } } @else { (table(&visit, &found.items)) }
            (more(&visit, found.next.as_deref()))
        }))
    };
    Ok(layout::page(&visit, "Opportunities", Place::Opportunities, &body))
}

/// Opportunities in a narrow list, where it is known whom they concern.
pub(super) fn brief_table(visit: &Visit, items: &[Opportunity]) -> Markup {
    html! { ul.found { @for one in items { li {
        (Standing::of_opportunity(one.status)) " " (Standing::of_impact(one.finding.impact.level)) " "
        a href={ "/opportunities/" (one.id) } { (prose(&one.finding.description)) }
        span.muted { " " (format::words(one.finding.kind.as_str())) ", seen " (when(one.finding.last_seen_at, visit.now)) }
    } } } }
}

/// Opportunities, one a row.
pub(super) fn table(visit: &Visit, items: &[Opportunity]) -> Markup {
    wide(
        "Opportunities",
        &html! {
            table {
                thead { tr {
                    th scope="col" { "Impact" }
                    th scope="col" { "What was found" }
                    th scope="col" { "Of" }
                    th scope="col" { "Kind" }
                    th.num scope="col" { "Sure" }
                    th.num scope="col" { "Seen" }
                    th scope="col" { "Last" }
                    th scope="col" { "Status" }
                } }
                tbody { @for one in items { tr {
                    td { (Standing::of_impact(one.finding.impact.level)) }
                    td.what { a href={ "/opportunities/" (one.id) } { (prose(&one.finding.description)) } }
                    td { (entity_link(one.finding.entity, &one.entity_name)) (environment(&one.environment)) }
                    td { (format::words(one.finding.kind.as_str())) br; span.muted { (one.finding.source.as_str()) } }
                    td.num { @if one.confirmed { (format::percent(one.finding.confidence)) } @else { (format::NONE) } }
                    td.num { (format::count(one.finding.evidence.count)) "×" }
                    td { (when(one.finding.last_seen_at, visit.now)) }
                    td { (Standing::of_opportunity(one.status)) }
                } } }
            }
        },
    )
}

/// One opportunity.
pub(super) async fn one(
    State(state): State<AppState>,
    visit: Visit,
    id: Result<PathOf<i64>, WebError>,
) -> Result<Response, PageError> {
    let PathOf(id) = id.on(&visit)?;
    let store = state.engine.store();
    let found = store.opportunity(id).await.on(&visit)?;
    let filter = ImprovementFilter { opportunity_id: Some(id), ..ImprovementFilter::default() };
    let improvements = store.improvements(filter, PageRequest::first(MAX_IMPROVEMENTS)).await.on(&visit)?.items;
    let improvements = Waiting::of(&state, improvements).await.on(&visit)?;
    let mut events = Vec::with_capacity(found.finding.evidence.events.len());
    for event in &found.finding.evidence.events {
        events.push(match store.event(event.trace_key.clone(), event.id.clone()).await {
            Ok(record) => (event, record.task_id.clone(), Some(record)),
            Err(StoreError::NotFound { .. } | StoreError::Ambiguous { .. }) => (event, None, None),
            Err(error) => return Err(PageError::new(&visit, error)),
        });
    }
    let finding = &found.finding;
    let body = html! {
        (head(&visit, &found))
        div.columns {
            div {
                (section("evidence", "Evidence", &html! {
                    (numbers(&found))
                    @if !events.is_empty() {
                        h3 { "Some of the events" }
                        (wide("Events", &html! { table {
                            thead { tr { th scope="col" { "When" } th scope="col" { "Event" } th scope="col" { "Task" } th scope="col" { "What it says" } } }
                            tbody { @for (event, task, record) in &events { tr {
                                @if let Some(record) = record {
                                    td { (at(record.ts)) }
                                    td { (record.event_type.as_str()) @if let Some(tool) = &record.tool { " " span.muted { (tool) } } }
                                    td { a href={ "/tasks/" (format::encoded(task.as_deref().unwrap_or(&event.trace_key))) } { (format::cut(task.as_deref().unwrap_or(&event.trace_key), 40)) } }
                                    td { @if let Some(content) = &record.content { (said(&format::cut(content, 300))) } @else if let Some(error) = &record.error_type { code { (error) } } }
                                } @else {
                                    td {} td { code { (format::cut(&event.id, 40)) } } td { (format::cut(&event.trace_key, 40)) }
                                    td.muted { "no longer on record" }
                                }
                            } } }
                        } }))
                    }
                    @if !finding.evidence.tasks.is_empty() {
                        h3 { "Some of the tasks" }
                        ul.names { @for task in &finding.evidence.tasks { li { a href={ "/tasks/" (format::encoded(task)) } { (format::cut(task, 60)) } } } }
                    }
                }))
            }
            div {
                (section("improvements", "Improvements that answer it", &html! {
                    @if improvements.is_empty() { p.muted { "None yet." } } @else { (brief(&visit, &improvements)) }
                }))
            }
        }
    };
    Ok(layout::page(&visit, &format!("Opportunity {id}"), Place::Opportunities, &body))
}

fn head(visit: &Visit, found: &Opportunity) -> Markup {
    let finding = &found.finding;
    let by_people = matches!(finding.source, OpportunitySource::Agent | OpportunitySource::Operator);
    html! {
        div.head id="head" data-live="" {
            h1 { span.number { "#" (found.id) } " " (layout::capital(&format::words(finding.kind.as_str())))
                span.of { " of " (entity_link(finding.entity, &found.entity_name)) (environment(&found.environment)) } }
            @if by_people { (said(&finding.description)) } @else { p.lead { (prose(&finding.description)) } }
            p { (Standing::of_opportunity(found.status)) " " (Standing::of_impact(finding.impact.level)) " impact"
                @if let Some(resolution) = &found.resolution { span.muted { ", " (resolution) } }
                @if !found.confirmed { span.warn { ", marked by a rule and not confirmed yet" } } }
            @if visit.operates() && found.status == OpportunityStatus::Pending {
                div.acts {
                    form method="post" action={ "/opportunities/" (found.id) "/start" } { (csrf::field(visit))
                        button { "Start an improvement" } }
                    form method="post" action={ "/opportunities/" (found.id) "/dismiss" } { (csrf::field(visit))
                        label { span.sr { "Reason to dismiss" } input name="reason" required maxlength="1000" placeholder="reason" autocomplete="off"; }
                        button.quiet { "Dismiss" } }
                }
            }
            dl.facts {
                div { dt { "Confidence" } dd { (format::percent(finding.confidence)) } }
                div { dt { "Tasks touched" } dd { (format::percent(finding.impact.tasks_affected)) } }
                div.long { dt { "To gain" } dd { (finding.impact.expected_gain) } }
                div { dt { "Usually answered by" } dd { (format::words(found.improvement_type.as_str())) } }
                div { dt { "Source" } dd { (finding.source.as_str()) } }
                div { dt { "Last seen" } dd { (when(finding.last_seen_at, visit.now)) } }
                div { dt { "Found" } dd { (when(found.created_at, visit.now)) } }
            }
        }
    }
}

fn numbers(found: &Opportunity) -> Markup {
    let evidence = &found.finding.evidence;
    html! {
        p { "The rule " code { (evidence.rule) } " counted " b { (format::count(evidence.count)) }
            @if let (Some(from), Some(to)) = (evidence.window_start, evidence.window_end) { " from " (at(from)) " to " (at(to)) } "." }
        @if !evidence.numbers.is_empty() || !evidence.labels.is_empty() {
            table.pairs { tbody {
                @for (name, value) in &evidence.numbers { tr { th scope="row" { (format::words(name)) } td.num { (format::number(*value)) } } }
                @for (name, value) in &evidence.labels { tr { th scope="row" { (format::words(name)) } td { (said(&format::cut(value, 400))) } } }
            } }
        }
        p.muted { "Fingerprint " code { (format::cut(&found.finding.fingerprint, 80)) } }
    }
}
