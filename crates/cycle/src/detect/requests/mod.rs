//! What an agent asks for: how much weight it has, and what of it the records bear out.
//!
//! An agent's word is a claim like any other. What it says is looked up item by item; what it asked for before tells how
//! often it was right. Nothing of its texts goes into a finding or a change: types, identifiers of a narrow form and
//! numbers only.
//!
//! **Confidence** is a posterior. The prior is the agent's track record: a Beta distribution over the share of its
//! requests that were kept, among those kept or taken back for harm, which starts at [`PRIOR_KEPT`] to [`PRIOR_HARM`].
//! Its mean, as log-odds, moves by [`CONFIRMED`] for each thing that the records bear out and by [`WRONG`] for each that
//! they contradict, of each no more than [`MOST_OF_A_KIND`].

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use uplift_model::Time;
use uplift_model::edit::Edit;
use uplift_model::entity::{EntityKey, check_name};
use uplift_model::event::Outcome;
use uplift_model::improvement::ImprovementType;
use uplift_model::opportunity::{
    EventRef, Evidence, Finding, Impact, ImpactLevel, MAX_EVIDENCE_EVENTS, Opportunity, OpportunityKind,
    OpportunitySource,
};
use uplift_model::request::{AskingRecord, CheckedItem, Found, MAX_ITEMS};
use uplift_model::task::Task;
use uplift_model::trial::unit_key;

use super::text;

/// Weight of the prior: requests that turned out well.
pub const PRIOR_KEPT: f64 = 3.0;
/// Weight of the prior: requests that turned out to do harm.
pub const PRIOR_HARM: f64 = 1.0;
/// Log-odds that a confirmed item adds.
pub const CONFIRMED: f64 = 0.5;
/// Log-odds that a wrong item takes.
pub const WRONG: f64 = 0.75;
/// Most items of a kind that move the confidence.
pub const MOST_OF_A_KIND: u32 = 4;
/// The label in the evidence that names who asked.
pub const ASKED_BY: &str = "asked_by";
/// Longest item that is shown again, in characters.
const MAX_SUBJECT_CHARS: usize = 128;
/// Confidence is never certainty: it stays this far from 0 and 1.
const EDGE: f64 = 0.01;

/// What evidence names, before anything of it is looked up.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Named {
    /// Tasks said to have failed.
    pub failed_tasks: Vec<String>,
    /// Tasks said to be there.
    pub tasks: Vec<String>,
    /// Events.
    pub events: Vec<EventRef>,
    /// A tool that is missed.
    pub tool: Option<String>,
    /// Time said to have been wasted, as it was said.
    pub time_wasted: Option<String>,
    /// Names of what nothing can be looked up for.
    pub others: Vec<String>,
    /// Items beyond those that are looked up.
    pub left_out: usize,
}

impl Named {
    /// Reads evidence; whatever form it has, what cannot be read is among the [`others`](Self::others).
    pub fn of(evidence: &Value) -> Self {
        let mut named = Self::default();
        let Value::Object(fields) = evidence else { return named };
        let mut room = MAX_ITEMS;
        for (key, value) in fields {
            named.left_out += match (key.as_str(), value) {
                ("failed_tasks", _) => take(texts(value), &mut named.failed_tasks, &mut room),
                ("tasks", _) => take(texts(value), &mut named.tasks, &mut room),
                ("events", _) => take(events(value), &mut named.events, &mut room),
                ("tool", Value::String(tool)) => {
                    named.tool = Some(tool.clone());
                    0
                }
                ("time_wasted", Value::String(_) | Value::Number(_)) => {
                    named.time_wasted = Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned));
                    0
                }
                _ => take(vec![key.clone()], &mut named.others, &mut room),
            };
        }
        named
    }
}

/// Takes as many as there is room for; how many were left out.
fn take<T>(from: Vec<T>, to: &mut Vec<T>, room: &mut usize) -> usize {
    let (all, taken) = (from.len(), from.len().min(*room));
    to.extend(from.into_iter().take(taken));
    *room -= taken;
    all - taken
}

/// A text, or the texts of a list, each once.
fn texts(value: &Value) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let list = value.as_array().map_or_else(|| std::slice::from_ref(value), Vec::as_slice);
    for text in list.iter().filter_map(Value::as_str) {
        if !found.iter().any(|known| known == text) {
            found.push(text.to_owned());
        }
    }
    found
}

/// Events: objects with `id` and `trace_id` (or `trace_key`, or `task_id`).
fn events(value: &Value) -> Vec<EventRef> {
    let list = value.as_array().map_or_else(|| std::slice::from_ref(value), Vec::as_slice);
    let event = |value: &Value| {
        let text = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
        let trace_key = text("trace_key").or_else(|| text("trace_id")).or_else(|| text("task_id"))?;
        Some(EventRef { trace_key, id: text("id")? })
    };
    let mut found: Vec<EventRef> = Vec::new();
    for event in list.iter().filter_map(event) {
        if !found.contains(&event) {
            found.push(event);
        }
    }
    found
}

/// Everything that a request is judged by.
#[derive(Debug, Clone)]
pub struct Input<'a> {
    /// The moment it is.
    pub now: Time,
    /// The asking agent's name.
    pub asker: &'a str,
    /// What is to be improved.
    pub about: EntityKey,
    /// That entity's name.
    pub about_name: &'a str,
    /// The type of improvement that is asked for.
    pub improvement_type: ImprovementType,
    /// The agent's words, by which requests for the same are told: nothing else of them is used.
    pub description: &'a str,
    /// How urgent the agent says it is.
    pub priority: ImpactLevel,
    /// What the evidence names.
    pub named: &'a Named,
    /// Tasks on record among those named.
    pub tasks: &'a [Task],
    /// Whose event each of the named ones is, of those on record.
    pub events: &'a BTreeMap<EventRef, EntityKey>,
    /// Tools of the entity, where its configuration is known.
    pub tools: Option<&'a BTreeSet<String>>,
    /// Whether the missed tool is known in the entity's environment.
    pub tool_is_known: bool,
    /// What the agent asked for before, and what came of it.
    pub record: AskingRecord,
    /// Tasks of the entity in the last days: how many, for the share that is touched.
    pub recent_tasks: u64,
    /// The open opportunity that it joins, if there is one.
    pub open: Option<&'a Opportunity>,
    /// Requests that opened or joined that one before.
    pub asked_before: u64,
    /// Confidence from which on something is done by itself.
    pub least_confidence: f64,
}

/// What a request comes to.
#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    /// What was found of what the agent says.
    pub checked: Vec<CheckedItem>,
    /// How much weight it has.
    pub confidence: f64,
    /// The opportunity that it makes, or joins.
    pub finding: Finding,
    /// Whether it is taken up at once rather than when its turn comes.
    pub starts: bool,
    /// The change that it amounts to, where that needs no proposer: a tool that is missed.
    pub edits: Vec<Edit>,
}

/// What tells a request from others about the same entity: the missed tool, else what is asked for, without case, space
/// and punctuation.
pub fn fingerprint(improvement_type: ImprovementType, named: &Named, description: &str) -> String {
    if let (ImprovementType::ToolReassignment, Some(tool)) = (improvement_type, &named.tool)
        && text::is_plain(tool)
    {
        return format!("{improvement_type}:tool:{tool}");
    }
    let words: Vec<String> = description
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect();
    format!("{improvement_type}:{:016x}", unit_key(&words.join(" ")))
}

/// How much weight the word of an agent with this record has, with so many confirmed and so many wrong items.
pub fn confidence(record: &AskingRecord, confirmed: u32, wrong: u32) -> f64 {
    let (kept, harm) = (record.kept as f64 + PRIOR_KEPT, record.rolled_back as f64 + PRIOR_HARM);
    let moved = CONFIRMED * f64::from(confirmed.min(MOST_OF_A_KIND)) - WRONG * f64::from(wrong.min(MOST_OF_A_KIND));
    let odds = (kept / harm) * moved.exp();
    // To four digits, so that a threshold such as 0.8 is met by what is 0.8.
    let share = (odds / (1.0 + odds) * 10_000.0).round() / 10_000.0;
    share.clamp(EDGE, 1.0 - EDGE)
}

/// Judges a request.
pub fn judge(input: &Input<'_>) -> Output {
    let (checked, edits) = check(input);
    let count = |found: Found| checked.iter().filter(|item| item.found == found).count() as u32;
    let (confirmed, wrong) = (count(Found::Confirmed), count(Found::Wrong));
    let own = confidence(&input.record, confirmed, wrong);
    // Whoever joins may add to what others have shown; they never take from it.
    let confidence = input.open.map_or(own, |open| open.finding.confidence.max(own));
    let impact = impact(input, &checked);
    let starts =
        own >= input.least_confidence && (input.priority == ImpactLevel::High || impact.level == ImpactLevel::High);
    let finding = finding(input, confidence, impact, (confirmed, wrong), &checked);
    Output { checked, confidence: own, finding, starts, edits }
}

fn item(claim: &str, subject: &str, found: Found, detail: impl Into<String>) -> CheckedItem {
    let subject = subject.chars().filter(|c| !c.is_control()).take(MAX_SUBJECT_CHARS).collect();
    CheckedItem { claim: claim.to_owned(), subject, found, detail: detail.into() }
}

/// Looks at each item, and at what follows from it.
fn check(input: &Input<'_>) -> (Vec<CheckedItem>, Vec<Edit>) {
    let named = input.named;
    let mut checked = Vec::new();
    let mut meant: Vec<&Task> = Vec::new();
    let claims = [("failed_task", &named.failed_tasks), ("task", &named.tasks)];
    for (claim, ids) in claims {
        for id in ids {
            let (found, detail) = match find(input, id) {
                None => (Found::Wrong, "there is no such task".to_owned()),
                // A task and its trace are one piece of evidence.
                Some(task) if meant.iter().any(|known| is_same(known, task)) => {
                    (Found::Unchecked, format!("it is the task `{}`, which is named already", task.task_id))
                }
                Some(task) => {
                    meant.push(task);
                    looked_at(input, task, claim == "failed_task")
                }
            };
            checked.push(item(claim, id, found, detail));
        }
    }
    for event in &named.events {
        let (found, detail) = match input.events.get(event) {
            None => (Found::Wrong, "there is no such event"),
            Some(owner) if *owner != input.about => (Found::Wrong, "it is an event of another entity"),
            // That there is an event says nothing about what is wrong with it.
            Some(_) => (Found::Unchecked, "it is on record; what it shows is for people to judge"),
        };
        checked.push(item("event", &event.id, found, detail));
    }
    let mut edits = Vec::new();
    if let Some(tool) = &named.tool {
        let (found, detail) = missed_tool(input, tool, &mut edits);
        checked.push(item("tool", tool, found, detail));
    }
    if let Some(said) = &named.time_wasted {
        let took: f64 = meant
            .iter()
            .filter(|task| task.entity == input.about)
            .filter_map(|task| task.duration_ms)
            .filter(|ms| ms.is_finite())
            .sum();
        let detail = if took > 0.0 {
            format!(
                "the named tasks took {} in all; how much of it was wasted is not on record",
                text::duration(took)
            )
        } else {
            "no named task has a duration on record".to_owned()
        };
        checked.push(item("time_wasted", said, Found::Unchecked, detail));
    }
    for other in &named.others {
        checked.push(item("other", other, Found::Unchecked, "nothing on record could show it"));
    }
    if named.left_out > 0 {
        let detail = format!("{} more were not looked at: at most {MAX_ITEMS} are", named.left_out);
        checked.push(item("other", "", Found::Unchecked, detail));
    }
    (checked, edits)
}

fn is_same(one: &Task, other: &Task) -> bool {
    (&one.trace_key, &one.task_id) == (&other.trace_key, &other.task_id)
}

/// The task of an id, which may be that of its trace: of several the entity's own, and of those the first that failed.
fn find<'a>(input: &Input<'a>, id: &str) -> Option<&'a Task> {
    let rank = |task: &&Task| {
        let failed = matches!(task.outcome, Some(Outcome::Failure | Outcome::Error));
        (task.task_id != id, task.entity != input.about, !failed)
    };
    input.tasks.iter().filter(|task| task.task_id == id || task.trace_key == id).min_by_key(rank)
}

fn looked_at(input: &Input<'_>, task: &Task, failed: bool) -> (Found, String) {
    if task.entity != input.about {
        return (Found::Wrong, "it is a task of another entity".to_owned());
    }
    let errors = if task.errors > 0 { format!(", with {} errors", task.errors) } else { String::new() };
    match (task.outcome, failed) {
        (Some(Outcome::Failure | Outcome::Error), _) => (Found::Confirmed, format!("it failed{errors}")),
        (Some(Outcome::Success), true) => (Found::Wrong, format!("it succeeded{errors}")),
        (None, true) if task.ended => (Found::Unchecked, format!("it ended without a known outcome{errors}")),
        (None, true) => (Found::Unchecked, format!("it has not ended{errors}")),
        (_, false) => (Found::Unchecked, format!("it is on record{errors}")),
    }
}

fn missed_tool(input: &Input<'_>, tool: &str, edits: &mut Vec<Edit>) -> (Found, String) {
    if !text::is_plain(tool) || check_name(tool).is_err() {
        return (Found::Wrong, "this cannot be the name of a tool".to_owned());
    }
    let Some(tools) = input.tools else {
        return (Found::Unchecked, "which tools the entity has is not known: it runs no configuration".to_owned());
    };
    if tools.contains(tool) {
        return (Found::Wrong, "the entity has this tool".to_owned());
    }
    if input.improvement_type != ImprovementType::ToolReassignment {
        let detail = "the entity does not have it; ask for tool_reassignment to get it";
        return (Found::Unchecked, detail.to_owned());
    }
    edits.push(Edit::AssignTool { name: tool.to_owned(), required: false });
    let known = if input.tool_is_known { "it is in use here" } else { "it was never seen here" };
    (Found::Unchecked, format!("the entity does not have it; {known}; an operator has to say yes"))
}

/// The share of the entity's tasks that failed and are named. What an agent calls urgent counts for one level more, where
/// the records bear it out.
fn impact(input: &Input<'_>, checked: &[CheckedItem]) -> Impact {
    let failed = checked.iter().filter(|item| item.found == Found::Confirmed).count() as u64;
    let all = input.recent_tasks.max(failed);
    let share = if all == 0 { 0.0 } else { failed as f64 / all as f64 };
    let gain = if failed == 0 {
        "not known before it is tried".to_owned()
    } else {
        format!("{failed} failed tasks are named, of {all} lately")
    };
    let mut impact = Impact::from_share(share, gain);
    if failed > 0 && input.priority == ImpactLevel::High {
        impact.level = match impact.level {
            ImpactLevel::Low => ImpactLevel::Medium,
            _ => ImpactLevel::High,
        };
    }
    match input.open {
        Some(open) if open.finding.impact.level > impact.level => open.finding.impact.clone(),
        _ => impact,
    }
}

fn finding(
    input: &Input<'_>,
    confidence: f64,
    impact: Impact,
    (confirmed, wrong): (u32, u32),
    checked: &[CheckedItem],
) -> Finding {
    let mut evidence = input.open.map(|open| open.finding.evidence.clone()).unwrap_or_default();
    uplift_model::request::TOOL.clone_into(&mut evidence.rule);
    evidence.count = i64::try_from(input.asked_before).unwrap_or(i64::MAX - 1) + 1;
    evidence.labels.insert("improvement_type".to_owned(), input.improvement_type.to_string());
    evidence.labels.entry(ASKED_BY.to_owned()).or_insert_with(|| text::name(input.asker).to_owned());
    for (name, value) in [
        ("items_confirmed", f64::from(confirmed)),
        ("items_wrong", f64::from(wrong)),
        ("asker_kept", input.record.kept as f64),
        ("asker_rolled_back", input.record.rolled_back as f64),
        ("asked_times", evidence.count as f64),
    ] {
        evidence.numbers.insert(name.to_owned(), value);
    }
    remember(input, &mut evidence, checked);
    let times = if evidence.count > 1 { format!(", asked {} times", evidence.count) } else { String::new() };
    let asker = text::name(input.asker);
    let whom = if input.asker == input.about_name {
        String::new()
    } else {
        format!(" of `{}`", text::name(input.about_name))
    };
    let tool = match &input.named.tool {
        Some(tool) if input.improvement_type == ImprovementType::ToolReassignment => {
            format!(" (the tool `{}`)", text::name(tool))
        }
        _ => String::new(),
    };
    Finding {
        entity: input.about,
        kind: OpportunityKind::Request,
        fingerprint: fingerprint(input.improvement_type, input.named, input.description),
        source: OpportunitySource::Agent,
        description: format!(
            "`{asker}` asks for {}{whom}{tool}: {confirmed} of {} items of evidence confirmed, {wrong} wrong{times}",
            input.improvement_type,
            checked.len()
        ),
        confidence,
        impact,
        evidence,
        last_seen_at: input.now,
    }
}

/// Adds what was confirmed to the tasks and events by which the opportunity can be looked up.
fn remember(input: &Input<'_>, evidence: &mut Evidence, checked: &[CheckedItem]) {
    let there = checked.iter().filter(|item| item.found == Found::Confirmed);
    for id in there.map(|item| &item.subject).filter(|id| text::is_plain(id)) {
        if evidence.tasks.len() < MAX_EVIDENCE_EVENTS && !evidence.tasks.contains(id) {
            evidence.tasks.push(id.clone());
        }
    }
    let own = input.named.events.iter().filter(|event| input.events.get(event) == Some(&input.about));
    for event in own {
        if evidence.events.len() < MAX_EVIDENCE_EVENTS && !evidence.events.contains(event) {
            evidence.events.push(event.clone());
        }
    }
}

#[cfg(test)]
mod tests;
