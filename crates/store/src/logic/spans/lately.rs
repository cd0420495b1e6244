//! What is known of the spans of traces that some came in for lately: a cache in front of the tables.

use std::collections::{BTreeMap, HashMap};

use crate::sql::{Connection, OptionalExtension};

use crate::logic::fault::{Fault, corrupt};

/// Ids of waiting spans, and traces, that are held at most, in each of two generations.
const MAX_WEIGHT: usize = 100_000;

/// What is known of one trace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Known {
    /// Its session.
    pub(super) session: Option<String>,
    /// Spans that wait, by the missing span they wait at.
    waiting: BTreeMap<String, Vec<String>>,
    count: usize,
}

impl Known {
    /// As it is stored.
    pub(super) fn load(connection: &Connection, trace_no: i64) -> Result<Self, Fault> {
        let session: Option<Option<String>> = connection
            .prepare_cached("SELECT session_id FROM traces WHERE trace_no = ?1")?
            .query_row([trace_no], |row| row.get(0))
            .optional()?;
        let mut known = Self { session: session.flatten(), ..Self::default() };
        let mut statement = connection.prepare_cached(
            "SELECT waits_at, id FROM event_rows WHERE trace_no = ?1 AND waits_at IS NOT NULL
             UNION ALL SELECT waits_at, id FROM plain_spans WHERE trace_no = ?1 AND waits_at IS NOT NULL",
        )?;
        let mut rows = statement.query([trace_no])?;
        while let Some(row) = rows.next()? {
            known.wait(row.get(0)?, row.get(1)?);
        }
        Ok(known)
    }

    /// As they are stored, asked for at once, of a server.
    pub(super) fn load_many(connection: &Connection, traces: &[i64]) -> Result<HashMap<i64, Self>, Fault> {
        let mut all: HashMap<i64, Self> = traces.iter().map(|trace_no| (*trace_no, Self::default())).collect();
        if traces.is_empty() {
            return Ok(all);
        }
        let list = serde_json::to_string(traces).map_err(|error| corrupt("numbers of traces", error))?;
        let mut statement = connection.prepare_cached(
            "WITH asked AS (
                SELECT CAST(l.value AS bigint) AS trace_no FROM json_array_elements_text(CAST(?1 AS json)) AS l (value))
             SELECT t.trace_no, NULL, NULL, t.session_id FROM asked JOIN traces AS t ON t.trace_no = asked.trace_no
             WHERE t.session_id IS NOT NULL
             UNION ALL
             SELECT e.trace_no, e.waits_at, e.id, NULL FROM asked JOIN event_rows AS e ON e.trace_no = asked.trace_no
             WHERE e.waits_at IS NOT NULL
             UNION ALL
             SELECT p.trace_no, p.waits_at, p.id, NULL FROM asked JOIN plain_spans AS p ON p.trace_no = asked.trace_no
             WHERE p.waits_at IS NOT NULL",
        )?;
        let mut rows = statement.query([list])?;
        while let Some(row) = rows.next()? {
            let Some(known) = all.get_mut(&row.get(0)?) else { continue };
            match (row.get(1)?, row.get(2)?) {
                (Some(missing), Some(id)) => known.wait(missing, id),
                _ => known.session = row.get(3)?,
            }
        }
        Ok(all)
    }

    /// The spans that wait at this one.
    pub(super) fn waiting_at(&self, missing: &str) -> &[String] {
        self.waiting.get(missing).map_or(&[], Vec::as_slice)
    }

    /// Notes that a span waits.
    pub(super) fn wait(&mut self, missing: String, id: String) {
        self.waiting.entry(missing).or_default().push(id);
        self.count += 1;
    }

    /// Spans that wait.
    pub(super) const fn count(&self) -> usize {
        self.count
    }

    /// The missing spans that others wait at.
    pub(super) fn missing(&self) -> impl Iterator<Item = &str> {
        self.waiting.keys().map(String::as_str)
    }

    /// Takes out the spans that wait at this one.
    pub(super) fn release(&mut self, missing: &str) -> Vec<String> {
        let ids = self.waiting.remove(missing).unwrap_or_default();
        self.count -= ids.len();
        ids
    }

    /// All spans that wait, each with the one it waits at.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, &str)> {
        self.waiting.iter().flat_map(|(missing, ids)| ids.iter().map(|id| (missing.as_str(), id.as_str())))
    }

    const fn weight(&self) -> usize {
        1 + self.count
    }
}

/// The cache: when the young half is full, the old half goes.
#[derive(Default)]
pub(in crate::logic) struct Lately {
    young: HashMap<i64, Known>,
    old: HashMap<i64, Known>,
    weight: usize,
}

impl Lately {
    /// What is known of a trace.
    pub(super) fn get(&self, trace_no: i64) -> Option<&Known> {
        self.young.get(&trace_no).or_else(|| self.old.get(&trace_no))
    }

    /// What is known of a trace, taken out.
    pub(super) fn take(&mut self, trace_no: i64) -> Option<Known> {
        if let Some(known) = self.young.remove(&trace_no) {
            self.weight -= known.weight().min(self.weight);
            return Some(known);
        }
        self.old.remove(&trace_no)
    }

    /// Puts it (back) in.
    pub(super) fn put(&mut self, trace_no: i64, known: Known) {
        if self.weight >= MAX_WEIGHT {
            self.old = std::mem::take(&mut self.young);
            self.weight = 0;
        }
        self.weight += known.weight();
        self.young.insert(trace_no, known);
    }

    /// Forgets traces that are no more.
    pub(in crate::logic) fn forget(&mut self, trace_no: i64) {
        drop(self.take(trace_no));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_forgets_the_old_and_never_grows_beyond_its_limit() {
        let known = |spans: usize| {
            let mut known = Known::default();
            (0..spans).for_each(|_| known.wait("m".to_owned(), "s".to_owned()));
            known
        };
        let mut lately = Lately::default();
        for trace in 0..10_i64 {
            lately.put(trace, known(MAX_WEIGHT / 4));
        }
        let held: Vec<i64> = (0..10).filter(|trace| lately.take(*trace).is_some()).collect();
        assert!(held.contains(&9) && held.len() <= 8 && !held.contains(&0), "{held:?}");
        lately.put(3, known(1));
        lately.forget(3);
        assert_eq!(lately.take(3), None);
    }
}
