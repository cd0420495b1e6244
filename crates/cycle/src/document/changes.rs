//! Changes in words, one line each.

use std::collections::BTreeMap;

use serde_json::Value;
use uplift_model::edit::Edit;
use uplift_model::revision::{Configuration, Guard, GuardCheck, GuardTarget, ToolUse};

use super::markdown::{code, one_line};

/// Longest text of a guideline or value that is shown, in characters.
const MAX_TEXT_CHARS: usize = 200;
/// Most changes that are listed.
const MAX_CHANGES: usize = 100;

/// What tells two configurations apart, in words, one line each: the instruction, guidelines, contexts, tools, model,
/// parameters, guards, processes, and whatever else there is. Empty where they are equal; at most 100 lines.
pub fn diff(base: &Configuration, candidate: &Configuration) -> Vec<String> {
    let mut lines = Vec::new();
    instruction(base, candidate, &mut lines);
    names("context", &base.contexts, &candidate.contexts, &mut lines);
    tools(&base.tools, &candidate.tools, &mut lines);
    if base.model != candidate.model {
        let shown = |model: &Option<String>| model.as_deref().map_or_else(|| "none".to_owned(), code);
        lines.push(format!("changes the model from {} to {}", shown(&base.model), shown(&candidate.model)));
    }
    values("parameter", &base.parameters, &candidate.parameters, &mut lines);
    guards(&base.guards, &candidate.guards, &mut lines);
    names("process", &base.processes, &candidate.processes, &mut lines);
    values("setting", &base.extra, &candidate.extra, &mut lines);
    let more = lines.len().saturating_sub(MAX_CHANGES);
    if more > 0 {
        lines.truncate(MAX_CHANGES);
        lines.push(format!("and {more} more changes"));
    }
    lines
}

fn instruction(base: &Configuration, candidate: &Configuration, lines: &mut Vec<String>) {
    let (old, new) = (&base.instruction, &candidate.instruction);
    if old.text != new.text {
        lines.push(format!(
            "replaces the instruction ({} characters before, {} after)",
            old.text.chars().count(),
            new.text.chars().count()
        ));
    }
    for before in &old.guidelines {
        match new.guidelines.iter().find(|after| after.number == before.number) {
            None => lines.push(format!("withdraws guideline {}: {}", before.number, quoted(&before.text))),
            Some(after) if after.text != before.text => {
                lines.push(format!("rewrites guideline {}: {}", before.number, quoted(&after.text)));
            }
            Some(_) => {}
        }
    }
    for after in &new.guidelines {
        if !old.guidelines.iter().any(|before| before.number == after.number) {
            lines.push(format!("adds guideline {}: {}", after.number, quoted(&after.text)));
        }
    }
}

fn names(what: &str, old: &[String], new: &[String], lines: &mut Vec<String>) {
    for name in old.iter().filter(|name| !new.contains(name)) {
        lines.push(format!("removes the {what} {}", code(name)));
    }
    for name in new.iter().filter(|name| !old.contains(name)) {
        lines.push(format!("adds the {what} {}", code(name)));
    }
}

fn tools(old: &[ToolUse], new: &[ToolUse], lines: &mut Vec<String>) {
    for before in old {
        match new.iter().find(|after| after.name == before.name) {
            None => lines.push(format!("takes the tool {} away", code(&before.name))),
            Some(after) if after.required != before.required => {
                lines.push(format!("makes the tool {} {}", code(&after.name), required(after.required)));
            }
            Some(_) => {}
        }
    }
    for after in new.iter().filter(|after| !old.iter().any(|before| before.name == after.name)) {
        lines.push(format!("gives it the tool {} ({})", code(&after.name), required(after.required)));
    }
}

fn required(required: bool) -> &'static str {
    if required { "required" } else { "optional" }
}

fn values(what: &str, old: &BTreeMap<String, Value>, new: &BTreeMap<String, Value>, lines: &mut Vec<String>) {
    for (name, before) in old {
        match new.get(name) {
            None => lines.push(format!("removes the {what} {} (it was {})", code(name), value(before))),
            Some(after) if after != before => {
                lines.push(format!("changes the {what} {} from {} to {}", code(name), value(before), value(after)));
            }
            Some(_) => {}
        }
    }
    for (name, after) in new.iter().filter(|(name, _)| !old.contains_key(*name)) {
        lines.push(format!("sets the {what} {} to {}", code(name), value(after)));
    }
}

fn guards(old: &[Guard], new: &[Guard], lines: &mut Vec<String>) {
    for before in old {
        match new.iter().find(|after| after.name == before.name) {
            None => lines.push(format!("removes the guard {}", code(&before.name))),
            Some(after) if after != before => {
                lines.push(format!("changes the guard {}: {}", code(&after.name), guard(after)));
            }
            Some(_) => {}
        }
    }
    for after in new.iter().filter(|after| !old.iter().any(|before| before.name == after.name)) {
        lines.push(format!("adds the guard {}: {}", code(&after.name), guard(after)));
    }
}

/// What a guard demands.
fn guard(guard: &Guard) -> String {
    let place = match guard.target {
        GuardTarget::Arguments => "in the arguments of",
        GuardTarget::Result => "in the result of",
    };
    let demand = match &guard.check {
        GuardCheck::Required { field } => format!("{} must be there", code(field)),
        GuardCheck::Length { field, min, max } => {
            format!("{} must have from {min} to {max} characters", code(field))
        }
        GuardCheck::Range { field, min, max } => format!("{} must be from {min} to {max}", code(field)),
        GuardCheck::Type { field, json_type } => format!("{} must be of type {}", code(field), code(json_type)),
    };
    format!("{demand} {place} {}", code(&guard.tool))
}

/// One edit in words.
pub(super) fn words(edit: &Edit) -> String {
    match edit {
        Edit::AppendGuideline { text } => format!("adds a guideline: {}", quoted(text)),
        Edit::WithdrawGuideline { number } => format!("withdraws guideline {number}"),
        Edit::ReplaceInstruction { text } => {
            format!("replaces the instruction ({} characters)", text.chars().count())
        }
        Edit::AddContext { name } => format!("adds the context {}", code(name)),
        Edit::RemoveContext { name } => format!("removes the context {}", code(name)),
        Edit::MakeToolOptional { name } => format!("makes the tool {} optional", code(name)),
        Edit::MakeToolRequired { name } => format!("makes the tool {} required", code(name)),
        Edit::AssignTool { name, required: must } => {
            format!("gives it the tool {} ({})", code(name), required(*must))
        }
        Edit::UnassignTool { name } => format!("takes the tool {} away", code(name)),
        Edit::SetParameter { name, value: Value::Null } => format!("removes the parameter {}", code(name)),
        Edit::SetParameter { name, value: set } => format!("sets the parameter {} to {}", code(name), value(set)),
        Edit::AddGuard { guard: added } => format!("adds the guard {}: {}", code(&added.name), guard(added)),
        Edit::RemoveGuard { name } => format!("removes the guard {}", code(name)),
        Edit::AttachProcess { name } => format!("attaches the process {}", code(name)),
        Edit::DetachProcess { name } => format!("detaches the process {}", code(name)),
    }
}

/// A guideline's text, clipped: it is part of the configuration, and what a reader wants to see of the change.
fn quoted(text: &str) -> String {
    format!("\"{}\"", one_line(text, MAX_TEXT_CHARS))
}

/// Numbers and booleans as they are; texts where they are identifiers; of the rest only what it is.
fn value(value: &Value) -> String {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) => code(text),
        Value::Array(items) => format!("a list of {}", items.len()),
        Value::Object(fields) => format!("an object of {}", fields.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configuration(json: Value) -> Configuration {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn every_section_is_told_apart() {
        let base = configuration(serde_json::json!({
            "instruction": {"text": "old", "guidelines": [{"number": 1, "text": "Be kind."}, {"number": 2, "text": "x"}],
                "next_guideline": 3},
            "contexts": ["guide"], "tools": [{"name": "a", "required": true}, {"name": "b"}], "model": "m1",
            "parameters": {"timeout_ms": 5000, "retries": 1, "old": [1]}, "processes": ["p"], "graph": {"n": 1},
            "guards": [{"name": "g", "tool": "a", "target": "result", "check": {"check": "required", "field": "id"}}],
        }));
        let candidate = configuration(serde_json::json!({
            "instruction": {"text": "newer", "guidelines": [{"number": 2, "text": "y"},
                {"number": 3, "text": "Check\nthe order."}], "next_guideline": 4},
            "contexts": ["a b"], "tools": [{"name": "a"}, {"name": "c"}], "model": "m2",
            "parameters": {"timeout_ms": 20000, "retries": 1, "cache": "on"}, "graph": {"n": 2},
            "guards": [{"name": "g", "tool": "a", "target": "arguments",
                "check": {"check": "range", "field": "id", "min": 1.0, "max": 9.5}}],
        }));
        insta::assert_snapshot!(diff(&base, &candidate).join("\n"), @r#"
        replaces the instruction (3 characters before, 5 after)
        withdraws guideline 1: "Be kind."
        rewrites guideline 2: "y"
        adds guideline 3: "Check the order."
        removes the context `guide`
        adds the context `<*>`
        makes the tool `a` optional
        takes the tool `b` away
        gives it the tool `c` (optional)
        changes the model from `m1` to `m2`
        removes the parameter `old` (it was a list of 1)
        changes the parameter `timeout_ms` from 5000 to 20000
        sets the parameter `cache` to `on`
        changes the guard `g`: `id` must be from 1 to 9.5 in the arguments of `a`
        removes the process `p`
        changes the setting `graph` from an object of 1 to an object of 1
        "#);
        assert!(diff(&base, &base).is_empty());
    }

    #[test]
    fn long_lists_end() {
        let many =
            Configuration { contexts: (0..150).map(|n| format!("c{n}")).collect(), ..Configuration::default() };
        let lines = diff(&Configuration::default(), &many);
        assert_eq!((lines.len(), lines[100].as_str()), (101, "and 50 more changes"));
    }
}
