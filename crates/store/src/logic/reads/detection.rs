//! What detectors look at.

use crate::sql::{Connection, Row};
use async_trait::async_trait;
use uplift_model::entity::EntityKey;
use uplift_model::event::EventKind;
use uplift_model::fingerprint::{ErrorTemplate, Fingerprint};
use uplift_model::operation::Operation;
use uplift_model::opportunity::{EventRef, MAX_EVIDENCE_EVENTS};
use uplift_model::rollup::OperationDelta;
use uplift_model::time::HOURS_PER_DAY;
use uplift_model::{Hour, Time};

use super::decode::{Columns, bound};
use super::opportunities::{self, SELECT};
use super::{list, window};
use crate::error::{StoreError, StoreResult};
use crate::logic::fault::{Fault, corrupt};
use crate::page::MAX_PAGE;
use crate::reads::DetectionReads;
use crate::rows::{DecisionRow, EntityTrend, EntityWindowRows, ErrorHistory, ErrorHour, Mark, OperationHistory};
use crate::store::SqlStore;

/// Most events of an error group that are looked at to count the tasks they are in.
const GROUP_SCAN: i64 = 50_000;
/// Most tasks that are looked at for slow events.
const SLOW_TASKS: i64 = 500;
/// Most tasks that are passed on the way to those.
const PASSED_TASKS: i64 = 10 * SLOW_TASKS;

#[async_trait]
impl DetectionReads for SqlStore {
    async fn unconfirmed_marks(&self, limit: u32) -> StoreResult<Vec<Mark>> {
        self.read("reading marks", move |connection| {
            let sql = format!("{SELECT} WHERE o.confirmed = 0 AND o.status = 'pending' ORDER BY o.id LIMIT ?1");
            list::all(connection, "an opportunity", &sql, [limit.clamp(1, MAX_PAGE)], mark)
        })
        .await
    }

    async fn open_marks(&self, entity: EntityKey) -> StoreResult<Vec<Mark>> {
        self.read("reading open marks", move |connection| {
            let sql = format!(
                "{SELECT} WHERE o.entity_type = ?1 AND o.entity_id = ?2
                    AND o.kind IN ('recurring_error', 'performance_degradation')
                    AND ((o.status IN ('pending', 'in_progress') AND o.confirmed = 1)
                        OR (o.withdrawn = 1 AND o.kind = 'performance_degradation'
                            AND o.updated_at > (SELECT now_us FROM engine_clock) - 691200000000
                            AND NOT EXISTS (SELECT 1 FROM optimization_opportunities AS later
                                WHERE later.entity_type = o.entity_type AND later.entity_id = o.entity_id
                                AND later.kind = o.kind AND later.fingerprint = o.fingerprint
                                AND later.id > o.id)))
                    ORDER BY o.id"
            );
            list::all(connection, "an opportunity", &sql, (entity.entity_type.as_str(), entity.entity_id), mark)
        })
        .await
    }

    async fn error_history(&self, entity: EntityKey, fingerprint: String) -> StoreResult<ErrorHistory> {
        self.read("reading an error group", move |connection| error_history(connection, entity, &fingerprint)).await
    }

    async fn operation_hours(
        &self,
        entity: EntityKey,
        operation: String,
        from: Hour,
        to: Hour,
    ) -> StoreResult<Vec<(Hour, OperationDelta)>> {
        self.read("reading the hours of an operation", move |connection| {
            operation_hours(connection, entity, &operation, from, to)
        })
        .await
    }

    async fn operation_history(
        &self,
        entity: EntityKey,
        operation: String,
        from: Hour,
        to: Hour,
    ) -> StoreResult<OperationHistory> {
        self.read("reading an operation", move |connection| {
            Ok(OperationHistory {
                hours: operation_hours(connection, entity, &operation, from, to)?,
                events: slow_events(connection, entity, &operation, to)?,
            })
        })
        .await
    }

    async fn entity_window(&self, entity: EntityKey, days: u32, max_tasks: u32) -> StoreResult<EntityWindowRows> {
        self.read("reading the latest tasks of an entity", move |connection| {
            window::read(connection, entity, days, max_tasks)
        })
        .await
    }

    async fn decisions(&self, since: Time) -> StoreResult<Vec<DecisionRow>> {
        self.read("reading decisions", move |connection| decisions(connection, since)).await
    }

    async fn entity_trends(&self) -> StoreResult<Vec<EntityTrend>> {
        self.read("reading the trends of agents", trends).await
    }

    async fn error_hours(&self, since: Hour, at_least: i64) -> StoreResult<Vec<ErrorHour>> {
        self.read("reading hours with many errors", move |connection| error_hours(connection, since, at_least)).await
    }
}

fn mark(row: &Row<'_>) -> Result<Mark, Fault> {
    let (opportunity, marked_hour) = opportunities::decode(row)?;
    let marked_hour = marked_hour.map_or_else(|| opportunity.finding.last_seen_at.hour(), Hour::from_number);
    Ok(Mark { opportunity, marked_hour })
}

fn error_history(connection: &Connection, entity: EntityKey, fingerprint: &str) -> Result<ErrorHistory, Fault> {
    let missing = || StoreError::not_found("error group", format!("{fingerprint} of {entity}"));
    let sql = "SELECT error_no, error_type, tool, template FROM error_groups WHERE fingerprint = ?1";
    let group = list::first(connection, "an error group", sql, [fingerprint], |row| {
        let mut columns = Columns::of(row, "an error group");
        let error_no: i64 = columns.get()?;
        let fingerprint =
            serde_json::from_value(fingerprint.into()).map_err(|error| corrupt("an error group", error))?;
        let template =
            ErrorTemplate { fingerprint, error_type: columns.get()?, tool: columns.get()?, template: columns.get()? };
        Ok((error_no, template))
    })?;
    // Rollups that plain SQL wrote have hours, and neither a group nor events.
    let (error_no, template) = match group {
        Some((error_no, template)) => (Some(error_no), template),
        None => (None, unnamed(fingerprint)),
    };
    let key = (entity.entity_type.as_str(), entity.entity_id, fingerprint);
    let sql = "SELECT hour, n FROM rollup_errors
        WHERE entity_type = ?1 AND entity_id = ?2 AND fingerprint = ?3 ORDER BY hour";
    let mut hours: Vec<(Hour, i64)> = list::all(connection, "hours of errors", sql, key, |row| {
        let mut columns = Columns::of(row, "hours of errors");
        Ok((columns.hour()?, columns.get()?))
    })?;
    if let Some(error_no) = error_no {
        leave_out_pruned(connection, entity, error_no, &mut hours)?;
    }
    let (Some((from, _)), Some((to, _))) = (hours.first(), hours.last()) else { return Err(missing().into()) };
    let tasks_total = tasks_between(connection, entity, *from, *to)?;
    let events = match error_no {
        Some(error_no) => group_events(connection, entity, error_no)?,
        None => Vec::new(),
    };
    Ok(ErrorHistory {
        template,
        tasks_total,
        tasks_affected: match error_no {
            Some(error_no) => tasks_affected(connection, entity, error_no)?,
            None => 0,
        },
        last_seen_at: events.first().map(|(ts, _)| *ts),
        events: events.into_iter().map(|(_, event)| event).collect(),
        hours,
    })
}

/// Leaves out the hours whose raw events are gone: how many tasks their errors were in is no longer known.
fn leave_out_pruned(
    connection: &Connection,
    entity: EntityKey,
    error_no: i64,
    hours: &mut Vec<(Hour, i64)>,
) -> Result<(), Fault> {
    let what = "events of an error group";
    let sql = "SELECT 1 FROM pruned_traces LIMIT 1";
    if list::first(connection, what, sql, [], |_| Ok(()))?.is_none() {
        return Ok(());
    }
    let sql = "SELECT min(ts) FROM event_rows INDEXED BY event_rows_errors
        WHERE error_no = ?1 AND entity_id = ?2 AND entity_type = ?3";
    let key = (error_no, entity.entity_id, entity.entity_type.code());
    let oldest: Option<i64> = list::first(connection, what, sql, key, |row| Ok(row.get(0)?))?.flatten();
    let since = match oldest {
        Some(oldest) => Some(Time::from_micros(oldest).hour()),
        // Nothing of it is on record: it ended before what is.
        None => list::first(connection, what, "SELECT min(hour) FROM arrivals", [], |row| Ok(row.get(0)?))?
            .flatten()
            .map(Hour::from_number),
    };
    hours.retain(|(hour, _)| since.is_some_and(|since| *hour >= since));
    Ok(())
}

/// The template of a group that only its fingerprint is known of.
fn unnamed(fingerprint: &str) -> ErrorTemplate {
    // It is somebody else's text: only what a name may hold is shown.
    let plain = |c: &char| c.is_ascii_alphanumeric() || "_.:-".contains(*c);
    let template = format!("error group {}", fingerprint.chars().filter(plain).take(64).collect::<String>());
    ErrorTemplate { fingerprint: Fingerprint::of(&[fingerprint]), error_type: None, tool: None, template }
}

/// Tasks of an entity in the hours `from..=to`: those that were reported as ended, else those on record.
fn tasks_between(connection: &Connection, entity: EntityKey, from: Hour, to: Hour) -> Result<i64, Fault> {
    let sql = "SELECT coalesce(sum(n), 0) FROM rollup_ops WHERE entity_type = ?1 AND entity_id = ?2
        AND operation = 'task' AND hour BETWEEN ?3 AND ?4";
    let key = (entity.entity_type.as_str(), entity.entity_id, from.number(), to.number());
    let ended: i64 = list::first(connection, "hours of tasks", sql, key, |row| Ok(row.get(0)?))?.unwrap_or(0);
    if ended > 0 {
        return Ok(ended);
    }
    let sql = "SELECT count(*) FROM task_rows WHERE pseudo = 0 AND entity_type = ?1 AND entity_id = ?2
        AND last_us >= ?3 AND last_us < ?4";
    let key = (entity.entity_type.code(), entity.entity_id, from.start().micros(), to.plus(1).start().micros());
    Ok(list::first(connection, "tasks", sql, key, |row| Ok(row.get(0)?))?.unwrap_or(0))
}

fn tasks_affected(connection: &Connection, entity: EntityKey, error_no: i64) -> Result<i64, Fault> {
    // A pseudo-task holds what belongs to no task.
    let sql = "SELECT count(*) FROM (
            SELECT DISTINCT trace_no, task FROM (
                SELECT trace_no, coalesce(task, '') AS task FROM event_rows INDEXED BY event_rows_errors
                WHERE error_no = ?1 AND entity_id = ?2 AND entity_type = ?3 ORDER BY ts DESC LIMIT ?4) AS e
        ) AS d
        LEFT JOIN task_rows AS k ON k.trace_no = d.trace_no AND k.task = d.task
        WHERE k.pseudo IS NULL OR k.pseudo <> 1";
    let key = (error_no, entity.entity_id, entity.entity_type.code(), GROUP_SCAN);
    Ok(list::first(connection, "events of an error group", sql, key, |row| Ok(row.get(0)?))?.unwrap_or(0))
}

fn event_ref(columns: &mut Columns<'_>) -> Result<EventRef, Fault> {
    Ok(EventRef { trace_key: columns.get()?, id: columns.get()? })
}

fn group_events(connection: &Connection, entity: EntityKey, error_no: i64) -> Result<Vec<(Time, EventRef)>, Fault> {
    let sql = "SELECT e.ts, t.trace_key, e.id FROM event_rows AS e INDEXED BY event_rows_errors
        CROSS JOIN traces AS t ON t.trace_no = e.trace_no
        WHERE e.error_no = ?1 AND e.entity_id = ?2 AND e.entity_type = ?3
        ORDER BY e.ts DESC, e.trace_no DESC, e.id DESC LIMIT ?4";
    let key = (error_no, entity.entity_id, entity.entity_type.code(), bound(MAX_EVIDENCE_EVENTS));
    list::all(connection, "an event", sql, key, |row| {
        let mut columns = Columns::of(row, "an event");
        Ok((columns.time()?, event_ref(&mut columns)?))
    })
}

fn operation_hours(
    connection: &Connection,
    entity: EntityKey,
    operation: &str,
    from: Hour,
    to: Hour,
) -> Result<Vec<(Hour, OperationDelta)>, Fault> {
    let sql = "SELECT hour, n, errors, timed, sum_us, sum_ln, sum_ln2, tokens_in, tokens_out, cost_nano
        FROM rollup_ops WHERE entity_type = ?1 AND entity_id = ?2 AND operation = ?3 AND hour BETWEEN ?4 AND ?5
        ORDER BY hour";
    let key = (entity.entity_type.as_str(), entity.entity_id, operation, from.number(), to.number());
    list::all(connection, "hours of an operation", sql, key, |row| {
        let mut columns = Columns::of(row, "hours of an operation");
        Ok((columns.hour()?, columns.sums()?))
    })
}

/// Some of the slowest events of an operation in the 24 hours up to `to`, among the entity's latest tasks then.
fn slow_events(
    connection: &Connection,
    entity: EntityKey,
    operation: &str,
    to: Hour,
) -> Result<Vec<EventRef>, Fault> {
    let (kinds, tool) = match Operation::parse(operation) {
        Some(Operation::Task) => ([EventKind::TaskCompleted, EventKind::TaskFailed], None),
        Some(Operation::Llm) => ([EventKind::LlmCall; 2], None),
        Some(Operation::Tool(tool)) => ([EventKind::ToolExecuted; 2], Some(tool)),
        Some(Operation::Agent(_)) | None => return Ok(Vec::new()),
    };
    let sql = "SELECT t.trace_key, e.id FROM (
            SELECT trace_no, task FROM (
                SELECT trace_no, task, first_us, last_us FROM task_rows
                WHERE pseudo = 0 AND entity_type = ?1 AND entity_id = ?2 ORDER BY trace_no DESC LIMIT ?3) AS latest
            WHERE last_us >= ?4 AND first_us < ?5 LIMIT ?6
        ) AS k
        CROSS JOIN event_rows AS e ON e.trace_no = k.trace_no AND coalesce(e.task, '') = k.task
        CROSS JOIN traces AS t ON t.trace_no = k.trace_no
        WHERE e.kind IN (?7, ?8) AND e.entity_type = ?1 AND e.entity_id = ?2
            AND (CAST(?9 AS text) IS NULL OR e.tool = (SELECT name_no FROM names WHERE name = ?9))
            AND e.duration_ms IS NOT NULL AND e.ts >= ?4 AND e.ts < ?5
        ORDER BY e.duration_ms DESC, e.ts DESC, t.trace_key, e.id LIMIT ?10";
    let parameters = (
        entity.entity_type.code(),
        entity.entity_id,
        PASSED_TASKS,
        to.plus(1 - HOURS_PER_DAY).start().micros(),
        to.plus(1).start().micros(),
        SLOW_TASKS,
        kinds[0].code(),
        kinds[1].code(),
        tool,
        bound(MAX_EVIDENCE_EVENTS),
    );
    list::all(connection, "an event", sql, parameters, |row| event_ref(&mut Columns::of(row, "an event")))
}

fn decisions(connection: &Connection, since: Time) -> Result<Vec<DecisionRow>, Fault> {
    let sql = "SELECT h.entity_type, h.entity_id, n.name, h.decided_at, h.outcome = 'rolled_back', h.effectiveness
        FROM improvement_history AS h
        LEFT JOIN entities AS n ON n.entity_type = h.entity_type AND n.entity_id = h.entity_id
        WHERE h.decided_at >= ?1 AND h.outcome IN ('kept', 'rolled_back') ORDER BY h.decided_at, h.id";
    list::all(connection, "a decision", sql, [since.micros()], |row| {
        let mut columns = Columns::of(row, "a decision");
        let entity = columns.key()?;
        Ok(DecisionRow {
            entity,
            entity_name: columns.get::<Option<String>>()?.unwrap_or_else(|| entity.to_string()),
            decided_at: columns.time()?,
            rolled_back_for_harm: columns.get()?,
            effectiveness: columns.get()?,
        })
    })
}

fn trends(connection: &Connection) -> Result<Vec<EntityTrend>, Fault> {
    // Two seeks an agent, however long its history is.
    let sql = "SELECT n.entity_type, n.entity_id, n.name, (
            SELECT max(hour) FROM rollup_ops AS r
            WHERE r.entity_type = n.entity_type AND r.entity_id = n.entity_id AND r.operation = 'task')
        FROM entities AS n WHERE n.entity_type = 'agent' ORDER BY n.entity_id";
    let agents = list::all(connection, "an agent", sql, [], |row| {
        let mut columns = Columns::of(row, "an agent");
        let (key, name): (EntityKey, String) = (columns.key()?, columns.get()?);
        Ok((key, name, columns.get::<Option<i64>>()?))
    })?;
    let mut trends = Vec::new();
    for (entity, entity_name, latest) in agents {
        let Some(latest) = latest.map(Hour::from_number) else { continue };
        let mut trend = EntityTrend {
            entity,
            entity_name,
            recent: uplift_model::rollup::OperationDelta::default(),
            before: uplift_model::rollup::OperationDelta::default(),
            latest,
        };
        let begin = latest.plus(1 - 8 * HOURS_PER_DAY);
        for (hour, sums) in operation_hours(connection, entity, "task", begin, latest)? {
            if hour > latest.plus(-HOURS_PER_DAY) { trend.recent.merge(sums) } else { trend.before.merge(sums) }
        }
        trends.push(trend);
    }
    Ok(trends)
}

/// Goes from group to group by seeking: hours long past cost nothing.
fn error_hours(connection: &Connection, since: Hour, at_least: i64) -> Result<Vec<ErrorHour>, Fault> {
    let next = "SELECT entity_type, entity_id, fingerprint FROM rollup_errors
        WHERE (entity_type, entity_id, fingerprint) > (?1, ?2, ?3)
        ORDER BY entity_type, entity_id, fingerprint LIMIT 1";
    let hours = "SELECT coalesce(n.name, r.entity_type || '/' || r.entity_id), coalesce(g.template, ''), r.hour, r.n
        FROM rollup_errors AS r
        LEFT JOIN entities AS n ON n.entity_type = r.entity_type AND n.entity_id = r.entity_id
        LEFT JOIN error_groups AS g ON g.fingerprint = r.fingerprint
        WHERE r.entity_type = ?1 AND r.entity_id = ?2 AND r.fingerprint = ?3 AND r.hour >= ?4 AND r.n >= ?5";
    let what = "hours of errors";
    let mut at: (String, i64, String) = (String::new(), 0, String::new());
    let mut found = Vec::new();
    while let Some(group) =
        list::first(connection, what, next, (&at.0, at.1, &at.2), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
    {
        at = group;
        let entity_type = at.0.parse().map_err(|error| corrupt(what, error))?;
        let entity = EntityKey::new(entity_type, at.1);
        let key = (&at.0, at.1, &at.2, since.number(), at_least);
        found.extend(list::all(connection, what, hours, key, |row| {
            let mut columns = Columns::of(row, what);
            Ok(ErrorHour {
                entity,
                entity_name: columns.get()?,
                fingerprint: at.2.clone(),
                template: columns.get()?,
                hour: columns.hour()?,
                n: columns.get()?,
            })
        })?);
    }
    found.sort_by(|a, b| (a.hour, a.entity, &a.fingerprint).cmp(&(b.hour, b.entity, &b.fingerprint)));
    Ok(found)
}
