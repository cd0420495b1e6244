//! Recorded runs as a live trial: one after the other, with a look after each.

use uplift_cycle::decide;
use uplift_cycle::judge::Sample;
use uplift_cycle::monitor::Monitor;
use uplift_cycle::trial::baseline::of_history;
use uplift_model::metric::{Measure, MetricSpec};
use uplift_model::policy::trial::TrialPolicy;
use uplift_model::trial::{AssignmentUnit, Comparison, ShareStage, Trial, TrialKind, UnitOutcome};
use uplift_model::verdict::{Decision, Verdict};

/// Where a replayed trial stopped.
#[derive(Debug, Clone, PartialEq)]
pub struct Stop {
    /// The verdict there.
    pub verdict: Verdict,
    /// Runs of control and candidate seen by then.
    pub after: [u64; 2],
    /// True when that was before all runs were seen.
    pub early: bool,
}

/// Replays both arms side by side over one horizon: the k-th part of control runs beside the k-th part of the
/// candidate's, because recorded arms were often run one after the other. Control's runs serve as history, since there
/// is no other: thresholds and variances come from them.
pub fn live(
    control: &[Sample],
    candidate: &[Sample],
    metrics: &[MetricSpec],
    policy: &TrialPolicy,
    share: f64,
) -> Stop {
    let history: Vec<UnitOutcome> = control.iter().map(|run| run.outcome.clone()).collect();
    let reported: Vec<MetricSpec> =
        metrics.iter().filter(|spec| is_reported(&spec.measure, &history)).cloned().collect();
    // A run is over when it is replayed, so nothing is ever too young.
    let policy = TrialPolicy { task_timeout_ms: Some(1e-3), ..policy.clone() };
    let trial = Trial {
        key: "replay".to_owned(),
        kind: TrialKind::Trial,
        started_us: 0,
        unit: AssignmentUnit::Task,
        comparison: Comparison::Concurrent,
        stages: vec![ShareStage { from_us: 0, share }],
        metrics: reported,
        expected_units: (control.len() + candidate.len()) as f64,
        baseline: of_history(&history, policy.baseline_minimum),
        policy,
    };
    let mut monitor = Monitor::new(&trial);
    let mut after = [0, 0];
    let order = interleaved(control, candidate);
    let step = trial.horizon_us() / (order.len() as i64 + 2);
    for (place, outcome) in order.iter().enumerate() {
        let now_us = step * (place as i64 + 1);
        after[outcome.arm.index()] += 1;
        // Runs of both arms may carry one name; here they are different units.
        let unit = format!("{}/{}", outcome.arm.index(), outcome.unit);
        monitor.record(&UnitOutcome { unit, started_us: now_us, ended: true, ..(*outcome).clone() });
        let look = monitor.look(now_us + 1);
        let due = decide::is_due(
            look.log_combined,
            look.log_allocation,
            look.crossover,
            look.horizon_reached,
            &trial.policy,
        );
        if due {
            let verdict = decide::decide(&monitor.findings(now_us + 1), &trial.policy);
            if verdict.decision != Decision::Running {
                return Stop { verdict, after, early: place + 1 < order.len() };
            }
        }
    }
    let verdict = decide::decide(&monitor.findings(trial.horizon_us()), &trial.policy);
    Stop { verdict, after, early: false }
}

fn is_reported(measure: &Measure, history: &[UnitOutcome]) -> bool {
    history.iter().any(|outcome| match measure {
        Measure::Success => outcome.success.is_some(),
        Measure::Errors => true,
        Measure::Duration => outcome.duration_ms.is_some(),
        Measure::Tokens => outcome.tokens.is_some(),
        Measure::Cost => outcome.cost.is_some(),
        Measure::Custom(custom) => outcome.scores.contains_key(&custom.name),
    })
}

fn interleaved<'a>(control: &'a [Sample], candidate: &'a [Sample]) -> Vec<&'a UnitOutcome> {
    let placed = |arm: &'a [Sample]| {
        let length = arm.len().max(1) as f64;
        arm.iter().enumerate().map(move |(place, run)| ((place as f64 + 0.5) / length, &run.outcome))
    };
    let mut order: Vec<_> = placed(control).chain(placed(candidate)).collect();
    order.sort_by(|a, b| a.0.total_cmp(&b.0));
    order.into_iter().map(|(_, outcome)| outcome).collect()
}
