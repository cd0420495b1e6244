//! Entities, their ties and revisions.

use crate::sql::{Connection, Row};
use async_trait::async_trait;
use uplift_model::entity::{DEFAULT_ENVIRONMENT, Entity, EntityKey};
use uplift_model::relationship::Relationship;
use uplift_model::revision::{Configuration, RevisionId};

use super::cursor::{Cursor, Parts};
use super::decode::Columns;
use super::{list, names, place, served};
use crate::error::{StoreError, StoreResult};
use crate::logic::fault::{Fault, corrupt};
use crate::logic::ties;
use crate::page::{PageRequest, Paged};
use crate::reads::EntityReads;
use crate::rows::{EntityFilter, EntitySelector, RevisionSince, ServedRow};
use crate::store::SqlStore;

/// The environment of what comes with Uplift itself.
pub(super) const OWN_ENVIRONMENT: &str = "uplift";

const HEAD: &str = "SELECT entity_type, entity_id, environment, name, state, improvement_config, revision_id,
    created_at, last_seen_at, version FROM entities WHERE TRUE";

#[async_trait]
impl EntityReads for SqlStore {
    async fn entities(&self, filter: EntityFilter, page: PageRequest) -> StoreResult<Paged<Entity>> {
        self.read("listing entities", move |connection| entities(connection, &filter, &page)).await
    }

    async fn entity(&self, selector: EntitySelector) -> StoreResult<Entity> {
        self.read("reading an entity", move |connection| entity(connection, &selector)).await
    }

    async fn entities_of(&self, keys: Vec<EntityKey>) -> StoreResult<Vec<Entity>> {
        self.read("reading entities", move |connection| named(connection, &keys)).await
    }

    async fn relationships(&self, entity: Option<EntityKey>) -> StoreResult<Vec<Relationship>> {
        self.read("reading relationships", move |connection| ties::relationships(connection, entity)).await
    }

    async fn revision(&self, id: RevisionId) -> StoreResult<Configuration> {
        self.read("reading a revision", move |connection| revision(connection, &id)).await
    }

    async fn revision_trail(&self, entity: EntityKey, limit: u32) -> StoreResult<Vec<RevisionSince>> {
        self.read("reading the revisions of an entity", move |connection| {
            let sql = "SELECT revision_id, since FROM entity_revisions WHERE entity_type = ?1 AND entity_id = ?2
                ORDER BY seq DESC LIMIT ?3";
            list::all(connection, "a revision", sql, (entity.entity_type.as_str(), entity.entity_id, limit), since)
        })
        .await
    }

    async fn defaults(&self, entity: EntityKey) -> StoreResult<Vec<RevisionSince>> {
        self.read("reading the defaults of an entity", move |connection| {
            let sql =
                "SELECT revision_id, first_seen_at FROM entity_defaults WHERE entity_type = ?1 AND entity_id = ?2
                ORDER BY seq DESC";
            list::all(connection, "a revision", sql, (entity.entity_type.as_str(), entity.entity_id), since)
        })
        .await
    }

    async fn served(&self, entities: Option<Vec<EntityKey>>, page: PageRequest) -> StoreResult<Paged<ServedRow>> {
        self.read("reading what is served", move |connection| served::read(connection, entities.as_deref(), &page))
            .await
    }
}

fn decode(row: &Row<'_>) -> Result<Entity, Fault> {
    let mut columns = Columns::of(row, "an entity");
    Ok(Entity {
        key: columns.key()?,
        environment: columns.get()?,
        name: columns.get()?,
        state: columns.parsed()?,
        improvement_config: columns.json()?,
        revision: columns.get()?,
        created_at: columns.time()?,
        last_seen_at: columns.time_option()?,
        version: columns.get()?,
    })
}

fn entities(connection: &Connection, filter: &EntityFilter, page: &PageRequest) -> Result<Paged<Entity>, Fault> {
    let mut conditions = list::Conditions::default();
    conditions.given("entity_type = ?", filter.entity_type.map(|kind| kind.as_str().to_owned()));
    conditions.given("environment = ?", filter.environment.clone());
    conditions.given("state = ?", filter.state.map(|state| state.as_str().to_owned()));
    // Whoever names that environment wants to see it.
    if !filter.built_in && filter.environment.is_none() {
        conditions.with("environment <> ?", [OWN_ENVIRONMENT.to_owned().into()]);
    }
    if let Some(cursor) = &page.cursor {
        let mut parts = Parts::of("n", cursor)?;
        let (entity_type, entity_id) = (parts.text()?, parts.number()?);
        parts.end()?;
        conditions.with("(entity_type, entity_id) > (?, ?)", [entity_type.into(), entity_id.into()]);
    }
    let (sql, parameters) = conditions.query(HEAD, "ORDER BY entity_type, entity_id", page.clamped());
    let items = list::all(connection, "an entity", &sql, parameters, decode)?;
    Ok(list::page(items, page, |last| {
        Cursor::of("n").text(last.key.entity_type.as_str()).number(last.key.entity_id).finish()
    }))
}

fn named(connection: &Connection, keys: &[EntityKey]) -> Result<Vec<Entity>, Fault> {
    let keys: Vec<_> = keys.iter().map(|key| (key.entity_type.as_str(), key.entity_id)).collect();
    let keys = serde_json::to_string(&keys).map_err(|error| corrupt("keys of entities", error))?;
    // One by one by the key: the server does not see how few are wanted.
    let sql = format!(
        "SELECT n.entity_type, n.entity_id, n.environment, n.name, n.state, n.improvement_config, n.revision_id,
            n.created_at, n.last_seen_at, n.version
        FROM (SELECT DISTINCT value ->> 0 AS entity_type, CAST(value ->> 1 AS bigint) AS entity_id FROM {}) AS wanted {}",
        connection.each("?1", "key"),
        connection.either(
            "CROSS JOIN entities AS n ON n.entity_type = wanted.entity_type AND n.entity_id = wanted.entity_id",
            "JOIN LATERAL (SELECT * FROM entities AS e
                WHERE e.entity_type = wanted.entity_type AND e.entity_id = wanted.entity_id OFFSET 0) AS n ON TRUE",
        ),
    );
    list::all(connection, "an entity", &sql, [keys], decode)
}

fn entity(connection: &Connection, selector: &EntitySelector) -> Result<Entity, Fault> {
    let name = selector.id_or_name.as_str();
    let kind = selector.entity_type;
    if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than a number has are the id of nobody.
        let id: i64 = name.parse().map_err(|_| StoreError::not_found(kind.as_str(), name))?;
        let sql = format!("{HEAD} AND entity_type = ?1 AND entity_id = ?2");
        let found = list::first(connection, "an entity", &sql, (kind.as_str(), id), decode)?;
        return found.ok_or_else(|| StoreError::not_found(kind.as_str(), name).into());
    }
    // Names are found by their environments.
    let sql = format!("{HEAD} AND environment = ?1 AND entity_type = ?2 AND name = ?3");
    let mut found = Vec::new();
    for environment in place::environments(connection)? {
        found.extend(list::first(connection, "an entity", &sql, (environment, kind.as_str(), name), decode)?);
    }
    let wanted = match &selector.environment {
        Some(environment) => found.iter().position(|entity| entity.environment == *environment),
        None if found.len() == 1 => Some(0),
        None => found.iter().position(|entity| entity.environment == DEFAULT_ENVIRONMENT),
    };
    if let Some(wanted) = wanted {
        return Ok(found.swap_remove(wanted));
    }
    let environments = found.iter().map(|entity| entity.environment.as_str()).collect::<Vec<_>>().join(", ");
    if found.is_empty() {
        let hint = names::hint(connection, kind, selector.environment.as_deref(), name)?;
        let name = name.chars().take(200).collect();
        return Err(StoreError::NotFound { what: kind.as_str(), name, hint }.into());
    }
    let name = name.to_owned();
    if let Some(environment) = &selector.environment {
        let hint = format!("; not in environment `{environment}`, but in: {environments}");
        return Err(StoreError::NotFound { what: kind.as_str(), name, hint }.into());
    }
    Err(StoreError::Ambiguous { what: kind.as_str(), name, environments }.into())
}

fn since(row: &Row<'_>) -> Result<RevisionSince, Fault> {
    let mut columns = Columns::of(row, "a revision");
    Ok(RevisionSince { revision: RevisionId::from_stored(columns.get::<String>()?), since: columns.time()? })
}

fn revision(connection: &Connection, id: &RevisionId) -> Result<Configuration, Fault> {
    let sql = "SELECT configuration FROM revisions WHERE revision_id = ?1";
    let found =
        list::first(connection, "a revision", sql, [id.as_str()], |row| Columns::of(row, "a revision").json())?;
    found.ok_or_else(|| StoreError::not_found("revision", id).into())
}
