//! `/entities/{type}/{entity}`: one entity: what it runs, what it did, what was done for it, what it hangs together with.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};
use serde::Deserialize;
use uplift_model::entity::{Entity, EntityKey};
use uplift_model::history::HistoryOutcome;
use uplift_model::opportunity::Opportunity;
use uplift_model::relationship::{self, Relationship};
use uplift_model::review::Review;
use uplift_model::revision::{Configuration, RevisionId};
use uplift_model::rollup::OperationDelta;
use uplift_model::task::Task;
use uplift_model::{Hour, Time};
use uplift_runner::Engine;
use uplift_store::rows::{
    EffectRow, EntityStatusRow, HistoryRow, ImprovementFilter, OpportunityFilter, RevisionSince, TaskFilter,
};
use uplift_store::{PageRequest, StoreResult};

use super::chart::{self, Line, Node, Point, Series, graph, line};
use super::entities::standing;
use super::failed::{OnPage, PageError};
use super::improvements::{Waiting, brief as improvements_list};
use super::layout::{self, Place};
use super::opportunities::brief_table as opportunities_list;
use super::overview::decided_table;
use super::own_settings;
use super::parts::{at, entity_address, environment, prose, section, when, wide};
use super::tasks::table as tasks_table;
use super::trends::Rates;
use super::visit::Visit;
use super::{configuration, format};
use crate::api::Entities;
use crate::error::{ErrorCode, WebError};
use crate::extract::{Params, PathOf, selector};
use crate::kept::Answer;
use crate::state::AppState;
use crate::wire::improvement::Effect;

/// Most of each that is shown.
const TASKS: u32 = 10;
const IMPROVEMENTS: u32 = 10;
const OPPORTUNITIES: u32 = 8;
const REVISIONS: u32 = 20;
const REVIEWS: u32 = 10;
const DECIDED: u32 = 8;
/// Most entities that a change can reach that are listed.
const MAX_REACHED: usize = 40;
/// Hours that are drawn.
const HOURS: i64 = 14 * 24;

/// Which environment, for a name that is in several.
#[derive(Debug, Deserialize)]
pub(super) struct Query {
    environment: Option<String>,
}

/// How all entities hang together.
#[derive(Debug)]
pub(crate) struct Ties(Vec<Relationship>);

impl Answer for Ties {
    const WHAT: &'static str = "how entities hang together";

    async fn work_out(engine: &Engine) -> StoreResult<Self> {
        Ok(Self(engine.store().relationships(None).await?))
    }
}

/// Everything that the page tells of an entity.
struct Seen {
    of: Entity,
    status: EntityStatusRow,
    trail: Vec<RevisionSince>,
    decided: Vec<HistoryRow>,
    effects: Vec<EffectRow>,
    reviews: Vec<Review>,
    improvements: Vec<Waiting>,
    opportunities: Vec<Opportunity>,
    tasks: Vec<Task>,
    hours: Vec<(Hour, OperationDelta)>,
    running: Option<Configuration>,
    before: Vec<Node>,
    after: Vec<Node>,
    reached: Vec<(EntityKey, String, f64)>,
}

impl Seen {
    async fn read(state: &AppState, of: Entity, now: Time) -> Result<Self, WebError> {
        let (store, key, first) = (state.engine.store(), of.key, PageRequest::first);
        let (status, trail, decided, effects, reviews, ties) = tokio::try_join!(
            store.entity_status(key),
            store.revision_trail(key, REVISIONS),
            store.history(Some(key), first(DECIDED)),
            store.effects_of(key),
            store.reviews(key, REVIEWS),
            store.relationships(Some(key)),
        )?;
        let latest = of.last_seen_at.unwrap_or(now).hour();
        let (improvements, opportunities, tasks, hours) = tokio::try_join!(
            store.improvements(ImprovementFilter { entity: Some(key), ..Default::default() }, first(IMPROVEMENTS)),
            store.opportunities(OpportunityFilter { entity: Some(key), ..Default::default() }, first(OPPORTUNITIES)),
            store.tasks(TaskFilter { entity: Some(key), ..Default::default() }, first(TASKS)),
            store.operation_hours(key, "task".to_owned(), latest.plus(1 - HOURS), latest),
        )?;
        let running = match &of.revision {
            Some(id) => Some(store.revision(RevisionId::from_stored(id.as_str())).await?),
            None => None,
        };
        let (before, after) = neighbours(state, key, &ties).await?;
        Ok(Self {
            improvements: Waiting::of(state, improvements.items).await?,
            reached: reached(state, key).await?,
            decided: decided.items,
            effects,
            opportunities: opportunities.items,
            tasks: tasks.items,
            hours,
            of,
            status,
            trail,
            reviews,
            running,
            before,
            after,
        })
    }
}

/// The page.
pub(super) async fn page(
    State(state): State<AppState>,
    visit: Visit,
    path: Result<PathOf<(String, String)>, WebError>,
    query: Result<Params<Query>, WebError>,
) -> Result<Response, PageError> {
    let (PathOf((entity_type, name)), Params(query)) = (path.on(&visit)?, query.on(&visit)?);
    let selector = selector(&entity_type, name, query.environment).on(&visit)?;
    let of = state.engine.store().entity(selector).await.on(&visit)?;
    let seen = Seen::read(&state, of, visit.now).await.on(&visit)?;
    let key = seen.of.key;
    let body = html! {
        (head(&visit, &seen.of, &seen.status))
        div.columns {
            div {
                (did(&seen.hours))
                (improved(&visit, &seen))
                (section("opportunities", "Opportunities", &html! {
                    @if seen.opportunities.is_empty() { p.muted { "None." } } @else { (opportunities_list(&visit, &seen.opportunities)) }
                }))
                (hangs_together(&seen))
                @if !seen.tasks.is_empty() {
                    (section("tasks", "Latest tasks", &html! { (tasks_table(&visit, &seen.tasks, false))
                        p { a href={ "/tasks?entity_type=" (key.entity_type) "&entity=" (key.entity_id) } { "All its tasks" } } }))
                }
            }
            div {
                (section("configuration", "Configuration", &html! {
                    @if let Some(running) = &seen.running { (shown(running)) }
                    @else { p.muted { "None is known. The first call of resolve with the defaults of its code brings one." } }
                }))
                (revisions(&visit, key, &seen.trail))
                (own_settings::form(&visit, &seen.of))
                (reviewed(&seen))
            }
        }
    };
    Ok(layout::page(&visit, &seen.of.name, Place::Entities, &body))
}

fn improved(visit: &Visit, seen: &Seen) -> Markup {
    section(
        "improvements",
        "Improvements",
        &html! {
            (effect(&seen.effects))
            @if seen.improvements.is_empty() { p.muted { "None yet." } } @else { (improvements_list(visit, &seen.improvements)) }
            @if !seen.decided.is_empty() { h3 { "Decided" } (decided_table(visit, &seen.decided, false)) }
        },
    )
}

fn hangs_together(seen: &Seen) -> Markup {
    section(
        "relationships",
        "Relationships",
        &html! {
            @if seen.before.is_empty() && seen.after.is_empty() { p.muted { "None are known." } }
            @else { (graph(&seen.of.name, &seen.before, &seen.after)) (ties_table(&seen.before, &seen.after)) }
            (impact(&seen.reached))
        },
    )
}

fn reviewed(seen: &Seen) -> Markup {
    section(
        "reviews",
        "Reviews",
        &html! {
            p.muted { (format::count(seen.status.tasks_since_review)) " tasks since the last one"
                @if let Some(due) = &seen.status.review_due { ", due by " (due) } "." }
            ul.reviews { @for review in &seen.reviews { li {
                (at(review.reviewed_at)) " " (format::count(review.tasks)) " tasks, " (format::count(review.findings)) " findings"
                details { summary { "Summary" } p { (prose(&review.summary)) } }
            } } }
        },
    )
}

fn shown(configuration: &Configuration) -> Markup {
    html! { pre.configuration tabindex="0" role="region" aria-label="Configuration" { (configuration::text(configuration)) } }
}

fn head(visit: &Visit, of: &Entity, status: &EntityStatusRow) -> Markup {
    html! {
        div.head id="head" data-live="" {
            h1 { (of.name) " " span.of { (of.key.entity_type.as_str()) (environment(&of.environment)) } }
            dl.facts {
                div { dt { "State" } dd { (standing(of.state)) } }
                div { dt { "Open opportunities" } dd { (format::count(status.open_opportunities)) } }
                div { dt { "Under way" } dd { (format::count(status.active_improvements)) } }
                div { dt { "Kept / taken back" } dd { (format::count(status.kept)) " / " (format::count(status.rolled_back)) } }
                @if let Some(decided) = status.last_decided_at { div { dt { "Last decision" } dd { (when(decided, visit.now)) } } }
                @if let Some(seen) = of.last_seen_at { div { dt { "Last seen" } dd { (when(seen, visit.now)) } } }
                div { dt { "Known since" } dd { (at(of.created_at)) } }
            }
        }
    }
}

/// What it did, hour by hour.
fn did(hours: &[(Hour, OperationDelta)]) -> Markup {
    let points = |value: fn(&OperationDelta) -> Option<f64>| -> Vec<Point> {
        let point = |(hour, sums): &(Hour, OperationDelta)| {
            value(sums).map(|value| Point { at: hour.start(), value, band: None, note: format::count(sums.n) })
        };
        hours.iter().filter_map(point).collect()
    };
    let charts: [Series; 4] = [
        ("Tasks an hour", points(|sums| Some(sums.n as f64)), format::number),
        ("Success", points(Rates::success), format::percent),
        ("Duration, geometric mean", points(Rates::duration_ms), format::millis),
        ("Cost a task", points(Rates::cost), format::dollars),
    ];
    html! { @if !hours.is_empty() {
        (section("did", "What it did, hour by hour", &html! {
            div.charts { @for (name, points, format) in &charts { @if !points.is_empty() {
                div { h3 { (name) }
                    (line(&Line { label: name, value: name, points, rules: &[], format: *format, notes: Some("Tasks"), ..Line::default() })) }
            } } }
        }))
    } }
}

fn effect(effects: &[EffectRow]) -> Markup {
    let of = |outcome| Effect::of(effects, outcome);
    html! { @for (name, effect) in [("Kept", of(HistoryOutcome::Kept)), ("Taken back", of(HistoryOutcome::RolledBack))] {
        @if let (Some(mean), Some(low), Some(high)) = (effect.mean_effectiveness, effect.low, effect.high) {
            p.effect { span { (name) ", " (format::count(effect.count as i64)) ": mean effectiveness " b { (format::change(mean)) } " "
                span.muted { (format::change(low)) " … " (format::change(high)) } }
                (chart::interval(mean, low, high, None)) }
        }
    } }
}

fn revisions(visit: &Visit, key: EntityKey, trail: &[RevisionSince]) -> Markup {
    html! { @if !trail.is_empty() {
        (section("revisions", "Revisions", &html! {
            (wide("Revisions", &html! { table {
                thead { tr { th scope="col" { "Revision" } th scope="col" { "In place since" } th scope="col" { "" } } }
                tbody { @for (place, one) in trail.iter().enumerate() { tr {
                    td { a href=(revision_address(key, &one.revision)) { code { (format::short(one.revision.as_str())) } } @if place == 0 { " " span.muted { "in place" } } }
                    td { (at(one.since)) br; span.muted { (when(one.since, visit.now)) } }
                    td { @if let Some(earlier) = trail.get(place + 1) {
                        a href={ (revision_address(key, &one.revision)) "?against=" (format::encoded(earlier.revision.as_str())) } { "what changed" }
                    } }
                } } }
            } }))
        }))
    } }
}

fn revision_address(key: EntityKey, revision: &RevisionId) -> String {
    format!("{}/revisions/{}", entity_address(key), format::encoded(revision.as_str()))
}

/// Its neighbours: those a tie leads from, and those a tie leads to.
async fn neighbours(
    state: &AppState,
    key: EntityKey,
    ties: &[Relationship],
) -> Result<(Vec<Node>, Vec<Node>), WebError> {
    let others = ties.iter().map(|tie| if tie.from == key { tie.to } else { tie.from });
    let mut entities = Entities::of(state, others).await?;
    let (mut before, mut after) = (Vec::new(), Vec::new());
    for tie in ties {
        let (other, side) = if tie.from == key { (tie.to, &mut after) } else { (tie.from, &mut before) };
        let name = entities.get(other).await?.name.clone();
        let kind = format::words(tie.kind.as_str());
        side.push(Node { name, address: entity_address(other), tie: kind, strength: tie.strength });
    }
    for side in [&mut before, &mut after] {
        side.sort_by(|one, other| other.strength.total_cmp(&one.strength).then_with(|| one.name.cmp(&other.name)));
    }
    Ok((before, after))
}

fn ties_table(before: &[Node], after: &[Node]) -> Markup {
    let row = |node: &Node, from: bool| {
        html! { tr {
            td { @if from { a href=(node.address) { (node.name) } " " (node.tie) " it" } @else { (node.tie) " " a href=(node.address) { (node.name) } } }
            td.num { (format::number(node.strength)) }
        } }
    };
    html! { details.values { summary { "As a table" } table {
        thead { tr { th scope="col" { "Relationship" } th.num scope="col" { "Strength" } } }
        tbody { @for node in before { (row(node, true)) } @for node in after { (row(node, false)) } }
    } } }
}

/// Entities that a change of this one can reach, the strongest first.
async fn reached(state: &AppState, key: EntityKey) -> Result<Vec<(EntityKey, String, f64)>, WebError> {
    let all = state.ties.latest(&state.engine).await?;
    let reached: BTreeMap<EntityKey, f64> = relationship::impact(&all.0, key);
    let mut reached: Vec<(EntityKey, f64)> = reached.into_iter().collect();
    reached.sort_by(|one, other| other.1.total_cmp(&one.1));
    reached.truncate(MAX_REACHED);
    let mut entities = Entities::of(state, reached.iter().map(|(other, _)| *other)).await?;
    let mut named = Vec::with_capacity(reached.len());
    for (other, strength) in reached {
        named.push((other, entities.get(other).await?.name.clone(), strength));
    }
    Ok(named)
}

fn impact(reached: &[(EntityKey, String, f64)]) -> Markup {
    html! {
        h3 { "A change of it can reach" }
        @if reached.is_empty() { p.muted { "Nobody else." } }
        @else { ul.names { @for (key, name, strength) in reached { li { a href=(entity_address(*key)) { (name) } " " span.muted { (format::number(*strength)) } } } } }
    }
}

/// Against which other one a revision is shown.
#[derive(Debug, Deserialize)]
pub(super) struct Against {
    against: Option<String>,
}

/// Longest address of a revision, bytes.
const MAX_REVISION: usize = 128;

/// One revision, whole; and what tells it from another.
pub(super) async fn revision(
    State(state): State<AppState>,
    visit: Visit,
    path: Result<PathOf<(String, String, String)>, WebError>,
    query: Result<Params<Against>, WebError>,
) -> Result<Response, PageError> {
    let (PathOf((entity_type, name, id)), Params(query)) = (path.on(&visit)?, query.on(&visit)?);
    let store = state.engine.store();
    let of = store.entity(selector(&entity_type, name, None).on(&visit)?).await.on(&visit)?;
    if id.len() > MAX_REVISION || query.against.as_ref().is_some_and(|other| other.len() > MAX_REVISION) {
        return Err(PageError::new(&visit, WebError::new(ErrorCode::NotFound, "there is no such revision")));
    }
    let shown = store.revision(RevisionId::from_stored(id.as_str())).await.on(&visit)?;
    let other = match query.against {
        Some(other) => Some((store.revision(RevisionId::from_stored(other.as_str())).await.on(&visit)?, other)),
        None => None,
    };
    let body = html! {
        h1 { "Revision " code { (format::short(&id)) } span.of { " of " a href=(entity_address(of.key)) { (of.name) } } }
        p.muted { code { (id) } }
        @if let Some((other, name)) = &other {
            (section("diff", &format!("Against {}", format::short(name)), &configuration::diff(other, &shown)))
        }
        (section("configuration", "Configuration", &html! { (self::shown(&shown)) }))
    };
    Ok(layout::page(&visit, &format!("Revision {}", format::short(&id)), Place::Entities, &body))
}
