//! Traces as numbers, and where tasks are at home that are named without theirs.

use std::collections::HashSet;

use super::{Dictionary, TraceHash, trace_hash};
use crate::logic::cache::Cache;
use crate::logic::fault::Fault;
use crate::sql::{Connection, OptionalExtension};

impl Dictionary {
    /// The number of a trace, if it was ever seen.
    pub(in crate::logic) fn find_trace(
        &mut self,
        connection: &Connection,
        environment: &str,
        key: &str,
    ) -> Result<Option<i64>, Fault> {
        let hash = trace_hash(environment, key);
        if let Some(number) = self.traces.get(&hash) {
            return Ok(Some(number));
        }
        if self.unknown_traces.contains(&hash) {
            return Ok(None);
        }
        let found = connection
            .prepare_cached("SELECT trace_no FROM traces WHERE trace_hash = ?1")?
            .query_row([&hash[..]], |row| row.get(0))
            .optional()?;
        if let Some(number) = found {
            self.traces.put(hash, number);
        }
        Ok(found)
    }

    /// The number of a trace, written if need be, and whether it was.
    pub(in crate::logic) fn trace_or_new(
        &mut self,
        connection: &Connection,
        environment: &str,
        key: &str,
    ) -> Result<(i64, bool), Fault> {
        let last = self.last_trace.as_ref().filter(|(place, name, _)| name == key && place == environment);
        if let Some((_, _, number)) = last {
            return Ok((*number, false));
        }
        if let Some(number) = self.find_trace(connection, environment, key)? {
            self.note_arrival(connection, number)?;
            self.last_trace = Some((environment.to_owned(), key.to_owned(), number));
            return Ok((number, false));
        }
        Ok((self.trace(connection, environment, key)?, true))
    }

    /// The number of a trace, written if need be.
    pub(in crate::logic) fn trace(
        &mut self,
        connection: &Connection,
        environment: &str,
        key: &str,
    ) -> Result<i64, Fault> {
        let last = self.last_trace.as_ref().filter(|(place, name, _)| name == key && place == environment);
        if let Some((_, _, number)) = last {
            return Ok(*number);
        }
        let number = self.trace_anew(connection, environment, key)?;
        self.note_arrival(connection, number)?;
        self.last_trace = Some((environment.to_owned(), key.to_owned(), number));
        Ok(number)
    }

    fn trace_anew(&mut self, connection: &Connection, environment: &str, key: &str) -> Result<i64, Fault> {
        if let Some(number) = self.find_trace(connection, environment, key)? {
            return Ok(number);
        }
        let hash = trace_hash(environment, key);
        let number = match self.trace_numbers.pop() {
            Some(number) => {
                connection
                    .prepare_cached(
                        "INSERT INTO traces (trace_no, trace_hash, trace_key, environment) VALUES (?1, ?2, ?3, ?4)",
                    )?
                    .append((number, &hash[..], key, environment))?;
                number
            }
            None => connection
                .prepare_cached("INSERT INTO traces (trace_hash, trace_key, environment) VALUES (?1, ?2, ?3)")?
                .insert((&hash[..], key, environment))?,
        };
        self.unknown_traces.remove(&hash);
        self.new_traces.insert(number);
        self.traces.put(hash, number);
        Ok(number)
    }

    /// Whether a trace's number is in the cache.
    pub(in crate::logic) fn knows_trace(&mut self, hash: &TraceHash) -> bool {
        self.traces.get(hash).is_some()
    }

    /// Notes the number of a trace.
    pub(in crate::logic) fn put_trace(&mut self, hash: TraceHash, number: i64) {
        self.traces.put(hash, number);
    }

    /// Notes traces that are not there, and numbers for them.
    pub(in crate::logic) fn expect_traces(&mut self, unknown: HashSet<TraceHash>, numbers: Vec<i64>) {
        (self.unknown_traces, self.trace_numbers) = (unknown, numbers);
    }

    /// Whether the batch under way made this trace, so that nothing is stored of it but what the batch stores.
    pub(in crate::logic) fn is_new_trace(&self, trace_no: i64) -> bool {
        self.new_traces.contains(&trace_no)
    }

    /// Notes that a task was moved to a trace.
    pub(in crate::logic) fn moved_to(&mut self, trace_no: i64) {
        self.new_traces.remove(&trace_no);
    }

    /// Ends what is known of one batch only.
    pub(in crate::logic) fn end_batch(&mut self) {
        self.unknown_traces.clear();
        self.trace_numbers.clear();
        self.new_traces.clear();
    }

    /// Whether any task was ever linked to a trace.
    pub(in crate::logic) fn has_links(&mut self, connection: &Connection) -> Result<bool, Fault> {
        if !self.links_looked_up {
            let any: bool = connection.query_row("SELECT EXISTS (SELECT 1 FROM task_links)", [], |row| row.get(0))?;
            self.links = any.then(|| Cache::of(50_000));
            self.links_looked_up = true;
        }
        Ok(self.links.is_some())
    }

    /// Whether it is in the cache where a task is at home.
    pub(in crate::logic) fn knows_home(&mut self, hash: &TraceHash) -> bool {
        self.links.as_mut().is_some_and(|links| links.get(hash).is_some())
    }

    /// Notes where a task is at home, or that it is nowhere.
    pub(in crate::logic) fn put_home(&mut self, hash: TraceHash, home: Option<(i64, String)>) {
        if let Some(links) = &mut self.links {
            links.put(hash, home);
        }
    }

    /// Where a task is at home that is named without its trace: its trace, and its name there.
    pub(in crate::logic) fn home_of(
        &mut self,
        connection: &Connection,
        environment: &str,
        task: &str,
    ) -> Result<Option<(i64, String)>, Fault> {
        self.has_links(connection)?;
        let Some(links) = &mut self.links else { return Ok(None) };
        let hash = trace_hash(environment, task);
        if let Some(home) = links.get(&hash) {
            return Ok(home);
        }
        let home = connection
            .prepare_cached("SELECT trace_no, task FROM task_links WHERE task_hash = ?1")?
            .query_row([&hash[..]], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        links.put(hash, home.clone());
        Ok(home)
    }

    /// Notes where a task is at home. Returns whether that is news.
    pub(in crate::logic) fn link(
        &mut self,
        connection: &Connection,
        environment: &str,
        task: &str,
        trace_no: i64,
    ) -> Result<bool, Fault> {
        if self.home_of(connection, environment, task)?.is_some() {
            return Ok(false);
        }
        let hash = trace_hash(environment, task);
        connection
            .prepare_cached("INSERT INTO task_links (task_hash, trace_no, task) VALUES (?1, ?2, ?3)")?
            .append((&hash[..], trace_no, task))?;
        self.links.get_or_insert_with(|| Cache::of(50_000)).put(hash, Some((trace_no, task.to_owned())));
        Ok(true)
    }
}
