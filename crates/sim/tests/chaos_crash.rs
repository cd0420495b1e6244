//! A process dies at any commit, before it is written or after; the next one goes on, and all ends as if nothing had
//! happened.
#![allow(clippy::unwrap_used, clippy::panic)]

use uplift_sim::chaos::faulty::When;
use uplift_sim::chaos::script::{Course, Crash, play};

/// The first lines that differ, with their numbers.
fn difference(expected: &str, found: &str) -> Option<String> {
    let (mut left, mut right) = (expected.lines().enumerate(), found.lines());
    loop {
        match (left.next(), right.next()) {
            (None, None) => return None,
            (Some((_, a)), Some(b)) if a == b => {}
            (a, b) => {
                let at = a.map_or(0, |(line, _)| line);
                let around =
                    |text: &str| text.lines().skip(at.saturating_sub(12)).take(16).collect::<Vec<_>>().join("\n");
                return Some(format!(
                    "line {at}: {:?} became {b:?}\n--- undisturbed\n{}\n--- with the crash\n{}",
                    a.map(|(_, text)| text),
                    around(expected),
                    around(found)
                ));
            }
        }
    }
}

async fn undisturbed() -> Course {
    let course = play(None).await.unwrap();
    assert_eq!(course.violations, []);
    for wanted in ["Deployed", "RolledBack", "\"kept\"", "\"rolled_back\"", "Completed"] {
        assert!(course.gist.contains(wanted), "no {wanted} in {}\n{}", course.gist, course.reasons);
    }
    course
}

/// Every `of`-th commit, from the `shard`-th one on.
async fn crash_everywhere(shard: u64, of: u64, lease_given_back: bool) {
    let expected = undisturbed().await;
    for commit in (shard..expected.commits).step_by(of as usize) {
        for when in [When::Before, When::After] {
            let crash = Crash { commit, when, lease_given_back };
            let course = play(Some(crash)).await.unwrap();
            assert_eq!(course.violations, [], "{crash:?} of {}", expected.commits);
            if let Some(difference) = difference(&expected.gist, &course.gist) {
                panic!("{crash:?} of {}: {difference}", expected.commits);
            }
            if lease_given_back && let Some(difference) = difference(&expected.whole, &course.whole) {
                panic!("{crash:?} of {}: {difference}", expected.commits);
            }
        }
    }
}

#[tokio::test]
async fn the_course_is_the_same_every_time() {
    let (first, second) = (undisturbed().await, undisturbed().await);
    assert_eq!(difference(&first.whole, &second.whole), None);
    assert_eq!(first.commits, second.commits);
}

#[tokio::test]
async fn a_crash_changes_nothing_1() {
    crash_everywhere(0, 4, true).await;
}

#[tokio::test]
async fn a_crash_changes_nothing_2() {
    crash_everywhere(1, 4, true).await;
}

#[tokio::test]
async fn a_crash_changes_nothing_3() {
    crash_everywhere(2, 4, true).await;
}

#[tokio::test]
async fn a_crash_changes_nothing_4() {
    crash_everywhere(3, 4, true).await;
}

/// The next process has to wait for the lease of the dead one: it ends the same, if at other moments.
#[tokio::test]
async fn a_lease_that_was_left_behind_only_costs_time() {
    crash_everywhere(2, 9, false).await;
}
