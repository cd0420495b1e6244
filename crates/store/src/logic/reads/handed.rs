//! The parts of tasks that other agents saw to.

use std::collections::HashMap;

use uplift_model::Time;
use uplift_model::operation::Operation;

use super::decode::Columns;
use super::list;
use crate::logic::fault::{Fault, corrupt};
use crate::sql::Connection;

/// When a task ran, microseconds; none where that is not known. Its columns follow each other.
pub(super) const RAN: &str =
    "CASE WHEN k.unclocked = 0 THEN k.end_us - coalesce(k.duration_us, k.end_us - k.first_us) END,
    CASE WHEN k.unclocked = 0 THEN k.end_us END";

/// By trace: the task that handed on, and what it waited for.
pub(super) type HandedOn = HashMap<i64, Vec<(String, (Operation, Time, Time))>>;

/// The tasks of these traces that ran and ended as parts of others.
pub(super) fn read(connection: &Connection, traces: &[i64]) -> Result<HandedOn, Fault> {
    let of_traces = connection.either(
        "json_each(?1) AS l CROSS JOIN task_rows AS k ON k.trace_no = l.value",
        "json_array_elements_text(CAST(?1 AS json)) AS l (value)
            JOIN task_rows AS k ON k.trace_no = CAST(l.value AS bigint)",
    );
    let sql = format!(
        "SELECT k.trace_no, k.parent_task_id, n.name, {RAN}
        FROM {of_traces}
        JOIN entities AS n ON n.entity_type =
            CASE k.entity_type WHEN 0 THEN 'agent' WHEN 1 THEN 'tool' WHEN 2 THEN 'context' ELSE 'process' END
            AND n.entity_id = k.entity_id
        WHERE k.pseudo = 0 AND k.parent_task_id IS NOT NULL AND k.end_us IS NOT NULL AND k.unclocked = 0"
    );
    let numbers = serde_json::to_string(traces).map_err(|error| corrupt("numbers of traces", error))?;
    let parts = list::all(connection, "a part of a task", &sql, [numbers], |row| {
        let mut columns = Columns::of(row, "a part of a task");
        let (trace_no, parent): (i64, String) = (columns.get()?, columns.get()?);
        let operation = Operation::Agent(columns.get()?);
        Ok((trace_no, parent, operation, columns.time_option()?, columns.time_option()?))
    })?;
    let mut handed = HandedOn::new();
    for (trace_no, parent, operation, start, end) in parts {
        if let (Some(start), Some(end)) = (start, end) {
            handed.entry(trace_no).or_default().push((parent, (operation, start, end)));
        }
    }
    Ok(handed)
}
