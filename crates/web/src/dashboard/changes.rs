//! Edits in a few words, for lists.

use uplift_model::edit::Edit;

use super::format;

/// Longest text of an edit that a list shows, characters.
const MAX_TEXT: usize = 140;

/// What an edit does.
pub(super) fn edit(edit: &Edit) -> String {
    let text = |text: &str| format!("“{}”", format::cut(text, MAX_TEXT));
    match edit {
        Edit::AppendGuideline { text: guideline } => format!("adds the guideline {}", text(guideline)),
        Edit::WithdrawGuideline { number } => format!("withdraws guideline {number}"),
        Edit::ReplaceInstruction { text: instruction } => {
            format!("replaces the instruction by {}", text(instruction))
        }
        Edit::AddContext { name } => format!("adds the context {name}"),
        Edit::RemoveContext { name } => format!("removes the context {name}"),
        Edit::MakeToolOptional { name } => format!("makes the tool {name} optional"),
        Edit::MakeToolRequired { name } => format!("makes the tool {name} required"),
        Edit::AssignTool { name, required } => {
            format!("assigns the tool {name}{}", if *required { ", required" } else { "" })
        }
        Edit::UnassignTool { name } => format!("takes the tool {name} away"),
        Edit::SetParameter { name, value } => format!("sets {name} to {}", format::cut(&value.to_string(), MAX_TEXT)),
        Edit::AddGuard { guard } => format!("adds the guard {} on {}", guard.name, guard.tool),
        Edit::RemoveGuard { name } => format!("removes the guard {name}"),
        Edit::AttachProcess { name } => format!("attaches the process {name}"),
        Edit::DetachProcess { name } => format!("detaches the process {name}"),
    }
}

/// What some edits do, the first ones in words.
pub(super) fn edits(edits: &[Edit]) -> String {
    const SHOWN: usize = 2;
    let shown: Vec<String> = edits.iter().take(SHOWN).map(edit).collect();
    match edits.len() {
        0 => "no proposal yet".to_owned(),
        count if count > SHOWN => format!("{}; and {} more edits", shown.join("; "), count - SHOWN),
        _ => shown.join("; "),
    }
}
