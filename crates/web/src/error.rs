//! What can go wrong, with its status, its stable code and its remedy: in one place.

// tidy: error codes

use axum::http::StatusCode;
use uplift_runner::Overloaded;
use uplift_runner::control::ControlError;
use uplift_runner::requests::RequestError;
use uplift_store::StoreError;
use uplift_store::writes::RefusalReason;

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident $status:ident $title:literal $remedy:literal),+ $(,)?) => {
        /// The stable codes of this API. Each has a page at `/errors/{code}`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ErrorCode { $($(#[$doc])* $variant),+ }

        impl ErrorCode {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The status it is answered with.
            pub const fn status(self) -> StatusCode {
                match self { $(Self::$variant => StatusCode::$status),+ }
            }

            /// What it is, in a few words.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title),+ }
            }

            /// What to do, in one sentence.
            pub const fn remedy(self) -> &'static str {
                match self { $(Self::$variant => $remedy),+ }
            }
        }
    };
}

codes! {
    /// No such thing.
    NotFound NOT_FOUND "not found" "Check the name or number; lists show what there is.",
    /// No such path.
    UnknownRoute NOT_FOUND "no such path" "The paths are listed at /api and in /api/openapi.json.",
    /// The path does not take this method.
    MethodNotAllowed METHOD_NOT_ALLOWED "method not allowed" "Use a method that the header Allow names.",
    /// The name is in several environments.
    AmbiguousName BAD_REQUEST "ambiguous name" "Add the parameter environment, or use the id.",
    /// A query parameter or path segment.
    InvalidParameter BAD_REQUEST "invalid parameter" "Correct the parameter that the detail names.",
    /// A cursor of another list.
    BadCursor BAD_REQUEST "not a cursor of this list" "Start again without a cursor.",
    /// A small JSON body.
    InvalidBody BAD_REQUEST "invalid body" "Send the JSON that the detail describes, with Content-Type application/json.",
    /// A body of events that is no JSON.
    MalformedBody BAD_REQUEST "the body is not JSON" "Send a JSON array of events, or NDJSON: one event on each line.",
    /// A body of events without any.
    EmptyBody BAD_REQUEST "the body is empty" "Send at least one event.",
    /// Damaged compression.
    BadGzip BAD_REQUEST "the body is not gzip" "Send the whole gzip stream, or drop the header Content-Encoding.",
    /// The client stopped sending.
    BodyInterrupted BAD_REQUEST "the body broke off" "Send it again: events that were stored are recognised by their ids.",
    /// Another compression.
    UnsupportedEncoding UNSUPPORTED_MEDIA_TYPE "unsupported compression" "Use gzip, or no compression.",
    /// Neither protobuf nor JSON.
    UnsupportedMediaType UNSUPPORTED_MEDIA_TYPE "unsupported media type" "Send application/x-protobuf or application/json, or gRPC to its own path.",
    /// No request of OpenTelemetry.
    MalformedOtlp BAD_REQUEST "not an OTLP request" "Send what the path and Content-Type name, as OpenTelemetry exporters do.",
    /// A signal that is not taken.
    SignalNotTaken NOT_FOUND "signal not taken" "Switch this signal off in the exporter: OTEL_METRICS_EXPORTER=none.",
    /// The client took too long.
    BodyTooSlow REQUEST_TIMEOUT "the body took too long" "Send it again, in smaller pieces if the network is slow.",
    /// Too much at once.
    BodyTooLarge PAYLOAD_TOO_LARGE "the body is too large" "Split it, or raise the limit that the detail names.",
    /// No event could be taken.
    AllRejected UNPROCESSABLE_ENTITY "every event was rejected" "Correct the events as the list says.",
    /// So many events could not be taken that the rest was not looked at.
    TooManyRejected UNPROCESSABLE_ENTITY "too many events were rejected" "Correct the events as the list says, and send all of it again.",
    /// It breaks a rule.
    InvalidValue UNPROCESSABLE_ENTITY "not acceptable" "Correct what the detail names.",
    /// An edit that cannot be made.
    InvalidEdit UNPROCESSABLE_ENTITY "an edit cannot be made" "Correct the edit that the detail names by its place.",
    /// A setting out of its range, or of another name.
    InvalidSetting UNPROCESSABLE_ENTITY "not a setting or out of its range" "Correct the setting that the detail names; /api/improvements/config lists them.",
    /// The queue is full.
    Overloaded TOO_MANY_REQUESTS "too many events are waiting" "Send it again after the seconds that Retry-After names.",
    /// No token, or one that opens nothing.
    Unauthorized UNAUTHORIZED "not known" "Send a token that is in force in the header Authorization, as Bearer TOKEN.",
    /// Somebody known may not do this.
    Forbidden FORBIDDEN "not allowed" "Use a token of the role, or for the entity, that the detail names.",
    /// Too often.
    RateLimited TOO_MANY_REQUESTS "too many requests" "Send it again after the seconds that Retry-After names, and slower.",
    /// The Host header.
    HostNotAllowed FORBIDDEN "host not allowed" "Address the server as localhost, or add the name to the allowed hosts.",
    /// The Origin header.
    OriginNotAllowed FORBIDDEN "origin not allowed" "Call from the same origin, or add its host to the allowed hosts.",
    /// Somebody else was faster.
    VersionConflict CONFLICT "changed meanwhile" "Read it again and decide anew.",
    /// `If-Match` names another state than the one there is.
    PreconditionFailed PRECONDITION_FAILED "changed since it was read" "Read it again and decide anew; the header ETag names the state there is.",
    /// The lease is gone.
    StaleLease CONFLICT "the lease is gone" "Try again: another worker has taken over.",
    /// It is closed already, or being worked on.
    NotOpen CONFLICT "not open" "Nothing is left to do: it has been completed or dismissed, or is being worked on.",
    /// Something else is under way.
    Occupied CONFLICT "occupied" "Wait for the end of what the detail names, or end it.",
    /// An improvement that is not where the action makes sense.
    WrongStatus CONFLICT "not in this status" "Do what the detail says, or look at the improvement again.",
    /// Full disk.
    DiskFull SERVICE_UNAVAILABLE "the disk is full" "Free some space; nothing that was acknowledged is lost.",
    /// Locked database.
    StoreBusy SERVICE_UNAVAILABLE "the database is busy" "Try again; end the other program that writes to it.",
    /// Read-only database.
    StoreReadOnly SERVICE_UNAVAILABLE "the database is read-only" "Make the file and its folder writable, then restart.",
    /// Closing down.
    StoreClosed SERVICE_UNAVAILABLE "shutting down" "Try again when the server is back.",
    /// Cannot be opened.
    StoreUnavailable SERVICE_UNAVAILABLE "the database cannot be opened" "See the server's log; check --database.",
    /// Starting up or shutting down.
    NotReady SERVICE_UNAVAILABLE "not ready" "Try again in a moment.",
    /// Unreadable rows.
    DataUnreadable INTERNAL_SERVER_ERROR "stored data cannot be read" "See the server's log; restore a backup.",
    /// Anything else the database said.
    StoreFailed INTERNAL_SERVER_ERROR "the database failed" "See the server's log; send it again if you were writing.",
    /// A bug.
    InternalError INTERNAL_SERVER_ERROR "internal error" "It is a fault of the server: see its log, and report it.",
}

impl ErrorCode {
    /// The stable name, which is also that of its page.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::UnknownRoute => "unknown_route",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::AmbiguousName => "ambiguous_name",
            Self::InvalidParameter => "invalid_parameter",
            Self::BadCursor => "bad_cursor",
            Self::InvalidBody => "invalid_body",
            Self::MalformedBody => "malformed_body",
            Self::EmptyBody => "empty_body",
            Self::BadGzip => "bad_gzip",
            Self::BodyInterrupted => "body_interrupted",
            Self::UnsupportedEncoding => "unsupported_encoding",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::MalformedOtlp => "malformed_otlp",
            Self::SignalNotTaken => "signal_not_taken",
            Self::BodyTooSlow => "body_too_slow",
            Self::BodyTooLarge => "body_too_large",
            Self::AllRejected => "all_rejected",
            Self::TooManyRejected => "too_many_rejected",
            Self::InvalidValue => "invalid_value",
            Self::InvalidEdit => "invalid_edit",
            Self::InvalidSetting => "invalid_setting",
            Self::Overloaded => "overloaded",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::RateLimited => "rate_limited",
            Self::HostNotAllowed => "host_not_allowed",
            Self::OriginNotAllowed => "origin_not_allowed",
            Self::VersionConflict => "version_conflict",
            Self::PreconditionFailed => "precondition_failed",
            Self::StaleLease => "stale_lease",
            Self::NotOpen => "not_open",
            Self::Occupied => "occupied",
            Self::WrongStatus => "wrong_status",
            Self::DiskFull => "disk_full",
            Self::StoreBusy => "store_busy",
            Self::StoreReadOnly => "store_read_only",
            Self::StoreClosed => "store_closed",
            Self::StoreUnavailable => "store_unavailable",
            Self::NotReady => "not_ready",
            Self::DataUnreadable => "data_unreadable",
            Self::StoreFailed => "store_failed",
            Self::InternalError => "internal_error",
        }
    }

    /// When to try again, seconds, where that helps by itself.
    pub const fn retry_after_s(self) -> Option<u64> {
        match self {
            Self::StoreBusy | Self::NotReady | Self::Overloaded | Self::RateLimited => Some(1),
            Self::DiskFull | Self::StoreClosed => Some(10),
            _ => None,
        }
    }
}

/// The stable name of why the store did not take an event, which is also that of its page.
pub const fn refusal_code(reason: &RefusalReason) -> &'static str {
    match reason {
        RefusalReason::Conflict { .. } => "id_conflict",
        RefusalReason::UnknownEntity { .. } => "unknown_entity",
        RefusalReason::NotRegistered { .. } => "entity_not_registered",
        RefusalReason::OthersTask { .. } => NOT_YOURS,
    }
}

/// Why an event is not taken from whoever sends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Objection {
    /// It is about somebody else, or speaks for somebody else.
    NotYours,
}

impl Objection {
    /// The stable name, which is also that of its page.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotYours => "not_yours",
        }
    }
}

/// The name of the only objection.
pub const NOT_YOURS: &str = Objection::NotYours.as_str();

/// What can go wrong in answering a request.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum WebError {
    /// The store said no.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The queue is full.
    #[error(transparent)]
    Overloaded(#[from] Overloaded),
    /// An action of a person cannot be carried out.
    #[error(transparent)]
    Control(ControlError),
    /// Somebody asks too often.
    #[error("{detail}")]
    RateLimited {
        /// Who, and how often is not too often.
        detail: String,
        /// When to try again, seconds.
        retry_after_s: u64,
    },
    /// A parameter that cannot be read.
    #[error("parameter `{name}`: {reason}")]
    Parameter {
        /// The parameter.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Anything else, by its code.
    #[error("{detail}")]
    Other {
        /// The code.
        code: ErrorCode,
        /// What happened.
        detail: String,
    },
}

impl WebError {
    /// An error by its code.
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self::Other { code, detail: detail.into() }
    }

    /// A parameter that cannot be read.
    pub fn parameter(name: impl Into<String>, reason: impl ToString) -> Self {
        Self::Parameter { name: name.into(), reason: reason.to_string() }
    }

    /// Its code.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Store(error) => store_code(error),
            Self::Overloaded(_) => ErrorCode::Overloaded,
            Self::RateLimited { .. } => ErrorCode::RateLimited,
            Self::Control(error) => control_code(error),
            Self::Parameter { .. } => ErrorCode::InvalidParameter,
            Self::Other { code, .. } => *code,
        }
    }

    /// What may be told to a client: never what the engine of the store or a panic said.
    pub fn detail(&self) -> String {
        match self.code() {
            ErrorCode::StoreFailed | ErrorCode::DataUnreadable | ErrorCode::StoreUnavailable => {
                format!("{}; the server's log says more", self.code().title())
            }
            _ => self.to_string(),
        }
    }

    /// When to try again, seconds.
    pub const fn retry_after_s(&self) -> Option<u64> {
        match self {
            Self::Overloaded(overloaded) => Some(overloaded.retry_after_s),
            Self::RateLimited { retry_after_s, .. } => Some(*retry_after_s),
            _ => self.code().retry_after_s(),
        }
    }
}

impl From<ControlError> for WebError {
    fn from(error: ControlError) -> Self {
        match error {
            // One way to say it, whichever way it came.
            ControlError::Store(error) => Self::Store(error),
            error => Self::Control(error),
        }
    }
}

impl From<RequestError> for WebError {
    fn from(error: RequestError) -> Self {
        let detail = error.to_string();
        match error {
            RequestError::Control(error) => error.into(),
            RequestError::NotAllowed { .. } | RequestError::NotForOthers { .. } => {
                Self::new(ErrorCode::Forbidden, detail)
            }
            RequestError::TooOften { retry_after_s, .. } => Self::RateLimited { detail, retry_after_s },
            RequestError::TooManyOpen { .. } => Self::new(ErrorCode::Occupied, detail),
            RequestError::SetAside => Self::new(ErrorCode::NotOpen, detail),
        }
    }
}

const fn control_code(error: &ControlError) -> ErrorCode {
    match error {
        ControlError::Store(error) => store_code(error),
        ControlError::WrongStatus { .. } | ControlError::Alert { .. } => ErrorCode::WrongStatus,
        ControlError::Edit(_) => ErrorCode::InvalidEdit,
        ControlError::Policy(_) => ErrorCode::InvalidSetting,
        ControlError::Invalid { .. } => ErrorCode::InvalidValue,
        ControlError::Changed { .. } => ErrorCode::PreconditionFailed,
    }
}

const fn store_code(error: &StoreError) -> ErrorCode {
    match error {
        StoreError::NotFound { .. } => ErrorCode::NotFound,
        StoreError::Ambiguous { .. } => ErrorCode::AmbiguousName,
        StoreError::VersionConflict { .. } => ErrorCode::VersionConflict,
        StoreError::StaleLease { .. } => ErrorCode::StaleLease,
        StoreError::NotOpen { .. } => ErrorCode::NotOpen,
        StoreError::Occupied { .. } => ErrorCode::Occupied,
        StoreError::Invalid { .. } => ErrorCode::InvalidValue,
        StoreError::BadCursor { .. } => ErrorCode::BadCursor,
        StoreError::DiskFull { .. } => ErrorCode::DiskFull,
        StoreError::Busy { .. } => ErrorCode::StoreBusy,
        StoreError::ReadOnly { .. } => ErrorCode::StoreReadOnly,
        StoreError::Closed => ErrorCode::StoreClosed,
        StoreError::NewerDatabase { .. }
        | StoreError::NotADatabase { .. }
        | StoreError::Open { .. }
        | StoreError::Unreachable { .. } => ErrorCode::StoreUnavailable,
        StoreError::Corrupt { .. } => ErrorCode::DataUnreadable,
        StoreError::Engine { .. } => ErrorCode::StoreFailed,
    }
}
