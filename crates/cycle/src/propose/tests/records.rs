//! Real records: what would be proposed, and that nothing but identifiers and numbers come through.

use std::collections::BTreeSet;

use super::*;
use crate::propose::{PROPOSERS, propose};

const SETS: [&str; 5] = ["tau2", "tau_bench", "agentdojo", "intercode", "mini_swe"];
/// Most tasks of a set that are looked at.
const MOST_TASKS: usize = 3_000;

/// The tasks of a set by variant.
fn variants(set: &str) -> Option<BTreeMap<String, Vec<Task>>> {
    let mut tasks: BTreeMap<(String, String), Task> = BTreeMap::new();
    for event in crate::records::rows(&format!("{set}/events.ndjson.gz"))? {
        let field = |name: &str| event[name].as_str().map(str::to_owned);
        let key = (
            event["attributes"]["variant"].as_str().unwrap_or_default().to_owned(),
            field("task_id").unwrap_or_default(),
        );
        if tasks.len() >= MOST_TASKS && !tasks.contains_key(&key) {
            continue;
        }
        let task = tasks.entry(key).or_default();
        let text = field("content").unwrap_or_default();
        let (before, after) = text.split_once(" => ").unwrap_or_default();
        let of = |text: &str| serde_json::from_str(text).ok().filter(Value::is_object).map(|value| shape(&value));
        match event["event_type"].as_str().unwrap_or_default() {
            "TOOL_EXECUTED" => task.calls.push(Call {
                tool: field("tool").unwrap_or_default(),
                failed: matches!(event["outcome"].as_str(), Some("ERROR" | "FAILURE")),
                error_type: field("error_type"),
                duration_ms: event["duration_ms"].as_f64(),
                arguments: of(before)
                    .or_else(|| event["attributes"].get("arguments").filter(|value| value.is_object()).map(shape)),
                result: of(after),
                ..Call::default()
            }),
            "LLM_CALL" => task.written.extend(event["tokens_out"].as_i64()),
            "ERROR" => task.errors.extend(field("error_type")),
            "TASK_COMPLETED" | "TASK_FAILED" => task.succeeded = Some(event["outcome"] == "SUCCESS"),
            _ => {}
        }
    }
    let mut variants: BTreeMap<String, Vec<Task>> = BTreeMap::new();
    for ((variant, _), task) in tasks {
        variants.entry(variant).or_default().push(task);
    }
    variants.retain(|_, tasks| tasks.len() >= 20);
    Some(variants)
}

/// Findings such as detection would make, of everything that occurs often enough, hostile or not.
fn findings(tasks: &[Task]) -> Vec<Finding> {
    let mut errors: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut pairs: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for task in tasks {
        for call in task.calls.iter().filter(|call| call.failed) {
            *errors.entry((&call.tool, call.error_type.as_deref().unwrap_or_default())).or_default() += 1;
        }
        let distinct: BTreeSet<(&str, &str)> =
            task.calls.windows(2).map(|pair| (pair[0].tool.as_str(), pair[1].tool.as_str())).collect();
        for pair in distinct {
            *pairs.entry(pair).or_default() += 1;
        }
    }
    let often = |(_, n): &(&(&str, &str), &usize)| **n >= 6;
    let mut findings = Vec::new();
    for ((tool, kind), _) in errors.iter().filter(often) {
        findings.push(finding(OpportunityKind::RecurringError, "f", &[("tool", tool), ("error_type", kind)]));
    }
    for ((first, second), _) in pairs.iter().filter(often).take(40) {
        let pattern = format!("{first} > {second}");
        findings.push(finding(OpportunityKind::FailurePattern, &pattern, &[("pattern", &pattern)]));
    }
    findings.push(finding(OpportunityKind::TokenWaste, "failing_tasks", &[]));
    findings.push(finding(OpportunityKind::Request, "wish", &[]));
    findings
}

/// Whether a text is one that the proposers' templates make: identifiers, numbers, and words that stand in the sources.
fn is_clean(text: &str) -> bool {
    let in_backticks = text.split('`').skip(1).step_by(2);
    let plain = |name: &str| {
        (1..=64).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
    };
    let outside: String = text.split('`').step_by(2).collect();
    let harmless = |c: char| c.is_ascii_alphanumeric() || " .,;:%'()".contains(c);
    in_backticks.into_iter().all(plain) && outside.chars().all(harmless) && text.len() < 400
}

#[test]
fn real_records() {
    let mut by_proposer: BTreeMap<String, usize> = BTreeMap::new();
    for set in SETS {
        let Some(variants) = variants(set) else { return };
        assert!(!variants.is_empty(), "{set}");
        for (variant, tasks) in variants.into_iter().take(12) {
            let names: BTreeSet<&String> = tasks.iter().flat_map(|task| &task.calls).map(|call| &call.tool).collect();
            let tools: Value = names.iter().map(|name| json!({"name": name})).collect();
            let findings = findings(&tasks);
            let mut input = about(OpportunityKind::Request, "wish", &[], json!({"tools": tools}), tasks);
            for finding in findings {
                let wanted: &[ImprovementType] = match finding.kind {
                    OpportunityKind::Request => ImprovementType::ALL,
                    kind => &[kind.usual_improvement()],
                };
                for wanted in wanted {
                    input.opportunity = opportunity(finding.clone());
                    input.opportunity.improvement_type = *wanted;
                    for proposal in propose(&input) {
                        assert!(PROPOSERS.iter().any(|proposer| proposer.name == proposal.proposer));
                        for text in [&proposal.rationale, &proposal.expected_impact] {
                            assert!(is_clean(text), "{text}");
                        }
                        let known = by_proposer.entry(proposal.proposer.clone()).or_default();
                        *known += 1;
                        if *known <= 4 {
                            let edits = serde_json::to_string(&proposal.edits).unwrap();
                            println!(
                                "{set} {variant} {} {:.4}\n  {edits}\n  {}",
                                proposal.proposer, proposal.expected_gain, proposal.rationale
                            );
                        }
                    }
                }
            }
        }
    }
    println!("{by_proposer:?}");
    assert!(by_proposer.len() >= 4, "{by_proposer:?}");
}
