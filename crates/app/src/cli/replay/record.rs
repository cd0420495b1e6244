//! The file of results: events as `uplift judge` reads them, after a line that says what was compared. A run is appended
//! whole or not at all, so a replay that was interrupted goes on behind the last whole one.

use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufRead as _, BufReader, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uplift_model::trial::Arm;

use super::child::Limits;
use super::items::Item;
use super::outcome::{Grade, Outcome};
use super::plan::{self, name};
use super::revisions::Compared;
use crate::declare::shown;
use crate::text::put;
use crate::usage::Misuse;

/// Most bytes of a file of results that are read again.
const MAX_FILE_BYTES: u64 = 1 << 30;
/// The layout of the file.
const VERSION: u32 = 1;
/// What the first line begins with.
const BEGINNING: &str = "{\"replay\":";

/// What a file of results is about: what must be the same for results to go together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Subject {
    /// The layout of the file.
    version: u32,
    /// Whom it is about, where that is known.
    entity: Option<String>,
    /// The revisions, by their addresses.
    control: String,
    candidate: String,
    /// Program and arguments.
    command: Vec<String>,
    seed: u64,
    timeout_ms: u64,
    max_output: u64,
}

impl Subject {
    /// One in the present layout.
    pub(super) fn new(compared: &Compared, command: &[String], seed: u64, limits: Limits) -> Self {
        Self {
            version: VERSION,
            entity: compared.entity.as_ref().map(shown),
            control: compared.control.id().to_string(),
            candidate: compared.candidate.id().to_string(),
            command: command.to_vec(),
            seed,
            timeout_ms: u64::try_from(limits.timeout.as_millis()).unwrap_or(u64::MAX),
            max_output: limits.max_output,
        }
    }

    /// The names of what differs.
    fn differences(&self, other: &Self) -> Vec<&'static str> {
        [
            ("the layout", self.version != other.version),
            ("the entity", self.entity != other.entity),
            ("control", self.control != other.control),
            ("the candidate", self.candidate != other.candidate),
            ("the command", self.command != other.command),
            ("--seed", self.seed != other.seed),
            ("--timeout", self.timeout_ms != other.timeout_ms),
            ("--max-output", self.max_output != other.max_output),
        ]
        .into_iter()
        .filter_map(|(what, differs)| differs.then_some(what))
        .collect()
    }
}

#[derive(Serialize, Deserialize)]
struct Header {
    replay: Subject,
}

/// A run that is over.
#[derive(Debug, Clone)]
pub(super) struct Done<'a> {
    pub(super) item: &'a Item,
    pub(super) repeat: u32,
    pub(super) arm: Arm,
    pub(super) started: Timestamp,
    pub(super) ended: Timestamp,
    pub(super) exit_code: Option<i32>,
    /// The end of its standard error, where the run was no success.
    pub(super) stderr: &'a str,
    pub(super) outcome: Outcome,
}

/// What a file says of runs so far, of one arm.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(super) struct Counts {
    pub(super) runs: u64,
    pub(super) failed: u64,
    /// Broke down: among those that failed.
    pub(super) errors: u64,
    /// Took too long: among those that broke down.
    pub(super) timeouts: u64,
    /// Dollars, as reported.
    pub(super) cost_usd: f64,
}

impl Counts {
    fn count(&mut self, failed: bool, error: bool, error_type: Option<&str>, cost: Option<f64>) {
        self.runs += 1;
        self.failed += u64::from(failed);
        self.errors += u64::from(error);
        self.timeouts += u64::from(error_type == Some("timeout"));
        self.cost_usd += cost.unwrap_or(0.0);
    }
}

/// The file, open for this process alone.
#[derive(Debug)]
pub(super) struct Results {
    path: PathBuf,
    file: File,
    /// Runs on record, with the fingerprints of their items.
    done: HashMap<String, String>,
    /// By arm.
    pub(super) counts: [Counts; 2],
    /// Runs that were there when it was opened.
    pub(super) found: u64,
}

impl Results {
    /// Opens a file of results or makes one; `fresh` forgets what is in it.
    ///
    /// # Errors
    ///
    /// Files that cannot be written, that another replay writes, that are something else, or that are about something
    /// else.
    pub(super) fn open(path: &Path, subject: &Subject, fresh: bool) -> anyhow::Result<Self> {
        let shown = path.display();
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .with_context(|| format!("cannot write {shown}"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!("another replay is writing {shown}"),
            Err(TryLockError::Error(error)) => return Err(error).with_context(|| format!("cannot lock {shown}")),
        }
        let size = file.metadata()?.len();
        if size > MAX_FILE_BYTES {
            bail!("{shown} is larger than {} GiB", MAX_FILE_BYTES >> 30);
        }
        let header = first_line(&file).with_context(|| format!("cannot read {shown}"))?;
        let mut results = Self {
            path: path.to_owned(),
            file: file.try_clone()?,
            done: HashMap::new(),
            counts: [Counts::default(); 2],
            found: 0,
        };
        match header {
            // Empty, or interrupted while it was begun.
            First::Nothing => results.begin(subject)?,
            First::Foreign => {
                return Err(Misuse::error(format!(
                    "{shown} exists and holds no results of a replay: name another file"
                )));
            }
            First::Header(_) if fresh => results.begin(subject)?,
            First::Header(found) => {
                let differences = found.differences(subject);
                if !differences.is_empty() {
                    return Err(Misuse::error(format!(
                        "{shown} holds results of another replay: {} differ{}. Name another file, or begin anew with \
                         --fresh",
                        differences.join(", "),
                        if differences.len() == 1 { "s" } else { "" },
                    )));
                }
                let whole = results.take_in(&file).with_context(|| format!("{shown} cannot be continued"))?;
                file.set_len(whole).with_context(|| format!("cannot write {shown}"))?;
                file.seek(SeekFrom::End(0))?;
            }
        }
        results.found = results.counts.iter().map(|arm| arm.runs).sum();
        Ok(results)
    }

    fn begin(&mut self, subject: &Subject) -> anyhow::Result<()> {
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        let header = serde_json::to_string(&Header { replay: subject.clone() })?;
        self.append(&format!("{header}\n"))
    }

    /// Reads the runs on record; where the last whole one ends.
    fn take_in(&mut self, file: &File) -> anyhow::Result<u64> {
        let mut reader = BufReader::new(file);
        reader.seek(SeekFrom::Start(0))?;
        let (mut line, mut place, mut whole) = (Vec::new(), 0, 0);
        for number in 1.. {
            line.clear();
            let read = reader.read_until(b'\n', &mut line)?;
            // A line without an end was interrupted; so was a run without its last line.
            if !line.ends_with(b"\n") {
                break;
            }
            place += read as u64;
            let event: Value = serde_json::from_slice(&line).with_context(|| format!("line {number} is not JSON"))?;
            if number == 1 || self.ends_run(&event) {
                whole = place;
            }
        }
        Ok(whole)
    }

    /// Counts the run that this event ends, if it ends one.
    fn ends_run(&mut self, event: &Value) -> bool {
        let text = |field: &str| event[field].as_str();
        let failed = match text("event_type") {
            Some("TASK_COMPLETED") => false,
            Some("TASK_FAILED") => true,
            _ => return false,
        };
        let attributes = &event["attributes"];
        let arm = if attributes["arm"] == name(Arm::Candidate) { Arm::Candidate } else { Arm::Control };
        let fingerprint = attributes["item_fingerprint"].as_str().unwrap_or_default();
        self.done.insert(text("task_id").unwrap_or_default().to_owned(), fingerprint.to_owned());
        let error = text("outcome") == Some("ERROR");
        self.counts[arm.index()].count(failed, error, text("error_type"), event["cost_usd"].as_f64());
        true
    }

    /// Whether a run is on record.
    pub(super) fn has(&self, item: &str, repeat: u32, arm: Arm) -> bool {
        self.done.contains_key(&plan::unit(item, repeat, arm))
    }

    /// Checks that all that is on record is part of the plan.
    ///
    /// # Errors
    ///
    /// Items that are gone or were changed, and repeats that are no longer asked for.
    pub(super) fn check_against(&self, items: &[Item], repeats: u32) -> anyhow::Result<()> {
        let mut expected: HashMap<String, &str> = HashMap::new();
        for item in items {
            for repeat in 1..=repeats {
                for arm in [Arm::Control, Arm::Candidate] {
                    expected.insert(plan::unit(&item.id, repeat, arm), &item.fingerprint);
                }
            }
        }
        for (unit, fingerprint) in &self.done {
            let what = match expected.get(unit) {
                None => "is not in this replay",
                Some(now) if now != fingerprint => "was another item then",
                Some(_) => continue,
            };
            return Err(Misuse::error(format!(
                "{} holds results that do not belong to these items: `{unit}` {what}. Name another file, or begin anew \
                 with --fresh",
                self.path.display()
            )));
        }
        Ok(())
    }

    /// Appends a run, durably.
    ///
    /// # Errors
    ///
    /// A file that cannot be written.
    pub(super) fn add(&mut self, done: &Done<'_>) -> anyhow::Result<()> {
        let lines = lines(done);
        self.append(&lines)?;
        let unit = plan::unit(&done.item.id, done.repeat, done.arm);
        self.done.insert(unit, done.item.fingerprint.clone());
        let outcome = &done.outcome;
        let (failed, error) = (outcome.result != Grade::Success, outcome.result == Grade::Error);
        self.counts[done.arm.index()].count(failed, error, outcome.error_type.as_deref(), outcome.cost_usd);
        Ok(())
    }

    fn append(&mut self, lines: &str) -> anyhow::Result<()> {
        let written = self.file.write_all(lines.as_bytes()).and_then(|()| self.file.sync_data());
        written.with_context(|| format!("cannot write {}", self.path.display()))
    }
}

enum First {
    Nothing,
    Foreign,
    Header(Box<Subject>),
}

fn first_line(file: &File) -> anyhow::Result<First> {
    let mut line = Vec::new();
    let mut reader = BufReader::new(file);
    reader.seek(SeekFrom::Start(0))?;
    reader.read_until(b'\n', &mut line)?;
    let begun = line.starts_with(BEGINNING.as_bytes()) || BEGINNING.as_bytes().starts_with(&line);
    Ok(match serde_json::from_slice::<Header>(&line) {
        Ok(header) if line.ends_with(b"\n") => First::Header(Box::new(header.replay)),
        _ if begun && !line.ends_with(b"\n") => First::Nothing,
        _ => First::Foreign,
    })
}

/// A run as events; the one that ends it is the last.
fn lines(done: &Done<'_>) -> String {
    let Done { item, repeat, arm, outcome, .. } = done;
    let unit = plan::unit(&item.id, *repeat, *arm);
    let mut events = Vec::new();
    let mut event = |event_type: &str, at: Timestamp, attributes: Value, more: Value| {
        let mut event = json!({
            "id": format!("{unit}/{}", events.len() + 1), "ts": at.to_string(), "event_type": event_type,
            "task_id": unit,
            "attributes": {"arm": name(*arm), "item": item.id, "repeat": repeat},
        });
        for (place, fields) in [("attributes", attributes), ("", more)] {
            let object = if place.is_empty() { &mut event } else { &mut event[place] };
            if let (Value::Object(object), Value::Object(fields)) = (object, fields) {
                object.extend(fields.into_iter().filter(|(_, value)| !value.is_null()));
            }
        }
        events.push(event);
    };
    event("TASK_STARTED", done.started, Value::Null, Value::Null);
    if outcome.tokens_in.is_some() || outcome.tokens_out.is_some() {
        let tokens = json!({"tokens_in": outcome.tokens_in, "tokens_out": outcome.tokens_out});
        event("LLM_CALL", done.ended, Value::Null, tokens);
    }
    for (metric, score) in &outcome.scores {
        let scored = json!({"metric": metric, "score": score});
        event("FEEDBACK", done.ended, scored, json!({"source": "environment"}));
    }
    let (event_type, grade) = match outcome.result {
        Grade::Success => ("TASK_COMPLETED", "SUCCESS"),
        Grade::Failure => ("TASK_FAILED", "FAILURE"),
        Grade::Error => ("TASK_FAILED", "ERROR"),
    };
    let about = json!({"item_fingerprint": item.fingerprint, "exit_code": done.exit_code});
    let stderr = (outcome.result != Grade::Success && !done.stderr.is_empty()).then_some(done.stderr);
    let came = json!({
        "outcome": grade, "duration_ms": outcome.duration_ms, "cost_usd": outcome.cost_usd,
        "error_type": outcome.error_type, "content": stderr,
    });
    event(event_type, done.ended, about, came);
    let mut lines = String::new();
    for event in events {
        put!(&mut lines, "{event}\n");
    }
    lines
}
