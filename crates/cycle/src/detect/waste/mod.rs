//! Resources that do no good: tokens, repeated calls, tools and contexts nobody uses.

mod repeats;
mod tokens;
mod unused;

use std::collections::BTreeMap;

use uplift_model::opportunity::{
    EventRef, Evidence, Finding, Impact, MAX_EVIDENCE_EVENTS, OpportunityKind, OpportunitySource,
};
use uplift_model::policy::DetectionPolicy;
use uplift_model::time::MICROS_PER_DAY;

use super::input::EntityWindow;
use super::text;

/// Everything the window shows of waste, each rule's findings together: tokens, repeated calls, unused tools, unused
/// contexts. Nothing is said of fewer than `policy.min_tasks` tasks.
pub fn find(window: &EntityWindow, policy: &DetectionPolicy) -> Vec<Finding> {
    if window.tasks.is_empty() || window.tasks.len() < policy.min_tasks as usize {
        return Vec::new();
    }
    let mut findings: Vec<Finding> = Vec::new();
    findings.extend(tokens::failing(window, policy));
    findings.extend(tokens::outliers(window, policy));
    findings.extend(repeats::find(window, policy));
    findings.extend(unused::find(window));
    findings
}

/// What the rules of this folder say of a window; [`finding`] adds what they share.
struct Waste {
    kind: OpportunityKind,
    fingerprint: String,
    rule: &'static str,
    description: String,
    confidence: f64,
    impact: Impact,
    count: i64,
    numbers: Vec<(&'static str, f64)>,
    labels: Vec<(&'static str, String)>,
    events: Vec<EventRef>,
    tasks: Vec<String>,
}

fn finding(window: &EntityWindow, waste: Waste) -> Finding {
    let mut labels: BTreeMap<String, String> =
        waste.labels.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    labels.insert("entity".to_owned(), text::name(&window.entity_name).to_owned());
    let mut numbers: BTreeMap<String, f64> =
        waste.numbers.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    numbers.insert("tasks".to_owned(), window.tasks.len() as f64);
    Finding {
        entity: window.entity,
        kind: waste.kind,
        fingerprint: waste.fingerprint,
        source: OpportunitySource::Monitor,
        description: waste.description,
        confidence: waste.confidence,
        impact: waste.impact,
        evidence: Evidence {
            rule: waste.rule.to_owned(),
            count: waste.count,
            window_start: Some(window.start),
            window_end: Some(window.as_of),
            numbers,
            labels,
            events: waste.events.into_iter().take(MAX_EVIDENCE_EVENTS).collect(),
            tasks: waste.tasks.into_iter().take(MAX_EVIDENCE_EVENTS).collect(),
        },
        last_seen_at: window.as_of,
    }
}

/// An amount over the window as an amount a day, in words.
fn per_day(window: &EntityWindow, amount: f64) -> String {
    let days = (window.as_of.micros_since(window.start) as f64 / MICROS_PER_DAY as f64).max(1.0);
    format!("{:.0}", amount / days)
}

#[cfg(test)]
pub(crate) mod tests;
