//! How an error is said: `application/problem+json` (RFC 9457).

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::{ErrorCode, WebError};

/// The media type of problems.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// What is answered when something goes wrong.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Problem {
    /// Where its page is, relative to this server.
    #[serde(rename = "type")]
    #[schema(example = "/errors/not_found")]
    pub type_uri: String,
    /// What it is, in a few words.
    pub title: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// What happened this time.
    pub detail: String,
    /// The stable name.
    pub code: &'static str,
    /// What to do.
    pub remedy: &'static str,
    /// Fields of single kinds of problem, such as `accepted` and `rejected`.
    #[serde(flatten)]
    pub more: serde_json::Map<String, serde_json::Value>,
    #[serde(skip)]
    retry_after_s: Option<u64>,
}

impl Problem {
    /// Says that something is wrong.
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self {
            type_uri: format!("/errors/{}", code.as_str()),
            title: code.title(),
            status: code.status().as_u16(),
            detail: detail.into(),
            code: code.as_str(),
            remedy: code.remedy(),
            more: serde_json::Map::new(),
            retry_after_s: code.retry_after_s(),
        }
    }

    /// Adds the fields of `value`, if it is an object.
    #[must_use]
    pub fn with(mut self, value: &impl Serialize) -> Self {
        if let Ok(serde_json::Value::Object(fields)) = serde_json::to_value(value) {
            self.more.extend(fields);
        }
        self
    }
}

impl From<WebError> for Problem {
    fn from(error: WebError) -> Self {
        let code = error.code();
        if code.status().is_server_error() {
            tracing::error!(code = code.as_str(), error = %error, "request failed");
        }
        Self { retry_after_s: error.retry_after_s(), ..Self::new(code, error.detail()) }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        // Serialising plain text and numbers cannot fail; an empty body beside the status would still be right.
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (status, body).into_response();
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl IntoResponse for WebError {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}

/// The problem that stands for a panic: says nothing of what happened inside.
pub(crate) fn of_panic(panic: Box<dyn std::any::Any + Send + 'static>) -> Response {
    let said = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message");
    tracing::error!(panic = said, "a handler panicked");
    Problem::new(ErrorCode::InternalError, "the server failed to answer this request").into_response()
}
