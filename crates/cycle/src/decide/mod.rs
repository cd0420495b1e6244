//! Decide: findings and policy become a verdict. A total match, without memory: the same findings give the same verdict.
//!
//! The order is the order of trust: is the comparison sound, does the candidate hurt, is it shown to help; and if none
//! of these, what the policy says about not knowing. [`claims`] says, over many improvements, which of them may be said
//! to have helped.

pub mod claims;
mod harm;
mod keep;
mod words;

use uplift_model::policy::trial::{OnInconclusive, TrialPolicy};
use uplift_model::verdict::{Decision, Findings, Next, Phase, Reason, Strength, Verdict};

/// Units below which a share of crossed units says nothing.
const CROSSOVER_UNITS: u64 = 50;

/// Evidence that one arm reports other than the other (units missing, outcomes unknown) from which on nothing is kept. To
/// call the whole comparison broken takes more (`allocation_evidence`): a doubt may wait, a trial that was ended may not.
const DOUBT: f64 = 100.0;

/// True where a look may lead to a verdict, so that the findings are worth computing: the sums of one look suffice to
/// say no.
pub fn is_due(
    log_combined: f64,
    log_allocation: f64,
    crossover: f64,
    horizon_reached: bool,
    policy: &TrialPolicy,
) -> bool {
    // Which of the two levels applies is in the findings; the weaker one decides whether they are worth computing.
    horizon_reached
        || log_combined >= (1.0 / policy.rollback_alpha.max(policy.hold_back_alpha)).ln()
        || log_allocation >= policy.allocation_evidence.ln()
        || crossover > policy.max_crossover
}

/// What was decided, before it is put into words.
#[derive(Debug, Clone, PartialEq)]
struct Ruling {
    decision: Decision,
    strength: Option<Strength>,
    next: Next,
    reasons: Vec<Reason>,
    deciding: Vec<String>,
}

impl Ruling {
    fn new(decision: Decision, next: Next, reason: Reason) -> Self {
        Self { decision, strength: None, next, reasons: vec![reason], deciding: Vec::new() }
    }

    fn because_of(mut self, metrics: Vec<String>) -> Self {
        self.deciding = metrics;
        self
    }
}

/// Decides. Findings that say nothing (an empty arm, no spread, nothing matured) never lead to a keep.
pub fn decide(findings: &Findings, policy: &TrialPolicy) -> Verdict {
    let ruling = rule(findings, policy);
    let units_needed = match ruling.decision {
        Decision::Running | Decision::Inconclusive => units_needed(findings),
        _ => None,
    };
    Verdict {
        text: words::text(findings, policy, &ruling, units_needed),
        decision: ruling.decision,
        strength: ruling.strength,
        next: ruling.next,
        reasons: ruling.reasons,
        deciding: ruling.deciding,
        units_needed,
        findings: findings.clone(),
    }
}

fn rule(findings: &Findings, policy: &TrialPolicy) -> Ruling {
    if let Some(reason) = broken(findings, policy) {
        return Ruling::new(Decision::InvalidAllocation, Next::Rollback, reason);
    }
    if let Some(ruling) = harm::rule(findings, policy) {
        return ruling;
    }
    if findings.watch_only {
        return if findings.last {
            Ruling::new(Decision::Keep, Next::Keep, Reason::WatchEnded)
        } else {
            Ruling::new(Decision::Running, Next::Continue, Reason::TooEarly)
        };
    }
    if findings.phase == Phase::Early {
        return Ruling::new(Decision::Running, Next::Continue, Reason::TooEarly);
    }
    match keep::rule(findings, policy) {
        Ok(ruling) => ruling,
        Err(reasons) => inconclusive(findings, policy, reasons),
    }
}

fn broken(findings: &Findings, policy: &TrialPolicy) -> Option<Reason> {
    let allocation = &findings.allocation;
    if allocation.log_evidence >= policy.allocation_evidence.ln() {
        return Some(Reason::SampleRatioMismatch);
    }
    let units: u64 = allocation.assigned.iter().sum();
    (units >= CROSSOVER_UNITS && allocation.crossover > policy.max_crossover).then_some(Reason::Crossover)
}

/// Whether the split looks other than declared, be it broken or not.
fn split_in_doubt(findings: &Findings) -> bool {
    findings.allocation.log_evidence >= DOUBT.ln()
}

fn inconclusive(findings: &Findings, policy: &TrialPolicy, mut reasons: Vec<Reason>) -> Ruling {
    if findings.matured.contains(&0) {
        reasons.insert(0, Reason::EmptyArm);
    }
    let next = match policy.on_inconclusive {
        OnInconclusive::Extend if findings.last => Next::Rollback,
        OnInconclusive::Extend => Next::Continue,
        OnInconclusive::Rollback => Next::Rollback,
        // Not knowing is one thing, having measured nothing, or perhaps the wrong units, another.
        OnInconclusive::Keep if findings.matured.contains(&0) || split_in_doubt(findings) => Next::Rollback,
        OnInconclusive::Keep => Next::Keep,
    };
    let mut ruling = Ruling::new(Decision::Inconclusive, next, Reason::GoalNotShown);
    ruling.reasons = reasons;
    ruling
}

/// The most that any metric with a part still needs; `None` as soon as one of them points to no decision and none to a
/// sooner rollback.
fn units_needed(findings: &Findings) -> Option<u64> {
    let acting = findings.metrics.iter().filter(|finding| finding.roles.any());
    let worse =
        acting.clone().filter(|finding| !finding.inside_margin).filter_map(|finding| finding.units_needed).min();
    if worse.is_some() {
        return worse;
    }
    acting.map(|finding| finding.units_needed).try_fold(0, |most, needed| needed.map(|needed| most.max(needed)))
}
