//! A finding with what the window says about it: what every proposer gets to see.

use std::collections::BTreeMap;

use uplift_model::edit::Edit;
use uplift_model::improvement::ProcessTemplate;
use uplift_model::opportunity::{Finding, OpportunityKind};
use uplift_model::revision::{Configuration, ToolUse};

use super::input::{Call, Input, Task};
use super::say::Ident;
use crate::stats::exact::fisher_upper;

/// Least tasks (or calls) on each side of a comparison.
pub(super) const LEAST_A_SIDE: usize = 5;
/// A comparison that was looked for among several counts when its p lies below this.
pub(super) const CLEAR: f64 = 0.01;
/// A comparison that a finding points to counts when its p lies below this.
pub(super) const POINTED_TO: f64 = 0.05;
/// The relative gain where nothing is measured to tell it by.
pub(super) const LEAST_GAIN: f64 = 0.02;
/// What is left of a gain where a guideline asks for it: advice is not always followed, and a check is.
pub(super) const ADVICE: f64 = 0.5;
/// Most tools that a wish without evidence of its own looks at.
const MOST_TOOLS: usize = 32;

/// What a proposer writes; [`propose`](super::propose) makes a proposal of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Draft {
    pub(super) edits: Vec<Edit>,
    pub(super) processes: Vec<ProcessTemplate>,
    /// Why, made by [`say`](super::say::say).
    pub(super) rationale: String,
    /// What it should bring, made by [`say`](super::say::say).
    pub(super) impact: String,
    /// Share of the tasks that it touches.
    pub(super) touched: f64,
    /// Relative gain of the goal in these.
    pub(super) gain: f64,
    /// What is left of the finding's confidence.
    pub(super) sure: f64,
}

impl Draft {
    /// One edit, no process, nothing taken off the finding's confidence.
    pub(super) fn edit(edit: Edit, touched: f64, gain: f64, rationale: String, impact: String) -> Self {
        Self { edits: vec![edit], processes: Vec::new(), rationale, impact, touched, gain, sure: 1.0 }
    }
}

/// Tasks of known outcome with something and without it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Contrast {
    /// (tasks, failed ones among them) with it.
    pub(super) with: (usize, usize),
    /// The same without it.
    pub(super) without: (usize, usize),
}

impl Contrast {
    /// Compares tasks; those of unknown outcome do not count.
    pub(super) fn of<'t>(tasks: impl IntoIterator<Item = &'t Task>, has: impl Fn(&Task) -> bool) -> Self {
        let mut contrast = Self::default();
        for task in tasks {
            let Some(succeeded) = task.succeeded else { continue };
            let side = if has(task) { &mut contrast.with } else { &mut contrast.without };
            side.0 += 1;
            side.1 += usize::from(!succeeded);
        }
        contrast
    }

    /// Share of failed ones: with it, without it.
    pub(super) fn rates(&self) -> (f64, f64) {
        let rate = |(n, failed): (usize, usize)| failed as f64 / n.max(1) as f64;
        (rate(self.with), rate(self.without))
    }

    /// How many more of those with it fail, as a difference of shares; below 0 where fewer do.
    pub(super) fn harm(&self) -> f64 {
        let (with, without) = self.rates();
        with - without
    }

    /// Whether both sides are large enough and those with it fail more often, at this level of Fisher's exact test.
    pub(super) fn is_harmful(&self, level: f64) -> bool {
        self.is_large() && p_of_more(self.without, self.with) < level
    }

    /// As [`is_harmful`](Self::is_harmful), the other way round.
    pub(super) fn is_helpful(&self, level: f64) -> bool {
        self.is_large() && p_of_more(self.with, self.without) < level
    }

    fn is_large(&self) -> bool {
        self.with.0 >= LEAST_A_SIDE && self.without.0 >= LEAST_A_SIDE
    }
}

/// How likely so many hits are in the second group if both were alike; groups are (size, hits).
pub(super) fn p_of_more(first: (usize, usize), second: (usize, usize)) -> f64 {
    let wide = |n: usize| n as u64;
    fisher_upper([wide(first.1), wide(second.1)], [wide(first.0), wide(second.0)])
}

/// A finding and everything around it.
pub(super) struct Case<'a> {
    pub(super) input: &'a Input,
    pub(super) configuration: &'a Configuration,
    pub(super) finding: &'a Finding,
}

impl<'a> Case<'a> {
    /// Whether somebody asked, so that there is no evidence but the window's.
    pub(super) fn is_wish(&self) -> bool {
        self.finding.kind == OpportunityKind::Request
    }

    /// A label of the evidence, if it is an identifier.
    pub(super) fn label(&self, key: &str) -> Option<Ident<'a>> {
        self.finding.evidence.labels.get(key).and_then(|text| Ident::of(text))
    }

    /// The sequence of tools that the finding is about; empty where there is none or one of them is no identifier.
    pub(super) fn pattern(&self) -> Vec<Ident<'a>> {
        let labels = &self.finding.evidence.labels;
        let Some(text) = labels.get("pattern").or_else(|| labels.get("sequence")) else { return Vec::new() };
        text.split(" > ").map(Ident::of).collect::<Option<Vec<_>>>().unwrap_or_default()
    }

    /// The tool that the finding is about; for a wish every tool of the window, the most called first.
    pub(super) fn tools(&self) -> Vec<Ident<'a>> {
        if self.is_wish() {
            let mut calls: BTreeMap<Ident<'a>, usize> = BTreeMap::new();
            for tool in self.input.tasks.iter().flat_map(|task| &task.calls).filter_map(|call| Ident::of(&call.tool))
            {
                *calls.entry(tool).or_default() += 1;
            }
            let mut tools: Vec<(Ident<'a>, usize)> = calls.into_iter().collect();
            tools.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
            return tools.into_iter().take(MOST_TOOLS).map(|(tool, _)| tool).collect();
        }
        let of_operation = || Ident::of(self.finding.fingerprint.strip_prefix("tool:")?);
        self.label("tool").or_else(of_operation).into_iter().collect()
    }

    /// How the entity has a tool.
    pub(super) fn tool_use(&self, tool: Ident<'_>) -> Option<&'a ToolUse> {
        self.configuration.tools.iter().find(|known| known.name == tool.as_str())
    }

    /// The calls of a tool.
    pub(super) fn calls(&self, tool: Ident<'a>) -> impl Iterator<Item = &'a Call> + use<'a> {
        self.input.tasks.iter().flat_map(|task| &task.calls).filter(move |call| call.tool == tool.as_str())
    }

    /// Compares the window's tasks.
    pub(super) fn contrast(&self, has: impl Fn(&Task) -> bool) -> Contrast {
        Contrast::of(&self.input.tasks, has)
    }

    /// How many of the window's tasks have something, and their share.
    pub(super) fn share(&self, has: impl Fn(&Task) -> bool) -> (usize, f64) {
        let n = self.input.tasks.iter().filter(|task| has(task)).count();
        (n, n as f64 / self.input.tasks.len().max(1) as f64)
    }

    /// A numeric parameter in place.
    pub(super) fn number(&self, parameter: &str) -> Option<f64> {
        self.configuration.parameters.get(parameter)?.as_f64()
    }
}

/// Whether a task calls a tool.
pub(super) fn uses(task: &Task, tool: Ident<'_>) -> bool {
    task.calls.iter().any(|call| call.tool == tool.as_str())
}

/// The value below which a share `at` of the values lies, by linear interpolation; none of nothing.
pub(super) fn quantile(values: &mut [f64], at: f64) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let last = values.len().checked_sub(1)?;
    let place = at.clamp(0.0, 1.0) * last as f64;
    let (low, high) = (values[place.floor() as usize], values[place.ceil() as usize]);
    Some(low + (high - low) * place.fract())
}
