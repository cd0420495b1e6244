//! Configurations as text, and what tells two of them apart.

use std::fmt::Write as _;

use maud::{Markup, html};
use serde_json::Value;
use similar::{ChangeTag, TextDiff};
use uplift_model::revision::{Configuration, Guard};

/// Unchanged lines that are shown around a change.
const CONTEXT: usize = 3;
/// Most lines of a difference that are shown.
const MAX_LINES: usize = 2_000;
/// Longest text that is compared, characters: both texts together are looked at in memory.
const MAX_TEXT: usize = 500_000;

/// A configuration, a line for each thing that can be changed by itself.
pub(super) fn text(of: &Configuration) -> String {
    let mut out = String::new();
    if !of.instruction.text.is_empty() {
        out.push_str("instruction:\n");
        for line in of.instruction.text.lines() {
            // Writing to a String cannot fail.
            let _ = writeln!(out, "  {line}");
        }
    }
    let guidelines = of.instruction.guidelines.iter().map(|one| format!("{}. {}", one.number, one.text));
    list(&mut out, "guidelines", guidelines);
    list(&mut out, "contexts", of.contexts.iter().map(|name| format!("- {name}")));
    let tools =
        of.tools.iter().map(|tool| format!("- {}{}", tool.name, if tool.required { " (required)" } else { "" }));
    list(&mut out, "tools", tools);
    if let Some(model) = &of.model {
        let _ = writeln!(out, "model: {model}");
    }
    list(&mut out, "parameters", of.parameters.iter().map(|(name, value)| format!("{name}: {value}")));
    list(&mut out, "guards", of.guards.iter().map(guard));
    list(&mut out, "processes", of.processes.iter().map(|name| format!("- {name}")));
    for (name, value) in &of.extra {
        let _ = writeln!(out, "{name}: {value}");
    }
    out
}

fn list(out: &mut String, name: &str, items: impl Iterator<Item = String>) {
    let mut items = items.peekable();
    if items.peek().is_some() {
        let _ = writeln!(out, "{name}:");
    }
    for item in items {
        for (place, line) in item.lines().enumerate() {
            let _ = writeln!(out, "  {}{line}", if place > 0 { "  " } else { "" });
        }
    }
}

fn guard(guard: &Guard) -> String {
    let check = serde_json::to_value(&guard.check).unwrap_or(Value::Null);
    let target = serde_json::to_value(guard.target).unwrap_or(Value::Null);
    format!("- {}: {} of {}, {check}", guard.name, target.as_str().unwrap_or("call"), guard.tool)
}

/// What leads from one configuration to the other, line by line.
pub(super) fn diff(base: &Configuration, candidate: &Configuration) -> Markup {
    let (old, new) = (text(base), text(candidate));
    if old.len() + new.len() > MAX_TEXT {
        return html! { p.muted { "They are too long to be compared here." } };
    }
    let compared = TextDiff::from_lines(&old, &new);
    let mut left = MAX_LINES;
    let mut groups: Vec<Vec<(ChangeTag, &str)>> = Vec::new();
    for group in compared.grouped_ops(CONTEXT) {
        let lines: Vec<_> = group
            .iter()
            .flat_map(|op| compared.iter_changes(op))
            .map(|change| (change.tag(), change.value()))
            .take(left)
            .collect();
        left -= lines.len();
        groups.push(lines);
    }
    if groups.is_empty() {
        return html! { p.muted { "Both are the same." } };
    }
    html! {
        div.wide role="region" aria-label="Difference" tabindex="0" {
            pre.diff { @for (place, lines) in groups.iter().enumerate() {
                @if place > 0 { span.gap { "⋯\n" } }
                @for (tag, line) in lines {
                    @let line = line.trim_end_matches('\n');
                    @match tag {
                        ChangeTag::Delete => del { "− " (line) "\n" },
                        ChangeTag::Insert => ins { "+ " (line) "\n" },
                        ChangeTag::Equal => span { "  " (line) "\n" },
                    }
                }
            } }
        }
        @if left == 0 { p.muted { "The rest is left out." } }
    }
}
