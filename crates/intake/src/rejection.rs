//! What is said of an item that cannot be taken.

// tidy: error codes

use std::fmt;

/// Longest id repeated in a rejection, in characters.
const MAX_SHOWN_ID: usize = 128;

/// Where an item stands in what was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// A line of NDJSON, from 1.
    Line(u64),
    /// An item of a JSON array, from 0.
    Index(u64),
    /// A row of `event_inbox`, by its number.
    InboxRow(i64),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(number) => write!(f, "line {number}"),
            Self::Index(index) => write!(f, "item {index}"),
            Self::InboxRow(number) => write!(f, "inbox row {number}"),
        }
    }
}

/// Why an item cannot be taken. The names are stable; each has a page in the book of errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RejectionCode {
    /// It is not JSON.
    MalformedJson,
    /// The text ends inside it.
    Truncated,
    /// What stands around the items of an array is not as it should be.
    MalformedArray,
    /// It is nested too deeply.
    TooDeep,
    /// It is not UTF-8.
    InvalidEncoding,
    /// It is longer than allowed.
    EventTooLarge,
    /// It is JSON, but no object.
    NotAnObject,
    /// An object in it has the same key twice.
    DuplicateKey,
    /// A field that every event needs is not there.
    MissingField,
    /// A field has the wrong JSON type.
    WrongType,
    /// A field is there and empty.
    EmptyValue,
    /// A field is too long.
    ValueTooLong,
    /// A name or id that cannot be one.
    InvalidName,
    /// An event type that does not exist.
    UnknownEventType,
    /// An event type that only Uplift itself writes.
    ReservedEventType,
    /// A word outside of its closed set.
    UnknownValue,
    /// Two fields that say the same thing.
    ConflictingFields,
    /// A number that cannot be meant.
    NumberOutOfRange,
    /// A time that cannot be read.
    InvalidTime,
    /// A time before any that can be meant.
    TimeTooEarly,
    /// A time too far ahead.
    TimeInFuture,
}

impl RejectionCode {
    /// All of them.
    pub const ALL: [Self; 21] = [
        Self::MalformedJson,
        Self::Truncated,
        Self::MalformedArray,
        Self::TooDeep,
        Self::InvalidEncoding,
        Self::EventTooLarge,
        Self::NotAnObject,
        Self::DuplicateKey,
        Self::MissingField,
        Self::WrongType,
        Self::EmptyValue,
        Self::ValueTooLong,
        Self::InvalidName,
        Self::UnknownEventType,
        Self::ReservedEventType,
        Self::UnknownValue,
        Self::ConflictingFields,
        Self::NumberOutOfRange,
        Self::InvalidTime,
        Self::TimeTooEarly,
        Self::TimeInFuture,
    ];

    /// The stable name, which is also that of its page.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MalformedJson => "malformed_json",
            Self::Truncated => "truncated",
            Self::MalformedArray => "malformed_array",
            Self::TooDeep => "too_deep",
            Self::InvalidEncoding => "invalid_encoding",
            Self::EventTooLarge => "event_too_large",
            Self::NotAnObject => "not_an_object",
            Self::DuplicateKey => "duplicate_key",
            Self::MissingField => "missing_field",
            Self::WrongType => "wrong_type",
            Self::EmptyValue => "empty_value",
            Self::ValueTooLong => "value_too_long",
            Self::InvalidName => "invalid_name",
            Self::UnknownEventType => "unknown_event_type",
            Self::ReservedEventType => "reserved_event_type",
            Self::UnknownValue => "unknown_value",
            Self::ConflictingFields => "conflicting_fields",
            Self::NumberOutOfRange => "number_out_of_range",
            Self::InvalidTime => "invalid_time",
            Self::TimeTooEarly => "time_too_early",
            Self::TimeInFuture => "time_in_future",
        }
    }

    /// Whether the text could not even be read as JSON, so that nothing is known of what it was to say.
    pub const fn is_syntax(self) -> bool {
        matches!(self, Self::MalformedJson | Self::Truncated | Self::MalformedArray | Self::InvalidEncoding)
    }
}

impl fmt::Display for RejectionCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An item that was not taken: the error of this crate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {detail} ({code})")]
pub struct Rejection {
    /// Where it stands.
    pub place: Place,
    /// Its id, where one could be read.
    pub id: Option<String>,
    /// Why, by name.
    pub code: RejectionCode,
    /// What is wrong, and what to do.
    pub detail: String,
}

/// What is wrong with an item, before anybody has said where it stands.
#[derive(Debug, PartialEq)]
pub(crate) struct Fault {
    pub(crate) code: RejectionCode,
    pub(crate) detail: String,
}

impl Fault {
    pub(crate) fn new(code: RejectionCode, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into() }
    }

    pub(crate) fn at(self, place: Place, id: Option<&str>) -> Rejection {
        let id = id.map(|id| id.chars().take(MAX_SHOWN_ID).collect());
        Rejection { place, id, code: self.code, detail: self.detail }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct() {
        let names: std::collections::BTreeSet<_> = RejectionCode::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(names.len(), RejectionCode::ALL.len());
    }
}
