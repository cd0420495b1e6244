//! Events in: stored once, folded into tasks and rollups, all in the writer's transaction.

use std::sync::Arc;

use crate::sql::{Connection, OptionalExtension};
use uplift_model::entity::check_name;
use uplift_model::event::{EntityRef, Event, PreparedEvent};
use uplift_model::task::{OutcomeRule, TaskDelta, WITHIN, bounds_a_task};

use super::dictionary::{Dictionary, KnownEntity};
use super::event_row::{self, Address};
use super::fault::Fault;
use super::sums::{Share, Sums};
use super::task_row::{self, TaskFold};
use super::{ahead, spans, units};
use crate::writes::{IntakeBatch, IntakeReceipt, Refusal, RefusalReason};

/// An event with its place in the batch and what it was resolved to.
struct Placed<'b> {
    index: usize,
    prepared: &'b PreparedEvent,
    trace_no: i64,
    entity: Arc<KnownEntity>,
}

/// Takes a batch in.
pub(super) fn commit(
    connection: &Connection,
    dictionary: &mut Dictionary,
    batch: &IntakeBatch,
) -> Result<IntakeReceipt, Fault> {
    dictionary.begin_arrivals(connection, batch.received_at.hour())?;
    let mut receipt = IntakeReceipt::default();
    ahead::traces(connection, dictionary, batch)?;
    let mut placed = place(connection, dictionary, batch, &mut receipt)?;
    // In identity order the clustered tree is written front to back.
    placed.sort_by(|a, b| {
        (a.trace_no, &a.prepared.event.id, a.index).cmp(&(b.trace_no, &b.prepared.event.id, b.index))
    });
    let mut sums = Sums::default();
    let mut insert = event_row::insert(connection)?;
    let identities = placed.iter().map(|event| (event.trace_no, event.prepared.event.id.as_str()));
    let mut taken = ahead::identities(connection, dictionary, identities)?;
    for event in &placed {
        let task = event.prepared.event.task_in_trace();
        let address = Address { trace_no: event.trace_no, entity: Some(event.entity.key), task, span: None };
        if let Some(numbers) =
            event_row::write(connection, dictionary, (&mut insert, &mut taken), event.prepared, address)?
        {
            receipt.accepted += 1;
            if let Some(task) = task {
                let home = (event.trace_no, event.entity.environment.as_str(), task);
                link_task(connection, dictionary, &mut sums, home)?;
            }
            add(connection, dictionary, &mut sums, event, numbers.attributes)?;
            learn(connection, dictionary, batch, (&event.entity, &event.prepared.event), numbers.tool)?;
        } else {
            let id = &event.prepared.event.id;
            let stored = match &taken {
                Some(taken) => taken.get(&(event.trace_no, id.clone())).copied(),
                None => stored_digest(connection, event.trace_no, id)?,
            };
            again(&mut receipt, stored, event.index, event.prepared);
        }
    }
    let late = spans::take(connection, dictionary, batch, &mut sums, &mut receipt)?;
    sums.write(connection, dictionary, batch)?;
    late.finish(connection, dictionary)?;
    if !dictionary.trials(connection)?.is_empty() {
        units::touch(connection, dictionary, &sums.traces())?;
    }
    dictionary.end_batch();
    receipt.touched = sums.into_touched();
    receipt.refused.sort_by_key(|refusal| refusal.index);
    empty_inbox(connection, batch, &receipt)?;
    // Nothing to settle is nothing to write, not even the clock.
    if !(batch.events.is_empty() && batch.settle_before.is_some() && receipt.settled == 0) {
        move_clock(connection, dictionary, batch.received_at.micros())?;
    }
    Ok(receipt)
}

/// Moves the engine's clock on; it never goes back.
pub(super) fn move_clock(connection: &Connection, dictionary: &mut Dictionary, now_us: i64) -> Result<(), Fault> {
    if dictionary.clock_us.is_some_and(|clock| clock >= now_us) {
        return Ok(());
    }
    connection.prepare_cached("UPDATE engine_clock SET now_us = ?1 WHERE now_us < ?1")?.defer([now_us])?;
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
        connection.prepare_cached("DELETE FROM event_inbox WHERE seq = ?1")?.defer([seq])?;
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
        .defer((seq, reason, at_us))?;
    connection.prepare_cached("DELETE FROM event_inbox WHERE seq = ?1")?.defer([seq])?;
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
        if spans::is_span(event) {
            continue;
        }
        let entity = match resolve(connection, dictionary, batch, event)? {
            Ok(entity) => entity,
            Err(reason) => {
                receipt.refused.push(Refusal { index, reason });
                continue;
            }
        };
        // An entity named by its key brings its environment along, whatever the event says.
        let trace_no = dictionary.trace(connection, &entity.environment, &event.trace_key())?;
        let one = Placed { index, prepared, trace_no, entity };
        if others_task(connection, dictionary, batch, &one)? {
            let task = event.task_id.clone().unwrap_or_else(|| event.trace_key());
            receipt.refused.push(Refusal { index, reason: RefusalReason::OthersTask { task } });
            continue;
        }
        placed.push(one);
    }
    Ok(placed)
}

/// Whether an event begins or ends a task that was begun or ended by somebody for whom the sender does not stand. What
/// happens within a task may come from all who work on it.
fn others_task(
    connection: &Connection,
    dictionary: &mut Dictionary,
    batch: &IntakeBatch,
    placed: &Placed<'_>,
) -> Result<bool, Fault> {
    let event = &placed.prepared.event;
    if batch.stands_for.is_empty() || !bounds_a_task(event.kind) || event.is_outside_tasks() {
        return Ok(false);
    }
    let (trace_no, task) = home(connection, dictionary, placed)?;
    let Some(known) = task_row::read(connection, trace_no, &task)? else { return Ok(false) };
    // A claim by what happened within the task is nobody's for good.
    let Some(owner) = known.delta.owner.filter(|owner| owner.rank < WITHIN && owner.entity != placed.entity.key)
    else {
        return Ok(false);
    };
    let named = connection
        .prepare_cached("SELECT environment, name FROM entities WHERE entity_type = ?1 AND entity_id = ?2")?
        .query_row((owner.entity.entity_type.as_str(), owner.entity.entity_id), |row| {
            Ok((row.get::<String>(0)?, row.get::<String>(1)?))
        })
        .optional()?;
    Ok(named.is_some_and(|(environment, name)| {
        !batch.stands_for.iter().any(|bound| bound.covers(&environment, owner.entity.entity_type, &name))
    }))
}

/// The entity an event is about.
pub(super) fn resolve(
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

/// The digest of the event that has this identity, if there is one.
pub(super) fn stored_digest(connection: &Connection, trace_no: i64, id: &str) -> Result<Option<i64>, Fault> {
    Ok(connection
        .prepare_cached("SELECT digest FROM event_rows WHERE trace_no = ?1 AND id = ?2")?
        .query_row((trace_no, id), |row| row.get(0))
        .optional()?)
}

/// Notes an event whose identity is taken, by one with this digest: a retry, or a conflict.
pub(super) fn again(receipt: &mut IntakeReceipt, stored: Option<i64>, index: usize, prepared: &PreparedEvent) {
    if stored == Some(prepared.digest) {
        receipt.duplicates += 1;
    } else {
        let (id, trace_key) = (prepared.event.id.clone(), prepared.event.trace_key());
        receipt.refused.push(Refusal { index, reason: RefusalReason::Conflict { id, trace_key } });
    }
}

/// Registers the tool an agent called, and the tie between them.
pub(super) fn learn(
    connection: &Connection,
    dictionary: &mut Dictionary,
    batch: &IntakeBatch,
    (entity, event): (&KnownEntity, &Event),
    tool_no: Option<i64>,
) -> Result<(), Fault> {
    match event.tool.as_deref().zip(tool_no) {
        Some((tool, tool_no)) if batch.auto_register && check_name(tool).is_ok() => {
            dictionary.learn_tool(connection, entity.key, &entity.environment, (tool_no, tool), batch)
        }
        _ => Ok(()),
    }
}

/// Notes where a task is at home that has another name than its trace. Events that knew only the task may have
/// come before, in earlier batches or in this one: they are at home now.
pub(super) fn link_task(
    connection: &Connection,
    dictionary: &mut Dictionary,
    sums: &mut Sums,
    (trace_no, environment, task): (i64, &str, &str),
) -> Result<(), Fault> {
    if dictionary.link(connection, environment, task, trace_no)?
        && let Some(alone) = dictionary.find_trace(connection, environment, task)?
    {
        task_row::move_home(connection, alone, (trace_no, task))?;
        dictionary.moved_to(trace_no);
        sums.move_task(alone, (trace_no, task));
    }
    Ok(())
}

fn add(
    connection: &Connection,
    dictionary: &mut Dictionary,
    sums: &mut Sums,
    placed: &Placed<'_>,
    attributes_no: Option<i64>,
) -> Result<(), Fault> {
    let event = &placed.prepared.event;
    let entity = placed.entity.key;
    let rule = placed.entity.config.outcome.as_ref().unwrap_or(&OutcomeRule::Status);
    let fold =
        TaskFold { delta: TaskDelta::of(event, entity, rule), attributes_no, pseudo: event.is_outside_tasks() };
    sums.add_to_task(home(connection, dictionary, placed)?, fold);
    let fingerprint = placed.prepared.error.as_ref().map(|error| error.fingerprint.to_string());
    sums.add_to_entity(Share { entity, event, fingerprint: fingerprint.as_deref(), measured: true });
    Ok(())
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
