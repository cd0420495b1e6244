//! Events in: stored once, folded into tasks and rollups, all in the writer's transaction.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use rusqlite::types::ToSqlOutput;
use rusqlite::{CachedStatement, Connection, ToSql};
use uplift_model::entity::{EntityKey, check_name};
use uplift_model::event::{EntityRef, Event, PreparedEvent};
use uplift_model::rollup::OperationDelta;
use uplift_model::task::{OutcomeRule, TaskDelta};
use uplift_model::{EntityType, Hour};

use super::dictionary::{Dictionary, KnownEntity};
use super::fault::{Fault, corrupt};
use super::task_row::{self, TaskFold};
use super::units;
use crate::writes::{IntakeBatch, IntakeReceipt, Refusal, RefusalReason};

const INSERT: &str = "INSERT INTO event_rows (trace_no, id, ts, kind, entity_type, entity_id, task, tool, outcome,
    duration_ms, tokens_in, tokens_out, tokens_cached, cost_usd, error_type, error_no, span_id, source, clock,
    call_hash, body_no, attributes_no, exposures, digest)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23,
        ?24) ON CONFLICT DO NOTHING";

/// An event with its place in the batch and what it was resolved to.
struct Placed<'b> {
    index: usize,
    prepared: &'b PreparedEvent,
    trace_no: i64,
    entity: Arc<KnownEntity>,
}

/// What the new events of a batch add up to. Sorted maps: the trees are then written in key order.
#[derive(Default)]
struct Sums {
    tasks: BTreeMap<(i64, String), TaskFold>,
    operations: BTreeMap<(EntityKey, String, Hour), OperationDelta>,
    errors: BTreeMap<(EntityKey, String, Hour), i64>,
    /// Tasks ended, and the first and latest event, microseconds.
    entities: HashMap<EntityKey, (i64, i64, i64)>,
    touched: BTreeSet<EntityKey>,
    /// Traces that a task was moved away from.
    moved: Vec<i64>,
}

/// Takes a batch in.
pub(super) fn commit(
    connection: &Connection,
    dictionary: &mut Dictionary,
    batch: &IntakeBatch,
) -> Result<IntakeReceipt, Fault> {
    let mut receipt = IntakeReceipt::default();
    let mut placed = place(connection, dictionary, batch, &mut receipt)?;
    // In identity order the clustered tree is written front to back.
    placed.sort_by(|a, b| {
        (a.trace_no, &a.prepared.event.id, a.index).cmp(&(b.trace_no, &b.prepared.event.id, b.index))
    });
    let mut sums = Sums::default();
    let mut insert = connection.prepare_cached(INSERT)?;
    for event in &placed {
        if let Some(numbers) = insert_event(connection, dictionary, &mut insert, event)? {
            receipt.accepted += 1;
            sums.link(connection, dictionary, event)?;
            sums.add(connection, dictionary, event, numbers.attributes)?;
            learn(connection, dictionary, batch, event, numbers.tool)?;
        } else if stored_digest(connection, event)? == event.prepared.digest {
            receipt.duplicates += 1;
        } else {
            let (id, trace_key) = (event.prepared.event.id.clone(), event.prepared.event.trace_key());
            receipt.refused.push(Refusal { index: event.index, reason: RefusalReason::Conflict { id, trace_key } });
        }
    }
    sums.write(connection, batch)?;
    if !dictionary.trials(connection)?.is_empty() {
        let traces = sums.tasks.keys().map(|(trace_no, _)| *trace_no).chain(sums.moved.iter().copied()).collect();
        units::touch(connection, dictionary, &traces)?;
    }
    receipt.touched = sums.touched.into_iter().collect();
    receipt.refused.sort_by_key(|refusal| refusal.index);
    empty_inbox(connection, batch, &receipt)?;
    move_clock(connection, dictionary, batch.received_at.micros())?;
    Ok(receipt)
}

/// Moves the engine's clock on; it never goes back.
pub(super) fn move_clock(connection: &Connection, dictionary: &mut Dictionary, now_us: i64) -> Result<(), Fault> {
    if dictionary.clock_us.is_some_and(|clock| clock >= now_us) {
        return Ok(());
    }
    connection.prepare_cached("UPDATE engine_clock SET now_us = max(now_us, ?1)")?.execute([now_us])?;
    dictionary.clock_us = Some(now_us);
    Ok(())
}

/// Deletes the inbox rows that the batch came from; what was refused moves aside, with the reason.
fn empty_inbox(connection: &Connection, batch: &IntakeBatch, receipt: &IntakeReceipt) -> Result<(), Fault> {
    for refusal in &receipt.refused {
        if let Some(seq) = batch.inbox.get(refusal.index) {
            reject_inbox(connection, *seq, &refusal.reason.to_string(), batch.received_at.micros())?;
        }
    }
    for seq in &batch.inbox {
        connection.prepare_cached("DELETE FROM event_inbox WHERE seq = ?1")?.execute([seq])?;
    }
    Ok(())
}

/// Moves a row of the inbox aside.
pub(super) fn reject_inbox(connection: &Connection, seq: i64, reason: &str, at_us: i64) -> Result<(), Fault> {
    connection
        .prepare_cached(
            "INSERT INTO event_inbox_rejected (seq, event, reason, rejected_at)
             SELECT seq, event, ?2, ?3 FROM event_inbox WHERE seq = ?1",
        )?
        .execute((seq, reason, at_us))?;
    connection.prepare_cached("DELETE FROM event_inbox WHERE seq = ?1")?.execute([seq])?;
    Ok(())
}

/// Resolves entities and traces; what cannot be resolved goes to the receipt.
fn place<'b>(
    connection: &Connection,
    dictionary: &mut Dictionary,
    batch: &'b IntakeBatch,
    receipt: &mut IntakeReceipt,
) -> Result<Vec<Placed<'b>>, Fault> {
    let mut placed = Vec::with_capacity(batch.events.len());
    for (index, prepared) in batch.events.iter().enumerate() {
        let event = &prepared.event;
        let entity = match resolve(connection, dictionary, batch, event)? {
            Ok(entity) => entity,
            Err(reason) => {
                receipt.refused.push(Refusal { index, reason });
                continue;
            }
        };
        // An entity named by its key brings its environment along, whatever the event says.
        let trace_no = dictionary.trace(connection, &entity.environment, &event.trace_key())?;
        placed.push(Placed { index, prepared, trace_no, entity });
    }
    Ok(placed)
}

fn resolve(
    connection: &Connection,
    dictionary: &mut Dictionary,
    batch: &IntakeBatch,
    event: &Event,
) -> Result<Result<Arc<KnownEntity>, RefusalReason>, Fault> {
    Ok(match &event.entity {
        EntityRef::Key(key) => Dictionary::entity_by_key(connection, *key)?
            .ok_or_else(|| RefusalReason::UnknownEntity { entity: key.to_string() }),
        EntityRef::Name(name) => match dictionary.entity(connection, name)? {
            Some(known) => Ok(known),
            None if batch.auto_register => {
                Ok(dictionary.add_entity(connection, name, &batch.defaults, batch.received_at)?)
            }
            None => Err(RefusalReason::NotRegistered { entity: format!("{} `{}`", name.entity_type, name.name) }),
        },
    })
}

/// What an event's names were resolved to.
struct Numbers {
    tool: Option<i64>,
    attributes: Option<i64>,
}

/// Writes one event; none where its identity is taken.
fn insert_event(
    connection: &Connection,
    dictionary: &mut Dictionary,
    insert: &mut CachedStatement<'_>,
    placed: &Placed<'_>,
) -> Result<Option<Numbers>, Fault> {
    let event = &placed.prepared.event;
    let tool = event.tool.as_deref().map(|tool| dictionary.name(connection, tool)).transpose()?;
    let error_type = event.error_type.as_deref().map(|kind| dictionary.name(connection, kind)).transpose()?;
    let error_no = placed.prepared.error.as_ref().map(|group| dictionary.error(connection, group)).transpose()?;
    let body_no = event.content.as_ref().map(|_| dictionary.next_body(connection)).transpose()?;
    let attributes_no =
        event.attributes.as_deref().map(|text| dictionary.attributes(connection, text)).transpose()?;
    let exposures = if event.exposures.is_empty() {
        None
    } else {
        Some(serde_json::to_string(&event.exposures).map_err(|error| corrupt("exposures", error))?)
    };
    let rows = insert.execute(rusqlite::params![
        placed.trace_no,
        event.id,
        event.ts.micros(),
        event.kind.code(),
        placed.entity.key.entity_type.code(),
        placed.entity.key.entity_id,
        event.task_in_trace(),
        tool,
        event.outcome.map(uplift_model::Outcome::code),
        event.duration_ms,
        Count(event.tokens_in),
        Count(event.tokens_out),
        Count(event.tokens_cached),
        event.cost_usd,
        error_type,
        error_no,
        event.span_id,
        event.source.code(),
        event.clock.code(),
        placed.prepared.call_hash,
        body_no,
        attributes_no,
        exposures,
        placed.prepared.digest,
    ])?;
    if rows == 0 {
        return Ok(None);
    }
    if let (Some(number), Some(content)) = (body_no, &event.content) {
        dictionary.add_body(connection, number, content)?;
    }
    Ok(Some(Numbers { tool, attributes: attributes_no }))
}

/// A count as SQLite's signed integer; what is beyond it saturates.
struct Count(Option<u64>);

impl ToSql for Count {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let count = self.0.map(|count| i64::try_from(count).unwrap_or(i64::MAX));
        Ok(ToSqlOutput::Owned(count.into()))
    }
}

fn stored_digest(connection: &Connection, placed: &Placed<'_>) -> Result<i64, Fault> {
    Ok(connection
        .prepare_cached("SELECT digest FROM event_rows WHERE trace_no = ?1 AND id = ?2")?
        .query_row((placed.trace_no, &placed.prepared.event.id), |row| row.get(0))?)
}

/// Registers the tool an agent called, and the tie between them.
fn learn(
    connection: &Connection,
    dictionary: &mut Dictionary,
    batch: &IntakeBatch,
    placed: &Placed<'_>,
    tool_no: Option<i64>,
) -> Result<(), Fault> {
    match placed.prepared.event.tool.as_deref().zip(tool_no) {
        Some((tool, tool_no)) if batch.auto_register && check_name(tool).is_ok() => {
            dictionary.learn_tool(connection, placed.entity.key, &placed.entity.environment, (tool_no, tool), batch)
        }
        _ => Ok(()),
    }
}

impl Sums {
    /// Notes where a task is at home that has another name than its trace. Events that knew only the task may have
    /// come before, in earlier batches or in this one: they are at home now.
    fn link(
        &mut self,
        connection: &Connection,
        dictionary: &mut Dictionary,
        placed: &Placed<'_>,
    ) -> Result<(), Fault> {
        let environment = &placed.entity.environment;
        let Some(task) = placed.prepared.event.task_in_trace() else { return Ok(()) };
        if dictionary.link(connection, environment, task, placed.trace_no)?
            && let Some(alone) = dictionary.find_trace(connection, environment, task)?
        {
            task_row::move_home(connection, alone, (placed.trace_no, task))?;
            self.moved.push(alone);
            if let Some(waiting) = self.tasks.remove(&(alone, String::new())) {
                self.tasks.entry((placed.trace_no, task.to_owned())).or_default().merge(waiting);
            }
        }
        Ok(())
    }

    fn add(
        &mut self,
        connection: &Connection,
        dictionary: &mut Dictionary,
        placed: &Placed<'_>,
        attributes_no: Option<i64>,
    ) -> Result<(), Fault> {
        let event = &placed.prepared.event;
        let entity = placed.entity.key;
        let rule = placed.entity.config.outcome.as_ref().unwrap_or(&OutcomeRule::Status);
        let fold =
            TaskFold { delta: TaskDelta::of(event, entity, rule), attributes_no, pseudo: event.is_outside_tasks() };
        self.tasks.entry(home(connection, dictionary, placed)?).or_default().merge(fold);
        // What Uplift says of an entity is nothing the entity did: it moves no window, counter or rule.
        if event.kind.is_own() {
            return Ok(());
        }
        let hour = event.ts.hour();
        if let Some(operation) = event.operation() {
            let sum = self.operations.entry((entity, operation.to_string(), hour)).or_default();
            sum.merge(OperationDelta::of(event));
        }
        if let Some(error) = &placed.prepared.error {
            *self.errors.entry((entity, error.fingerprint.to_string(), hour)).or_default() += 1;
        }
        let ts = event.ts.micros();
        let (ended, first, latest) = self.entities.entry(entity).or_insert((0, ts, ts));
        *ended += i64::from(event.kind.ends_task());
        *first = ts.min(*first);
        *latest = ts.max(*latest);
        self.touched.insert(entity);
        Ok(())
    }

    fn write(&self, connection: &Connection, batch: &IntakeBatch) -> Result<(), Fault> {
        for ((trace_no, task), fold) in &self.tasks {
            let mut whole = task_row::read(connection, *trace_no, task)?.unwrap_or_default();
            whole.merge(fold.clone());
            task_row::write(connection, *trace_no, task, &whole)?;
        }
        self.write_rollups(connection)?;
        for (entity, (ended, first, latest)) in &self.entities {
            connection
                .prepare_cached(
                    "UPDATE entities SET last_seen_at = max(coalesce(last_seen_at, ?3), ?3)
                     WHERE entity_type = ?1 AND entity_id = ?2",
                )?
                .execute((entity.entity_type.as_str(), entity.entity_id, latest))?;
            if entity.entity_type == EntityType::Agent {
                count_for_review(connection, *entity, batch, (*ended, *first, *latest))?;
            }
        }
        Ok(())
    }

    fn write_rollups(&self, connection: &Connection) -> Result<(), Fault> {
        let mut upsert = connection.prepare_cached(
            "INSERT INTO rollup_ops (entity_type, entity_id, operation, hour, n, errors, timed, sum_us, sum_ln,
                sum_ln2, tokens_in, tokens_out, cost_nano)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
             ON CONFLICT DO UPDATE SET n = n + excluded.n, errors = errors + excluded.errors,
                timed = timed + excluded.timed, sum_us = sum_us + excluded.sum_us, sum_ln = sum_ln + excluded.sum_ln,
                sum_ln2 = sum_ln2 + excluded.sum_ln2, tokens_in = tokens_in + excluded.tokens_in,
                tokens_out = tokens_out + excluded.tokens_out, cost_nano = cost_nano + excluded.cost_nano",
        )?;
        for ((entity, operation, hour), sum) in &self.operations {
            upsert.execute(rusqlite::params![
                entity.entity_type.as_str(),
                entity.entity_id,
                operation,
                hour.number(),
                sum.n,
                sum.errors,
                sum.timed,
                sum.sum_us,
                sum.sum_ln,
                sum.sum_ln2,
                sum.tokens_in,
                sum.tokens_out,
                sum.cost_nano,
            ])?;
        }
        let mut upsert = connection.prepare_cached(
            "INSERT INTO rollup_errors (entity_type, entity_id, fingerprint, hour, n) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT DO UPDATE SET n = n + excluded.n",
        )?;
        for ((entity, fingerprint, hour), n) in &self.errors {
            upsert.execute((entity.entity_type.as_str(), entity.entity_id, fingerprint, hour.number(), n))?;
        }
        Ok(())
    }
}

/// Where the event's task is folded: in its own trace, unless the task was seen at home in another.
fn home(connection: &Connection, dictionary: &mut Dictionary, placed: &Placed<'_>) -> Result<(i64, String), Fault> {
    let event = &placed.prepared.event;
    if let Some(task) = event.task_in_trace() {
        return Ok((placed.trace_no, task.to_owned()));
    }
    if !event.is_outside_tasks()
        && let Some(home) = dictionary.home_of(connection, &placed.entity.environment, &event.trace_key())?
    {
        return Ok(home);
    }
    Ok((placed.trace_no, String::new()))
}

/// Moves an agent's review counter on.
fn count_for_review(
    connection: &Connection,
    entity: EntityKey,
    batch: &IntakeBatch,
    (ended, first, latest): (i64, i64, i64),
) -> Result<(), Fault> {
    let schedule = batch.review;
    connection
        .prepare_cached(
            "INSERT INTO rolling_review_counters (entity_type, entity_id, review_type, task_threshold, period_hours,
                tasks_since_review, period_start_at, last_event_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
             ON CONFLICT DO UPDATE SET tasks_since_review = tasks_since_review + excluded.tasks_since_review,
                period_start_at = CASE WHEN last_review_at IS NULL
                    THEN min(coalesce(period_start_at, excluded.period_start_at), excluded.period_start_at)
                    ELSE period_start_at END,
                last_event_at = max(coalesce(last_event_at, excluded.last_event_at), excluded.last_event_at)",
        )?
        .execute((
            entity.entity_type.as_str(),
            entity.entity_id,
            schedule.kind.as_str(),
            schedule.task_threshold,
            schedule.period_hours,
            ended,
            first,
            latest,
        ))?;
    Ok(())
}
