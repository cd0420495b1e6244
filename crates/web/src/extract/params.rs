//! Query parameters, path segments and small JSON bodies.

use std::fmt::Display;
use std::str::FromStr;

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use uplift_store::PageRequest;
use uplift_store::page::MAX_PAGE;

use super::soon;
use crate::error::{ErrorCode, WebError};

/// Longest value of a parameter that is taken as a text, in bytes.
const MAX_TEXT: usize = 512;

/// Query parameters; unknown ones are refused.
pub(crate) struct Params<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = WebError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Self::Rejection> {
        Query::<T>::try_from_uri(&parts.uri).map(|Query(params)| Self(params)).map_err(|rejection| {
            let said = rejection.body_text();
            let reason = said.split_once("query string: ").map_or(said.as_str(), |(_, reason)| reason);
            WebError::new(ErrorCode::InvalidParameter, format!("in the query: {reason}"))
        })
    }
}

/// Segments of the path.
pub(crate) struct PathOf<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for PathOf<T> {
    type Rejection = WebError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        match Path::<T>::from_request_parts(parts, state).await {
            Ok(Path(segments)) => Ok(Self(segments)),
            Err(PathRejection::FailedToDeserializePathParams(error)) => {
                Err(WebError::new(ErrorCode::InvalidParameter, format!("in the path: {}", error.body_text())))
            }
            Err(error) => Err(WebError::new(ErrorCode::InvalidParameter, error.body_text())),
        }
    }
}

/// A small JSON body.
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = WebError;

    async fn from_request(request: Request, state: &S) -> Result<Self, Self::Rejection> {
        match soon(Json::<T>::from_request(request, state)).await? {
            Ok(Json(body)) => Ok(Self(body)),
            Err(JsonRejection::BytesRejection(error)) => {
                Err(WebError::new(ErrorCode::BodyTooLarge, error.body_text()))
            }
            Err(error) => Err(WebError::new(ErrorCode::InvalidBody, error.body_text())),
        }
    }
}

/// Reads one parameter.
///
/// # Errors
/// When it is there and cannot be read; the parameter is named.
pub(crate) fn parse<T>(name: &str, value: Option<&str>) -> Result<Option<T>, WebError>
where
    T: FromStr,
    T::Err: Display,
{
    value.map(|value| value.parse().map_err(|error: T::Err| WebError::parameter(name, error))).transpose()
}

/// Reads `true` or `false`.
///
/// # Errors
/// When it is there and is neither.
pub(crate) fn parse_flag(name: &str, value: Option<&str>) -> Result<Option<bool>, WebError> {
    match value {
        None => Ok(None),
        Some("true" | "1") => Ok(Some(true)),
        Some("false" | "0") => Ok(Some(false)),
        Some(_) => Err(WebError::parameter(name, "must be true or false")),
    }
}

/// Reads a text.
///
/// # Errors
/// When it is there and is empty or too long for any value that is stored.
pub(crate) fn text(name: &str, value: Option<String>) -> Result<Option<String>, WebError> {
    match value {
        Some(value) if value.is_empty() => Err(WebError::parameter(name, "is empty: leave it out")),
        Some(value) if value.len() > MAX_TEXT => {
            Err(WebError::parameter(name, format!("has {} bytes, at most {MAX_TEXT} are looked for", value.len())))
        }
        other => Ok(other),
    }
}

/// Longest cursor, in bytes: it can hold ids, escaped.
const MAX_CURSOR: usize = 8_192;

/// Reads which page of a list is wanted.
///
/// # Errors
/// When the limit is not a number from 1 to the largest page.
pub(crate) fn page(limit: Option<&str>, cursor: Option<String>) -> Result<PageRequest, WebError> {
    let range = || WebError::parameter("limit", format!("must be a whole number from 1 to {MAX_PAGE}"));
    let limit = match limit {
        None => PageRequest::default().limit,
        Some(digits) => digits.parse().ok().filter(|limit| (1..=MAX_PAGE).contains(limit)).ok_or_else(range)?,
    };
    match cursor {
        Some(cursor) if cursor.is_empty() => Err(WebError::parameter("cursor", "is empty: leave it out")),
        Some(cursor) if cursor.len() > MAX_CURSOR => Err(WebError::parameter("cursor", "is too long to be one")),
        cursor => Ok(PageRequest { limit, cursor }),
    }
}
