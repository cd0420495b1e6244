//! Who gets which arm, as resolvers see it: shares that are right, arms that stay, trials that know nothing of each other.
#![allow(clippy::unwrap_used)]

use uplift_model::entity::{EntityKey, EntityState, EntityType};
use uplift_model::policy::trial::TrialPolicy;
use uplift_model::revision::RevisionId;
use uplift_model::trial::{
    Arm, AssignmentUnit, Baseline, Comparison, ShareStage, Trial, TrialKind, TrialRecord, bucket,
};
use uplift_runner::snapshot::Snapshot;
use uplift_store::rows::ServedRow;

const UNITS: u64 = 1_000_000;
const NOW_US: i64 = 10;

fn key(id: i64) -> EntityKey {
    EntityKey::new(EntityType::Agent, id)
}

/// An agent in a trial in which the candidate has this share.
fn row(id: i64, share: f64) -> ServedRow {
    let (base, candidate) = (RevisionId::from_stored(format!("a{id}")), RevisionId::from_stored(format!("b{id}")));
    let record = TrialRecord {
        id,
        improvement_id: id,
        entity: key(id),
        base: base.clone(),
        candidate,
        trial: Trial {
            key: format!("improvement/{id}/1"),
            kind: TrialKind::Trial,
            started_us: 0,
            unit: AssignmentUnit::Task,
            comparison: Comparison::Concurrent,
            stages: vec![ShareStage { from_us: 0, share }],
            metrics: Vec::new(),
            expected_units: 1_000.0,
            baseline: Baseline::default(),
            policy: TrialPolicy::default(),
        },
        running: true,
        cursor: 0,
        looked_us: 0,
        verdict: None,
        ended_at: None,
        ending: None,
    };
    let configuration = |arm: &str| format!("{{\"model\":\"{arm}\"}}");
    ServedRow {
        entity: key(id),
        environment: "default".to_owned(),
        name: format!("agent-{id}"),
        state: EntityState::Active,
        revision: Some(base),
        configuration: Some(configuration("a")),
        defaults: None,
        trial: Some((Box::new(record), configuration("a"), configuration("b"))),
    }
}

fn resolver(shares: &[f64]) -> Snapshot {
    let snapshot = Snapshot::default();
    snapshot.put(shares.iter().enumerate().map(|(place, share)| row(place as i64 + 1, *share)).collect());
    snapshot
}

fn is_candidate(snapshot: &Snapshot, id: i64, unit: &str) -> bool {
    let (_, arm) = snapshot.resolve_key(key(id), Some(unit), NOW_US).unwrap().trial.unwrap();
    arm == Arm::Candidate
}

/// As long as trace ids are, and as unlike each other.
fn unit(number: u64) -> String {
    format!("{:032x}", u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835))
}

#[test]
fn shares_are_right_over_a_million_units_and_arms_stay() {
    let shares = [0.1, 0.5];
    // Two nodes, or one before and after it was started again: nothing is stored, and nothing differs.
    let (one, other) = (resolver(&shares), resolver(&shares));
    let mut counts = [0_u64; 2];
    for number in 0..UNITS {
        let unit = unit(number);
        for (place, count) in counts.iter_mut().enumerate() {
            let arm = is_candidate(&one, place as i64 + 1, &unit);
            *count += u64::from(arm);
            if number % 10 == 0 {
                assert_eq!(arm, is_candidate(&other, place as i64 + 1, &unit), "{unit}");
            }
        }
    }
    for (share, count) in shares.into_iter().zip(counts) {
        let expected = UNITS as f64 * share;
        let error = (expected * (1.0 - share)).sqrt();
        // Four standard errors: for units that are what they are, this holds or does not, always.
        assert!((count as f64 - expected).abs() < 4.0 * error, "{count} of {UNITS} at {share}");
    }
}

/// Pearson's statistic.
fn chi_square(observed: &[f64], expected: &[f64]) -> f64 {
    observed.iter().zip(expected).map(|(observed, expected)| (observed - expected).powi(2) / expected).sum()
}

#[test]
fn trials_know_nothing_of_each_other() {
    let shares = [0.5, 0.5, 0.2, 0.1, 0.05];
    let snapshot = resolver(&shares);
    let total = 200_000_u64;
    let arms: Vec<Vec<bool>> = (0..total)
        .map(|number| (1..=shares.len() as i64).map(|id| is_candidate(&snapshot, id, &unit(number))).collect())
        .collect();
    for first in 0..shares.len() {
        for second in 0..first {
            let count =
                |a: bool, b: bool| arms.iter().filter(|arms| arms[first] == a && arms[second] == b).count() as f64;
            let cells = [count(true, true), count(true, false), count(false, true), count(false, false)];
            let n = total as f64;
            let (p, q) = ((cells[0] + cells[1]) / n, (cells[0] + cells[2]) / n);
            let expected = [n * p * q, n * p * (1.0 - q), n * (1.0 - p) * q, n * (1.0 - p) * (1.0 - q)];
            // Beyond this with a probability of 1 in 10,000, one degree of freedom.
            let statistic = chi_square(&cells, &expected);
            assert!(statistic < 15.14, "trials {first} and {second}: {statistic}");
        }
    }
}

#[test]
fn units_are_spread_evenly() {
    let (bins, total) = (100_usize, 200_000_u64);
    for trial in ["improvement/1/1", "improvement/2/1", "improvement/1/2"] {
        let mut counts = vec![0.0; bins];
        for number in 0..total {
            counts[(bucket(trial, &unit(number)) * bins as f64) as usize] += 1.0;
        }
        // Beyond this with a probability of 1 in 10,000, 99 degrees of freedom.
        let statistic = chi_square(&counts, &vec![total as f64 / bins as f64; bins]);
        assert!(statistic < 161.3, "{trial}: {statistic}");
    }
}
