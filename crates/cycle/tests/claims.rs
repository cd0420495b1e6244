//! From verdicts to what may be claimed.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{EQUAL, Truth, at_horizon, trial, units};
use uplift_cycle::decide::claims::{Entry, log_helped, of_fleet};
use uplift_cycle::decide::decide;
use uplift_model::history::HistoryOutcome;
use uplift_model::metric::Measure;
use uplift_model::verdict::{Decision, Verdict};

const BETTER: Truth = Truth { success: [0.7, 0.9], errors: [0.1, 0.04], duration: 0.9, cost: 0.9 };

fn verdict(truth: Truth, seed: u64) -> Verdict {
    let trial = trial(&[Measure::Success], 2_000.0);
    decide(&at_horizon(&trial, &units(truth, 2_000, seed)), &trial.policy)
}

#[test]
fn evidence_is_the_goals_and_counts_only_for_keeps() {
    let gain = verdict(BETTER, 1);
    assert_eq!(gain.decision, Decision::Keep, "{}", gain.text);
    let changed = |change: fn(&mut Verdict)| {
        let mut verdict = gain.clone();
        change(&mut verdict);
        verdict
    };
    let success = gain.findings.metrics.iter().find(|finding| finding.roles.goal).unwrap().evidence.better;
    let kept = HistoryOutcome::Kept;
    let table = [
        ("kept", true, kept, Some(gain.clone()), Some(success)),
        ("never ran", false, kept, Some(gain.clone()), None),
        ("no verdict to read", true, kept, None, Some(f64::NEG_INFINITY)),
        ("called off", true, HistoryOutcome::Cancelled, Some(gain.clone()), Some(f64::NEG_INFINITY)),
        ("kept without an answer", true, HistoryOutcome::Inconclusive, Some(gain.clone()), Some(f64::NEG_INFINITY)),
        ("before and after", true, kept, Some(changed(|verdict| verdict.findings.may_prove = false)), None),
        ("a watch", true, kept, Some(changed(|verdict| verdict.findings.watch_only = true)), None),
        ("no goal", true, kept, Some(changed(|verdict| verdict.findings.metrics.clear())), None),
    ];
    for (name, ran, outcome, verdict, expected) in table {
        assert_eq!(log_helped(ran, outcome, verdict.as_ref()), expected, "{name}");
    }
}

/// Of keeps that were kept by luck (the planned look's), hardly any may be claimed; of real gains, nearly all.
#[test]
fn luck_is_not_claimed_and_gains_are() {
    let claimed = |truth: Truth, seeds: std::ops::Range<u64>| {
        let entries: Vec<Entry> = seeds
            .map(|seed| {
                let verdict = verdict(truth, seed);
                let kept = verdict.decision == Decision::Keep;
                let outcome = if kept { HistoryOutcome::Kept } else { HistoryOutcome::Inconclusive };
                let log_helped = log_helped(true, outcome, Some(&verdict));
                Entry { improvement_id: seed as i64, outcome, log_helped }
            })
            .collect();
        of_fleet(&entries, 0.1).values().filter(|helped| helped.stands).count()
    };
    assert_eq!(claimed(EQUAL, 0..40), 0);
    assert!(claimed(BETTER, 100..110) >= 9);
}
