//! From the store to what proposers look at, and the step itself.
//!
//! Everything is read in bounds: so many tasks, so many events of each, so many other agents. Of arguments and results
//! only the names and JSON types of fields are taken; values are not.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;
use uplift_cycle::propose::input::{Call, Field, Input, JsonType, Peer, Shape, Task, Tried};
use uplift_cycle::propose::propose;
use uplift_model::entity::{Entity, EntityKey, EntityState, EntityType};
use uplift_model::event::{EventKind, Outcome};
use uplift_model::history::HistoryOutcome;
use uplift_model::improvement::Proposal;
use uplift_model::opportunity::{Finding, Opportunity, OpportunityStatus};
use uplift_model::revision::{Revision, RevisionId};
use uplift_store::rows::{
    EntityFilter, EventFilter, EventRecord, HistoryRow, ImprovementFilter, OpportunityFilter, TaskRow,
};
use uplift_store::{PageRequest, StoreError, StoreResult};

use crate::engine::Engine;
use crate::load;

/// Most tasks of the entity.
const MOST_TASKS: u32 = 300;
/// Most events of a task.
const MOST_EVENTS: u32 = 300;
/// Most other agents.
const MOST_PEERS: usize = 6;
/// Most tasks of another agent.
const MOST_PEER_TASKS: u32 = 60;
/// Most earlier improvements of the entity, and most of its decisions.
const MOST_EARLIER: u32 = 200;
/// Most open opportunities of the entity.
const MOST_RELATED: u32 = 100;
/// Most fields of arguments or of a result.
const MOST_FIELDS: usize = 32;
/// Longest arguments or result that are looked into, in bytes.
const MOST_BYTES: usize = 64 * 1024;
/// Statuses that say what helps.
const STATUSES: [u16; 8] = [401, 403, 408, 429, 502, 503, 504, 529];
/// Where spans put arguments and results.
const ARGUMENTS: [&str; 2] = ["gen_ai.tool.call.arguments", "arguments"];
const RESULT: [&str; 2] = ["gen_ai.tool.call.result", "result"];
/// What stands between arguments and result in a content that holds both.
const ARROW: &str = " => ";

/// What could be done about an opportunity, the best first; nothing for an entity whose configuration is not known.
///
/// # Errors
/// When the store cannot be read.
pub async fn proposals(engine: &Engine, opportunity: &Opportunity) -> StoreResult<Vec<Proposal>> {
    let input = input(engine, opportunity).await?;
    let work = tokio::task::spawn_blocking(move || propose(&input));
    work.await.map_err(|error| StoreError::Engine { context: "proposing a change", reason: error.to_string() })
}

async fn input(engine: &Engine, opportunity: &Opportunity) -> StoreResult<Input> {
    let store = engine.store();
    let key = opportunity.finding.entity;
    let entity = load::entity(engine, key).await?;
    let mut input = Input {
        now: engine.now(),
        opportunity: opportunity.clone(),
        related: Vec::new(),
        base: base(engine, &entity).await?,
        tasks: Vec::new(),
        peers: Vec::new(),
        track_records: Vec::new(),
        tried: Vec::new(),
    };
    if input.base.is_none() {
        return Ok(input);
    }
    input.tasks = tasks(engine, key, MOST_TASKS).await?;
    input.peers = peers(engine, &entity).await?;
    input.related = related(engine, opportunity).await?;
    input.track_records = store.track_records().await?;
    input.tried = tried(engine, key).await?;
    Ok(input)
}

async fn base(engine: &Engine, entity: &Entity) -> StoreResult<Option<Revision>> {
    let Some(id) = &entity.revision else { return Ok(None) };
    let configuration = engine.store().revision(RevisionId::from_stored(id)).await?;
    let sealed = Revision::seal(configuration);
    let sealed =
        sealed.map_err(|error| StoreError::Engine { context: "reading a revision", reason: error.to_string() });
    sealed.map(Some)
}

/// The latest tasks of an entity on the configuration it runs now, the oldest first.
async fn tasks(engine: &Engine, key: EntityKey, most: u32) -> StoreResult<Vec<Task>> {
    let days = engine.policy().detection.window_days;
    let rows = engine.store().entity_window(key, days, most).await?;
    let changed = load::changed_at(engine, key).await?;
    let mut tasks = Vec::with_capacity(rows.tasks.len());
    for row in rows.tasks {
        let lasted = row.duration_ms.filter(|ms| ms.is_finite()).unwrap_or(0.0);
        let started = row.ended_at.map(|ended| ended.plus_micros(-((lasted * 1_000.0) as i64)));
        if changed.is_some_and(|changed| started.is_none_or(|started| started < changed)) {
            continue;
        }
        let filter = EventFilter { task_id: Some(row.task_id.clone()), entity: Some(key), ..EventFilter::default() };
        let events = engine.store().events(filter, PageRequest::first(MOST_EVENTS)).await?.items;
        tasks.push(task(&row, events));
    }
    Ok(tasks)
}

/// A task from its row and its events.
fn task(row: &TaskRow, events: Vec<EventRecord>) -> Task {
    let mut task = Task { succeeded: row.outcome.map(|outcome| outcome == Outcome::Success), ..Task::default() };
    let hashes: HashMap<(&str, &str), Option<i64>> = row
        .calls
        .iter()
        .map(|call| ((call.event.trace_key.as_str(), call.event.id.as_str()), call.call_hash))
        .collect();
    for event in events.into_iter().filter(|event| event.task_id.as_deref().is_none_or(|id| id == row.task_id)) {
        match event.event_type {
            EventKind::ToolExecuted => {
                let hash = hashes.get(&(event.trace_key.as_str(), event.id.as_str())).copied().flatten();
                task.calls.extend(call(event, hash));
            }
            EventKind::ContextRead => {
                let name = event.attributes.as_ref().and_then(|attributes| attributes.get("context")?.as_str());
                task.contexts.extend(name.map(str::to_owned));
            }
            EventKind::LlmCall => {
                task.written.extend(event.tokens_out);
                task.errors.extend(event.error_type);
            }
            _ => task.errors.extend(event.error_type),
        }
    }
    task
}

fn call(event: EventRecord, call_hash: Option<i64>) -> Option<Call> {
    let failed = event.error_type.is_some() || matches!(event.outcome, Some(Outcome::Failure | Outcome::Error));
    let content = event.content.as_deref().unwrap_or_default();
    let (before, after) = content.split_once(ARROW).unzip();
    let attribute = |keys: [&str; 2]| {
        let attributes = event.attributes.as_ref()?;
        keys.iter().find_map(|key| attributes.get(key))
    };
    let arguments = attribute(ARGUMENTS).and_then(shape_of).or_else(|| shape(before?));
    // Without an arrow the content of a call that worked is its result.
    let result = attribute(RESULT).and_then(shape_of).or_else(|| shape(after.unwrap_or(content)));
    Some(Call {
        status: failed.then(|| status(content)).flatten(),
        tool: event.tool?,
        failed,
        error_type: event.error_type,
        call_hash,
        duration_ms: event.duration_ms,
        arguments,
        result: result.filter(|_| !failed),
    })
}

/// The form of a value that is an object, or a text that holds one.
fn shape_of(value: &Value) -> Option<Shape> {
    match value {
        Value::Object(fields) => {
            let field = |(name, value): (&String, &Value)| (name.clone(), field(value));
            Some(Shape(fields.iter().take(MOST_FIELDS).map(field).collect::<BTreeMap<_, _>>()))
        }
        Value::String(text) => shape(text),
        _ => None,
    }
}

fn shape(text: &str) -> Option<Shape> {
    let text = text.trim();
    if text.len() > MOST_BYTES || !text.starts_with('{') {
        return None;
    }
    serde_json::from_str::<Value>(text).ok().filter(Value::is_object).as_ref().and_then(shape_of)
}

fn field(value: &Value) -> Field {
    let (json_type, empty) = match value {
        Value::Null => (JsonType::Null, true),
        Value::Bool(_) => (JsonType::Boolean, false),
        Value::Number(_) => (JsonType::Number, false),
        Value::String(text) => (JsonType::String, text.is_empty()),
        Value::Array(items) => (JsonType::Array, items.is_empty()),
        Value::Object(fields) => (JsonType::Object, fields.is_empty()),
    };
    Field { json_type, empty }
}

/// The first status among the numbers of a failing call's message that says what helps.
fn status(content: &str) -> Option<u16> {
    let head = &content[..content.floor_char_boundary(MOST_BYTES.min(content.len()))];
    let words = head.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| word.len() == 3);
    words.filter_map(|word| word.parse().ok()).find(|status| STATUSES.contains(status))
}

/// Other agents of the same environment, those that reported last first.
async fn peers(engine: &Engine, entity: &Entity) -> StoreResult<Vec<Peer>> {
    let filter = EntityFilter {
        entity_type: Some(EntityType::Agent),
        environment: Some(entity.environment.clone()),
        state: Some(EntityState::Active),
        built_in: false,
    };
    let mut agents = engine.store().entities(filter, PageRequest::first(MOST_EARLIER)).await?.items;
    agents.retain(|agent| agent.key != entity.key && agent.last_seen_at.is_some());
    agents.sort_by_key(|agent| std::cmp::Reverse(agent.last_seen_at));
    let mut peers = Vec::new();
    for agent in agents.into_iter().take(MOST_PEERS) {
        peers.push(Peer { tasks: tasks(engine, agent.key, MOST_PEER_TASKS).await? });
    }
    Ok(peers)
}

/// What else is open about the entity.
async fn related(engine: &Engine, opportunity: &Opportunity) -> StoreResult<Vec<Finding>> {
    let filter = OpportunityFilter {
        entity: Some(opportunity.finding.entity),
        status: vec![OpportunityStatus::Pending, OpportunityStatus::InProgress],
        ..OpportunityFilter::default()
    };
    let open = engine.store().opportunities(filter, PageRequest::first(MOST_RELATED)).await?.items;
    let others = open.into_iter().filter(|open| open.id != opportunity.id && open.confirmed);
    Ok(others.map(|open| open.finding).collect())
}

/// What was tried on the entity, and what became of it.
async fn tried(engine: &Engine, key: EntityKey) -> StoreResult<Vec<Tried>> {
    let store = engine.store();
    let filter = ImprovementFilter { entity: Some(key), ..ImprovementFilter::default() };
    let improvements = store.improvements(filter, PageRequest::first(MOST_EARLIER)).await?.items;
    let history = store.history(Some(key), PageRequest::first(MOST_EARLIER)).await?.items;
    let ended =
        |row: HistoryRow| Some((row.improvement_id, row.outcome.parse::<HistoryOutcome>().ok()?, row.decided_at));
    let ended: Vec<_> = history.into_iter().filter_map(ended).collect();
    let mut tried = Vec::new();
    for improvement in improvements {
        let own = ended.iter().filter(|(id, ..)| *id == improvement.id);
        tried.extend(own.map(|(_, ending, ended_at)| Tried {
            edits: improvement.proposal.edits.clone(),
            ending: *ending,
            ended_at: *ended_at,
        }));
    }
    Ok(tried)
}
