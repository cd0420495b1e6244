//! `task_rows`: reading, merging and writing what a task is folded into.

use std::collections::HashMap;

use crate::sql::{self, Connection, OptionalExtension, Row, params};
use uplift_model::entity::{EntityKey, EntityType};
use uplift_model::event::Outcome;
use uplift_model::task::{ClaimKey, EndClaim, OutcomeClaim, OwnerClaim, TaskDelta};

use super::fault::{Fault, corrupt};

/// A task as the writer folds it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct TaskFold {
    /// What its events say.
    pub(super) delta: TaskDelta,
    /// Attributes of the event that gave it its owner.
    pub(super) attributes_no: Option<i64>,
    /// Nobody named it: it only holds events of an entity and day together.
    pub(super) pseudo: bool,
}

impl TaskFold {
    /// Adds what other events say.
    pub(super) fn merge(&mut self, other: Self) {
        let takes_over = match (&self.delta.owner, &other.delta.owner) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(mine), Some(theirs)) => theirs < mine,
        };
        if takes_over {
            self.attributes_no = other.attributes_no;
        }
        self.pseudo |= other.pseudo;
        self.delta.merge(other.delta);
    }
}

macro_rules! columns {
    () => {
        "pseudo, entity_type, entity_id, owner_rank, owner_us, owner_event, attributes_no, parent_task_id, session_id,
        first_us, last_us, end_us, end_event, duration_us, end_tokens_in, end_tokens_out, end_cost_nano, outcome,
        outcome_us, outcome_event, events, unclocked, llm_calls, tool_calls, errors, tokens_in, tokens_out,
        tokens_cached, cost_nano"
    };
}

const SELECT: &str = concat!("SELECT ", columns!(), " FROM task_rows WHERE trace_no = ?1 AND task = ?2");

const SELECT_ALL: &str = concat!(
    "SELECT ",
    columns!(),
    ", k.trace_no, k.task FROM json_array_elements(CAST(?1 AS json)) AS a (value)
    JOIN task_rows AS k ON k.trace_no = CAST(a.value ->> 0 AS bigint) AND k.task = a.value ->> 1"
);

const UPSERT: &str = "INSERT INTO task_rows (trace_no, task, pseudo, entity_type, entity_id, owner_rank, owner_us,
    owner_event, attributes_no, parent_task_id, session_id, first_us, last_us, end_us, end_event, duration_us,
    end_tokens_in, end_tokens_out, end_cost_nano, outcome, outcome_us, outcome_event, events, unclocked, llm_calls,
    tool_calls, errors, tokens_in, tokens_out, tokens_cached, cost_nano)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23,
        ?24, ?25, ?26, ?27, ?28, ?29, ?30, ?31)
    ON CONFLICT (trace_no, task) DO UPDATE SET pseudo = excluded.pseudo, entity_type = excluded.entity_type,
        entity_id = excluded.entity_id, owner_rank = excluded.owner_rank, owner_us = excluded.owner_us,
        owner_event = excluded.owner_event, attributes_no = excluded.attributes_no,
        parent_task_id = excluded.parent_task_id, session_id = excluded.session_id, first_us = excluded.first_us,
        last_us = excluded.last_us, end_us = excluded.end_us, end_event = excluded.end_event,
        duration_us = excluded.duration_us, end_tokens_in = excluded.end_tokens_in,
        end_tokens_out = excluded.end_tokens_out, end_cost_nano = excluded.end_cost_nano, outcome = excluded.outcome,
        outcome_us = excluded.outcome_us, outcome_event = excluded.outcome_event, events = excluded.events,
        unclocked = excluded.unclocked, llm_calls = excluded.llm_calls, tool_calls = excluded.tool_calls,
        errors = excluded.errors, tokens_in = excluded.tokens_in, tokens_out = excluded.tokens_out,
        tokens_cached = excluded.tokens_cached, cost_nano = excluded.cost_nano";

/// The task as it is stored.
pub(super) fn read(connection: &Connection, trace_no: i64, task: &str) -> Result<Option<TaskFold>, Fault> {
    Ok(connection.prepare_cached(SELECT)?.query_row((trace_no, task), decode).optional()?)
}

/// Tasks by trace and name.
pub(super) type Folds = HashMap<(i64, String), TaskFold>;

/// Those of these tasks that are stored. None where asking one by one is as good.
pub(super) fn read_all<'k>(
    connection: &Connection,
    tasks: impl Iterator<Item = &'k (i64, String)>,
) -> Result<Option<Folds>, Fault> {
    if !connection.is_remote() {
        return Ok(None);
    }
    let asked: Vec<&(i64, String)> = tasks.collect();
    let mut found = Folds::new();
    if asked.is_empty() {
        return Ok(Some(found));
    }
    let list = serde_json::to_string(&asked).map_err(|error| corrupt("keys of tasks", error))?;
    let mut statement = connection.prepare_cached(SELECT_ALL)?;
    let mut rows = statement.query([list])?;
    while let Some(row) = rows.next()? {
        found.insert((row.get(29)?, row.get(30)?), decode(&row)?);
    }
    Ok(Some(found))
}

fn decode(row: &Row<'_>) -> sql::Result<TaskFold> {
    let key = |us: usize, event: usize| -> sql::Result<Option<ClaimKey>> {
        let us: Option<i64> = row.get(us)?;
        let event: Option<String> = row.get(event)?;
        Ok(us.zip(event).map(|(us, event)| ClaimKey(us, event)))
    };
    let entity_type: Option<i64> = row.get(1)?;
    let entity_id: Option<i64> = row.get(2)?;
    let entity = entity_type
        .and_then(EntityType::from_code)
        .zip(entity_id)
        .map(|(entity_type, entity_id)| EntityKey::new(entity_type, entity_id));
    let rank: Option<u8> = row.get(3)?;
    let owner = rank.zip(key(4, 5)?).zip(entity).map(|((rank, key), entity)| OwnerClaim { rank, key, entity });
    let end = match key(11, 12)? {
        Some(key) => Some(EndClaim {
            key,
            duration_us: row.get(13)?,
            tokens_in: row.get(14)?,
            tokens_out: row.get(15)?,
            cost_nano: row.get(16)?,
        }),
        None => None,
    };
    let outcome: Option<i64> = row.get(17)?;
    let outcome =
        outcome.and_then(Outcome::from_code).zip(key(18, 19)?).map(|(outcome, key)| OutcomeClaim { key, outcome });
    let delta = TaskDelta {
        owner,
        parent: row.get(7)?,
        session: row.get(8)?,
        first_us: row.get(9)?,
        last_us: row.get(10)?,
        end,
        outcome,
        events: row.get(20)?,
        unclocked: row.get(21)?,
        llm_calls: row.get(22)?,
        tool_calls: row.get(23)?,
        errors: row.get(24)?,
        tokens_in: row.get(25)?,
        tokens_out: row.get(26)?,
        tokens_cached: row.get(27)?,
        cost_nano: row.get(28)?,
    };
    Ok(TaskFold { delta, attributes_no: row.get(6)?, pseudo: row.get(0)? })
}

/// Writes the task as it is now.
pub(super) fn write(connection: &Connection, trace_no: i64, task: &str, fold: &TaskFold) -> Result<(), Fault> {
    let delta = &fold.delta;
    let owner = delta.owner.as_ref();
    let end = delta.end.as_ref();
    let outcome = delta.outcome.as_ref();
    connection.prepare_cached(UPSERT)?.gather(
        2,
        params![
            trace_no,
            task,
            fold.pseudo,
            owner.map(|owner| owner.entity.entity_type.code()),
            owner.map(|owner| owner.entity.entity_id),
            owner.map(|owner| owner.rank),
            owner.map(|owner| owner.key.0),
            owner.map(|owner| &owner.key.1),
            fold.attributes_no,
            delta.parent,
            delta.session,
            delta.first_us,
            delta.last_us,
            end.map(|end| end.key.0),
            end.map(|end| &end.key.1),
            end.and_then(|end| end.duration_us),
            end.and_then(|end| end.tokens_in),
            end.and_then(|end| end.tokens_out),
            end.and_then(|end| end.cost_nano),
            outcome.map(|outcome| outcome.outcome.code()),
            outcome.map(|outcome| outcome.key.0),
            outcome.map(|outcome| &outcome.key.1),
            delta.events,
            delta.unclocked,
            delta.llm_calls,
            delta.tool_calls,
            delta.errors,
            delta.tokens_in,
            delta.tokens_out,
            delta.tokens_cached,
            delta.cost_nano,
        ],
    )?;
    Ok(())
}

/// Deletes a task that nothing is left of.
pub(super) fn delete(connection: &Connection, trace_no: i64, task: &str) -> Result<(), Fault> {
    connection.prepare_cached("DELETE FROM task_rows WHERE trace_no = ?1 AND task = ?2")?.defer((trace_no, task))?;
    Ok(())
}

/// Moves a task that was named without its trace to where it is at home.
pub(super) fn move_home(connection: &Connection, from_trace: i64, home: (i64, &str)) -> Result<(), Fault> {
    let Some(moved) = read(connection, from_trace, "")? else { return Ok(()) };
    connection.prepare_cached("DELETE FROM task_rows WHERE trace_no = ?1 AND task = ''")?.defer([from_trace])?;
    let mut fold = read(connection, home.0, home.1)?.unwrap_or_default();
    fold.merge(moved);
    write(connection, home.0, home.1, &fold)
}
