//! Windows with and without a change.

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::detect::waste::tests::{task, window};

/// Minutes between two tasks.
const APART: i64 = 10;

/// A week of tasks: `change` gives tokens, milliseconds and the chance of failing by the hour, from 0 to 167.
fn week(seed: u64, change: impl Fn(f64) -> (f64, f64, f64)) -> EntityWindow {
    let mut rng = SmallRng::seed_from_u64(seed);
    let mut normal = move || {
        let (u, v): (f64, f64) = (1.0 - rng.random::<f64>(), rng.random());
        (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
    };
    let tasks = (0..7 * 24 * 60 / APART).map(|n| {
        let (tokens, ms, failing) = change((n * APART) as f64 / 60.0);
        let outcome = if confidence::normal_cdf(normal()) < failing { Outcome::Failure } else { Outcome::Success };
        TaskSample {
            ended_at: Some(Time::from_micros(n * APART * 60_000_000)),
            duration_ms: Some(ms * (0.6 * normal()).exp()),
            ..task(n as usize, Some(outcome), (tokens * (0.4 * normal()).exp()) as i64, &[])
        }
    });
    let mut window = window(tasks.collect());
    window.as_of = Time::from_micros(7 * MICROS_PER_DAY);
    window
}

fn found(window: &EntityWindow) -> Vec<Finding> {
    find(window, &DetectionPolicy::default())
}

/// The level of a day with a swing.
fn swing(hour: f64) -> f64 {
    1.0 + 0.5 * (hour / 24.0 * std::f64::consts::TAU).sin()
}

#[test]
fn a_level_that_rose_and_stayed() {
    let window = week(1, |hour| (if hour < 100.0 { 1_000.0 } else { 1_600.0 } * swing(hour), 2_000.0, 0.1));
    let findings = found(&window);
    let [finding] = &findings[..] else { panic!("{findings:?}") };
    assert_eq!((finding.kind, finding.fingerprint.as_str()), (OpportunityKind::ChangePoint, "tokens"));
    assert!(finding.confidence > 0.95, "{finding:?}");
    assert!((finding.evidence.numbers["ratio"] - 1.6).abs() < 0.1, "{finding:?}");
    let since: Time = finding.evidence.labels["since"].parse().unwrap();
    assert!((since.micros() / MICROS_PER_HOUR - 100).abs() <= 3, "{since}");
    assert!(finding.description.contains("use more tokens since"), "{}", finding.description);
    // While something else is on trial, or if that was over only after the change, the cause is known.
    assert_eq!(found(&EntityWindow { alike_since: None, ..window.clone() }), []);
    let over = Some(Time::from_micros(110 * MICROS_PER_HOUR));
    assert_eq!(found(&EntityWindow { alike_since: over, ..window }), []);
}

#[test]
fn more_failures_and_longer_tasks() {
    let window =
        week(2, |hour| (1_000.0, if hour < 80.0 { 2_000.0 } else { 2_800.0 }, if hour < 80.0 { 0.1 } else { 0.5 }));
    let kinds: Vec<String> = found(&window).into_iter().map(|finding| finding.fingerprint).collect();
    assert_eq!(kinds, ["duration_ms", "failures"]);
}

#[test]
fn what_is_none() {
    let same = |hour: f64| (1_000.0 * swing(hour), 2_000.0 * swing(hour), 0.2);
    for seed in 0..40 {
        assert_eq!(found(&week(seed, same)), [], "{seed}");
    }
    // For the better; a trifle; slow by so much that the rule for that says so; a drift; not yet a day.
    for (name, tokens, ms) in [
        (
            "better",
            &(|hour| if hour < 100.0 { 1_600.0 } else { 1_000.0 }) as &dyn Fn(f64) -> f64,
            &(|_| 2_000.0) as &dyn Fn(f64) -> f64,
        ),
        ("a trifle", &|hour| if hour < 100.0 { 1_000.0 } else { 1_100.0 }, &|_| 2_000.0),
        ("slow", &|_| 1_000.0, &|hour| if hour < 100.0 { 2_000.0 } else { 4_000.0 }),
        ("a drift", &|hour| 1_000.0 + 3.0 * hour, &|_| 2_000.0),
        ("since some hours", &|hour| if hour < 150.0 { 1_000.0 } else { 1_600.0 }, &|_| 2_000.0),
        ("it passed", &|hour| if (60.0..110.0).contains(&hour) { 1_600.0 } else { 1_000.0 }, &|_| 2_000.0),
    ] {
        assert_eq!(found(&week(3, |hour| (tokens(hour), ms(hour), 0.2))), [], "{name}");
    }
    assert_eq!(found(&window(Vec::new())), []);
    let mut few = week(4, |hour| (if hour < 100.0 { 1_000.0 } else { 9_000.0 }, 2_000.0, 0.1));
    few.tasks = few.tasks.into_iter().step_by(20).collect();
    assert_eq!(found(&few), []);
}

#[test]
fn nothing_but_zeros_and_nonsense() {
    let mut window = week(5, |_| (0.0, 0.0, 0.0));
    assert_eq!(found(&window), []);
    for (n, task) in window.tasks.iter_mut().enumerate() {
        task.duration_ms = Some([f64::NAN, f64::INFINITY, -1.0, 1e300][n % 4]);
        task.cost_usd = [0.0, f64::NAN, 1e-300, 1e300][n % 4];
        task.outcome = (n > 500).then_some(Outcome::Error);
    }
    for finding in found(&window) {
        assert!(finding.evidence.numbers.values().all(|number| number.is_finite()), "{finding:?}");
    }
}
