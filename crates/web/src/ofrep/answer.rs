//! Flags and failures as the protocol writes them.

use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::value::RawValue;
use uplift_runner::snapshot::{Reason, Resolved};
use utoipa::ToSchema;

use crate::error::WebError;
use crate::extract::is_known;

/// What goes wrong, as the protocol names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum ErrorCode {
    /// The body is not what the protocol says.
    ParseError,
    /// An empty targeting key.
    TargetingKeyMissing,
    /// An attribute that has a meaning cannot have it.
    InvalidContext,
    /// There is no such flag.
    FlagNotFound,
    /// Anything else.
    General,
}

/// Why there is no answer.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    status: StatusCode,
    code: ErrorCode,
    details: String,
}

impl Failure {
    fn new(status: StatusCode, code: ErrorCode, details: impl Into<String>) -> Self {
        Self { status, code, details: details.into() }
    }

    pub(super) fn parse(details: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, ErrorCode::ParseError, details)
    }

    /// The bytes of the body did not come.
    pub(super) fn unread(status: StatusCode, details: impl Into<String>) -> Self {
        Self::new(status, ErrorCode::General, details)
    }

    pub(super) fn context(details: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, ErrorCode::InvalidContext, details)
    }

    pub(super) fn targeting_key(details: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, ErrorCode::TargetingKeyMissing, details)
    }

    pub(super) fn not_found(details: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, ErrorCode::FlagNotFound, details)
    }

    pub(super) fn too_much(details: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, ErrorCode::General, details)
    }

    /// The caller may not know.
    pub(super) fn refused(error: &WebError) -> Self {
        Self::new(error.code().status(), ErrorCode::General, error.detail())
    }

    /// As it is written.
    pub(super) fn of(&self, key: Option<&str>) -> FlagFailure {
        FlagFailure { key: key.map(str::to_owned), error_code: self.code, error_details: self.details.clone() }
    }

    /// As an answer of its own.
    pub(super) fn respond(&self, key: Option<&str>) -> Response {
        // Texts only: this cannot fail, and the status would still be right.
        let bytes = serde_json::to_vec(&self.of(key)).unwrap_or_default();
        (self.status, [(CONTENT_TYPE, "application/json")], bytes).into_response()
    }
}

/// A flag that cannot be evaluated.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FlagFailure {
    /// Which, where it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    /// What kind of failure.
    error_code: ErrorCode,
    /// What happened, and what to do.
    error_details: String,
}

/// A flag that was evaluated.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Flag<'a> {
    /// Which.
    key: String,
    /// The configuration, or the field of it.
    #[schema(value_type = Object)]
    value: &'a RawValue,
    /// `STATIC`, `SPLIT`, `TARGETING_MATCH`, `DEFAULT` or `DISABLED`.
    reason: &'static str,
    /// The arm where a unit was assigned to one, else the revision.
    variant: String,
    /// What the events of this unit should carry, and more.
    metadata: Metadata<'a>,
}

/// What else is to be known of a flag. Where a unit was assigned, `flagSetId` and `version` are what OpenTelemetry calls
/// `feature_flag.set.id` and `feature_flag.version`: telemetry that has them says by itself which arm ran.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Metadata<'a> {
    /// `trial/NUMBER`, where a unit was assigned.
    #[serde(rename = "flagSetId", skip_serializing_if = "Option::is_none")]
    flag_set_id: Option<String>,
    /// The revision.
    version: &'a str,
    /// The revision.
    revision: &'a str,
    /// The trial's number, where a unit was assigned.
    #[serde(skip_serializing_if = "Option::is_none")]
    trial: Option<i64>,
    /// `control` or `candidate`, where a unit was assigned.
    #[serde(skip_serializing_if = "Option::is_none")]
    arm: Option<String>,
    /// Why, as `/api/resolve` says it.
    served: &'static str,
    /// The entity's environment.
    environment: &'a str,
}

impl<'a> Flag<'a> {
    /// The flag `key` of what was resolved.
    pub(super) fn of(key: impl Into<String>, resolved: &'a Resolved, value: &'a RawValue) -> Self {
        let revision = resolved.revision().id.as_str();
        let exposure = resolved.exposure();
        let (trial, arm) = (exposure.as_ref().map(|of| of.trial), exposure.map(|of| of.arm));
        Self {
            key: key.into(),
            value,
            reason: reason(resolved.reason),
            variant: arm.clone().unwrap_or_else(|| revision.to_owned()),
            metadata: Metadata {
                flag_set_id: trial.map(|trial| format!("trial/{trial}")),
                version: revision,
                revision,
                trial,
                arm,
                served: resolved.reason.as_str(),
                environment: &resolved.served.environment,
            },
        }
    }
}

/// A reason as the protocol has it.
const fn reason(reason: Reason) -> &'static str {
    match reason {
        Reason::NoTrial => "STATIC",
        Reason::Trial | Reason::HoldBack => "SPLIT",
        // A rule says so, and no dice.
        Reason::BeforeAfter => "TARGETING_MATCH",
        // A trial is there, and what is in place is served instead of one of its arms.
        Reason::Base | Reason::NoUnit | Reason::StaleTrial | Reason::OlderDefaults => "DEFAULT",
        Reason::Inactive => "DISABLED",
    }
}

/// A flag, or why there is none.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum Evaluation<'a> {
    /// The flag.
    Flag(Box<Flag<'a>>),
    /// Why there is none.
    Failure(FlagFailure),
}

/// Several flags.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Evaluations<'a> {
    /// One for each.
    pub(super) flags: Vec<Evaluation<'a>>,
}

/// The bytes of an answer.
///
/// # Errors
/// Where it cannot be written, which would be a fault of ours.
pub(super) fn body(value: &impl Serialize) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec(value).map_err(|error| {
        tracing::error!(%error, "an answer cannot be written");
        Failure::new(StatusCode::INTERNAL_SERVER_ERROR, ErrorCode::General, "an answer cannot be written")
    })
}

/// The answer, or that the client has it already.
pub(super) fn known_or(headers: &HeaderMap, bytes: Vec<u8>) -> Response {
    let tag = format!("\"{}\"", blake3::hash(&bytes).to_hex());
    let Ok(tag) = HeaderValue::from_str(&tag) else {
        return ([(CONTENT_TYPE, "application/json")], bytes).into_response();
    };
    let mut response = if is_known(headers, &tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(CONTENT_TYPE, "application/json")], bytes).into_response()
    };
    response.headers_mut().insert(ETAG, tag);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_one_of_the_protocols() {
        for of in Reason::ALL {
            let known = ["STATIC", "SPLIT", "TARGETING_MATCH", "DEFAULT", "DISABLED"];
            assert!(known.contains(&reason(of)), "{of:?}");
        }
    }
}
