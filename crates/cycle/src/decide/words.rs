//! The verdict in a sentence or two.

use std::fmt::Write as _;

use uplift_model::policy::trial::TrialPolicy;
use uplift_model::verdict::{Decision, Findings, MetricFinding, Next, Reason, Strength};

use super::Ruling;

pub(super) fn text(findings: &Findings, policy: &TrialPolicy, ruling: &Ruling, units_needed: Option<u64>) -> String {
    let head = match (ruling.decision, ruling.strength) {
        (Decision::Keep, Some(Strength::Proven)) => "Keep, proven",
        (Decision::Keep, Some(Strength::Supported)) => "Keep, supported",
        (Decision::Keep, None) => "Keep",
        (Decision::Rollback, _) => "Roll back",
        (Decision::Inconclusive, _) => "Inconclusive",
        (Decision::InvalidAllocation, _) => "Invalid",
        (Decision::Running, _) => "Running",
    };
    let why: Vec<_> = ruling.reasons.iter().map(|reason| words(*reason, findings, policy)).collect();
    let mut text = format!("{head}: {}.", why.join("; "));
    let mut numbers: Vec<_> =
        findings.metrics.iter().filter(|finding| ruling.deciding.contains(&finding.name)).map(in_numbers).collect();
    if numbers.is_empty() {
        numbers = findings.metrics.iter().filter(|finding| finding.roles.any()).map(in_numbers).collect();
    }
    if !numbers.is_empty() {
        text.push(' ');
        text.push_str(&numbers.join(", "));
        text.push('.');
    }
    let follows = match (ruling.decision, ruling.next) {
        (Decision::Inconclusive, Next::Continue) => Some(" The trial goes on."),
        (Decision::Inconclusive, Next::Rollback) => Some(" The old revision returns."),
        (Decision::Inconclusive, Next::Keep) => Some(" The candidate stays, by policy."),
        _ => None,
    };
    text.push_str(follows.unwrap_or_default());
    if let Some(units) = units_needed.filter(|units| *units > 0) {
        // Writing to a string cannot fail.
        let _ = write!(text, " About {units} more tasks are expected to be needed.");
    }
    text
}

fn in_numbers(finding: &MetricFinding) -> String {
    let percent = |value: f64| format!("{:+.1}%", 100.0 * value);
    format!(
        "{} {} against {} ({} [{}, {}], positive is better)",
        finding.name,
        short(finding.candidate),
        short(finding.control),
        percent(finding.effect.estimate),
        percent(finding.effect.low),
        percent(finding.effect.high),
    )
}

fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 1_000.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.4}"),
    }
}

fn words(reason: Reason, findings: &Findings, policy: &TrialPolicy) -> String {
    let assigned = findings.allocation.assigned;
    match reason {
        Reason::TooEarly => "nothing was reached before the horizon".to_owned(),
        Reason::EmptyArm => "an arm has no units to compare".to_owned(),
        Reason::SampleRatioMismatch => {
            let broken = findings.allocation.log_evidence >= policy.allocation_evidence.ln();
            let are = if broken { "are not" } else { "are hardly" };
            format!("{} units in control and {} in the candidate {are} the declared split", assigned[0], assigned[1])
        }
        Reason::Crossover => {
            format!("{:.1}% of the units saw both arms", 100.0 * findings.allocation.crossover)
        }
        Reason::CombinedEvidence => format!(
            "the evidence of harm reached {:.0} to 1, of {:.0} needed",
            findings.combined.log_evidence.exp().min(1e9),
            findings.combined.log_threshold.exp()
        ),
        Reason::HarmAtHorizon => "worse at the planned look".to_owned(),
        Reason::EffectivenessBelowThreshold => format!(
            "the whole changed by {:+.1}%, below {:+.1}%",
            100.0 * findings.effectiveness.estimate,
            100.0 * policy.rollback_threshold
        ),
        Reason::CostsPaidFor => "what it costs more is paid for".to_owned(),
        Reason::GoalBetter => "a goal is better".to_owned(),
        Reason::NotWorse => "everything is inside its margin".to_owned(),
        Reason::TooFewUnits => format!(
            "{} and {} units are fewer than the {} an arm asked for",
            findings.matured[0], findings.matured[1], policy.min_units_per_arm
        ),
        Reason::Coverage => "too many outcomes are unknown, or unequally many".to_owned(),
        Reason::GoalNotShown => "no goal was shown to be better".to_owned(),
        Reason::MarginNotShown => "not everything was shown to be inside its margin".to_owned(),
        Reason::WatchEnded => "the watch after the keep ended without harm".to_owned(),
    }
}
