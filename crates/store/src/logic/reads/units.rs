//! Units with everything known of them: their tasks, the arms that their events claim, the scores they were given.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use crate::sql::{Connection, Row};
use serde_json::Value;
use uplift_model::Time;
use uplift_model::entity::{EntityKey, EntityType};
use uplift_model::event::{EventKind, Exposure, Source};
use uplift_model::trial::{AssignmentUnit, UnitRecord, UnitTask};

use super::decode::Columns;
use super::tasks::DURATION_MS;
use super::{list, place};
use crate::logic::fault::Fault;
use crate::rows::UnitBatch;

/// Most changes that are read at once.
const MOST_CHANGES: u32 = 10_000;
/// Traces in a row that are of no use, after which the way back into the past ends: they began too early, their raw
/// events are gone, or they are of sessions beyond the limit. Traces are numbered as they arrive, so what lies beyond is
/// older still, but for imports out of order.
const OF_NO_USE: usize = 1_000;
/// Traces that are asked for at once on that way.
const AT_ONCE: i64 = 1_000;

/// Units of a trial that changed after `cursor`.
pub(super) fn changed(connection: &Connection, trial: i64, cursor: i64, limit: u32) -> Result<UnitBatch, Fault> {
    let limit = limit.clamp(1, MOST_CHANGES);
    // One state of the database for all of it: a unit is read as it was at one moment.
    let snapshot = connection.snapshot()?;
    let sql = "SELECT seq, unit FROM trial_units INDEXED BY trial_units_by_seq
        WHERE trial_id = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3";
    let mut changes: Vec<(i64, String)> =
        list::all(&snapshot, "a unit", sql, (trial, cursor, i64::from(limit) + 1), |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
    let more = changes.len() > limit as usize;
    changes.truncate(limit as usize);
    let cursor = changes.last().map_or(cursor, |(seq, _)| *seq);
    let mut reader = Reader { connection: &snapshot, said: BTreeMap::new() };
    let mut seen = BTreeSet::new();
    let mut units = Vec::new();
    for (_, unit) in &changes {
        if seen.insert(unit) {
            let sql = "SELECT trace_no FROM trial_units WHERE trial_id = ?1 AND unit = ?2 AND gone = 0
                ORDER BY trace_no";
            let traces = list::all(&snapshot, "a unit", sql, (trial, unit), |row| Ok(row.get(0)?))?;
            units.push(reader.unit(unit.clone(), traces)?);
        }
    }
    Ok(UnitBatch { units, cursor, more })
}

/// The latest units of an entity whose traces began in `when`, in the order of their start.
pub(super) fn past(
    connection: &Connection,
    entity: EntityKey,
    unit: AssignmentUnit,
    when: Range<Time>,
    limit: u32,
) -> Result<Vec<UnitRecord>, Fault> {
    let snapshot = connection.snapshot()?;
    let traces = past_traces(&snapshot, entity, unit, &when, limit as usize)?;
    let mut reader = Reader { connection: &snapshot, said: BTreeMap::new() };
    let mut units = Vec::with_capacity(traces.len());
    for (unit, traces) in traces {
        units.push(reader.unit(unit, traces)?);
    }
    let start = |unit: &UnitRecord| unit.tasks.iter().filter_map(|task| task.started_us).min();
    units.sort_by(|a, b| (start(a), &a.unit).cmp(&(start(b), &b.unit)));
    Ok(units)
}

/// The traces of the latest `limit` units that began in `when`, by unit. The same rules as for the units of a trial: a
/// trace is of the session of the entity's tasks in it.
fn past_traces(
    connection: &Connection,
    entity: EntityKey,
    unit: AssignmentUnit,
    when: &Range<Time>,
    limit: usize,
) -> Result<BTreeMap<String, Vec<i64>>, Fault> {
    let of_trace = "SELECT min(k.first_us),
            min(CASE WHEN k.entity_type = ?2 AND k.entity_id = ?3 THEN k.session_id END),
            (SELECT trace_key FROM traces AS t WHERE t.trace_no = ?1),
            EXISTS (SELECT 1 FROM pruned_traces AS p WHERE p.trace_no = ?1)
        FROM task_rows AS k WHERE k.trace_no = ?1 AND k.pseudo = 0";
    let key = (entity.entity_type.code(), entity.entity_id);
    let mut found: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    let mut of_no_use = 0;
    let mut way = Way { connection, key, before: i64::MAX, read: Vec::new().into_iter() };
    while of_no_use < OF_NO_USE
        && let Some(trace_no) = way.next()?
    {
        let read = |row: &Row<'_>| {
            let mut columns = Columns::of(row, "a trace");
            let start = columns.time_option()?;
            let names = (columns.get::<Option<String>>()?, columns.get::<Option<String>>()?);
            Ok((start, names, columns.get::<bool>()?))
        };
        let trace = list::first(connection, "a trace", of_trace, (trace_no, key.0, key.1), read)?;
        let Some((Some(start), (session, Some(trace_key)), pruned)) = trace else { continue };
        if start >= when.end {
            continue;
        }
        let name = match unit {
            AssignmentUnit::Task => trace_key,
            AssignmentUnit::Session => session.unwrap_or(trace_key),
        };
        let full = found.len() >= limit;
        if full && unit == AssignmentUnit::Task {
            break;
        }
        // Without its events the arms it was given and its scores are not known.
        if pruned || start < when.start || (full && !found.contains_key(&name)) {
            of_no_use += 1;
        } else {
            of_no_use = 0;
            found.entry(name).or_default().push(trace_no);
        }
    }
    Ok(found)
}

/// The traces with tasks of an entity, the latest first, read some at a time: few need all of them.
struct Way<'c> {
    connection: &'c Connection,
    key: (i64, i64),
    /// Those from here on were read.
    before: i64,
    read: std::vec::IntoIter<i64>,
}

impl Way<'_> {
    fn next(&mut self) -> Result<Option<i64>, Fault> {
        if self.read.as_slice().is_empty() {
            let sql = "SELECT DISTINCT trace_no FROM task_rows
                WHERE pseudo = 0 AND entity_type = ?1 AND entity_id = ?2 AND trace_no < ?3
                ORDER BY trace_no DESC LIMIT ?4";
            let parameters = (self.key.0, self.key.1, self.before, AT_ONCE);
            self.read = list::all(self.connection, "a trace", sql, parameters, |row| Ok(row.get(0)?))?.into_iter();
        }
        let next = self.read.next();
        self.before = next.unwrap_or(self.before);
        Ok(next)
    }
}

/// What events say of a unit beyond its tasks.
#[derive(Default)]
struct Said {
    exposures: Vec<(i64, String, Vec<Exposure>)>,
    scores: Vec<(String, f64, i64, Source)>,
}

/// Reads units; what attributes say is read once each.
struct Reader<'c> {
    connection: &'c Connection,
    said: BTreeMap<i64, Option<(String, f64)>>,
}

impl Reader<'_> {
    /// A unit of these traces.
    fn unit(&mut self, unit: String, traces: Vec<i64>) -> Result<UnitRecord, Fault> {
        let mut tasks = Vec::new();
        let mut said = Said::default();
        for trace_no in traces {
            let of_trace = self.tasks(trace_no)?;
            self.events(trace_no, &mut said)?;
            for alone in self.alone(trace_no, &of_trace)? {
                self.events(alone, &mut said)?;
            }
            tasks.extend(of_trace.into_iter().map(|(_, task)| task));
        }
        tasks.sort_by(|a, b| order(a).cmp(&order(b)));
        let mut exposures = Vec::new();
        said.exposures.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
        for exposure in said.exposures.into_iter().flat_map(|(_, _, exposures)| exposures) {
            if !exposures.contains(&exposure) {
                exposures.push(exposure);
            }
        }
        let mut scores = said.scores;
        scores.sort_by(|a, b| (a.2, &a.0).cmp(&(b.2, &b.0)).then(a.1.total_cmp(&b.1)));
        Ok(UnitRecord { unit, tasks, exposures, scores })
    }

    /// The tasks of a trace, each with its name within it. One that nobody owns is none: all that is known of it is what
    /// others say, such as a score that names the trace instead of its task.
    fn tasks(&self, trace_no: i64) -> Result<Vec<(String, UnitTask)>, Fault> {
        let sql = format!(
            "SELECT k.task, t.trace_key, k.parent_task_id, k.session_id, k.entity_type, k.entity_id, k.first_us,
                k.end_us IS NOT NULL, k.outcome, k.errors, {DURATION_MS},
                coalesce(k.end_tokens_in, k.tokens_in) + coalesce(k.end_tokens_out, k.tokens_out),
                CAST(coalesce(k.end_cost_nano, k.cost_nano) AS double precision) / 1e9
            FROM task_rows AS k CROSS JOIN traces AS t ON t.trace_no = k.trace_no
            WHERE k.trace_no = ?1 AND k.pseudo = 0 AND k.entity_type IS NOT NULL"
        );
        list::all(self.connection, "a task", &sql, [trace_no], task)
    }

    /// Reads the arms that events of a trace claim, and the scores among them.
    fn events(&mut self, trace_no: i64, said: &mut Said) -> Result<(), Fault> {
        let sql = "SELECT id, ts, kind, source, attributes_no, exposures FROM event_rows
            WHERE trace_no = ?1 AND (exposures IS NOT NULL OR kind = ?2)
            UNION ALL
            SELECT id, ts, 3, 0, NULL, exposures FROM plain_spans WHERE trace_no = ?1 AND exposures IS NOT NULL";
        let feedback = EventKind::Feedback.code();
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query((trace_no, feedback))?;
        while let Some(row) = rows.next()? {
            let mut columns = Columns::of(&row, "an event");
            let (id, ts): (String, i64) = (columns.get()?, columns.get()?);
            let kind: i64 = columns.get()?;
            let source = columns.code(Source::from_code, "a source")?;
            let attributes: Option<i64> = columns.get()?;
            if let Some(exposures) = columns.json_option()? {
                said.exposures.push((ts, id, exposures));
            }
            if kind == feedback
                && let Some((name, score)) = attributes.map(|no| self.score(no)).transpose()?.flatten()
            {
                said.scores.push((name, score, ts, source));
            }
        }
        Ok(())
    }

    /// The score that these attributes give, if they give one.
    fn score(&mut self, attributes_no: i64) -> Result<Option<(String, f64)>, Fault> {
        if let Some(score) = self.said.get(&attributes_no) {
            return Ok(score.clone());
        }
        let sql = "SELECT attributes FROM attribute_sets WHERE attributes_no = ?1";
        let text: Option<String> =
            list::first(self.connection, "attributes", sql, [attributes_no], |row| Ok(row.get(0)?))?;
        let score = text.and_then(|text| score(&text));
        self.said.insert(attributes_no, score.clone());
        Ok(score)
    }

    /// The traces that hold events of senders who know only a task of this trace: those of a judge, say.
    fn alone(&self, trace_no: i64, tasks: &[(String, UnitTask)]) -> Result<Vec<i64>, Fault> {
        let mut found = Vec::new();
        if tasks.iter().all(|(name, _)| name.is_empty()) {
            return Ok(found);
        }
        let sql = "SELECT environment FROM traces WHERE trace_no = ?1";
        let environment: Option<String> =
            list::first(self.connection, "a trace", sql, [trace_no], |row| Ok(row.get(0)?))?;
        let environment = environment.unwrap_or_default();
        for (name, _) in tasks.iter().filter(|(name, _)| !name.is_empty()) {
            let Some(alone) = place::trace(self.connection, &environment, name)? else { continue };
            let here = place::home(self.connection, &environment, name)?
                .is_some_and(|(home, task)| home == trace_no && task == *name);
            // What is folded under its own name is a task of its own.
            let own = "SELECT 1 FROM task_rows WHERE trace_no = ?1 AND task = ''";
            if here && !self.connection.prepare_cached(own)?.exists([alone])? {
                found.push(alone);
            }
        }
        Ok(found)
    }
}

/// The order of a unit's tasks: that of their start, those without one last.
fn order(task: &UnitTask) -> (i64, &str, &str) {
    (task.started_us.unwrap_or(i64::MAX), &task.trace_key, &task.task_id)
}

fn task(row: &Row<'_>) -> Result<(String, UnitTask), Fault> {
    let mut columns = Columns::of(row, "a task");
    let name: String = columns.get()?;
    let trace_key: String = columns.get()?;
    let parent = columns.get()?;
    let session = columns.get()?;
    let entity_type: Option<i64> = columns.get()?;
    let entity_id: Option<i64> = columns.get()?;
    let owner = entity_type.and_then(EntityType::from_code).zip(entity_id);
    let task = UnitTask {
        task_id: if name.is_empty() { trace_key.clone() } else { name.clone() },
        trace_key,
        parent,
        session,
        owner: owner.map(|(entity_type, entity_id)| EntityKey::new(entity_type, entity_id)),
        started_us: columns.get()?,
        ended: columns.get()?,
        outcome: columns.outcome()?,
        errors: columns.get()?,
        duration_ms: columns.get()?,
        tokens: columns.get()?,
        cost_usd: columns.get()?,
    };
    Ok((name, task))
}

/// What a judge's attributes say: a name, and a number or yes or no.
fn score(attributes: &str) -> Option<(String, f64)> {
    let attributes: Value = serde_json::from_str(attributes).ok()?;
    let name = attributes.get("name")?.as_str()?.to_owned();
    let score = attributes.get("score")?;
    Some((name, score.as_f64().or_else(|| score.as_bool().map(f64::from))?))
}
