//! The code of an entity changed its defaults: what was kept is put on top of the new ones.

use uplift_model::edit::{Edit, EditError, MODEL, apply};
use uplift_model::revision::{Configuration, Revision};

/// An edit that was kept and does not apply to the new defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotApplied {
    /// The improvement.
    pub improvement: i64,
    /// The edit's name.
    pub edit: &'static str,
    /// Why.
    pub reason: String,
}

/// A kept improvement.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Kept {
    /// Its number.
    pub(super) improvement: i64,
    /// Its edits, in order.
    pub(super) edits: Vec<Edit>,
    /// What they were applied to then, where it is known.
    pub(super) base: Option<Configuration>,
}

/// The new defaults with the kept edits on top, in order. An edit whose place the code has changed meanwhile is left
/// out: the code's author has spoken last. One that the code has adopted is there already, which is fine.
pub(super) fn rebase(defaults: &Revision, kept: &[Kept]) -> (Revision, Vec<NotApplied>) {
    let (mut result, mut left_out) = (defaults.clone(), Vec::new());
    for kept in kept {
        // What the improvement's own earlier edits made of its base.
        let mut then = kept.base.as_ref().and_then(|base| Revision::seal(base.clone()).ok());
        for edit in &kept.edits {
            let applied = match then.as_ref().and_then(|then| conflict(edit, then.configuration(), &result)) {
                Some(reason) => Err(reason),
                None => match apply(&result, std::slice::from_ref(edit)) {
                    Ok(next) => Ok(Some(next)),
                    Err(EditError::NoEffect | EditError::Present { .. }) => Ok(None),
                    Err(error) => Err(error.to_string()),
                },
            };
            then = then.map(|then| apply(&then, std::slice::from_ref(edit)).unwrap_or(then));
            match applied {
                Ok(Some(next)) => result = next,
                Ok(None) => {}
                Err(reason) => {
                    left_out.push(NotApplied { improvement: kept.improvement, edit: edit.name(), reason });
                }
            }
        }
    }
    (result, left_out)
}

/// Why an edit that replaces something must not: it is no longer what the edit was tried against.
fn conflict(edit: &Edit, then: &Configuration, now: &Revision) -> Option<String> {
    let now = now.configuration();
    match edit {
        Edit::ReplaceInstruction { text } => {
            let changed = then.instruction.text != now.instruction.text && now.instruction.text != *text;
            changed.then(|| "the code has changed the instruction since".to_owned())
        }
        Edit::SetParameter { name, value } if name == MODEL => {
            let changed = then.model != now.model && now.model.as_deref() != value.as_str();
            changed.then(|| "the code has changed the model since".to_owned())
        }
        Edit::SetParameter { name, value } => {
            let present = now.parameters.get(name);
            let changed = then.parameters.get(name) != present && present != Some(value);
            changed.then(|| format!("the code has changed the parameter `{name}` since"))
        }
        Edit::WithdrawGuideline { number } => {
            let text = |configuration: &Configuration| {
                let mut guidelines = configuration.instruction.guidelines.iter();
                guidelines.find(|guideline| guideline.number == *number).map(|guideline| guideline.text.clone())
            };
            let present = text(now);
            (present.is_some() && present != text(then))
                .then(|| format!("guideline {number} is another one in the code now"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configuration(text: &str) -> Configuration {
        serde_json::from_str(text).unwrap()
    }

    const OLD: &str = r#"{"instruction":{"text":"Old.","guidelines":[{"number":1,"text":"one"}]},
        "parameters":{"timeout_ms":5000},"contexts":["faq"]}"#;

    #[test]
    fn kept_edits_move_to_the_new_defaults_where_they_still_apply() {
        let table: &[(&str, &str, &str, &[&str])] = &[
            // (new defaults, edits, what comes out, what is left out)
            (
                r#"{"instruction":{"text":"New."},"parameters":{"timeout_ms":5000}}"#,
                r#"[{"edit":"set_parameter","name":"timeout_ms","value":9000}]"#,
                r#"{"instruction":{"text":"New."},"parameters":{"timeout_ms":9000}}"#,
                &[],
            ),
            // The code has changed the model that a kept change replaced.
            (
                r#"{"model":"newer"}"#,
                r#"[{"edit":"set_parameter","name":"model","value":"other"}]"#,
                r#"{"model":"newer"}"#,
                &["set_parameter"],
            ),
            // The code has changed the same parameter.
            (
                r#"{"parameters":{"timeout_ms":7000}}"#,
                r#"[{"edit":"set_parameter","name":"timeout_ms","value":9000}]"#,
                r#"{"parameters":{"timeout_ms":7000}}"#,
                &["set_parameter"],
            ),
            // The code has adopted the change.
            (
                r#"{"parameters":{"timeout_ms":9000}}"#,
                r#"[{"edit":"set_parameter","name":"timeout_ms","value":9000}]"#,
                r#"{"parameters":{"timeout_ms":9000}}"#,
                &[],
            ),
            // Twice in one improvement: the second is tried against what the first made.
            (
                r#"{"model":"m","parameters":{"timeout_ms":5000}}"#,
                r#"[{"edit":"set_parameter","name":"timeout_ms","value":6000},
                    {"edit":"set_parameter","name":"timeout_ms","value":9000}]"#,
                r#"{"model":"m","parameters":{"timeout_ms":9000}}"#,
                &[],
            ),
            // Gone from the code: nothing to take away; the other edit stays.
            (
                r#"{"model":"m","contexts":["other"]}"#,
                r#"[{"edit":"remove_context","name":"faq"},{"edit":"add_context","name":"guide"}]"#,
                r#"{"model":"m","contexts":["other","guide"]}"#,
                &["remove_context"],
            ),
            (
                r#"{"instruction":{"text":"New."}}"#,
                r#"[{"edit":"replace_instruction","text":"Better."}]"#,
                r#"{"instruction":{"text":"New."}}"#,
                &["replace_instruction"],
            ),
            (
                r#"{"instruction":{"text":"Old."},"model":"m"}"#,
                r#"[{"edit":"replace_instruction","text":"Better."}]"#,
                r#"{"instruction":{"text":"Better."},"model":"m"}"#,
                &[],
            ),
            // Number 1 is another guideline now.
            (
                r#"{"instruction":{"guidelines":[{"number":1,"text":"uno"}]}}"#,
                r#"[{"edit":"withdraw_guideline","number":1}]"#,
                r#"{"instruction":{"guidelines":[{"number":1,"text":"uno"}]}}"#,
                &["withdraw_guideline"],
            ),
        ];
        for (defaults, edits, expected, left_out) in table {
            let defaults = Revision::seal(configuration(defaults)).unwrap();
            let edits: Vec<Edit> = serde_json::from_str(edits).unwrap();
            let kept = Kept { improvement: 3, edits, base: Some(configuration(OLD)) };
            let (result, not_applied) = rebase(&defaults, &[kept]);
            let names: Vec<_> = not_applied.iter().map(|edit| edit.edit).collect();
            assert_eq!(result.configuration(), &configuration(expected), "{not_applied:?}");
            assert_eq!(names, *left_out, "{not_applied:?}");
        }
    }

    #[test]
    fn a_later_improvement_builds_on_an_earlier_one() {
        let set = |value| Edit::SetParameter { name: "timeout_ms".to_owned(), value };
        let kept = [
            Kept { improvement: 1, edits: vec![set(6000.into())], base: Some(configuration(OLD)) },
            Kept {
                improvement: 2,
                edits: vec![set(9000.into())],
                base: Some(configuration(&OLD.replace("5000", "6000"))),
            },
        ];
        let same = Revision::seal(configuration(r#"{"model":"m","parameters":{"timeout_ms":5000}}"#)).unwrap();
        let (result, not_applied) = rebase(&same, &kept);
        assert_eq!(result.configuration().parameters["timeout_ms"], 9000, "{not_applied:?}");
        let changed = Revision::seal(configuration(r#"{"parameters":{"timeout_ms":7000}}"#)).unwrap();
        let (result, not_applied) = rebase(&changed, &kept);
        assert_eq!(result.configuration().parameters["timeout_ms"], 7000);
        assert_eq!(not_applied.iter().map(|edit| edit.improvement).collect::<Vec<_>>(), [1, 2]);
    }
}
