//! Errors as pages.

use axum::extract::{FromRequestParts, Request};
use axum::http::header::ACCEPT;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use maud::html;
use uplift_runner::control::ControlError;
use uplift_store::StoreError;

use super::layout::{self, Place};
use super::visit::Visit;
use crate::access::middleware::visitor;
use crate::error::WebError;
use crate::problem::Problem;
use crate::state::AppState;

/// Something went wrong on the way to a page.
#[derive(Debug)]
pub(crate) struct PageError {
    visit: Option<Box<Visit>>,
    error: WebError,
}

impl PageError {
    /// An error within the frame of all pages.
    pub(crate) fn new(visit: &Visit, error: impl Into<WebError>) -> Self {
        Self { visit: Some(Box::new(visit.clone())), error: error.into() }
    }

    /// An error before it was known who asks.
    pub(crate) fn bare(error: WebError) -> Self {
        Self { visit: None, error }
    }
}

/// Sets an error into the frame of the page it happened on.
pub(crate) trait OnPage<T> {
    fn on(self, visit: &Visit) -> Result<T, PageError>;
}

impl<T> OnPage<T> for Result<T, StoreError> {
    fn on(self, visit: &Visit) -> Result<T, PageError> {
        self.map_err(|error| PageError::new(visit, error))
    }
}

impl<T> OnPage<T> for Result<T, WebError> {
    fn on(self, visit: &Visit) -> Result<T, PageError> {
        self.map_err(|error| PageError::new(visit, error))
    }
}

impl<T> OnPage<T> for Result<T, ControlError> {
    fn on(self, visit: &Visit) -> Result<T, PageError> {
        self.map_err(|error| PageError::new(visit, error))
    }
}

/// The answer where there is nothing: a page for somebody at a browser who was let in, the error as it is for all others.
pub(crate) async fn instead_of_a_page(state: &AppState, request: Request, error: WebError) -> Response {
    let (mut parts, _) = request.into_parts();
    let asks = parts.headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
    if parts.method != Method::GET || !asks.is_some_and(|accept| accept.contains("text/html")) {
        return error.into_response();
    }
    if let Some(caller) = visitor(state, &parts.headers) {
        parts.extensions.insert(caller);
    }
    match Visit::from_request_parts(&mut parts, state).await {
        Ok(visit) => PageError::new(&visit, error).into_response(),
        Err(_) => error.into_response(),
    }
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        let Some(visit) = self.visit else { return self.error.into_response() };
        let problem = Problem::from(self.error);
        let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = html! {
            div.failed {
                h1 { (layout::capital(problem.title)) }
                p { (layout::capital(&problem.detail)) "." }
                p.muted { (problem.remedy) }
                p.muted { "Code " code { (problem.code) } ", status " (problem.status) ". " a href=(problem.type_uri) { "What it means" } }
                p { a href="/" { "Back to the overview" } }
            }
        };
        let mut response = layout::page(&visit, problem.title, Place::Nowhere, &body);
        *response.status_mut() = status;
        response
    }
}
