//! Bad input: an explicit result, never a number that is none, never a panic, never a keep.

mod common;

use common::{EQUAL, Truth, assert_sound, at_horizon, trial, unit, units};
use proptest::prelude::*;
use uplift_cycle::decide::decide;
use uplift_cycle::judge::{self, Question, Sample};
use uplift_cycle::monitor::Monitor;
use uplift_model::metric::Measure;
use uplift_model::policy::trial::TrialPolicy;
use uplift_model::trial::{Arm, Baseline, ShareStage, UnitOutcome, hours_us};
use uplift_model::verdict::Decision;

fn only(arm: Arm) -> Vec<UnitOutcome> {
    units(EQUAL, 2_000, 1).into_iter().filter(|unit| unit.arm == arm).collect()
}

fn changed(change: impl Fn(&mut UnitOutcome)) -> Vec<UnitOutcome> {
    let mut list = units(EQUAL, 2_000, 1);
    for unit in &mut list {
        change(unit);
    }
    list
}

fn cases() -> Vec<(&'static str, Vec<UnitOutcome>)> {
    vec![
        ("no units", Vec::new()),
        ("only control", only(Arm::Control)),
        ("only the candidate", only(Arm::Candidate)),
        ("all failures", changed(|unit| unit.success = Some(0.0))),
        ("all errors", changed(|unit| unit.errored = true)),
        (
            "no variance",
            changed(|unit| {
                *unit = UnitOutcome { ..super_equal(unit) };
            }),
        ),
        (
            "no variance, faster by the same factor",
            changed(|unit| {
                let faster = if unit.arm == Arm::Candidate { 900.0 } else { 1_000.0 };
                *unit = UnitOutcome { duration_ms: Some(faster), ..super_equal(unit) };
            }),
        ),
        ("infinite durations", changed(|unit| unit.duration_ms = Some(f64::INFINITY))),
        ("zero durations", changed(|unit| unit.duration_ms = Some(0.0))),
        ("negative durations", changed(|unit| unit.duration_ms = Some(-5.0))),
        ("durations that are no numbers", changed(|unit| unit.duration_ms = Some(f64::NAN))),
        ("impossible success", changed(|unit| unit.success = Some(7.0))),
        ("unknown success", changed(|unit| unit.success = None)),
        (
            "success unknown in one arm",
            changed(|unit| {
                if unit.arm == Arm::Candidate && unit.success == Some(0.0) {
                    unit.success = None;
                }
            }),
        ),
        ("all in both arms", changed(|unit| unit.crossed = true)),
        ("one unit over and over", vec![unit(1, Arm::Candidate, 5); 3_000]),
    ]
}

fn super_equal(like: &UnitOutcome) -> UnitOutcome {
    UnitOutcome { unit: like.unit.clone(), ..unit(0, like.arm, like.started_us) }
}

#[test]
fn live_trials_answer_explicitly_and_never_keep() {
    for (name, list) in cases() {
        for history in [true, false] {
            let mut trial = trial(&[Measure::Success, Measure::Duration], 2_000.0);
            if !history {
                trial.baseline = Baseline::default();
            }
            let verdict = decide(&at_horizon(&trial, &list), &trial.policy);
            assert_sound(&verdict);
            assert!(!matches!(verdict.decision, Decision::Keep | Decision::Running), "{name}: {}", verdict.text);
            assert!(!verdict.reasons.is_empty(), "{name}");
        }
    }
}

#[test]
fn judged_runs_answer_explicitly_and_never_keep() {
    for (name, list) in cases() {
        for paired in [true, false] {
            let arm = |arm: Arm| -> Vec<Sample> {
                let chosen = list.iter().filter(|unit| unit.arm == arm);
                chosen
                    .enumerate()
                    .map(|(place, unit)| Sample { item: paired.then(|| place.to_string()), outcome: unit.clone() })
                    .collect()
            };
            let question = Question {
                metrics: common::metrics(&[Measure::Success, Measure::Duration]),
                policy: TrialPolicy::default(),
                share: None,
                crossed: list.iter().filter(|unit| unit.crossed).count() as u64,
                predictor: uplift_cycle::trial::covariates::predictor(&list.iter().collect::<Vec<_>>(), 20),
            };
            let findings = judge::findings(&arm(Arm::Control), &arm(Arm::Candidate), &question);
            let verdict = decide(&findings, &question.policy);
            assert_sound(&verdict);
            assert_ne!(verdict.decision, Decision::Keep, "{name}: {}", verdict.text);
        }
    }
}

#[test]
fn shares_that_make_no_sense_are_survived() {
    for share in [0.0, 1.0, -1.0, f64::NAN, 2.0] {
        let mut trial = trial(&[Measure::Success], 2_000.0);
        trial.stages = vec![ShareStage { from_us: 0, share }];
        let verdict = decide(&at_horizon(&trial, &units(EQUAL, 500, 3)), &trial.policy);
        assert_sound(&verdict);
        assert_ne!(verdict.decision, Decision::Keep);
    }
    let mut without = trial(&[Measure::Success], f64::NAN);
    without.stages.clear();
    assert_sound(&decide(&at_horizon(&without, &units(EQUAL, 500, 3)), &without.policy));
}

#[test]
fn a_trial_without_metrics_never_keeps() {
    let mut trial = trial(&[], 2_000.0);
    trial.metrics.clear();
    let verdict = decide(&at_horizon(&trial, &units(EQUAL, 500, 3)), &trial.policy);
    assert_sound(&verdict);
    assert_eq!(verdict.decision, Decision::Inconclusive);
}

fn any_outcome() -> impl Strategy<Value = UnitOutcome> {
    let number = prop_oneof![
        Just(f64::NAN),
        Just(f64::INFINITY),
        Just(0.0),
        Just(-1.0),
        Just(f64::MAX),
        Just(f64::MIN_POSITIVE),
        0.0..1e6,
    ];
    let success = prop_oneof![Just(None), Just(Some(0.0)), Just(Some(1.0)), number.clone().prop_map(Some)];
    let amount = prop_oneof![Just(None), number.prop_map(Some)];
    (0..60_u64, any::<bool>(), 0..hours_us(30.0), any::<bool>(), success, any::<bool>(), amount.clone(), amount)
        .prop_map(|(name, candidate, started_us, ended, success, errored, duration_ms, cost)| UnitOutcome {
            ended,
            success,
            errored,
            duration_ms,
            cost,
            ..unit(name, if candidate { Arm::Candidate } else { Arm::Control }, started_us)
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn nothing_makes_a_number_that_is_none(list in proptest::collection::vec(any_outcome(), 0..120)) {
        let trial = trial(&[Measure::Success, Measure::Duration], 100.0);
        let mut monitor = Monitor::new(&trial);
        for outcome in &list {
            monitor.record(outcome);
            let look = monitor.look(outcome.started_us);
            prop_assert!(look.log_combined.is_finite() && look.log_allocation.is_finite());
        }
        for hours in [1.0, 24.0, 25.0, 72.0] {
            assert_sound(&decide(&monitor.findings(hours_us(hours)), &trial.policy));
        }
    }

    #[test]
    fn the_order_of_records_does_not_matter(seed in 0..1_000_u64, turn in 1..200_usize) {
        let worse = Truth { duration: 1.2, ..EQUAL };
        let trial = trial(&[Measure::Success], 200.0);
        let list = units(worse, 200, seed);
        let mut turned = list.clone();
        turned.rotate_left(turn);
        let look = |list: &[UnitOutcome]| {
            let mut monitor = Monitor::new(&trial);
            for unit in list {
                monitor.record(unit);
            }
            monitor.look(hours_us(24.0)).log_combined
        };
        prop_assert!((look(&list) - look(&turned)).abs() < 1e-9);
    }
}
