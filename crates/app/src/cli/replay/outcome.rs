//! What came of a run: what the command reported, or else how it ended. What it reports is taken field by field, and
//! what cannot be used is said. A report that cannot be understood never counts as a success.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value};

use super::child::{Ended, How};

/// Most bytes of a file with an outcome.
const MAX_REPORT_BYTES: u64 = 1 << 20;
/// Most scores of a run.
const MAX_SCORES: usize = 32;
/// Longest name of a score and of a kind of error, bytes.
const MAX_NAME_BYTES: usize = 64;
/// Most tokens of a run that are believed.
const MAX_TOKENS: u64 = 1 << 40;
/// What a report that cannot be read is called among kinds of errors.
const BAD_REPORT: &str = "bad_report";

/// How a run came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Grade {
    /// The work was done.
    Success,
    /// It was not.
    Failure,
    /// It was not, and the agent broke down.
    Error,
}

/// What came of a run.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Outcome {
    pub(super) result: Grade,
    /// What kind of error.
    pub(super) error_type: Option<String>,
    /// Milliseconds, as measured or as reported.
    pub(super) duration_ms: f64,
    pub(super) tokens_in: Option<u64>,
    pub(super) tokens_out: Option<u64>,
    /// Dollars.
    pub(super) cost_usd: Option<f64>,
    /// By name.
    pub(super) scores: BTreeMap<String, f64>,
    /// Parts of the report that could not be used.
    pub(super) unusable: Vec<String>,
}

/// Reads the report of a run: the file it was told to write, else the last line of its standard output, if that is an
/// object. A run that was ended by force has none.
pub(super) fn of(ended: &Ended, file: &Path) -> Outcome {
    let mut outcome = plain(ended);
    if !matches!(ended.how, How::Exited(_)) {
        return outcome;
    }
    match from_file(file) {
        Ok(Some(report)) => take(&mut outcome, &report),
        Ok(None) => {
            let line = ended.last_line.as_deref().unwrap_or_default();
            match serde_json::from_str(line) {
                Ok(Value::Object(report)) => take(&mut outcome, &report),
                // Perhaps it was to be one: the exit code counts, and somebody should look.
                Err(_) if line.trim_start().starts_with('{') => {
                    outcome.unusable.push("the last line begins like a report and is no JSON".to_owned());
                }
                _ => {}
            }
        }
        Err(reason) => broken(&mut outcome, reason),
    }
    outcome
}

fn plain(ended: &Ended) -> Outcome {
    let (result, error_type) = match ended.how {
        How::Exited(0) => (Grade::Success, None),
        How::Exited(_) => (Grade::Failure, None),
        How::Signalled(signal) => (Grade::Error, Some(format!("signal_{signal}"))),
        How::TimedOut => (Grade::Error, Some("timeout".to_owned())),
        How::TooMuchOutput => (Grade::Error, Some("too_much_output".to_owned())),
    };
    Outcome {
        result,
        error_type,
        duration_ms: ended.duration.as_secs_f64() * 1e3,
        tokens_in: None,
        tokens_out: None,
        cost_usd: None,
        scores: BTreeMap::new(),
        unusable: Vec::new(),
    }
}

fn from_file(path: &Path) -> Result<Option<Map<String, Value>>, String> {
    // What the command made of the file (a folder, a pipe, a link to a device) must not hold us up.
    match std::fs::metadata(path) {
        Err(_) => return Ok(None),
        Ok(about) if !about.is_file() => return Err("the outcome's file is no file".to_owned()),
        Ok(about) if about.len() > MAX_REPORT_BYTES => {
            return Err(format!("the outcome's file is larger than {} KiB", MAX_REPORT_BYTES >> 10));
        }
        Ok(about) if about.len() == 0 => return Ok(None),
        Ok(_) => {}
    }
    let bytes = std::fs::read(path).map_err(|error| format!("the outcome's file cannot be read: {error}"))?;
    serde_json::from_slice(&bytes).map(Some).map_err(|error| format!("the outcome's file is no JSON object: {error}"))
}

fn broken(outcome: &mut Outcome, reason: String) {
    outcome.result = Grade::Error;
    outcome.error_type = Some(BAD_REPORT.to_owned());
    outcome.unusable.push(reason);
}

fn take(outcome: &mut Outcome, report: &Map<String, Value>) {
    let given = |name: &str| report.get(name).filter(|value| !value.is_null());
    match result(given("outcome"), given("success")) {
        Ok(Some(result)) => outcome.result = result,
        Ok(None) => {}
        Err(reason) => broken(outcome, reason),
    }
    let mut unusable = Vec::new();
    let mut number = |name: &str| -> Option<f64> {
        let value = given(name)?;
        let number = value.as_f64().filter(|number| number.is_finite() && *number >= 0.0);
        if number.is_none() {
            unusable.push(format!("`{name}` is not a number of 0 or more"));
        }
        number
    };
    outcome.cost_usd = number("cost_usd");
    outcome.duration_ms = number("duration_ms").unwrap_or(outcome.duration_ms);
    let mut tokens = |name: &str| number(name).map(|tokens| tokens.min(MAX_TOKENS as f64).round() as u64);
    (outcome.tokens_in, outcome.tokens_out) = (tokens("tokens_in"), tokens("tokens_out"));
    outcome.unusable.append(&mut unusable);
    if let Some(kind) = given("error_type") {
        match kind.as_str().filter(|kind| is_name(kind)) {
            Some(kind) if outcome.error_type.is_none() => outcome.error_type = Some(kind.to_owned()),
            Some(_) => {}
            None => outcome.unusable.push(format!("`error_type` is no name ({NAMES})")),
        }
    }
    match given("scores") {
        None => {}
        Some(Value::Object(scores)) => take_scores(outcome, scores),
        Some(_) => outcome.unusable.push("`scores` is no object".to_owned()),
    }
}

fn take_scores(outcome: &mut Outcome, scores: &Map<String, Value>) {
    for (name, value) in scores {
        let number = match value {
            Value::Bool(yes) => Some(f64::from(u8::from(*yes))),
            value => value.as_f64().filter(|number| number.is_finite()),
        };
        match number {
            // Not known, for this run.
            _ if value.is_null() => {}
            _ if outcome.scores.len() == MAX_SCORES => {
                outcome.unusable.push(format!("there are more than {MAX_SCORES} scores"));
                return;
            }
            _ if !is_name(name) => outcome.unusable.push(format!("a score's name is no name ({NAMES})")),
            Some(number) => {
                outcome.scores.insert(name.clone(), number);
            }
            None => outcome.unusable.push(format!("the score `{name}` is neither a number nor a boolean")),
        }
    }
}

/// What a report says of success; an error where it says it in a way that cannot be understood.
fn result(outcome: Option<&Value>, success: Option<&Value>) -> Result<Option<Grade>, String> {
    let by_outcome = match outcome {
        None => None,
        Some(value) => Some(match value.as_str().map(str::to_ascii_uppercase).as_deref() {
            Some("SUCCESS") => Grade::Success,
            Some("FAILURE") => Grade::Failure,
            Some("ERROR") => Grade::Error,
            _ => return Err("`outcome` is not SUCCESS, FAILURE or ERROR".to_owned()),
        }),
    };
    let by_success = match success {
        None => None,
        Some(Value::Bool(yes)) => Some(*yes),
        Some(_) => return Err("`success` is neither true nor false".to_owned()),
    };
    match (by_outcome, by_success) {
        (Some(result), Some(success)) if (result == Grade::Success) != success => {
            Err("`outcome` and `success` contradict each other".to_owned())
        }
        (Some(result), _) => Ok(Some(result)),
        (None, Some(success)) => Ok(Some(if success { Grade::Success } else { Grade::Failure })),
        (None, None) => Ok(None),
    }
}

/// What names may be, in words.
const NAMES: &str = "1 to 64 of letters, digits, `_`, `.` and `-`";

fn is_name(text: &str) -> bool {
    (1..=MAX_NAME_BYTES).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    fn ended(how: How, last_line: &str) -> Ended {
        let last_line = (!last_line.is_empty()).then(|| last_line.to_owned());
        Ended { how, duration: Duration::from_millis(1_500), last_line, stderr: String::new() }
    }

    fn nowhere() -> &'static Path {
        Path::new("/nonexistent/outcome")
    }

    #[test]
    fn what_is_reported_stands_above_how_the_command_ended() {
        let cases = [
            (0, "", Grade::Success),
            (3, "", Grade::Failure),
            (0, "done.", Grade::Success),
            (1, "{\"answer\": 42}", Grade::Failure),
            (0, "[false]", Grade::Success),
            (1, "{\"success\": true}", Grade::Success),
            (0, "{\"success\": false}", Grade::Failure),
            (0, "{\"outcome\": \"failure\"}", Grade::Failure),
            (0, "{\"outcome\": \"ERROR\", \"success\": false}", Grade::Error),
            (7, "{\"success\": null}", Grade::Failure),
            (0, "{\"success\": \"yes\"}", Grade::Error),
            (0, "{\"outcome\": \"great\"}", Grade::Error),
            (0, "{\"outcome\": \"FAILURE\", \"success\": true}", Grade::Error),
            (0, "{\"success\": tr", Grade::Success),
        ];
        for (code, line, expected) in cases {
            assert_eq!(of(&ended(How::Exited(code), line), nowhere()).result, expected, "{code} {line}");
        }
        for (how, kind) in
            [(How::TimedOut, "timeout"), (How::Signalled(9), "signal_9"), (How::TooMuchOutput, "too_much_output")]
        {
            // What was said before it was ended by force does not count.
            let outcome = of(&ended(how, "{\"success\": true}"), nowhere());
            assert_eq!((outcome.result, outcome.error_type.as_deref()), (Grade::Error, Some(kind)));
        }
    }

    #[test]
    fn amounts_and_scores_are_taken_one_by_one() {
        let report = json!({
            "success": true, "tokens_in": 10.4, "tokens_out": -1, "cost_usd": "free", "duration_ms": 20,
            "error_type": "rate limit", "scores": {"helpful": true, "f1": 0.5, "a b": 1, "c": "x", "d": null},
        });
        let outcome = of(&ended(How::Exited(0), &report.to_string()), nowhere());
        assert_eq!((outcome.tokens_in, outcome.tokens_out, outcome.cost_usd), (Some(10), None, None));
        assert_eq!((outcome.duration_ms, outcome.error_type.as_deref()), (20.0, None));
        assert_eq!(outcome.scores, BTreeMap::from([("helpful".to_owned(), 1.0), ("f1".to_owned(), 0.5)]));
        assert_eq!(outcome.unusable.len(), 5, "{:?}", outcome.unusable);
        let plain = of(&ended(How::Exited(0), "{\"scores\": 3}"), nowhere());
        assert_eq!((plain.duration_ms, plain.unusable.len()), (1_500.0, 1));
        let many: Map<String, Value> = (0..100).map(|n| (format!("s{n}"), json!(n))).collect();
        let outcome = of(&ended(How::Exited(0), &json!({"scores": many}).to_string()), nowhere());
        assert_eq!((outcome.scores.len(), outcome.unusable.len()), (MAX_SCORES, 1));
    }

    #[test]
    fn a_file_is_read_before_the_last_line() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("outcome.json");
        let on_line = ended(How::Exited(0), "{\"success\": true}");
        for (content, expected) in [
            ("{\"success\": false}\n", Grade::Failure),
            ("", Grade::Success),
            ("garbage", Grade::Error),
            ("[]", Grade::Error),
        ] {
            std::fs::write(&file, content).unwrap();
            assert_eq!(of(&on_line, &file).result, expected, "{content}");
        }
        std::fs::write(&file, " ".repeat(MAX_REPORT_BYTES as usize + 1)).unwrap();
        assert_eq!(of(&on_line, &file).error_type.as_deref(), Some(BAD_REPORT));
        assert_eq!(of(&on_line, folder.path()).result, Grade::Error);
    }
}
