//! The problems that routes can answer with, for the description of the API.

use utoipa::IntoResponses;

use crate::problem::Problem;

/// What any route can answer when something goes wrong.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "it only describes")]
pub(super) enum Failures {
    /// A parameter, cursor or body that cannot be read.
    #[response(status = 400, content_type = "application/problem+json")]
    BadRequest(#[to_schema] Problem),
    /// The Host or Origin is not allowed.
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(#[to_schema] Problem),
    /// A fault of the server.
    #[response(status = 500, content_type = "application/problem+json")]
    Internal(#[to_schema] Problem),
    /// The database is full, locked, read-only or closed.
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(#[to_schema] Problem),
}

/// What a route about one thing can answer beside.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "it only describes")]
pub(super) enum Missing {
    /// There is no such thing.
    #[response(status = 404, content_type = "application/problem+json")]
    NotFound(#[to_schema] Problem),
}

/// What a route that changes something can answer beside.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "it only describes")]
pub(super) enum Moved {
    /// It is not, or no longer, where this can be done; the detail says what can.
    #[response(status = 409, content_type = "application/problem+json")]
    Conflict(#[to_schema] Problem),
}

/// What a route that honours `If-Match` can answer beside.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "it only describes")]
pub(super) enum Changed {
    /// `If-Match` names another state than the one there is, which the header `ETag` names. Nothing changed.
    #[response(status = 412, content_type = "application/problem+json")]
    Changed(#[to_schema] Problem),
}

/// What a route that counts how often somebody asks can answer beside.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "it only describes")]
pub(super) enum Often {
    /// Too often: `Retry-After` says when to try again.
    #[response(status = 429, content_type = "application/problem+json")]
    Often(#[to_schema] Problem),
}

/// What a route that takes a change can answer beside.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "it only describes")]
pub(super) enum Unacceptable {
    /// It can be read and breaks a rule; the detail names the edit, the setting or the value.
    #[response(status = 422, content_type = "application/problem+json")]
    Unacceptable(#[to_schema] Problem),
}
