//! Everything about one improvement, for people to read.

use serde_json::Value;

use crate::api;
use crate::cli::show::{
    command, counted, entity, facts, items, number, numeric, raw, text, time, whole as number_of,
};
use crate::differ;
use crate::text::{Column, Style, Table, clean, count, percent, put};

/// Everything about one improvement.
pub(super) fn whole(look: &api::Args, report: &Value, style: Style) -> String {
    let id = number_of(report, "id");
    let title = format!(
        "Improvement {id}: {} of {}, {}",
        text(report, "improvement_type"),
        entity(report),
        text(report, "status").replace('_', " ")
    );
    let mut shown = format!("{}\n\n  {}\n\n", style.bold(&title), text(report, "rationale"));
    shown.push_str(&facts(about(report)));
    let edits = items(report, "edits");
    if edits.is_empty() {
        put!(&mut shown, "\nNobody has proposed edits for it yet.\n");
    } else {
        put!(&mut shown, "\n{}\n{}", style.bold("Edits"), differ::in_words(edits));
    }
    shown.push_str(&checks(report, style));
    for trial in items(report, "trials") {
        shown.push_str(&self::trial(trial, style));
    }
    shown.push_str(&history(report, style));
    shown.push_str(&steps(report, style));
    let (number, whom) = (id.to_string(), entity(report));
    let lead_on = [&["diff", number.as_str()][..], &["entities", "show", whom.as_str()][..]];
    let commands: Vec<String> = lead_on.iter().filter_map(|words| command(look, words)).collect();
    if !commands.is_empty() {
        put!(&mut shown, "\n{}\n", style.bold("More"));
        for command in commands {
            put!(&mut shown, "  {command}\n");
        }
    }
    shown
}

fn about(report: &Value) -> Vec<(&'static str, String)> {
    let mut lines = vec![
        ("whom", format!("{} in environment {}", entity(report), text(report, "environment"))),
        (
            "proposed",
            format!(
                "{} by {} ({})",
                time(report, "created_at"),
                text(report, "proposer"),
                text(report, "proposed_by")
            ),
        ),
        ("expected", text(report, "expected_impact")),
        ("confidence", numeric(report, "confidence", percent)),
    ];
    if raw(report, "opportunity/description").is_some() {
        let found = format!("{}: {}", number_of(report, "opportunity_id"), text(report, "opportunity/description"));
        lines.push(("opportunity", found));
    }
    if raw(report, "approved_by").is_some() {
        lines.push(("approved by", text(report, "approved_by")));
    }
    if raw(report, "comparison") == Some("before_after") {
        lines.push(("comparison", "with the time before: weaker evidence, never proven".to_owned()));
    }
    if raw(report, "preflight/text").is_some() {
        lines.push(("preflight", text(report, "preflight/text")));
    }
    lines
}

fn checks(report: &Value, style: Style) -> String {
    let mut table = Table::new([Column::text("CHECK", 16), Column::text("RESULT", 8), Column::text("WHY", 200)]);
    for check in items(report, "checks") {
        table.row([text(check, "name"), text(check, "result"), text(check, "detail")]);
    }
    if table.is_empty() { String::new() } else { format!("\n{}", table.render(style)) }
}

fn trial(trial: &Value, style: Style) -> String {
    let what = if raw(trial, "kind") == Some("hold_back") { "Watch after the keep" } else { "Trial" };
    let state = if trial["running"].as_bool() == Some(true) { "running" } else { "ended" };
    let title = format!("{what} {}, {state}", number_of(trial, "id"));
    let mut lines = vec![
        ("started", time(trial, "started_at")),
        ("share", format!("{} of the {}s", numeric(trial, "share", percent), text(trial, "unit"))),
        ("decided", format!("from {}, at the latest {}", time(trial, "horizon_at"), time(trial, "last_horizon_at"))),
    ];
    if let [control, candidate] = items(trial, "units") {
        lines.push(("units", format!("{} control, {} candidate", text(control, ""), text(candidate, ""))));
    }
    if raw(trial, "decision").is_some() {
        lines.push(("verdict", format!("{}: {}", text(trial, "decision"), text(trial, "decision_text"))));
    }
    if raw(trial, "ending").is_some() {
        lines.push(("ended", format!("{}: {}", time(trial, "ended_at"), text(trial, "ending"))));
    }
    format!("\n{}\n{}{}", style.bold(&title), facts(lines), metrics(trial, style))
}

fn metrics(trial: &Value, style: Style) -> String {
    let mut table = Table::new([
        Column::text("METRIC", 20),
        Column::text("ROLE", 16),
        Column::number("CONTROL"),
        Column::number("CANDIDATE"),
        Column::text("BETTER BY", 26),
        Column::text("UNITS", 16),
    ]);
    for metric in items(trial, "verdict/findings/metrics") {
        let known = items(metric, "n").iter().map(|n| text(n, "")).collect::<Vec<_>>().join(" / ");
        table.row([
            text(metric, "name"),
            roles(metric),
            numeric(metric, "control", plain),
            numeric(metric, "candidate", plain),
            interval(metric, "effect/estimate", "effect/low", "effect/high"),
            known,
        ]);
    }
    if table.is_empty() { String::new() } else { format!("\n{}", table.render(style)) }
}

fn roles(metric: &Value) -> String {
    let roles =
        ["goal", "guardrail", "cost"].into_iter().filter(|role| metric["roles"][*role].as_bool() == Some(true));
    let roles: Vec<&str> = roles.collect();
    if roles.is_empty() { "observed".to_owned() } else { roles.join(", ") }
}

/// `+12% (3% to 21%)`.
fn interval(value: &Value, estimate: &str, low: &str, high: &str) -> String {
    let signed = |share: f64| format!("{:+.1}%", share * 100.0);
    match (number(value, estimate), number(value, low), number(value, high)) {
        (Some(estimate), Some(low), Some(high)) => {
            format!("{} ({} to {})", signed(estimate), signed(low), signed(high))
        }
        (Some(estimate), ..) => signed(estimate),
        _ => "-".to_owned(),
    }
}

fn plain(number: f64) -> String {
    if number.abs() >= 100.0 { format!("{number:.0}") } else { format!("{number:.3}") }
}

fn history(report: &Value, style: Style) -> String {
    let mut shown = String::new();
    for entry in items(report, "history") {
        let title = format!("{}: {}", time(entry, "decided_at"), text(entry, "outcome").replace('_', " "));
        put!(&mut shown, "\n{}\n\n", style.bold(&title));
        match raw(entry, "report") {
            // Line by line: cleaning makes one line of what it is given.
            Some(report) => {
                for line in report.lines() {
                    let spaces = line.len() - line.trim_start_matches(' ').len();
                    put!(&mut shown, "{}\n", format!("  {}{}", " ".repeat(spaces), clean(line)).trim_end());
                }
            }
            None => put!(&mut shown, "  {}\n", text(entry, "reason")),
        }
        if number(entry, "effectiveness").is_some() {
            let effect = interval(entry, "effectiveness", "effectiveness_low", "effectiveness_high");
            put!(&mut shown, "\n  effectiveness  {effect}\n");
        }
        if let Some(claim) = entry.get("claim").filter(|claim| claim.is_object()) {
            put!(&mut shown, "  claim          {}\n", self::claim(claim));
        }
    }
    shown
}

/// Whether it may be said that it helped, at the fleet's share of false claims.
fn claim(claim: &Value) -> String {
    // Beyond a million, how much more does not matter to anybody.
    let odds =
        |field: &str| {
            numeric(claim, field, |ln| {
                if ln < 1e6_f64.ln() { count(ln.exp() as i64) } else { "over a million".to_owned() }
            })
        };
    let odds = format!("evidence {} to 1, needed {} to 1", odds("log_evidence"), odds("log_needed"));
    if claim["withdrawn"].as_bool() == Some(true) {
        format!("withdrawn: it was taken back for harm since ({odds})")
    } else if claim["stands"].as_bool() == Some(true) {
        format!("it may be said that it helped ({odds})")
    } else {
        format!("too little to say that it helped, among all that was tried ({odds})")
    }
}

fn steps(report: &Value, style: Style) -> String {
    let mut table = Table::new([
        Column::text("WHEN", 19),
        Column::text("PROCESS", 28),
        Column::text("STEP", 28),
        Column::text("WHAT HAPPENED", 200),
    ]);
    let mut waiting = String::new();
    for process in items(report, "process_instances").iter().rev() {
        for step in items(process, "steps") {
            table.row([
                time(step, "at"),
                text(process, "name"),
                format!("{} -> {}", text(step, "from"), text(step, "to")),
                text(step, "note"),
            ]);
        }
        if raw(process, "wake_at").is_some() {
            let due = format!(
                "{} goes on from {} at {}",
                text(process, "name"),
                text(process, "state"),
                time(process, "wake_at")
            );
            put!(&mut waiting, "  {due}\n");
        }
        if raw(process, "last_error").is_some() {
            let tries = counted(process, "attempts");
            put!(&mut waiting, "  {} failed {tries} times: {}\n", text(process, "name"), text(process, "last_error"));
        }
    }
    let steps = if table.is_empty() { String::new() } else { format!("\n{}", table.render(style)) };
    if waiting.is_empty() { steps } else { format!("{steps}\n{waiting}") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_report_holds_what_matters_and_nothing_dangerous() {
        let mut report = json!({
            "id": 7, "status": "deployed", "improvement_type": "performance_tuning", "entity_type": "agent",
            "entity_name": "support", "environment": "default", "proposer": "retry_timeout", "proposed_by": "rule",
            "rationale": "it \u{1b}[31mtimes out", "expected_impact": "fewer errors", "confidence": 0.9,
            "created_at": "2026-01-05T10:00:00Z", "opportunity_id": 3, "opportunity": {"description": "Timeouts"},
            "approved_by": "ada", "preflight": {"text": "this needs about 700 tasks"},
            "edits": [{"edit": "set_parameter", "name": "timeout_ms", "value": 3000}],
            "checks": [{"name": "cooldown", "result": "passed", "detail": "rested"}],
        });
        report["trials"] = json!([{"id": 2, "kind": "trial", "running": false, "started_at": "2026-01-05T11:00:00Z",
            "share": 0.5, "unit": "task", "units": [400, 380], "decision": "keep", "decision_text": "Better.",
            "ended_at": "2026-01-06T11:00:00Z", "ending": "kept"}]);
        report["trials"][0]["verdict"] = json!({"findings": {"metrics": [{"name": "errors",
            "roles": {"goal": true, "guardrail": true}, "control": 0.2, "candidate": 0.1, "n": [400, 380],
            "effect": {"estimate": 0.5, "low": 0.2, "high": 0.7}}]}});
        report["history"] = json!([{"outcome": "kept", "decided_at": "2026-01-06T11:00:00Z",
            "report": "# Improvement 7\n\n- fewer \u{1b}]0;x\u{7}errors\n", "effectiveness": 0.4,
            "effectiveness_low": 0.1, "effectiveness_high": 0.6,
            "claim": {"stands": true, "withdrawn": false, "log_evidence": 8.2, "log_needed": 5.23}}]);
        report["process_instances"] = json!([{"name": "ImprovementProcess", "state": "done", "wake_at": null, "steps": [
            {"at": "2026-01-05T10:00:01Z", "from": "validate", "to": "deploy", "note": "every check passed"}]}]);
        let shown = whole(&api::Args::default(), &report, Style { width: 140, colour: false });
        for part in [
            "Improvement 7: performance_tuning of agent/support, deployed",
            "  it times out\n",
            "1. set timeout_ms to 3000",
            "opportunity  3: Timeouts",
            "approved by  ada",
            "cooldown  passed  rested",
            "Trial 2, ended",
            "400 control, 380 candidate",
            "keep: Better.",
            "errors  goal, guardrail    0.200      0.100  +50.0% (+20.0% to +70.0%)  400 / 380",
            "2026-01-06 11:00:00: kept",
            "  - fewer errors\n",
            "effectiveness  +40.0% (+10.0% to +60.0%)",
            "claim          it may be said that it helped (evidence 3,640 to 1, needed 186 to 1)",
            "validate -> deploy",
            "uplift diff 7",
        ] {
            assert!(shown.contains(part), "{part} is not in:\n{shown}");
        }
        assert!(!shown.contains('\u{1b}'), "{shown}");
    }

    #[test]
    fn what_is_not_known_yet_is_left_out() {
        let report =
            json!({"id": 1, "status": "needs_proposal", "edits": [], "checks": [], "trials": [], "history": []});
        let shown = whole(&api::Args::default(), &report, Style { width: 100, colour: false });
        assert!(shown.contains("Nobody has proposed edits"), "{shown}");
        assert!(!shown.contains("CHECK") && !shown.contains("Trial"), "{shown}");
    }
}
