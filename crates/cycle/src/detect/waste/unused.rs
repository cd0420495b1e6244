//! Tools and contexts an entity has and never uses.

use std::collections::{BTreeMap, BTreeSet};

use uplift_model::opportunity::{Finding, Impact, OpportunityKind};

use super::{Waste, finding};
use crate::detect::confidence;
use crate::detect::input::EntityWindow;
use crate::detect::text;

/// Most that is claimed where no use of any tool (or context) is on record: perhaps uses are just not reported.
const UNREPORTED: f64 = 0.5;

/// What is declared and what is used, of one kind.
struct Inventory<'a> {
    kind: OpportunityKind,
    rule: &'static str,
    /// `tool` or `context`.
    label: &'static str,
    declared: &'a [String],
    used: BTreeSet<&'a str>,
}

/// One finding per declared tool and context without a single use in the window. How sure: by the rule of three,
/// without a use in n tasks the share of tasks that use it is below 3/n (95 %), so 1 - 3/n; at most a half where
/// nothing of its kind is reported at all.
pub(super) fn find(window: &EntityWindow) -> Vec<Finding> {
    let in_tasks = window.tasks.iter().flat_map(|task| &task.calls).map(|call| call.tool.as_str());
    let tools = Inventory {
        kind: OpportunityKind::UnusedTool,
        rule: "unused_tool",
        label: "tool",
        declared: &window.declared_tools,
        used: used(&window.tool_calls).chain(in_tasks).collect(),
    };
    let contexts = Inventory {
        kind: OpportunityKind::UnusedContext,
        rule: "unused_context",
        label: "context",
        declared: &window.declared_contexts,
        used: used(&window.context_reads).collect(),
    };
    [tools, contexts].into_iter().flat_map(|inventory| judge(window, &inventory)).collect()
}

fn used(counts: &BTreeMap<String, i64>) -> impl Iterator<Item = &str> {
    counts.iter().filter(|(_, count)| **count > 0).map(|(name, _)| name.as_str())
}

fn judge(window: &EntityWindow, inventory: &Inventory<'_>) -> Vec<Finding> {
    let n = window.tasks.len() as f64;
    let bound = (3.0 / n).min(1.0);
    let most = if inventory.used.is_empty() { UNREPORTED } else { 1.0 };
    let declared: BTreeSet<&str> = inventory.declared.iter().map(String::as_str).collect();
    declared
        .into_iter()
        .filter(|name| !inventory.used.contains(name))
        .map(|name| {
            finding(
                window,
                Waste {
                    kind: inventory.kind,
                    fingerprint: name.to_owned(),
                    rule: inventory.rule,
                    description: format!(
                        "`{}` has the {} `{}` and did not use it in {} tasks",
                        text::name(&window.entity_name),
                        inventory.label,
                        text::name(name),
                        window.tasks.len()
                    ),
                    confidence: confidence::sure((1.0 - bound).min(most)),
                    impact: Impact::from_share(1.0, format!("every task spared one {} to weigh", inventory.label)),
                    count: i64::try_from(window.tasks.len()).unwrap_or(i64::MAX),
                    numbers: vec![
                        ("uses", 0.0),
                        ("use_share_below_95", bound),
                        ("others_used", inventory.used.len() as f64),
                    ],
                    labels: vec![(inventory.label, text::name(name).to_owned())],
                    events: Vec::new(),
                    tasks: Vec::new(),
                },
            )
        })
        .collect()
}
