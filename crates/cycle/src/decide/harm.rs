//! Reasons to roll back.

use uplift_model::metric::Roles;
use uplift_model::policy::trial::TrialPolicy;
use uplift_model::verdict::{Decision, Findings, MetricFinding, Next, Phase, Reason};

use super::Ruling;

pub(super) fn rule(findings: &Findings, policy: &TrialPolicy) -> Option<Ruling> {
    let rollback =
        |reason, metrics| Some(Ruling::new(Decision::Rollback, Next::Rollback, reason).because_of(metrics));
    if let Some(metrics) = by_evidence(findings, policy) {
        return rollback(Reason::CombinedEvidence, metrics);
    }
    let horizon = findings.phase == Phase::FirstHorizon && !findings.watch_only;
    if horizon && let Some(metrics) = at_horizon(findings, policy) {
        return rollback(Reason::HarmAtHorizon, metrics);
    }
    if below_threshold(findings, policy) {
        return rollback(Reason::EffectivenessBelowThreshold, worst(findings));
    }
    None
}

/// The combined evidence. If it takes the costs to reach the threshold, they count only while the whole is worse: a
/// change may be paid for.
fn by_evidence(findings: &Findings, policy: &TrialPolicy) -> Option<Vec<String>> {
    let combined = &findings.combined;
    if combined.log_evidence < combined.log_threshold {
        return None;
    }
    let by_costs_alone = combined.log_evidence_without_costs < combined.log_threshold;
    if by_costs_alone && paid_for(findings, policy) {
        return None;
    }
    let largest = findings.metrics.iter().map(|finding| finding.evidence_share).fold(0.0, f64::max);
    Some(names(findings, |finding| finding.evidence_share > 0.0 && finding.evidence_share >= 0.5 * largest))
}

/// The one planned look for harm, its level shared by all metrics that play a part.
fn at_horizon(findings: &Findings, policy: &TrialPolicy) -> Option<Vec<String>> {
    let tested = findings.metrics.iter().filter(|finding| finding.roles.any()).count().max(1);
    let level = policy.horizon_alpha / tested as f64;
    let paid = paid_for(findings, policy);
    let harmful = names(findings, |finding| {
        let worse = finding.fixed.is_some_and(|look| look.harm <= level) && finding.effect.estimate < 0.0;
        finding.roles.any() && worse && !(paid && is_only_cost(finding.roles))
    });
    (!harmful.is_empty()).then_some(harmful)
}

/// Evidence for a goal that makes higher costs wait for the horizon.
const PROMISING: f64 = 2.0;

/// How far towards the upper end of its interval a goal is given credit, early on: what it costs more shows long before what
/// it gains does, where that is rare.
const CREDIT: f64 = 0.25;

/// Higher costs are paid for: early while the whole is better, or a goal promises to be or may yet make it so, and then
/// they wait for the horizon; there only by a goal that is shown to be better, with the whole.
fn paid_for(findings: &Findings, policy: &TrialPolicy) -> bool {
    let level = policy.keep_alpha;
    let mut goals = findings.metrics.iter().filter(|finding| finding.roles.goal);
    if findings.phase == Phase::Early {
        return findings.balance >= 0.0
            || may_yet_pay(findings)
            || goals.any(|finding| finding.evidence.better > PROMISING.ln());
    }
    let shown = goals.any(|finding| {
        finding.evidence.better >= -level.ln() || finding.fixed.is_some_and(|look| look.better <= level / 2.0)
    });
    shown && settled(findings) >= 0.0
}

/// Whether the goals, a little better than they look, would make up for the costs as they look. Guardrails that are no goals
/// neither pay nor cost: they are watched by themselves, and where they are rare their noise would decide.
fn may_yet_pay(findings: &Findings) -> bool {
    let bill = findings.metrics.iter().map(|finding| {
        let effect = &finding.effect;
        let credit = CREDIT * (effect.high - effect.estimate);
        match finding.roles {
            roles if roles.goal => finding.weight * (effect.estimate + credit),
            roles if is_only_cost(roles) => finding.weight * effect.estimate,
            _ => 0.0,
        }
    });
    bill.sum::<f64>() >= 0.0
}

/// The bill at the horizon: effects that can be told from nothing, weighted as in the effectiveness.
fn settled(findings: &Findings) -> f64 {
    let told = findings.metrics.iter().filter(|finding| finding.effect.low > 0.0 || finding.effect.high < 0.0);
    told.map(|finding| finding.weight * finding.effect.estimate).sum()
}

/// The whole is worse than is tolerated, and can be told from nothing. Never early; not in a hold-back, whose error level
/// is all with the combined evidence. A whole of one metric has been judged by its own test at the first horizon, and a
/// second one there would add to its error level; later, its interval holds at every look (ADR 0108).
fn below_threshold(findings: &Findings, policy: &TrialPolicy) -> bool {
    let whole = &findings.effectiveness;
    let metrics = findings.metrics.iter().filter(|finding| finding.weight > 0.0).count();
    let applies = match findings.phase {
        Phase::Early => false,
        Phase::FirstHorizon => metrics > 1,
        Phase::Extended => true,
    };
    applies && !findings.watch_only && whole.estimate < policy.rollback_threshold && whole.high < 0.0
}

fn worst(findings: &Findings) -> Vec<String> {
    names(findings, |finding| finding.weight > 0.0 && finding.effect.estimate < 0.0)
}

fn names(findings: &Findings, which: impl Fn(&MetricFinding) -> bool) -> Vec<String> {
    findings.metrics.iter().filter(|finding| which(finding)).map(|finding| finding.name.clone()).collect()
}

pub(super) fn is_only_cost(roles: Roles) -> bool {
    roles.cost && !roles.goal && !roles.guardrail
}
