//! What forms do: the same calls of the engine as the routes of the API, answered with the way to a page.

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value};
use uplift_runner::control::ControlError;
use uplift_store::writes::StepCommit;
use uplift_store::{StoreError, Write};

use super::csrf::Posted;
use super::failed::{OnPage, PageError};
use super::parts::entity_address;
use super::{own_settings, settings};
use crate::api::{MAX_REASON_CHARS, words};
use crate::error::{ErrorCode, WebError};
use crate::extract::{PathOf, selector};
use crate::state::AppState;

/// The way to a page, which says in a word what was done.
fn to(address: &str, done: &str) -> Response {
    (StatusCode::SEE_OTHER, [(LOCATION, format!("{address}?done={done}"))]).into_response()
}

fn reason(posted: &Posted, usual: &str) -> Result<String, PageError> {
    words("reason", posted.text("reason"), MAX_REASON_CHARS, usual).on(&posted.visit)
}

type Id = Result<PathOf<i64>, WebError>;

/// Says yes to an improvement that waits.
pub(super) async fn approve(State(state): State<AppState>, id: Id, posted: Posted) -> Result<Response, PageError> {
    let PathOf(id) = id.on(&posted.visit)?;
    state.engine.approve(id, posted.visit.caller.name().to_owned()).await.on(&posted.visit)?;
    Ok(to(&format!("/improvements/{id}"), "approved"))
}

/// Says no to it.
pub(super) async fn reject(State(state): State<AppState>, id: Id, posted: Posted) -> Result<Response, PageError> {
    let PathOf(id) = id.on(&posted.visit)?;
    let reason = reason(&posted, "rejected by an operator")?;
    state.engine.reject(id, posted.visit.caller.name().to_owned(), reason).await.on(&posted.visit)?;
    Ok(to(&format!("/improvements/{id}"), "rejected"))
}

/// Calls it off.
pub(super) async fn cancel(State(state): State<AppState>, id: Id, posted: Posted) -> Result<Response, PageError> {
    let PathOf(id) = id.on(&posted.visit)?;
    let reason = reason(&posted, "called off by an operator")?;
    state.engine.cancel(id, posted.visit.caller.name().to_owned(), reason).await.on(&posted.visit)?;
    Ok(to(&format!("/improvements/{id}"), "cancelled"))
}

/// Takes it back.
pub(super) async fn roll_back(State(state): State<AppState>, id: Id, posted: Posted) -> Result<Response, PageError> {
    let PathOf(id) = id.on(&posted.visit)?;
    let reason = reason(&posted, "taken back by an operator")?;
    state.engine.roll_back(id, posted.visit.caller.name().to_owned(), reason).await.on(&posted.visit)?;
    Ok(to(&format!("/improvements/{id}"), "rolledback"))
}

/// Sets an opportunity aside, with a reason.
pub(super) async fn dismiss(State(state): State<AppState>, id: Id, posted: Posted) -> Result<Response, PageError> {
    let PathOf(id) = id.on(&posted.visit)?;
    if posted.text("reason").is_none() {
        let detail = "a dismissal needs a reason, for those who read it later";
        return Err(PageError::new(&posted.visit, WebError::new(ErrorCode::InvalidBody, detail)));
    }
    let reason = reason(&posted, "")?;
    state.engine.dismiss(id, reason).await.on(&posted.visit)?;
    Ok(to(&format!("/opportunities/{id}"), "dismissed"))
}

/// Makes an improvement of an opportunity.
pub(super) async fn start(State(state): State<AppState>, id: Id, posted: Posted) -> Result<Response, PageError> {
    let PathOf(id) = id.on(&posted.visit)?;
    let triggered = state.engine.start(id).await.on(&posted.visit)?;
    Ok(match triggered.improvements.first() {
        Some(improvement) => to(&format!("/improvements/{}", improvement.id), "started"),
        None => to(&format!("/opportunities/{id}"), "started"),
    })
}

/// Says that somebody looks after an alert.
pub(super) async fn acknowledge(
    State(state): State<AppState>,
    id: Id,
    posted: Posted,
) -> Result<Response, PageError> {
    let PathOf(id) = id.on(&posted.visit)?;
    let by = posted.visit.caller.name();
    state.engine.acknowledge_alert(id, by, posted.text("note").as_deref()).await.on(&posted.visit)?;
    Ok(to("/alerts", "acknowledged"))
}

/// Ends an alert.
pub(super) async fn resolve(State(state): State<AppState>, id: Id, posted: Posted) -> Result<Response, PageError> {
    let PathOf(id) = id.on(&posted.visit)?;
    state.engine.resolve_alert(id, posted.visit.caller.name()).await.on(&posted.visit)?;
    Ok(to("/alerts", "resolved"))
}

/// Pauses.
pub(super) async fn pause(State(state): State<AppState>, posted: Posted) -> Result<Response, PageError> {
    let all = posted.text("rollback_running").is_some();
    state.engine.pause(all, posted.visit.caller.name().to_owned()).await.on(&posted.visit)?;
    Ok(to("/settings", "paused"))
}

/// Lets trials start again.
pub(super) async fn resume(State(state): State<AppState>, posted: Posted) -> Result<Response, PageError> {
    state.engine.resume(posted.visit.caller.name().to_owned()).await.on(&posted.visit)?;
    Ok(to("/settings", "resumed"))
}

/// Changes the engine's settings: those that differ from what is in force, if they are still as they were shown.
pub(super) async fn set(State(state): State<AppState>, posted: Posted) -> Result<Response, PageError> {
    let all = state.engine.settings().await.on(&posted.visit)?;
    let patch = patch(&all, posted.fields());
    if patch.is_empty() {
        return Ok(to("/settings", "saved"));
    }
    let wanted = posted.text("tag").unwrap_or_default();
    let refused = match state.engine.configure_if(Value::Object(patch), |current| current == wanted).await {
        Ok(_) => return Ok(to("/settings", "saved")),
        Err(ControlError::Changed { .. }) => (
            ErrorCode::PreconditionFailed,
            "somebody else has changed the settings since this page was loaded: look at them again, and save"
                .to_owned(),
        ),
        Err(error @ (ControlError::Invalid { .. } | ControlError::Policy(_))) => {
            (ErrorCode::InvalidSetting, error.to_string())
        }
        Err(error) => return Err(PageError::new(&posted.visit, error)),
    };
    let mut response = settings::shown(&state, &posted.visit, Some((&posted, refused.1))).await?;
    *response.status_mut() = refused.0.status();
    Ok(response)
}

/// What of a form differs from the settings in force, as JSON; what is empty goes back to the file's.
fn patch<'a>(all: &Value, fields: impl Iterator<Item = (&'a str, &'a str)>) -> Map<String, Value> {
    let mut patch = Map::new();
    for (name, text) in fields {
        let Some(current) = all["engine"].get(name) else { continue };
        if text == settings::written(current) {
            continue;
        }
        let value = if text.is_empty() {
            Value::Null
        } else if current.is_string() {
            Value::String(text.to_owned())
        } else {
            // What is no number stays a text, and the engine says what is wrong with it.
            serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
        };
        patch.insert(name.to_owned(), value);
    }
    patch
}

type Path = Result<PathOf<(String, String)>, WebError>;

/// Changes an entity's own settings, if it is still as it was shown.
pub(super) async fn set_entity(
    State(state): State<AppState>,
    path: Path,
    posted: Posted,
) -> Result<Response, PageError> {
    let visit = &posted.visit;
    let PathOf((entity_type, name)) = path.on(visit)?;
    let entity = state.engine.store().entity(selector(&entity_type, name, None).on(visit)?).await.on(visit)?;
    let shown: i64 = posted.text("version").and_then(|version| version.parse().ok()).unwrap_or(-1);
    let config = match own_settings::posted(&posted, &entity.improvement_config) {
        Ok(config) => config,
        Err(refused) => return Ok(own_settings::refused(&posted, &entity, &refused)),
    };
    let commit = StepCommit {
        at: state.engine.now(),
        expected_versions: vec![(entity.key, shown)],
        writes: vec![Write::SetEntityConfig { entity: entity.key, config }],
        ..StepCommit::default()
    };
    match state.engine.step(commit).await {
        Ok(_) => Ok(to(&entity_address(entity.key), "saved")),
        Err(StoreError::VersionConflict { .. }) => {
            let detail = "the entity has changed since its page was loaded: look at it again, and save";
            Err(PageError::new(visit, WebError::new(ErrorCode::PreconditionFailed, detail)))
        }
        Err(error) => Err(PageError::new(visit, error)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_was_changed_is_set() {
        let all = json!({"engine": {"mode": "auto", "share": 0.5, "on": true, "rest": "6h"}, "other": {"x": 1}});
        let fields = [("mode", "observe"), ("share", "0.5"), ("on", "false"), ("rest", ""), ("x", "2"), ("tag", "t")];
        assert_eq!(
            Value::Object(patch(&all, fields.into_iter())),
            json!({"mode": "observe", "on": false, "rest": null})
        );
        assert_eq!(Value::Object(patch(&all, [("share", "a lot")].into_iter())), json!({"share": "a lot"}));
    }
}
