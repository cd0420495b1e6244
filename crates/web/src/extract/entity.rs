//! Which entity a request is about.

use std::str::FromStr;

use uplift_model::EntityKey;
use uplift_model::entity::EntityType;
use uplift_store::rows::EntitySelector;

use super::params::text;
use crate::error::WebError;
use crate::state::AppState;

/// The parameters that narrow a list down to one entity.
#[derive(Debug, Default)]
pub(crate) struct EntityQuery {
    pub(crate) agent: Option<String>,
    pub(crate) entity_type: Option<String>,
    pub(crate) entity: Option<String>,
    pub(crate) environment: Option<String>,
}

/// The selector for an entity in a path.
///
/// # Errors
/// When there is no such type of entity, or the name is empty.
pub(crate) fn selector(
    entity_type: &str,
    entity: String,
    environment: Option<String>,
) -> Result<EntitySelector, WebError> {
    let entity_type = EntityType::from_str(entity_type).map_err(|error| WebError::parameter("entity_type", error))?;
    let id_or_name = text("entity", Some(entity))?.unwrap_or_default();
    Ok(EntitySelector { entity_type, id_or_name, environment: text("environment", environment)? })
}

/// The entity that a list is narrowed down to, if it is.
///
/// # Errors
/// When the parameters contradict each other, or there is no such entity.
pub(crate) async fn named_entity(state: &AppState, query: EntityQuery) -> Result<Option<EntityKey>, WebError> {
    let EntityQuery { agent, entity_type, entity, environment } = query;
    let (entity_type, entity) = match (agent, entity_type, entity) {
        (None, None, None) => return Ok(None),
        (Some(agent), None, None) => (EntityType::Agent.as_str().to_owned(), agent),
        (None, Some(entity_type), Some(entity)) => (entity_type, entity),
        (Some(_), _, _) => {
            return Err(WebError::parameter("agent", "is short for entity_type and entity: give one or the other"));
        }
        (None, Some(_), None) => return Err(WebError::parameter("entity", "is missing beside entity_type")),
        (None, None, Some(_)) => return Err(WebError::parameter("entity_type", "is missing beside entity")),
    };
    let selector = selector(&entity_type, entity, environment)?;
    Ok(Some(state.engine.store().entity(selector).await?.key))
}
