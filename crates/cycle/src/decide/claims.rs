//! Which claims that something helped stand, over all improvements of a fleet.
//!
//! One trial in twenty is kept by chance; over a hundred trials that is five claims that are not so. e-LOND (Xu and
//! Ramdas 2024) holds the expected share of false claims among all claims, whatever the dependence between trials. It
//! is for claims only: a rollback never waits for it, and a keep that is no claim stays kept.

use std::collections::BTreeMap;

use uplift_model::history::HistoryOutcome;
use uplift_model::verdict::{Decision, Verdict};

use crate::stats::combine::ln_sum;
use crate::stats::elond::{Claim, ELond};

/// An entry of the history, as far as claims go.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Entry {
    /// The improvement.
    pub improvement_id: i64,
    /// How it ended.
    pub outcome: HistoryOutcome,
    /// What [`log_helped`] says of it.
    pub log_helped: Option<f64>,
}

/// Whether it may be said of a kept improvement that it helped.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Helped {
    /// True where it may be said: the evidence is enough, and the improvement was not taken back for harm since.
    pub stands: bool,
    /// True where it was taken back for harm after the keep.
    pub withdrawn: bool,
    /// Natural logarithm of the evidence that it helped; minus infinity where none can be read.
    pub log_evidence: f64,
    /// Natural logarithm of the evidence that it takes.
    pub log_needed: f64,
}

/// Natural logarithm of the evidence that an improvement helped, from how it ended: the mean of its goals' e-values
/// against "not better" at its last look. An ending other than a keep, and one without a readable verdict, is evidence
/// of nothing (minus infinity) and still one of the sequence: what is claimed is only ever claimed of what was kept, and
/// the bar must not depend on which trials failed.
///
/// `None` where no claim was possible from the start, and so the improvement takes no place in the sequence: it never
/// ran (`ran` is false), was compared with the time before, had no goal, or this is the end of a watch after a keep.
pub fn log_helped(ran: bool, outcome: HistoryOutcome, verdict: Option<&Verdict>) -> Option<f64> {
    if !ran {
        return None;
    }
    let Some(verdict) = verdict else { return Some(f64::NEG_INFINITY) };
    let findings = &verdict.findings;
    let goals = findings.metrics.iter().filter(|finding| finding.roles.goal);
    let goals: Vec<f64> = goals.map(|finding| finding.evidence.better).collect();
    // `may_prove` is false for comparisons before and after, whatever was found.
    if findings.watch_only || !findings.may_prove || goals.is_empty() {
        return None;
    }
    if outcome != HistoryOutcome::Kept || verdict.decision != Decision::Keep {
        return Some(f64::NEG_INFINITY);
    }
    let part = 1.0 / goals.len() as f64;
    Some(ln_sum(goals.iter().map(|ln| (part, *ln))))
}

/// What may be said of each kept improvement, by its number, at an expected share `alpha` of false claims among all, in
/// (0, 1). Entries come in the order in which they were decided; the first of an improvement takes its place in the
/// sequence, later ones can only withdraw the claim. Entries added at the end change no answer before them, except that.
/// A kept improvement of which nothing could be claimed is absent.
pub fn of_fleet(entries: &[Entry], alpha: f64) -> BTreeMap<i64, Helped> {
    let mut sequence = ELond::new(alpha);
    let mut seen: BTreeMap<i64, Option<Helped>> = BTreeMap::new();
    for entry in entries {
        if let Some(earlier) = seen.get_mut(&entry.improvement_id) {
            if let Some(helped) = earlier
                && entry.outcome == HistoryOutcome::RolledBack
            {
                helped.withdrawn = true;
                helped.stands = false;
            }
            continue;
        }
        let helped = entry.log_helped.map(|log_evidence| (log_evidence, sequence.test(log_evidence.exp())));
        let kept = helped.filter(|_| entry.outcome == HistoryOutcome::Kept);
        seen.insert(entry.improvement_id, kept.map(|(log_evidence, claim)| first(log_evidence, claim)));
    }
    seen.into_iter().filter_map(|(id, helped)| Some((id, helped?))).collect()
}

fn first(log_evidence: f64, claim: Claim) -> Helped {
    Helped { stands: claim.discovery, withdrawn: false, log_evidence, log_needed: -claim.level.ln() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uplift_model::history::HistoryOutcome::{Cancelled, Inconclusive, Kept, Rejected, RolledBack};

    fn entry(improvement_id: i64, outcome: HistoryOutcome, e: Option<f64>) -> Entry {
        Entry { improvement_id, outcome, log_helped: e.map(f64::ln) }
    }

    /// The row of the reference: evidence in order, which claims stand, and their levels.
    const E: [f64; 5] = [500.0, 3.0, 2_000.0, 40.0, 800.0];
    const STANDS: [bool; 5] = [true, false, true, false, true];
    const LEVELS: [f64; 5] = [0.005_351_68, 0.002_327_64, 0.001_982_5, 0.002_473_08, 0.002_096_66];

    #[test]
    fn claims_follow_the_reference_and_never_change_afterwards() {
        let entries: Vec<Entry> = (10..).zip(E).map(|(id, e)| entry(id, Kept, Some(e))).collect();
        let all = of_fleet(&entries, 0.1);
        assert_eq!(all.values().map(|helped| helped.stands).collect::<Vec<_>>(), STANDS);
        for (helped, level) in all.values().zip(LEVELS) {
            assert!((helped.log_needed - -f64::ln(level)).abs() < 1e-5, "{helped:?} {level}");
        }
        for length in 0..=entries.len() {
            let fewer = of_fleet(&entries[..length], 0.1);
            assert!(fewer.iter().all(|(id, helped)| all[id] == *helped) && fewer.len() == length);
        }
    }

    #[test]
    fn what_takes_a_place_and_what_does_not() {
        // Enough for the bar of the first place (187), not for that of the second after no discovery (859).
        let mine = || entry(9, Kept, Some(300.0));
        let table = [
            ("alone", vec![mine()], Some((true, false))),
            ("after one that never ran", vec![entry(1, Rejected, None), mine()], Some((true, false))),
            ("after one that failed", vec![entry(1, RolledBack, Some(0.0)), mine()], Some((false, false))),
            ("after one without an answer", vec![entry(1, Inconclusive, Some(0.0)), mine()], Some((false, false))),
            ("after one whose number is broken", vec![entry(1, Kept, Some(-1.0)), mine()], Some((false, false))),
            ("taken back for harm later", vec![mine(), entry(9, RolledBack, None)], Some((false, true))),
            ("taken back by a person later", vec![mine(), entry(9, Cancelled, None)], Some((true, false))),
            ("nothing could be claimed", vec![entry(9, Kept, None)], None),
        ];
        for (name, entries, expected) in table {
            let found = of_fleet(&entries, 0.1).get(&9).map(|helped| (helped.stands, helped.withdrawn));
            assert_eq!(found, expected, "{name}");
        }
        assert!(of_fleet(&[], 0.1).is_empty());
    }

    #[test]
    fn the_end_of_a_watch_takes_no_second_place() {
        let watched = [entry(1, Kept, Some(500.0)), entry(1, RolledBack, Some(0.0)), entry(2, Kept, Some(300.0))];
        let without = [watched[0], watched[2]];
        assert_eq!(of_fleet(&watched, 0.1)[&2], of_fleet(&without, 0.1)[&2]);
    }
}
