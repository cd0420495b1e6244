//! Agents under agents: the hand-off, as an event of the agent above.

use std::sync::Arc;

use uplift_model::event::{Clock, EntityRef, Event, EventKind, PreparedEvent, Source};
use uplift_model::task::TaskDelta;

use super::ahead::hand_off_id;
use super::trace::Trace;
use super::{Desk, count};
use crate::logic::dictionary::KnownEntity;
use crate::logic::event_row::{self, Address};
use crate::logic::fault::Fault;
use crate::logic::intake;
use crate::logic::task_row::TaskFold;

impl Trace<'_> {
    /// Notes that an agent's task came of another agent's.
    pub(super) fn hand_off(
        &mut self,
        desk: &mut Desk<'_>,
        child: &Event,
        to: &Arc<KnownEntity>,
        above: &str,
    ) -> Result<(), Fault> {
        // A circle of parents through an agent ends at the agent itself.
        if above == child.id {
            return Ok(());
        }
        let parent = TaskDelta { parent: Some(above.to_owned()), ..TaskDelta::default() };
        let fold = TaskFold { delta: parent, attributes_no: None, pseudo: false };
        desk.sums.add_to_task((self.number, child.id.clone()), fold);
        let Some(from) = self.owner(desk, above)? else { return Ok(()) };
        let name = desk.dictionary.entity_name(desk.connection, to.key)?;
        let started = child.duration_ms.map_or(0, uplift_model::task::micros_of_ms);
        let event = Event {
            id: hand_off_id(&child.id),
            ts: child.ts.plus_micros(-started),
            clock: Clock::Own,
            kind: EventKind::Handoff,
            environment: self.environment.to_owned(),
            entity: EntityRef::Key(from.key),
            attributes: Some(serde_json::json!({ "to": name }).to_string()),
            source: Source::Environment,
            task_id: None,
            parent_task_id: None,
            session_id: None,
            trace_id: None,
            span_id: Some(child.id.clone()),
            tool: None,
            outcome: None,
            duration_ms: None,
            tokens_in: None,
            tokens_out: None,
            tokens_cached: None,
            cost_usd: None,
            error_type: None,
            content: None,
            exposures: Vec::new(),
            link: None,
        };
        let prepared = PreparedEvent { digest: event.digest(), call_hash: None, error: None, event };
        let address = Address { trace_no: self.number, entity: Some(from.key), task: Some(above), span: None };
        if let Some(taken) = &mut desk.taken
            && !desk.ahead.knows_hand_off(self.number, &child.id)
            && !desk.dictionary.is_new_trace(self.number)
            && let Some(digest) = intake::stored_digest(desk.connection, self.number, &prepared.event.id)?
        {
            taken.insert((self.number, prepared.event.id.clone()), digest);
        }
        let insert = (&mut desk.insert, &mut desk.taken);
        let written = event_row::write(desk.connection, desk.dictionary, insert, &prepared, address)?;
        if let Some(numbers) = written {
            let session = self.known.session.as_deref();
            let fold = count::fold(&prepared.event, &from, session, false, numbers.attributes);
            desk.sums.add_to_task((self.number, above.to_owned()), fold);
        }
        Ok(())
    }
}
