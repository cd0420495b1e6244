//! The same courses over PostgreSQL.
#![allow(clippy::unwrap_used, reason = "these are tests")]

use uplift_sim::chaos::faulty::When;
use uplift_sim::chaos::script::{self, Crash};
use uplift_sim::chaos::seeds;
use uplift_store::suite::scratch::{self, SERVER};

/// What is decided does not depend on where it is kept: not a number differs.
#[tokio::test]
async fn verdicts_are_those_of_sqlite() {
    let Some(place) = scratch::make().await else { return };
    let here = script::play(None).await.unwrap();
    let there = script::play_on_server(&place.address(), None).await.unwrap();
    assert_eq!((here.violations.len(), there.violations.len()), (0, 0), "{:?}", there.violations);
    similar_asserts(&here.whole, &there.whole);
    assert!(here.reasons.len() > 20 && here.reasons == there.reasons, "{}", there.reasons);
}

/// A process that dies at a commit, and one that takes its place with connections of its own.
#[tokio::test]
async fn a_crash_ends_the_same() {
    let Some(place) = scratch::make().await else { return };
    let undisturbed = script::play(None).await.unwrap();
    let crash = Crash { commit: undisturbed.commits / 2, when: When::After, lease_given_back: true };
    let crashed = script::play_on_server(&place.address(), Some(crash)).await.unwrap();
    assert!(crashed.violations.is_empty(), "{:?}", crashed.violations);
    assert_eq!(undisturbed.gist, crashed.gist);
}

/// Three processes on one database, with crashes, pauses, cuts and ended sessions.
#[tokio::test]
async fn many_nodes_keep_what_must_hold() {
    let Ok(server) = std::env::var(SERVER) else {
        println!("skipped: {SERVER} names no PostgreSQL server");
        return;
    };
    let mut disturbances = 0;
    for seed in [3, 8] {
        let outcome = seeds::play_on_server(seed, 20, true, &server).await.unwrap();
        assert!(outcome.violations.is_empty(), "seed {seed}: {:?}\n{}", outcome.violations, outcome.log.join("\n"));
        disturbances += outcome.tally.crashes + outcome.tally.restarts;
    }
    assert!(disturbances > 0, "nothing happened");
}

/// The first line that differs, should any: the whole is thousands of lines.
#[track_caller]
fn similar_asserts(one: &str, other: &str) {
    for (number, (left, right)) in one.lines().zip(other.lines()).enumerate() {
        assert_eq!(left, right, "line {number}");
    }
    assert_eq!(one.lines().count(), other.lines().count());
}
