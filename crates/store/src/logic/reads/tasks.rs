//! Tasks, as `model::task::TaskDelta` and the view `tasks` derive them.

use crate::sql::{Connection, Row};
use async_trait::async_trait;
use uplift_model::Time;
use uplift_model::event::Outcome;
use uplift_model::task::Task;

use super::cursor::{Cursor, Parts};
use super::decode::Columns;
use super::{list, place};
use crate::error::{StoreError, StoreResult};
use crate::logic::fault::Fault;
use crate::page::{PageRequest, Paged};
use crate::reads::TaskReads;
use crate::rows::TaskFilter;
use crate::store::SqlStore;

/// How long a task took, milliseconds.
pub(super) const DURATION_MS: &str = "CASE
        WHEN k.end_us IS NULL THEN NULL
        WHEN k.duration_us IS NOT NULL THEN k.duration_us / 1000.0
        WHEN k.unclocked = 0 AND k.last_us > k.first_us THEN (k.last_us - k.first_us) / 1000.0
    END";

// A task that was judged but never seen at work is nobody's, and not listed.
const REST: &str = "FROM task_rows AS k
    CROSS JOIN traces AS t ON t.trace_no = k.trace_no
    LEFT JOIN entities AS n
        ON n.entity_type =
            CASE k.entity_type WHEN 0 THEN 'agent' WHEN 1 THEN 'tool' WHEN 2 THEN 'context' ELSE 'process' END
        AND n.entity_id = k.entity_id
    WHERE k.pseudo = 0 AND k.entity_id IS NOT NULL";

#[async_trait]
impl TaskReads for SqlStore {
    async fn tasks(&self, filter: TaskFilter, page: PageRequest) -> StoreResult<Paged<Task>> {
        self.read("listing tasks", move |connection| tasks(connection, &filter, &page)).await
    }

    async fn task(&self, task_id: String) -> StoreResult<Task> {
        self.read("reading a task", move |connection| task(connection, &task_id)).await
    }
}

fn head() -> String {
    format!(
        "SELECT k.trace_no, k.task, t.trace_key, t.environment, k.entity_type, k.entity_id, n.name, k.parent_task_id,
            k.session_id, k.first_us, k.last_us, k.end_us IS NOT NULL, k.outcome, {DURATION_MS}, k.events, k.llm_calls,
            k.tool_calls, k.errors, CASE WHEN k.outcome = 0 THEN k.errors ELSE 0 END,
            coalesce(k.end_tokens_in, k.tokens_in), coalesce(k.end_tokens_out, k.tokens_out), k.tokens_cached,
            CAST(coalesce(k.end_cost_nano, k.cost_nano) AS double precision) / 1e9 {REST}"
    )
}

/// A task with its key in the table, which cursors carry.
struct Keyed {
    trace_no: i64,
    name: String,
    task: Task,
}

fn decode(row: &Row<'_>) -> Result<Keyed, Fault> {
    let mut columns = Columns::of(row, "a task");
    let (trace_no, name): (i64, String) = (columns.get()?, columns.get()?);
    let (trace_key, environment): (String, String) = (columns.get()?, columns.get()?);
    let entity = columns.coded_key()?;
    let entity_name: Option<String> = columns.get()?;
    let task = Task {
        task_id: if name.is_empty() { trace_key.clone() } else { name.clone() },
        trace_key,
        environment,
        entity,
        entity_name: entity_name.unwrap_or_else(|| entity.to_string()),
        parent_task_id: columns.get()?,
        session_id: columns.get()?,
        started_at: columns.time_option()?,
        last_at: columns.time_option()?,
        ended: columns.get()?,
        outcome: columns.outcome()?,
        duration_ms: columns.get()?,
        events: columns.get()?,
        llm_calls: columns.get()?,
        tool_calls: columns.get()?,
        errors: columns.get()?,
        errors_recovered: columns.get()?,
        tokens_in: columns.get()?,
        tokens_out: columns.get()?,
        tokens_cached: columns.get()?,
        cost_usd: columns.get()?,
    };
    Ok(Keyed { trace_no, name, task })
}

fn tasks(connection: &Connection, filter: &TaskFilter, page: &PageRequest) -> Result<Paged<Task>, Fault> {
    let mut conditions = list::Conditions::default();
    if let Some(entity) = filter.entity {
        let key = [entity.entity_type.code().into(), entity.entity_id.into()];
        conditions.with("k.entity_type = ? AND k.entity_id = ?", key);
    }
    conditions.given("k.outcome = ?", filter.outcome.map(Outcome::code));
    if let Some(errors) = filter.has_errors {
        conditions.when(if errors { "k.errors > 0" } else { "k.errors = 0" });
    }
    conditions.given("k.session_id = ?", filter.session_id.clone());
    conditions.given("k.last_us >= ?", filter.since.map(Time::micros));
    conditions.given("k.first_us < ?", filter.until.map(Time::micros));
    if let Some(cursor) = &page.cursor {
        let mut parts = Parts::of("t", cursor)?;
        let (trace_no, name) = (parts.number()?, parts.text()?);
        parts.end()?;
        // The first part alone bounds the way through the index.
        conditions.with("k.trace_no <= ?", [trace_no.into()]);
        conditions.with("(k.trace_no < ? OR k.task > ?)", [trace_no.into(), name.into()]);
    }
    let (sql, parameters) = conditions.query(&head(), "ORDER BY k.trace_no DESC, k.task", page.clamped());
    let items = list::all(connection, "a task", &sql, parameters, decode)?;
    let paged = list::page(items, page, |last| Cursor::of("t").number(last.trace_no).text(&last.name).finish());
    Ok(Paged { items: paged.items.into_iter().map(|keyed| keyed.task).collect(), next: paged.next })
}

/// The task of this name in a trace. The name of the trace stands for its first task where that has a name of its own.
fn one(connection: &Connection, trace_no: i64, name: &str) -> Result<Option<Keyed>, Fault> {
    let sql = format!("{} AND k.trace_no = ?1 AND k.task = ?2", head());
    let exact = list::first(connection, "a task", &sql, (trace_no, name), decode)?;
    if exact.is_some() || !name.is_empty() {
        return Ok(exact);
    }
    let parentless = "CASE WHEN k.parent_task_id IS NULL THEN 0 ELSE 1 END";
    let sql = format!("{} AND k.trace_no = ?1 ORDER BY {parentless}, k.first_us, k.task LIMIT 1", head());
    list::first(connection, "a task", &sql, [trace_no], decode)
}

/// Most tasks of a trace that are meant by its name.
const OF_A_TRACE: u32 = 50;

/// Those of these tasks that are on record in an environment. The name of a trace that is no task means its tasks.
pub(super) fn named(connection: &Connection, environment: &str, task_ids: &[String]) -> Result<Vec<Task>, Fault> {
    let mut found = Vec::new();
    for id in task_ids {
        if let Some(trace_no) = place::trace(connection, environment, id)? {
            let sql = format!(
                "{} AND k.trace_no = ?1 AND (k.task = '' OR NOT EXISTS (SELECT 1 FROM task_rows AS own
                    WHERE own.trace_no = ?1 AND own.task = '' AND own.pseudo = 0 AND own.entity_id IS NOT NULL))
                ORDER BY k.first_us, k.task LIMIT ?2",
                head()
            );
            let tasks = list::all(connection, "a task", &sql, (trace_no, OF_A_TRACE), decode)?;
            found.extend(tasks.into_iter().map(|keyed| keyed.task));
        }
        if let Some((trace_no, name)) = place::home(connection, environment, id)? {
            found.extend(one(connection, trace_no, &name)?.map(|keyed| keyed.task));
        }
    }
    Ok(found)
}

fn task(connection: &Connection, task_id: &str) -> Result<Task, Fault> {
    let mut found = Vec::new();
    for place in place::of(connection, task_id)? {
        found.extend(one(connection, place.trace_no, &place.task.unwrap_or_default())?);
    }
    let environment = |keyed: &Keyed| keyed.task.environment.clone();
    let task = place::chosen("task", task_id, found, environment)?;
    task.map(|keyed| keyed.task).ok_or_else(|| StoreError::not_found("task", task_id).into())
}
