//! The verdict for people and for programs.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};
use uplift_model::verdict::{Decision, Method, MetricFinding, Verdict};

use super::watch::Watched;

/// The verdict as JSON: the summary that scripts read, then the whole record.
pub(crate) fn json(verdict: &Verdict, watched: Option<&Watched>) -> Value {
    let findings = &verdict.findings;
    let whole = &findings.effectiveness;
    let mut object = Map::new();
    object.insert("verdict".to_owned(), json!(name(verdict.decision)));
    object.insert("strength".to_owned(), json!(verdict.strength));
    object.insert("effectiveness".to_owned(), json!(whole.estimate));
    object.insert("effectiveness_interval".to_owned(), json!([whole.low, whole.high]));
    for finding in &findings.metrics {
        object.insert(finding.name.clone(), metric(finding, findings.method));
    }
    let [control, candidate] = findings.allocation.assigned;
    let paired = if findings.method == Method::Paired { json!(findings.matured[0]) } else { Value::Null };
    object.insert("n".to_owned(), json!({ "control": control, "candidate": candidate, "paired": paired }));
    object.insert("text".to_owned(), json!(verdict.text));
    object.insert("reasons".to_owned(), json!(verdict.reasons));
    object.insert("deciding".to_owned(), json!(verdict.deciding));
    object.insert("units_needed".to_owned(), json!(verdict.units_needed));
    if let Some(watched) = watched {
        object.insert("watch".to_owned(), json!(watched));
    }
    object.insert("findings".to_owned(), json!(findings));
    Value::Object(object)
}

fn metric(finding: &MetricFinding, method: Method) -> Value {
    let known = finding.n.iter().all(|n| *n > 0);
    let n = if method == Method::Paired { finding.n[0] } else { finding.n.iter().sum() };
    if !known {
        return json!({
            "control": null, "candidate": null, "effect": null, "low": null, "high": null, "p": null, "n": n,
            "n_control": finding.n[0], "n_candidate": finding.n[1], "roles": finding.roles,
            "what_would_change": finding.what_would_change,
        });
    }
    json!({
        "control": finding.control,
        "candidate": finding.candidate,
        "effect": finding.effect.estimate,
        "low": finding.effect.low,
        "high": finding.effect.high,
        "p": finding.fixed.map(|look| look.differs),
        "p_harm": finding.fixed.map(|look| look.harm),
        "p_better": finding.fixed.map(|look| look.better),
        "p_not_worse": finding.fixed.map(|look| look.not_worse),
        "n": n,
        "n_control": finding.n[0],
        "n_candidate": finding.n[1],
        "summary": finding.summary,
        "roles": finding.roles,
        "what_would_change": finding.what_would_change,
    })
}

fn name(decision: Decision) -> &'static str {
    match decision {
        Decision::Keep => "keep",
        Decision::Rollback => "rollback",
        Decision::Inconclusive | Decision::Running => "inconclusive",
        Decision::InvalidAllocation => "invalid_allocation",
    }
}

/// The verdict as a short page.
pub(crate) fn text(verdict: &Verdict, watched: Option<&Watched>) -> String {
    let findings = &verdict.findings;
    let mut page = format!("{}\n\n", verdict.text);
    let [control, candidate] = findings.allocation.assigned;
    let how = match findings.method {
        Method::Paired => format!("{} items in both", findings.matured[0]),
        Method::Unpaired | Method::Live => "compared as two groups".to_owned(),
    };
    // Writing to a string cannot fail.
    let _ = writeln!(
        page,
        "{control} runs in control, {candidate} in the candidate, {how}. Effects: positive is better."
    );
    let _ = writeln!(
        page,
        "{:<14} {:>12} {:>12} {:>9} {:>21} {:>9}  part",
        "metric", "control", "candidate", "effect", "95% interval", "p"
    );
    for finding in findings.metrics.iter().filter(|finding| finding.n.iter().all(|n| *n > 0)) {
        let _ = writeln!(
            page,
            "{:<14} {:>12.4} {:>12.4} {:>+8.1}% {:>21} {:>9}  {}",
            finding.name,
            finding.control,
            finding.candidate,
            100.0 * finding.effect.estimate,
            format!("[{:+.1}%, {:+.1}%]", 100.0 * finding.effect.low, 100.0 * finding.effect.high),
            finding.fixed.map_or_else(|| "-".to_owned(), |look| format!("{:.2e}", look.differs)),
            part(finding),
        );
    }
    let _ = writeln!(
        page,
        "{:<14} {:>12} {:>12} {:>+8.1}%",
        "effectiveness",
        "",
        "",
        100.0 * findings.effectiveness.estimate
    );
    for finding in findings.metrics.iter().filter(|finding| finding.roles.any()) {
        let _ = writeln!(page, "- {}", finding.what_would_change);
    }
    if let Some(watched) = watched {
        let _ = writeln!(page, "\n{}", watched.text);
    }
    page
}

fn part(finding: &MetricFinding) -> String {
    let roles = [(finding.roles.goal, "goal"), (finding.roles.guardrail, "guardrail"), (finding.roles.cost, "cost")];
    let parts: Vec<_> = roles.iter().filter(|(plays, _)| *plays).map(|(_, name)| *name).collect();
    if parts.is_empty() { "observed".to_owned() } else { parts.join(", ") }
}
