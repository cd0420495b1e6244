//! Reasons to keep, and what is missing.

use uplift_model::policy::trial::{KeepOn, KeepRequires, TrialPolicy};
use uplift_model::verdict::{Decision, Findings, MetricFinding, Next, Phase, Reason, Strength};

use super::harm::is_only_cost;
use super::{DOUBT, Ruling, split_in_doubt};

/// A keep, or what it lacks.
pub(super) fn rule(findings: &Findings, policy: &TrialPolicy) -> Result<Ruling, Vec<Reason>> {
    let better = better_goals(findings, policy);
    let goal_shown = policy.keep_on == KeepOn::NotWorse || !better.is_empty();
    let margins_shown = all_not_worse(findings, policy);
    let mut missing = sound(findings, policy);
    if !goal_shown {
        missing.push(Reason::GoalNotShown);
    }
    if !margins_shown {
        missing.push(Reason::MarginNotShown);
    }
    let keep = |strength, reason| {
        let mut ruling = Ruling::new(Decision::Keep, Next::Keep, reason).because_of(better.clone());
        ruling.strength = Some(strength);
        ruling
    };
    let reason = if better.is_empty() { Reason::NotWorse } else { Reason::GoalBetter };
    if missing.is_empty() && findings.may_prove {
        return Ok(keep(Strength::Proven, reason));
    }
    let at_horizon = findings.phase == Phase::FirstHorizon || findings.last;
    let allowed = policy.keep_requires == KeepRequires::Supported && at_horizon;
    let only_margins = missing.iter().all(|reason| *reason == Reason::MarginNotShown);
    if allowed && only_margins && goal_shown && supported(findings, policy) {
        let mut ruling = keep(Strength::Supported, reason);
        if findings.metrics.iter().any(|finding| is_only_cost(finding.roles) && !finding.inside_margin) {
            ruling.reasons.push(Reason::CostsPaidFor);
        }
        return Ok(ruling);
    }
    if missing.is_empty() {
        missing.push(Reason::MarginNotShown);
    }
    Err(missing)
}

/// What must hold for any keep.
fn sound(findings: &Findings, policy: &TrialPolicy) -> Vec<Reason> {
    let mut missing = Vec::new();
    let compared = findings.metrics.iter().any(|finding| finding.roles.any() && finding.n.iter().all(|n| *n > 0));
    if findings.matured.contains(&0) || !compared {
        missing.push(Reason::EmptyArm);
    } else if findings.matured.iter().any(|units| *units < policy.min_units_per_arm) {
        missing.push(Reason::TooFewUnits);
    }
    if split_in_doubt(findings) {
        missing.push(Reason::SampleRatioMismatch);
    }
    let coverage = &findings.coverage;
    let unequal = coverage.log_evidence >= DOUBT.ln();
    if unequal || coverage.known.iter().any(|known| *known < policy.min_coverage) {
        missing.push(Reason::Coverage);
    }
    missing
}

/// Goals shown to be better: half the level for the e-process, half for the planned look, both shared by the goals.
fn better_goals(findings: &Findings, policy: &TrialPolicy) -> Vec<String> {
    let goals = findings.metrics.iter().filter(|finding| finding.roles.goal);
    let level = policy.keep_alpha / 2.0 / goals.clone().count().max(1) as f64;
    goals.filter(|finding| is_better(finding, level)).map(|finding| finding.name.clone()).collect()
}

fn is_better(finding: &MetricFinding, level: f64) -> bool {
    let shown = finding.evidence.better >= -level.ln() || finding.fixed.is_some_and(|look| look.better <= level);
    shown && finding.effect.estimate > 0.0
}

/// Every guardrail and cost shown to be inside its margin. No level is shared here: all must be shown, so a false keep
/// needs the one that is not.
fn all_not_worse(findings: &Findings, policy: &TrialPolicy) -> bool {
    let level = policy.keep_alpha / 2.0;
    let mut held = findings.metrics.iter().filter(|finding| finding.roles.guardrail || finding.roles.cost).peekable();
    let any = held.peek().is_some();
    // A trial with goals only has nothing else to hold.
    (any || policy.keep_on == KeepOn::Better)
        && held.all(|finding| {
            let shown = finding.evidence.not_worse >= -level.ln()
                || finding.fixed.is_some_and(|look| look.not_worse <= level);
            (shown && finding.inside_margin) || is_better(finding, level)
        })
}

/// Nothing points to harm: every guardrail's estimate is inside its margin and twice the margin is ruled out, and the
/// whole is better.
fn supported(findings: &Findings, policy: &TrialPolicy) -> bool {
    let level = policy.keep_alpha;
    let mut guardrails = findings.metrics.iter().filter(|finding| finding.roles.guardrail);
    guardrails.all(|finding| {
        // Most of the level goes to the planned look: a supported keep comes at a horizon only.
        let ruled_out = finding.evidence.not_much_worse >= -(0.2 * level).ln()
            || finding.fixed.is_some_and(|look| look.not_much_worse <= 0.8 * level);
        finding.inside_margin && ruled_out
    }) && findings.effectiveness.estimate > 0.0
}
