//! Where a task is at home: under its own name as a trace, or linked to a trace of another name. Both can be, when
//! some senders know only the task: their events stay where they came in, the task is folded at its home.

use crate::sql::Connection;
use uplift_model::entity::DEFAULT_ENVIRONMENT;

use super::decode::Columns;
use super::list;
use crate::error::StoreError;
use crate::logic::dictionary::trace_hash;
use crate::logic::fault::Fault;

/// A trace, or a task within one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// The environment it is in.
    pub(super) environment: String,
    /// The trace.
    pub(super) trace_no: i64,
    /// The task within it; none for the trace as a whole.
    pub(super) task: Option<String>,
}

/// The environments that entities are in, in their order: a seek in the index of names for each, however many entities
/// there are.
pub(super) fn environments(connection: &Connection) -> Result<Vec<String>, Fault> {
    let sql = "WITH RECURSIVE found (environment) AS (
            SELECT min(environment) FROM entities
            UNION ALL
            SELECT (SELECT min(n.environment) FROM entities AS n WHERE n.environment > found.environment)
            FROM found WHERE found.environment IS NOT NULL
        )
        SELECT environment FROM found WHERE environment IS NOT NULL";
    list::all(connection, "an environment", sql, [], |row| Ok(row.get(0)?))
}

/// Everywhere that `name` names a trace or a task, in any environment.
pub(super) fn of(connection: &Connection, name: &str) -> Result<Vec<Place>, Fault> {
    let mut places = Vec::new();
    for environment in environments(connection)? {
        if let Some(trace_no) = trace(connection, &environment, name)? {
            places.push(Place { environment: environment.clone(), trace_no, task: None });
        }
        if let Some((trace_no, task)) = home(connection, &environment, name)? {
            places.push(Place { environment, trace_no, task: Some(task) });
        }
    }
    Ok(places)
}

/// The trace of this name.
pub(super) fn trace(connection: &Connection, environment: &str, name: &str) -> Result<Option<i64>, Fault> {
    let hash = trace_hash(environment, name);
    let sql = "SELECT trace_no FROM traces WHERE trace_hash = ?1";
    list::first(connection, "a trace", sql, [&hash[..]], |row| Ok(row.get(0)?))
}

/// Where the task of this name was linked to: a trace, and its name there.
pub(super) fn home(connection: &Connection, environment: &str, name: &str) -> Result<Option<(i64, String)>, Fault> {
    let hash = trace_hash(environment, name);
    let sql = "SELECT trace_no, task FROM task_links WHERE task_hash = ?1";
    list::first(connection, "a task link", sql, [&hash[..]], |row| {
        let mut columns = Columns::of(row, "a task link");
        Ok((columns.get()?, columns.get()?))
    })
}

/// The one that is meant of what has one name in several environments: as with entities, that of the default
/// environment.
pub(super) fn chosen<T>(
    what: &'static str,
    name: &str,
    mut found: Vec<T>,
    environment: impl Fn(&T) -> String,
) -> Result<Option<T>, Fault> {
    if found.len() <= 1 {
        return Ok(found.pop());
    }
    if let Some(own) = found.iter().position(|item| environment(item) == DEFAULT_ENVIRONMENT) {
        return Ok(Some(found.swap_remove(own)));
    }
    let environments = found.iter().map(environment).collect::<Vec<_>>().join(", ");
    Err(StoreError::Ambiguous { what, name: name.to_owned(), environments }.into())
}
