//! `/mcp`: agents ask, are told, and work on improvements over the Model Context Protocol.
//!
//! It holds no state: every request stands for itself, so any node may answer it. Tools do what the HTTP API does, by the
//! same functions and for the same callers; what they say is short.
//!
//! In reading order: `seat` (who calls), `tools` (what they see), `calls` and `optimizing` (what the tools do), `shelf`
//! (contexts as resources, processes as prompts).

mod calls;
mod optimizing;
mod seat;
mod shelf;
mod tools;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ErrorData, GetPromptRequestParams,
    GetPromptResponse, Implementation, ListPromptsResult, ListResourcesResult, ListToolsResult,
    PaginatedRequestParams, ReadResourceRequestParams, ReadResourceResponse, ServerCapabilities, ServerConfig,
};
use rmcp::service::RequestContext;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{RoleServer, ServerHandler};
use serde_json::{Value, json};

use self::seat::Client;
use crate::error::{ErrorCode, WebError};
use crate::state::AppState;

/// Where it is.
pub(crate) const PATH: &str = "/mcp";
/// Largest request, bytes: a proposal may hold a whole instruction.
const MAX_BODY: usize = 1024 * 1024;
/// How long a request may take to arrive.
const PATIENCE: Duration = Duration::from_secs(30);
/// What models are told of the server as a whole.
const INSTRUCTIONS: &str = "Uplift improves fleets of agents by live trials. Ask with request_improvement when something \
    keeps you from working well; look later with improvement_status.";

type Service = StreamableHttpService<Server, NeverSessionManager>;

/// The route. Hosts and origins were checked before, as on every route.
pub(crate) fn routes(state: &AppState) -> Router<AppState> {
    let state = state.clone();
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_max_request_body_bytes(MAX_BODY)
        .disable_allowed_hosts()
        .disable_allowed_origins();
    let make = move || Ok(Server { state: state.clone() });
    let service: Service = StreamableHttpService::new(make, Arc::new(NeverSessionManager::default()), config);
    let handle = move |request: Request| {
        let service = service.clone();
        async move { answer(&service, request).await }
    };
    Router::new().route(PATH, post(handle.clone()).get(handle.clone()).delete(handle))
}

/// Reads the request whole, and no longer than it may take, before anything is done with it.
async fn answer(service: &Service, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = match tokio::time::timeout(PATIENCE, to_bytes(body, MAX_BODY)).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => {
            let detail = format!("more than {MAX_BODY} bytes, or the request broke off");
            return WebError::new(ErrorCode::BodyTooLarge, detail).into_response();
        }
        Err(_) => return WebError::new(ErrorCode::BodyTooSlow, "the request took too long").into_response(),
    };
    let request = Request::from_parts(parts, Body::from(body));
    let (parts, body) = service.handle(request).await.into_parts();
    // Answers are whole: there are no streams without sessions.
    let body: Bytes = match to_bytes(Body::new(body), usize::MAX).await {
        Ok(body) => body,
        Err(error) => {
            tracing::error!(%error, "an answer over MCP broke off");
            return WebError::new(ErrorCode::InternalError, "the answer broke off").into_response();
        }
    };
    Response::from_parts(parts, Body::from(body))
}

/// Answers one request.
#[derive(Clone)]
struct Server {
    state: AppState,
}

impl Server {
    fn client(&self, context: &RequestContext<RoleServer>) -> Result<Client, ErrorData> {
        Client::of(&self.state, context.extensions.get::<Parts>()).map_err(|error| protocol_error(&error))
    }
}

/// An error of the protocol, for what is no tool.
fn protocol_error(error: &WebError) -> ErrorData {
    let data = Some(json!({ "code": error.code().as_str(), "remedy": error.code().remedy() }));
    match error.code() {
        ErrorCode::NotFound => ErrorData::resource_not_found(error.detail(), data),
        code if code.status().is_server_error() => ErrorData::internal_error(error.detail(), data),
        _ => ErrorData::invalid_params(error.detail(), data),
    }
}

/// What a tool says: JSON in as few bytes as possible.
fn said(value: &Value) -> CallToolResult {
    CallToolResult::success(vec![ContentBlock::text(value.to_string())])
}

/// An error of a tool, with what can be done about it: models read it.
fn failed(error: &WebError) -> CallToolResult {
    let mut told =
        json!({ "error": error.code().as_str(), "detail": error.detail(), "remedy": error.code().remedy() });
    if let Some(seconds) = error.retry_after_s() {
        told["retry_after_s"] = seconds.into();
    }
    CallToolResult::error(vec![ContentBlock::text(told.to_string())])
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder().enable_tools().enable_resources().enable_prompts().build();
        let mut info = ServerConfig::new(capabilities);
        info.server_info = Implementation::new("uplift", env!("CARGO_PKG_VERSION"));
        info.instructions = Some(INSTRUCTIONS.to_owned());
        info
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let client = self.client(&context)?;
        let tools = tools::listed(client.seat, client.agent.is_some());
        Ok(ListToolsResult::with_all_items(tools))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let client = self.client(&context)?;
        if !tools::names(client.seat).contains(&request.name.as_ref()) {
            let name: String = request.name.chars().take(100).collect();
            return Err(ErrorData::invalid_params(format!("there is no tool `{name}` for you"), None));
        }
        let arguments = Value::Object(request.arguments.unwrap_or_default());
        let result = match calls::call(&self.state, &client, &request.name, arguments).await {
            Ok(value) => said(&value),
            Err(error) => failed(&error),
        };
        Ok(result.into())
    }

    async fn list_resources(
        &self,
        _request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let client = self.client(&context)?;
        let found = shelf::resources(&self.state, &client).await.map_err(|error| protocol_error(&error))?;
        Ok(ListResourcesResult::with_all_items(found))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let client = self.client(&context)?;
        let found = shelf::read(&self.state, &client, &request.uri).await;
        found.map(Into::into).map_err(|error| protocol_error(&error))
    }

    async fn list_prompts(
        &self,
        _request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        let client = self.client(&context)?;
        let found = shelf::prompts(&self.state, &client).await.map_err(|error| protocol_error(&error))?;
        Ok(ListPromptsResult::with_all_items(found))
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        let client = self.client(&context)?;
        let found = shelf::prompt(&self.state, &client, &request.name).await;
        found.map(Into::into).map_err(|error| protocol_error(&error))
    }
}
