//! What the new events of a batch add up to, and how that is written: tasks, hourly sums, counters.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::sql::{Connection, params};
use uplift_model::entity::EntityKey;
use uplift_model::event::Event;
use uplift_model::rollup::OperationDelta;
use uplift_model::{EntityType, Hour};

use super::dictionary::Dictionary;
use super::fault::Fault;
use super::task_row::{self, TaskFold};
use crate::writes::IntakeBatch;

/// The sums. Sorted maps: the trees are then written in key order.
#[derive(Default)]
pub(super) struct Sums {
    tasks: BTreeMap<(i64, String), TaskFold>,
    operations: BTreeMap<(EntityKey, String, Hour), OperationDelta>,
    errors: BTreeMap<(EntityKey, String, Hour), i64>,
    /// Tasks ended, and the first and latest event, microseconds.
    entities: HashMap<EntityKey, (i64, i64, i64)>,
    touched: BTreeSet<EntityKey>,
    /// Traces that a task was moved away from.
    moved: Vec<i64>,
    /// Something was taken back: sums may have come down to nothing.
    took_back: bool,
}

/// What an event adds to its entity.
#[derive(Debug, Clone, Copy)]
pub(super) struct Share<'a> {
    pub(super) entity: EntityKey,
    pub(super) event: &'a Event,
    /// Of its group of errors.
    pub(super) fingerprint: Option<&'a str>,
    /// It is measured as an operation.
    pub(super) measured: bool,
}

impl Share<'_> {
    fn operation(&self) -> Option<(EntityKey, String, Hour)> {
        let operation = self.event.operation().filter(|_| self.measured)?;
        Some((self.entity, operation.to_string(), self.event.ts.hour()))
    }

    fn error(&self) -> Option<(EntityKey, String, Hour)> {
        Some((self.entity, self.fingerprint?.to_owned(), self.event.ts.hour()))
    }
}

impl Sums {
    /// Adds what an event says of a task.
    pub(super) fn add_to_task(&mut self, task: (i64, String), fold: TaskFold) {
        self.tasks.entry(task).or_default().merge(fold);
    }

    /// Moves what waits for a task that was named without its trace to where it is at home.
    pub(super) fn move_task(&mut self, alone: i64, home: (i64, &str)) {
        self.moved.push(alone);
        if let Some(waiting) = self.tasks.remove(&(alone, String::new())) {
            self.tasks.entry((home.0, home.1.to_owned())).or_default().merge(waiting);
        }
    }

    /// Notes that tasks of a trace change beyond what is added here.
    pub(super) fn note_trace(&mut self, trace_no: i64) {
        self.moved.push(trace_no);
    }

    /// Adds what an event says of its entity.
    pub(super) fn add_to_entity(&mut self, share: Share<'_>) {
        let (entity, event) = (share.entity, share.event);
        // What Uplift says of an entity is nothing the entity did: it moves no window, counter or rule.
        if event.kind.is_own() {
            return;
        }
        if let Some(key) = share.operation() {
            self.operations.entry(key).or_default().merge(OperationDelta::of(event));
        }
        if let Some(key) = share.error() {
            *self.errors.entry(key).or_default() += 1;
        }
        let ts = event.ts.micros();
        let (ended, first, latest) = self.entities.entry(entity).or_insert((0, ts, ts));
        *ended += i64::from(event.kind.ends_task());
        *first = ts.min(*first);
        *latest = ts.max(*latest);
        self.touched.insert(entity);
    }

    /// Takes back what an event that ends no task was counted for.
    pub(super) fn take_from_entity(&mut self, share: Share<'_>) {
        self.took_back = true;
        if let Some(key) = share.operation() {
            let OperationDelta { n, errors, timed, sum_us, sum_ln, sum_ln2, tokens_in, tokens_out, cost_nano } =
                OperationDelta::of(share.event);
            self.operations.entry(key).or_default().merge(OperationDelta {
                n: -n,
                errors: -errors,
                timed: -timed,
                sum_us: -sum_us,
                sum_ln: -sum_ln,
                sum_ln2: -sum_ln2,
                tokens_in: -tokens_in,
                tokens_out: -tokens_out,
                cost_nano: -cost_nano,
            });
        }
        if let Some(key) = share.error() {
            *self.errors.entry(key).or_default() -= 1;
        }
        self.touched.insert(share.entity);
    }

    /// Traces with tasks that have changed.
    pub(super) fn traces(&self) -> BTreeSet<i64> {
        self.tasks.keys().map(|(trace_no, _)| *trace_no).chain(self.moved.iter().copied()).collect()
    }

    /// Whom the events were about.
    pub(super) fn into_touched(self) -> Vec<EntityKey> {
        self.touched.into_iter().collect()
    }

    /// Writes all of it.
    pub(super) fn write(
        &self,
        connection: &Connection,
        dictionary: &Dictionary,
        batch: &IntakeBatch,
    ) -> Result<(), Fault> {
        let stored = self.tasks.keys().filter(|(trace_no, _)| !dictionary.is_new_trace(*trace_no));
        let mut stored = task_row::read_all(connection, stored)?;
        for ((trace_no, task), fold) in &self.tasks {
            let mut whole = match &mut stored {
                Some(stored) => stored.remove(&(*trace_no, task.clone())),
                None if dictionary.is_new_trace(*trace_no) => None,
                None => task_row::read(connection, *trace_no, task)?,
            }
            .unwrap_or_default();
            whole.merge(fold.clone());
            task_row::write(connection, *trace_no, task, &whole)?;
        }
        self.write_rollups(connection)?;
        for (entity, (ended, first, latest)) in &self.entities {
            connection
                .prepare_cached(
                    "UPDATE entities SET last_seen_at = ?3
                     WHERE entity_type = ?1 AND entity_id = ?2 AND (last_seen_at IS NULL OR last_seen_at < ?3)",
                )?
                .defer((entity.entity_type.as_str(), entity.entity_id, latest))?;
            if entity.entity_type == EntityType::Agent {
                count_for_review(connection, *entity, batch, (*ended, *first, *latest))?;
            }
        }
        Ok(())
    }

    fn write_rollups(&self, connection: &Connection) -> Result<(), Fault> {
        let mut upsert = connection.prepare_cached(
            "INSERT INTO rollup_ops AS r (entity_type, entity_id, operation, hour, n, errors, timed, sum_us, sum_ln,
                sum_ln2, tokens_in, tokens_out, cost_nano)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
             ON CONFLICT (entity_type, entity_id, operation, hour) DO UPDATE SET n = r.n + excluded.n,
                errors = r.errors + excluded.errors, timed = r.timed + excluded.timed,
                sum_us = r.sum_us + excluded.sum_us, sum_ln = r.sum_ln + excluded.sum_ln,
                sum_ln2 = r.sum_ln2 + excluded.sum_ln2, tokens_in = r.tokens_in + excluded.tokens_in,
                tokens_out = r.tokens_out + excluded.tokens_out, cost_nano = r.cost_nano + excluded.cost_nano",
        )?;
        for ((entity, operation, hour), sum) in &self.operations {
            upsert.defer(params![
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
            "INSERT INTO rollup_errors AS r (entity_type, entity_id, fingerprint, hour, n) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (entity_type, entity_id, fingerprint, hour) DO UPDATE SET n = r.n + excluded.n",
        )?;
        for ((entity, fingerprint, hour), n) in &self.errors {
            upsert.defer((entity.entity_type.as_str(), entity.entity_id, fingerprint, hour.number(), n))?;
        }
        if self.took_back { self.forget_nothing(connection) } else { Ok(()) }
    }

    /// Deletes the sums that have come down to nothing.
    fn forget_nothing(&self, connection: &Connection) -> Result<(), Fault> {
        let mut delete = connection.prepare_cached(
            "DELETE FROM rollup_ops WHERE entity_type = ?1 AND entity_id = ?2 AND operation = ?3 AND hour = ?4 AND n <= 0",
        )?;
        for (entity, operation, hour) in self.operations.keys() {
            delete.defer((entity.entity_type.as_str(), entity.entity_id, operation, hour.number()))?;
        }
        let mut delete = connection.prepare_cached(
            "DELETE FROM rollup_errors
             WHERE entity_type = ?1 AND entity_id = ?2 AND fingerprint = ?3 AND hour = ?4 AND n <= 0",
        )?;
        for (entity, fingerprint, hour) in self.errors.keys() {
            delete.defer((entity.entity_type.as_str(), entity.entity_id, fingerprint, hour.number()))?;
        }
        Ok(())
    }
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
            "INSERT INTO rolling_review_counters AS c (entity_type, entity_id, review_type, task_threshold, period_hours,
                tasks_since_review, period_start_at, last_event_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
             ON CONFLICT (entity_type, entity_id) DO UPDATE SET
                tasks_since_review = c.tasks_since_review + excluded.tasks_since_review,
                period_start_at = CASE WHEN c.last_review_at IS NULL
                    AND (c.period_start_at IS NULL OR c.period_start_at > excluded.period_start_at)
                    THEN excluded.period_start_at ELSE c.period_start_at END,
                last_event_at = CASE WHEN c.last_event_at > excluded.last_event_at
                    THEN c.last_event_at ELSE excluded.last_event_at END",
        )?
        .defer((
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
