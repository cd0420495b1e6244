//! The closed set of edits, and the one pure function that applies them.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::entity::check_name;
use crate::improvement::ImprovementType;
use crate::revision::{Configuration, Guard, GuardCheck, Guideline, Revision, RevisionError, Section, ToolUse};

/// Longest guideline, in characters.
pub const MAX_GUIDELINE_CHARS: usize = 2_000;
/// Longest instruction body, in characters.
pub const MAX_INSTRUCTION_CHARS: usize = 200_000;
/// Most edits in one improvement.
pub const MAX_EDITS: usize = 50;

/// The parameter that stands for the model itself.
pub const MODEL: &str = "model";

/// One change to a configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "edit", rename_all = "snake_case", deny_unknown_fields)]
pub enum Edit {
    /// Adds a bullet; it gets the next free number.
    AppendGuideline {
        /// What it says.
        text: String,
    },
    /// Takes a bullet away; its number is not used again.
    WithdrawGuideline {
        /// Its number.
        number: u32,
    },
    /// Replaces the body of the instruction; the guidelines stay.
    ReplaceInstruction {
        /// The new body.
        text: String,
    },
    /// Gives it a document.
    AddContext {
        /// The document's name.
        name: String,
    },
    /// Takes a document away.
    RemoveContext {
        /// The document's name.
        name: String,
    },
    /// Makes a tool it has optional.
    MakeToolOptional {
        /// The tool's name.
        name: String,
    },
    /// Makes a tool it has required.
    MakeToolRequired {
        /// The tool's name.
        name: String,
    },
    /// Gives it a tool.
    AssignTool {
        /// The tool's name.
        name: String,
        /// Whether it is required.
        #[serde(default)]
        required: bool,
    },
    /// Takes an optional tool away.
    UnassignTool {
        /// The tool's name.
        name: String,
    },
    /// Sets a parameter; `null` removes it. The parameter `model` is the model that runs the agent.
    SetParameter {
        /// The parameter's name.
        name: String,
        /// Its new value.
        value: Value,
    },
    /// Adds a check on a tool's arguments or result.
    AddGuard {
        /// The check.
        guard: Guard,
    },
    /// Takes a check away.
    RemoveGuard {
        /// The check's name.
        name: String,
    },
    /// Attaches a process.
    AttachProcess {
        /// The process's name.
        name: String,
    },
    /// Detaches a process.
    DetachProcess {
        /// The process's name.
        name: String,
    },
}

/// Why edits cannot be applied; names the edit by its place, counted from 1.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum EditError {
    /// An improvement without edits changes nothing.
    #[error("there are no edits")]
    Nothing,
    /// More than [`MAX_EDITS`].
    #[error("{count} edits are more than the {MAX_EDITS} one improvement may have: split it")]
    TooMany {
        /// How many there are.
        count: usize,
    },
    /// The edit refers to what is not there.
    #[error("edit {place} ({edit}): there is no {what} `{name}`; there are: {present}")]
    Missing {
        /// Place in the list, from 1.
        place: usize,
        /// The edit's name.
        edit: &'static str,
        /// What kind of thing.
        what: &'static str,
        /// Its name.
        name: String,
        /// What there is, listed.
        present: String,
    },
    /// The edit adds what is already there.
    #[error("edit {place} ({edit}): {what} `{name}` is already there")]
    Present {
        /// Place in the list, from 1.
        place: usize,
        /// The edit's name.
        edit: &'static str,
        /// What kind of thing.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// The edit's own content is not acceptable.
    #[error("edit {place} ({edit}): {reason}")]
    Invalid {
        /// Place in the list, from 1.
        place: usize,
        /// The edit's name.
        edit: &'static str,
        /// Why.
        reason: String,
    },
    /// The edit does not belong to this type of improvement.
    #[error("edit {place} ({edit}) is not one that {improvement_type} may make", improvement_type = .improvement_type.as_str())]
    NotOfType {
        /// Place in the list, from 1.
        place: usize,
        /// The edit's name.
        edit: &'static str,
        /// The improvement's type.
        improvement_type: ImprovementType,
    },
    /// The edits undo each other.
    #[error("the edits leave the configuration as it was")]
    NoEffect,
    /// The result cannot be addressed.
    #[error(transparent)]
    Revision(#[from] RevisionError),
}

impl Edit {
    /// The edit's name on the wire.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::AppendGuideline { .. } => "append_guideline",
            Self::WithdrawGuideline { .. } => "withdraw_guideline",
            Self::ReplaceInstruction { .. } => "replace_instruction",
            Self::AddContext { .. } => "add_context",
            Self::RemoveContext { .. } => "remove_context",
            Self::MakeToolOptional { .. } => "make_tool_optional",
            Self::MakeToolRequired { .. } => "make_tool_required",
            Self::AssignTool { .. } => "assign_tool",
            Self::UnassignTool { .. } => "unassign_tool",
            Self::SetParameter { .. } => "set_parameter",
            Self::AddGuard { .. } => "add_guard",
            Self::RemoveGuard { .. } => "remove_guard",
            Self::AttachProcess { .. } => "attach_process",
            Self::DetachProcess { .. } => "detach_process",
        }
    }

    /// The section it changes.
    pub fn section(&self) -> Section {
        match self {
            Self::SetParameter { name, .. } if name == MODEL => Section::Model,
            Self::AppendGuideline { .. } | Self::WithdrawGuideline { .. } => Section::Guidelines,
            Self::ReplaceInstruction { .. } => Section::Instruction,
            Self::AddContext { .. } | Self::RemoveContext { .. } => Section::Contexts,
            Self::MakeToolOptional { .. }
            | Self::MakeToolRequired { .. }
            | Self::AssignTool { .. }
            | Self::UnassignTool { .. } => Section::Tools,
            Self::SetParameter { .. } => Section::Parameters,
            Self::AddGuard { .. } | Self::RemoveGuard { .. } => Section::Guards,
            Self::AttachProcess { .. } | Self::DetachProcess { .. } => Section::Processes,
        }
    }

    /// Whether an improvement of this type may make this edit.
    pub const fn allowed_for(&self, improvement_type: ImprovementType) -> bool {
        use ImprovementType as T;
        match self {
            Self::AppendGuideline { .. } => {
                matches!(improvement_type, T::InstructionUpdate | T::ErrorPrevention | T::PerformanceTuning)
            }
            Self::WithdrawGuideline { .. } | Self::ReplaceInstruction { .. } => {
                matches!(improvement_type, T::InstructionUpdate)
            }
            Self::AddContext { .. } | Self::RemoveContext { .. } => {
                matches!(improvement_type, T::ContextOptimization)
            }
            Self::MakeToolOptional { .. }
            | Self::MakeToolRequired { .. }
            | Self::AssignTool { .. }
            | Self::UnassignTool { .. } => matches!(improvement_type, T::ToolReassignment),
            Self::SetParameter { .. } => matches!(improvement_type, T::PerformanceTuning),
            Self::AddGuard { .. } | Self::RemoveGuard { .. } => matches!(improvement_type, T::ErrorPrevention),
            Self::AttachProcess { .. } | Self::DetachProcess { .. } => {
                matches!(improvement_type, T::ProcessAutomation)
            }
        }
    }
}

/// Checks that every edit belongs to this type of improvement.
///
/// # Errors
/// Names the first one that does not.
pub fn check_type(improvement_type: ImprovementType, edits: &[Edit]) -> Result<(), EditError> {
    match edits.iter().position(|edit| !edit.allowed_for(improvement_type)) {
        None => Ok(()),
        Some(at) => Err(EditError::NotOfType { place: at + 1, edit: edits[at].name(), improvement_type }),
    }
}

/// The revision that `edits`, in order, make of `base`. The base is not touched.
///
/// # Errors
/// When an edit does not apply to what the ones before it left, is not well-formed, or all of them together
/// change nothing. Nothing is applied in part.
pub fn apply(base: &Revision, edits: &[Edit]) -> Result<Revision, EditError> {
    if edits.is_empty() {
        return Err(EditError::Nothing);
    }
    if edits.len() > MAX_EDITS {
        return Err(EditError::TooMany { count: edits.len() });
    }
    let mut configuration = base.configuration().clone();
    for (index, edit) in edits.iter().enumerate() {
        Place { place: index + 1, edit }.apply(&mut configuration)?;
    }
    let candidate = Revision::seal(configuration)?;
    if candidate.id() == base.id() { Err(EditError::NoEffect) } else { Ok(candidate) }
}

/// An edit and where it stands, for errors that say so.
struct Place<'a> {
    place: usize,
    edit: &'a Edit,
}

impl Place<'_> {
    fn missing<'n>(
        &self,
        what: &'static str,
        name: impl ToString,
        present: impl IntoIterator<Item = &'n str>,
    ) -> EditError {
        let list = present.into_iter().take(20).collect::<Vec<_>>().join(", ");
        let present = if list.is_empty() { "none".to_owned() } else { list };
        EditError::Missing { place: self.place, edit: self.edit.name(), what, name: name.to_string(), present }
    }

    fn present(&self, what: &'static str, name: &str) -> EditError {
        EditError::Present { place: self.place, edit: self.edit.name(), what, name: name.to_owned() }
    }

    fn invalid(&self, reason: impl Into<String>) -> EditError {
        EditError::Invalid { place: self.place, edit: self.edit.name(), reason: reason.into() }
    }

    fn named(&self, name: &str) -> Result<(), EditError> {
        check_name(name).map_err(|error| self.invalid(error.to_string()))
    }

    fn text(&self, text: &str, limit: usize) -> Result<(), EditError> {
        let chars = text.chars().count();
        if text.trim().is_empty() {
            Err(self.invalid("the text is empty"))
        } else if chars > limit {
            Err(self.invalid(format!("the text has {chars} characters, at most {limit} are allowed")))
        } else {
            Ok(())
        }
    }

    fn apply(&self, to: &mut Configuration) -> Result<(), EditError> {
        match self.edit {
            Edit::AppendGuideline { text } => self.append_guideline(to, text),
            Edit::WithdrawGuideline { number } => self.withdraw_guideline(to, *number),
            Edit::ReplaceInstruction { text } => {
                self.text(text, MAX_INSTRUCTION_CHARS)?;
                to.instruction.text.clone_from(text);
                Ok(())
            }
            Edit::AddContext { name } => self.add(&mut to.contexts, "context", name),
            Edit::RemoveContext { name } => self.remove(&mut to.contexts, "context", name),
            Edit::MakeToolOptional { name } => self.set_required(to, name, false),
            Edit::MakeToolRequired { name } => self.set_required(to, name, true),
            Edit::AssignTool { name, required } => self.assign_tool(to, name, *required),
            Edit::UnassignTool { name } => self.unassign_tool(to, name),
            Edit::SetParameter { name, value } => self.set_parameter(to, name, value),
            Edit::AddGuard { guard } => self.add_guard(to, guard),
            Edit::RemoveGuard { name } => self.remove_guard(to, name),
            Edit::AttachProcess { name } => self.add(&mut to.processes, "process", name),
            Edit::DetachProcess { name } => self.remove(&mut to.processes, "process", name),
        }
    }

    fn add(&self, list: &mut Vec<String>, what: &'static str, name: &str) -> Result<(), EditError> {
        self.named(name)?;
        if list.iter().any(|present| present == name) {
            return Err(self.present(what, name));
        }
        list.push(name.to_owned());
        Ok(())
    }

    fn remove(&self, list: &mut Vec<String>, what: &'static str, name: &str) -> Result<(), EditError> {
        let Some(at) = list.iter().position(|present| present == name) else {
            return Err(self.missing(what, name, list.iter().map(String::as_str)));
        };
        list.remove(at);
        Ok(())
    }

    fn append_guideline(&self, to: &mut Configuration, text: &str) -> Result<(), EditError> {
        self.text(text, MAX_GUIDELINE_CHARS)?;
        let instruction = &mut to.instruction;
        if instruction.guidelines.iter().any(|guideline| guideline.text == text) {
            return Err(self.present("guideline", text));
        }
        let highest = instruction.guidelines.iter().map(|guideline| guideline.number).max().unwrap_or(0);
        let number = instruction.next_guideline.max(highest.saturating_add(1)).max(1);
        instruction.guidelines.push(Guideline { number, text: text.to_owned() });
        instruction.next_guideline = number.saturating_add(1);
        Ok(())
    }

    fn withdraw_guideline(&self, to: &mut Configuration, number: u32) -> Result<(), EditError> {
        let instruction = &mut to.instruction;
        let Some(at) = instruction.guidelines.iter().position(|guideline| guideline.number == number) else {
            let numbers: Vec<String> =
                instruction.guidelines.iter().map(|guideline| guideline.number.to_string()).collect();
            return Err(self.missing("guideline", number, numbers.iter().map(String::as_str)));
        };
        let highest = instruction.guidelines.iter().map(|guideline| guideline.number).max().unwrap_or(0);
        instruction.next_guideline = instruction.next_guideline.max(highest.saturating_add(1));
        instruction.guidelines.remove(at);
        Ok(())
    }

    fn set_required(&self, to: &mut Configuration, name: &str, required: bool) -> Result<(), EditError> {
        match to.tools.iter_mut().find(|tool| tool.name == name) {
            Some(tool) if tool.required == required => {
                Err(self.present(if required { "required tool" } else { "optional tool" }, name))
            }
            Some(tool) => {
                tool.required = required;
                Ok(())
            }
            None => Err(self.missing("tool", name, to.tools.iter().map(|tool| tool.name.as_str()))),
        }
    }

    fn assign_tool(&self, to: &mut Configuration, name: &str, required: bool) -> Result<(), EditError> {
        self.named(name)?;
        if to.tools.iter().any(|tool| tool.name == name) {
            return Err(self.present("tool", name));
        }
        to.tools.push(ToolUse { name: name.to_owned(), required });
        Ok(())
    }

    fn unassign_tool(&self, to: &mut Configuration, name: &str) -> Result<(), EditError> {
        let Some(at) = to.tools.iter().position(|tool| tool.name == name) else {
            return Err(self.missing("tool", name, to.tools.iter().map(|tool| tool.name.as_str())));
        };
        if to.tools[at].required {
            return Err(self.invalid(format!("tool `{name}` is required: make it optional first")));
        }
        to.tools.remove(at);
        Ok(())
    }

    fn set_parameter(&self, to: &mut Configuration, name: &str, value: &Value) -> Result<(), EditError> {
        self.named(name)?;
        check_parameter(name, value).map_err(|reason| self.invalid(reason))?;
        if name == MODEL {
            to.model = value.as_str().map(str::to_owned);
            return Ok(());
        }
        if value.is_null() {
            if to.parameters.remove(name).is_none() {
                return Err(self.missing("parameter", name, to.parameters.keys().map(String::as_str)));
            }
        } else {
            to.parameters.insert(name.to_owned(), value.clone());
        }
        Ok(())
    }

    fn add_guard(&self, to: &mut Configuration, guard: &Guard) -> Result<(), EditError> {
        self.named(&guard.name)?;
        if to.guards.iter().any(|present| present.name == guard.name) {
            return Err(self.present("guard", &guard.name));
        }
        if !to.tools.iter().any(|tool| tool.name == guard.tool) {
            return Err(self.missing("tool", &guard.tool, to.tools.iter().map(|tool| tool.name.as_str())));
        }
        match &guard.check {
            GuardCheck::Length { min, max, .. } if min > max => {
                return Err(self.invalid(format!("length from {min} to {max} is empty")));
            }
            GuardCheck::Range { min, max, .. } if min.partial_cmp(max).is_none_or(std::cmp::Ordering::is_gt) => {
                return Err(self.invalid(format!("range from {min} to {max} is empty")));
            }
            GuardCheck::Type { json_type, .. }
                if !["string", "number", "boolean", "array", "object"].contains(&json_type.as_str()) =>
            {
                return Err(self.invalid(format!("`{json_type}` is not a JSON type")));
            }
            _ => {}
        }
        to.guards.push(guard.clone());
        Ok(())
    }

    fn remove_guard(&self, to: &mut Configuration, name: &str) -> Result<(), EditError> {
        let Some(at) = to.guards.iter().position(|guard| guard.name == name) else {
            return Err(self.missing("guard", name, to.guards.iter().map(|guard| guard.name.as_str())));
        };
        to.guards.remove(at);
        Ok(())
    }
}

/// Checks the parameters whose meaning is known; others may be any JSON value.
fn check_parameter(name: &str, value: &Value) -> Result<(), String> {
    if name == MODEL && !(value.is_null() || value.as_str().is_some_and(|model| !model.trim().is_empty())) {
        return Err(format!("`model` must be the name of a model, not {value}"));
    }
    let (low, high, whole) = match name {
        "temperature" => (0.0, 2.0, false),
        "max_tokens" => (1.0, 10_000_000.0, true),
        "timeout_ms" => (1.0, 86_400_000.0, true),
        "retries" => (0.0, 20.0, true),
        "batch_size" => (1.0, 100_000.0, true),
        "concurrency" => (1.0, 10_000.0, true),
        _ => return Ok(()),
    };
    match value.as_f64() {
        _ if value.is_null() => Ok(()),
        Some(number) if (low..=high).contains(&number) && (!whole || number.fract() == 0.0) => Ok(()),
        _ => {
            let kind = if whole { "a whole number" } else { "a number" };
            Err(format!("`{name}` must be {kind} from {low} to {high}, not {value}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::revision::GuardTarget;

    fn base() -> Revision {
        let text = r#"{"instruction":{"text":"Help.","guidelines":[{"number":1,"text":"Be brief."},{"number":4,"text":"Cite."}]},
            "contexts":["handbook"],"tools":[{"name":"search","required":true},{"name":"book"}],"parameters":{"timeout_ms":1000}}"#;
        Revision::seal(serde_json::from_str(text).unwrap()).unwrap()
    }

    fn edit(text: &str) -> Edit {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn edits_that_apply() {
        type Holds = fn(&Configuration) -> bool;
        let table: &[(&str, Holds)] = &[
            (r#"{"edit":"append_guideline","text":"Check twice."}"#, |c| {
                c.instruction.guidelines.last().unwrap().number == 5
            }),
            (r#"{"edit":"withdraw_guideline","number":4}"#, |c| {
                c.instruction.guidelines.len() == 1 && c.instruction.next_guideline == 5
            }),
            (r#"{"edit":"replace_instruction","text":"Help well."}"#, |c| {
                c.instruction.text == "Help well." && c.instruction.guidelines.len() == 2
            }),
            (r#"{"edit":"add_context","name":"faq"}"#, |c| c.contexts == ["handbook", "faq"]),
            (r#"{"edit":"remove_context","name":"handbook"}"#, |c| c.contexts.is_empty()),
            (r#"{"edit":"make_tool_optional","name":"search"}"#, |c| !c.tools[0].required),
            (r#"{"edit":"make_tool_required","name":"book"}"#, |c| c.tools[1].required),
            (r#"{"edit":"assign_tool","name":"mail"}"#, |c| c.tools.len() == 3),
            (r#"{"edit":"unassign_tool","name":"book"}"#, |c| c.tools.len() == 1),
            (r#"{"edit":"set_parameter","name":"retries","value":2}"#, |c| c.parameters["retries"] == 2),
            (r#"{"edit":"set_parameter","name":"timeout_ms","value":null}"#, |c| c.parameters.is_empty()),
            (r#"{"edit":"attach_process","name":"triage"}"#, |c| c.processes == ["triage"]),
        ];
        for (text, holds) in table {
            let candidate = apply(&base(), &[edit(text)]).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert!(holds(candidate.configuration()), "{text}");
        }
    }

    #[test]
    fn edits_that_do_not_apply_say_where_and_why() {
        let table = [
            (
                r#"{"edit":"withdraw_guideline","number":2}"#,
                "edit 1 (withdraw_guideline): there is no guideline `2`; there are: 1, 4",
            ),
            (r#"{"edit":"add_context","name":"handbook"}"#, "context `handbook` is already there"),
            (r#"{"edit":"remove_context","name":"faq"}"#, "there is no context `faq`; there are: handbook"),
            (r#"{"edit":"unassign_tool","name":"search"}"#, "is required: make it optional first"),
            (r#"{"edit":"set_parameter","name":"temperature","value":9}"#, "from 0 to 2, not 9"),
            (r#"{"edit":"set_parameter","name":"retries","value":1.5}"#, "a whole number"),
            (r#"{"edit":"set_parameter","name":"timeout_ms","value":1000}"#, "leave the configuration as it was"),
            (r#"{"edit":"append_guideline","text":"  "}"#, "the text is empty"),
            (r#"{"edit":"detach_process","name":"x"}"#, "there is no process `x`; there are: none"),
            (r#"{"edit":"remove_guard","name":"x"}"#, "there is no guard `x`"),
        ];
        for (text, expected) in table {
            let error = apply(&base(), &[edit(text)]).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
        assert_eq!(apply(&base(), &[]), Err(EditError::Nothing));
    }

    #[test]
    fn a_withdrawn_number_is_not_used_again() {
        let edits = [
            edit(r#"{"edit":"withdraw_guideline","number":4}"#),
            edit(r#"{"edit":"append_guideline","text":"New."}"#),
        ];
        let candidate = apply(&base(), &edits).unwrap();
        assert_eq!(candidate.configuration().instruction.guidelines.last().unwrap().number, 5);
    }

    #[test]
    fn undoing_an_edit_gives_the_base_address_again() {
        let added = apply(&base(), &[edit(r#"{"edit":"add_context","name":"faq"}"#)]).unwrap();
        let back = apply(&added, &[edit(r#"{"edit":"remove_context","name":"faq"}"#)]).unwrap();
        assert_eq!(back.id(), base().id());
    }

    #[test]
    fn guards_need_their_tool_and_a_range() {
        let guard = |tool: &str, min| Edit::AddGuard {
            guard: Guard {
                name: "amount".into(),
                tool: tool.into(),
                target: GuardTarget::Arguments,
                check: GuardCheck::Range { field: "amount".into(), min, max: 10.0 },
            },
        };
        assert!(apply(&base(), &[guard("book", 0.0)]).is_ok());
        assert!(matches!(apply(&base(), &[guard("fly", 0.0)]), Err(EditError::Missing { .. })));
        assert!(matches!(apply(&base(), &[guard("book", 11.0)]), Err(EditError::Invalid { .. })));
    }

    #[test]
    fn each_type_makes_only_its_own_edits() {
        let edits = [
            edit(r#"{"edit":"add_context","name":"faq"}"#),
            edit(r#"{"edit":"set_parameter","name":"x","value":1}"#),
        ];
        let error = check_type(ImprovementType::ContextOptimization, &edits).unwrap_err();
        assert_eq!(error.to_string(), "edit 2 (set_parameter) is not one that context_optimization may make");
    }

    #[test]
    fn unknown_edits_and_fields_are_refused() {
        assert!(serde_json::from_str::<Edit>(r#"{"edit":"delete_everything"}"#).is_err());
        assert!(serde_json::from_str::<Edit>(r#"{"edit":"add_context","name":"x","force":true}"#).is_err());
    }
}
