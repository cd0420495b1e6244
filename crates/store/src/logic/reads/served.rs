//! What resolvers serve: of each entity the revision it runs, and the trial on it.

use crate::sql::Value;
use crate::sql::{Connection, Row};
use uplift_model::entity::EntityKey;
use uplift_model::revision::RevisionId;

use super::cursor::{Cursor, Parts};
use super::decode::Columns;
use super::{list, trials};
use crate::logic::fault::{Fault, corrupt};
use crate::page::{PageRequest, Paged};
use crate::rows::ServedRow;

/// One statement for everything: consistent in itself, and no query for each row.
const COLUMNS: &str =
    "SELECT n.entity_type, n.entity_id, n.environment, n.name, n.state, n.revision_id, r.configuration,
    (SELECT d.revision_id FROM entity_defaults AS d
        WHERE d.entity_type = n.entity_type AND d.entity_id = n.entity_id ORDER BY d.seq DESC LIMIT 1),
    control.configuration, candidate.configuration";
const JOINS: &str = "LEFT JOIN revisions AS r ON r.revision_id = n.revision_id
    LEFT JOIN trials AS t ON t.entity_type = n.entity_type AND t.entity_id = n.entity_id AND t.ended_at IS NULL
    LEFT JOIN revisions AS control ON control.revision_id = t.base
    LEFT JOIN revisions AS candidate ON candidate.revision_id = t.candidate
    WHERE TRUE";
const ORDER: &str = "ORDER BY n.entity_type, n.entity_id";

pub(super) fn read(
    connection: &Connection,
    entities: Option<&[EntityKey]>,
    page: &PageRequest,
) -> Result<Paged<ServedRow>, Fault> {
    match entities {
        Some(entities) => named(connection, entities),
        None => all(connection, page),
    }
}

/// Those that are named, all at once: whoever names them knows how many there are.
fn named(connection: &Connection, entities: &[EntityKey]) -> Result<Paged<ServedRow>, Fault> {
    let keys: Vec<_> = entities.iter().map(|key| (key.entity_type.as_str(), key.entity_id)).collect();
    let keys = serde_json::to_string(&keys).map_err(|error| corrupt("keys of entities", error))?;
    let from = format!(
        "FROM (SELECT DISTINCT value ->> 0 AS entity_type, CAST(value ->> 1 AS bigint) AS entity_id FROM {}) AS wanted
        {}",
        connection.each("?1", "key"),
        // PostgreSQL does not see how few they are: one by one, or it reads all entities.
        connection.either(
            "CROSS JOIN entities AS n ON n.entity_type = wanted.entity_type AND n.entity_id = wanted.entity_id",
            "JOIN LATERAL (SELECT * FROM entities AS e
                WHERE e.entity_type = wanted.entity_type AND e.entity_id = wanted.entity_id OFFSET 0) AS n ON TRUE",
        ),
    );
    let sql = format!("{COLUMNS}, {} {from} {JOINS} {ORDER}", trials::COLUMNS);
    Ok(Paged { items: list::all(connection, "what is served", &sql, [keys], decode)?, next: None })
}

fn all(connection: &Connection, page: &PageRequest) -> Result<Paged<ServedRow>, Fault> {
    let mut conditions = list::Conditions::default();
    conditions.when("n.revision_id IS NOT NULL");
    if let Some(cursor) = &page.cursor {
        let mut parts = Parts::of("sv", cursor)?;
        let key: [Value; 2] = [parts.text()?.into(), parts.number()?.into()];
        parts.end()?;
        conditions.with("(n.entity_type, n.entity_id) > (?, ?)", key);
    }
    let head = format!("{COLUMNS}, {} FROM entities AS n {JOINS}", trials::COLUMNS);
    let (sql, parameters) = conditions.query(&head, ORDER, page.clamped());
    let items = list::all(connection, "what is served", &sql, parameters, decode)?;
    Ok(list::page(items, page, |last| {
        Cursor::of("sv").text(last.entity.entity_type.as_str()).number(last.entity.entity_id).finish()
    }))
}

fn decode(row: &Row<'_>) -> Result<ServedRow, Fault> {
    let mut columns = Columns::of(row, "what is served");
    let id = |text: Option<String>| text.map(RevisionId::from_stored);
    let mut served = ServedRow {
        entity: columns.key()?,
        environment: columns.get()?,
        name: columns.get()?,
        state: columns.parsed()?,
        revision: id(columns.get()?),
        configuration: columns.get()?,
        defaults: id(columns.get()?),
        trial: None,
    };
    let control: Option<String> = columns.get()?;
    let candidate: Option<String> = columns.get()?;
    if let Some((control, candidate)) = control.zip(candidate) {
        served.trial = Some((Box::new(trials::record(&mut columns)?), control, candidate));
    }
    Ok(served)
}
