//! Lists: every item once, whatever the page; cursors belong to their list.

use std::collections::BTreeSet;
use std::fmt::Debug;

use uplift_model::EntityType;
use uplift_model::alert::{AlertFinding, AlertKind};
use uplift_model::entity::{EntityKey, EntityState};
use uplift_model::event::{Event, EventKind, Outcome};
use uplift_model::opportunity::{Impact, ImpactLevel, OpportunityKind, OpportunitySource, OpportunityStatus};

use super::sample::{
    Subject, agent, broken, call, declare, event, finding, group, hour, in_environment, of_agent, of_task, second,
    step, take, whole,
};
use crate::error::{StoreError, StoreResult};
use crate::page::{PageRequest, Paged};
use crate::reads::Store;
use crate::rows::{EntityFilter, EventFilter, OpportunityFilter, TaskFilter};
use crate::writes::Write;
use crate::writes::attention::AlertWrite;

/// Walks a list by pages of several sizes and compares each walk with the list in one piece, which it returns.
async fn walk<T: Clone + Debug + PartialEq>(list: impl AsyncFn(PageRequest) -> StoreResult<Paged<T>>) -> Vec<T> {
    let all = list(whole()).await.unwrap();
    assert_eq!(all.next, None);
    for limit in [1, 2, 3, 7, all.items.len().max(1) as u32] {
        let mut seen = Vec::new();
        let mut request = PageRequest::first(limit);
        loop {
            let page = list(request).await.unwrap();
            assert!(page.items.len() <= limit as usize);
            assert!(!page.items.is_empty() || all.items.is_empty(), "a cursor leads to nothing");
            seen.extend(page.items);
            assert!(seen.len() <= all.items.len(), "items come twice");
            let Some(cursor) = page.next else { break };
            request = PageRequest { limit, cursor: Some(cursor) };
        }
        assert_eq!(seen, all.items, "by {limit}");
    }
    // Limits outside of the range are clamped.
    assert_eq!(list(PageRequest::first(0)).await.unwrap().items.len(), all.items.len().min(1));
    assert_eq!(list(PageRequest::first(u32::MAX)).await.unwrap().items.len(), all.items.len());
    all.items
}

/// Ten tasks of two agents, some of them in one trace, with errors; ids that need care in cursors.
fn events() -> Vec<Event> {
    let mut events = Vec::new();
    for task in 0..10 {
        let id = format!("t.{task}\u{e9}/%");
        for place in 0..3 {
            let at = second(task * 100 + place / 2);
            let mut event = match place {
                0 => event("start %", EventKind::TaskStarted, at),
                1 => broken("b.1", at),
                _ => call("c\n2", "search", 1.0, at),
            };
            event.trace_id = (task < 4).then(|| "trace".to_owned());
            event.id = format!("{}{task}", event.id);
            event.session_id = Some(format!("s{}", task % 2));
            events.push(of_agent(of_task(event, &id), if task % 3 == 0 { "b" } else { "a" }));
        }
        if task % 2 == 0 {
            events.push(of_task(event(&format!("end{task}"), EventKind::TaskCompleted, second(task * 100 + 9)), &id));
        }
    }
    events
}

/// Entities, by type and id.
pub async fn pages_cover_entities(store: Subject) {
    take(&*store, events()).await;
    take(&*store, events().into_iter().map(|event| in_environment(event, "staging")).collect()).await;
    declare(&*store, EntityType::Context, "guide").await;
    declare(&*store, EntityType::Process, "nightly").await;
    let filter = EntityFilter { built_in: true, ..EntityFilter::default() };
    let all = walk(async |page| store.entities(filter.clone(), page).await).await;
    assert_eq!(all.iter().map(|entity| entity.key).collect::<BTreeSet<_>>().len(), all.len());
    assert_eq!(all.iter().filter(|entity| entity.environment == "uplift").count(), 5);
    assert_eq!(walk(async |page| store.entities(EntityFilter::default(), page).await).await.len(), all.len() - 5);
    let strangers = [EntityKey::new(EntityType::Agent, 9_999), EntityKey::new(EntityType::Context, 9_999)];
    let wanted: Vec<EntityKey> =
        [2, 0, 2, 1].map(|place: usize| all[place].key).into_iter().chain(strangers).collect();
    let mut named = store.entities_of(wanted).await.unwrap();
    named.sort_by_key(|entity| entity.key);
    assert_eq!(named, all[..3]);
    assert_eq!(store.entities_of(Vec::new()).await.unwrap(), []);
}

/// Events: all, of a task or trace, of an error group.
pub async fn pages_cover_events(store: Subject) {
    take(&*store, events()).await;
    let all = walk(async |page| store.events(EventFilter::default(), page).await).await;
    assert_eq!(all.len(), 35);
    let of = |task: &str| EventFilter { task_id: Some(task.to_owned()), ..EventFilter::default() };
    let trace = walk(async |page| store.events(of("trace"), page).await).await;
    assert_eq!(trace.len(), 12);
    // The ends know only their tasks, which are at home in the trace.
    let task = walk(async |page| store.events(of("t.2\u{e9}/%"), page).await).await;
    assert_eq!(task.len(), 4);
    assert!(task.is_sorted_by_key(|event| (event.ts, event.id.clone())));
    let errors = EventFilter { fingerprint: Some(group()), ..EventFilter::default() };
    assert_eq!(walk(async |page| store.events(errors.clone(), page).await).await.len(), 10);
    let a = EventFilter { entity: Some(agent(&*store, "a").await), ..errors };
    let of_a = walk(async |page| store.events(a.clone(), page).await).await;
    assert_eq!(of_a.len(), 6);
    assert!(of_a.is_sorted_by(|a, b| a.ts >= b.ts));
}

/// Tasks: all, and of one agent.
pub async fn pages_cover_tasks(store: Subject) {
    take(&*store, events()).await;
    let all = walk(async |page| store.tasks(TaskFilter::default(), page).await).await;
    assert_eq!(all.len(), 10);
    let of_a = TaskFilter { entity: Some(agent(&*store, "a").await), ..TaskFilter::default() };
    let of_a = walk(async |page| store.tasks(of_a.clone(), page).await).await;
    assert_eq!(of_a.len(), 6);
    assert!(of_a.iter().all(|task| all.contains(task)));
}

/// Opportunities: the open ones first, then by impact, confidence and number.
pub async fn pages_cover_opportunities(store: Subject) {
    let a = declare(&*store, EntityType::Agent, "a").await;
    for place in 0..24_u32 {
        let mut found = finding(a, OpportunityKind::UnusedTool, &place.to_string());
        found.impact = Impact::from_share([0.0, 0.1, 0.5][place as usize % 3], "");
        found.confidence = [0.1, 0.3, 1.0 / 3.0, 0.3][place as usize % 4];
        let put = Write::PutFinding { finding: Box::new(found), quiet_since: None };
        let id = step(&*store, vec![put]).await.unwrap().opened[0];
        if place % 5 == 0 {
            let status = if place % 2 == 0 { OpportunityStatus::Completed } else { OpportunityStatus::Dismissed };
            let close = Write::CloseOpportunity { id, status, reason: String::new() };
            step(&*store, vec![close]).await.unwrap();
        }
    }
    let all = walk(async |page| store.opportunities(OpportunityFilter::default(), page).await).await;
    assert_eq!(all.len(), 24);
    assert!(all.is_sorted_by(|a, b| {
        let key = |item: &uplift_model::Opportunity| (item.status.is_open(), item.finding.impact.level);
        let more = |item: &uplift_model::Opportunity| (item.finding.confidence, item.id);
        key(a) > key(b) || (key(a) == key(b) && more(a) > more(b))
    }));
    let closed = OpportunityFilter {
        status: vec![OpportunityStatus::Completed, OpportunityStatus::Dismissed],
        ..OpportunityFilter::default()
    };
    assert_eq!(walk(async |page| store.opportunities(closed.clone(), page).await).await.len(), 5);
}

/// Review counters and alerts.
pub async fn pages_cover_counters_and_alerts(store: Subject) {
    let events: Vec<Event> = (0..9)
        .flat_map(|place| {
            let ended = if place % 3 == 0 { 100 } else { 1 };
            (0..ended).map(move |task| {
                let end = event("end", EventKind::TaskCompleted, second(task));
                of_agent(of_task(end, &format!("{place}-{task}")), &format!("a{place}"))
            })
        })
        .collect();
    take(&*store, events).await;
    let all = walk(async |page| store.review_queue(false, page).await).await;
    assert_eq!(all.len(), 9);
    assert!(all.is_sorted_by_key(|counter| counter.due.is_none()));
    assert_eq!(walk(async |page| store.review_queue(true, page).await).await.len(), 3);

    for place in 0..8 {
        let alert = AlertFinding {
            kind: AlertKind::RecurringFailure,
            entity: Some(all[0].entity),
            fingerprint: place.to_string(),
            message: String::new(),
            value: 1.0,
            threshold: 1.0,
            at: hour(place),
        };
        step(&*store, vec![Write::Alerts(AlertWrite::Raise(alert))]).await.unwrap();
    }
    let alerts = walk(async |page| store.alerts(false, page).await).await;
    assert_eq!(alerts.len(), 8);
    assert!(alerts.is_sorted_by(|a, b| a.id > b.id));
    let ids = [0, 1, 3, 4, 6, 7].map(|place: usize| alerts[place].id).to_vec();
    step(&*store, vec![Write::Alerts(AlertWrite::Resolve { ids, by: None })]).await.unwrap();
    assert_eq!(walk(async |page| store.alerts(true, page).await).await.len(), 2);
}

/// A cursor is of one list; anything else is refused, with what was given.
pub async fn bad_cursors_are_refused(store: Subject) {
    take(&*store, events()).await;
    let cursor = |list: Option<String>| PageRequest { limit: 2, cursor: list };
    let events = store.events(EventFilter::default(), PageRequest::first(1)).await.unwrap().next.unwrap();
    let tasks = store.tasks(TaskFilter::default(), PageRequest::first(1)).await.unwrap().next.unwrap();
    let long = "x".repeat(5_000);
    for bad in ["", "nonsense", "e.1", "\u{e9}", long.as_str()] {
        all_refuse(&*store, bad).await;
    }
    assert!(refused(store.tasks(TaskFilter::default(), cursor(Some(events.clone()))).await));
    assert!(refused(store.events(EventFilter::default(), cursor(Some(tasks))).await));
    let of_task = EventFilter { task_id: Some("trace".into()), ..EventFilter::default() };
    assert!(refused(store.events(of_task, cursor(Some(events))).await));
}

fn refused<T>(result: StoreResult<T>) -> bool {
    matches!(result, Err(StoreError::BadCursor { cursor }) if cursor.len() < 500)
}

async fn all_refuse(store: &dyn Store, bad: &str) {
    let page = || PageRequest { limit: 2, cursor: Some(bad.to_owned()) };
    let group = EventFilter { fingerprint: Some(group()), ..EventFilter::default() };
    assert!(refused(store.events(EventFilter::default(), page()).await), "{bad}");
    assert!(refused(store.events(group, page()).await), "{bad}");
    assert!(refused(store.tasks(TaskFilter::default(), page()).await), "{bad}");
    assert!(refused(store.entities(EntityFilter::default(), page()).await), "{bad}");
    assert!(refused(store.opportunities(OpportunityFilter::default(), page()).await), "{bad}");
    assert!(refused(store.review_queue(false, page()).await), "{bad}");
    assert!(refused(store.alerts(false, page()).await), "{bad}");
    assert!(refused(store.active_improvements(page()).await), "{bad}");
    assert!(refused(store.history(None, page()).await), "{bad}");
}

/// Each filter holds by itself.
pub async fn filters_hold(store: Subject) {
    take(&*store, events()).await;
    let a = agent(&*store, "a").await;
    let tasks = async |filter: TaskFilter| store.tasks(filter, whole()).await.unwrap().items.len();
    assert_eq!(tasks(TaskFilter { outcome: Some(Outcome::Success), ..TaskFilter::default() }).await, 5);
    assert_eq!(tasks(TaskFilter { outcome: Some(Outcome::Failure), ..TaskFilter::default() }).await, 0);
    assert_eq!(tasks(TaskFilter { has_errors: Some(true), ..TaskFilter::default() }).await, 10);
    assert_eq!(tasks(TaskFilter { has_errors: Some(false), ..TaskFilter::default() }).await, 0);
    assert_eq!(tasks(TaskFilter { session_id: Some("s1".into()), ..TaskFilter::default() }).await, 5);
    assert_eq!(tasks(TaskFilter { since: Some(second(900)), ..TaskFilter::default() }).await, 1);
    assert_eq!(tasks(TaskFilter { until: Some(second(200)), ..TaskFilter::default() }).await, 2);
    let count = async |filter: EventFilter| store.events(filter, whole()).await.unwrap().items.len();
    assert_eq!(count(EventFilter { kind: Some(EventKind::ToolExecuted), ..EventFilter::default() }).await, 20);
    assert_eq!(count(EventFilter { outcome: Some(Outcome::Error), ..EventFilter::default() }).await, 10);
    assert_eq!(count(EventFilter { tool: Some("search".into()), ..EventFilter::default() }).await, 20);
    assert_eq!(count(EventFilter { tool: Some("none".into()), ..EventFilter::default() }).await, 0);
    assert_eq!(count(EventFilter { fingerprint: Some("none".into()), ..EventFilter::default() }).await, 0);
    assert_eq!(count(EventFilter { task_id: Some("none".into()), ..EventFilter::default() }).await, 0);
    assert_eq!(count(EventFilter { entity: Some(a), ..EventFilter::default() }).await, 23);
    assert_eq!(count(EventFilter { since: Some(second(900)), ..EventFilter::default() }).await, 3);
    assert_eq!(count(EventFilter { until: Some(second(100)), ..EventFilter::default() }).await, 4);
    let both = EventFilter { task_id: Some("trace".into()), fingerprint: Some(group()), ..EventFilter::default() };
    assert_eq!(count(both).await, 4);

    let found = finding(a, OpportunityKind::UnusedTool, "mail");
    step(&*store, vec![Write::PutFinding { finding: Box::new(found), quiet_since: None }]).await.unwrap();
    step(&*store, vec![Write::SetEntityState { entity: a, state: EntityState::Archived }]).await.unwrap();
    let list = async |filter| store.opportunities(filter, whole()).await.unwrap().items.len();
    let marked = list(OpportunityFilter { source: Some(OpportunitySource::Trigger), ..Default::default() }).await;
    assert_eq!(list(OpportunityFilter::default()).await, marked + 1);
    assert_eq!(list(OpportunityFilter { kind: Some(OpportunityKind::UnusedTool), ..Default::default() }).await, 1);
    assert_eq!(list(OpportunityFilter { impact: Some(ImpactLevel::High), ..Default::default() }).await, 1);
    assert_eq!(list(OpportunityFilter { environment: Some("staging".into()), ..Default::default() }).await, 0);
    assert_eq!(
        list(OpportunityFilter { status: vec![OpportunityStatus::InProgress], ..Default::default() }).await,
        0
    );
    let archived = EntityFilter { state: Some(EntityState::Archived), ..EntityFilter::default() };
    assert_eq!(store.entities(archived, whole()).await.unwrap().items.len(), 1);
}
