//! Many traces at once, on a server: where every question is a message to it and back, deleting trace by trace is most of
//! the time. What is deleted, and what stays, is the same.

use std::collections::HashSet;

use super::Work;
use crate::logic::fault::{Fault, corrupt};
use crate::sql;

/// Traces that are looked at together.
pub(super) const TRACES: i64 = 100;

/// The numbers in a list, as a table.
const LISTED: &str = "SELECT CAST(l.value AS bigint) FROM json_array_elements_text(CAST(?1 AS json)) AS l (value)";

/// Traces of a list that nothing is to be looked at of: they got no events after their first hour, and nothing that runs
/// needs them (`is_needed`). With their rows, as far as they are worth counting.
const PLAIN: &str = "SELECT a.trace_no,
        (SELECT count(*) FROM (SELECT 1 FROM event_rows AS e WHERE e.trace_no = a.trace_no LIMIT ?2) AS few)
        + (SELECT count(*) FROM (SELECT 1 FROM plain_spans AS p WHERE p.trace_no = a.trace_no LIMIT ?2) AS few)
    FROM (SELECT CAST(l.value AS bigint) AS trace_no FROM json_array_elements_text(CAST(?1 AS json)) AS l (value)) AS a
    WHERE NOT EXISTS (SELECT 1 FROM late_traces AS t WHERE t.trace_no = a.trace_no)
        AND NOT EXISTS (SELECT 1 FROM trial_units AS u WHERE u.trace_no = a.trace_no)
        AND NOT EXISTS (SELECT 1 FROM unsettled_traces AS u WHERE u.trace_no = a.trace_no)
        AND NOT EXISTS (SELECT 1 FROM traces AS t JOIN task_links AS k ON k.task_hash = t.trace_hash
            JOIN trial_units AS u ON u.trace_no = k.trace_no WHERE t.trace_no = a.trace_no)
    ORDER BY a.trace_no";

impl Work<'_> {
    /// Deletes the raw events of those of these traces, which first arrived in an hour, that nothing is to be looked at of,
    /// as far as they fit into the step. Gives them back.
    pub(super) fn delete_at_once(&mut self, traces: &[i64], hour: i64) -> Result<HashSet<i64>, Fault> {
        if !self.connection.is_remote() || traces.is_empty() {
            return Ok(HashSet::new());
        }
        let mut statement = self.connection.prepare_cached(PLAIN)?;
        let plain = statement.query_map((list(traces)?, self.left), |row| Ok((row.get(0)?, row.get(1)?)))?;
        let plain: Vec<(i64, i64)> = plain.collect::<sql::Result<_>>()?;
        let mut room = self.left;
        let chosen: Vec<i64> = plain
            .into_iter()
            .take_while(|(_, rows)| {
                // Each may have a text.
                room -= 1 + 2 * rows;
                room >= 0
            })
            .map(|(trace_no, _)| trace_no)
            .collect();
        if chosen.is_empty() {
            return Ok(HashSet::new());
        }
        let listed = list(&chosen)?;
        let delete = |sql: &str| Ok::<_, Fault>(self.connection.prepare_cached(sql)?.execute([&listed])? as u64);
        let (mut texts, mut events) = (0, 0);
        for table in ["event_rows", "plain_spans"] {
            texts += delete(&format!(
                "DELETE FROM bodies WHERE body_no IN (
                    SELECT e.body_no FROM {table} AS e WHERE e.trace_no IN ({LISTED}) AND e.body_no IS NOT NULL)"
            ))?;
            events += delete(&format!("DELETE FROM {table} WHERE trace_no IN ({LISTED})"))?;
        }
        let mut note = self.connection.prepare_cached(
            "INSERT INTO pruned_traces AS t (trace_no, hour) VALUES (?1, ?2)
             ON CONFLICT (trace_no) DO UPDATE SET hour = excluded.hour WHERE t.hour < excluded.hour",
        )?;
        for trace_no in &chosen {
            note.gather(1, (trace_no, hour))?;
            self.dictionary.forget_spans(*trace_no);
        }
        self.done.texts += texts;
        self.done.events += events;
        self.left -= chosen.len() as i64 + (texts + events).cast_signed();
        Ok(chosen.into_iter().collect())
    }
}

fn list(traces: &[i64]) -> Result<String, Fault> {
    serde_json::to_string(traces).map_err(|error| corrupt("numbers of traces", error))
}
