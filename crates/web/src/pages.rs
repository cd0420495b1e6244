//! The pages about error codes, as they stand in the book.

macro_rules! pages {
    ($($code:literal),+ $(,)?) => {
        /// Every code with a page.
        pub const CODES: &[&str] = &[$($code),+];

        /// The page about a code, in Markdown; none where there is no such code.
        pub fn page(code: &str) -> Option<&'static str> {
            match code {
                $($code => Some(include_str!(concat!("../../../docs/errors/", $code, ".md"))),)+
                _ => None,
            }
        }
    };
}

pages! {
    "all_rejected",
    "ambiguous_name",
    "bad_cursor",
    "bad_gzip",
    "body_interrupted",
    "body_too_large",
    "body_too_slow",
    "conflicting_fields",
    "data_unreadable",
    "disk_full",
    "duplicate_key",
    "empty_body",
    "empty_value",
    "entity_not_registered",
    "event_too_large",
    "forbidden",
    "host_not_allowed",
    "id_conflict",
    "internal_error",
    "invalid_body",
    "invalid_edit",
    "invalid_encoding",
    "invalid_name",
    "invalid_parameter",
    "invalid_setting",
    "invalid_time",
    "invalid_value",
    "malformed_array",
    "malformed_body",
    "malformed_json",
    "malformed_otlp",
    "method_not_allowed",
    "missing_field",
    "not_an_object",
    "not_found",
    "not_open",
    "not_ready",
    "not_yours",
    "number_out_of_range",
    "occupied",
    "origin_not_allowed",
    "overloaded",
    "precondition_failed",
    "rate_limited",
    "reserved_event_type",
    "signal_not_taken",
    "stale_lease",
    "store_busy",
    "store_closed",
    "store_failed",
    "store_read_only",
    "store_unavailable",
    "time_in_future",
    "time_too_early",
    "too_deep",
    "too_many_rejected",
    "truncated",
    "unauthorized",
    "unknown_entity",
    "unknown_event_type",
    "unknown_route",
    "unknown_value",
    "unsupported_encoding",
    "unsupported_media_type",
    "value_too_long",
    "version_conflict",
    "wrong_status",
    "wrong_type",
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use uplift_intake::RejectionCode;

    use super::*;
    use crate::error::ErrorCode;

    #[test]
    fn every_code_has_a_page_that_begins_with_its_name() {
        let web = ErrorCode::ALL.iter().map(|code| code.as_str());
        let intake = RejectionCode::ALL.iter().map(|code| code.as_str());
        let refusals = ["id_conflict", "unknown_entity", "entity_not_registered", crate::error::NOT_YOURS];
        let declared: BTreeSet<_> = web.chain(intake).chain(refusals).collect();
        assert_eq!(declared, CODES.iter().copied().collect());
        for code in CODES {
            assert!(page(code).unwrap().starts_with(&format!("# {code}\n")), "{code}");
        }
    }
}
