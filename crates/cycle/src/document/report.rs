//! The report, section by section.

use std::fmt::Write as _;

use uplift_model::check::Check;
use uplift_model::trial::{AssignmentUnit, Comparison, Trial, TrialKind, TrialRecord};
use uplift_model::verdict::{Decision, Findings, Interval, MetricFinding, Strength, Verdict};

use super::markdown::{code, plain, text};
use super::{Ending, Input, changes, headline, is_comparable};

/// Longest rationale, reason or sentence of a check that is shown, in characters.
const MAX_PROSE_CHARS: usize = 1_000;
/// Known outcomes below which coverage is mentioned as left open.
const FULL_COVERAGE: f64 = 0.995;
/// Evidence (natural logarithm) of unequal coverage from which on it is mentioned: 20 to 1.
const UNEQUAL_COVERAGE: f64 = 3.0;

/// The whole report. Writing to a string cannot fail, so results of `writeln!` are dropped throughout.
pub(super) fn report(input: &Input<'_>) -> String {
    let improvement = input.improvement;
    let mut out = String::new();
    let _ = writeln!(
        out,
        "# Improvement {} of {} {}: {}\n",
        improvement.id,
        improvement.entity.entity_type,
        code(input.entity_name),
        headline(input)
    );
    changed(input, &mut out);
    why(input, &mut out);
    match input.trial {
        Some(record) => tried(input, record, &mut out),
        None => checks(input.checks, &mut out),
    }
    if let Some(verdict) = input.verdict {
        measured(verdict, &mut out);
    }
    decided(input, &mut out);
    if let Some(verdict) = input.verdict {
        left_open(verdict, &mut out);
    }
    going_back(input, &mut out);
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

fn changed(input: &Input<'_>, out: &mut String) {
    let _ = writeln!(out, "## What was changed\n");
    let proposal = &input.improvement.proposal;
    if proposal.edits.is_empty() {
        let _ = writeln!(out, "- nothing: nobody wrote the edits");
    }
    for edit in &proposal.edits {
        let _ = writeln!(out, "- {}", safe_but_code(&changes::words(edit)));
    }
    for process in &proposal.processes {
        let steps: Vec<&str> = process.steps.iter().map(|step| plain(step)).collect();
        let _ = writeln!(out, "- declares the process {}: `{}`", code(&process.name), steps.join(" -> "));
    }
    out.push('\n');
}

/// Text with its code spans kept: what is between backticks came through [`code`], quotes hold free text.
fn safe_but_code(words: &str) -> String {
    match words.split_once(": \"") {
        Some((head, quoted)) => format!("{head}: \"{}\"", text(quoted.trim_end_matches('"'), MAX_PROSE_CHARS)),
        None => words.to_owned(),
    }
}

fn why(input: &Input<'_>, out: &mut String) {
    let proposal = &input.improvement.proposal;
    let _ = writeln!(out, "## Why\n");
    if !proposal.rationale.trim().is_empty() {
        let _ = writeln!(out, "- rationale: {}", text(&proposal.rationale, MAX_PROSE_CHARS));
    }
    if !proposal.expected_impact.trim().is_empty() {
        let _ = writeln!(out, "- expected: {}", text(&proposal.expected_impact, MAX_PROSE_CHARS));
    }
    if let Some(opportunity) = input.improvement.opportunity_id {
        let _ = writeln!(out, "- it answers opportunity {opportunity}");
    }
    let _ = write!(
        out,
        "- proposed as {} by {} ({}), confidence {:.2}",
        code(proposal.improvement_type.as_str()),
        code(&proposal.proposer),
        proposal.proposed_by,
        proposal.confidence
    );
    let _ = match input.improvement.approved_by.as_deref() {
        Some(by) => writeln!(out, "; approved by {}\n", code(by)),
        None => writeln!(out, "\n"),
    };
}

fn checks(checks: &[Check], out: &mut String) {
    let _ = writeln!(out, "## How it was checked\n");
    if checks.is_empty() {
        let _ = writeln!(out, "It was called off before it was checked.\n");
        return;
    }
    let _ = writeln!(out, "It never ran. What the checks found:\n\n| check | result | why |\n|---|---|---|");
    for check in checks {
        let why = text(&check.detail, MAX_PROSE_CHARS);
        let _ = writeln!(out, "| `{}` | {} | {why} |", check.name, check.result);
    }
    out.push('\n');
}

fn tried(input: &Input<'_>, record: &TrialRecord, out: &mut String) {
    let trial = &record.trial;
    let unit = unit(trial);
    let _ = writeln!(out, "## How it was tried\n");
    let _ = match (trial.kind, trial.comparison) {
        (TrialKind::HoldBack, _) => writeln!(
            out,
            "- comparison: after the keep, at the same time as a share left on the old revision, {unit}s split at random"
        ),
        (TrialKind::Trial, Comparison::Concurrent) => {
            writeln!(out, "- comparison: both revisions at the same time, {unit}s split at random")
        }
        (TrialKind::Trial, Comparison::BeforeAfter) => {
            writeln!(out, "- comparison: with the time before, which is weaker and never proves anything")
        }
    };
    let ended_us = record.ended_at.unwrap_or(input.now).micros();
    let hours = ended_us.saturating_sub(trial.started_us).max(0) as f64 / 3.6e9;
    let start = uplift_model::Time::from_micros(trial.started_us);
    let _ = writeln!(
        out,
        "- time: {hours:.1} h from {start}; planned {} h, {} h at the most",
        trial.policy.test_duration_hours, trial.policy.max_test_duration_hours
    );
    let share = |index: usize| {
        let stage = trial.stages.get(index)?;
        let after = stage.from_us.saturating_sub(trial.started_us).max(0) as f64 / 3.6e9;
        Some(format!("{} from hour {after:.1} on", percent(stage.share)))
    };
    let shares: Vec<String> = (0..trial.stages.len()).filter_map(share).collect();
    let _ = writeln!(out, "- share of the candidate: {}", shares.join(", "));
    if let Some(findings) = input.verdict.map(|verdict| &verdict.findings) {
        let (assigned, matured) = (findings.allocation.assigned, findings.matured);
        let _ = writeln!(
            out,
            "- {unit}s: {} in control and {} in the candidate, {} and {} of them counted",
            assigned[0], assigned[1], matured[0], matured[1]
        );
    }
    out.push('\n');
}

fn unit(trial: &Trial) -> &'static str {
    match trial.unit {
        AssignmentUnit::Task => "task",
        AssignmentUnit::Session => "session",
    }
}

fn measured(verdict: &Verdict, out: &mut String) {
    let findings = &verdict.findings;
    if findings.metrics.is_empty() {
        return;
    }
    let _ = writeln!(
        out,
        "## What was measured\n\nChanges are positive where the candidate is better.\n\n\
         | metric | control | candidate | change | interval | part |\n|---|---|---|---|---|---|"
    );
    for metric in &findings.metrics {
        let decided = if verdict.deciding.contains(&metric.name) { ", decided" } else { "" };
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} to {} | {}{decided} |",
            code(&metric.name),
            number(metric.control),
            number(metric.candidate),
            signed(metric.effect.estimate),
            signed(metric.effect.low),
            signed(metric.effect.high),
            part(metric)
        );
    }
    if is_comparable(verdict) {
        let _ = writeln!(out, "\nThe whole, weighted: {}.", effect(findings.effectiveness));
    }
    out.push('\n');
}

fn part(metric: &MetricFinding) -> String {
    let roles = metric.roles;
    let parts: Vec<&str> = [(roles.goal, "goal"), (roles.guardrail, "guardrail"), (roles.cost, "cost")]
        .into_iter()
        .filter_map(|(plays, name)| plays.then_some(name))
        .collect();
    if parts.is_empty() { "observed".to_owned() } else { parts.join(", ") }
}

fn decided(input: &Input<'_>, out: &mut String) {
    let _ = writeln!(out, "## What was decided\n");
    match &input.ending {
        Ending::Rejected { reason } => {
            let _ = writeln!(out, "Rejected: {}", text(reason, MAX_PROSE_CHARS));
        }
        Ending::Cancelled { by, reason } => {
            let _ = writeln!(out, "Called off by {}: {}", code(by), text(reason, MAX_PROSE_CHARS));
            if let Some(verdict) = input.verdict {
                let _ = writeln!(out, "\nThe last look before: {}", text(&verdict.text, MAX_PROSE_CHARS));
            }
        }
        _ => {
            if let Some(verdict) = input.verdict {
                let _ = writeln!(out, "{}\n\n{}", text(&verdict.text, MAX_PROSE_CHARS), how_sure(verdict));
            } else {
                let _ = writeln!(out, "There is no verdict on record.");
            }
        }
    }
    out.push('\n');
}

/// How sure we are, in words.
fn how_sure(verdict: &Verdict) -> String {
    if verdict.decision == Decision::InvalidAllocation {
        return "The two sides cannot be compared, so nothing is said about the change itself.".to_owned();
    }
    let combined = verdict.findings.combined;
    let evidence = format!(
        "evidence of harm {} to 1, of {} to 1 that it takes to roll back",
        odds(combined.log_evidence),
        odds(combined.log_threshold)
    );
    let sure = match (verdict.decision, verdict.strength) {
        (Decision::Keep, Some(Strength::Proven)) => {
            "Proven: better, and shown to be no worse in everything that may not suffer"
        }
        (Decision::Keep, _) => {
            "Supported: better, and nothing points to harm; that nothing else is worse is not proven"
        }
        (Decision::Rollback, _) => "Harm was shown",
        (Decision::Inconclusive, _) => "Neither better nor worse was shown: this does not count against the proposal",
        (Decision::Running | Decision::InvalidAllocation, _) => "Nothing was decided yet",
    };
    format!("{sure} ({evidence}).")
}

fn left_open(verdict: &Verdict, out: &mut String) {
    let _ = writeln!(out, "## What was left open\n");
    let open = open_points(&verdict.findings);
    if open.is_empty() {
        let _ = writeln!(out, "- nothing worth mentioning");
    }
    for point in open {
        let _ = writeln!(out, "- {point}");
    }
    out.push('\n');
}

fn open_points(findings: &Findings) -> Vec<String> {
    let mut open = Vec::new();
    let known = findings.coverage.known;
    if known.iter().any(|share| *share < FULL_COVERAGE) {
        open.push(format!(
            "the outcome is known of {} of control and {} of the candidate",
            percent(known[0]),
            percent(known[1])
        ));
    }
    if findings.coverage.log_evidence >= UNEQUAL_COVERAGE {
        open.push("the two sides do not report their outcomes equally often".to_owned());
    }
    if findings.allocation.crossover > 0.0 {
        open.push(format!("{} of the units saw both revisions", percent(findings.allocation.crossover)));
    }
    if findings.interference {
        open.push(
            "control fell below its own history after the start: something shared may have suffered".to_owned(),
        );
    }
    if findings.immature > 0 {
        open.push(format!("{} units were too young to be counted", findings.immature));
    }
    if findings.late > 0 {
        open.push(format!("{} records came too late to be counted", findings.late));
    }
    open
}

fn going_back(input: &Input<'_>, out: &mut String) {
    let base = input.trial.map(|record| &record.base).or(input.improvement.base.as_ref());
    // What never ran left nothing to go back from.
    let Some(base) = base.filter(|_| !matches!(input.ending, Ending::Rejected { .. })) else { return };
    let in_place = matches!(input.ending, Ending::Kept | Ending::Inconclusive { kept: true });
    let _ = writeln!(out, "## Going back\n");
    let _ = if in_place {
        writeln!(out, "`uplift rollback {}` returns to revision {}.", input.improvement.id, code(base.as_str()))
    } else {
        writeln!(out, "The revision before the change is {}.", code(base.as_str()))
    };
}

/// The strength of a keep in a word.
pub(super) fn strength(strength: Strength) -> &'static str {
    match strength {
        Strength::Proven => "proven",
        Strength::Supported => "supported",
    }
}

/// An effect with its interval.
pub(super) fn effect(effect: Interval) -> String {
    format!("{} ({} to {})", signed(effect.estimate), signed(effect.low), signed(effect.high))
}

fn signed(share: f64) -> String {
    if share.is_finite() { format!("{:+.1} %", 100.0 * share) } else { "unknown".to_owned() }
}

fn percent(share: f64) -> String {
    let percent = 100.0 * share;
    if (percent - percent.round()).abs() < 0.05 { format!("{percent:.0} %") } else { format!("{percent:.1} %") }
}

fn number(value: f64) -> String {
    match value.abs() {
        size if !size.is_finite() => "unknown".to_owned(),
        size if size >= 1_000.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.4}"),
    }
}

/// Odds from a natural logarithm, capped where more digits say nothing.
fn odds(log: f64) -> String {
    let odds = log.min(13.8).exp();
    if odds < 10.0 { format!("{odds:.1}") } else { format!("{odds:.0}") }
}
