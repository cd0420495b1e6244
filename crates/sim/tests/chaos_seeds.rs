//! Some dozens of random courses with everything that can go wrong, checked against the numbered invariants at every
//! step. `cargo run --release -- chaos --seeds 1..1000` runs a thousand; `--seed N` replays one.
#![allow(clippy::unwrap_used, clippy::panic)]

use uplift_sim::chaos::seeds::{Tally, play};

const STEPS: usize = 60;

async fn seeds(seeds: impl IntoIterator<Item = u64>) -> Tally {
    let mut tally = Tally::default();
    for seed in seeds {
        let outcome = play(seed, STEPS, false).await.unwrap();
        assert_eq!(outcome.violations, [], "seed {seed}, step {}", outcome.steps);
        tally.add(&outcome.tally);
    }
    tally
}

/// Courses without crashes, trials and rollbacks would prove nothing.
fn is_a_world(tally: &Tally) {
    assert!(tally.crashes > 15 && tally.jumps > 4 && tally.refusals > 5, "{tally:?}");
    assert!(tally.trials > 15 && tally.rolled_back > 5 && tally.cancelled > 0 && tally.rejected > 0, "{tally:?}");
}

#[tokio::test]
async fn invariants_hold_1() {
    is_a_world(&seeds(1..9).await);
}

#[tokio::test]
async fn invariants_hold_2() {
    is_a_world(&seeds(9..17).await);
}

#[tokio::test]
async fn invariants_hold_3() {
    is_a_world(&seeds(17..25).await);
}

/// Trials that have to begin anew while everything is paused; kept changes that are taken out of what somebody set by
/// hand, where it has them and where it has not.
#[tokio::test]
async fn invariants_hold_where_people_meddle() {
    is_a_world(&seeds([48, 91, 206, 455]).await);
}

#[tokio::test]
async fn a_seed_replays_its_course() {
    let (first, second) = (play(7, 40, true).await.unwrap(), play(7, 40, true).await.unwrap());
    assert_eq!(first.log, second.log);
    assert_eq!(first.tally, second.tally);
}

#[tokio::test]
#[ignore = "takes a quarter of an hour"]
async fn a_thousand_seeds() {
    let tally = seeds(1..1_001).await;
    is_a_world(&tally);
    assert!(tally.kept > 100, "{tally:?}");
}
