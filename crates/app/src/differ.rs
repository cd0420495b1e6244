//! Differences between configurations as people read them: line by line in YAML, and edits in words.

use serde_json::Value;
use similar::{ChangeTag, TextDiff};
use uplift_model::edit::Edit;
use uplift_model::merge::Conflict;
use uplift_model::revision::{Guard, GuardCheck};

use crate::files::as_yaml;
use crate::text::{Style, clean, clip, put};

/// Lines around a change that are shown.
const CONTEXT_LINES: usize = 3;
/// Longest value in a line, columns.
const VALUE_COLUMNS: usize = 100;

/// A unified diff of two configurations; empty where they are the same.
pub(crate) fn unified(before: &Value, after: &Value, names: [&str; 2], style: Style) -> anyhow::Result<String> {
    let (before, after) = (as_yaml(before)?, as_yaml(after)?);
    let diff = TextDiff::from_lines(&before, &after);
    let mut shown = String::new();
    for hunk in diff.unified_diff().context_radius(CONTEXT_LINES).iter_hunks() {
        if shown.is_empty() {
            put!(&mut shown, "--- {}\n+++ {}\n", clean(names[0]), clean(names[1]));
        }
        put!(&mut shown, "{}\n", style.dim(&hunk.header().to_string()));
        for change in hunk.iter_changes() {
            let line = indented(change.value());
            match change.tag() {
                ChangeTag::Equal => put!(&mut shown, " {line}\n"),
                ChangeTag::Delete => put!(&mut shown, "{}\n", style.bad(&format!("-{line}"))),
                ChangeTag::Insert => put!(&mut shown, "{}\n", style.good(&format!("+{line}"))),
            }
        }
    }
    Ok(shown)
}

/// A line made harmless, its indentation kept.
fn indented(line: &str) -> String {
    let text = line.trim_start_matches(' ');
    format!("{}{}", &line[..line.len() - text.len()], clean(text))
}

/// Edits in words, one a line and numbered.
pub(crate) fn in_words(edits: &[Value]) -> String {
    let mut shown = String::new();
    for (index, edit) in edits.iter().enumerate() {
        put!(&mut shown, "  {}. {}\n", index + 1, word(edit));
    }
    shown
}

/// The same on one line.
pub(crate) fn on_one_line(edits: &[Value]) -> String {
    edits.iter().map(word).collect::<Vec<_>>().join("; ")
}

fn word(edit: &Value) -> String {
    // An edit of a newer server is shown as it is.
    serde_json::from_value(edit.clone()).map_or_else(|_| value(edit), |edit| clean(&words(&edit)))
}

fn words(edit: &Edit) -> String {
    match edit {
        Edit::AppendGuideline { text } => format!("add the guideline \"{text}\""),
        Edit::WithdrawGuideline { number } => format!("withdraw guideline {number}"),
        Edit::ReplaceInstruction { text } => {
            format!("replace the instruction by one of {} characters", text.chars().count())
        }
        Edit::AddContext { name } => format!("add the context {name}"),
        Edit::RemoveContext { name } => format!("remove the context {name}"),
        Edit::MakeToolOptional { name } => format!("make the tool {name} optional"),
        Edit::MakeToolRequired { name } => format!("make the tool {name} required"),
        Edit::AssignTool { name, required: true } => format!("assign the tool {name}, required"),
        Edit::AssignTool { name, required: false } => format!("assign the tool {name}, optional"),
        Edit::UnassignTool { name } => format!("take the tool {name} away"),
        Edit::SetParameter { name, value: Value::Null } => format!("remove {name}, so that its default holds"),
        Edit::SetParameter { name, value: to } => format!("set {name} to {}", value(to)),
        Edit::AddGuard { guard } => guarded(guard),
        Edit::RemoveGuard { name } => format!("remove the guard {name}"),
        Edit::AttachProcess { name } => format!("attach the process {name}"),
        Edit::DetachProcess { name } => format!("detach the process {name}"),
    }
}

fn guarded(guard: &Guard) -> String {
    let demand = match &guard.check {
        GuardCheck::Required { field } => format!("`{field}` is there and not empty"),
        GuardCheck::Length { field, min, max } => format!("`{field}` has {min} to {max} characters"),
        GuardCheck::Range { field, min, max } => format!("`{field}` is from {min} to {max}"),
        GuardCheck::Type { field, json_type } => format!("`{field}` is a {json_type}"),
    };
    let target = match guard.target {
        uplift_model::revision::GuardTarget::Arguments => "arguments",
        uplift_model::revision::GuardTarget::Result => "result",
    };
    format!("add the guard {}: in the {target} of {}, {demand}", guard.name, guard.tool)
}

/// A value on one line.
fn value(value: &Value) -> String {
    let text = match value {
        Value::String(text) => format!("\"{text}\""),
        other => other.to_string(),
    };
    clip(&clean(&text), VALUE_COLUMNS)
}

/// What both sides changed, with the three values.
pub(crate) fn conflicts(conflicts: &[Conflict], style: Style) -> String {
    let mut shown = String::new();
    let said = |side: &Option<Value>| side.as_ref().map_or_else(|| "(not there)".to_owned(), value);
    for conflict in conflicts {
        put!(&mut shown, "{}\n", style.bold(&clean(&conflict.path)));
        for (name, side) in
            [("applied last", &conflict.base), ("in place", &conflict.theirs), ("the file", &conflict.mine)]
        {
            put!(&mut shown, "  {name:12}  {}\n", said(side));
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const PLAIN: Style = Style { width: 100, colour: false };

    #[test]
    fn a_diff_shows_what_changed_and_nothing_dangerous() {
        let before = json!({"contexts": ["faq"], "instruction": {"text": "Help.\nBe kind.\n"}});
        let after = json!({"contexts": ["faq"], "instruction": {"text": "Help.\nBe \u{1b}[31mbrief.\n"}});
        let shown = unified(&before, &after, ["base", "candidate"], PLAIN).unwrap();
        assert!(shown.starts_with("--- base\n+++ candidate\n@@"), "{shown}");
        assert!(shown.contains("\n-") && shown.contains("\n+") && shown.contains("Be kind."), "{shown}");
        assert!(!shown.contains('\u{1b}'), "{shown}");
        assert_eq!(unified(&before, &before, ["a", "b"], PLAIN).unwrap(), "");
    }

    #[test]
    fn edits_are_said_in_words() {
        let edits = [
            json!({"edit": "append_guideline", "text": "Check \u{1b}[2Jtwice."}),
            json!({"edit": "set_parameter", "name": "timeout_ms", "value": 3000}),
            json!({"edit": "set_parameter", "name": "cache", "value": null}),
            json!({"edit": "assign_tool", "name": "mail"}),
            json!({"edit": "add_guard", "guard": {"name": "g", "tool": "pay", "target": "arguments",
                "check": {"check": "range", "field": "amount", "min": 0.0, "max": 10.0}}}),
            json!({"edit": "of_the_future", "x": 1}),
        ];
        let shown = in_words(&edits);
        for line in [
            "  1. add the guideline \"Check twice.\"\n",
            "  2. set timeout_ms to 3000\n",
            "  3. remove cache, so that its default holds\n",
            "  4. assign the tool mail, optional\n",
            "  5. add the guard g: in the arguments of pay, `amount` is from 0 to 10\n",
            "of_the_future",
        ] {
            assert!(shown.contains(line), "{line} is not in:\n{shown}");
        }
        assert!(!shown.contains('\u{1b}'));
    }

    #[test]
    fn conflicts_show_all_three() {
        let found = [Conflict { path: "model".into(), base: Some(json!("a")), theirs: None, mine: Some(json!("c")) }];
        let shown = conflicts(&found, PLAIN);
        assert_eq!(shown, "model\n  applied last  \"a\"\n  in place      (not there)\n  the file      \"c\"\n");
    }
}
