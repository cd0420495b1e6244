//! The latest tasks of an entity with their calls, for detectors.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap, HashSet};

use crate::sql::{Connection, Row};
use serde_json::Value;
use uplift_model::Time;
use uplift_model::entity::EntityKey;
use uplift_model::event::{EventKind, Outcome};
use uplift_model::operation::Operation;
use uplift_model::opportunity::EventRef;
use uplift_model::time::MICROS_PER_DAY;

use super::decode::Columns;
use super::handed::RAN;
use super::tasks::DURATION_MS;
use super::{handed, list, place};
use crate::logic::ahead;
use crate::logic::dictionary::{TraceHash, trace_hash};
use crate::logic::fault::{Fault, corrupt};
use crate::rows::{CallRow, EntityWindowRows, TaskRow};

/// Traces that are read at once, of a server.
const AHEAD: usize = 100;

/// Most calls of all tasks together, as a multiple of the tasks asked for: what is older is left out, so that memory stays
/// bounded however many calls a task makes.
const CALLS_A_TASK: usize = 50;
/// Most events that are read of a trace.
const MOST_OF_A_TRACE: i64 = 10_000;
/// Latest traces whose tasks come with their steps.
const TIMED: usize = 300;

/// A task with its key in the table.
struct Keyed {
    trace_no: i64,
    name: String,
    environment: String,
    row: TaskRow,
    /// Its raw events are on record.
    whole: bool,
}

impl Keyed {
    /// The address of the trace of the same name.
    fn hash(&self) -> TraceHash {
        trace_hash(&self.environment, &self.name)
    }
}

/// A call on its way to its task.
struct Call {
    ts: i64,
    row: CallRow,
}

/// What a task did.
#[derive(Default)]
struct Work {
    calls: Vec<Call>,
    steps: Vec<(Operation, Time, Time)>,
}

/// Reads the window.
pub(super) fn read(
    connection: &Connection,
    entity: EntityKey,
    days: u32,
    max_tasks: u32,
) -> Result<EntityWindowRows, Fault> {
    let sql = "SELECT last_seen_at FROM entities WHERE entity_type = ?1 AND entity_id = ?2";
    let key = (entity.entity_type.as_str(), entity.entity_id);
    let as_of = list::first(connection, "an entity", sql, key, |row| Columns::of(row, "an entity").time_option())?;
    let Some(as_of) = as_of.flatten() else {
        return Ok(EntityWindowRows { as_of: None, tasks: Vec::new(), context_reads: Vec::new() });
    };
    let start = as_of.plus_micros(-i64::from(days).saturating_mul(MICROS_PER_DAY));
    let mut tasks = latest(connection, entity, start, max_tasks)?;
    let context_reads = attach_calls(connection, &mut tasks, max_tasks)?;
    // By time and name, so that the order of arrival does not show.
    tasks.sort_by(|a, b| {
        let key = |task: &Keyed| (task.row.ended_at, task.row.trace_key.clone(), task.row.task_id.clone());
        key(a).cmp(&key(b))
    });
    let tasks = tasks.into_iter().map(|keyed| keyed.row).collect();
    Ok(EntityWindowRows { as_of: Some(as_of), tasks, context_reads })
}

/// The latest ended tasks, less those that were last seen before `start`, or whose raw events are gone.
fn latest(connection: &Connection, entity: EntityKey, start: Time, max_tasks: u32) -> Result<Vec<Keyed>, Fault> {
    let sql = format!(
        "SELECT k.trace_no, k.task, t.environment, t.trace_key, k.outcome, k.last_us, {DURATION_MS},
            coalesce(k.end_tokens_in, k.tokens_in) + coalesce(k.end_tokens_out, k.tokens_out),
            CAST(coalesce(k.end_cost_nano, k.cost_nano) AS double precision) / 1e9, k.errors, a.attributes,
            {RAN}, (SELECT 1 FROM pruned_traces AS p WHERE p.trace_no = k.trace_no) IS NOT NULL
        FROM task_rows AS k
        CROSS JOIN traces AS t ON t.trace_no = k.trace_no
        LEFT JOIN attribute_sets AS a ON a.attributes_no = k.attributes_no
        WHERE k.pseudo = 0 AND k.entity_type = ?1 AND k.entity_id = ?2 AND k.end_us IS NOT NULL
        ORDER BY k.trace_no DESC LIMIT ?3"
    );
    let parameters = (entity.entity_type.code(), entity.entity_id, max_tasks);
    let mut tasks = list::all(connection, "a task", &sql, parameters, |row| {
        let mut columns = Columns::of(row, "a task");
        let (trace_no, name): (_, String) = (columns.get()?, columns.get()?);
        let (environment, trace_key): (_, String) = (columns.get()?, columns.get()?);
        let row = TaskRow {
            task_id: if name.is_empty() { trace_key.clone() } else { name.clone() },
            trace_key,
            outcome: columns.outcome()?,
            ended_at: columns.time_option()?,
            duration_ms: columns.get()?,
            tokens: columns.get()?,
            cost_usd: columns.get()?,
            errors: columns.get()?,
            attributes: columns.get()?,
            calls: Vec::new(),
            ran: columns.time_option()?.zip(columns.time_option()?),
            steps: Vec::new(),
        };
        Ok(Keyed { trace_no, name, environment, row, whole: !columns.get::<bool>()? })
    })?;
    // A task without its calls would look like one that made none.
    tasks.retain(|task| task.whole && task.row.ended_at.is_none_or(|ended| ended >= start));
    Ok(tasks)
}

/// Gives each task its calls, trace by trace. Returns the contexts that were read, with counts.
fn attach_calls(
    connection: &Connection,
    tasks: &mut Vec<Keyed>,
    max_tasks: u32,
) -> Result<Vec<(String, i64)>, Fault> {
    let mut reader = Reader {
        connection,
        ahead: HashMap::new(),
        tools: HashMap::new(),
        contexts: HashMap::new(),
        reads: BTreeMap::new(),
    };
    let named = traces_named_like(connection, tasks)?;
    let mut traces: Vec<i64> = tasks.iter().map(|task| task.trace_no).collect();
    traces.dedup();
    let handed = handed::read(connection, &traces[..traces.len().min(TIMED)])?;
    let (mut room, mut last) = (max_tasks as usize * CALLS_A_TASK, None);
    // The tasks of a trace stand together: they were listed by trace, the latest first.
    for (place, tasks) in tasks.chunk_by_mut(|a, b| a.trace_no == b.trace_no).enumerate() {
        if room == 0 {
            break;
        }
        last = Some(tasks[0].trace_no);
        if connection.is_remote() && place % AHEAD == 0 {
            reader.look_ahead(&traces[place..traces.len().min(place + AHEAD)], place < TIMED)?;
        }
        let mut work: Vec<Work> = tasks.iter().map(|_| Work::default()).collect();
        let trace_key = tasks[0].row.trace_key.clone();
        let names: Vec<&str> = tasks.iter().map(|task| task.name.as_str()).collect();
        let timed = place < TIMED;
        reader.read(tasks[0].trace_no, &trace_key, &names, timed, &mut work)?;
        let handed = handed.get(&tasks[0].trace_no).map_or(&[][..], Vec::as_slice);
        for (task, mut work) in tasks.iter_mut().zip(work) {
            let may_be = named.as_ref().is_none_or(|named| named.contains(&task.hash()));
            if let Some(alone) = if may_be { alone(connection, task)? } else { None } {
                reader.read(alone, &task.name, &[""], timed, std::slice::from_mut(&mut work))?;
            }
            work.calls.sort_by(|a, b| a.ts.cmp(&b.ts).then_with(|| natural(&a.row.event.id, &b.row.event.id)));
            task.row.calls = work.calls.into_iter().map(|call| call.row).collect();
            if !timed {
                task.row.ran = None;
            } else if task.row.ran.is_some() {
                let parts = handed.iter().filter(|(parent, _)| *parent == task.row.task_id);
                work.steps.extend(parts.map(|(_, part)| part.clone()));
                work.steps.sort_by(|(a, a_start, a_end), (b, b_start, b_end)| {
                    (a_end, a_start, a).cmp(&(b_end, b_start, b))
                });
                task.row.steps = work.steps;
            }
            room = room.saturating_sub(task.row.calls.len().max(task.row.steps.len()));
        }
    }
    // A task without its calls would look like one that made none.
    tasks.retain(|task| last.is_some_and(|last| task.trace_no >= last));
    Ok(reader.reads.into_iter().collect())
}

/// Addresses of those traces that are named like these tasks. None where asking one by one is as good.
fn traces_named_like(connection: &Connection, tasks: &[Keyed]) -> Result<Option<HashSet<TraceHash>>, Fault> {
    if !connection.is_remote() {
        return Ok(None);
    }
    let asked: HashSet<TraceHash> = tasks.iter().filter(|task| !task.name.is_empty()).map(Keyed::hash).collect();
    let mut found = HashSet::new();
    ahead::traces_of(connection, &asked, |hash, _| {
        found.insert(hash);
    })?;
    Ok(Some(found))
}

/// The trace that holds the events of senders who know only the task, where its home is another trace.
fn alone(connection: &Connection, task: &Keyed) -> Result<Option<i64>, Fault> {
    if task.name.is_empty() {
        return Ok(None);
    }
    let Some(alone) = place::trace(connection, &task.environment, &task.name)? else { return Ok(None) };
    let home = place::home(connection, &task.environment, &task.name)?;
    let sql = "SELECT 1 FROM task_rows WHERE trace_no = ?1 AND task = ''";
    // What is folded under its own name is a task of its own.
    let own = connection.prepare_cached(sql)?.exists([alone])?;
    let here = home.is_some_and(|(trace_no, name)| trace_no == task.trace_no && name == task.name);
    Ok((here && !own).then_some(alone))
}

/// A call of a model or a tool, or that a context was read.
struct Found {
    name: String,
    id: String,
    ts: i64,
    kind: i64,
    duration_ms: Option<f64>,
    tool: Option<i64>,
    failed: bool,
    call_hash: Option<i64>,
    attributes_no: Option<i64>,
}

impl Found {
    /// With its trace.
    fn of(row: &Row<'_>) -> Result<(i64, Self), Fault> {
        let mut columns = Columns::of(row, "an event");
        let (trace_no, name, id, ts) = (columns.get()?, columns.get()?, columns.get()?, columns.get()?);
        let (kind, duration_ms, tool) = (columns.get()?, columns.get()?, columns.get()?);
        let outcome = columns.outcome()?;
        let error_no: Option<i64> = columns.get()?;
        let failed = error_no.is_some() || matches!(outcome, Some(Outcome::Failure | Outcome::Error));
        let (call_hash, attributes_no) = (columns.get()?, columns.get()?);
        Ok((trace_no, Self { name, id, ts, kind, duration_ms, tool, failed, call_hash, attributes_no }))
    }
}

/// What is read of a trace: model calls only where steps are asked for.
fn kinds(timed: bool) -> [i64; 3] {
    let [tool, read, llm] =
        [EventKind::ToolExecuted, EventKind::ContextRead, EventKind::LlmCall].map(EventKind::code);
    [tool, read, if timed { llm } else { tool }]
}

/// Reads calls and counts context reads; names are read once each.
struct Reader<'c> {
    connection: &'c Connection,
    /// Of traces that were looked up at once.
    ahead: HashMap<i64, Vec<Found>>,
    tools: HashMap<i64, String>,
    contexts: HashMap<i64, Option<String>>,
    reads: BTreeMap<String, i64>,
}

impl Reader<'_> {
    /// Reads a trace: the calls of the tasks of these names go to the place of the name.
    fn read(
        &mut self,
        trace_no: i64,
        trace_key: &str,
        names: &[&str],
        timed: bool,
        work: &mut [Work],
    ) -> Result<(), Fault> {
        let found = match self.ahead.remove(&trace_no) {
            Some(found) => found,
            None => self.find(trace_no, timed)?,
        };
        for Found { name, id, ts, kind, duration_ms, tool, failed, call_hash, attributes_no } in found {
            let Some(place) = names.iter().position(|wanted| *wanted == name) else { continue };
            let took = duration_ms.filter(|ms| timed && *ms > 0.0 && ms.is_finite()).map(|ms| (ms * 1e3) as i64);
            let step = took.map(|us| (Time::from_micros(ts).plus_micros(-us), Time::from_micros(ts)));
            if kind == EventKind::LlmCall.code() {
                work[place].steps.extend(step.map(|(start, end)| (Operation::Llm, start, end)));
            } else if kind == EventKind::ContextRead.code() {
                if let Some(context) = attributes_no.map(|no| self.context(no)).transpose()?.flatten() {
                    *self.reads.entry(context).or_default() += 1;
                }
            } else if let Some(tool) = tool {
                let event = EventRef { trace_key: trace_key.to_owned(), id };
                let tool = self.tool(tool)?;
                work[place].steps.extend(step.map(|(start, end)| (Operation::Tool(tool.clone()), start, end)));
                work[place].calls.push(Call { ts, row: CallRow { tool, failed, call_hash, event } });
            }
        }
        Ok(())
    }

    /// The calls and reads of a trace.
    fn find(&self, trace_no: i64, timed: bool) -> Result<Vec<Found>, Fault> {
        let sql =
            "SELECT trace_no, coalesce(task, ''), id, ts, kind, duration_ms, tool, outcome, error_no, call_hash,
                attributes_no
            FROM event_rows WHERE trace_no = ?1 AND kind IN (?2, ?3, ?4) LIMIT ?5";
        let [tool, read, llm] = kinds(timed);
        let key = (trace_no, llm, tool, read, MOST_OF_A_TRACE);
        Ok(list::all(self.connection, "an event", sql, key, Found::of)?.into_iter().map(|(_, found)| found).collect())
    }

    /// Reads those of these traces at once, of a server.
    fn look_ahead(&mut self, traces: &[i64], timed: bool) -> Result<(), Fault> {
        let sql = "SELECT e.trace_no, coalesce(e.task, ''), e.id, e.ts, e.kind, e.duration_ms, e.tool, e.outcome, e.error_no,
                e.call_hash, e.attributes_no
            FROM json_array_elements_text(CAST(?1 AS json)) AS l (value)
            JOIN event_rows AS e ON e.trace_no = CAST(l.value AS bigint) AND e.kind IN (?2, ?3, ?4)";
        let list = serde_json::to_string(traces).map_err(|error| corrupt("numbers of traces", error))?;
        let [tool, read, llm] = kinds(timed);
        let key = (list, llm, tool, read);
        self.ahead = traces.iter().map(|trace_no| (*trace_no, Vec::new())).collect();
        for (trace_no, found) in list::all(self.connection, "an event", sql, key, Found::of)? {
            self.ahead.entry(trace_no).or_default().push(found);
        }
        Ok(())
    }

    fn tool(&mut self, number: i64) -> Result<String, Fault> {
        if let Some(name) = self.tools.get(&number) {
            return Ok(name.clone());
        }
        let sql = "SELECT name FROM names WHERE name_no = ?1";
        let name: String =
            list::first(self.connection, "a name", sql, [number], |row| Ok(row.get(0)?))?.unwrap_or_default();
        self.tools.insert(number, name.clone());
        Ok(name)
    }

    /// The context that these attributes name.
    fn context(&mut self, number: i64) -> Result<Option<String>, Fault> {
        if let Some(name) = self.contexts.get(&number) {
            return Ok(name.clone());
        }
        let sql = "SELECT attributes FROM attribute_sets WHERE attributes_no = ?1";
        let text: Option<String> = list::first(self.connection, "attributes", sql, [number], |row| Ok(row.get(0)?))?;
        let attributes: Option<Value> = text.and_then(|text| serde_json::from_str(&text).ok());
        let name = attributes.and_then(|attributes| Some(attributes.get("context")?.as_str()?.to_owned()));
        self.contexts.insert(number, name.clone());
        Ok(name)
    }
}

/// The order of ids that senders count up: a number at the end counts as a number.
fn natural(a: &str, b: &str) -> Ordering {
    fn key(id: &str) -> (&str, usize, &str) {
        let (prefix, digits) = id.split_at(id.trim_end_matches(|letter: char| letter.is_ascii_digit()).len());
        let number = digits.trim_start_matches('0');
        (prefix, number.len(), number)
    }
    key(a).cmp(&key(b)).then_with(|| a.cmp(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_at_the_end_count_as_numbers() {
        let mut ids = ["x-10", "x-9", "y", "x", "x-09", "w-100", "10", "9", "x-123456789012345678901234567890"];
        ids.sort_by(|a, b| natural(a, b));
        assert_eq!(ids, ["9", "10", "w-100", "x", "x-09", "x-9", "x-10", "x-123456789012345678901234567890", "y"]);
    }
}
