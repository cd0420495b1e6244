//! What an agent is given to read: the contexts of its configuration as resources, its processes as prompts.

use std::fmt::Write as _;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use rmcp::model::{GetPromptResult, Prompt, PromptMessage, ReadResourceResult, Resource, ResourceContents, Role};
use serde_json::Value;
use uplift_model::entity::{Entity, EntityType};
use uplift_model::revision::{Configuration, RevisionId};
use uplift_store::StoreError;
use uplift_store::rows::EntitySelector;

use super::seat::Client;
use crate::error::{ErrorCode, WebError};
use crate::state::AppState;

/// What addresses of contexts begin with.
const CONTEXTS: &str = "uplift://contexts/";
/// What of a name is escaped in an address.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');
/// Most contexts, and most processes, that are listed.
const MOST_LISTED: usize = 100;
/// Most steps of a process that are told.
const MOST_STEPS: usize = 100;
/// Where a context's configuration holds its text, where that is not its instruction.
const CONTENT: [&str; 2] = ["content", "text"];

/// The agent with its configuration; none where nobody says who it is, or it runs none.
async fn own(state: &AppState, client: &Client) -> Result<Option<(Entity, Configuration)>, WebError> {
    if client.agent.is_none() {
        return Ok(None);
    }
    let agent = client.acting(state, None, None).await?;
    Ok(configuration(state, &agent).await?.map(|configuration| (agent, configuration)))
}

async fn configuration(state: &AppState, entity: &Entity) -> Result<Option<Configuration>, WebError> {
    let Some(id) = &entity.revision else { return Ok(None) };
    Ok(Some(state.engine.store().revision(RevisionId::from_stored(id.clone())).await?))
}

/// The contexts of the agent.
pub(super) async fn resources(state: &AppState, client: &Client) -> Result<Vec<Resource>, WebError> {
    let Some((_, own)) = own(state, client).await? else { return Ok(Vec::new()) };
    let resource = |name: &String| {
        let uri = format!("{CONTEXTS}{}", utf8_percent_encode(name, ESCAPED));
        Resource::new(uri, name.clone()).with_mime_type("text/plain")
    };
    Ok(own.contexts.iter().take(MOST_LISTED).map(resource).collect())
}

/// The text of one of its contexts.
pub(super) async fn read(state: &AppState, client: &Client, uri: &str) -> Result<ReadResourceResult, WebError> {
    let missing = || WebError::new(ErrorCode::NotFound, "there is no such context of this agent");
    let name = uri.strip_prefix(CONTEXTS).ok_or_else(missing)?;
    let name = percent_decode_str(name).decode_utf8().map_err(|_| missing())?.into_owned();
    let (agent, own) = own(state, client).await?.ok_or_else(missing)?;
    if !own.contexts.contains(&name) {
        return Err(missing());
    }
    let context = part(state, &agent, EntityType::Context, &name).await?.ok_or_else(missing)?;
    let text = match configuration(state, &context).await? {
        Some(configuration) => words(&configuration),
        None => state.engine.store().document(context.key).await?,
    };
    let text = text.ok_or_else(|| {
        WebError::new(
            ErrorCode::NotFound,
            "the text of this context is not kept here: whoever declares it may add it",
        )
    })?;
    Ok(ReadResourceResult::new(vec![ResourceContents::text(text, uri).with_mime_type("text/plain")]))
}

/// The processes of the agent.
pub(super) async fn prompts(state: &AppState, client: &Client) -> Result<Vec<Prompt>, WebError> {
    let Some((_, own)) = own(state, client).await? else { return Ok(Vec::new()) };
    let prompt = |name: &String| Prompt::new(name.clone(), Some("A process of yours, step by step"), None);
    Ok(own.processes.iter().take(MOST_LISTED).map(prompt).collect())
}

/// One of its processes, step by step.
pub(super) async fn prompt(state: &AppState, client: &Client, name: &str) -> Result<GetPromptResult, WebError> {
    let missing = || WebError::new(ErrorCode::NotFound, "there is no such process of this agent");
    let (agent, own) = own(state, client).await?.ok_or_else(missing)?;
    if !own.processes.iter().any(|process| process == name) {
        return Err(missing());
    }
    let process = part(state, &agent, EntityType::Process, name).await?.ok_or_else(missing)?;
    let configuration = configuration(state, &process).await?.ok_or_else(missing)?;
    let mut text = words(&configuration).unwrap_or_default();
    let steps = configuration.extra.get("steps").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if !steps.is_empty() {
        text.push_str("Call these tools in this order:\n");
        for (place, step) in steps.iter().filter_map(Value::as_str).take(MOST_STEPS).enumerate() {
            // Writing to a text cannot fail.
            let _ = writeln!(text, "{}. {step}", place + 1);
        }
    }
    if text.is_empty() {
        return Err(missing());
    }
    Ok(GetPromptResult::new(vec![PromptMessage::new_text(Role::User, text)]))
}

/// A context or process by the name that an agent's configuration gives it.
async fn part(
    state: &AppState,
    agent: &Entity,
    entity_type: EntityType,
    name: &str,
) -> Result<Option<Entity>, WebError> {
    let environment = Some(agent.environment.clone());
    let who = EntitySelector { entity_type, id_or_name: name.to_owned(), environment };
    match state.engine.store().entity(who).await {
        Ok(found) => Ok(Some(found)),
        Err(StoreError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The text of a configuration.
fn words(configuration: &Configuration) -> Option<String> {
    let own = CONTENT.iter().find_map(|key| configuration.extra.get(*key)?.as_str());
    let instruction = Some(configuration.instruction.text.as_str()).filter(|text| !text.is_empty());
    own.or(instruction).map(str::to_owned)
}
