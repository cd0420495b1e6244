//! Events become runs: one per root task, with what came out of it.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Deserialize;
use serde_json::{Map, Value};

/// The parts of an event that matter here; anything else is skipped, and a field of the wrong type is unknown.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Event {
    id: Value,
    ts: Value,
    #[serde(rename = "event_type")]
    kind: Value,
    task_id: Value,
    parent_task_id: Value,
    outcome: Value,
    duration_ms: Value,
    tokens_in: Value,
    tokens_out: Value,
    cost_usd: Value,
    source: Value,
    attributes: Value,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// One task.
#[derive(Debug, Clone, Default)]
pub(crate) struct Run {
    /// Name of the task.
    pub(crate) task: String,
    /// Task it was part of.
    parent: Option<String>,
    /// Position of its first event.
    pub(crate) order: usize,
    /// Time of its first event, microseconds since the Unix epoch.
    pub(crate) started_us: Option<i64>,
    ended_us: Option<i64>,
    /// Fields and attributes of its first event.
    fields: Map<String, Value>,
    attributes: Map<String, Value>,
    /// Values that later events gave for attributes of the first, where they differ.
    changed: HashSet<String>,
    /// True once an end was seen.
    pub(crate) ended: bool,
    /// Success, where known.
    pub(crate) success: Option<bool>,
    /// At least one error.
    pub(crate) errored: bool,
    /// Milliseconds.
    pub(crate) duration_ms: Option<f64>,
    /// What its calls took.
    calls: Usage,
    /// What the event that ended it says it took in all.
    whole: Usage,
    /// Tokens: what its end says, else those of its calls; and those of its child tasks.
    pub(crate) tokens: Option<f64>,
    /// Dollars, likewise.
    pub(crate) cost: Option<f64>,
    /// Scores by name, with who gave them.
    pub(crate) scores: BTreeMap<String, f64>,
}

/// Tokens and dollars, as far as they were reported.
#[derive(Debug, Clone, Copy, Default)]
struct Usage {
    tokens_in: Option<f64>,
    tokens_out: Option<f64>,
    cost: Option<f64>,
}

impl Usage {
    fn of(event: &Event) -> Self {
        Self {
            tokens_in: number(&event.tokens_in),
            tokens_out: number(&event.tokens_out),
            cost: number(&event.cost_usd),
        }
    }

    fn and(self, other: Self) -> Self {
        Self {
            tokens_in: sum(self.tokens_in, other.tokens_in),
            tokens_out: sum(self.tokens_out, other.tokens_out),
            cost: sum(self.cost, other.cost),
        }
    }

    /// Field by field: these where they are known, else the others.
    fn or(self, other: Self) -> Self {
        Self {
            tokens_in: self.tokens_in.or(other.tokens_in),
            tokens_out: self.tokens_out.or(other.tokens_out),
            cost: self.cost.or(other.cost),
        }
    }
}

impl Run {
    /// The value of a field such as `attributes.variant` or `agent`, as text.
    pub(crate) fn field(&self, path: &str) -> Option<String> {
        let value = match path.strip_prefix("attributes.") {
            Some(name) => self.attributes.get(name),
            None if path == "task_id" => return Some(self.task.clone()),
            None => self.fields.get(path),
        };
        match value? {
            Value::String(text) => Some(text.clone()),
            Value::Null => None,
            other => Some(other.to_string()),
        }
    }

    /// True where later events of the same task disagree about that field.
    pub(crate) fn disagrees(&self, path: &str) -> bool {
        path.strip_prefix("attributes.").is_some_and(|name| self.changed.contains(name))
    }
}

/// Folds lines of NDJSON; returns the root tasks in order of their first event, and how many lines were no events.
pub(crate) fn runs<'a>(lines: impl Iterator<Item = &'a str>) -> (Vec<Run>, usize) {
    let mut tasks: HashMap<String, Run> = HashMap::new();
    let mut seen: HashSet<(String, String)> = HashSet::new();
    let mut bad = 0;
    for (order, line) in lines.enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let Ok(event) = serde_json::from_str::<Event>(line) else {
            bad += 1;
            continue;
        };
        let Some(task) = text(&event.task_id).or_else(|| text(event.rest.get("trace_id").unwrap_or(&Value::Null)))
        else {
            continue;
        };
        // The sender's id makes a retry harmless, within its task: two sources may number alike.
        if text(&event.id).is_some_and(|id| !seen.insert((task.clone(), id))) {
            continue;
        }
        let run = tasks.entry(task.clone()).or_insert_with(|| Run { task, order, ..Run::default() });
        take_in(run, event);
    }
    (roots(tasks), bad)
}

fn take_in(run: &mut Run, event: Event) {
    let at = text(&event.ts).and_then(|ts| ts.parse::<jiff::Timestamp>().ok()).map(jiff::Timestamp::as_microsecond);
    let kind = text(&event.kind).unwrap_or_default();
    let outcome = text(&event.outcome);
    let usage = Usage::of(&event);
    attributes(run, event.attributes, event.rest, &kind, &event.source);
    run.started_us = [run.started_us, at].into_iter().flatten().min();
    run.parent = run.parent.take().or_else(|| text(&event.parent_task_id));
    run.errored |= outcome.as_deref() == Some("ERROR") || kind == "ERROR";
    let ends = kind == "TASK_COMPLETED" || kind == "TASK_FAILED";
    if ends {
        run.whole = usage;
        // Of several attempts the last one counts.
        run.ended = true;
        run.success = Some(kind == "TASK_COMPLETED" && !matches!(outcome.as_deref(), Some("FAILURE" | "ERROR")));
        run.duration_ms = number(&event.duration_ms).or(run.duration_ms);
        run.ended_us = at.or(run.ended_us);
    } else {
        run.calls = run.calls.and(usage);
    }
}

fn attributes(run: &mut Run, given: Value, rest: Map<String, Value>, kind: &str, source: &Value) {
    let given = match given {
        Value::Object(map) => map,
        _ => Map::new(),
    };
    if kind == "FEEDBACK" && text(source).as_deref() != Some("self") {
        score(run, &given);
    }
    if run.attributes.is_empty() && run.fields.is_empty() {
        run.attributes = given;
        run.fields = rest;
        return;
    }
    for (name, value) in given {
        if run.attributes.get(&name).is_some_and(|first| *first != value) {
            run.changed.insert(name);
        }
    }
}

/// A score is `{"metric": NAME, "score": VALUE}` (or `name` and `value`), or one attribute per score.
fn score(run: &mut Run, given: &Map<String, Value>) {
    let worth = |value: &Value| match value {
        Value::Bool(yes) => Some(f64::from(u8::from(*yes))),
        other => number(other),
    };
    let named = ["metric", "name"].into_iter().find_map(|key| given.get(key).and_then(text));
    let value = ["score", "value"].into_iter().find_map(|key| given.get(key).and_then(worth));
    if let (Some(name), Some(value)) = (named, value) {
        run.scores.insert(name, value);
        return;
    }
    for (name, value) in given {
        if let Some(value) = worth(value) {
            run.scores.insert(name.clone(), value);
        }
    }
}

/// What child tasks cost and got wrong counts for the root they worked for.
fn roots(mut tasks: HashMap<String, Run>) -> Vec<Run> {
    for run in tasks.values_mut() {
        // As for live tasks: who says what the whole took has counted its calls.
        let usage = run.whole.or(run.calls);
        (run.tokens, run.cost) = (sum(usage.tokens_in, usage.tokens_out), usage.cost);
    }
    let parents: HashMap<String, String> =
        tasks.values().filter_map(|run| Some((run.task.clone(), run.parent.clone()?))).collect();
    let root_of = |task: &String| {
        let mut at = task;
        // Parents that point in a circle must not hold us up.
        for _ in 0..=parents.len() {
            match parents.get(at).filter(|parent| tasks.contains_key(*parent)) {
                Some(parent) => at = parent,
                None => return at.clone(),
            }
        }
        task.clone()
    };
    let owners: Vec<(String, String)> =
        tasks.keys().map(|task| (task.clone(), root_of(task))).filter(|(task, root)| task != root).collect();
    for (task, root) in owners {
        let Some(child) = tasks.remove(&task) else {
            continue;
        };
        if let Some(root) = tasks.get_mut(&root) {
            root.errored |= child.errored;
            root.tokens = sum(root.tokens, child.tokens);
            root.cost = sum(root.cost, child.cost);
        }
    }
    let mut runs: Vec<Run> = tasks.into_values().collect();
    for run in &mut runs {
        if let (None, Some(start), Some(end)) = (run.duration_ms, run.started_us, run.ended_us) {
            run.duration_ms = Some((end - start) as f64 / 1e3);
        }
    }
    runs.sort_by_key(|run| run.order);
    runs
}

fn sum(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a + b),
        (one, other) => one.or(other),
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn number(value: &Value) -> Option<f64> {
    value.as_f64().filter(|number| number.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_count_for_their_root_and_the_last_attempt_wins() {
        let lines = [
            r#"{"id":"1","task_id":"root","event_type":"TASK_STARTED","ts":"2026-01-01T00:00:00Z","attributes":{"variant":"A"}}"#,
            r#"{"id":"2","task_id":"child","parent_task_id":"root","event_type":"LLM_CALL","tokens_in":10,"tokens_out":5,"cost_usd":0.5}"#,
            r#"{"id":"3","task_id":"child","event_type":"TOOL_EXECUTED","outcome":"ERROR"}"#,
            r#"{"id":"4","task_id":"root","event_type":"LLM_CALL","tokens_in":1,"cost_usd":"free"}"#,
            r#"{"id":"4","task_id":"root","event_type":"LLM_CALL","tokens_in":1}"#,
            r#"{"id":"5","task_id":"root","event_type":"TASK_FAILED","ts":"2026-01-01T00:00:01Z"}"#,
            r#"{"id":"6","task_id":"root","event_type":"TASK_COMPLETED","ts":"2026-01-01T00:00:02Z"}"#,
            r#"{"id":"7","task_id":"root","event_type":"FEEDBACK","attributes":{"variant":"B","metric":"helpful","score":true}}"#,
            r#"{"id":"8","task_id":"root","event_type":"FEEDBACK","source":"self","attributes":{"metric":"helpful","score":false}}"#,
            "no event",
        ];
        let (runs, bad) = runs(lines.into_iter());
        assert_eq!((runs.len(), bad), (1, 1));
        let run = &runs[0];
        assert_eq!((run.success, run.errored, run.tokens, run.cost), (Some(true), true, Some(16.0), Some(0.5)));
        assert_eq!((run.duration_ms, run.scores["helpful"].to_bits()), (Some(2_000.0), 1.0_f64.to_bits()));
        assert!(run.disagrees("attributes.variant") && run.field("attributes.variant").as_deref() == Some("A"));
    }

    #[test]
    fn what_the_end_says_of_the_whole_replaces_the_sum_of_the_calls() {
        let lines = [
            r#"{"id":"1","task_id":"t","event_type":"LLM_CALL","tokens_in":10,"tokens_out":5,"cost_usd":0.5}"#,
            r#"{"id":"2","task_id":"t","event_type":"LLM_CALL","tokens_in":10,"tokens_out":5,"cost_usd":0.5}"#,
            r#"{"id":"3","task_id":"t","event_type":"TASK_COMPLETED","tokens_in":900,"cost_usd":0.75}"#,
            r#"{"id":"1","task_id":"u","parent_task_id":"t","event_type":"TASK_COMPLETED","tokens_out":7}"#,
        ];
        let (runs, _) = runs(lines.into_iter());
        assert_eq!((runs.len(), runs[0].tokens, runs[0].cost), (1, Some(900.0 + 10.0 + 7.0), Some(0.75)));
    }

    #[test]
    fn parents_in_a_circle_are_survived() {
        let lines = [
            r#"{"id":"1","task_id":"a","parent_task_id":"b","event_type":"TASK_COMPLETED"}"#,
            r#"{"id":"2","task_id":"b","parent_task_id":"a","event_type":"TASK_COMPLETED"}"#,
        ];
        assert_eq!(runs(lines.into_iter()).0.len(), 2);
    }
}
