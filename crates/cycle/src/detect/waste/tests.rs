//! Each rule at its boundary, and all of them on windows nobody would wish for.

use uplift_model::event::Outcome;
use uplift_model::{EntityKey, EntityType, Time};

use super::*;
use crate::detect::input::{CallSample, TaskSample};

pub(crate) fn task(n: usize, outcome: Option<Outcome>, tokens: i64, calls: &[(&str, i64)]) -> TaskSample {
    TaskSample {
        times: None,
        trace_key: format!("trace-{n}"),
        task_id: format!("task-{n}"),
        outcome,
        ended_at: Some(Time::from_millis(n as i64)),
        duration_ms: Some(10.0),
        tokens,
        cost_usd: 0.0,
        errors: 0,
        stratum: String::new(),
        calls: calls
            .iter()
            .enumerate()
            .map(|(place, (tool, hash))| CallSample {
                tool: (*tool).to_owned(),
                failed: false,
                call_hash: Some(*hash),
                event: EventRef { trace_key: format!("trace-{n}"), id: format!("{n}-{place}") },
            })
            .collect(),
    }
}

pub(crate) fn window(tasks: Vec<TaskSample>) -> EntityWindow {
    EntityWindow {
        entity: EntityKey::new(EntityType::Agent, 1),
        entity_name: "clerk".to_owned(),
        as_of: Time::from_micros(2 * MICROS_PER_DAY),
        start: Time::from_micros(0),
        tasks,
        declared_tools: Vec::new(),
        declared_contexts: Vec::new(),
        alike_since: Some(Time::from_micros(0)),
        tool_calls: BTreeMap::new(),
        context_reads: BTreeMap::new(),
    }
}

fn kinds(window: &EntityWindow) -> Vec<(OpportunityKind, String)> {
    find(window, &DetectionPolicy::default()).into_iter().map(|finding| (finding.kind, finding.fingerprint)).collect()
}

const GOOD: Option<Outcome> = Some(Outcome::Success);
const BAD: Option<Outcome> = Some(Outcome::Failure);

/// `n` tasks, every `every`th with other tokens and outcome.
fn mixed(n: usize, every: usize, usual: i64, other: i64, outcome: Option<Outcome>) -> EntityWindow {
    window(
        (0..n)
            .map(|k| if k % every == 0 { task(k, outcome, other, &[]) } else { task(k, GOOD, usual, &[]) })
            .collect(),
    )
}

#[test]
fn failing_tasks_that_burn_tokens() {
    for (usual, other, found) in [(1_000, 2_000, true), (1_000, 1_400, false), (1_000, 900, false)] {
        let found_kinds = kinds(&mixed(40, 4, usual, other, BAD));
        let expected = (OpportunityKind::TokenWaste, "failing_tasks".to_owned());
        assert_eq!(found_kinds.contains(&expected), found, "{other}: {found_kinds:?}");
    }
    let findings = find(&mixed(400, 4, 1_000, 3_000, BAD), &DetectionPolicy::default());
    assert!(findings[0].confidence > 0.95, "{}", findings[0].confidence);
    assert!(findings[0].description.contains("50 %") && findings[0].description.contains("3.0 times"));
}

#[test]
fn a_few_tasks_that_burn_what_others_do_not() {
    let outlier = (OpportunityKind::TokenWaste, "outlier_tasks".to_owned());
    for (other, found) in [(3_000, false), (3_001, true)] {
        assert_eq!(kinds(&mixed(100, 10, 1_000, other, GOOD)).contains(&outlier), found, "{other}");
    }
    assert!(!kinds(&mixed(100, 50, 1_000, 5_000, GOOD)).contains(&outlier), "9 % is not a share that matters");
}

#[test]
fn identical_calls_in_a_tenth_of_the_tasks() {
    for (series, tasks, found) in [(3, 2, true), (2, 20, false), (3, 1, false), (4, 20, true)] {
        let all = (0..20)
            .map(|n| if n < tasks { task(n, GOOD, 1, &vec![("look", 7); series]) } else { task(n, GOOD, 1, &[]) })
            .collect();
        let found_kinds = kinds(&window(all));
        assert_eq!(!found_kinds.is_empty(), found, "{series} {tasks} {found_kinds:?}");
    }
    let all = (0..20).map(|n| task(n, GOOD, 1, &[("look", 7), ("look", 7), ("look", 8), ("look", 7)])).collect();
    let findings = find(&window(all), &DetectionPolicy::default());
    assert_eq!((findings[0].evidence.count, findings[0].evidence.events.len()), (40, MAX_EVIDENCE_EVENTS));
    assert_eq!(findings[0].evidence.labels["tool"], "look");
    assert!(findings[0].confidence > 0.9);
}

#[test]
fn what_is_declared_and_never_used() {
    let mut window = window((0..40).map(|n| task(n, GOOD, 1, &[("a", n as i64)])).collect());
    window.declared_tools = vec!["a".to_owned(), "b".to_owned(), "c".to_owned()];
    window.tool_calls = BTreeMap::from([("c".to_owned(), 1), ("b".to_owned(), 0)]);
    window.declared_contexts = vec!["guide".to_owned()];
    let findings = find(&window, &DetectionPolicy::default());
    assert_eq!(findings.len(), 2, "{findings:?}");
    assert_eq!((findings[0].kind, findings[0].fingerprint.as_str()), (OpportunityKind::UnusedTool, "b"));
    assert!((findings[0].confidence - (1.0 - 3.0 / 40.0)).abs() < 1e-9);
    assert_eq!(findings[1].kind, OpportunityKind::UnusedContext);
    assert!(findings[1].confidence <= 0.5, "no reads are reported at all");
    window.tasks.truncate(19);
    assert!(find(&window, &DetectionPolicy::default()).is_empty());
}

proptest::proptest! {
    #[test]
    fn never_panics_and_never_nan(
        tasks in proptest::collection::vec((0_u8..4, 0_i64..5, 0_i64..3, 0_usize..6), 0..60),
        minimum in 1_u32..30,
    ) {
        let outcome = |code| [None, GOOD, BAD, Some(Outcome::Error)][usize::from(code)];
        let tasks = tasks
            .into_iter()
            .enumerate()
            .map(|(n, (code, tokens, hash, calls))| task(n, outcome(code), tokens * 1_000, &vec![("t", hash); calls]))
            .collect();
        let mut window = window(tasks);
        window.declared_tools = vec!["t".to_owned(), String::new()];
        window.as_of = window.start;
        let policy = DetectionPolicy { min_tasks: minimum, ..DetectionPolicy::default() };
        for finding in find(&window, &policy) {
            proptest::prop_assert!((0.0..=1.0).contains(&finding.confidence));
            proptest::prop_assert!(finding.evidence.numbers.values().all(|number| number.is_finite()));
            proptest::prop_assert!(finding.evidence.events.len() <= MAX_EVIDENCE_EVENTS);
        }
    }
}
