//! What the tools do.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use uplift_model::access::AuditEntry;
use uplift_model::event::Source;
use uplift_store::PageRequest;
use uplift_store::rows::{EntitySelector, RequestFilter};

use super::seat::Client;
use super::{PATH, optimizing, tools};
use crate::api::{feedback, requests, resolve};
use crate::error::{ErrorCode, WebError};
use crate::state::AppState;
use crate::wire::feedback::FeedbackBody;
use crate::wire::request::{Request, RequestBody};
use crate::wire::resolve::Resolution;

/// Requests that are listed.
const LATEST: u32 = 5;
/// By which name what an agent says of its own tasks is kept. No metric counts it unless one is declared for it.
const SELF_REPORT: &str = "self_report";

/// Arguments that say who calls.
#[derive(Debug, Default, Deserialize)]
struct Who {
    agent: Option<String>,
    environment: Option<String>,
}

/// Calls a tool.
pub(super) async fn call(
    state: &AppState,
    client: &Client,
    name: &str,
    mut arguments: Value,
) -> Result<Value, WebError> {
    let who: Who = take_who(&mut arguments)?;
    match name {
        tools::REQUEST => audited(state, client, name, request(state, client, who, arguments)).await,
        tools::STATUS => status(state, client, who, arguments).await,
        tools::CONFIGURATION => configuration(state, client, who, arguments).await,
        tools::OUTCOME => outcome(state, client, who, arguments).await,
        tools::LIST => optimizing::list(state, client, parsed(arguments)?).await,
        tools::EVIDENCE => optimizing::evidence(state, parsed(arguments)?).await,
        tools::PROPOSE => {
            let proposal = parsed(arguments)?;
            audited(state, client, name, optimizing::propose(state, client, proposal)).await
        }
        tools::ORDER => {
            let order = parsed(arguments)?;
            audited(state, client, name, optimizing::order(state, client, order)).await
        }
        _ => Err(WebError::new(ErrorCode::NotFound, "there is no such tool")),
    }
}

/// Writes down what is asked for before it is done, and how it ended after, as for every route that changes something.
async fn audited(
    state: &AppState,
    client: &Client,
    tool: &str,
    work: impl Future<Output = Result<Value, WebError>>,
) -> Result<Value, WebError> {
    let entry = AuditEntry {
        at: state.engine.now(),
        actor: client.caller.name().to_owned(),
        role: client.caller.role(),
        token_id: client.caller.token_id(),
        peer: client.address.map(|address| address.to_string()),
        action: format!("MCP {tool}"),
        subject: PATH.to_owned(),
        detail: client.agent.as_ref().map(|(agent, _)| agent.chars().take(200).collect()),
    };
    let id = state.engine.begin_audit(entry).await?;
    let result = work.await;
    let status = result.as_ref().map_or_else(|error| error.code().status().as_u16(), |_| 200);
    if let Err(error) = state.engine.end_audit(id, status).await {
        tracing::warn!(%error, entry = id, "how an action ended could not be written down");
    }
    result
}

/// Takes out of the arguments who calls.
fn take_who(arguments: &mut Value) -> Result<Who, WebError> {
    let mut own = json!({});
    if let Some(fields) = arguments.as_object_mut() {
        for name in ["agent", "environment"] {
            if let Some(value) = fields.remove(name) {
                own[name] = value;
            }
        }
    }
    parsed(own)
}

/// Arguments as a tool takes them.
pub(super) fn parsed<T: DeserializeOwned>(arguments: Value) -> Result<T, WebError> {
    serde_json::from_value(arguments).map_err(|error| WebError::new(ErrorCode::InvalidBody, error.to_string()))
}

/// A value that some models write as a text that holds JSON.
pub(super) fn unwrapped(value: Value) -> Value {
    match value {
        Value::String(text) => serde_json::from_str(&text).unwrap_or(Value::String(text)),
        other => other,
    }
}

async fn request(state: &AppState, client: &Client, who: Who, arguments: Value) -> Result<Value, WebError> {
    let acting = client.acting(state, who.agent, who.environment).await?;
    let mut body: RequestBody = parsed(arguments)?;
    body.evidence = body.evidence.map(unwrapped);
    body.agent = Some(acting.name);
    body.environment = Some(acting.environment);
    let (_, asked) = requests::asked(state, &client.caller, body).await?;
    shown(&asked)
}

fn shown(value: &impl serde::Serialize) -> Result<Value, WebError> {
    serde_json::to_value(value).map_err(|error| WebError::new(ErrorCode::InternalError, error.to_string()))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StatusArguments {
    request_id: Option<i64>,
}

async fn status(state: &AppState, client: &Client, who: Who, arguments: Value) -> Result<Value, WebError> {
    let arguments: StatusArguments = parsed(arguments)?;
    if let Some(id) = arguments.request_id {
        return brief(requests::status(state, &client.caller, id).await?);
    }
    let acting = client.acting(state, who.agent, who.environment).await?;
    let filter = RequestFilter { asker: Some(acting.key), ..RequestFilter::default() };
    let latest = state.engine.store().requests(filter, PageRequest::first(LATEST)).await?.items;
    let mut told = Vec::with_capacity(latest.len());
    for request in latest {
        told.push(brief(requests::status(state, &client.caller, request.id).await?)?);
    }
    Ok(json!({ "requests": told }))
}

/// A request without what whoever asked said themselves, and without what is null.
fn brief(request: Request) -> Result<Value, WebError> {
    let mut told = shown(&request)?;
    let drop = |value: &mut Value, names: &[&str]| {
        if let Some(fields) = value.as_object_mut() {
            fields.retain(|name, value| !names.contains(&name.as_str()) && !value.is_null());
        }
    };
    drop(&mut told, &["rationale", "evidence", "asked_by", "environment", "agent", "priority"]);
    if let Some(verdict) = told.get_mut("verdict") {
        drop(verdict, &["improvement_id", "entity_type", "entity_id", "entity_name", "improvement_type"]);
    }
    Ok(told)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfigurationArguments {
    unit: Option<String>,
}

async fn configuration(state: &AppState, client: &Client, who: Who, arguments: Value) -> Result<Value, WebError> {
    let arguments: ConfigurationArguments = parsed(arguments)?;
    let acting = client.acting(state, who.agent, who.environment).await?;
    let own = EntitySelector {
        entity_type: acting.key.entity_type,
        id_or_name: acting.name,
        environment: Some(acting.environment),
    };
    let resolved = resolve::read(state, &own, arguments.unit.as_deref()).await?;
    shown(&Resolution::new(&resolved, resolved.reason.as_str()))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OutcomeArguments {
    task_id: String,
    success: bool,
    comment: Option<String>,
}

async fn outcome(state: &AppState, client: &Client, who: Who, arguments: Value) -> Result<Value, WebError> {
    let arguments: OutcomeArguments = parsed(arguments)?;
    let acting = client.acting(state, who.agent, who.environment).await?;
    let named = vec![arguments.task_id.clone()];
    let known = state.engine.store().named_tasks(acting.environment.clone(), named).await?;
    if known.iter().any(|task| task.entity != acting.key) {
        let detail = format!("task `{}` is not one of `{}`", arguments.task_id, acting.name);
        return Err(WebError::new(ErrorCode::Forbidden, detail));
    }
    let body = json!({
        "task_id": arguments.task_id, "name": SELF_REPORT, "score": arguments.success, "comment": arguments.comment,
        "source": Source::Own.as_str(), "agent": acting.name, "environment": acting.environment,
    });
    let body: FeedbackBody = parsed(body)?;
    let receipt = feedback::taken(state, &client.caller, body).await?;
    shown(&receipt)
}
