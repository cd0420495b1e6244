//! The simulator: reproducible, complete, and roughly right at a size that tests can afford.

use std::collections::BTreeSet;

use uplift_model::policy::trial::TrialPolicy;
use uplift_sim::decisions::replicate::Setup;
use uplift_sim::decisions::scenario;
use uplift_sim::decisions::score::{Score, score};

fn run(name: &str, tasks: usize, replicates: u64, threads: usize) -> Score {
    let scenario = scenario::named(name).unwrap_or_else(|| panic!("no scenario {name}"));
    let setup = Setup { scenario, tasks, share: 0.5, seed: 3, policy: TrialPolicy::default() };
    score(&setup, replicates, threads, &|| ())
}

#[test]
fn every_scenario_has_its_own_name_and_the_promised_ones_exist() {
    let names: Vec<_> = scenario::all().iter().map(|scenario| scenario.name).collect();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
    for name in "aa aa-incident aa-sessions err-x1.2 err-x1.5 succ-10 succ-20 succ-50 dur-x1.1 dur-x1.2 dur-x1.5 \
                 cost-x1.2 cost-x1.5 tail dur-x1.5-late succ-20-late improve gain-but-slower faster-but-worse \
                 aa-clustered aa-ramp aa-delay lost-records"
        .split_whitespace()
    {
        assert!(names.contains(&name), "{name}");
    }
}

#[test]
fn the_seed_decides_and_the_threads_do_not() {
    let one = run("err-x1.5", 300, 12, 1);
    assert_eq!(one, run("err-x1.5", 300, 12, 3));
    assert_eq!(one.replicates, 12);
}

#[test]
fn rates_are_shares_of_all_endings() {
    for name in ["aa-sessions", "lost-records", "improve", "aa-ramp"] {
        let score = run(name, 400, 10, 2);
        let all =
            score.p_rollback + score.p_keep_proven + score.p_keep_supported + score.p_inconclusive + score.p_invalid;
        assert!((all - 1.0).abs() < 1e-9, "{score:?}");
    }
}

#[test]
fn great_harm_goes_early_and_no_harm_stays() {
    let harm = run("succ-50", 800, 30, 2);
    assert!(harm.p_rollback > 0.99 && harm.median_candidate_tasks < Some(80.0), "{harm:?}");
    assert!(run("aa", 800, 30, 2).p_rollback < 0.2);
    assert!(run("improve", 1_600, 12, 2).p_keep_proven > 0.5);
}
