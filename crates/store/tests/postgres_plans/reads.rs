//! Every read of the facade as it is asked in earnest, each once a line.

use std::pin::Pin;

use uplift_model::entity::{EntityKey, EntityType};
use uplift_model::event::{EventKind, Outcome};
use uplift_model::improvement::ImprovementStatus;
use uplift_model::opportunity::{OpportunityKind, OpportunityStatus};
use uplift_model::policy::Mode;
use uplift_model::revision::RevisionId;
use uplift_model::trial::AssignmentUnit;
use uplift_store::rows::{
    ClaimTerms, EntityFilter, EventFilter, ImprovementFilter, OpportunityFilter, TaskFilter, TrialFilter,
};
use uplift_store::suite::sample::{group, hour, rollup, select};
use uplift_store::{
    DetectionReads, EntityReads, EventReads, ImprovementReads, OpportunityReads, PageRequest, Paged, ProcessReads,
    ReviewReads, SqlStore, StoreResult, SystemReads, TaskReads, TrialReads,
};

use crate::filling::{LAST_HOUR, World, after};

/// How much a read found: a question that finds nothing shows nothing.
pub(crate) type Found<'a> = Pin<Box<dyn Future<Output = StoreResult<usize>> + Send + 'a>>;

/// A read: its name (that of the facade first, then what is special about it), itself, and the large tables that it may
/// read from end to end.
pub(crate) type Read = (&'static str, for<'a> fn(&'a SqlStore, &'a World) -> Found<'a>, &'static [&'static str]);

/// What can be counted.
trait Counted {
    fn count(&self) -> usize;
}

impl<T> Counted for Vec<T> {
    fn count(&self) -> usize {
        self.len()
    }
}

impl<T> Counted for Paged<T> {
    fn count(&self) -> usize {
        self.items.len()
    }
}

impl<T> Counted for Option<T> {
    fn count(&self) -> usize {
        usize::from(self.is_some())
    }
}

/// One of something.
struct One<T>(T);

impl<T> Counted for One<T> {
    fn count(&self) -> usize {
        let Self(_one) = self;
        1
    }
}

macro_rules! read {
    ($name:literal, $store:ident, $world:ident, one $read:expr) => {
        ($name, |$store, $world| Box::pin(async move { Ok(One($read.await?).count()) }), &[])
    };
    ($name:literal, $store:ident, $world:ident, $read:expr) => {
        read!($name, $store, $world, $read, &[])
    };
    ($name:literal, $store:ident, $world:ident, $read:expr, $may_scan:expr) => {
        ($name, |$store, $world| Box::pin(async move { Ok($read.await?.count()) }), $may_scan)
    };
}

/// The order of opportunities is worked out anew from all that are asked for: SQLite reads them all, too.
const FINDINGS: &[&str] = &["optimization_opportunities", "entities"];
/// Of thousands of entities hundreds are named in a page: reading them all is less work than finding them.
const NAMED: &[&str] = &["entities"];

fn page() -> PageRequest {
    PageRequest::default()
}

fn largest() -> PageRequest {
    PageRequest::first(1_000)
}

/// The second page of a list.
async fn then<T, F: Future<Output = StoreResult<Paged<T>>>>(
    list: impl Fn(PageRequest) -> F,
) -> StoreResult<Paged<T>> {
    let first = list(page()).await?;
    list(PageRequest { cursor: first.next, ..page() }).await
}

fn of(entity: EntityKey) -> EventFilter {
    EventFilter { entity: Some(entity), ..EventFilter::default() }
}

fn improvements_of(entity: EntityKey, status: Vec<ImprovementStatus>) -> ImprovementFilter {
    ImprovementFilter { entity: Some(entity), status, ..ImprovementFilter::default() }
}

fn opportunities_of(entity: EntityKey) -> OpportunityFilter {
    let status = vec![OpportunityStatus::Pending, OpportunityStatus::InProgress];
    OpportunityFilter { entity: Some(entity), status, ..OpportunityFilter::default() }
}

const TERMS: ClaimTerms = ClaimTerms { mode: Mode::Auto, min_confidence: 0.5 };

fn bulk(number: i64) -> RevisionId {
    RevisionId::from_stored(format!("{number:064x}"))
}

/// Reads that never read a large table from end to end.
pub(crate) const READS: &[Read] = &[
    read!("entities", s, _w, s.entities(EntityFilter::default(), largest())),
    read!("entities, the next page", s, _w, then(|page| s.entities(EntityFilter::default(), page))),
    read!("entities of a type", s, _w, {
        s.entities(EntityFilter { entity_type: Some(EntityType::Agent), ..EntityFilter::default() }, largest())
    }),
    read!("entity by name", s, _w, one s.entity(select(EntityType::Tool, "tool-77"))),
    read!("entity by number", s, _w, one s.entity(select(EntityType::Agent, "7"))),
    read!("entities_of", s, w, s.entities_of(w.agents.clone())),
    read!("revision", s, _w, one s.revision(bulk(77))),
    read!("revision_trail", s, w, s.revision_trail(w.agents[3], 10)),
    read!("defaults", s, w, s.defaults(w.agents[3])),
    read!("relationships of an entity", s, w, s.relationships(Some(w.agents[3]))),
    read!("served, all", s, _w, s.served(None, largest()), NAMED),
    read!("served, the named", s, w, s.served(Some(w.agents.clone()), page())),
    read!("events", s, _w, s.events(EventFilter::default(), page())),
    read!("events, the largest page", s, _w, s.events(EventFilter::default(), largest())),
    read!("events, the next page", s, _w, then(|page| s.events(EventFilter::default(), page))),
    read!("events of an agent", s, w, s.events(of(w.agents[3]), page())),
    read!("events of a kind", s, _w, {
        s.events(EventFilter { kind: Some(EventKind::LlmCall), ..EventFilter::default() }, page())
    }),
    read!("events that failed", s, _w, {
        s.events(EventFilter { outcome: Some(Outcome::Error), ..EventFilter::default() }, page())
    }),
    read!("events of a tool", s, _w, {
        s.events(EventFilter { tool: Some("tool-3".into()), ..EventFilter::default() }, page())
    }),
    read!("events of a task", s, w, {
        s.events(EventFilter { task_id: Some("task-3".into()), ..of(w.agents[3]) }, PageRequest::first(300))
    }),
    read!("events of a task, its start", s, _w, {
        let filter = EventFilter {
            task_id: Some("task-3".into()),
            kind: Some(EventKind::TaskStarted),
            since: Some(after(0)),
            until: Some(after(1)),
            ..EventFilter::default()
        };
        s.events(filter, page())
    }),
    read!("events of an error group", s, _w, {
        s.events(EventFilter { fingerprint: Some(group()), ..EventFilter::default() }, page())
    }),
    read!(
        "events of a large error group",
        s,
        _w,
        then(|page| {
            s.events(EventFilter { fingerprint: Some(format!("{:016x}", 7)), ..EventFilter::default() }, page)
        })
    ),
    read!("event", s, _w, one s.event("task-3".into(), "4".into())),
    read!("inbox", s, _w, s.inbox(100)),
    read!("tasks", s, _w, s.tasks(TaskFilter::default(), page())),
    read!("tasks, the next page", s, _w, then(|page| s.tasks(TaskFilter::default(), page))),
    read!("tasks of an agent", s, w, {
        then(|page| s.tasks(TaskFilter { entity: Some(w.agents[3]), ..TaskFilter::default() }, page))
    }),
    read!("tasks with errors", s, _w, {
        s.tasks(TaskFilter { has_errors: Some(true), ..TaskFilter::default() }, page())
    }),
    read!("tasks that failed", s, w, {
        let filter =
            TaskFilter { entity: Some(w.agents[3]), outcome: Some(Outcome::Failure), ..TaskFilter::default() };
        s.tasks(filter, page())
    }),
    read!("tasks of the last day", s, _w, {
        s.tasks(TaskFilter { since: Some(after(-24)), ..TaskFilter::default() }, page())
    }),
    read!("task", s, _w, one s.task("task-3".into())),
    read!("task of a trace", s, _w, one s.task(format!("task of {:032x}", 7))),
    read!("opportunities", s, _w, s.opportunities(OpportunityFilter::default(), page()), NAMED),
    read!(
        "opportunities, the next page",
        s,
        _w,
        { then(|page| s.opportunities(OpportunityFilter::default(), page)) },
        NAMED
    ),
    read!(
        "opportunities that are open",
        s,
        _w,
        {
            let status = vec![OpportunityStatus::Pending, OpportunityStatus::InProgress];
            s.opportunities(OpportunityFilter { status, ..OpportunityFilter::default() }, page())
        },
        NAMED
    ),
    read!(
        "opportunities that were dismissed",
        s,
        _w,
        {
            let status = vec![OpportunityStatus::Dismissed];
            s.opportunities(OpportunityFilter { status, ..OpportunityFilter::default() }, page())
        },
        FINDINGS
    ),
    read!("opportunities of an agent", s, w, s.opportunities(opportunities_of(w.agents[7]), largest())),
    read!("opportunities of a kind", s, w, {
        let kind = Some(OpportunityKind::TokenWaste);
        s.opportunities(OpportunityFilter { kind, ..opportunities_of(w.agents[7]) }, largest())
    }),
    read!("opportunity", s, _w, one s.opportunity(1_007)),
    read!("claimable", s, _w, s.claimable(after(1), 5)),
    read!("wanted", s, _w, s.wanted(after(1), TERMS, 5)),
    read!("completed", s, w, { s.completed(w.agents[3], OpportunityKind::PerformanceDegradation, "f2023".into()) }),
    read!("unconfirmed_marks", s, _w, s.unconfirmed_marks(100)),
    read!("open_marks", s, w, s.open_marks(w.agents[1])),
    read!("error_history", s, w, one s.error_history(w.agents[0], group())),
    read!("operation_hours", s, w, {
        s.operation_hours(w.agents[3], "tool:tool-3".into(), rollup(LAST_HOUR - 191), rollup(LAST_HOUR))
    }),
    read!("operation_history", s, w, {
        let (from, to) = (rollup(LAST_HOUR - 191), rollup(LAST_HOUR));
        async move {
            let history = s.operation_history(w.agents[3], "tool:tool-3".into(), from, to).await?;
            StoreResult::Ok(history.hours)
        }
    }),
    read!("entity_window", s, w, async { StoreResult::Ok(s.entity_window(w.agents[3], 7, 100).await?.tasks) }),
    read!("decisions", s, _w, s.decisions(hour(LAST_HOUR - 168))),
    read!("entity_trends", s, _w, s.entity_trends()),
    read!("error_hours", s, _w, s.error_hours(rollup(LAST_HOUR - 24), 5)),
    read!("review_queue", s, _w, s.review_queue(false, page())),
    read!("reviews", s, w, s.reviews(w.agents[3], 10)),
    read!("active_improvements", s, _w, s.active_improvements(page())),
    read!("improvements", s, _w, then(|page| s.improvements(ImprovementFilter::default(), page))),
    read!("improvements in the way", s, _w, one {
        let status = vec![ImprovementStatus::Validated, ImprovementStatus::Testing];
        s.improvements(ImprovementFilter { status, ..ImprovementFilter::default() }, largest())
    }),
    read!("improvements that were kept", s, _w, {
        let status = vec![ImprovementStatus::Deployed];
        s.improvements(ImprovementFilter { status, ..ImprovementFilter::default() }, page())
    }),
    read!("improvements of an agent", s, w, s.improvements(improvements_of(w.agents[3], Vec::new()), page())),
    read!("improvements of an agent that were taken back", s, w, {
        s.improvements(improvements_of(w.agents[3], vec![ImprovementStatus::RolledBack]), page())
    }),
    read!("improvements for an opportunity", s, _w, {
        s.improvements(ImprovementFilter { opportunity_id: Some(2_007), ..ImprovementFilter::default() }, page())
    }),
    read!("improvement", s, _w, one s.improvement(1_007)),
    read!("improvements_of", s, _w, s.improvements_of(vec![1_007, 1_009, 1_700])),
    read!("history_of", s, _w, s.history_of(1_007)),
    read!("last_change", s, w, s.last_change(w.agents[3])),
    read!("history", s, _w, s.history(None, page())),
    read!("history, the next page", s, _w, then(|page| s.history(None, page))),
    read!("effects_of", s, w, s.effects_of(w.agents[3])),
    read!("history of an agent", s, w, s.history(Some(w.agents[3]), page())),
    read!("entity_status", s, w, one s.entity_status(w.agents[3])),
    read!("trials", s, _w, then(|page| s.trials(TrialFilter::default(), page))),
    read!("trials that run", s, _w, s.trials(TrialFilter { running: true, ..TrialFilter::default() }, largest())),
    read!("trials of an improvement", s, w, {
        let filter = TrialFilter { improvement_id: Some(w.improvement), running: true, ..TrialFilter::default() };
        s.trials(filter, PageRequest::first(1))
    }),
    read!("trials of an agent", s, w, {
        s.trials(TrialFilter { entity: Some(w.agents[3]), ..TrialFilter::default() }, page())
    }),
    read!("trial", s, w, one s.trial(w.trials[0])),
    read!("trial_state", s, w, one s.trial_state(w.trials[0])),
    read!("changed_units of tasks", s, w, {
        async { StoreResult::Ok(s.changed_units(w.trials[0], 60_000, 100).await?.units) }
    }),
    read!("changed_units of sessions", s, w, {
        async { StoreResult::Ok(s.changed_units(w.trials[1], 60_000, 20).await?.units) }
    }),
    read!("past_units of tasks", s, w, { s.past_units(w.agents[3], AssignmentUnit::Task, after(-24), after(0), 50) }),
    read!("past_units of sessions", s, w, {
        s.past_units(w.agents[3], AssignmentUnit::Session, after(-24), after(0), 5)
    }),
    read!("looks", s, _w, s.looks(1_007)),
    read!("due_processes", s, _w, s.due_processes(after(1), 100)),
    read!("next_due", s, _w, s.next_due()),
    read!("processes_of", s, _w, s.processes_of("improvement/1077".into())),
    read!("process_registry", s, _w, s.process_registry()),
    read!("nodes", s, _w, one s.nodes()),
    read!("leases", s, _w, one s.leases()),
    read!("outbox", s, _w, s.outbox(100)),
    read!("config_seq", s, _w, one s.config_seq()),
    read!("storage", s, _w, one s.storage()),
    read!("alerts", s, _w, then(|page| s.alerts(false, page))),
    read!("alerts that are active", s, _w, s.alerts(true, largest())),
    read!("setting", s, _w, one s.setting("policy".into())),
    read!("migrations", s, _w, s.migrations()),
];

/// Reads that go over the whole of something by their nature, and why that may be.
pub(crate) const WHOLE: &[(&str, &str)] = &[
    ("counts", "counts entities, opportunities and improvements; asked by people, not by the loop"),
    ("task_counts", "counts tasks and what they came to; asked by people, and kept for them"),
    ("metrics", "a view: averages over all decisions"),
    ("system_status", "the same view, judged"),
    ("analytics", "a view: sums over all decisions"),
    ("track_records", "sums over all decisions, a few a week"),
    ("tokens_in_force", "all of them, when the configuration moves on"),
    ("tokens", "people's doing, a page by number"),
    ("audit_log", "people's doing, a page by number"),
    ("news", "by number from where the last read ended"),
    ("last_news", "the greatest number"),
    ("alert", "one by its number"),
    ("resolved_by_hand", "a few, by people"),
    ("targets", "a handful"),
    ("notified", "a handful"),
    ("due_deliveries", "what waits to be sent: a handful"),
    ("deliveries", "a page by number"),
    ("delivery_counts", "counted for /metrics"),
    ("decisions_by_day", "sums over decisions, asked by people"),
    ("tasks_by_day", "sums over days, asked by people"),
    ("analytics_by_entity", "sums over decisions, asked by people"),
    ("requests", "a page by number"),
    ("request", "one by its number"),
    ("asking_record", "one agent's requests, when it asks"),
    ("document", "one by its number"),
    ("answers", "by number from where the last read ended"),
    ("last_decision", "the greatest number"),
    ("named_tasks", "a few by their ids, when an agent asks"),
];
