//! All of it together.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::api::grpc;
use crate::error::{ErrorCode, WebError};
use crate::state::AppState;
use crate::{access, api, dashboard, guard, mcp, ofrep, problem, telemetry};

/// Largest body of a request that carries no events, bytes.
const MAX_SMALL_BODY: usize = 64 * 1024;

#[derive(OpenApi)]
#[openapi(
    info(title = "Uplift", description = "Makes a fleet of agents better while it runs, and never worse."),
    tags(
        (name = "events", description = "What agents report."),
        (name = "telemetry", description = "The same over OpenTelemetry's protocol."),
        (name = "tasks", description = "What agents did."),
        (name = "entities", description = "Agents, tools, contexts and processes."),
        (name = "opportunities", description = "What could be better."),
        (name = "improvements", description = "What is being tried, and what came of it."),
        (name = "operations", description = "For those who run the server."),
    )
)]
struct Document;

/// The description of every route, as `OpenAPI` has it.
pub fn openapi() -> utoipa::openapi::OpenApi {
    described().into_openapi()
}

fn described() -> OpenApiRouter<AppState> {
    let document = Document::openapi().merge_from(ofrep::Description::openapi());
    OpenApiRouter::with_openapi(document).merge(api::routes())
}

/// The whole server.
pub fn router(state: AppState) -> Router {
    telemetry::describe();
    let (routes, document) = described().split_for_parts();
    let index: Arc<str> = api::index(&document).into();
    // It is built from constants; were it ever not to serialise, the route would say so with an empty document.
    let json: Arc<str> = document.to_json().unwrap_or_default().into();
    routes
        .route("/api", get(move || std::future::ready(page(&index))))
        .route("/api/openapi.json", get(move || std::future::ready(api::openapi_answer(&json))))
        .merge(ofrep::routes())
        .merge(dashboard::routes())
        .merge(grpc_routes())
        .merge(mcp::routes(&state))
        .layer(DefaultBodyLimit::max(MAX_SMALL_BODY))
        .guarded(state)
}

/// A server that takes telemetry over gRPC and nothing else, for the port that exporters use by default. The whole
/// server takes it too.
pub fn grpc_router(state: AppState) -> Router {
    grpc_routes().guarded(state)
}

fn grpc_routes() -> Router<AppState> {
    Router::new().route(grpc::TRACES, post(grpc::traces)).route(grpc::LOGS, post(grpc::logs))
}

/// What every server does around its routes, from the inside out.
trait Guarded {
    fn guarded(self, state: AppState) -> Router;
}

impl Guarded for Router<AppState> {
    fn guarded(self, state: AppState) -> Router {
        self.fallback(unknown_route)
            .method_not_allowed_fallback(method_not_allowed)
            .layer(CatchPanicLayer::custom(problem::of_panic))
            .layer(middleware::from_fn_with_state(state.clone(), access::middleware::admit))
            .layer(middleware::from_fn_with_state(state.clone(), guard::guard))
            .layer(middleware::from_fn(telemetry::measure))
            .with_state(state)
    }
}

fn page(html: &str) -> impl IntoResponse + use<> {
    let headers = [(CONTENT_TYPE, "text/html; charset=utf-8"), (CONTENT_SECURITY_POLICY, "default-src 'none'")];
    (headers, html.to_owned())
}

async fn unknown_route(State(state): State<AppState>, request: Request) -> Response {
    if let Some(answer) = grpc::unimplemented(&request) {
        return answer;
    }
    let path: String = request.uri().path().chars().take(200).collect();
    let error = WebError::new(ErrorCode::UnknownRoute, format!("there is nothing at {path}"));
    dashboard::instead_of_a_page(&state, request, error).await
}

async fn method_not_allowed(request: Request) -> WebError {
    let path: String = request.uri().path().chars().take(200).collect();
    WebError::new(ErrorCode::MethodNotAllowed, format!("{path} does not take {}", request.method()))
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use tower::ServiceExt;

    use super::*;

    #[tokio::test]
    async fn a_panic_is_answered_without_what_it_said() {
        async fn fails() {
            panic!("secret");
        }
        let router: Router = Router::new().route("/", get(fails)).layer(CatchPanicLayer::custom(problem::of_panic));
        let request = Request::builder().uri("/").body(Body::empty()).unwrap();
        let response = router.oneshot(request).await.unwrap();
        assert_eq!(response.status(), ErrorCode::InternalError.status());
        let body = to_bytes(response.into_body(), 10_000).await.unwrap();
        let text = String::from_utf8_lossy(&body);
        assert!(text.contains("internal_error") && !text.contains("secret"), "{text}");
    }
}
