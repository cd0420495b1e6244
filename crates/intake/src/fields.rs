//! Checks on single values. Each says which field, what is wrong with it and what to do.

use std::borrow::Cow;
use std::str::FromStr;

use uplift_model::Time;
use uplift_model::entity::check_name;
use uplift_model::event::EventKind;

use crate::attributes::clip;
use crate::rejection::{Fault, RejectionCode};
use crate::scalar::Scalar;
use crate::wire::{Field, Wire};

/// Longest id of an event, in bytes.
const MAX_ID_BYTES: usize = 128;
/// Longest id of anything else, and longest kind of error, in bytes.
const MAX_OTHER_ID_BYTES: usize = 512;
/// Longest duration: 366 days.
const MAX_DURATION_MS: f64 = 366.0 * 24.0 * 3_600_000.0;
const MAX_TOKENS: u64 = 1_000_000_000;
const MAX_COST_USD: f64 = 1e4;
/// Numbers below this, read as milliseconds, are before the earliest time: they are seconds.
const MILLIS_PER_SECOND: f64 = 1_000.0;

/// A text, or none where the field is absent or null.
pub(crate) fn text<'w>(wire: &'w Wire<'_>, field: Field) -> Result<Option<&'w str>, Fault> {
    match wire.get(field) {
        Scalar::Absent | Scalar::Null => Ok(None),
        Scalar::Text(text) => Ok(Some(text)),
        other => Err(wrong_type(field, "a string", other)),
    }
}

fn wrong_type(field: Field, expected: &str, found: &Scalar<'_>) -> Fault {
    let remedy = match found {
        Scalar::Integer(number) if expected == "a string" => format!(": write \"{number}\""),
        Scalar::Text(text) if expected == "a number" && text.parse::<f64>().is_ok() => {
            ": write it without quotation marks".to_owned()
        }
        _ => format!(": send {expected} or leave the field out"),
    };
    let detail = format!("`{}` must be {expected}, not {}{remedy}", field.name(), found.what());
    Fault::new(RejectionCode::WrongType, detail)
}

/// A text that must be there.
pub(crate) fn required<'w>(wire: &'w Wire<'_>, field: Field, example: &str) -> Result<&'w str, Fault> {
    text(wire, field)?.ok_or_else(|| missing(field.name(), example))
}

/// Says that a field is missing.
pub(crate) fn missing(name: &str, example: &str) -> Fault {
    Fault::new(RejectionCode::MissingField, format!("`{name}` is missing: every event needs it, such as {example}"))
}

/// The event's own id.
pub(crate) fn event_id<'w>(wire: &'w Wire<'_>) -> Result<&'w str, Fault> {
    let id = required(wire, Field::Id, "\"id\": \"run-17-step-3\"")?;
    check_id(id, Field::Id, MAX_ID_BYTES)?;
    Ok(id)
}

/// Another id, where there is one.
pub(crate) fn other_id(wire: &Wire<'_>, field: Field) -> Result<Option<String>, Fault> {
    let Some(id) = text(wire, field)? else { return Ok(None) };
    check_id(id, field, MAX_OTHER_ID_BYTES)?;
    Ok(Some(id.to_owned()))
}

/// A kind of error, where there is one. Many senders write an empty one for "none".
pub(crate) fn error_type(wire: &Wire<'_>) -> Result<Option<String>, Fault> {
    match text(wire, Field::ErrorType)?.map(str::trim) {
        None | Some("") => Ok(None),
        Some(kind) if kind.len() > MAX_OTHER_ID_BYTES => {
            let detail = format!(
                "`error_type` has {} bytes, at most {MAX_OTHER_ID_BYTES} are allowed: send the kind of error here and \
                 its text in `content`",
                kind.len()
            );
            Err(Fault::new(RejectionCode::ValueTooLong, detail))
        }
        Some(kind) if kind.contains('\0') => {
            let detail = "`error_type` holds a NUL character: take it out";
            Err(Fault::new(RejectionCode::InvalidName, detail))
        }
        Some(kind) => Ok(Some(kind.to_owned())),
    }
}

fn check_id(id: &str, field: Field, most: usize) -> Result<(), Fault> {
    let name = field.name();
    if id.trim().is_empty() {
        let detail = format!("`{name}` is empty: give it a value{}", leave_out(field));
        return Err(Fault::new(RejectionCode::EmptyValue, detail));
    }
    if id.len() > most {
        let detail = format!("`{name}` has {} bytes, at most {most} are allowed: shorten or hash it", id.len());
        return Err(Fault::new(RejectionCode::ValueTooLong, detail));
    }
    if id.chars().any(char::is_control) {
        let detail = format!("`{name}` holds control characters: take them out");
        return Err(Fault::new(RejectionCode::InvalidName, detail));
    }
    Ok(())
}

const fn leave_out(field: Field) -> &'static str {
    if matches!(field, Field::Id) { "" } else { " or leave the field out" }
}

/// A name of an entity, tool or environment, where there is one.
pub(crate) fn name<'w>(wire: &'w Wire<'_>, field: Field) -> Result<Option<&'w str>, Fault> {
    let Some(name) = text(wire, field)? else { return Ok(None) };
    checked_name(name, field)?;
    Ok(Some(name))
}

/// Checks a name.
pub(crate) fn checked_name(name: &str, field: Field) -> Result<(), Fault> {
    check_name(name).map_err(|error| {
        let remedy = if name.bytes().all(|byte| byte.is_ascii_digit())
            && matches!(field, Field::Agent | Field::Entity)
            && !name.is_empty()
        {
            ", or send it as a number if it is an id"
        } else {
            ""
        };
        Fault::new(RejectionCode::InvalidName, format!("`{}`: {error}{remedy}", field.name()))
    })
}

/// A word of a closed set, where there is one.
pub(crate) fn word<T: FromStr<Err = uplift_model::entity::UnknownName>>(
    wire: &Wire<'_>,
    field: Field,
) -> Result<Option<T>, Fault> {
    let Some(word) = text(wire, field)? else { return Ok(None) };
    word.parse().map(Some).map_err(|error: uplift_model::entity::UnknownName| {
        Fault::new(RejectionCode::UnknownValue, format!("`{}`: {error}", field.name()))
    })
}

/// The event's type.
pub(crate) fn event_kind(wire: &Wire<'_>) -> Result<EventKind, Fault> {
    let name = required(wire, Field::EventType, "\"event_type\": \"TOOL_EXECUTED\"")?;
    if name.starts_with("IMPROVEMENT_") {
        let detail = format!(
            "`{}` is written by Uplift itself: report what the agent did, and ask for changes with request_improvement",
            clip(name)
        );
        return Err(Fault::new(RejectionCode::ReservedEventType, detail));
    }
    name.parse().map_err(|error| {
        let close = name.trim().to_ascii_uppercase().replace(['-', ' ', '.'], "_");
        let hint = match close.parse::<EventKind>() {
            Ok(kind) if !kind.is_own() => format!("; did you mean {}?", kind.as_str()),
            _ => String::new(),
        };
        Fault::new(RejectionCode::UnknownEventType, format!("`event_type`: {error}{hint}"))
    })
}

fn number(wire: &Wire<'_>, field: Field) -> Result<Option<f64>, Fault> {
    match wire.get(field) {
        Scalar::Absent | Scalar::Null => Ok(None),
        Scalar::Integer(number) => Ok(Some(*number as f64)),
        Scalar::Large(number) => Ok(Some(*number as f64)),
        Scalar::Real(number) => Ok(Some(*number)),
        other => Err(wrong_type(field, "a number", other)),
    }
}

fn in_range(wire: &Wire<'_>, field: Field, most: f64, range: &str) -> Result<Option<f64>, Fault> {
    match number(wire, field)? {
        // -0.0 is equal to 0.0 and has other bits, which would give a retry another digest.
        Some(value) if (0.0..=most).contains(&value) => Ok(Some(value.abs())),
        Some(value) => {
            let detail = format!("`{}` must be {range}, not {value}: check its unit or leave it out", field.name());
            Err(Fault::new(RejectionCode::NumberOutOfRange, detail))
        }
        None => Ok(None),
    }
}

/// A duration in milliseconds, where there is one.
pub(crate) fn duration_ms(wire: &Wire<'_>) -> Result<Option<f64>, Fault> {
    in_range(wire, Field::DurationMs, MAX_DURATION_MS, "milliseconds from 0 to 366 days")
}

/// A cost in US dollars, where there is one.
pub(crate) fn cost_usd(wire: &Wire<'_>) -> Result<Option<f64>, Fault> {
    in_range(wire, Field::CostUsd, MAX_COST_USD, "US dollars from 0 to 10000")
}

/// A count of tokens, where there is one.
pub(crate) fn tokens(wire: &Wire<'_>, field: Field) -> Result<Option<u64>, Fault> {
    let Some(value) = number(wire, field)? else { return Ok(None) };
    // Some senders write every number with a point.
    if (0.0..=MAX_TOKENS as f64).contains(&value) && value.fract() == 0.0 {
        return Ok(Some(value as u64));
    }
    let detail = format!("`{}` must be a whole number from 0 to 10^9, not {value}", field.name());
    Err(Fault::new(RejectionCode::NumberOutOfRange, detail))
}

/// The sender's own time, where there is one.
pub(crate) fn time(wire: &Wire<'_>, received_at: Time, max_ahead_ms: i64) -> Result<Option<Time>, Fault> {
    let (time, as_number) = match wire.get(Field::Ts) {
        Scalar::Absent | Scalar::Null => return Ok(None),
        Scalar::Text(text) => (read_time(text)?, None),
        Scalar::Integer(millis) => (Time::from_millis(*millis), Some(*millis as f64)),
        Scalar::Real(millis) => (Time::from_micros((millis * 1_000.0).round() as i64), Some(*millis)),
        Scalar::Large(millis) => (Time::from_micros(i64::MAX), Some(*millis as f64)),
        other => return Err(wrong_type(Field::Ts, "an RFC 3339 string or a number of milliseconds", other)),
    };
    if time < Time::EARLIEST {
        let seconds =
            as_number.is_some_and(|number| number * MILLIS_PER_SECOND >= Time::EARLIEST.micros() as f64 / 1e3);
        let hint = if seconds { ": it looks like seconds, send milliseconds" } else { ": check the sender's clock" };
        let detail = format!("`ts` is {time}, before {}{hint}", Time::EARLIEST);
        return Err(Fault::new(RejectionCode::TimeTooEarly, detail));
    }
    if time > received_at.plus_micros(max_ahead_ms.saturating_mul(1_000)) {
        let micros = as_number.is_some_and(|number| number / 1e3 <= (received_at.micros() as f64) && number >= 1e14);
        let hint = if micros {
            "it looks like micro- or nanoseconds, send milliseconds"
        } else {
            "check the sender's clock, or send an RFC 3339 time with the right offset"
        };
        let detail =
            format!("`ts` is {time}, more than {max_ahead_ms} ms after its arrival at {received_at}: {hint}");
        return Err(Fault::new(RejectionCode::TimeInFuture, detail));
    }
    Ok(Some(time))
}

fn read_time(text: &str) -> Result<Time, Fault> {
    text.parse().map_err(|error| {
        let hint =
            if text.parse::<f64>().is_ok() { ": milliseconds are sent as a number, not as a string" } else { "" };
        Fault::new(RejectionCode::InvalidTime, format!("`ts`: {error}{hint}"))
    })
}

/// Text, or other JSON as its text.
pub(crate) fn content(wire: &Wire<'_>) -> Result<Option<String>, Fault> {
    let Some(raw) = wire.content.map(serde_json::value::RawValue::get) else { return Ok(None) };
    if raw == "null" {
        return Ok(None);
    }
    let Some(inner) = raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        crate::attributes::check(raw, "content")?;
        return Ok(Some(raw.to_owned()));
    };
    if !inner.contains('\\') {
        return Ok(Some(inner.to_owned()));
    }
    let text: Cow<'_, str> = serde_json::from_str::<String>(raw).map(Cow::Owned).map_err(|error| {
        let fault = crate::wire::explain(&error, raw);
        Fault { detail: format!("in `content`: {}", fault.detail), ..fault }
    })?;
    Ok(Some(text.into_owned()))
}
