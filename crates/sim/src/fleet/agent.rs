//! What an agent is made of: all of it constant.

use std::collections::BTreeMap;

use serde_json::json;
use uplift_model::revision::{Configuration, Instruction, ToolUse};

/// The model that runs every agent.
pub(super) const MODEL: &str = "general-large";
/// How long a tool may take by default, milliseconds.
pub(super) const TIMEOUT_MS: f64 = 30_000.0;
/// Most tokens a model call writes by default.
pub(super) const MAX_TOKENS: f64 = 1_000.0;

/// An agent.
#[derive(Debug)]
pub struct Agent {
    /// Its name.
    pub name: &'static str,
    /// Tasks an hour, over the day.
    pub tasks_per_hour: f64,
    pub(super) instruction: &'static str,
    /// Documents that its code gives it.
    pub(super) contexts: &'static [&'static str],
    pub(super) tools: &'static [Tool],
    /// How a task goes.
    pub(super) steps: &'static [Step],
    /// Two tools it sometimes calls the wrong way round.
    pub(super) habit: Option<Habit>,
    /// What makes its tasks fail, beside lost calls.
    pub(super) hazards: &'static [Hazard],
    /// How often a task fails of itself, from 0 to 1.
    pub(super) failure: f64,
}

/// A step of a script.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Step {
    /// A model call that reads about so many tokens of its own, beside the documents.
    Think(f64),
    /// A document that is read so often, from 0 to 1.
    Read(&'static str, f64),
    /// A call of a tool.
    Call(&'static str),
    /// A call of one of these tools, as the task asks for.
    OneOf(&'static [&'static str]),
}

/// A tool, and how the agent uses it.
#[derive(Debug)]
pub(super) struct Tool {
    pub(super) name: &'static str,
    /// Whether the agent's code requires it.
    pub(super) required: bool,
    /// How often the agent calls it where it is optional, from 0 to 1.
    pub(super) liked: f64,
    pub(super) median_ms: f64,
    /// What a call costs, US dollars.
    pub(super) usd: f64,
    pub(super) arguments: &'static [Argument],
    /// How often it is called again and again with the same arguments, from 0 to 1, and how many times at most.
    pub(super) repeats: Option<(f64, u64)>,
    /// An argument that is sometimes left out: its name, and how often, from 0 to 1.
    pub(super) slip: Option<(&'static str, f64)>,
    /// How likely a task fails for a call of it that was lost, from 0 to 1.
    pub(super) loss: f64,
}

/// A tool as most are: quick, free, required.
pub(super) const TOOL: Tool = Tool {
    name: "",
    required: true,
    liked: 0.7,
    median_ms: 150.0,
    usd: 0.0,
    arguments: &[],
    repeats: None,
    slip: None,
    loss: 0.5,
};

/// A tool that some tasks ask for and others do not: called whenever it is asked for.
pub(super) const LOOK_UP: Tool = Tool { required: false, liked: 1.0, ..TOOL };

/// An argument of a call.
#[derive(Debug, Clone, Copy)]
pub(super) struct Argument {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
}

/// What an argument's values are.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// A whole number within these bounds.
    Number(u64, u64),
    /// This word with a number.
    Word(&'static str),
}

/// Two tools that are sometimes called the wrong way round: in this share of tasks, `late` comes right before `early`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Habit {
    pub(super) early: &'static str,
    pub(super) late: &'static str,
    pub(super) share: f64,
}

/// What makes a task fail, with its probability.
#[derive(Debug, Clone, Copy)]
pub(super) enum Hazard {
    /// `late` was called before `early`.
    Order { early: &'static str, late: &'static str, failure: f64 },
    /// The tool was not called.
    Without { tool: &'static str, failure: f64 },
}

impl Agent {
    /// The configuration that its code brings along.
    pub fn defaults(&self) -> Configuration {
        Configuration {
            instruction: Instruction { text: self.instruction.to_owned(), ..Instruction::default() },
            contexts: self.contexts.iter().map(|name| (*name).to_owned()).collect(),
            tools: self
                .tools
                .iter()
                .map(|tool| ToolUse { name: tool.name.to_owned(), required: tool.required })
                .collect(),
            model: Some(MODEL.to_owned()),
            parameters: BTreeMap::from([
                ("max_tokens".to_owned(), json!(MAX_TOKENS as u64)),
                ("timeout_ms".to_owned(), json!(TIMEOUT_MS as u64)),
            ]),
            ..Configuration::default()
        }
    }

    pub(super) fn tool(&self, name: &str) -> Option<&'static Tool> {
        self.tools.iter().find(|tool| tool.name == name)
    }
}

/// Tokens of a document, added to every model call of an agent that has it.
pub(super) fn document_tokens(name: &str) -> f64 {
    DOCUMENTS.iter().find(|(document, _)| *document == name).map_or(UNKNOWN_DOCUMENT, |(_, tokens)| *tokens)
}

/// Tokens of a document nobody has described.
const UNKNOWN_DOCUMENT: f64 = 500.0;

/// Documents that are larger or smaller than that.
const DOCUMENTS: &[(&str, f64)] = &[
    ("refund_policy", 350.0),
    ("metric_guide", 250.0),
    ("brand_archive", 2_600.0),
    ("source_guide", 300.0),
    ("onboarding_guide", 250.0),
    ("report_template", 200.0),
    ("courier_rules", 300.0),
    ("tone_guide", 250.0),
    ("calendar_rules", 200.0),
    ("style_guide", 300.0),
    ("style_encyclopedia", 800.0),
    ("tax_rules", 350.0),
];
