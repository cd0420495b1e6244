//! Stored spans that go on: what was missing above them has come, or their trace has become quiet.

use std::sync::Arc;

use uplift_model::span::SpanRole;

use super::count::{self, is_measured};
use super::row::{self, SpanRow};
use super::trace::{Trace, count_for_entity};
use super::tree::{End, Tree, Way};
use super::{Desk, stand_in};
use crate::logic::dictionary::KnownEntity;
use crate::logic::fault::{Fault, corrupt};
use crate::logic::intake;
use crate::logic::sums::Share;

impl Trace<'_> {
    /// Goes on with stored spans that waited for spans of the batch.
    pub(super) fn release(&mut self, desk: &mut Desk<'_>, tree: &Tree<'_>) -> Result<(), Fault> {
        let come: Vec<(String, Way)> = self
            .known
            .missing()
            .filter_map(|missing| Some((missing.to_owned(), tree.through(tree.place(missing)?)?)))
            .collect();
        for (missing, way) in come {
            for id in self.known.release(&missing) {
                let row = desk.stored(self.number, &id)?;
                let row = row.ok_or_else(|| corrupt("a span", "it waits, and is not stored"))?;
                self.go_on(desk, row, &way)?;
            }
        }
        Ok(())
    }

    fn go_on(&mut self, desk: &mut Desk<'_>, mut row: SpanRow, way: &Way) -> Result<(), Fault> {
        let inside_call = row.flags.inside_call || way.inside_call;
        match (&way.end, row.flags.role) {
            (End::Missing(missing), _) => {
                self.known.wait(missing.clone(), row.event.id.clone());
                row.waits_at = Some(missing.clone());
                let inside_call = inside_call && !way.circle;
                if !self.recount(desk, &mut row, inside_call)? {
                    row.flags.inside_call = inside_call;
                }
            }
            (End::Agent(task) | End::Root(task), SpanRole::Plain) => {
                (row.waits_at, row.task) = (None, Some(task.clone()));
                row.flags.inside_call = inside_call;
            }
            (End::Agent(above), SpanRole::Agent) => {
                row.waits_at = None;
                if let Some(entity) = self.owner(desk, &row.event.id)? {
                    self.hand_off(desk, &row.event, &entity, above)?;
                }
            }
            (End::Root(_), SpanRole::Agent) => row.waits_at = None,
            (End::Agent(task) | End::Root(task), SpanRole::Work) => {
                if matches!(way.end, End::Root(_)) {
                    self.standing.insert(task.clone());
                }
                row.waits_at = None;
                let owner = self.owner(desk, task)?;
                self.move_to(desk, &mut row, (task, owner), inside_call)?;
            }
        }
        desk.update(self.number, &row)
    }

    /// Counts a span that was counted before, and still waits, as inside a call or not. Says whether it was counted.
    fn recount(&mut self, desk: &mut Desk<'_>, row: &mut SpanRow, inside_call: bool) -> Result<bool, Fault> {
        let (true, Some(key), Some(task)) = (row.flags.at_task, row.entity, row.task.clone()) else {
            return Ok(false);
        };
        let entity = desk.entity(key)?;
        self.move_to(desk, row, (&task, entity), inside_call)?;
        Ok(true)
    }

    /// Counts a stored span for a task, taking back what it was counted for before.
    fn move_to(
        &mut self,
        desk: &mut Desk<'_>,
        row: &mut SpanRow,
        (task, owner): (&str, Option<Arc<KnownEntity>>),
        inside_call: bool,
    ) -> Result<(), Fault> {
        let entity = if row.flags.named { row.entity.map_or(Ok(None), |key| desk.entity(key))? } else { owner };
        let Some(entity) = entity else {
            row.task = Some(task.to_owned());
            return Ok(());
        };
        let (event, was_inside) = (&row.event, row.flags.inside_call);
        let measured = (is_measured(event, was_inside), is_measured(event, inside_call));
        if let Some(before) = row.entity.filter(|_| row.flags.at_entity)
            && (before != entity.key || measured.0 != measured.1)
        {
            let fingerprint = row.fingerprint.as_deref();
            desk.sums.take_from_entity(Share { entity: before, event, fingerprint, measured: measured.0 });
            row.flags.at_entity = false;
        }
        if row.flags.at_task
            && (row.task.as_deref() != Some(task) || measured.0 != measured.1 || row.entity != Some(entity.key))
        {
            desk.late.rebuild.extend(row.task.take().map(|before| (self.number, before)));
            row.flags.at_task = false;
        }
        if !row.flags.at_entity {
            count_for_entity(desk, &entity, event, row.fingerprint.as_deref(), inside_call);
            intake::learn(desk.connection, desk.dictionary, desk.batch, (&entity, event), row.tool_no)?;
            row.flags.at_entity = true;
        }
        if !row.flags.at_task {
            let session = self.known.session.as_deref();
            let fold = count::fold(event, &entity, session, inside_call, row.attributes_no);
            desk.sums.add_to_task((self.number, task.to_owned()), fold);
            row.flags.at_task = true;
        }
        (row.entity, row.task) = (Some(entity.key), Some(task.to_owned()));
        row.flags.inside_call = inside_call;
        Ok(())
    }

    /// Counts what still waits: for the agent at the root, else for a task named after what is missing.
    pub(super) fn settle(&mut self, desk: &mut Desk<'_>) -> Result<(), Fault> {
        let root = row::root_agent(desk.connection, self.number)?;
        let waiting: Vec<(String, String)> =
            self.known.all().map(|(missing, id)| (missing.to_owned(), id.to_owned())).collect();
        for (missing, id) in waiting {
            let Some(mut row) = desk.stored(self.number, &id)? else { continue };
            if row.flags.role != SpanRole::Work {
                continue;
            }
            let owner = match (&root, &row.stand_in) {
                (Some(root), _) => self.owner(desk, root)?,
                (None, Some(name)) => desk.agent(&stand_in(self.environment, name))?,
                (None, None) => None,
            };
            let task = root.as_ref().unwrap_or(&missing);
            let inside_call = row.flags.inside_call;
            self.move_to(desk, &mut row, (task, owner), inside_call)?;
            desk.update(self.number, &row)?;
        }
        Ok(())
    }
}
