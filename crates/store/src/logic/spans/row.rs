//! Spans as they are stored: reading them back for the count, and writing where they belong.

use crate::sql::{Connection, OptionalExtension, Row};
use uplift_model::Time;
use uplift_model::entity::{DEFAULT_ENVIRONMENT, EntityKey, EntityName, EntityType};
use uplift_model::event::{Clock, EntityRef, Event, EventKind, Outcome, Source};
use uplift_model::span::SpanRole;

use super::ahead::Ahead;
use super::tree::{Look, Stored};
use crate::logic::fault::{Fault, corrupt};

/// Bits of `span_flags`, beside the role.
const NAMED: i64 = 4;
const INSIDE_CALL: i64 = 8;
const AT_ENTITY: i64 = 16;
const AT_TASK: i64 = 32;
const STANDS: i64 = 64;

/// What a span is and what was done with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "they are bits of one column, each a fact of its own")]
pub(super) struct Flags {
    pub(super) role: SpanRole,
    /// It names its entity.
    pub(super) named: bool,
    /// It is within a model call that reports tokens of its own.
    pub(super) inside_call: bool,
    /// It was counted for its entity.
    pub(super) at_entity: bool,
    /// It was counted for its task.
    pub(super) at_task: bool,
    /// It is a root that stands for the task, and was counted as its end.
    pub(super) stands: bool,
}

impl Flags {
    pub(super) fn code(self) -> i64 {
        let bit = |set: bool, bit: i64| if set { bit } else { 0 };
        self.role.code()
            | bit(self.named, NAMED)
            | bit(self.inside_call, INSIDE_CALL)
            | bit(self.at_entity, AT_ENTITY)
            | bit(self.at_task, AT_TASK)
            | bit(self.stands, STANDS)
    }

    pub(super) fn from_code(code: i64) -> Result<Self, Fault> {
        let role = SpanRole::from_code(code & 3).ok_or_else(|| corrupt("a span", "its role is unknown"))?;
        let has = |bit: i64| code & bit != 0;
        Ok(Self {
            role,
            named: has(NAMED),
            inside_call: has(INSIDE_CALL),
            at_entity: has(AT_ENTITY),
            at_task: has(AT_TASK),
            stands: has(STANDS),
        })
    }
}

/// A stored span with what the count needs of it.
#[derive(Debug, Clone)]
pub(super) struct SpanRow {
    pub(super) flags: Flags,
    pub(super) waits_at: Option<String>,
    pub(super) task: Option<String>,
    /// Whom it counts for, or was taken to.
    pub(super) entity: Option<EntityKey>,
    /// The name of the agent that stands in.
    pub(super) stand_in: Option<String>,
    pub(super) fingerprint: Option<String>,
    pub(super) tool_no: Option<i64>,
    pub(super) attributes_no: Option<i64>,
    /// As far as the count needs it: without texts.
    pub(super) event: Event,
}

/// What is read of spans that are events, from this; then the number of the trace.
macro_rules! of_events {
    ($from:literal) => {
        concat!(
            "SELECT e.id, e.span_flags, e.parent, e.waits_at, e.task, e.entity_type, e.entity_id, s.name,
                g.fingerprint, e.tool, tool.name, e.attributes_no, CASE WHEN e.kind IN (3, 4, 7) THEN a.attributes END,
                e.ts, e.kind, e.outcome, e.duration_ms, e.tokens_in, e.tokens_out, e.tokens_cached, e.cost_usd,
                x.name, e.clock, e.trace_no
            FROM ",
            $from,
            " LEFT JOIN names AS s ON s.name_no = e.stand_in
            LEFT JOIN names AS tool ON tool.name_no = e.tool
            LEFT JOIN names AS x ON x.name_no = e.error_type
            LEFT JOIN error_groups AS g ON g.error_no = e.error_no
            LEFT JOIN attribute_sets AS a ON a.attributes_no = e.attributes_no "
        )
    };
}

/// The same of other spans.
macro_rules! of_plain {
    ($from:literal) => {
        concat!(
            "SELECT p.id, p.span_flags, p.parent, p.waits_at, p.task, 0, 0, s.name,
                NULL, NULL, NULL, p.attributes_no, a.attributes,
                p.ts, 3, p.outcome, p.duration_ms, NULL, NULL, NULL, NULL,
                x.name, p.clock, p.trace_no
            FROM ",
            $from,
            " LEFT JOIN names AS s ON s.name_no = p.stand_in
            LEFT JOIN names AS x ON x.name_no = p.error_type
            LEFT JOIN attribute_sets AS a ON a.attributes_no = p.attributes_no "
        )
    };
}

const ONE_EVENT: &str =
    concat!(of_events!("event_rows AS e"), "WHERE e.trace_no = ?1 AND e.id = ?2 AND e.parent IS NOT NULL");
const ONE_PLAIN: &str = concat!(of_plain!("plain_spans AS p"), "WHERE p.trace_no = ?1 AND p.id = ?2");
const OF_TASK: &str = concat!(of_events!("event_rows AS e"), "WHERE e.trace_no = ?1 AND e.task = ?2 ORDER BY e.id");
const MANY: &str = concat!(
    of_events!(
        "json_array_elements(CAST(?1 AS json)) AS l (value)
        JOIN event_rows AS e ON e.trace_no = CAST(l.value ->> 0 AS bigint) AND e.id = l.value ->> 1
            AND e.parent IS NOT NULL"
    ),
    "UNION ALL ",
    of_plain!(
        "json_array_elements(CAST(?1 AS json)) AS l (value)
        JOIN plain_spans AS p ON p.trace_no = CAST(l.value ->> 0 AS bigint) AND p.id = l.value ->> 1"
    )
);

/// One stored span.
pub(super) fn read(connection: &Connection, trace_no: i64, id: &str) -> Result<Option<SpanRow>, Fault> {
    for of in [ONE_EVENT, ONE_PLAIN] {
        let mut statement = connection.prepare_cached(of)?;
        let mut rows = statement.query((trace_no, id))?;
        if let Some(row) = rows.next()? {
            return Ok(Some(decode(&row)?));
        }
    }
    Ok(None)
}

/// Those of these spans that are stored, with the numbers of their traces: asked for at once, of a server.
pub(super) fn read_many(connection: &Connection, asked: &[(i64, String)]) -> Result<Vec<(i64, SpanRow)>, Fault> {
    let mut found = Vec::with_capacity(asked.len());
    if !asked.is_empty() {
        let list = serde_json::to_string(asked).map_err(|error| corrupt("ids of spans", error))?;
        let mut statement = connection.prepare_cached(MANY)?;
        let mut rows = statement.query([list])?;
        while let Some(row) = rows.next()? {
            found.push((row.get(23)?, decode(&row)?));
        }
    }
    Ok(found)
}

/// Visits the events of a trace that are counted for this task, in the order of their ids.
pub(super) fn visit(
    connection: &Connection,
    trace_no: i64,
    task: &str,
    mut visit: impl FnMut(SpanRow) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut statement = connection.prepare_cached(OF_TASK)?;
    let mut rows = statement.query((trace_no, task))?;
    while let Some(row) = rows.next()? {
        visit(decode(&row)?)?;
    }
    Ok(())
}

/// The agent at the root of the trace: the least id, should there be several.
pub(super) fn root_agent(connection: &Connection, trace_no: i64) -> Result<Option<String>, Fault> {
    Ok(connection
        .prepare_cached("SELECT min(id) FROM event_rows WHERE trace_no = ?1 AND parent = '' AND span_flags & 3 = 0")?
        .query_row([trace_no], |row| row.get(0))?)
}

fn decode(row: &Row<'_>) -> Result<SpanRow, Fault> {
    // Events that came without a link may count for the task of a span as well.
    let flags = row.get::<Option<i64>>(1)?.unwrap_or(SpanRole::Work.code() | AT_ENTITY | AT_TASK);
    let entity_type: i64 = row.get(5)?;
    let entity_id: i64 = row.get(6)?;
    let entity = EntityType::from_code(entity_type).filter(|_| entity_id != 0);
    let kind: i64 = row.get(14)?;
    let outcome: Option<i64> = row.get(15)?;
    let clock: i64 = row.get(22)?;
    let count = |value: Option<i64>| value.map(|value| value.max(0) as u64);
    let nobody = EntityName {
        environment: DEFAULT_ENVIRONMENT.to_owned(),
        entity_type: EntityType::Agent,
        name: String::new(),
    };
    let parent: Option<String> = row.get(2)?;
    let event = Event {
        id: row.get(0)?,
        ts: Time::from_micros(row.get(13)?),
        clock: [Clock::Own, Clock::Inherited, Clock::Received]
            .into_iter()
            .find(|known| known.code() == clock)
            .unwrap_or_default(),
        kind: EventKind::from_code(kind).ok_or_else(|| corrupt("an event", "its kind is unknown"))?,
        environment: String::new(),
        entity: EntityRef::Name(nobody),
        task_id: None,
        parent_task_id: None,
        session_id: None,
        trace_id: None,
        span_id: None,
        tool: row.get(10)?,
        outcome: outcome.and_then(Outcome::from_code),
        duration_ms: row.get(16)?,
        tokens_in: count(row.get(17)?),
        tokens_out: count(row.get(18)?),
        tokens_cached: count(row.get(19)?),
        cost_usd: row.get(20)?,
        error_type: row.get(21)?,
        content: None,
        attributes: row.get(12)?,
        exposures: Vec::new(),
        source: Source::default(),
        link: parent.map(|parent| uplift_model::span::SpanLink {
            parent: (!parent.is_empty()).then_some(parent),
            role: SpanRole::Work,
            names_entity: flags & NAMED != 0,
        }),
    };
    Ok(SpanRow {
        flags: Flags::from_code(flags)?,
        waits_at: row.get(3)?,
        task: row.get(4)?,
        entity: entity.map(|entity_type| EntityKey::new(entity_type, entity_id)),
        stand_in: row.get(7)?,
        fingerprint: row.get(8)?,
        tool_no: row.get(9)?,
        attributes_no: row.get(11)?,
        event,
    })
}

/// Writes where a stored span belongs.
pub(super) fn update(connection: &Connection, trace_no: i64, row: &SpanRow) -> Result<(), Fault> {
    if row.flags.role == SpanRole::Plain {
        connection
            .prepare_cached(
                "UPDATE plain_spans SET span_flags = ?3, waits_at = ?4, task = ?5 WHERE trace_no = ?1 AND id = ?2",
            )?
            .gather(2, (trace_no, &row.event.id, row.flags.code(), &row.waits_at, &row.task))?;
        return Ok(());
    }
    let entity = row.entity.map_or((0, 0), |entity| (entity.entity_type.code(), entity.entity_id));
    connection
        .prepare_cached(
            "UPDATE event_rows SET span_flags = ?3, waits_at = ?4, task = ?5, entity_type = ?6, entity_id = ?7
             WHERE trace_no = ?1 AND id = ?2",
        )?
        .gather(2, (trace_no, &row.event.id, row.flags.code(), &row.waits_at, &row.task, entity.0, entity.1))?;
    Ok(())
}

/// The digest of the stored span of this id.
pub(super) fn digest(connection: &Connection, trace_no: i64, id: &str) -> Result<Option<i64>, Fault> {
    Ok(connection
        .prepare_cached(
            "SELECT digest FROM event_rows WHERE trace_no = ?1 AND id = ?2
             UNION ALL SELECT digest FROM plain_spans WHERE trace_no = ?1 AND id = ?2",
        )?
        .query_row((trace_no, id), |row| row.get(0))
        .optional()?)
}

impl SpanRow {
    /// As the way up needs it.
    fn as_stored(&self) -> Stored {
        let is_call = self.event.kind == EventKind::LlmCall
            && (self.event.tokens_in.is_some() || self.event.tokens_out.is_some());
        Stored {
            parent: self.event.link.as_ref().and_then(|link| link.parent.clone()),
            role: self.flags.role,
            is_call,
            inside_call: self.flags.inside_call,
            task: self.task.clone(),
            waits_at: self.waits_at.clone(),
        }
    }
}

/// Finds the stored spans of a trace, if it may have any.
pub(super) struct Shelf<'c> {
    pub(super) connection: &'c Connection,
    pub(super) ahead: &'c Ahead,
    pub(super) trace_no: i64,
    pub(super) may_have: bool,
}

impl Look for Shelf<'_> {
    fn look(&mut self, id: &str) -> Result<Option<Stored>, Fault> {
        if !self.may_have {
            return Ok(None);
        }
        if let Some(known) = self.ahead.get(self.trace_no, id) {
            return Ok(known.map(SpanRow::as_stored));
        }
        let mut statement = self.connection.prepare_cached(
            "SELECT parent, span_flags, kind = 1 AND (tokens_in IS NOT NULL OR tokens_out IS NOT NULL), task, waits_at
             FROM event_rows WHERE trace_no = ?1 AND id = ?2 AND parent IS NOT NULL
             UNION ALL SELECT parent, span_flags, FALSE, task, waits_at FROM plain_spans
             WHERE trace_no = ?1 AND id = ?2",
        )?;
        let mut rows = statement.query((self.trace_no, id))?;
        let Some(row) = rows.next()? else { return Ok(None) };
        let parent: String = row.get(0)?;
        let flags = Flags::from_code(row.get(1)?)?;
        Ok(Some(Stored {
            parent: (!parent.is_empty()).then_some(parent),
            role: flags.role,
            is_call: row.get(2)?,
            inside_call: flags.inside_call,
            task: row.get(3)?,
            waits_at: row.get(4)?,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_round_trip() {
        for code in 0..128 {
            match Flags::from_code(code) {
                Ok(flags) => assert_eq!(flags.code(), code),
                Err(_) => assert_eq!(code & 3, 3),
            }
        }
    }
}
