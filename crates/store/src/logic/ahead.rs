//! What a batch of events will ask for one by one, asked for at once: where every question is a message to a server and
//! back, that is most of the time. Nothing depends on it but speed.

use std::collections::{HashMap, HashSet};

use uplift_model::span::SpanRole;

use super::dictionary::{Dictionary, TraceHash, trace_hash};
use super::fault::{Fault, corrupt};
use crate::sql::{Connection, Row};
use crate::writes::IntakeBatch;

/// Identities of events that were looked up: those that are taken, with their digests.
pub(super) type Taken = HashMap<(i64, String), i64>;

/// Looks up the traces of a batch, numbers for those that are new, and where its tasks are at home.
pub(super) fn traces(connection: &Connection, dictionary: &mut Dictionary, batch: &IntakeBatch) -> Result<(), Fault> {
    if !connection.is_remote() || batch.events.is_empty() {
        return Ok(());
    }
    let (mut keys, mut tasks) = (HashSet::new(), HashSet::new());
    for prepared in &batch.events {
        let event = &prepared.event;
        keys.insert(trace_hash(&event.environment, &event.trace_key()));
        // Events that know only the task may have come before, as a trace of that name, or come now.
        tasks.extend(event.task_id.as_ref().map(|task| trace_hash(&event.environment, task)));
        // Tasks of spans are named after an agent's span, or the root.
        if event.link.as_ref().is_some_and(|link| link.role == SpanRole::Agent || link.parent.is_none()) {
            tasks.insert(trace_hash(&event.environment, &event.id));
        }
    }
    let mut unknown: HashSet<TraceHash> = keys.union(&tasks).copied().collect();
    unknown.retain(|hash| !dictionary.knows_trace(hash));
    traces_of(connection, &unknown.clone(), |hash, trace_no| {
        unknown.remove(&hash);
        dictionary.put_trace(hash, trace_no);
    })?;
    let numbers = numbers(connection, unknown.iter().filter(|hash| keys.contains(*hash)).count())?;
    dictionary.expect_traces(unknown, numbers);
    tasks.retain(|hash| !dictionary.knows_home(hash));
    if !tasks.is_empty() && dictionary.has_links(connection)? {
        let sql = "SELECT l.task_hash, l.trace_no, l.task FROM json_array_elements_text(CAST(?1 AS json)) AS h (hash)
             JOIN task_links AS l ON l.task_hash = decode(h.hash, 'hex')";
        by_hash(connection, sql, &tasks.clone(), |hash, row| {
            tasks.remove(&hash);
            dictionary.put_home(hash, Some((row.get(1)?, row.get(2)?)));
            Ok(())
        })?;
    }
    for hash in tasks {
        dictionary.put_home(hash, None);
    }
    Ok(())
}

/// Visits the traces of these addresses, of a server.
pub(super) fn traces_of(
    connection: &Connection,
    asked: &HashSet<TraceHash>,
    mut visit: impl FnMut(TraceHash, i64),
) -> Result<(), Fault> {
    let sql = "SELECT t.trace_hash, t.trace_no FROM json_array_elements_text(CAST(?1 AS json)) AS h (hash)
         JOIN traces AS t ON t.trace_hash = decode(h.hash, 'hex')";
    by_hash(connection, sql, asked, |hash, row| {
        visit(hash, row.get(1)?);
        Ok(())
    })
}

/// Visits what a query finds for these hashes, the first column of which is the hash.
fn by_hash(
    connection: &Connection,
    sql: &str,
    asked: &HashSet<TraceHash>,
    mut visit: impl FnMut(TraceHash, &Row<'_>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    if asked.is_empty() {
        return Ok(());
    }
    let texts: Vec<String> = asked.iter().map(hex).collect();
    let list = serde_json::to_string(&texts).map_err(|error| corrupt("hashes", error))?;
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([list])?;
    while let Some(row) = rows.next()? {
        visit(row.get(0)?, &row)?;
    }
    Ok(())
}

/// So many numbers for new traces, the least one last.
fn numbers(connection: &Connection, count: usize) -> Result<Vec<i64>, Fault> {
    let mut numbers = Vec::with_capacity(count);
    if count > 0 {
        let mut statement = connection.prepare_cached(
            "SELECT nextval(pg_get_serial_sequence('traces', 'trace_no')) FROM generate_series(1, CAST(?1 AS bigint))",
        )?;
        let mut rows = statement.query([count as i64])?;
        while let Some(row) = rows.next()? {
            numbers.push(row.get(0)?);
        }
        numbers.reverse();
    }
    Ok(numbers)
}

/// Looks up which of these identities are taken. None where asking one by one is as good.
pub(super) fn identities<'e>(
    connection: &Connection,
    dictionary: &Dictionary,
    events: impl Iterator<Item = (i64, &'e str)>,
) -> Result<Option<Taken>, Fault> {
    if !connection.is_remote() {
        return Ok(None);
    }
    let mut taken = Taken::new();
    let asked: Vec<(i64, &str)> = events.filter(|(trace_no, _)| !dictionary.is_new_trace(*trace_no)).collect();
    if asked.is_empty() {
        return Ok(Some(taken));
    }
    let list = serde_json::to_string(&asked).map_err(|error| corrupt("identities of events", error))?;
    let mut statement = connection.prepare_cached(
        "WITH asked AS (
            SELECT CAST(a.value ->> 0 AS bigint) AS trace_no, a.value ->> 1 AS id
            FROM json_array_elements(CAST(?1 AS json)) AS a (value))
         SELECT e.trace_no, e.id, e.digest FROM asked JOIN event_rows AS e ON e.trace_no = asked.trace_no AND e.id = asked.id
         UNION ALL
         SELECT p.trace_no, p.id, p.digest FROM asked JOIN plain_spans AS p ON p.trace_no = asked.trace_no AND p.id = asked.id",
    )?;
    let mut rows = statement.query([list])?;
    while let Some(row) = rows.next()? {
        taken.insert((row.get(0)?, row.get(1)?), row.get(2)?);
    }
    Ok(Some(taken))
}

fn hex(hash: &TraceHash) -> String {
    hash.iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|half| char::from(b"0123456789abcdef"[usize::from(half)]))
        .collect()
}
