//! What a configuration makes of an agent's script: which steps a task takes, in which order.

use uplift_model::revision::Configuration;

use super::agent::{Agent, Step, Tool};
use super::guideline::{self, Demand};
use super::run::{self, Purpose};
use super::{Processes, Served};

/// A step that will be taken. `slot` is its place in the script: luck hangs on it, however the plan is changed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item {
    pub(super) slot: u64,
    pub(super) what: What,
}

/// What is done.
#[derive(Debug, Clone, Copy)]
pub(super) enum What {
    /// A model call with so many tokens of its own.
    Think(f64),
    /// A document is read.
    Read(&'static str),
    /// A tool is called, its arguments checked before where `checked`.
    Call { tool: &'static Tool, checked: bool },
}

impl Item {
    fn tool(&self) -> Option<&'static str> {
        match self.what {
            What::Call { tool, .. } => Some(tool.name),
            _ => None,
        }
    }
}

/// The plan of a task.
pub(super) fn plan(agent: &'static Agent, served: &Served<'_>, seed: u64) -> Vec<Item> {
    let configuration = served.configuration;
    let demands = demands(configuration);
    let mut items: Vec<Item> = Vec::with_capacity(agent.steps.len());
    for (slot, step) in agent.steps.iter().enumerate() {
        let slot = slot as u64;
        let step = match step {
            Step::OneOf(tools) => Step::Call(run::dice(seed, slot, Purpose::Habit).pick(tools)),
            other => *other,
        };
        if let Some(what) = chosen(agent, configuration, &demands, step, seed, slot) {
            items.push(Item { slot, what });
        }
    }
    if let Some(habit) = agent.habit
        && run::dice(seed, run::WHOLE, Purpose::Habit).chance(habit.share)
    {
        put_before(&mut items, habit.late, habit.early);
    }
    for demand in &demands {
        follow(&mut items, *demand);
    }
    for name in &configuration.processes {
        spare_thoughts(&mut items, served.processes, name);
    }
    items
}

/// What the guidelines demand.
pub(super) fn demands(configuration: &Configuration) -> Vec<Demand<'_>> {
    let guidelines = &configuration.instruction.guidelines;
    guidelines.iter().filter_map(|guideline| guideline::read(&guideline.text)).collect()
}

/// The step as it is taken, if it is.
fn chosen(
    agent: &'static Agent,
    configuration: &Configuration,
    demands: &[Demand<'_>],
    step: Step,
    seed: u64,
    slot: u64,
) -> Option<What> {
    let mut dice = run::dice(seed, slot, Purpose::Choice);
    match step {
        Step::Think(tokens) => Some(What::Think(tokens)),
        Step::Read(name, share) => {
            let given = configuration.contexts.iter().any(|context| context == name);
            (dice.chance(share) && given).then_some(What::Read(name))
        }
        Step::Call(name) => {
            let tool = agent.tool(name)?;
            let assigned = configuration.tools.iter().find(|assigned| assigned.name == name)?;
            let asked = demands.iter().any(|demand| matches!(demand, Demand::Before { first, .. } if *first == name));
            let liked = dice.chance(tool.liked);
            let checked =
                demands.iter().any(|demand| matches!(demand, Demand::CheckArguments { tool } if *tool == name));
            (assigned.required || asked || liked).then_some(What::Call { tool, checked })
        }
        // One was picked before.
        Step::OneOf(_) => None,
    }
}

/// Brings the calls into the order that a guideline demands.
fn follow(items: &mut Vec<Item>, demand: Demand<'_>) {
    match demand {
        Demand::Before { first, then } => {
            if place(items, first) > place(items, then) {
                put_before(items, first, then);
            }
        }
        Demand::NotRightBefore { first, then } => {
            let calls: Vec<&str> = items.iter().filter_map(Item::tool).collect();
            if calls.windows(2).any(|pair| pair == [first, then]) {
                put_before(items, then, first);
            }
        }
        // These change how a call is made, not when.
        Demand::NoRepeats { .. } | Demand::OnceMore { .. } | Demand::CheckArguments { .. } => {}
    }
}

fn place(items: &[Item], tool: &str) -> Option<usize> {
    items.iter().position(|item| item.tool() == Some(tool))
}

/// Moves the call of `tool` right before that of `other`; does nothing where one of them is not called.
fn put_before(items: &mut Vec<Item>, tool: &str, other: &str) {
    if let (Some(from), Some(_)) = (place(items, tool), place(items, other)) {
        let item = items.remove(from);
        // It was found before, and only `tool` was taken out.
        let to = place(items, other).unwrap_or(from);
        items.insert(to, item);
    }
}

/// An attached process takes its steps without a thought between them, where all of them are taken.
fn spare_thoughts(items: &mut Vec<Item>, processes: &Processes, name: &str) {
    let Some(steps) = processes.get(name) else { return };
    let mut places = Vec::with_capacity(steps.len());
    let mut from = 0;
    for step in steps {
        let Some(next) = items[from..].iter().position(|item| item.tool() == Some(step)) else { return };
        places.push(from + next);
        from += next + 1;
    }
    let (Some(first), Some(last)) = (places.first().copied(), places.last().copied()) else { return };
    let mut at = 0;
    items.retain(|item| {
        let spared = at > first && at < last && matches!(item.what, What::Think(_));
        at += 1;
        !spared
    });
}
