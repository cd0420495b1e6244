//! What is old goes, in small steps: raw events first, their attributes after them, tasks much later.
//!
//! A trace goes whole, and only when the latest of its events is old. One that got events after its first hour, or that
//! something running still needs, stays and is looked at again. Attributes are shared, so they go in a second go over the
//! same hours, once every trace that stays has noted those it uses. Each step is a part of one transaction: whatever is
//! killed anywhere goes on from the last one.

mod at_once;

use std::collections::HashSet;

use crate::sql::{self, Params, Row};
use crate::sql::{Connection, OptionalExtension};
use uplift_model::{Hour, Time};

use super::arrivals;
use super::dictionary::{Dictionary, trace_hash};
use super::fault::Fault;
use crate::writes::{Prune, Pruned};

/// Hours after which a trace that was held is looked at again.
const HELD_HOURS: i64 = 6;

/// Deletes what is old, as much as fits in one step.
pub(super) fn step(
    connection: &Connection,
    dictionary: &mut Dictionary,
    prune: &Prune,
    at: Time,
) -> Result<Pruned, Fault> {
    let now = at.hour().number();
    // The hour that is under way is never old.
    let before = prune.events_before.map_or(i64::MIN, Hour::number).min(now);
    let tasks_before = prune.tasks_before.map_or(i64::MIN, Hour::number).min(now);
    let left = i64::from(prune.rows.max(1));
    let mut work = Work { connection, dictionary, now, before, tasks_before, left, done: Pruned::default() };
    let finished = work.close_hour()?
        && work.late()?
        && work.held()?
        && work.hours()?
        && work.attributes()?
        && work.tasks()?
        && work.rejected()?;
    let mut done = work.done;
    done.more = !finished;
    if done.events + done.texts + done.tasks > 0 {
        connection
            .prepare_cached(
                "UPDATE retention_totals SET events = events + ?1, texts = texts + ?2, tasks = tasks + ?3, last_us = ?4",
            )?
            .defer((
                done.events.cast_signed(),
                done.texts.cast_signed(),
                done.tasks.cast_signed(),
                at.micros(),
            ))?;
    }
    Ok(done)
}

/// A step under way. Its parts return whether they have come to their end.
struct Work<'c> {
    connection: &'c Connection,
    dictionary: &'c mut Dictionary,
    /// The hour it is.
    now: i64,
    /// Raw events that arrived before this hour go.
    before: i64,
    /// Tasks of traces whose latest event arrived before this hour go, if their events are gone.
    tasks_before: i64,
    /// Rows that may still be written.
    left: i64,
    done: Pruned,
}

/// An hour of arrivals, as far as it was not looked at.
struct Arrived {
    number: i64,
    hour: i64,
    trace_from: i64,
    trace_to: i64,
}

impl Work<'_> {
    /// Ends the hour of arrivals that was under way when the last event came in, where that is long ago.
    fn close_hour(&mut self) -> Result<bool, Fault> {
        let old = self
            .connection
            .prepare_cached("SELECT 1 FROM arrivals WHERE trace_to IS NULL AND hour < ?1")?
            .exists([self.before])?;
        if old {
            self.dictionary.end_arrivals(self.connection)?;
        }
        Ok(true)
    }

    /// Looks again at traces that got events after their first hour.
    fn late(&mut self) -> Result<bool, Fault> {
        let sql = "SELECT trace_no, hour FROM late_traces WHERE covered < ?1 ORDER BY covered LIMIT ?2";
        let traces = self.pairs(sql, (self.before, self.left))?;
        for (trace_no, hour) in traces {
            if !self.look_at(trace_no, hour, true)? {
                return Ok(false);
            }
        }
        Ok(self.left > 0)
    }

    /// Looks again at traces that were held.
    fn held(&mut self) -> Result<bool, Fault> {
        let sql = "SELECT trace_no, hour FROM late_traces WHERE checked < ?1 ORDER BY checked LIMIT ?2";
        let traces = self.pairs(sql, (self.now - HELD_HOURS, self.left))?;
        for (trace_no, hour) in traces {
            if !self.look_at(trace_no, hour, false)? {
                return Ok(false);
            }
        }
        Ok(self.left > 0)
    }

    /// Looks at the traces that first arrived in old hours.
    fn hours(&mut self) -> Result<bool, Fault> {
        while let Some(arrived) = self.old_hour()? {
            let sql = "SELECT trace_no FROM traces WHERE trace_no >= ?1 AND trace_no < ?2 ORDER BY trace_no LIMIT ?3";
            let most = if self.connection.is_remote() { self.left.min(at_once::TRACES) } else { self.left };
            let traces = self.numbers(sql, (arrived.trace_from, arrived.trace_to, most))?;
            let mut reached = traces.last().map_or(arrived.trace_to, |last| last + 1);
            let gone = self.delete_at_once(&traces, arrived.hour)?;
            for trace_no in traces.into_iter().filter(|trace_no| !gone.contains(trace_no)) {
                if self.left <= 0 {
                    reached = trace_no;
                    break;
                }
                if !self.look_at(trace_no, arrived.hour, true)? {
                    reached = trace_no;
                    break;
                }
            }
            self.connection
                .prepare_cached("UPDATE arrivals SET trace_from = ?2 WHERE arrival_no = ?1")?
                .execute((arrived.number, reached))?;
            if self.left <= 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The first old hour with traces that were not looked at.
    fn old_hour(&self) -> Result<Option<Arrived>, Fault> {
        let sql = "SELECT arrival_no, hour, trace_from, trace_to FROM arrivals
            WHERE hour < ?1 AND trace_from < trace_to ORDER BY arrival_no LIMIT 1";
        let read = |row: &Row<'_>| {
            Ok(Arrived { number: row.get(0)?, hour: row.get(1)?, trace_from: row.get(2)?, trace_to: row.get(3)? })
        };
        Ok(self.connection.prepare_cached(sql)?.query_row([self.before], read).optional()?)
    }

    /// Deletes the raw events of a trace, or finds that it stays: then, where that is asked for, its attributes are
    /// noted as used. Returns whether that came to its end: a long trace takes several steps.
    fn look_at(&mut self, trace_no: i64, first_hour: i64, cover: bool) -> Result<bool, Fault> {
        self.left -= 1;
        let late: Option<i64> = self
            .connection
            .prepare_cached("SELECT hour FROM late_traces WHERE trace_no = ?1")?
            .query_row([trace_no], |row| row.get(0))
            .optional()?;
        let hour = late.unwrap_or(first_hour);
        let young = hour >= self.before;
        if young || self.is_needed(trace_no)? {
            let until = if young { hour } else { self.now };
            if cover && !self.cover(trace_no, until)? {
                return Ok(false);
            }
            let checked = (!young).then_some(self.now);
            self.connection
                .prepare_cached(
                    "INSERT INTO late_traces AS t (trace_no, hour, covered, checked) VALUES (?1, ?2, ?3, ?4)
                     ON CONFLICT (trace_no) DO UPDATE SET checked = excluded.checked,
                        covered = CASE WHEN t.covered > excluded.covered THEN t.covered ELSE excluded.covered END",
                )?
                .defer((trace_no, hour, if cover { until } else { i64::MIN }, checked))?;
            return Ok(true);
        }
        let gone = self.delete_events(trace_no)?;
        self.connection
            .prepare_cached(
                "INSERT INTO pruned_traces AS t (trace_no, hour) VALUES (?1, ?2)
                 ON CONFLICT (trace_no) DO UPDATE SET hour = excluded.hour WHERE t.hour < excluded.hour",
            )?
            .defer((trace_no, hour))?;
        if gone && late.is_some() {
            self.connection.prepare_cached("DELETE FROM late_traces WHERE trace_no = ?1")?.defer([trace_no])?;
        }
        Ok(gone)
    }

    /// Whether something running needs the events of a trace: a trial whose unit it is part of, be it by a task that is
    /// at home in another trace; or spans of it wait for others.
    fn is_needed(&self, trace_no: i64) -> Result<bool, Fault> {
        let sql = "SELECT EXISTS (SELECT 1 FROM trial_units WHERE trace_no = ?1)
            OR EXISTS (SELECT 1 FROM unsettled_traces WHERE trace_no = ?1)
            OR EXISTS (SELECT 1 FROM traces AS t JOIN task_links AS l ON l.task_hash = t.trace_hash
                JOIN trial_units AS u ON u.trace_no = l.trace_no WHERE t.trace_no = ?1)";
        Ok(self.connection.prepare_cached(sql)?.query_row([trace_no], |row| row.get(0))?)
    }

    /// Notes that the attributes of a trace are used up to an hour. Returns whether all of them are.
    fn cover(&mut self, trace_no: i64, until: i64) -> Result<bool, Fault> {
        let sql = "SELECT attributes_no FROM (
                SELECT attributes_no FROM event_rows WHERE trace_no = ?1
                UNION SELECT attributes_no FROM plain_spans WHERE trace_no = ?1
                UNION SELECT attributes_no FROM task_rows WHERE trace_no = ?1
            ) AS a
            WHERE attributes_no IS NOT NULL AND NOT EXISTS (
                SELECT 1 FROM attribute_uses AS u WHERE u.attributes_no = a.attributes_no AND u.hour >= ?2)
            LIMIT ?3";
        let most = self.left.max(1);
        let attributes = self.numbers(sql, (trace_no, until, most))?;
        let noted = attributes.len() as i64;
        for attributes_no in attributes {
            arrivals::used(self.connection, attributes_no, until)?;
        }
        self.left -= noted;
        Ok(noted < most)
    }

    /// Deletes events of a trace with their texts, in the order of their ids. Returns whether all are gone.
    fn delete_events(&mut self, trace_no: i64) -> Result<bool, Fault> {
        let connection = self.connection;
        for (bound, waiting, texts, rows) in [
            (
                "SELECT id FROM event_rows WHERE trace_no = ?1 ORDER BY id LIMIT 1 OFFSET ?2",
                "SELECT 1 FROM event_rows WHERE trace_no = ?1 AND {below} AND waits_at IS NOT NULL",
                "DELETE FROM bodies WHERE body_no IN (SELECT body_no FROM event_rows
                 WHERE trace_no = ?1 AND {below} AND body_no IS NOT NULL)",
                "DELETE FROM event_rows WHERE trace_no = ?1 AND {below}",
            ),
            (
                "SELECT id FROM plain_spans WHERE trace_no = ?1 ORDER BY id LIMIT 1 OFFSET ?2",
                "SELECT 1 FROM plain_spans WHERE trace_no = ?1 AND {below} AND waits_at IS NOT NULL",
                "DELETE FROM bodies WHERE body_no IN (SELECT body_no FROM plain_spans
                 WHERE trace_no = ?1 AND {below} AND body_no IS NOT NULL)",
                "DELETE FROM plain_spans WHERE trace_no = ?1 AND {below}",
            ),
        ] {
            // An event has at most one text.
            let most = (self.left / 2).max(1);
            let bound: Option<String> =
                connection.prepare_cached(bound)?.query_row((trace_no, most), |row| row.get(0)).optional()?;
            let is_last = bound.is_none();
            let below = if is_last { "CAST(?2 AS text) IS NULL" } else { "id < ?2" };
            let [waiting, texts, rows] = [waiting, texts, rows].map(|sql| sql.replace("{below}", below));
            if connection.prepare_cached(&waiting)?.exists((trace_no, &bound))? {
                self.dictionary.forget_spans(trace_no);
            }
            let texts = connection.prepare_cached(&texts)?.execute((trace_no, &bound))?;
            let events = connection.prepare_cached(&rows)?.execute((trace_no, &bound))?;
            self.done.texts += texts as u64;
            self.done.events += events as u64;
            self.left -= (texts + events) as i64;
            if !is_last {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Deletes attributes that nothing on record uses. By now every trace that stays has noted those it uses.
    fn attributes(&mut self) -> Result<bool, Fault> {
        self.dictionary.forget_attributes(self.before);
        // The last one stays, so that no number is given twice: tasks whose events are gone still name theirs.
        let last: i64 =
            self.connection
                .query_row("SELECT coalesce(max(attributes_no), 0) FROM attribute_sets", [], |row| row.get(0))?;
        let sql = "SELECT attributes_no FROM attribute_uses WHERE hour < ?1 ORDER BY hour LIMIT ?2";
        for attributes_no in self.numbers(sql, (self.before, self.left))? {
            if attributes_no < last {
                let sql = "DELETE FROM attribute_sets WHERE attributes_no = ?1";
                self.done.texts += self.connection.prepare_cached(sql)?.execute([attributes_no])? as u64;
            }
            let sql = "DELETE FROM attribute_uses WHERE attributes_no = ?1";
            self.connection.prepare_cached(sql)?.defer([attributes_no])?;
            self.left -= 2;
        }
        let sql = "SELECT arrival_no, attributes_from, attributes_to FROM arrivals
            WHERE hour < ?1 AND trace_from >= trace_to ORDER BY arrival_no LIMIT 1";
        while self.left > 0 {
            let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
            let hour: Option<(i64, i64, i64)> =
                self.connection.prepare_cached(sql)?.query_row([self.before], read).optional()?;
            let Some((number, from, to)) = hour else { return Ok(true) };
            let reached = to.min(from.saturating_add(self.left));
            let gone = self
                .connection
                .prepare_cached(
                    "DELETE FROM attribute_sets WHERE attributes_no >= ?1 AND attributes_no < ?2
                     AND NOT EXISTS (SELECT 1 FROM attribute_uses AS u
                        WHERE u.attributes_no = attribute_sets.attributes_no)",
                )?
                .execute((from, reached.min(last)))?;
            self.done.texts += gone as u64;
            self.left -= 1 + reached - from;
            let sql = if reached < to {
                "UPDATE arrivals SET attributes_from = ?2 WHERE arrival_no = ?1"
            } else {
                "DELETE FROM arrivals WHERE arrival_no = ?1 AND ?2 >= attributes_from"
            };
            self.connection.prepare_cached(sql)?.defer((number, reached))?;
        }
        Ok(false)
    }

    /// Deletes tasks whose events are long gone, with their traces.
    fn tasks(&mut self) -> Result<bool, Fault> {
        // The last one stays, so that no number is given twice and they go on ascending.
        let sql = "SELECT trace_no FROM pruned_traces
            WHERE hour < ?1 AND trace_no < (SELECT max(trace_no) FROM traces) ORDER BY hour, trace_no LIMIT ?2";
        let traces = self.numbers(sql, (self.tasks_before, self.left))?;
        let mut gone = HashSet::new();
        for trace_no in traces {
            if self.left <= 0 {
                break;
            }
            self.left -= 1;
            if self.has_events(trace_no)? || self.is_needed(trace_no)? {
                let sql = "UPDATE pruned_traces SET hour = ?2 WHERE trace_no = ?1";
                self.connection.prepare_cached(sql)?.defer((trace_no, self.now))?;
                continue;
            }
            self.delete_tasks(trace_no)?;
            gone.insert(trace_no);
        }
        if !gone.is_empty() {
            self.dictionary.forget_traces(&gone);
        }
        Ok(self.left > 0)
    }

    fn has_events(&self, trace_no: i64) -> Result<bool, Fault> {
        let sql = "SELECT EXISTS (SELECT 1 FROM event_rows WHERE trace_no = ?1)
            OR EXISTS (SELECT 1 FROM plain_spans WHERE trace_no = ?1)";
        Ok(self.connection.prepare_cached(sql)?.query_row([trace_no], |row| row.get(0))?)
    }

    /// Deletes the tasks of a trace, what leads to them, and the trace.
    fn delete_tasks(&mut self, trace_no: i64) -> Result<(), Fault> {
        let sql = "SELECT t.environment, k.task FROM traces AS t JOIN task_rows AS k ON k.trace_no = t.trace_no
            WHERE t.trace_no = ?1 AND k.task <> ''";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut named = statement.query([trace_no])?;
        while let Some(row) = named.next()? {
            let (environment, task): (String, String) = (row.get(0)?, row.get(1)?);
            let hash = trace_hash(&environment, &task);
            self.connection
                .prepare_cached("DELETE FROM task_links WHERE task_hash = ?1 AND trace_no = ?2")?
                .defer((&hash[..], trace_no))?;
            self.left -= 1;
        }
        let sql = "DELETE FROM task_rows WHERE trace_no = ?1";
        let tasks = self.connection.prepare_cached(sql)?.execute([trace_no])?;
        self.done.tasks += tasks as u64;
        self.left -= tasks as i64;
        for sql in [
            "DELETE FROM late_traces WHERE trace_no = ?1",
            "DELETE FROM pruned_traces WHERE trace_no = ?1",
            "DELETE FROM traces WHERE trace_no = ?1",
        ] {
            self.connection.prepare_cached(sql)?.defer([trace_no])?;
        }
        Ok(())
    }

    /// Deletes what other programs left in the inbox, could not be taken, and nobody came for.
    fn rejected(&mut self) -> Result<bool, Fault> {
        let sql = "SELECT seq FROM (SELECT seq, rejected_at FROM event_inbox_rejected ORDER BY seq LIMIT ?2)
            AS oldest WHERE rejected_at < ?1";
        let before = Hour::from_number(self.before.max(0)).start().micros();
        for seq in self.numbers(sql, (before, self.left))? {
            self.connection.prepare_cached("DELETE FROM event_inbox_rejected WHERE seq = ?1")?.defer([seq])?;
            self.left -= 1;
        }
        Ok(self.left > 0)
    }

    fn numbers(&self, sql: &str, parameters: impl Params) -> Result<Vec<i64>, Fault> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let numbers = statement.query_map(parameters, |row| row.get(0))?.collect::<sql::Result<_>>()?;
        Ok(numbers)
    }

    fn pairs(&self, sql: &str, parameters: impl Params) -> Result<Vec<(i64, i64)>, Fault> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let pairs =
            statement.query_map(parameters, |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<sql::Result<_>>()?;
        Ok(pairs)
    }
}
