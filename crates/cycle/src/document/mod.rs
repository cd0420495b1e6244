//! Document: what became of an improvement, as a record for the history and a report that a person can read.
//!
//! In reading order: [`entry`] (the record), `report` (Markdown, section by section), [`diff`] (changes in words),
//! `markdown` (what may stand in a report, and how), [`lesson`] (one line for logs).

mod changes;
mod markdown;
mod report;
#[cfg(test)]
mod tests;

use uplift_model::Time;
use uplift_model::check::{Check, CheckResult};
use uplift_model::history::{HistoryEntry, HistoryOutcome, MetricValues};
use uplift_model::improvement::Improvement;
use uplift_model::trial::TrialRecord;
use uplift_model::verdict::{Decision, MetricFinding, Verdict};

pub use changes::diff;

/// Longest reason, in characters.
const MAX_REASON_CHARS: usize = 1_000;

/// How an improvement ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// Shown to help; the candidate is in place.
    Kept,
    /// Shown to harm during its trial; the old revision stayed.
    RolledBack,
    /// Kept first, shown to harm in the watch after it; the old revision returned.
    RolledBackAfterKeep,
    /// Nothing was shown, or the comparison was broken.
    Inconclusive {
        /// True where the candidate stays by policy, false where the old revision returned.
        kept: bool,
    },
    /// A check refused it: it never ran.
    Rejected {
        /// Why.
        reason: String,
    },
    /// Called off, before, during or after its trial.
    Cancelled {
        /// By whom.
        by: String,
        /// Why.
        reason: String,
    },
}

/// What there is to write down.
#[derive(Debug, Clone)]
pub struct Input<'a> {
    /// When it was decided.
    pub now: Time,
    /// What was changed.
    pub improvement: &'a Improvement,
    /// The name of the entity that was changed.
    pub entity_name: &'a str,
    /// Its trial; none where it never ran.
    pub trial: Option<&'a TrialRecord>,
    /// What was decided on the trial, if anything was.
    pub verdict: Option<&'a Verdict>,
    /// What validation found.
    pub checks: &'a [Check],
    /// How it ended.
    pub ending: Ending,
}

/// The entry of the history, with its report.
pub fn entry(input: &Input<'_>) -> HistoryEntry {
    let improvement = input.improvement;
    let values = |side: fn(&MetricFinding) -> f64, arm: usize| {
        let findings = &input.verdict?.findings;
        let known = findings.metrics.iter().filter(|metric| metric.n[arm] > 0);
        let values = known.map(|metric| (metric.name.clone(), side(metric))).filter(|(_, value)| value.is_finite());
        Some(MetricValues(values.collect())).filter(|values: &MetricValues| !values.0.is_empty())
    };
    let measured = input.verdict.filter(|verdict| is_comparable(verdict));
    HistoryEntry {
        improvement_id: improvement.id,
        entity: improvement.entity,
        improvement_type: improvement.proposal.improvement_type,
        outcome: outcome(&input.ending),
        reason: reason(input),
        started_at: input.trial.map(|record| Time::from_micros(record.trial.started_us)),
        decided_at: input.now,
        metrics_before: values(|metric| metric.control, 0),
        metrics_after: values(|metric| metric.candidate, 1),
        effectiveness: measured.map(|verdict| verdict.findings.effectiveness),
        rollback_revision: input.trial.map(|record| record.base.clone()).or_else(|| improvement.base.clone()),
        verdict: input.verdict.cloned(),
        report: report::report(input),
    }
}

/// Whether the two sides say anything about each other.
fn is_comparable(verdict: &Verdict) -> bool {
    verdict.decision != Decision::InvalidAllocation && verdict.findings.matured.iter().all(|units| *units > 0)
}

fn outcome(ending: &Ending) -> HistoryOutcome {
    match ending {
        Ending::Kept => HistoryOutcome::Kept,
        Ending::RolledBack | Ending::RolledBackAfterKeep => HistoryOutcome::RolledBack,
        Ending::Inconclusive { .. } => HistoryOutcome::Inconclusive,
        Ending::Rejected { .. } => HistoryOutcome::Rejected,
        Ending::Cancelled { .. } => HistoryOutcome::Cancelled,
    }
}

/// How it ended, in a few words.
fn headline(input: &Input<'_>) -> String {
    let broken = input.verdict.is_some_and(|verdict| verdict.decision == Decision::InvalidAllocation);
    match &input.ending {
        Ending::Kept => match input.verdict.and_then(|verdict| verdict.strength) {
            Some(strength) => format!("kept, {}", report::strength(strength)),
            None => "kept".to_owned(),
        },
        Ending::RolledBack => "rolled back for harm".to_owned(),
        Ending::RolledBackAfterKeep => "kept first, rolled back for harm in the watch after it".to_owned(),
        Ending::Inconclusive { kept } => {
            let what = if broken { "the comparison is not valid" } else { "inconclusive" };
            let stays = if *kept { "the candidate stays, by policy" } else { "the old revision stays" };
            format!("{what}: {stays}")
        }
        Ending::Rejected { .. } => "rejected before any trial".to_owned(),
        Ending::Cancelled { .. } => "called off".to_owned(),
    }
}

/// Why it ended so, in a sentence or two.
fn reason(input: &Input<'_>) -> String {
    let verdict = input.verdict.map(|verdict| verdict.text.as_str()).unwrap_or_default();
    let text = match &input.ending {
        Ending::RolledBackAfterKeep => format!("In the watch after the keep: {verdict}"),
        // An inconclusive verdict says what follows; a broken comparison says only that.
        Ending::Inconclusive { kept: true } if !verdict.contains("candidate stays") => {
            format!("{verdict} The candidate stays in place.")
        }
        Ending::Inconclusive { kept: false } if !verdict.contains("old revision") => {
            format!("{verdict} The old revision stays in place.")
        }
        Ending::Kept | Ending::RolledBack | Ending::Inconclusive { .. } => verdict.to_owned(),
        Ending::Rejected { reason } => {
            let first = input.checks.iter().find(|check| check.result == CheckResult::Refused);
            first.map_or_else(|| reason.clone(), |check| format!("{}: {reason}", check.name))
        }
        Ending::Cancelled { by, reason } => format!("called off by {by}: {reason}"),
    };
    let text = markdown::one_line(&text, MAX_REASON_CHARS);
    if text.is_empty() { headline(input) } else { text }
}

/// What an entry teaches, in a line for logs.
pub fn lesson(entry: &HistoryEntry) -> String {
    let measured = entry.effectiveness.map_or_else(String::new, |effect| format!(", {}", report::effect(effect)));
    format!(
        "improvement {} ({} on {}) {}{measured}",
        entry.improvement_id, entry.improvement_type, entry.entity, entry.outcome
    )
}
