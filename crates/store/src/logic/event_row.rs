//! Writing one event as a narrow row.

use std::collections::hash_map::Entry;

use crate::sql::{Connection, Statement, ToSql, ToSqlOutput, params};
use uplift_model::entity::EntityKey;
use uplift_model::event::PreparedEvent;

use super::ahead::Taken;
use super::dictionary::Dictionary;
use super::fault::{Fault, corrupt};

const INSERT: &str = "INSERT INTO event_rows (trace_no, id, ts, kind, entity_type, entity_id, task, tool, outcome,
    duration_ms, tokens_in, tokens_out, tokens_cached, cost_usd, error_type, error_no, span_id, source, clock,
    call_hash, body_no, attributes_no, exposures, digest, parent, span_flags, waits_at, stand_in)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23,
        ?24, ?25, ?26, ?27, ?28) ON CONFLICT DO NOTHING";

/// The statement that writes events. Where their identities were looked up, a conflict would be a fault.
pub(super) fn insert(connection: &Connection) -> Result<Statement<'_>, Fault> {
    let plain = INSERT.strip_suffix(" ON CONFLICT DO NOTHING").unwrap_or(INSERT);
    Ok(connection.prepare_cached(if connection.is_remote() { plain } else { INSERT })?)
}

/// What a span's row holds beyond an event's.
#[derive(Debug, Clone, Copy)]
pub(super) struct SpanColumns<'a> {
    /// Empty for the root.
    pub(super) parent: &'a str,
    pub(super) flags: i64,
    pub(super) waits_at: Option<&'a str>,
    pub(super) stand_in: Option<i64>,
}

/// Where an event goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Address<'a> {
    pub(super) trace_no: i64,
    /// Nobody, as long as it waits for the agent above.
    pub(super) entity: Option<EntityKey>,
    pub(super) task: Option<&'a str>,
    pub(super) span: Option<SpanColumns<'a>>,
}

/// What an event's names were resolved to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Numbers {
    pub(super) tool: Option<i64>,
    pub(super) error_type: Option<i64>,
    pub(super) body: Option<i64>,
    pub(super) attributes: Option<i64>,
}

/// Looks up, or takes, the numbers of an event's names; its text is not written yet.
pub(super) fn number(
    connection: &Connection,
    dictionary: &mut Dictionary,
    prepared: &PreparedEvent,
) -> Result<Numbers, Fault> {
    let event = &prepared.event;
    Ok(Numbers {
        tool: event.tool.as_deref().map(|tool| dictionary.name(connection, tool)).transpose()?,
        error_type: event.error_type.as_deref().map(|kind| dictionary.name(connection, kind)).transpose()?,
        body: event.content.as_ref().map(|_| dictionary.next_body(connection)).transpose()?,
        attributes: event.attributes.as_deref().map(|text| dictionary.attributes(connection, text)).transpose()?,
    })
}

/// The exposures of an event as they are stored.
pub(super) fn exposures(prepared: &PreparedEvent) -> Result<Option<String>, Fault> {
    let exposures = &prepared.event.exposures;
    if exposures.is_empty() {
        return Ok(None);
    }
    Ok(Some(serde_json::to_string(exposures).map_err(|error| corrupt("exposures", error))?))
}

/// Writes one event; none where its identity is taken.
pub(super) fn write(
    connection: &Connection,
    dictionary: &mut Dictionary,
    (insert, taken): (&mut Statement<'_>, &mut Option<Taken>),
    prepared: &PreparedEvent,
    address: Address<'_>,
) -> Result<Option<Numbers>, Fault> {
    let event = &prepared.event;
    if let Some(taken) = taken {
        match taken.entry((address.trace_no, event.id.clone())) {
            Entry::Occupied(_) => return Ok(None),
            Entry::Vacant(place) => place.insert(prepared.digest),
        };
    }
    let numbers = number(connection, dictionary, prepared)?;
    let error_no = prepared.error.as_ref().map(|group| dictionary.error(connection, group)).transpose()?;
    let (entity_type, entity_id) =
        address.entity.map_or((0, 0), |entity| (entity.entity_type.code(), entity.entity_id));
    let exposures = exposures(prepared)?;
    let values = params![
        address.trace_no,
        event.id,
        event.ts.micros(),
        event.kind.code(),
        entity_type,
        entity_id,
        address.task,
        numbers.tool,
        event.outcome.map(uplift_model::Outcome::code),
        event.duration_ms,
        Count(event.tokens_in),
        Count(event.tokens_out),
        Count(event.tokens_cached),
        event.cost_usd,
        numbers.error_type,
        error_no,
        event.span_id,
        event.source.code(),
        event.clock.code(),
        prepared.call_hash,
        numbers.body,
        numbers.attributes,
        exposures,
        prepared.digest,
        address.span.map(|span| span.parent),
        address.span.map(|span| span.flags),
        address.span.and_then(|span| span.waits_at),
        address.span.and_then(|span| span.stand_in),
    ];
    match taken {
        Some(_) => insert.append(values)?,
        None if insert.execute(values)? == 0 => return Ok(None),
        None => {}
    }
    if let (Some(number), Some(content)) = (numbers.body, &event.content) {
        dictionary.add_body(connection, number, content)?;
    }
    Ok(Some(numbers))
}

/// A count as SQLite's signed integer; what is beyond it saturates.
struct Count(Option<u64>);

impl ToSql for Count {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let count = self.0.map(|count| i64::try_from(count).unwrap_or(i64::MAX));
        Ok(ToSqlOutput::Owned(count.into()))
    }
}
