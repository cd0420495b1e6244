//! Units of running trials: which traces each is made of, and that they have changed. Kept in the transaction that
//! stores the events.
//!
//! A trace is looked at whole each time one of its tasks has changed, so that what is noted follows from what is stored,
//! whatever came first. It is of a trial if one of its tasks is the entity's and it was first seen at or after the
//! trial's start. Its unit is the session of the entity's tasks in it (the least name, should they disagree), or the
//! trace itself. A trace that goes over to another unit, or to none, stays on record as gone from the one it has left:
//! that unit has changed, too, and is read again without it.

use std::collections::BTreeSet;

use crate::sql::{Connection, Statement};
use uplift_model::entity::{EntityKey, EntityType};
use uplift_model::trial::AssignmentUnit;

use super::dictionary::{Dictionary, RunningTrial};
use super::fault::Fault;

/// What a task says about the unit of its trace.
struct Member {
    owner: Option<EntityKey>,
    session: Option<String>,
    first_us: Option<i64>,
    last_us: Option<i64>,
}

/// A unit that a trace was noted under.
struct Noted {
    trial: i64,
    unit: String,
    gone: bool,
}

/// Notes that tasks of these traces have changed.
pub(super) fn touch(
    connection: &Connection,
    dictionary: &mut Dictionary,
    traces: &BTreeSet<i64>,
) -> Result<(), Fault> {
    let trials = dictionary.trials(connection)?;
    let mut members = connection.prepare_cached(
        "SELECT entity_type, entity_id, session_id, first_us, last_us FROM task_rows
         WHERE trace_no = ?1 AND pseudo = 0",
    )?;
    let mut noted = connection.prepare_cached("SELECT trial_id, unit, gone FROM trial_units WHERE trace_no = ?1")?;
    let mut note = connection.prepare_cached(
        "INSERT INTO trial_units (trace_no, trial_id, unit, seq, last_us) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (trace_no, trial_id, unit) DO UPDATE SET seq = excluded.seq, last_us = excluded.last_us, gone = 0",
    )?;
    let mut leave = connection.prepare_cached(
        "UPDATE trial_units SET seq = ?4, gone = 1 WHERE trace_no = ?1 AND trial_id = ?2 AND unit = ?3",
    )?;
    for trace_no in traces {
        let members = read_members(&mut members, *trace_no)?;
        let noted = read_noted(&mut noted, *trace_no)?;
        let owners: BTreeSet<EntityKey> = members.iter().filter_map(|member| member.owner).collect();
        let running = owners.into_iter().filter_map(|owner| trials.get_key_value(&owner));
        let mut current = Vec::new();
        for (owner, trial) in running {
            let known = noted.iter().find(|noted| noted.trial == trial.id).map(|noted| noted.unit.as_str());
            if let Some((unit, last_us)) = unit_of(connection, *trace_no, &members, (*owner, trial), known)? {
                let seq = dictionary.next_unit_seq(connection)?;
                note.defer((trace_no, trial.id, &unit, seq, last_us))?;
                current.push((trial.id, unit));
            }
        }
        for old in noted.into_iter().filter(|old| !old.gone) {
            if !current.iter().any(|(trial, unit)| *trial == old.trial && *unit == old.unit) {
                let seq = dictionary.next_unit_seq(connection)?;
                leave.defer((trace_no, old.trial, old.unit, seq))?;
            }
        }
    }
    Ok(())
}

fn read_members(statement: &mut Statement<'_>, trace_no: i64) -> Result<Vec<Member>, Fault> {
    let mut rows = statement.query([trace_no])?;
    let mut members = Vec::new();
    while let Some(row) = rows.next()? {
        let entity_type: Option<i64> = row.get(0)?;
        let entity_id: Option<i64> = row.get(1)?;
        let owner = entity_type.and_then(EntityType::from_code).zip(entity_id);
        members.push(Member {
            owner: owner.map(|(entity_type, entity_id)| EntityKey::new(entity_type, entity_id)),
            session: row.get(2)?,
            first_us: row.get(3)?,
            last_us: row.get(4)?,
        });
    }
    Ok(members)
}

fn read_noted(statement: &mut Statement<'_>, trace_no: i64) -> Result<Vec<Noted>, Fault> {
    let mut rows = statement.query([trace_no])?;
    let mut noted = Vec::new();
    while let Some(row) = rows.next()? {
        noted.push(Noted { trial: row.get(0)?, unit: row.get(1)?, gone: row.get(2)? });
    }
    Ok(noted)
}

/// The unit that a trace belongs to in the trial of `owner`, and when it was last seen; `known` is a unit of that trial
/// that it was noted under before.
fn unit_of(
    connection: &Connection,
    trace_no: i64,
    members: &[Member],
    (owner, trial): (EntityKey, &RunningTrial),
    known: Option<&str>,
) -> Result<Option<(String, i64)>, Fault> {
    let Some(start) = members.iter().filter_map(|member| member.first_us).min() else { return Ok(None) };
    if start < trial.started_us {
        return Ok(None);
    }
    let last_us = members.iter().filter_map(|member| member.last_us).max().unwrap_or(start);
    let own = members.iter().filter(|member| member.owner == Some(owner));
    let session = match trial.unit {
        AssignmentUnit::Task => None,
        AssignmentUnit::Session => own.filter_map(|member| member.session.clone()).min(),
    };
    let unit = match (session, known, trial.unit) {
        (Some(session), ..) => session,
        // The name of a trace never changes.
        (None, Some(known), AssignmentUnit::Task) => known.to_owned(),
        (None, ..) => connection
            .prepare_cached("SELECT trace_key FROM traces WHERE trace_no = ?1")?
            .query_row([trace_no], |row| row.get(0))?,
    };
    Ok(Some((unit, last_us)))
}
