//! Events that came as spans: whose task each counts for, settled as their trace comes in.
//!
//! Spans of one trace arrive in any order, over many requests, mostly the inner ones first. Each is stored at once, and
//! counted as soon as the way up to its agent is known; what is found there is final. Until then it waits for the span
//! that is missing. When the trace has been quiet for a while, spans that still wait are counted for the agent at the
//! root, else for a task under the name of the missing span, of the agent that stands in; should the span come after
//! all, that is taken back. So the tasks are the same in the end, whatever came first.
//!
//! - `tree`: the way up.
//! - `row`: spans as they are stored.
//! - `ahead`: stored spans that a batch will ask for, looked up at once.
//! - `lately`: what is known of traces that some came in for lately.
//! - `count`: what a span adds to a task.
//! - `trace`: the spans of one trace as they come in.
//! - `going_on`: stored spans for which what was missing has come, or whose trace has become quiet.
//! - `hand_off`: agents under agents.

mod ahead;
mod count;
mod going_on;
mod hand_off;
mod lately;
mod row;
mod trace;
mod tree;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::sql::{Connection, Statement};
use uplift_model::entity::{EntityKey, EntityName, EntityType};
use uplift_model::event::{EntityRef, Event, PreparedEvent};
use uplift_model::span::{SpanLink, SpanRole};

use self::ahead::Ahead;
use self::trace::Trace;
use super::ahead::{Taken, identities};
use super::dictionary::{Dictionary, KnownEntity};
use super::fault::Fault;
use super::sums::Sums;
use super::{event_row, intake};
use crate::writes::{IntakeBatch, IntakeReceipt, Refusal};

pub(super) use self::lately::Lately;

/// Traces settled in one commit.
const MAX_SETTLED: u32 = 500;

/// Whether an event is taken in as a span.
pub(super) const fn is_span(event: &Event) -> bool {
    event.link.is_some() && event.trace_id.is_some() && matches!(event.entity, EntityRef::Name(_))
}

/// A span of the batch.
struct Arrived<'b> {
    index: usize,
    prepared: &'b PreparedEvent,
    link: &'b SpanLink,
    /// The entity it names, or the agent that stands in.
    name: &'b EntityName,
    trace_no: i64,
    /// The entity, if it names one.
    known: Option<Arc<KnownEntity>>,
}

/// What remains to be done once the sums are written.
#[derive(Default)]
pub(super) struct Late {
    /// Tasks that something was taken back from.
    rebuild: BTreeSet<(i64, String)>,
    /// Traces that were found to belong to a session.
    sessions: Vec<Joined>,
    /// Traces some spans of which wait, and those none of which do any longer.
    unsettled: Vec<i64>,
    settled: Vec<i64>,
    entities: Entities,
}

/// A trace that belongs to a session.
struct Joined {
    trace_no: i64,
    session: String,
    /// None of its spans was stored before, so that all of its tasks know.
    is_new: bool,
}

/// Entities by key, read once a batch.
#[derive(Default)]
struct Entities(HashMap<EntityKey, Option<Arc<KnownEntity>>>);

impl Entities {
    fn get(&mut self, connection: &Connection, key: EntityKey) -> Result<Option<Arc<KnownEntity>>, Fault> {
        if let Some(known) = self.0.get(&key) {
            return Ok(known.clone());
        }
        let known = Dictionary::entity_by_key(connection, key)?;
        self.0.insert(key, known.clone());
        Ok(known)
    }

    fn know(&mut self, known: &Arc<KnownEntity>) {
        self.0.entry(known.key).or_insert_with(|| Some(Arc::clone(known)));
    }
}

/// What all traces of a batch share.
struct Desk<'a> {
    connection: &'a Connection,
    dictionary: &'a mut Dictionary,
    batch: &'a IntakeBatch,
    sums: &'a mut Sums,
    late: Late,
    insert: Statement<'a>,
    /// Identities that were looked up ahead.
    taken: Option<Taken>,
    ahead: Ahead,
}

impl Desk<'_> {
    /// The agent of this name, registered if that is allowed.
    fn agent(&mut self, name: &EntityName) -> Result<Option<Arc<KnownEntity>>, Fault> {
        let known = match self.dictionary.entity(self.connection, name)? {
            Some(known) => Some(known),
            None if self.batch.auto_register => {
                let (defaults, at) = (&self.batch.defaults, self.batch.received_at);
                Some(self.dictionary.add_entity(self.connection, name, defaults, at)?)
            }
            None => None,
        };
        if let Some(known) = &known {
            self.late.entities.know(known);
        }
        Ok(known)
    }

    fn entity(&mut self, key: EntityKey) -> Result<Option<Arc<KnownEntity>>, Fault> {
        if let Some(known) = self.dictionary.entity_known_by(key) {
            return Ok(Some(known));
        }
        self.late.entities.get(self.connection, key)
    }
}

/// Takes in the spans of a batch, and settles what the batch asks to settle.
pub(super) fn take(
    connection: &Connection,
    dictionary: &mut Dictionary,
    batch: &IntakeBatch,
    sums: &mut Sums,
    receipt: &mut IntakeReceipt,
) -> Result<Late, Fault> {
    let mut desk = Desk {
        connection,
        dictionary,
        batch,
        sums,
        late: Late::default(),
        insert: event_row::insert(connection)?,
        taken: None,
        ahead: Ahead::default(),
    };
    let (mut arrived, new) = place(&mut desk, receipt)?;
    arrived.sort_by(|a, b| {
        (a.trace_no, &a.prepared.event.id, a.index).cmp(&(b.trace_no, &b.prepared.event.id, b.index))
    });
    let ids = arrived.iter().map(|arrived| (arrived.trace_no, arrived.prepared.event.id.as_str()));
    desk.taken = identities(connection, desk.dictionary, ids)?;
    desk.look_ahead(&arrived, |trace_no| new.contains(&trace_no))?;
    for group in arrived.chunk_by(|a, b| a.trace_no == b.trace_no) {
        let trace_no = group[0].trace_no;
        let mut trace = Trace::open(&mut desk, trace_no, &group[0].name.environment, new.contains(&trace_no))?;
        trace.take(&mut desk, group, receipt)?;
        trace.close(&mut desk);
    }
    desk.late.note_waiting(connection, batch.received_at.micros())?;
    if let Some(before) = batch.settle_before {
        receipt.settled = settle(&mut desk, before.micros())?;
    }
    Ok(desk.late)
}

/// Resolves entities and traces; what cannot be resolved goes to the receipt. Gives back the traces that are new, too.
fn place<'b>(desk: &mut Desk<'b>, receipt: &mut IntakeReceipt) -> Result<(Vec<Arrived<'b>>, BTreeSet<i64>), Fault> {
    let batch = desk.batch;
    let (mut arrived, mut new) = (Vec::new(), BTreeSet::new());
    for (index, prepared) in batch.events.iter().enumerate() {
        let event = &prepared.event;
        let (Some(link), EntityRef::Name(name)) = (&event.link, &event.entity) else { continue };
        if !is_span(event) {
            continue;
        }
        let known = if link.names_entity || link.role == SpanRole::Agent {
            match intake::resolve(desk.connection, desk.dictionary, batch, event)? {
                Ok(known) => {
                    desk.late.entities.know(&known);
                    Some(known)
                }
                Err(reason) => {
                    receipt.refused.push(Refusal { index, reason });
                    continue;
                }
            }
        } else {
            None
        };
        let key = event.trace_key();
        let (trace_no, is_new) = desk.dictionary.trace_or_new(desk.connection, &name.environment, &key)?;
        if is_new {
            new.insert(trace_no);
        }
        arrived.push(Arrived { index, prepared, link, name, trace_no, known });
    }
    Ok((arrived, new))
}

/// Settles traces that have been quiet since `before_us`; says how many.
fn settle(desk: &mut Desk<'_>, before_us: i64) -> Result<u64, Fault> {
    let quiet: Vec<(i64, String)> = {
        let mut statement = desk.connection.prepare_cached(
            "SELECT u.trace_no, (SELECT t.environment FROM traces AS t WHERE t.trace_no = u.trace_no)
             FROM unsettled_traces AS u WHERE u.last_us <= ?1 ORDER BY u.trace_no LIMIT ?2",
        )?;
        let rows = statement.query_map((before_us, MAX_SETTLED), |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.collect::<Result<_, _>>()?
    };
    desk.look_ahead_of_settling(&quiet.iter().map(|(trace_no, _)| *trace_no).collect())?;
    let mut delete = desk.connection.prepare_cached("DELETE FROM unsettled_traces WHERE trace_no = ?1")?;
    for (trace_no, environment) in &quiet {
        let mut trace = Trace::open(desk, *trace_no, environment, false)?;
        trace.settle(desk)?;
        trace.put_back(desk);
        delete.gather(1, [trace_no])?;
    }
    Ok(quiet.len() as u64)
}

impl Late {
    /// Notes traces some spans of which wait, and until when they last came in.
    fn note_waiting(&mut self, connection: &Connection, now_us: i64) -> Result<(), Fault> {
        let mut delete = connection.prepare_cached("DELETE FROM unsettled_traces WHERE trace_no = ?1")?;
        for trace_no in self.settled.drain(..) {
            delete.gather(1, [trace_no])?;
        }
        let mut note = connection.prepare_cached(
            "INSERT INTO unsettled_traces AS t (trace_no, last_us) VALUES (?1, ?2)
             ON CONFLICT (trace_no) DO UPDATE SET last_us = excluded.last_us WHERE t.last_us < excluded.last_us",
        )?;
        for trace_no in self.unsettled.drain(..) {
            note.gather(1, (trace_no, now_us))?;
        }
        Ok(())
    }

    /// Does what had to wait for the sums.
    pub(super) fn finish(mut self, connection: &Connection, dictionary: &mut Dictionary) -> Result<(), Fault> {
        for Joined { trace_no, session, .. } in &self.sessions {
            connection
                .prepare_cached("UPDATE traces SET session_id = ?2 WHERE trace_no = ?1")?
                .gather(1, (trace_no, session))?;
        }
        for Joined { trace_no, session, .. } in self.sessions.iter().filter(|joined| !joined.is_new) {
            connection
                .prepare_cached(
                    "UPDATE task_rows SET session_id = ?2
                     WHERE trace_no = ?1 AND (session_id IS NULL OR session_id > ?2) AND task IN (
                        SELECT task FROM event_rows WHERE trace_no = ?1 AND parent IS NOT NULL AND task IS NOT NULL)",
                )?
                .defer((trace_no, session))?;
        }
        for (trace_no, task) in &self.rebuild {
            let (session, environment): (Option<String>, String) = connection
                .prepare_cached("SELECT session_id, environment FROM traces WHERE trace_no = ?1")?
                .query_row([trace_no], |row| Ok((row.get(0)?, row.get(1)?)))?;
            count::rebuild(connection, (*trace_no, task), session.as_deref(), |row| {
                match (row.entity, &row.stand_in) {
                    (Some(key), _) => self.entities.get(connection, key),
                    (None, Some(name)) => dictionary.entity(connection, &stand_in(&environment, name)),
                    (None, None) => Ok(None),
                }
            })?;
        }
        Ok(())
    }
}

/// A name for what stands in, in an environment.
fn stand_in(environment: &str, name: &str) -> EntityName {
    EntityName { environment: environment.to_owned(), entity_type: EntityType::Agent, name: name.to_owned() }
}
