//! What the edits do: whether they apply, stay within the edit policy, and give nothing that was not there.

use std::collections::BTreeSet;

use uplift_model::edit::{self, Edit};
use uplift_model::entity::check_name;
use uplift_model::improvement::ProcessTemplate;
use uplift_model::revision::{Configuration, Revision, Section};

use super::{BUILT_IN_ENVIRONMENT, Input, Ruling, measure, words};

/// Most steps of a process.
pub const MAX_PROCESS_STEPS: usize = 20;

/// What the edits make of the revision in place; else why they make nothing.
pub(super) fn candidate(input: &Input<'_>) -> Result<Revision, String> {
    let proposal = &input.improvement.proposal;
    // A person may change several things at once; the type then only says what it is for.
    if !input.is_own_change() {
        edit::check_type(proposal.improvement_type, &proposal.edits).map_err(|error| error.to_string())?;
    }
    let base = input.base.ok_or("there is no revision in place to apply the edits to")?;
    let candidate = edit::apply(base, &proposal.edits).map_err(|error| error.to_string())?;
    for process in &proposal.processes {
        check_process(input, process, candidate.configuration())?;
    }
    Ok(candidate)
}

fn check_process(input: &Input<'_>, process: &ProcessTemplate, candidate: &Configuration) -> Result<(), String> {
    let name = words::name(&process.name);
    check_name(&process.name).map_err(|error| format!("a process that comes with it: {error}"))?;
    if !input.edits().iter().any(|edit| matches!(edit, Edit::AttachProcess { name } if *name == process.name)) {
        return Err(format!("process `{name}` comes with it, and no edit attaches it"));
    }
    if input.taken_processes.contains(&process.name) {
        return Err(format!("the name of process `{name}` is taken by another process: it needs a name of its own"));
    }
    let steps = process.steps.len();
    if !(1..=MAX_PROCESS_STEPS).contains(&steps) {
        return Err(format!("process `{name}` has {steps} steps; from 1 to {MAX_PROCESS_STEPS} are allowed"));
    }
    let has = |step: &String| {
        candidate.tools.iter().any(|tool| tool.name == *step) || input.tools_in_use.contains(step.as_str())
    };
    match process.steps.iter().find(|step| !has(step)) {
        Some(step) => {
            Err(format!("process `{name}` calls `{}`, which is not a tool of this entity", words::name(step)))
        }
        None => Ok(()),
    }
}

pub(super) fn apply(input: &Input<'_>, candidate: Result<&Revision, &str>) -> Ruling {
    match candidate {
        Ok(candidate) => Ruling::passed(format!(
            "{} make revision {}",
            counted(input.edits().len(), "edit"),
            candidate.id().as_str().get(..12).unwrap_or_default()
        )),
        Err(reason) => Ruling::refused(words::reason(reason)),
    }
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

pub(super) fn policy(input: &Input<'_>, candidate: Result<&Revision, &str>) -> Ruling {
    let frozen: BTreeSet<Section> =
        input.policy.edits.frozen.iter().chain(&input.entity.improvement_config.frozen).copied().collect();
    let touched: BTreeSet<Section> = input.edits().iter().map(Edit::section).collect();
    let refused: Vec<&str> = touched.intersection(&frozen).map(|section| section.as_str()).collect();
    if !refused.is_empty() {
        return Ruling::refused(format!("frozen sections may not be changed by anybody: {}", refused.join(", ")));
    }
    let (Some(base), Ok(candidate)) = (input.base, candidate) else {
        return Ruling::waits("how much changes cannot be said while the edits do not apply");
    };
    let (within, outside) = bounds(input, base.configuration(), candidate.configuration());
    if outside.is_empty() {
        return Ruling::passed(within.join("; "));
    }
    let outside = outside.join("; ");
    match input.operator() {
        Some(operator) => Ruling::passed(format!("outside of the edit policy, and {operator}: {outside}")),
        None => {
            Ruling::asks_operator(format!("outside of the edit policy, so an operator has to say yes: {outside}"))
        }
    }
}

/// What stays within the bounds and what does not, in words.
fn bounds(input: &Input<'_>, base: &Configuration, candidate: &Configuration) -> (Vec<String>, Vec<String>) {
    let limits = &input.policy.edits;
    let (mut within, mut outside) = (Vec::new(), Vec::new());
    let mut say = |fits: bool, words: String| if fits { within.push(words) } else { outside.push(words) };
    let share = measure::changed_share(&base.instruction.text, &candidate.instruction.text);
    say(
        share <= limits.max_instruction_change,
        format!(
            "{} of the instruction replaced, at most {}",
            words::percent(share),
            words::percent(limits.max_instruction_change)
        ),
    );
    let growth = measure::instruction_chars(&candidate.instruction) as i64
        - measure::instruction_chars(&base.instruction) as i64;
    say(
        growth <= i64::from(limits.max_growth_chars),
        format!("{growth:+} characters, at most {:+}", limits.max_growth_chars),
    );
    let (before, after) = (base.instruction.guidelines.len(), candidate.instruction.guidelines.len());
    // What was too long before may become shorter, or be changed elsewhere.
    say(
        after <= limits.max_guidelines as usize || after <= before,
        format!("{}, at most {}", counted(after, "guideline"), limits.max_guidelines),
    );
    for step in measure::parameter_steps(base, candidate) {
        let change = if step.factor.is_finite() {
            format!("by a factor of {:.1}", step.factor)
        } else {
            "of sign or kind".to_owned()
        };
        say(
            step.factor <= limits.max_parameter_factor,
            format!(
                "`{}` changes {change}, at most a factor of {:.1}",
                words::name(&step.name),
                limits.max_parameter_factor
            ),
        );
    }
    (within, outside)
}

pub(super) fn capability(input: &Input<'_>) -> Ruling {
    let mut asks: Vec<String> = input.edits().iter().filter_map(|edit| gain(input, edit)).collect();
    if input.entity.environment == BUILT_IN_ENVIRONMENT {
        asks.insert(0, "it is one of the agents that improve the others".to_owned());
    }
    if asks.is_empty() {
        return Ruling::passed("it gives nothing that was not there, and takes no guard away");
    }
    let asks = asks.join("; ");
    match input.operator() {
        Some(operator) => Ruling::passed(format!("{operator}: {asks}")),
        None => Ruling::asks_operator(format!("an operator has to say yes: {asks}")),
    }
}

/// What an edit gives that takes an operator, in words.
fn gain(input: &Input<'_>, edit: &Edit) -> Option<String> {
    match edit {
        Edit::AssignTool { name, .. } if !input.known_tools.contains(name) => {
            Some(format!("it gets the tool `{}`, which neither it nor its peers have had", words::name(name)))
        }
        // The steps of a process that comes with it are tools of the entity: that is part of applying the edits.
        Edit::AttachProcess { name }
            if !input.improvement.proposal.processes.iter().any(|process| process.name == *name) =>
        {
            Some(format!("it gets the process `{}`, whose steps are not known here", words::name(name)))
        }
        Edit::RemoveGuard { name } => Some(format!("it loses the guard `{}`", words::name(name))),
        _ => None,
    }
}
