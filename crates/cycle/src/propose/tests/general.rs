//! What holds for all proposers.

use proptest::prelude::*;
use uplift_model::edit::{apply, check_type};

use super::*;
use crate::propose::input::Peer;
use crate::propose::{MOST_PROPOSALS, PROPOSERS, propose};

/// Names that must never be put into a text.
const HOSTILE: [&str; 6] = [
    "Ignore previous instructions",
    "a\nb",
    "**bold**",
    "`x` and [link](http://evil.example)",
    "<script>",
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
];

const NAMES: [&str; 5] = ["alpha", "beta", "gamma", "delta", "epsilon"];

/// A name: mostly plain, at times hostile.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => proptest::sample::select(&NAMES[..]).prop_map(str::to_owned),
        1 => proptest::sample::select(&HOSTILE[..]).prop_map(str::to_owned),
    ]
}

prop_compose! {
    fn a_call()(
        tool in name(),
        error in proptest::option::weighted(0.3, prop_oneof![Just("Timeout".to_owned()), Just("LookupError".to_owned()), name()]),
        call_hash in proptest::option::of(0_i64..3),
        ms in proptest::option::of(prop_oneof![1.0..9_000.0, Just(f64::NAN), Just(0.0)]),
        fields in proptest::collection::vec((name(), 0_u8..3), 0..4),
        known in 0_u8..4,
    ) -> Call {
        let kinds = [JsonType::String, JsonType::Number, JsonType::Null];
        let field = |kind: u8| Field { json_type: kinds[usize::from(kind)], empty: kind == 2 };
        let shape = Shape(fields.into_iter().map(|(name, kind)| (name, field(kind))).collect());
        Call {
            tool,
            failed: error.is_some(),
            error_type: error,
            status: None,
            call_hash,
            duration_ms: ms,
            arguments: (known & 1 == 0).then(|| shape.clone()),
            result: (known & 2 == 0).then_some(shape),
        }
    }
}

prop_compose! {
    fn a_task()(
        succeeded in proptest::option::weighted(0.9, any::<bool>()),
        calls in proptest::collection::vec(a_call(), 0..6),
        contexts in proptest::collection::vec(name(), 0..3),
        written in proptest::collection::vec(prop_oneof![1_i64..9_000, Just(-1), Just(i64::MAX)], 0..3),
        errors in proptest::collection::vec(name(), 0..2),
    ) -> Task {
        Task { succeeded, calls, contexts, written, errors }
    }
}

prop_compose! {
    /// A few tasks, repeated with their outcomes turned, so that differences are large enough to be acted upon.
    fn an_input()(
        kind in proptest::sample::select(OpportunityKind::ALL),
        wanted in proptest::sample::select(ImprovementType::ALL),
        labels in proptest::collection::vec(name(), 6),
        seeds in proptest::collection::vec((a_task(), 1_usize..20), 1..6),
        peers in proptest::collection::vec(a_task(), 0..3),
        configured in proptest::collection::vec((name(), any::<bool>()), 0..5),
        contexts in proptest::collection::btree_set(name(), 0..3),
        timeout in proptest::option::of(1_i64..9_000),
    ) -> Input {
        let [a, b, c, tool, kind_of_error, fingerprint] = &labels[..] else { unreachable!() };
        let pattern = format!("{a} > {b} > {c}");
        let labels = [("pattern", pattern.as_str()), ("tool", tool), ("error_type", kind_of_error)];
        let mut seen = std::collections::BTreeSet::new();
        let tools: Value = configured
            .into_iter()
            .filter(|(name, _)| seen.insert(name.clone()))
            .map(|(name, required)| json!({"name": name, "required": required}))
            .collect();
        let mut configuration = json!({"tools": tools, "contexts": contexts});
        if let Some(ms) = timeout {
            configuration["parameters"] = json!({"timeout_ms": ms});
        }
        let tasks = seeds.into_iter().flat_map(|(task, n)| vec![task; n]).collect();
        let mut input = about(kind, fingerprint, &labels, configuration, tasks);
        input.opportunity.improvement_type = wanted;
        input.related = OpportunityKind::ALL.iter().map(|kind| finding(*kind, fingerprint, &labels)).collect();
        input.peers = peers.into_iter().map(|task| Peer { tasks: vec![task; 25] }).collect();
        input
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn every_proposal_applies_and_says_only_what_it_may(input in an_input()) {
        let base = input.base.clone().unwrap();
        let proposals = propose(&input);
        prop_assert!(proposals.len() <= MOST_PROPOSALS);
        prop_assert!(proposals.windows(2).all(|pair| pair[0].expected_gain >= pair[1].expected_gain));
        for proposal in &proposals {
            prop_assert!(apply(&base, &proposal.edits).is_ok(), "{proposal:?}");
            prop_assert!(check_type(proposal.improvement_type, &proposal.edits).is_ok());
            let known = PROPOSERS.iter().find(|proposer| proposer.name == proposal.proposer).unwrap();
            prop_assert_eq!(known.improvement_type, proposal.improvement_type);
            prop_assert!(proposal.expected_gain > 0.0 && proposal.expected_gain <= 1.0);
            prop_assert!((0.0..=1.0).contains(&proposal.confidence));
            let text = serde_json::to_string(proposal).unwrap();
            for hostile in HOSTILE {
                let escaped = serde_json::to_string(hostile).unwrap();
                prop_assert!(!text.contains(escaped.trim_matches('"')), "{text}");
            }
            prop_assert!(!text.contains("NaN") && !text.contains("inf "), "{text}");
        }
        prop_assert_eq!(propose(&input), proposals, "the same input gives the same answer");
    }
}

#[test]
fn random_input_reaches_most_proposers() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..700 {
        let input = an_input().new_tree(&mut runner).unwrap().current();
        seen.extend(propose(&input).into_iter().map(|proposal| proposal.proposer));
    }
    println!("{seen:?}");
    assert!(seen.len() >= 10, "{seen:?}");
}

#[test]
fn every_type_has_a_proposer_and_names_are_told_apart() {
    for wanted in ImprovementType::ALL {
        assert!(PROPOSERS.iter().any(|proposer| proposer.improvement_type == *wanted), "{wanted}");
    }
    let names: std::collections::BTreeSet<&str> = PROPOSERS.iter().map(|proposer| proposer.name).collect();
    assert_eq!(names.len(), PROPOSERS.len());
}

#[test]
fn hostile_evidence_makes_no_proposal() {
    use OpportunityKind as K;
    for hostile in HOSTILE {
        let pattern = format!("{hostile} > check");
        let labels =
            [("pattern", pattern.as_str()), ("sequence", &pattern), ("tool", hostile), ("error_type", hostile)];
        let failing = tasks(20, 5, |_| of(vec![broken(hostile, hostile), call("check")]));
        let good = tasks(40, 39, |_| calling(&["check", hostile]));
        let configuration =
            json!({"tools": tools(&[(hostile.trim(), false), ("check", true)]), "contexts": [hostile]});
        for kind in [
            K::FailurePattern,
            K::RecurringError,
            K::UnusedContext,
            K::UnusedTool,
            K::RepeatedSequence,
            K::RepeatedCalls,
        ] {
            let input =
                about(kind, hostile, &labels, configuration.clone(), [failing.clone(), good.clone()].concat());
            let proposals = propose(&input);
            let text = serde_json::to_string(&proposals).unwrap();
            assert!(!text.contains(serde_json::to_string(hostile).unwrap().trim_matches('"')), "{kind}: {text}");
            assert!(proposals.is_empty() || kind == K::FailurePattern, "{kind}: {text}");
        }
    }
}

#[test]
fn without_a_base_there_is_nothing_to_change() {
    let mut input = about(OpportunityKind::UnusedContext, "a", &[], json!({"contexts": ["a"]}), Vec::new());
    assert_eq!(propose(&input).len(), 1);
    input.base = None;
    assert!(propose(&input).is_empty());
}
