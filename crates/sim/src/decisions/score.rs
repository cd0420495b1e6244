//! Many trials, counted.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};
use uplift_model::verdict::{Decision, Strength};

use super::replicate::{Ending, Setup};

/// How the trials of a scenario ended; rates are shares of the replicates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Name of the scenario.
    pub name: String,
    /// Rolled back.
    pub p_rollback: f64,
    /// Kept, shown to be no worse.
    pub p_keep_proven: f64,
    /// Kept, supported.
    pub p_keep_supported: f64,
    /// Nothing shown by the horizon.
    pub p_inconclusive: f64,
    /// Comparison found broken.
    pub p_invalid: f64,
    /// Monte-Carlo standard error of `p_rollback`.
    pub se_rollback: f64,
    /// Monte-Carlo standard error of `p_keep_proven`.
    pub se_keep_proven: f64,
    /// The candidate's tasks until rollback, median over the trials that rolled back.
    pub median_candidate_tasks: Option<f64>,
    /// The candidate's tasks until the end, mean over all trials.
    pub exposed_tasks: f64,
    /// Part of the rollbacks that came before the horizon.
    pub early_rollbacks: f64,
    /// Trials run.
    pub replicates: u64,
}

/// Runs `replicates` trials on `threads` threads; `done` is called after each. The numbers do not depend on the number
/// of threads.
pub fn score(setup: &Setup, replicates: u64, threads: usize, done: &(dyn Fn() + Sync)) -> Score {
    let baseline = setup.baseline();
    let next = AtomicU64::new(0);
    let work = || {
        let mut endings = Vec::new();
        loop {
            let replicate = next.fetch_add(1, Ordering::Relaxed);
            if replicate >= replicates {
                return endings;
            }
            endings.push(short(&setup.run(replicate, &baseline)));
            done();
        }
    };
    let endings: Vec<Short> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(work)).collect();
        workers.into_iter().filter_map(|worker| worker.join().ok()).flatten().collect()
    });
    count(setup.scenario.name, &endings)
}

/// What is counted of an ending.
struct Short {
    decision: Decision,
    strength: Option<Strength>,
    early: bool,
    candidate_tasks: u64,
}

fn short(ending: &Ending) -> Short {
    Short {
        decision: ending.verdict.decision,
        strength: ending.verdict.strength,
        early: ending.verdict.findings.phase == uplift_model::verdict::Phase::Early,
        candidate_tasks: ending.candidate_tasks,
    }
}

fn count(name: &str, endings: &[Short]) -> Score {
    let all = endings.len().max(1) as f64;
    let rate = |which: &dyn Fn(&Short) -> bool| endings.iter().filter(|ending| which(ending)).count() as f64 / all;
    let error = |rate: f64| (rate * (1.0 - rate) / all).sqrt();
    let rolled_back = |ending: &Short| ending.decision == Decision::Rollback;
    let mut until: Vec<_> =
        endings.iter().filter(|ending| rolled_back(ending)).map(|ending| ending.candidate_tasks).collect();
    until.sort_unstable();
    let p_rollback = rate(&rolled_back);
    let p_keep_proven = rate(&|ending| ending.strength == Some(Strength::Proven));
    Score {
        name: name.to_owned(),
        p_rollback,
        p_keep_proven,
        p_keep_supported: rate(&|ending| ending.strength == Some(Strength::Supported)),
        p_inconclusive: rate(&|ending| matches!(ending.decision, Decision::Inconclusive | Decision::Running)),
        p_invalid: rate(&|ending| ending.decision == Decision::InvalidAllocation),
        se_rollback: error(p_rollback),
        se_keep_proven: error(p_keep_proven),
        median_candidate_tasks: until.get(until.len() / 2).map(|tasks| *tasks as f64),
        exposed_tasks: endings.iter().map(|ending| ending.candidate_tasks as f64).sum::<f64>() / all,
        early_rollbacks: rate(&|ending| rolled_back(ending) && ending.early),
        replicates: endings.len() as u64,
    }
}
