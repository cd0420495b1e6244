//! What a kind of error says about what helps against it.

use super::input::Call;

/// What helps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remedy {
    /// It took too long: more time, or another try.
    Time,
    /// It was busy or away: another try.
    Retry,
    /// It is not allowed: another way.
    OtherWay,
    /// It was asked for the wrong thing: look at the arguments.
    Arguments,
}

const TIME: [&str; 3] = ["timeout", "timedout", "deadline"];
const RETRY: [&str; 8] =
    ["ratelimit", "unavailable", "overloaded", "connection", "temporar", "toomanyrequests", "badgateway", "throttl"];
const OTHER_WAY: [&str; 5] = ["permission", "forbidden", "unauthorized", "denied", "authenticat"];

impl Remedy {
    /// By the words in the name of the kind.
    pub(super) fn of(error_type: &str) -> Self {
        let word: String =
            error_type.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
        let has = |words: &[&str]| words.iter().any(|part| word.contains(part));
        let number =
            word.trim_start_matches(|c: char| !c.is_ascii_digit()).get(..3).and_then(|code| code.parse().ok());
        match number.and_then(Self::of_status) {
            Some(remedy) => remedy,
            None if has(&TIME) => Self::Time,
            None if has(&RETRY) => Self::Retry,
            None if has(&OTHER_WAY) => Self::OtherWay,
            None => Self::Arguments,
        }
    }

    fn of_status(status: u16) -> Option<Self> {
        match status {
            408 | 504 => Some(Self::Time),
            429 | 502 | 503 | 529 => Some(Self::Retry),
            401 | 403 => Some(Self::OtherWay),
            _ => None,
        }
    }

    /// Of a failing call; none where nothing is known.
    pub(super) fn of_call(call: &Call) -> Option<Self> {
        call.status.and_then(Self::of_status).or_else(|| call.error_type.as_deref().map(Self::of))
    }

    /// Whether the same call may work the next time.
    pub(super) const fn is_transient(self) -> bool {
        matches!(self, Self::Time | Self::Retry)
    }
}

/// Whether a call ran out of time.
pub(super) fn is_timeout(call: &Call) -> bool {
    call.failed && Remedy::of_call(call) == Some(Remedy::Time)
}

/// Whether a call failed in a way that may pass by itself.
pub(super) fn is_transient(call: &Call) -> bool {
    call.failed && Remedy::of_call(call).is_some_and(Remedy::is_transient)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remedies_by_name() {
        for (name, remedy) in [
            ("Timeout", Remedy::Time),
            ("asyncio.TimeoutError", Remedy::Time),
            ("HTTP 504", Remedy::Time),
            ("RateLimitError", Remedy::Retry),
            ("http_503", Remedy::Retry),
            ("ConnectionResetError", Remedy::Retry),
            ("PermissionError", Remedy::OtherWay),
            ("LookupError", Remedy::Arguments),
            ("E500", Remedy::Arguments),
            ("", Remedy::Arguments),
        ] {
            assert_eq!(Remedy::of(name), remedy, "{name}");
        }
        let call = Call { failed: true, status: Some(503), error_type: Some("HttpError".into()), ..Call::default() };
        assert!(is_transient(&call) && !is_timeout(&call));
        assert!(!is_transient(&Call { failed: true, ..Call::default() }));
    }
}
