//! Trials and units for tests.
#![allow(dead_code, clippy::unwrap_used)]

use std::collections::BTreeMap;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use uplift_cycle::monitor::Monitor;
use uplift_cycle::trial::baseline::of_history;
use uplift_model::metric::{Measure, MetricSpec, standard_metrics};
use uplift_model::policy::trial::TrialPolicy;
use uplift_model::trial::{
    Arm, AssignmentUnit, Baseline, Comparison, ShareStage, Trial, TrialKind, UnitOutcome, hours_us,
};
use uplift_model::verdict::{Findings, Verdict};

/// Microseconds in a second.
pub(crate) const SECOND_US: i64 = 1_000_000;

pub(crate) fn unit(name: u64, arm: Arm, started_us: i64) -> UnitOutcome {
    UnitOutcome {
        unit: name.to_string(),
        arm,
        started_us,
        ended: true,
        success: Some(1.0),
        errored: false,
        duration_ms: Some(1_000.0),
        tokens: None,
        cost: Some(0.02),
        scores: BTreeMap::new(),
        crossed: false,
        covariates: BTreeMap::new(),
        stratum: None,
    }
}

/// How the candidate differs: success rate, error rate, factor on duration, factor on cost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Truth {
    pub(crate) success: [f64; 2],
    pub(crate) errors: [f64; 2],
    pub(crate) duration: f64,
    pub(crate) cost: f64,
}

pub(crate) const EQUAL: Truth = Truth { success: [0.8, 0.8], errors: [0.1, 0.1], duration: 1.0, cost: 1.0 };

/// Units of both arms, evenly over the horizon.
pub(crate) fn units(truth: Truth, count: u64, seed: u64) -> Vec<UnitOutcome> {
    let mut rng = SmallRng::seed_from_u64(seed);
    let step = hours_us(24.0) / (count as i64 + 1);
    (0..count)
        .map(|name| {
            let arm = if rng.random::<f64>() < 0.5 { Arm::Candidate } else { Arm::Control };
            let place = arm.index();
            let factor = |worse: f64| if place == 1 { worse } else { 1.0 };
            let spread = (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0;
            UnitOutcome {
                success: Some(f64::from(u8::from(rng.random::<f64>() < truth.success[place]))),
                errored: rng.random::<f64>() < truth.errors[place],
                duration_ms: Some(1_000.0 * spread.exp() * factor(truth.duration)),
                cost: Some(0.02 * (0.5 * spread).exp() * factor(truth.cost)),
                ..unit(name, arm, step * (name as i64 + 1))
            }
        })
        .collect()
}

pub(crate) fn history() -> Baseline {
    of_history(&units(EQUAL, 2_000, 99), 20)
}

pub(crate) fn metrics(goals: &[Measure]) -> Vec<MetricSpec> {
    standard_metrics(goals, &[Measure::Success, Measure::Errors, Measure::Duration, Measure::Cost])
}

pub(crate) fn trial(goals: &[Measure], expected_units: f64) -> Trial {
    Trial {
        key: "t".to_owned(),
        kind: TrialKind::Trial,
        started_us: 0,
        unit: AssignmentUnit::Task,
        comparison: Comparison::Concurrent,
        stages: vec![ShareStage { from_us: 0, share: 0.5 }],
        metrics: metrics(goals),
        expected_units,
        baseline: history(),
        policy: TrialPolicy::default(),
    }
}

/// Feeds units as they come, with a look after each, up to the horizon; gives the findings there.
pub(crate) fn at_horizon(trial: &Trial, units: &[UnitOutcome]) -> Findings {
    let mut monitor = Monitor::new(trial);
    for unit in units {
        monitor.record(unit);
        monitor.look(unit.started_us + SECOND_US);
    }
    monitor.findings(trial.horizon_us())
}

/// Every number of a verdict is finite, and its JSON comes back as it was.
pub(crate) fn assert_sound(verdict: &Verdict) {
    let text = serde_json::to_string(verdict).unwrap();
    let back: Verdict = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert_eq!(back.decision, verdict.decision);
    assert!(!verdict.text.contains("NaN") && !verdict.text.contains("inf"), "{}", verdict.text);
    for finding in &verdict.findings.metrics {
        let effect = &finding.effect;
        let numbers = [
            finding.control,
            finding.candidate,
            effect.estimate,
            effect.low,
            effect.high,
            finding.evidence.harm,
            finding.evidence.better,
            finding.evidence.not_worse,
            finding.evidence_share,
        ];
        assert!(numbers.iter().all(|number| number.is_finite()), "{finding:?}");
        assert!(effect.low <= effect.estimate + 1e-9 && effect.estimate <= effect.high + 1e-9, "{finding:?}");
    }
    let whole = &verdict.findings.effectiveness;
    assert!(
        [whole.estimate, whole.low, whole.high, verdict.findings.balance].iter().all(|number| number.is_finite())
    );
}
