//! The spans of one trace as they come in.

use crate::sql::params;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use uplift_model::entity::EntityKey;
use uplift_model::event::{Event, EventKind, Outcome, PreparedEvent};
use uplift_model::span::SpanRole;

use super::ahead::as_read_back;
use super::count::{self, is_measured};
use super::lately::Known;
use super::row::{self, Flags, Shelf, SpanRow};
use super::tree::{End, Span, Tree, Way};
use super::{Arrived, Desk, Joined, stand_in};
use crate::logic::dictionary::KnownEntity;
use crate::logic::event_row::{self, Address, Numbers, SpanColumns};
use crate::logic::fault::{Fault, corrupt};
use crate::logic::intake;
use crate::logic::sums::Share;
use crate::writes::IntakeReceipt;

/// Spans of one trace that may wait; those beyond are counted as if the trace were quiet, and for good.
const MAX_WAITING: usize = 100_000;

/// A trace that spans come in for.
pub(super) struct Trace<'t> {
    pub(super) number: i64,
    pub(super) environment: &'t str,
    /// None of its spans was stored before.
    new: bool,
    pub(super) known: Known,
    waited: bool,
    /// Entities of tasks, by the span that the task is named after.
    pub(super) owners: HashMap<String, Option<Arc<KnownEntity>>>,
    /// Roots that stand for a task.
    pub(super) standing: BTreeSet<String>,
}

impl<'t> Trace<'t> {
    pub(super) fn open(desk: &mut Desk<'_>, trace_no: i64, environment: &'t str, new: bool) -> Result<Self, Fault> {
        let known = match desk.dictionary.spans.take(trace_no) {
            Some(known) => known,
            None if new => Known::default(),
            None => Known::load(desk.connection, trace_no)?,
        };
        let waited = known.count() > 0;
        let (owners, standing) = (HashMap::new(), BTreeSet::new());
        Ok(Self { number: trace_no, environment, new, known, waited, owners, standing })
    }

    /// Keeps what is known of it for the next time.
    pub(super) fn put_back(self, desk: &mut Desk<'_>) {
        desk.dictionary.spans.put(self.number, self.known);
    }

    /// Notes whether spans wait, and puts it back.
    pub(super) fn close(self, desk: &mut Desk<'_>) {
        if self.known.count() > 0 {
            desk.late.unsettled.push(self.number);
        } else if self.waited {
            desk.late.settled.push(self.number);
        }
        self.put_back(desk);
    }

    /// Takes in spans of this trace, sorted by id.
    pub(super) fn take(
        &mut self,
        desk: &mut Desk<'_>,
        group: &[Arrived<'_>],
        receipt: &mut IntakeReceipt,
    ) -> Result<(), Fault> {
        let fresh = self.unseen(desk, group, receipt)?;
        if fresh.is_empty() {
            return Ok(());
        }
        receipt.accepted += fresh.len() as u64;
        self.join_session(desk, &fresh);
        let spans = fresh.iter().map(|arrived| {
            let event = &arrived.prepared.event;
            Span {
                id: &event.id,
                parent: arrived.link.parent.as_deref(),
                role: arrived.link.role,
                is_call: event.kind == EventKind::LlmCall
                    && (event.tokens_in.is_some() || event.tokens_out.is_some()),
            }
        });
        let (connection, ahead) = (desk.connection, &desk.ahead);
        let mut shelf = Shelf { connection, ahead, trace_no: self.number, may_have: !self.new };
        let tree = Tree::of(spans.collect(), &mut shelf)?;
        for arrived in fresh.iter().filter(|arrived| arrived.link.role == SpanRole::Agent) {
            self.owners.insert(arrived.prepared.event.id.clone(), arrived.known.clone());
        }
        for (place, arrived) in fresh.iter().enumerate() {
            let way = tree.way(place).ok_or_else(|| corrupt("a trace", "a span has no way up"))?;
            match arrived.link.role {
                SpanRole::Plain => self.put_plain(desk, arrived, way)?,
                SpanRole::Agent => self.put_agent(desk, arrived, way)?,
                SpanRole::Work => self.put_work(desk, arrived, way, (&tree, &fresh))?,
            }
        }
        self.release(desk, &tree)?;
        self.stand(desk)
    }

    /// Those that were not stored before; the others go to the receipt.
    fn unseen<'g, 'b>(
        &self,
        desk: &Desk<'_>,
        group: &'g [Arrived<'b>],
        receipt: &mut IntakeReceipt,
    ) -> Result<Vec<&'g Arrived<'b>>, Fault> {
        let mut fresh: Vec<&Arrived<'_>> = Vec::with_capacity(group.len());
        for arrived in group {
            let id = &arrived.prepared.event.id;
            let stored = match fresh.last() {
                Some(last) if last.prepared.event.id == *id => Some(last.prepared.digest),
                _ if self.new => None,
                _ if let Some(taken) = &desk.taken => taken.get(&(self.number, id.clone())).copied(),
                _ => row::digest(desk.connection, self.number, id)?,
            };
            if stored.is_some() {
                intake::again(receipt, stored, arrived.index, arrived.prepared);
            } else {
                fresh.push(arrived);
            }
        }
        Ok(fresh)
    }

    fn join_session(&mut self, desk: &mut Desk<'_>, fresh: &[&Arrived<'_>]) {
        let named = fresh.iter().filter_map(|arrived| arrived.prepared.event.session_id.as_ref()).min();
        let Some(session) = named else { return };
        if self.known.session.as_ref().is_none_or(|known| session < known) {
            self.known.session = Some(session.clone());
            desk.late.sessions.push(Joined { trace_no: self.number, session: session.clone(), is_new: self.new });
            desk.sums.note_trace(self.number);
        }
    }

    fn put_plain(&mut self, desk: &mut Desk<'_>, arrived: &Arrived<'_>, way: &Way) -> Result<(), Fault> {
        let (prepared, event) = (arrived.prepared, &arrived.prepared.event);
        let flags = flags(arrived, way, false);
        let (task, waits_at) = match &way.end {
            End::Agent(task) | End::Root(task) => (Some(task), None),
            End::Missing(missing) => (None, Some(missing)),
        };
        let numbers = event_row::number(desk.connection, desk.dictionary, prepared)?;
        let Numbers { error_type, body, attributes, .. } = numbers;
        let stand_in = desk.dictionary.name(desk.connection, &arrived.name.name)?;
        desk.connection
            .prepare_cached(
                "INSERT INTO plain_spans (trace_no, id, ts, parent, span_flags, waits_at, stand_in, task, outcome,
                    duration_ms, error_type, clock, body_no, attributes_no, exposures, digest)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
            )?
            .append(params![
                self.number,
                event.id,
                event.ts.micros(),
                arrived.link.parent.as_deref().unwrap_or_default(),
                flags.code(),
                waits_at,
                stand_in,
                task,
                event.outcome.map(Outcome::code),
                event.duration_ms,
                error_type,
                event.clock.code(),
                body,
                attributes,
                event_row::exposures(prepared)?,
                prepared.digest,
            ])?;
        if let (Some(number), Some(content)) = (body, &event.content) {
            desk.dictionary.add_body(desk.connection, number, content)?;
        }
        let stored = (flags, waits_at.map(String::as_str));
        self.remember(desk, arrived, stored, (None, task.map(String::as_str)), &numbers);
        if let Some(missing) = waits_at {
            self.known.wait(missing.clone(), event.id.clone());
        }
        if !event.exposures.is_empty() {
            // The request's span often is the one that says which arm was served.
            desk.sums.note_trace(self.number);
        }
        Ok(())
    }

    fn put_agent(&mut self, desk: &mut Desk<'_>, arrived: &Arrived<'_>, way: &Way) -> Result<(), Fault> {
        let event = &arrived.prepared.event;
        let Some(entity) = &arrived.known else { return Ok(()) };
        let waits_at = match &way.end {
            End::Missing(missing) => Some(missing.as_str()),
            _ => None,
        };
        let flags = Flags { inside_call: false, ..flags(arrived, way, true) };
        let numbers = self.put_event(desk, arrived, (flags, waits_at), Some(&entity.clone()), Some(&event.id))?;
        let session = self.known.session.as_deref();
        let fold = count::fold(event, entity, session, false, numbers.attributes);
        desk.sums.add_to_task((self.number, event.id.clone()), fold);
        count_for_entity(desk, entity, event, fingerprint(arrived.prepared).as_deref(), false);
        intake::link_task(desk.connection, desk.dictionary, desk.sums, (self.number, self.environment, &event.id))?;
        match &way.end {
            End::Agent(above) => self.hand_off(desk, event, entity, above),
            End::Root(_) => Ok(()),
            End::Missing(missing) => {
                self.known.wait(missing.clone(), event.id.clone());
                Ok(())
            }
        }
    }

    fn put_work(
        &mut self,
        desk: &mut Desk<'_>,
        arrived: &Arrived<'_>,
        way: &Way,
        batch: (&Tree<'_>, &[&Arrived<'_>]),
    ) -> Result<(), Fault> {
        let event = &arrived.prepared.event;
        let fingerprint = fingerprint(arrived.prepared);
        let full = self.known.count() >= MAX_WAITING;
        let (task, waits_at) = match &way.end {
            End::Missing(missing) if !full => (None, Some(missing)),
            End::Agent(task) | End::Root(task) | End::Missing(task) => (Some(task), None),
        };
        if matches!(way.end, End::Root(_)) {
            self.standing.extend(task.cloned());
        }
        let entity = match (&arrived.known, task) {
            (Some(known), _) => Some(Arc::clone(known)),
            (None, Some(task)) => self.owner_in_batch(desk, task, batch)?,
            (None, None) => None,
        };
        // A call that waits may turn out to be inside another: it is not measured yet.
        let at_entity = entity.is_some() && (task.is_some() || event.kind != EventKind::LlmCall);
        let at_task = entity.is_some() && task.is_some();
        let flags = Flags { at_entity, at_task, ..flags(arrived, way, true) };
        let numbers = self.put_event(
            desk,
            arrived,
            (flags, waits_at.map(String::as_str)),
            entity.as_ref(),
            task.map(String::as_str),
        )?;
        if let Some(entity) = &entity {
            if at_entity {
                count_for_entity(desk, entity, event, fingerprint.as_deref(), way.inside_call);
                intake::learn(desk.connection, desk.dictionary, desk.batch, (entity, event), numbers.tool)?;
            }
            if let Some(task) = task {
                let session = self.known.session.as_deref();
                let fold = count::fold(event, entity, session, way.inside_call, numbers.attributes);
                desk.sums.add_to_task((self.number, task.clone()), fold);
            }
        }
        if let Some(missing) = waits_at {
            self.known.wait(missing.clone(), event.id.clone());
        }
        Ok(())
    }

    fn put_event(
        &self,
        desk: &mut Desk<'_>,
        arrived: &Arrived<'_>,
        (flags, waits_at): (Flags, Option<&str>),
        entity: Option<&Arc<KnownEntity>>,
        task: Option<&str>,
    ) -> Result<Numbers, Fault> {
        let connection = desk.connection;
        let stand_in = match arrived.known {
            Some(_) => None,
            None => Some(desk.dictionary.name(connection, &arrived.name.name)?),
        };
        let parent = arrived.link.parent.as_deref().unwrap_or_default();
        let span = Some(SpanColumns { parent, flags: flags.code(), waits_at, stand_in });
        let address = Address { trace_no: self.number, entity: entity.map(|entity| entity.key), task, span };
        let insert = (&mut desk.insert, &mut desk.taken);
        let numbers = event_row::write(connection, desk.dictionary, insert, arrived.prepared, address)?
            .ok_or_else(|| corrupt("a span", "it is stored, and was not found"))?;
        self.remember(desk, arrived, (flags, waits_at), (address.entity, task), &numbers);
        Ok(numbers)
    }

    /// Remembers a root that was stored just now: it may have to be read back, as what stands for the task.
    fn remember(
        &self,
        desk: &mut Desk<'_>,
        arrived: &Arrived<'_>,
        stored: (Flags, Option<&str>),
        counted: (Option<EntityKey>, Option<&str>),
        numbers: &Numbers,
    ) {
        if desk.connection.is_remote() && arrived.link.parent.is_none() {
            desk.ahead.put(self.number, as_read_back(arrived, stored, counted, numbers));
        } else {
            desk.ahead.forget(self.number, &arrived.prepared.event.id);
        }
    }

    /// The entity of the task named after a span of the batch, or of a stored one.
    fn owner_in_batch(
        &mut self,
        desk: &mut Desk<'_>,
        task: &str,
        (tree, fresh): (&Tree<'_>, &[&Arrived<'_>]),
    ) -> Result<Option<Arc<KnownEntity>>, Fault> {
        if let Some(owner) = self.owners.get(task) {
            return Ok(owner.clone());
        }
        let Some(arrived) = tree.place(task).and_then(|place| fresh.get(place)) else {
            return self.owner(desk, task);
        };
        let owner = match &arrived.known {
            Some(known) => Some(Arc::clone(known)),
            None => desk.agent(arrived.name)?,
        };
        self.owners.insert(task.to_owned(), owner.clone());
        Ok(owner)
    }

    /// The entity of the task named after a stored span.
    pub(super) fn owner(&mut self, desk: &mut Desk<'_>, task: &str) -> Result<Option<Arc<KnownEntity>>, Fault> {
        if let Some(owner) = self.owners.get(task) {
            return Ok(owner.clone());
        }
        let owner = match desk.stored(self.number, task)? {
            Some(SpanRow { entity: Some(key), .. }) => desk.entity(key)?,
            Some(SpanRow { stand_in: Some(name), .. }) => desk.agent(&stand_in(self.environment, &name))?,
            _ => None,
        };
        self.owners.insert(task.to_owned(), owner.clone());
        Ok(owner)
    }

    /// Counts roots as the ends of the tasks that they stand for, each once.
    fn stand(&mut self, desk: &mut Desk<'_>) -> Result<(), Fault> {
        for root in std::mem::take(&mut self.standing) {
            let Some(mut row) = desk.stored(self.number, &root)? else { continue };
            let (false, Some(entity)) = (row.flags.stands, self.owner(desk, &root)?) else { continue };
            let ending = count::ending(&row.event);
            let fold = count::fold_ending(&ending, &entity, self.known.session.as_deref(), row.attributes_no);
            desk.sums.add_to_task((self.number, root.clone()), fold);
            count_for_entity(desk, &entity, &ending, None, false);
            intake::link_task(desk.connection, desk.dictionary, desk.sums, (self.number, self.environment, &root))?;
            row.flags.stands = true;
            desk.update(self.number, &row)?;
        }
        Ok(())
    }
}

fn fingerprint(prepared: &PreparedEvent) -> Option<String> {
    prepared.error.as_ref().map(|error| error.fingerprint.to_string())
}

fn flags(arrived: &Arrived<'_>, way: &Way, counted: bool) -> Flags {
    Flags {
        role: arrived.link.role,
        named: arrived.known.is_some(),
        inside_call: way.inside_call,
        at_entity: counted,
        at_task: counted,
        stands: false,
    }
}

pub(super) fn count_for_entity(
    desk: &mut Desk<'_>,
    entity: &KnownEntity,
    event: &Event,
    fingerprint: Option<&str>,
    inside_call: bool,
) {
    let measured = is_measured(event, inside_call);
    desk.sums.add_to_entity(Share { entity: entity.key, event, fingerprint, measured });
}
