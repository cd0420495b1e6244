//! `/api/entities`: who there is.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use uplift_model::entity::Entity;
use uplift_model::revision::RevisionId;
use uplift_store::rows::EntityFilter;
use utoipa::IntoParams;

use super::declare;
use super::failures::{Failures, Missing};
use crate::error::WebError;
use crate::extract::{Params, PathOf, page, parse, parse_flag, selector, tagged, text};
use crate::state::AppState;
use crate::wire::entity::{Entity as Shown, EntityDetail, json};
use crate::wire::page::Page;

/// Which entities.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct EntitiesQuery {
    /// Only of this type: `agent`, `tool`, `context` or `process`.
    entity_type: Option<String>,
    /// Only in this environment.
    environment: Option<String>,
    /// Only in this state.
    state: Option<String>,
    /// Also those that come with Uplift itself.
    built_in: Option<String>,
    /// Most items, from 1 to 1000; 50 where it is missing.
    limit: Option<String>,
    /// Where the page before ended.
    cursor: Option<String>,
}

/// Entities by type and id.
#[utoipa::path(
    get, path = "/api/entities", tag = "entities", operation_id = "list_entities", params(EntitiesQuery),
    responses((status = 200, body = Page<Shown>), Failures)
)]
pub(super) async fn list(
    State(state): State<AppState>,
    Params(query): Params<EntitiesQuery>,
) -> Result<Json<Page<Shown>>, WebError> {
    let page = page(query.limit.as_deref(), query.cursor)?;
    let filter = EntityFilter {
        entity_type: parse("entity_type", query.entity_type.as_deref())?,
        environment: text("environment", query.environment)?,
        state: parse("state", query.state.as_deref())?,
        built_in: parse_flag("built_in", query.built_in.as_deref())?.unwrap_or_default(),
    };
    Ok(Json(state.engine.store().entities(filter, page).await?.into()))
}

/// In which environment.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct EnvironmentQuery {
    /// The environment, for a name that is in several.
    pub(super) environment: Option<String>,
}

/// One entity: its ties, the configuration it runs, and how its improvement stands.
#[utoipa::path(
    get, path = "/api/entities/{entity_type}/{entity}", tag = "entities", operation_id = "get_entity",
    params(
        ("entity_type" = String, Path, description = "`agent`, `tool`, `context` or `process`"),
        ("entity" = String, Path, description = "Its name, or its id"),
        EnvironmentQuery,
    ),
    responses(
        (status = 200, body = EntityDetail, headers(("ETag" = String,
            description = "Names its state: settings, configuration, whether it is in use"))),
        Failures, Missing,
    )
)]
pub(super) async fn one(
    State(state): State<AppState>,
    PathOf((entity_type, entity)): PathOf<(String, String)>,
    Params(query): Params<EnvironmentQuery>,
) -> Result<Response, WebError> {
    let entity = state.engine.store().entity(selector(&entity_type, entity, query.environment)?).await?;
    let tag = declare::entity_tag(&entity);
    Ok(tagged(Json(whole(&state, entity).await?).into_response(), &tag))
}

/// An entity with everything around it.
pub(super) async fn whole(state: &AppState, entity: Entity) -> Result<EntityDetail, WebError> {
    let store = state.engine.store();
    let status = store.entity_status(entity.key).await?.into();
    let relationships = store.relationships(Some(entity.key)).await?.into_iter().map(Into::into).collect();
    let configuration = match &entity.revision {
        Some(id) => Some(json(&store.revision(RevisionId::from_stored(id.as_str())).await?)),
        None => None,
    };
    let applied = declare::applied(state, entity.key).await?.as_ref().map(json);
    let trial = declare::trial_on(state, entity.key).await?;
    Ok(EntityDetail { entity: entity.into(), status, relationships, configuration, applied, trial })
}
