//! `If-Match` and `ETag`: a change that is made only if nothing changed since what it is based on was read.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::header::{ETAG, IF_MATCH};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};

use crate::error::ErrorCode;
use crate::problem::Problem;

/// What a request says of the state that it is based on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum IfMatch {
    /// Nothing: it is made whatever the state.
    Unsaid,
    /// Anything that is there (`*`).
    Anything,
    /// One of these tags, without quotes; weak ones are left out, as they never match here (RFC 9110, 13.1.1).
    One(Vec<String>),
}

impl IfMatch {
    fn of(headers: &HeaderMap) -> Self {
        let mut named = headers.get_all(IF_MATCH).iter().peekable();
        if named.peek().is_none() {
            return Self::Unsaid;
        }
        // A header that is no text names no tag there is.
        let tags: Vec<&str> =
            named.flat_map(|tags| tags.to_str().unwrap_or_default().split(',')).map(str::trim).collect();
        if tags.contains(&"*") {
            return Self::Anything;
        }
        let strong = tags.into_iter().filter_map(|tag| tag.strip_prefix('"')?.strip_suffix('"'));
        Self::One(strong.map(str::to_owned).collect())
    }

    /// Whether a request was given a state at all.
    pub(crate) fn is_said(&self) -> bool {
        *self != Self::Unsaid
    }

    /// Whether the state there is, by its tag, is one that was meant; none where nothing is there.
    pub(crate) fn allows(&self, current: Option<&str>) -> bool {
        match (self, current) {
            (Self::Unsaid, _) | (Self::Anything, Some(_)) => true,
            (Self::Anything | Self::One(_), None) => false,
            (Self::One(tags), Some(current)) => tags.iter().any(|tag| tag == current),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Self::Rejection> {
        Ok(Self::of(&parts.headers))
    }
}

/// Adds the tag of the state there is.
pub(crate) fn tagged(mut response: Response, tag: &str) -> Response {
    // Tags are letters, digits and hyphens: this cannot fail.
    if let Ok(value) = HeaderValue::from_str(&format!("\"{tag}\"")) {
        response.headers_mut().insert(ETAG, value);
    }
    response
}

/// The answer to a change that was meant for another state.
pub(crate) fn changed(what: &str, current: Option<&str>) -> Response {
    let detail = match current {
        Some(current) => format!("{what} is not as If-Match says: it is at \"{current}\" now"),
        None => format!("{what} is not as If-Match says: there is no such thing"),
    };
    let response = Problem::new(ErrorCode::PreconditionFailed, detail).into_response();
    match current {
        Some(current) => tagged(response, current),
        None => response,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_meant_is_allowed() {
        let table: [(&[&str], Option<&str>, bool); 13] = [
            (&[], Some("a"), true),
            (&[], None, true),
            (&["*"], Some("a"), true),
            (&["*"], None, false),
            (&["\"a\""], Some("a"), true),
            (&["\"a\""], Some("b"), false),
            (&["\"a\""], None, false),
            (&["\"x\", \"a\""], Some("a"), true),
            (&["\"x\"", "\"a\""], Some("a"), true),
            (&["W/\"a\""], Some("a"), false),
            (&["a"], Some("a"), false),
            (&[""], Some("a"), false),
            (&["\""], Some(""), false),
        ];
        for (named, current, allowed) in table {
            let mut headers = HeaderMap::new();
            for name in named {
                headers.append(IF_MATCH, HeaderValue::from_str(name).unwrap());
            }
            assert_eq!(IfMatch::of(&headers).allows(current), allowed, "{named:?} {current:?}");
        }
        let mut odd = HeaderMap::new();
        odd.append(IF_MATCH, HeaderValue::from_bytes(b"\xff").unwrap());
        assert!(!IfMatch::of(&odd).allows(Some("a")));
    }
}
