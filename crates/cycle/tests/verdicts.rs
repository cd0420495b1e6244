//! Trials that should end in a certain way.

mod common;

use std::collections::BTreeMap;

use common::{EQUAL, SECOND_US, Truth, assert_sound, at_horizon, trial, unit, units};
use rand::SeedableRng;
use rand::rngs::SmallRng;
use uplift_cycle::decide::decide;
use uplift_cycle::monitor::{Monitor, State};
use uplift_cycle::trial::preflight;
use uplift_cycle::trial::ramp::{first_stage, next_stage};
use uplift_cycle::trial::unit::{Score, attributed, fold_attempts, fold_session};
use uplift_model::metric::{CustomMetric, Direction, Measure, MetricSpec, Purpose, Roles, ScoreKind, ScoreSource};
use uplift_model::policy::trial::{KeepOn, KeepRequires, OnInconclusive, TrialPolicy};
use uplift_model::preflight::Advice;
use uplift_model::trial::{Arm, Comparison, ShareStage, TrialKind, UnitOutcome, hours_us};
use uplift_model::verdict::{Decision, Next, Phase, Reason, Strength, Verdict};

fn verdict_of(trial: &uplift_model::trial::Trial, list: &[UnitOutcome]) -> Verdict {
    let verdict = decide(&at_horizon(trial, list), &trial.policy);
    assert_sound(&verdict);
    verdict
}

const BETTER: Truth = Truth { success: [0.8, 0.92], errors: [0.1, 0.04], duration: 0.9, cost: 0.9 };

#[test]
fn truths_lead_to_their_verdicts() {
    let table = [
        ("no difference", EQUAL, Purpose::InstructionUpdate, Decision::Inconclusive, None),
        ("better in all", BETTER, Purpose::ErrorPrevention, Decision::Keep, Some(Strength::Proven)),
        (
            "success falls",
            Truth { success: [0.8, 0.64], ..EQUAL },
            Purpose::InstructionUpdate,
            Decision::Rollback,
            None,
        ),
        ("errors rise", Truth { errors: [0.1, 0.2], ..EQUAL }, Purpose::InstructionUpdate, Decision::Rollback, None),
        ("slower", Truth { duration: 1.5, ..EQUAL }, Purpose::InstructionUpdate, Decision::Rollback, None),
        ("dearer", Truth { cost: 1.5, ..EQUAL }, Purpose::InstructionUpdate, Decision::Rollback, None),
        (
            "success pays for time",
            Truth { success: [0.7, 0.9], duration: 1.2, ..EQUAL },
            Purpose::InstructionUpdate,
            Decision::Keep,
            Some(Strength::Supported),
        ),
        (
            "time does not pay for success",
            Truth { success: [0.8, 0.64], duration: 0.7, ..EQUAL },
            Purpose::PerformanceTuning,
            Decision::Rollback,
            None,
        ),
    ];
    for (name, truth, purpose, decision, strength) in table {
        let trial = trial(purpose.goals(), 4_000.0);
        let verdict = verdict_of(&trial, &units(truth, 4_000, 5));
        assert_eq!((verdict.decision, verdict.strength), (decision, strength), "{name}: {}", verdict.text);
    }
}

#[test]
fn only_a_rollback_is_early() {
    let trial = trial(Purpose::ErrorPrevention.goals(), 4_000.0);
    let mut monitor = Monitor::new(&trial);
    for unit in units(BETTER, 4_000, 5).iter().take(3_900) {
        monitor.record(unit);
    }
    let findings = monitor.findings(hours_us(23.9));
    assert_eq!((findings.phase, decide(&findings, &trial.policy).decision), (Phase::Early, Decision::Running));
}

#[test]
fn the_planned_look_happens_once() {
    let trial = trial(&[Measure::Success], 500.0);
    let mut monitor = Monitor::new(&trial);
    for unit in units(EQUAL, 500, 5) {
        monitor.record(&unit);
    }
    let phases = [24.0, 25.0, 72.0].map(|hours| {
        let findings = monitor.findings(hours_us(hours));
        (findings.phase, findings.last, findings.metrics[0].fixed.is_some())
    });
    assert_eq!(
        phases,
        [(Phase::FirstHorizon, false, true), (Phase::Extended, false, false), (Phase::Extended, true, false)]
    );
}

#[test]
fn not_knowing_follows_the_policy() {
    let trial = trial(&[Measure::Success], 1_000.0);
    let mut findings = at_horizon(&trial, &units(EQUAL, 1_000, 6));
    for (choice, last, next) in [
        (OnInconclusive::Extend, false, Next::Continue),
        (OnInconclusive::Extend, true, Next::Rollback),
        (OnInconclusive::Rollback, false, Next::Rollback),
        (OnInconclusive::Keep, false, Next::Keep),
    ] {
        findings.last = last;
        let policy = TrialPolicy { on_inconclusive: choice, ..TrialPolicy::default() };
        let verdict = decide(&findings, &policy);
        assert_eq!((verdict.decision, verdict.next), (Decision::Inconclusive, next), "{choice:?}");
    }
}

#[test]
fn a_policy_that_asks_for_proof_gets_it() {
    let truth = Truth { success: [0.7, 0.9], duration: 1.2, ..EQUAL };
    let mut trial = trial(&[Measure::Success], 4_000.0);
    trial.policy.keep_requires = KeepRequires::Proven;
    assert_eq!(verdict_of(&trial, &units(truth, 4_000, 5)).decision, Decision::Inconclusive);
    trial.policy.keep_on = KeepOn::NotWorse;
    let equal = verdict_of(&trial, &units(EQUAL, 60_000, 5));
    assert_eq!((equal.decision, equal.strength), (Decision::Keep, Some(Strength::Proven)), "{}", equal.text);
}

#[test]
fn broken_comparisons_are_invalid() {
    let trial = trial(&[Measure::Success], 2_000.0);
    let lopsided: Vec<_> = units(BETTER, 2_000, 5)
        .into_iter()
        .enumerate()
        .filter(|(place, unit)| unit.arm == Arm::Control || place % 4 > 0)
        .map(|(_, unit)| unit)
        .collect();
    let verdict = verdict_of(&trial, &lopsided);
    assert_eq!((verdict.decision, verdict.reasons[0]), (Decision::InvalidAllocation, Reason::SampleRatioMismatch));
    let mut monitor = Monitor::new(&trial);
    for unit in units(BETTER, 2_000, 5) {
        monitor.record(&unit);
        if unit.unit.ends_with('7') {
            // Seen again, in the other arm: it stays where it was first put.
            let other = if unit.arm == Arm::Control { Arm::Candidate } else { Arm::Control };
            monitor.record(&UnitOutcome { arm: other, ..unit });
        }
    }
    let findings = monitor.findings(trial.horizon_us());
    assert_eq!(findings.allocation.assigned.iter().sum::<u64>(), 2_000);
    assert_eq!(decide(&findings, &trial.policy).reasons[0], Reason::Crossover);
}

#[test]
fn a_split_in_doubt_keeps_nothing_and_still_rolls_back() {
    let mut trial = trial(&[Measure::Success], 2_000.0);
    trial.policy.on_inconclusive = OnInconclusive::Keep;
    let better = at_horizon(&trial, &units(BETTER, 2_000, 5));
    let worse = at_horizon(&trial, &units(Truth { success: [0.8, 0.6], ..EQUAL }, 2_000, 5));
    let table = [
        (&better, 99.0, Decision::Keep, Next::Keep),
        (&better, 101.0, Decision::Inconclusive, Next::Rollback),
        (&better, 1_001.0, Decision::InvalidAllocation, Next::Rollback),
        (&worse, 101.0, Decision::Rollback, Next::Rollback),
        (&worse, 1_001.0, Decision::InvalidAllocation, Next::Rollback),
    ];
    for (findings, evidence, decision, next) in table {
        let mut findings = findings.clone();
        findings.allocation.log_evidence = f64::ln(evidence);
        let verdict = decide(&findings, &trial.policy);
        assert_eq!((verdict.decision, verdict.next), (decision, next), "{evidence}: {}", verdict.text);
        let named = verdict.reasons.contains(&Reason::SampleRatioMismatch);
        assert_eq!(named, evidence > 100.0 && decision != Decision::Rollback, "{}", verdict.text);
    }
}

#[test]
fn the_same_record_twice_changes_nothing_and_a_late_one_is_counted() {
    let trial = trial(&[Measure::Success], 300.0);
    let list = units(EQUAL, 300, 8);
    let (mut once, mut twice) = (Monitor::new(&trial), Monitor::new(&trial));
    for unit in &list {
        once.record(unit);
        twice.record(unit);
        once.look(unit.started_us + SECOND_US);
        twice.look(unit.started_us + SECOND_US);
        twice.record(unit);
    }
    let horizon = trial.horizon_us();
    assert_eq!(once.findings(horizon).metrics, twice.findings(horizon).metrics);
    once.record(&list[0]);
    assert_eq!(once.findings(horizon + 1).late, 1);
}

#[test]
fn a_saved_state_goes_on_where_it_was() {
    let trial = trial(&[Measure::Success], 400.0);
    let list = units(Truth { duration: 1.3, ..EQUAL }, 400, 9);
    let mut whole = Monitor::new(&trial);
    let mut parts = Monitor::new(&trial);
    for (place, unit) in list.iter().enumerate() {
        whole.record(unit);
        parts.record(unit);
        let now_us = unit.started_us + SECOND_US;
        let look = whole.look(now_us);
        assert!((look.log_combined - parts.look(now_us).log_combined).abs() < 1e-12);
        if place % 50 == 0 {
            let saved = serde_json::to_string(parts.state()).unwrap();
            let state: State = serde_json::from_str(&saved).unwrap();
            parts = Monitor::resume(&trial, state);
        }
    }
}

#[test]
fn what_hangs_counts_as_failed_once_it_is_old_enough() {
    let trial = trial(&[Measure::Success], 400.0);
    let hanging: Vec<_> = units(EQUAL, 400, 10)
        .into_iter()
        .map(|unit| match unit.arm {
            Arm::Control => unit,
            Arm::Candidate => UnitOutcome { ended: false, success: None, duration_ms: None, cost: None, ..unit },
        })
        .collect();
    let mut monitor = Monitor::new(&trial);
    for unit in &hanging {
        monitor.record(unit);
    }
    let findings = monitor.findings(trial.horizon_us());
    let success = findings.metrics.iter().find(|finding| finding.name == "success").unwrap();
    assert!(success.candidate.abs() < 1e-9 && success.n[1] > 150, "{success:?}");
    assert_eq!(decide(&findings, &trial.policy).decision, Decision::Rollback);
}

#[test]
fn before_and_after_never_proves_and_a_hold_back_never_decides_early() {
    let mut weaker = trial(Purpose::ErrorPrevention.goals(), 4_000.0);
    weaker.comparison = Comparison::BeforeAfter;
    let verdict = verdict_of(&weaker, &units(BETTER, 4_000, 5));
    assert_eq!((verdict.decision, verdict.strength), (Decision::Keep, Some(Strength::Supported)), "{}", verdict.text);

    let mut watch = trial(Purpose::ErrorPrevention.goals(), 4_000.0);
    watch.kind = TrialKind::HoldBack;
    let mut monitor = Monitor::new(&watch);
    for unit in units(BETTER, 4_000, 5) {
        monitor.record(&unit);
    }
    let half = decide(&monitor.findings(watch.horizon_us() / 2), &watch.policy);
    assert_eq!(half.decision, Decision::Running, "{}", half.text);
    let worse = Truth { success: [0.8, 0.6], ..EQUAL };
    assert_eq!(verdict_of(&watch, &units(worse, 4_000, 5)).decision, Decision::Rollback);
    let ended = verdict_of(&watch, &units(BETTER, 4_000, 5));
    assert_eq!((ended.decision, ended.reasons[0]), (Decision::Keep, Reason::WatchEnded));
}

#[test]
fn a_hold_back_has_its_own_level_and_its_own_end() {
    let mut watch = trial(&[Measure::Success], 4_000.0);
    watch.kind = TrialKind::HoldBack;
    assert_eq!((watch.horizon_us(), watch.last_horizon_us()), (hours_us(168.0), hours_us(168.0)));
    let worse = Truth { success: [0.8, 0.6], ..EQUAL };
    let list = units(worse, 4_000, 5);
    let threshold = |trial: &uplift_model::trial::Trial| at_horizon(trial, &list).combined.log_threshold;
    assert!((threshold(&watch) - 20.0_f64.ln()).abs() < 1e-12);
    watch.policy.hold_back_alpha = 1e-300;
    assert_eq!(verdict_of(&watch, &list).decision, Decision::Keep);
    watch.policy.hold_back_alpha = 0.2;
    assert!((threshold(&watch) - 5.0_f64.ln()).abs() < 1e-12);
}

#[test]
fn tokens_beside_cost_are_no_second_test_for_harm() {
    // Where cost is reported it speaks for the tokens: a trifle of them more, exactly measured, is no harm.
    let truth = Truth { duration: 0.7, ..EQUAL };
    let list: Vec<_> = units(truth, 1_000, 5)
        .into_iter()
        .map(|unit| {
            let more = if unit.arm == Arm::Candidate { 1.01 } else { 1.0 };
            UnitOutcome { tokens: Some(5_000.0 * more + (unit.started_us % 97) as f64), ..unit }
        })
        .collect();
    let mut trial = trial(&[Measure::Duration, Measure::Cost], 1_000.0);
    let all = [Measure::Success, Measure::Errors, Measure::Duration, Measure::Tokens, Measure::Cost];
    trial.metrics = uplift_model::metric::standard_metrics(&[Measure::Duration, Measure::Cost], &all);
    let verdict = verdict_of(&trial, &list);
    let tokens = verdict.findings.metrics.iter().find(|metric| metric.name == "tokens").unwrap();
    assert!(tokens.effect.estimate < 0.0 && tokens.effect.high < 0.0, "{tokens:?}");
    assert!(tokens.fixed.unwrap().harm > 0.99, "{tokens:?}");
    assert_ne!(verdict.decision, Decision::Rollback, "{}", verdict.text);
}

#[test]
fn a_single_metric_below_the_threshold_ends_the_trial_after_the_first_horizon_only() {
    let mut alone = trial(&[Measure::Success], 4_000.0);
    alone.metrics.retain(|spec| spec.measure == Measure::Success);
    // No other rule may act.
    alone.policy.rollback_alpha = 1e-300;
    alone.policy.horizon_alpha = 1e-300;
    let mut monitor = Monitor::new(&alone);
    for unit in units(Truth { success: [0.8, 0.7], ..EQUAL }, 4_000, 5) {
        monitor.record(&unit);
    }
    let verdicts = [23.9, 24.0, 25.0].map(|hours| decide(&monitor.findings(hours_us(hours)), &alone.policy));
    assert_eq!(
        verdicts.each_ref().map(|verdict| verdict.decision),
        [Decision::Running, Decision::Inconclusive, Decision::Rollback]
    );
    assert_eq!(verdicts[2].reasons[0], Reason::EffectivenessBelowThreshold, "{}", verdicts[2].text);
}

#[test]
fn what_was_known_beforehand_narrows_the_interval_and_moves_no_estimate() {
    // Durations are e^size times noise a third as wide; what is recorded afterwards must not change the prediction.
    let spread = |name: u64| (name * 7_919 % 1_000) as f64 / 500.0 - 1.0;
    let sized = |mut unit: UnitOutcome, name: u64, size: f64| {
        unit.covariates = BTreeMap::from([("size".to_owned(), size)]);
        unit.duration_ms = Some(1_000.0 * (spread(name) + 0.3 * spread(name * 31 + 7)).exp());
        unit
    };
    let list = |factor: f64| -> Vec<UnitOutcome> {
        let all = units(EQUAL, 2_000, 12).into_iter().enumerate();
        all.map(|(name, unit)| sized(unit, name as u64, factor * spread(name as u64))).collect()
    };
    let mut plain = trial(&[Measure::Success], 2_000.0);
    plain.baseline = uplift_cycle::trial::baseline::of_history(&list(0.0), 20);
    assert!(plain.baseline.predictor.is_none());
    let mut informed = plain.clone();
    informed.baseline = uplift_cycle::trial::baseline::of_history(&list(1.0), 20);
    let explained = informed.baseline.predictor.as_ref().unwrap().explained("duration_ms");
    assert!((explained - 1.0 / 1.09).abs() < 0.03, "{explained}");
    let effect = |trial: &uplift_model::trial::Trial, list: &[UnitOutcome]| {
        let findings = at_horizon(trial, list);
        let found = findings.metrics.iter().find(|finding| finding.name == "duration_ms").unwrap();
        (found.effect, found.control)
    };
    let ((wide, control), (narrow, adjusted)) = (effect(&plain, &list(1.0)), effect(&informed, &list(1.0)));
    let ratio = ((narrow.high - narrow.low) / (wide.high - wide.low)).powi(2);
    // A little more than 1 - R^2: history's whole variance counts for forty units.
    assert!(ratio > 1.0 - explained - 0.02 && ratio < 1.0 - explained + 0.06, "{ratio} {explained}");
    assert!(narrow.estimate.abs() < wide.estimate.abs().max(0.02), "{narrow:?} {wide:?}");
    assert!((adjusted / control - 1.0).abs() < 0.05, "{adjusted} {control}");
    // The same outcomes with sizes shifted for everyone: prompts have grown, and nothing else follows from it.
    let grown = list(1.0).into_iter().map(|mut unit| {
        unit.covariates.insert("size".to_owned(), unit.covariates["size"] + 0.5);
        unit
    });
    let (moved, shown) = effect(&informed, &grown.collect::<Vec<_>>());
    assert!((moved.estimate - narrow.estimate).abs() < 1e-3 && (shown / adjusted - 1.0).abs() < 1e-6, "{moved:?}");
}

#[test]
fn what_becomes_known_later_is_not_what_was_known_beforehand() {
    let mut informed = trial(&[Measure::Success], 2_000.0);
    let list: Vec<UnitOutcome> = units(EQUAL, 2_000, 12)
        .into_iter()
        .map(|unit| {
            let covariates = BTreeMap::from([("size".to_owned(), unit.duration_ms.unwrap().ln())]);
            UnitOutcome { covariates, ..unit }
        })
        .collect();
    informed.baseline = uplift_cycle::trial::baseline::of_history(&list, 20);
    let findings = |last: &dyn Fn(&UnitOutcome) -> UnitOutcome| {
        let mut monitor = Monitor::new(&informed);
        for unit in &list {
            monitor.record(&UnitOutcome { ended: false, duration_ms: None, ..unit.clone() });
            monitor.record(&last(unit));
        }
        monitor.findings(informed.horizon_us())
    };
    let honest = findings(&Clone::clone);
    let swapped = findings(&|unit| UnitOutcome { covariates: BTreeMap::new(), ..unit.clone() });
    assert_eq!(honest, swapped);
}

fn helpful(direction: Direction, kind: ScoreKind) -> CustomMetric {
    CustomMetric {
        name: "helpful".to_owned(),
        kind,
        direction,
        weight: 1.0,
        margin: Some(0.1),
        source: ScoreSource::Human,
        attribution_window_ms: 60_000.0,
    }
}

#[test]
fn a_declared_score_can_veto_and_can_be_a_goal() {
    for (direction, kind, candidate, decision) in [
        (Direction::Higher, ScoreKind::Number, 3.0, Decision::Rollback),
        (Direction::Lower, ScoreKind::Number, 3.0, Decision::Keep),
        (Direction::Higher, ScoreKind::Boolean, 0.3, Decision::Rollback),
        (Direction::Lower, ScoreKind::Boolean, 0.3, Decision::Keep),
    ] {
        let number = kind == ScoreKind::Number;
        let mut trial = trial(&[], 4_000.0);
        let roles = Roles { goal: true, guardrail: true, cost: false };
        trial.metrics = vec![
            MetricSpec { measure: Measure::Success, roles: Roles { guardrail: true, ..Roles::default() } },
            MetricSpec { measure: Measure::Custom(helpful(direction, kind)), roles },
        ];
        let list: Vec<_> = units(EQUAL, 4_000, 11)
            .into_iter()
            .enumerate()
            .map(|(place, unit)| {
                let level = match (unit.arm, number) {
                    (Arm::Control, true) => 4.0,
                    (Arm::Control, false) => 0.5,
                    (Arm::Candidate, _) => candidate,
                };
                let dice = ((place * 7_919) % 1_000) as f64 / 1_000.0;
                let value = if number { level + dice } else { f64::from(u8::from(dice < level)) };
                UnitOutcome { scores: BTreeMap::from([("helpful".to_owned(), value)]), ..unit }
            })
            .collect();
        let verdict = verdict_of(&trial, &list);
        assert_eq!(verdict.decision, decision, "{direction:?} {kind:?}: {}", verdict.text);
    }
}

#[test]
fn scores_count_within_their_window_and_the_last_one_wins() {
    let given = [(0, 1.0), (30, 2.0), (50, 3.0), (70, 4.0)].map(|(second, value)| Score {
        metric: "helpful".to_owned(),
        value,
        given_us: second * SECOND_US,
    });
    let scores = attributed(&[helpful(Direction::Higher, ScoreKind::Number)], 0, &given);
    assert!((scores["helpful"] - 3.0).abs() < 1e-12);
}

#[test]
fn attempts_count_once_and_sessions_as_means() {
    let first = UnitOutcome { success: Some(0.0), errored: true, ..unit(1, Arm::Candidate, 5) };
    let second = UnitOutcome { cost: Some(0.03), ..unit(1, Arm::Candidate, 9) };
    let folded = fold_attempts(&[first.clone(), second.clone()]).unwrap();
    assert_eq!((folded.success, folded.errored, folded.started_us, folded.crossed), (Some(1.0), false, 5, false));
    assert!((folded.cost.unwrap() - 0.05).abs() < 1e-12 && (folded.duration_ms.unwrap() - 2_000.0).abs() < 1e-9);
    let session = fold_session("s", &[first, UnitOutcome { arm: Arm::Control, ..second }]).unwrap();
    assert_eq!(
        (session.success, session.errored, session.arm, session.crossed),
        (Some(0.5), true, Arm::Candidate, true)
    );
    assert!(fold_attempts(&[]).is_none() && fold_session("s", &[]).is_none());
}

#[test]
fn the_share_grows_when_time_and_units_allow() {
    let mut trial = trial(&[Measure::Success], 400.0);
    trial.stages = vec![first_stage(&trial.policy, 0)];
    let at = |assigned, interference, hours| next_stage(&trial, assigned, interference, hours_us(hours));
    assert_eq!(at([500, 49], false, 3.0), None);
    assert_eq!(at([500, 50], false, 1.9), None);
    assert_eq!(at([500, 50], true, 3.0), None);
    assert_eq!(at([500, 50], false, 3.0), Some(ShareStage { from_us: hours_us(3.0), share: 0.5 }));
}

#[test]
fn the_preflight_says_what_can_be_seen() {
    let history = units(EQUAL, 2_000, 12);
    let metrics = common::metrics(&[Measure::Duration]);
    let policy = TrialPolicy::default();
    let ask = |units_per_day, share| {
        let input = preflight::Input { units_per_day, share, metrics: &metrics, history: &history, policy: &policy };
        preflight::check(&input, &mut SmallRng::seed_from_u64(1))
    };
    let little = ask(40.0, 0.1);
    assert!(!little.enough && little.advice == [Advice::LargerShare, Advice::BeforeAfter], "{}", little.text);
    assert!(little.text.contains("this agent runs 40 a day"), "{}", little.text);
    let much = ask(20_000.0, 0.5);
    let power = |name: &str| much.metrics.iter().find(|metric| metric.name == name).map(|metric| metric.power);
    assert!(much.enough && power("duration_ms") > Some(0.9) && power("errors") < Some(0.6), "{much:?}");
    assert!((preflight::units_needed(1.0, 0.1, 0.1) as f64 - 9_600.0).abs() < 200.0);
    assert!(!ask(f64::NAN, 0.5).enough);
}

#[test]
fn control_slower_than_its_own_forecast_is_interference() {
    let day = |first: i64, factor: f64, seed: u64| -> Vec<UnitOutcome> {
        let mut list = units(EQUAL, 500, seed);
        for unit in &mut list {
            // Twice as slow in the second half of every day.
            let late = unit.started_us % hours_us(24.0) >= hours_us(12.0);
            unit.started_us += first * hours_us(24.0);
            unit.duration_ms = unit.duration_ms.map(|ms| ms * factor * if late { 2.0 } else { 1.0 });
            unit.unit = format!("{first}/{}", unit.unit);
        }
        list
    };
    let history: Vec<UnitOutcome> = (0..10).flat_map(|first| day(first, 1.0, 40 + first as u64)).collect();
    let mut shared = trial(&[Measure::Success], 500.0);
    shared.baseline = uplift_cycle::trial::baseline::of_history(&history, 20);
    shared.started_us = 10 * hours_us(24.0);
    shared.stages = vec![ShareStage { from_us: shared.started_us, share: 0.5 }];
    let flagged = |factor: f64, hours: f64| {
        let mut monitor = Monitor::new(&shared);
        let until_us = shared.started_us + hours_us(hours);
        for unit in day(10, factor, 77).iter().filter(|unit| unit.started_us < until_us) {
            monitor.record(unit);
        }
        monitor.findings(until_us).interference
    };
    // The slow half of the day alone is no news; that both arms are half as slow again is.
    assert_eq!([flagged(1.0, 12.0), flagged(1.0, 24.0), flagged(1.6, 24.0)], [false, false, true]);
    assert!(!flagged(0.5, 24.0));
}
