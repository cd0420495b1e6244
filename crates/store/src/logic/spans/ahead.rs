//! Stored spans that a batch will ask for one by one, asked for at once: where every question is a message to a server and
//! back, that is most of the time. Nothing depends on it but speed.

use std::collections::{HashMap, HashSet};

use uplift_model::entity::EntityKey;
use uplift_model::event::EventKind;
use uplift_model::span::SpanRole;

use super::lately::Known;
use super::row::{self, Flags, SpanRow};
use super::{Arrived, Desk};
use crate::logic::ahead;
use crate::logic::event_row::Numbers;
use crate::logic::fault::Fault;
use crate::sql::Connection;

/// Spans that are looked up ahead at most; the others are looked up when they are needed.
const MAX_ROWS: usize = 5_000;

/// Steps from a span to the one that its way ends at: the span above, its task or what it waits at, and that one's task.
const STEPS: usize = 3;

/// A span by its trace and its id.
type Key = (i64, String);

/// What was looked up; kept as what is stored changes.
#[derive(Default)]
pub(super) struct Ahead {
    /// Nothing for those that are not there.
    rows: HashMap<Key, Option<SpanRow>>,
    /// Hand-offs of these agents are not stored, or are among the identities that are taken.
    handed_off: HashSet<Key>,
}

impl Ahead {
    /// What is known of a span: nothing if it was not looked up, then whether there is one.
    #[allow(clippy::option_option, reason = "not looked up, not there, there")]
    pub(super) fn get(&self, trace_no: i64, id: &str) -> Option<Option<&SpanRow>> {
        if self.rows.is_empty() {
            return None;
        }
        self.rows.get(&(trace_no, id.to_owned())).map(Option::as_ref)
    }

    /// Whether it is known whether this agent's hand-off is stored.
    pub(super) fn knows_hand_off(&self, trace_no: i64, agent: &str) -> bool {
        self.handed_off.contains(&(trace_no, agent.to_owned()))
    }

    /// Notes a span that was stored just now.
    pub(super) fn put(&mut self, trace_no: i64, row: SpanRow) {
        self.rows.insert((trace_no, row.event.id.clone()), Some(row));
    }

    /// Notes that a stored span has changed.
    fn change(&mut self, trace_no: i64, row: &SpanRow) {
        if self.rows.is_empty() {
            return;
        }
        if let Some(known) = self.rows.get_mut(&(trace_no, row.event.id.clone())) {
            *known = Some(row.clone());
        }
    }

    /// Notes that what is known of a span is no longer so.
    pub(super) fn forget(&mut self, trace_no: i64, id: &str) {
        if !self.rows.is_empty() {
            self.rows.remove(&(trace_no, id.to_owned()));
        }
    }

    fn look_up(&mut self, connection: &Connection, mut wanted: Vec<Key>) -> Result<(), Fault> {
        for _ in 0..STEPS {
            wanted.retain(|key| !self.rows.contains_key(key));
            wanted.truncate(MAX_ROWS.saturating_sub(self.rows.len()));
            if wanted.is_empty() {
                break;
            }
            let found = row::read_many(connection, &wanted)?;
            self.rows.extend(wanted.drain(..).map(|key| (key, None)));
            for (trace_no, row) in found {
                let next = [row.task.as_ref(), row.waits_at.as_ref()];
                wanted.extend(next.into_iter().flatten().map(|id| (trace_no, id.clone())));
                self.put(trace_no, row);
            }
        }
        Ok(())
    }
}

impl Desk<'_> {
    /// A stored span.
    pub(super) fn stored(&self, trace_no: i64, id: &str) -> Result<Option<SpanRow>, Fault> {
        match self.ahead.get(trace_no, id) {
            Some(known) => Ok(known.cloned()),
            None => row::read(self.connection, trace_no, id),
        }
    }

    /// Writes where a stored span belongs.
    pub(super) fn update(&mut self, trace_no: i64, row: &SpanRow) -> Result<(), Fault> {
        self.ahead.change(trace_no, row);
        row::update(self.connection, trace_no, row)
    }

    /// Looks up what spans that came in will ask for, those of `new` traces excepted, which are nowhere yet.
    pub(super) fn look_ahead(&mut self, arrived: &[Arrived<'_>], is_new: impl Fn(i64) -> bool) -> Result<(), Fault> {
        if !self.connection.is_remote() {
            return Ok(());
        }
        let arrived: Vec<&Arrived<'_>> = arrived.iter().filter(|arrived| !is_new(arrived.trace_no)).collect();
        let traces: HashSet<i64> = arrived.iter().map(|arrived| arrived.trace_no).collect();
        self.load(&traces)?;
        let here: HashSet<(i64, &str)> =
            arrived.iter().map(|arrived| (arrived.trace_no, arrived.prepared.event.id.as_str())).collect();
        let (mut wanted, mut agents) = (Vec::new(), HashSet::new());
        for arrived in &arrived {
            let (trace_no, id) = (arrived.trace_no, &arrived.prepared.event.id);
            let parent = arrived.link.parent.as_deref().filter(|parent| !here.contains(&(trace_no, *parent)));
            wanted.extend(parent.map(|parent| (trace_no, parent.to_owned())));
            let waiting = self.dictionary.spans.get(trace_no).map(|known| known.waiting_at(id));
            wanted.extend(waiting.into_iter().flatten().map(|id| (trace_no, id.clone())));
            if arrived.link.role == SpanRole::Agent {
                agents.insert((trace_no, id.clone()));
            }
        }
        wanted.sort_unstable();
        wanted.dedup();
        self.ahead.look_up(self.connection, wanted)?;
        let stored = self.ahead.rows.iter().filter(|(_, row)| {
            row.as_ref().is_some_and(|row| row.flags.role == SpanRole::Agent && row.waits_at.is_some())
        });
        agents.extend(stored.map(|(key, _)| key.clone()));
        self.ask_for_hand_offs(agents)
    }

    /// Looks up what settling these traces will ask for.
    pub(super) fn look_ahead_of_settling(&mut self, traces: &HashSet<i64>) -> Result<(), Fault> {
        if !self.connection.is_remote() {
            return Ok(());
        }
        self.load(traces)?;
        let mut wanted = Vec::new();
        for trace_no in traces {
            let known = self.dictionary.spans.get(*trace_no);
            wanted.extend(known.into_iter().flat_map(Known::all).map(|(_, id)| (*trace_no, id.to_owned())));
        }
        self.ahead.look_up(self.connection, wanted)
    }

    fn load(&mut self, traces: &HashSet<i64>) -> Result<(), Fault> {
        let unknown: Vec<i64> =
            traces.iter().copied().filter(|trace_no| self.dictionary.spans.get(*trace_no).is_none()).collect();
        for (trace_no, known) in Known::load_many(self.connection, &unknown)? {
            self.dictionary.spans.put(trace_no, known);
        }
        Ok(())
    }

    fn ask_for_hand_offs(&mut self, agents: HashSet<Key>) -> Result<(), Fault> {
        let Some(taken) = &mut self.taken else { return Ok(()) };
        let ids: Vec<Key> = agents.iter().map(|(trace_no, agent)| (*trace_no, hand_off_id(agent))).collect();
        let asked = ids.iter().map(|(trace_no, id)| (*trace_no, id.as_str()));
        taken.extend(ahead::identities(self.connection, self.dictionary, asked)?.into_iter().flatten());
        self.ahead.handed_off = agents;
        Ok(())
    }
}

/// The id of the event that an agent was handed its task.
pub(super) fn hand_off_id(agent: &str) -> String {
    format!("{agent}/handoff")
}

/// A span that came in, as it would be read back now that it is stored.
pub(super) fn as_read_back(
    arrived: &Arrived<'_>,
    (flags, waits_at): (Flags, Option<&str>),
    (entity, task): (Option<EntityKey>, Option<&str>),
    numbers: &Numbers,
) -> SpanRow {
    let is_plain = arrived.link.role == SpanRole::Plain;
    let mut event = arrived.prepared.event.clone();
    (event.environment, event.content, event.exposures) = (String::new(), None, Vec::new());
    (event.task_id, event.parent_task_id, event.session_id) = (None, None, None);
    (event.trace_id, event.span_id) = (None, None);
    if is_plain {
        event.kind = EventKind::TaskCompleted;
        (event.tool, event.cost_usd) = (None, None);
        (event.tokens_in, event.tokens_out, event.tokens_cached) = (None, None, None);
    } else if !matches!(event.kind, EventKind::TaskCompleted | EventKind::TaskFailed | EventKind::Feedback) {
        event.attributes = None;
    }
    let fingerprint = arrived.prepared.error.as_ref().filter(|_| !is_plain);
    SpanRow {
        flags,
        waits_at: waits_at.map(str::to_owned),
        task: task.map(str::to_owned),
        entity,
        stand_in: (is_plain || arrived.known.is_none()).then(|| arrived.name.name.clone()),
        fingerprint: fingerprint.map(|error| error.fingerprint.to_string()),
        tool_no: numbers.tool.filter(|_| !is_plain),
        attributes_no: numbers.attributes,
        event,
    }
}
