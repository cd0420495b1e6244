//! `PUT /api/entities/...`: what people declare of an entity: settings, configuration, ties, state.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use uplift_model::entity::{DEFAULT_ENVIRONMENT, Entity, EntityKey, EntityName, check_name};
use uplift_model::relationship::{Relationship, RelationshipSource};
use uplift_model::revision::{Configuration, Revision, RevisionId};
use uplift_model::trial::TrialKind;
use uplift_store::rows::{EntitySelector, TrialFilter};
use uplift_store::writes::StepCommit;
use uplift_store::{PageRequest, StoreError, Write};

use super::actions::created;
use super::entities::{EnvironmentQuery, whole};
use super::failures::{Changed, Failures, Missing, Moved, Unacceptable};
use crate::error::{ErrorCode, WebError};
use crate::extract::{Body, IfMatch, Params, PathOf, changed, selector, tagged};
use crate::state::AppState;
use crate::wire::action::{EntityBody, StateBody, TieBody};
use crate::wire::entity::EntityDetail;

/// Most ties that one request declares.
const MAX_TIES: usize = 1_000;

/// Declares an entity, or replaces what is said of it; what the body leaves out stays as it is. A configuration that
/// differs from the one in place while a trial runs is refused, unless `now` says that the trial may begin anew on it. With
/// the header `If-Match`, only if the entity is still in the state it names; the answer names the new one.
#[utoipa::path(
    put, path = "/api/entities/{entity_type}/{entity}", tag = "entities", operation_id = "declare_entity",
    params(
        ("entity_type" = String, Path, description = "`agent`, `tool`, `context` or `process`"),
        ("entity" = String, Path, description = "Its name, or the id of one that exists"),
        EnvironmentQuery,
        ("If-Match" = Option<String>, Header, description = "The `ETag` of the entity that is to be changed"),
    ),
    request_body = EntityBody,
    responses(
        (status = 200, body = EntityDetail, headers(("ETag" = String, description = "Names the new state"))),
        (status = 201, description = "It was not there before.", body = EntityDetail,
            headers(("Location" = String, description = "Where it is"),
                ("ETag" = String, description = "Names its state"))),
        Failures, Missing, Moved, Changed, Unacceptable,
    )
)]
pub(super) async fn declare(
    State(state): State<AppState>,
    PathOf((entity_type, entity)): PathOf<(String, String)>,
    Params(query): Params<EnvironmentQuery>,
    wanted: IfMatch,
    Body(body): Body<EntityBody>,
) -> Result<Response, WebError> {
    let mut selector = selector(&entity_type, entity, query.environment)?;
    let by_id = selector.id_or_name.bytes().all(|byte| byte.is_ascii_digit());
    if !by_id {
        selector.environment.get_or_insert_with(|| DEFAULT_ENVIRONMENT.to_owned());
    }
    let existing = match state.engine.store().entity(selector.clone()).await {
        Ok(entity) => Some(entity),
        Err(StoreError::NotFound { .. }) if !by_id => None,
        Err(error) => return Err(error.into()),
    };
    let tag = existing.as_ref().map(entity_tag);
    if !wanted.allows(tag.as_deref()) {
        return Ok(changed("the entity", tag.as_deref()));
    }
    let name = match &existing {
        Some(entity) => EntityName {
            environment: entity.environment.clone(),
            entity_type: entity.key.entity_type,
            name: entity.name.clone(),
        },
        None => new_name(selector)?,
    };
    // Everything that can be wrong is found out before anything is written.
    let declared = Declared::checked(&state, &name, existing.as_ref(), body).await?;
    let key = match &existing {
        Some(entity) => entity.key,
        None => put_on_record(&state, &name, &declared).await?,
    };
    let commit = StepCommit {
        at: state.engine.now(),
        expected_versions: existing.iter().map(|entity| (entity.key, entity.version)).collect(),
        writes: declared.writes(&state, key),
        ..StepCommit::default()
    };
    if !commit.writes.is_empty() {
        match state.engine.step(commit).await {
            // Somebody was faster since it was looked at above.
            Err(StoreError::VersionConflict { .. }) if wanted.is_said() => {
                let now = super::improvements::entity_of(&state, key).await?;
                return Ok(changed("the entity", Some(&entity_tag(&now))));
            }
            written => drop(written?),
        }
    }
    let entity = super::improvements::entity_of(&state, key).await?;
    let tag = entity_tag(&entity);
    let detail = whole(&state, entity).await?;
    let answer = match existing {
        Some(_) => (StatusCode::OK, Json(detail)).into_response(),
        None => created(format!("/api/entities/{}/{}", key.entity_type, key.entity_id), detail).into_response(),
    };
    Ok(tagged(answer, &tag))
}

/// What tells an entity's state from others: its settings, configuration and state, not what happens around it.
pub(super) fn entity_tag(entity: &Entity) -> String {
    format!("{}-{}-v{}", entity.key.entity_type, entity.key.entity_id, entity.version)
}

fn new_name(selector: EntitySelector) -> Result<EntityName, WebError> {
    let environment = selector.environment.unwrap_or_else(|| DEFAULT_ENVIRONMENT.to_owned());
    for (what, name) in [("entity", &selector.id_or_name), ("environment", &environment)] {
        check_name(name).map_err(|error| WebError::parameter(what, error))?;
    }
    Ok(EntityName { environment, entity_type: selector.entity_type, name: selector.id_or_name })
}

async fn put_on_record(state: &AppState, name: &EntityName, declared: &Declared) -> Result<EntityKey, WebError> {
    let config = declared.body.improvement_config.clone();
    let config = config.unwrap_or_else(|| state.engine.policy().entity.clone());
    let receipt = state.engine.commit(vec![Write::DeclareEntity { name: name.clone(), config }]).await?;
    receipt.entities.first().copied().ok_or_else(|| {
        WebError::new(ErrorCode::InternalError, "the entity was declared, and its number was not told")
    })
}

/// A body that was found to be in order.
struct Declared {
    body: EntityBody,
    /// The configuration to be put in place, where it is another one than there is.
    revision: Option<Revision>,
    /// What the next merge starts from.
    applied: Option<Revision>,
    ties: Vec<(TieBody, EntityKey)>,
}

impl Declared {
    async fn checked(
        state: &AppState,
        name: &EntityName,
        existing: Option<&Entity>,
        mut body: EntityBody,
    ) -> Result<Self, WebError> {
        if let Some(config) = &body.improvement_config {
            config.check().map_err(|error| WebError::new(ErrorCode::InvalidSetting, error.to_string()))?;
        }
        let sealed = |configuration: Option<Configuration>| {
            let sealed = configuration.map(Revision::seal).transpose();
            sealed.map_err(|error| WebError::new(ErrorCode::InvalidValue, error.to_string()))
        };
        let in_place = existing.and_then(|entity| entity.revision.as_deref());
        let revision = sealed(body.configuration.take())?;
        let applied = sealed(body.applied.take())?.or_else(|| revision.clone());
        if let Some(expected) = &body.expected_revision
            && in_place != Some(expected.as_str())
        {
            let what = format!("the configuration of {}/{}", name.entity_type, name.name);
            return Err(StoreError::VersionConflict { what, expected: format!("revision {expected}") }.into());
        }
        let revision = revision.filter(|revision| in_place != Some(revision.id().as_str()));
        if let (Some(entity), Some(_), false) = (existing, &revision, body.now)
            && let Some(trial) = trial_on(state, entity.key).await?
        {
            let detail = format!(
                "trial {trial} runs on {}/{}: send the change to /api/improvements to have it tried, wait for the \
                 trial's end, or say `now`; the trial then begins anew on it",
                name.entity_type, name.name
            );
            return Err(WebError::new(ErrorCode::Occupied, detail));
        }
        let ties = targets(state, name, std::mem::take(&mut body.relationships)).await?;
        Ok(Self { body, revision, applied, ties })
    }

    fn writes(self, state: &AppState, key: EntityKey) -> Vec<Write> {
        let mut writes = Vec::new();
        if let Some(config) = self.body.improvement_config {
            writes.push(Write::SetEntityConfig { entity: key, config });
        }
        if let Some(applied) = self.applied {
            let value = json!({ "revision": applied.id(), "at": state.engine.now().micros() });
            writes.push(Write::NoteDefaults { entity: key, revision: Box::new(applied) });
            writes.push(Write::SetSetting { name: applied_setting(key), value });
        }
        if let Some(revision) = self.revision {
            writes.push(Write::PointRevision { entity: key, revision: Box::new(revision) });
        }
        writes.extend(self.ties.into_iter().map(|(tie, to)| {
            Write::PutRelationship(Relationship {
                from: key,
                to,
                kind: tie.kind,
                strength: tie.strength.unwrap_or(1.0),
                source: RelationshipSource::Declared,
            })
        }));
        writes
    }
}

async fn targets(
    state: &AppState,
    name: &EntityName,
    ties: Vec<TieBody>,
) -> Result<Vec<(TieBody, EntityKey)>, WebError> {
    let wrong = |detail: String| WebError::new(ErrorCode::InvalidValue, detail);
    if ties.len() > MAX_TIES {
        return Err(wrong(format!("{} relationships are more than the {MAX_TIES} of one request", ties.len())));
    }
    let mut found = Vec::with_capacity(ties.len());
    for tie in ties {
        if tie.strength.is_some_and(|strength| !(0.0..=1.0).contains(&strength)) {
            return Err(wrong(format!("the strength of the tie to {} must be from 0 to 1", tie.to)));
        }
        let (entity_type, other) = tie
            .to
            .split_once('/')
            .ok_or_else(|| wrong(format!("`{}` is not TYPE/NAME, such as tool/search", tie.to)))?;
        let selector = selector(entity_type, other.to_owned(), Some(name.environment.clone()))?;
        let to = state.engine.store().entity(selector).await.map_err(|error| match error {
            StoreError::NotFound { .. } => wrong(format!("there is a tie to {}, and {error}", tie.to)),
            error => error.into(),
        })?;
        found.push((tie, to.key));
    }
    Ok(found)
}

/// Moves an entity to a state. A trial on an entity that leaves `active` is called off.
#[utoipa::path(
    put, path = "/api/entities/{entity_type}/{entity}/state", tag = "entities", operation_id = "set_entity_state",
    params(
        ("entity_type" = String, Path, description = "`agent`, `tool`, `context` or `process`"),
        ("entity" = String, Path, description = "Its name, or its id"),
        EnvironmentQuery,
    ),
    request_body = StateBody, responses((status = 200, body = EntityDetail), Failures, Missing)
)]
pub(super) async fn set_state(
    State(state): State<AppState>,
    PathOf((entity_type, entity)): PathOf<(String, String)>,
    Params(query): Params<EnvironmentQuery>,
    Body(body): Body<StateBody>,
) -> Result<Json<EntityDetail>, WebError> {
    let selector = selector(&entity_type, entity, query.environment)?;
    let key = state.engine.store().entity(selector).await?.key;
    state.engine.commit(vec![Write::SetEntityState { entity: key, state: body.state }]).await?;
    let entity = super::improvements::entity_of(&state, key).await?;
    Ok(Json(whole(&state, entity).await?))
}

/// Where it is kept which configuration a file brought along last.
fn applied_setting(key: EntityKey) -> String {
    format!("applied/{}/{}", key.entity_type, key.entity_id)
}

/// The configuration that a file or the entity's own code brought along last.
pub(super) async fn applied(state: &AppState, key: EntityKey) -> Result<Option<Configuration>, WebError> {
    let store = state.engine.store();
    let by_file = store.setting(applied_setting(key)).await?.and_then(|noted| {
        let revision = noted["revision"].as_str().map(RevisionId::from_stored)?;
        Some((noted["at"].as_i64()?, revision))
    });
    // What the code brought along is noted when it is new; whichever came last is the one to start from.
    let by_code = store.defaults(key).await?.into_iter().map(|noted| (noted.since.micros(), noted.revision));
    let latest = by_code.chain(by_file).max_by_key(|(at, _)| *at);
    match latest {
        Some((_, revision)) => Ok(Some(store.revision(revision).await?)),
        None => Ok(None),
    }
}

/// The trial that runs on an entity; the watch after a keep is none.
pub(super) async fn trial_on(state: &AppState, key: EntityKey) -> Result<Option<i64>, WebError> {
    let filter = TrialFilter { entity: Some(key), running: true, ..TrialFilter::default() };
    let running = state.engine.store().trials(filter, PageRequest::default()).await?.items;
    Ok(running.into_iter().find(|record| record.trial.kind == TrialKind::Trial).map(|record| record.id))
}
