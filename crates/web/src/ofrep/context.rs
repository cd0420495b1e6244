//! What a request says of itself: the unit, the environment, and in bulk the flags.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::response::IntoResponse;
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::answer::Failure;
use crate::access::Caller;
use crate::extract::soon;

/// The context attribute that names the environment.
const ENVIRONMENT: &str = "environment";
/// The context attribute that names flags, in bulk.
const FLAGS: &str = "flags";
/// The unit.
const TARGETING_KEY: &str = "targetingKey";
/// Most keys that a bulk request may name.
const MAX_KEYS: usize = 100;
/// Longest text that is looked at, bytes.
const MAX_TEXT: usize = 512;

/// The body of a request.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct Asked {
    /// `targetingKey` is the unit: the id of the task, or of the session. `environment` names the environment, `flags`
    /// (in bulk) the flags. What else there is has no meaning here.
    #[serde(default)]
    #[schema(value_type = Object)]
    context: Option<Value>,
}

/// What a context comes to.
#[derive(Debug)]
pub(super) struct Context {
    /// What is assigned to an arm.
    pub(super) unit: Option<String>,
    /// The environment.
    pub(super) environment: Option<String>,
    flags: Option<Vec<String>>,
}

impl Context {
    /// Reads a body.
    ///
    /// # Errors
    /// When it is not what the protocol says, or an attribute that has a meaning cannot have it.
    pub(super) async fn read(request: Request) -> Result<Self, Failure> {
        let sent = soon(Bytes::from_request(request, &())).await.map_err(|error| Failure::refused(&error))?;
        let sent = sent.map_err(|error| {
            let status = error.status();
            // Reads what the rejection says, so it has to be its last use.
            let detail = error.body_text();
            drop(error.into_response());
            Failure::unread(status, detail)
        })?;
        let asked: Asked = if sent.iter().all(u8::is_ascii_whitespace) {
            Asked { context: None }
        } else {
            serde_json::from_slice(&sent).map_err(|error| Failure::parse(format!("the body: {error}")))?
        };
        match asked.context {
            None | Some(Value::Null) => Self::of(&Map::new()),
            Some(Value::Object(attributes)) => Self::of(&attributes),
            Some(_) => Err(Failure::context("the context must be an object")),
        }
    }

    fn of(attributes: &Map<String, Value>) -> Result<Self, Failure> {
        let unit = text(attributes, TARGETING_KEY)?;
        if unit.as_deref().is_some_and(str::is_empty) {
            // Who sends it meant to name a unit: serving nobody's arm without a word would go unnoticed.
            return Err(Failure::targeting_key(
                "the targeting key is empty: send the id of the task, or leave it out",
            ));
        }
        let environment = text(attributes, ENVIRONMENT)?;
        if environment.as_deref().is_some_and(str::is_empty) {
            return Err(Failure::context("the attribute `environment` is empty: leave it out"));
        }
        Ok(Self { unit, environment, flags: flags(attributes.get(FLAGS))? })
    }

    /// The flags that a bulk request is about.
    ///
    /// # Errors
    /// When it names none, and does not come from an agent whose token says for whom it stands.
    pub(super) fn keys(&self, caller: &Caller) -> Result<Vec<String>, Failure> {
        if let Some(flags) = &self.flags {
            return Ok(flags.clone());
        }
        let in_question = |bound: &str| self.environment.as_deref().is_none_or(|asked| asked == bound);
        let own: Vec<String> = caller
            .entities()
            .iter()
            .filter(|bound| bound.environment.as_deref().is_none_or(in_question))
            .filter_map(|bound| Some(format!("{}/{}/*", bound.entity_type, bound.name.as_deref()?)))
            .collect();
        if own.is_empty() {
            return Err(Failure::context(
                "name the flags in the context attribute `flags`, as in [\"agent/researcher/*\"]; only an agent's token \
                 that is bound to entities by name says by itself which are meant",
            ));
        }
        Ok(own)
    }
}

/// A text among the attributes.
fn text(attributes: &Map<String, Value>, name: &str) -> Result<Option<String>, Failure> {
    match attributes.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.len() <= MAX_TEXT => Ok(Some(text.clone())),
        Some(Value::String(text)) => {
            Err(Failure::context(format!("`{name}` has {} bytes, at most {MAX_TEXT} are taken", text.len())))
        }
        Some(_) => Err(Failure::context(format!("`{name}` must be a text"))),
    }
}

/// The keys that a bulk request names: a list, or a text with commas, as some clients know no lists.
fn flags(given: Option<&Value>) -> Result<Option<Vec<String>>, Failure> {
    let wrong = || Failure::context("`flags` must be a list of flag keys, or a text of keys separated by commas");
    let keys: Vec<String> = match given {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => text.split(',').map(|key| key.trim().to_owned()).collect(),
        Some(Value::Array(list)) => {
            list.iter().map(|key| key.as_str().map(str::to_owned).ok_or_else(wrong)).collect::<Result<_, _>>()?
        }
        Some(_) => return Err(wrong()),
    };
    if keys.len() > MAX_KEYS {
        return Err(Failure::context(format!(
            "{} flags are more than {MAX_KEYS}: ask again for the rest",
            keys.len()
        )));
    }
    Ok(Some(keys))
}
