//! Recorded runs as a live trial: one after the other, with a look after each.
//!
//! In the order of their start times where the arms ran at the same time, with the horizons in that time. Recorded arms
//! were often run one after the other, though, and then time says nothing about which is better: such runs are laid side
//! by side, the k-th part of control's beside the k-th part of the candidate's, over one horizon.

use serde::Serialize;
use uplift_cycle::decide;
use uplift_cycle::judge::Sample;
use uplift_cycle::monitor::Monitor;
use uplift_cycle::stats::allocation;
use uplift_cycle::trial::baseline::of_history;
use uplift_model::metric::{Measure, MetricSpec};
use uplift_model::policy::trial::TrialPolicy;
use uplift_model::trial::{Arm, AssignmentUnit, Comparison, ShareStage, Trial, TrialKind, UnitOutcome, hours_us};
use uplift_model::verdict::{Decision, Next, Verdict};

/// What is replayed.
#[derive(Debug, Clone, Copy)]
pub struct Recorded<'a> {
    /// Control's runs, in order; they serve as history too, since there is no other.
    pub control: &'a [Sample],
    /// The candidate's runs, in order.
    pub candidate: &'a [Sample],
    /// Metrics with their roles.
    pub metrics: &'a [MetricSpec],
    /// Numbers the decisions obey.
    pub policy: &'a TrialPolicy,
    /// Share the candidate was meant to have, in (0, 1); `None` where nobody says that runs were assigned at random.
    pub share: Option<f64>,
}

/// In which order runs were replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// By the times they started.
    Times,
    /// By position: some runs have no start time.
    PositionsWithoutTimes,
    /// By position: the arms did not run side by side.
    PositionsOneAfterTheOther,
}

/// Where a replayed trial stopped.
#[derive(Debug, Clone, PartialEq)]
pub struct Stop {
    /// The verdict there.
    pub verdict: Verdict,
    /// Runs of control and candidate started by then.
    pub after: [u64; 2],
    /// True when that was before all runs were seen.
    pub early: bool,
    /// How the runs were ordered.
    pub order: Order,
    /// Hours from the first start; by position, parts of the first horizon.
    pub hours: f64,
}

/// Something that is seen of a run.
struct Seen<'a> {
    at_us: i64,
    ended: bool,
    started_us: i64,
    outcome: &'a UnitOutcome,
}

/// Replays both arms over their horizons, with a look after each end.
pub fn live(recorded: &Recorded<'_>) -> Stop {
    let order = order(recorded);
    let runs: Vec<&UnitOutcome> =
        recorded.control.iter().chain(recorded.candidate).map(|sample| &sample.outcome).collect();
    let trial = trial(recorded, order, &runs);
    let seen = match order {
        Order::Times => by_time(&runs),
        _ => by_position(recorded, trial.horizon_us()),
    };
    watch(&trial, &seen, runs.len() as u64, order)
}

fn watch(trial: &Trial, seen: &[Seen<'_>], runs: u64, order: Order) -> Stop {
    let mut monitor = Monitor::new(trial);
    let mut after = [0, 0];
    let stop = |verdict, after: [u64; 2], at_us: i64| Stop {
        verdict,
        after,
        early: after[0] + after[1] < runs,
        order,
        hours: (at_us - trial.started_us) as f64 / 3.6e9,
    };
    let mut planned = false;
    for next in seen {
        // The planned look is held at the horizon, whatever ends next.
        if !planned && next.at_us >= trial.horizon_us() {
            planned = true;
            if let Some(verdict) = ruled(&mut monitor, trial, trial.horizon_us()) {
                return stop(verdict, after, trial.horizon_us());
            }
        }
        if next.at_us > trial.last_horizon_us() {
            break;
        }
        monitor.record(&record(next));
        if !next.ended {
            after[next.outcome.arm.index()] += 1;
            continue;
        }
        let look = monitor.look(next.at_us);
        let policy = &trial.policy;
        let due =
            decide::is_due(look.log_combined, look.log_allocation, look.crossover, look.horizon_reached, policy);
        if due && let Some(verdict) = ruled(&mut monitor, trial, next.at_us) {
            return stop(verdict, after, next.at_us);
        }
    }
    let end_us = if planned { trial.last_horizon_us() } else { trial.horizon_us() };
    let verdict = decide::decide(&monitor.findings(end_us), &trial.policy);
    stop(verdict, after, end_us)
}

/// A verdict that ends the trial. After the first horizon an inconclusive trial may go on.
fn ruled(monitor: &mut Monitor, trial: &Trial, at_us: i64) -> Option<Verdict> {
    let verdict = decide::decide(&monitor.findings(at_us), &trial.policy);
    let undecided = matches!(verdict.decision, Decision::Running | Decision::Inconclusive);
    let goes_on = undecided && verdict.next == Next::Continue;
    (!goes_on).then_some(verdict)
}

fn record(seen: &Seen<'_>) -> UnitOutcome {
    let outcome = seen.outcome;
    // Runs of both arms may carry one name; here they are different units.
    let unit = format!("{}/{}", outcome.arm.index(), outcome.unit);
    let ended = UnitOutcome { unit, started_us: seen.started_us, ended: true, ..outcome.clone() };
    if seen.ended {
        return ended;
    }
    UnitOutcome {
        ended: false,
        success: None,
        errored: false,
        duration_ms: None,
        tokens: None,
        cost: None,
        scores: std::collections::BTreeMap::new(),
        ..ended
    }
}

fn trial(recorded: &Recorded<'_>, order: Order, runs: &[&UnitOutcome]) -> Trial {
    let history: Vec<UnitOutcome> = recorded.control.iter().map(|run| run.outcome.clone()).collect();
    let metrics = recorded.metrics.iter().filter(|spec| is_reported(&spec.measure, &history)).cloned().collect();
    let mut policy = recorded.policy.clone();
    let (mut started_us, mut expected_units) = (0, runs.len() as f64);
    if order == Order::Times {
        let starts = || runs.iter().map(|run| run.started_us);
        started_us = starts().min().unwrap_or(0);
        let horizon_us = started_us.saturating_add(hours_us(policy.test_duration_hours));
        expected_units = starts().filter(|start| *start < horizon_us).count() as f64;
    } else {
        // A run is over when it is replayed, so nothing is ever too young.
        policy.task_timeout_ms = Some(1e-3);
    }
    Trial {
        key: "replay".to_owned(),
        kind: TrialKind::Trial,
        started_us,
        unit: AssignmentUnit::Task,
        comparison: Comparison::Concurrent,
        stages: vec![ShareStage { from_us: started_us, share: share(recorded) }],
        metrics,
        expected_units,
        baseline: of_history(&history, policy.baseline_minimum),
        policy,
    }
}

/// The share that was meant, else the one there is.
fn share(recorded: &Recorded<'_>) -> f64 {
    let [control, candidate] = [recorded.control, recorded.candidate].map(|arm| arm.len() as f64);
    recorded.share.unwrap_or_else(|| (candidate / (control + candidate).max(1.0)).clamp(0.01, 0.99))
}

/// Start times order the runs where all have one, and where the arms ran side by side: said to be assigned at random, or
/// at no time so lopsided that chance does not explain it.
fn order(recorded: &Recorded<'_>) -> Order {
    let mut starts: Vec<(i64, Arm)> = recorded
        .control
        .iter()
        .chain(recorded.candidate)
        .map(|run| (run.outcome.started_us, run.outcome.arm))
        .collect();
    if starts.iter().any(|(at_us, _)| *at_us <= 0) {
        return Order::PositionsWithoutTimes;
    }
    if recorded.share.is_some() {
        return Order::Times;
    }
    starts.sort_unstable();
    let share = share(recorded);
    let mut counts = [0.0; 2];
    let lopsided = starts.iter().any(|(_, arm)| {
        counts[arm.index()] += 1.0;
        let ln = allocation::ln_mismatch(counts, [1.0 - share, share], allocation::CONCENTRATION);
        ln >= recorded.policy.allocation_evidence.ln()
    });
    if lopsided { Order::PositionsOneAfterTheOther } else { Order::Times }
}

/// Starts and ends in the order of time; a run of unknown length ends as it starts.
fn by_time<'a>(runs: &[&'a UnitOutcome]) -> Vec<Seen<'a>> {
    let mut seen: Vec<Seen<'a>> = runs
        .iter()
        .flat_map(|outcome| {
            let started_us = outcome.started_us;
            let length_us = outcome.duration_ms.filter(|ms| ms.is_finite() && *ms > 0.0).map_or(0.0, |ms| ms * 1e3);
            let end = Seen { at_us: started_us.saturating_add(length_us as i64), ended: true, started_us, outcome };
            // A run that never ended in the records goes on for ever.
            let end = outcome.ended.then_some(end);
            [Some(Seen { at_us: started_us, ended: false, started_us, outcome }), end]
        })
        .flatten()
        .collect();
    seen.sort_by_key(|seen| (seen.at_us, seen.ended));
    seen
}

fn by_position<'a>(recorded: &Recorded<'a>, horizon_us: i64) -> Vec<Seen<'a>> {
    let placed = |arm: &'a [Sample]| {
        let length = arm.len().max(1) as f64;
        arm.iter().enumerate().map(move |(place, run)| ((place as f64 + 0.5) / length, &run.outcome))
    };
    let mut order: Vec<_> = placed(recorded.control).chain(placed(recorded.candidate)).collect();
    order.sort_by(|a, b| a.0.total_cmp(&b.0));
    let step = horizon_us / (order.len() as i64 + 2);
    order
        .into_iter()
        .enumerate()
        .flat_map(|(place, (_, outcome))| {
            let started_us = step * (place as i64 + 1);
            [(started_us, false), (started_us + 1, true)].map(|(at_us, ended)| Seen {
                at_us,
                ended,
                started_us,
                outcome,
            })
        })
        .collect()
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
