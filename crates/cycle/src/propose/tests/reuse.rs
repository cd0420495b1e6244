//! What was tried before, what was kept elsewhere, and what a wish may rest on.

use uplift_model::edit::Edit;
use uplift_model::history::{HistoryOutcome, TrackRecord};

use super::*;
use crate::propose::input::Tried;
use crate::propose::propose;

/// A recurring error that three proposers answer.
fn answered_by_many() -> Input {
    let good = tasks(30, 29, |_| of(vec![Call { arguments: Some(shape(&json!({"zip": "1"}))), ..call("book") }]));
    let bad = tasks(15, 5, |_| of(vec![Call { arguments: Some(shape(&json!({}))), ..broken("book", "E") }]));
    let labels = [("tool", "book"), ("error_type", "E")];
    let configuration = json!({"tools": tools(&[("book", true)])});
    about(OpportunityKind::RecurringError, "f", &labels, configuration, [good, bad].concat())
}

fn proposers(input: &Input) -> Vec<String> {
    propose(input).into_iter().map(|proposal| proposal.proposer).collect()
}

#[test]
fn what_was_kept_on_such_opportunities_comes_first() {
    let mut input = answered_by_many();
    assert_eq!(proposers(&input), ["argument_guard", "tool_guideline"], "a check before advice");
    let record = |proposer: &str, kept, rolled_back| TrackRecord {
        kind: Some(OpportunityKind::RecurringError),
        proposer: proposer.to_owned(),
        kept,
        rolled_back,
        inconclusive: 0,
        mean_effectiveness: None,
    };
    let before = propose(&input)[0].expected_gain;
    input.track_records = vec![record("argument_guard", 0, 8), record("tool_guideline", 8, 0)];
    assert_eq!(proposers(&input), ["tool_guideline", "argument_guard"]);
    input.track_records = vec![record("argument_guard", 5, 0)];
    assert!(propose(&input)[0].expected_gain > before);
}

#[test]
fn what_did_harm_here_is_not_proposed_again() {
    let mut input = answered_by_many();
    let first = propose(&input)[0].clone();
    let tried = |edits: Vec<Edit>, ending| Tried { edits, ending, ended_at: NOW };
    input.tried = vec![tried(first.edits.clone(), HistoryOutcome::RolledBack)];
    assert_eq!(proposers(&input), ["tool_guideline"]);
    input.tried = vec![tried(first.edits.clone(), HistoryOutcome::Inconclusive)];
    let again = propose(&input).into_iter().find(|proposal| proposal.proposer == first.proposer).unwrap();
    assert!((again.expected_gain - first.expected_gain / 2.0).abs() < 1e-12);
}

#[test]
fn a_wish_rests_on_the_window_and_on_what_else_was_found() {
    let pattern = finding(OpportunityKind::FailurePattern, "", &[("pattern", "refund > check")]);
    let all =
        [tasks(20, 5, |_| calling(&["refund", "check"])), tasks(40, 38, |_| calling(&["check", "refund"]))].concat();
    let mut input = wish(ImprovementType::InstructionUpdate, json!({}), all);
    assert!(propose(&input).is_empty(), "nothing in the window but an order");
    input.related = vec![pattern.clone()];
    assert_eq!(proposers(&input), ["order_guideline"]);
    // Another entity's finding, or another type asked for: nothing.
    input.related = vec![Finding { entity: EntityKey::new(EntityType::Agent, 2), ..pattern.clone() }];
    assert!(propose(&input).is_empty());
    input.related = vec![pattern];
    input.opportunity.improvement_type = ImprovementType::PerformanceTuning;
    assert!(propose(&input).is_empty());
}
