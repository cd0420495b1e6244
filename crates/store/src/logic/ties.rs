//! Relationships as stored: readers list them, the writer checks new ones against them.

use crate::sql::Connection;
use uplift_model::entity::EntityKey;
use uplift_model::relationship::{Relationship, RelationshipSource};

use super::fault::{Fault, corrupt};

/// The ties from or to an entity; all ties where none is named.
pub(super) fn relationships(connection: &Connection, of: Option<EntityKey>) -> Result<Vec<Relationship>, Fault> {
    let mut statement = connection.prepare_cached(
        "SELECT from_type, from_id, kind, to_type, to_id, strength, source FROM entity_relationships
         WHERE CAST(?1 AS text) IS NULL OR (from_type = ?1 AND from_id = ?2) OR (to_type = ?1 AND to_id = ?2)
         ORDER BY from_type, from_id, kind, to_type, to_id",
    )?;
    let mut rows = statement.query((of.map(|key| key.entity_type.as_str()), of.map(|key| key.entity_id)))?;
    let mut ties = Vec::new();
    while let Some(row) = rows.next()? {
        let key = |kind: usize, id: usize| -> Result<EntityKey, Fault> {
            let text: String = row.get(kind)?;
            let entity_type = text.parse().map_err(|error| corrupt("relationship", error))?;
            Ok(EntityKey::new(entity_type, row.get(id)?))
        };
        let kind: String = row.get(2)?;
        let source: String = row.get(6)?;
        ties.push(Relationship {
            from: key(0, 1)?,
            to: key(3, 4)?,
            kind: kind.parse().map_err(|error| corrupt("relationship", error))?,
            strength: row.get(5)?,
            source: if source == "declared" { RelationshipSource::Declared } else { RelationshipSource::Learnt },
        });
    }
    Ok(ties)
}
