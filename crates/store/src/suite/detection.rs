//! The rules in the database: they mark on crossing a threshold, in event time.

use uplift_model::event::Event;
use uplift_model::opportunity::{OpportunityKind, OpportunitySource, OpportunityStatus};
use uplift_model::policy::DetectionPolicy;

use super::sample::{Subject, agent, broken, call, finding, group, hour, marks, of_task, rollup, step, take, whole};
use crate::reads::Store;
use crate::rows::OpportunityFilter;
use crate::writes::Write;

/// So many errors in the hour, with ids of their own.
fn errors(hours: i64, ids: std::ops::Range<u32>) -> Vec<Event> {
    ids.map(|id| of_task(broken(&id.to_string(), hour(hours).plus_micros(i64::from(id))), "errors")).collect()
}

/// So many calls in the hour, each so slow.
fn calls(hours: i64, ids: std::ops::Range<u32>, duration_ms: f64) -> Vec<Event> {
    ids.map(|id| {
        let at = hour(hours).plus_micros(i64::from(id));
        of_task(call(&format!("c{id}"), "search", duration_ms, at), "calls")
    })
    .collect()
}

/// Everything on record.
async fn all(store: &dyn Store) -> Vec<uplift_model::Opportunity> {
    store.opportunities(OpportunityFilter::default(), whole()).await.unwrap().items
}

/// More than five in 24 hours.
pub async fn the_sixth_error_marks_and_the_fifth_does_not(store: Subject) {
    take(&*store, errors(0, 0..3)).await;
    take(&*store, errors(20, 3..5)).await;
    assert!(marks(&*store).await.is_empty());
    take(&*store, errors(23, 5..6)).await;
    let [mark] = &marks(&*store).await[..] else { panic!("one mark") };
    let finding = &mark.opportunity.finding;
    assert_eq!((finding.kind, finding.source), (OpportunityKind::RecurringError, OpportunitySource::Trigger));
    assert_eq!((finding.entity, &finding.fingerprint), (agent(&*store, "a").await, &group()));
    assert_eq!((mark.marked_hour, mark.opportunity.confirmed), (rollup(23), false));
    assert_eq!(mark.opportunity.status, OpportunityStatus::Pending);
    assert_eq!((mark.opportunity.entity_name.as_str(), mark.opportunity.environment.as_str()), ("a", "default"));
    // More of them change nothing about there being one.
    take(&*store, errors(23, 6..9)).await;
    assert_eq!(all(&*store).await.len(), 1);
    // Many at once cross as well.
    let many: Vec<Event> = errors(0, 20..40).into_iter().map(|event| super::sample::of_agent(event, "b")).collect();
    take(&*store, many).await;
    assert_eq!(marks(&*store).await.len(), 2);
}

/// Windows are of 24 hours.
pub async fn errors_a_day_apart_do_not_add_up(store: Subject) {
    take(&*store, errors(0, 0..5)).await;
    take(&*store, errors(24, 5..10)).await;
    assert!(marks(&*store).await.is_empty());
    take(&*store, errors(1, 10..11)).await;
    assert_eq!(marks(&*store).await.len(), 1);
}

/// A late event counts in every window that holds its hour.
pub async fn late_errors_cross_a_window(store: Subject) {
    take(&*store, errors(30, 0..3)).await;
    take(&*store, errors(20, 3..5)).await;
    assert!(marks(&*store).await.is_empty());
    take(&*store, errors(10, 5..6)).await;
    let [mark] = &marks(&*store).await[..] else { panic!("one mark") };
    assert_eq!(mark.marked_hour, rollup(10));
}

/// What a person set aside stays away for the quiet time; after that it comes back with its next episode, for only a
/// crossing marks.
pub async fn what_was_dismissed_stays_away_for_the_episode(store: Subject) {
    take(&*store, errors(0, 0..6)).await;
    let id = marks(&*store).await[0].opportunity.id;
    let status = OpportunityStatus::Dismissed;
    step(&*store, vec![Write::CloseOpportunity { id, status, reason: "known".into() }]).await.unwrap();
    take(&*store, errors(0, 6..7)).await;
    take(&*store, errors(3, 7..9)).await;
    assert!(marks(&*store).await.is_empty());
    take(&*store, errors(72, 9..15)).await;
    assert!(marks(&*store).await.is_empty());
    let loud = DetectionPolicy { dismissed_quiet_days: 0, ..DetectionPolicy::default() };
    step(&*store, vec![Write::SetDetection(loud)]).await.unwrap();
    take(&*store, errors(72, 15..16)).await;
    assert!(marks(&*store).await.is_empty());
    take(&*store, errors(144, 16..22)).await;
    let again = marks(&*store).await;
    assert_eq!((again.len(), all(&*store).await.len()), (1, 2));
    assert_ne!(again[0].opportunity.id, id);
}

/// Twenty calls twice as slow as a week of them.
pub async fn a_slower_operation_is_marked(store: Subject) {
    for day in 0..6 {
        take(&*store, calls(day * 24, (day as u32 * 5)..(day as u32 * 5 + 5), 100.0)).await;
    }
    take(&*store, calls(150, 100..119, 200.0)).await;
    assert!(marks(&*store).await.is_empty());
    take(&*store, calls(150, 119..120, 200.0)).await;
    let [mark] = &marks(&*store).await[..] else { panic!("one mark") };
    let finding = &mark.opportunity.finding;
    assert_eq!(finding.kind, OpportunityKind::PerformanceDegradation);
    assert_eq!((finding.fingerprint.as_str(), mark.marked_hour), ("tool:search", rollup(150)));
    take(&*store, calls(151, 120..140, 200.0)).await;
    assert_eq!(all(&*store).await.len(), 1);
}

/// Up to half as slow again is within the threshold, and so is a week with too few calls.
pub async fn a_little_slower_is_not_marked(store: Subject) {
    take(&*store, calls(0, 0..30, 100.0)).await;
    take(&*store, calls(40, 100..140, 145.0)).await;
    let few: Vec<Event> = [calls(0, 0..19, 100.0), calls(40, 100..140, 500.0)].concat();
    take(&*store, few.into_iter().map(|event| super::sample::of_agent(of_task(event, "few"), "b")).collect()).await;
    assert!(marks(&*store).await.is_empty());
}

/// The rules use the thresholds of the policy.
pub async fn thresholds_follow_the_policy(store: Subject) {
    let policy = DetectionPolicy {
        error_threshold: 2,
        degradation_threshold: 0.2,
        baseline_minimum: 3,
        ..DetectionPolicy::default()
    };
    step(&*store, vec![Write::SetDetection(policy)]).await.unwrap();
    take(&*store, errors(0, 0..2)).await;
    assert!(marks(&*store).await.is_empty());
    take(&*store, errors(0, 2..3)).await;
    // Broken calls take their time too: other calls, of another agent.
    let slower: Vec<Event> = [calls(0, 0..3, 100.0), calls(40, 100..103, 130.0)].concat();
    take(&*store, slower.into_iter().map(|event| super::sample::of_agent(event, "b")).collect()).await;
    let kinds: Vec<_> = marks(&*store).await.iter().map(|mark| mark.opportunity.finding.kind).collect();
    assert_eq!(kinds, [OpportunityKind::RecurringError, OpportunityKind::PerformanceDegradation]);
}

/// A detector confirms a mark with evidence, or withdraws it.
pub async fn marks_are_confirmed_or_withdrawn(store: Subject) {
    take(&*store, errors(0, 0..6)).await;
    let other: Vec<Event> = errors(0, 10..16).into_iter().map(|event| super::sample::of_agent(event, "b")).collect();
    take(&*store, other).await;
    let marks_now = marks(&*store).await;
    let (first, second) = (&marks_now[0].opportunity, &marks_now[1].opportunity);
    let entity = first.finding.entity;
    assert!(store.open_marks(entity).await.unwrap().is_empty());
    let mut held = finding(entity, OpportunityKind::RecurringError, &group());
    held.source = OpportunitySource::Trigger;
    let confirm = Write::ConfirmOpportunity { id: first.id, finding: Box::new(held.clone()) };
    let withdraw = Write::WithdrawOpportunity { id: second.id, reason: "too few tasks".into() };
    step(&*store, vec![confirm, withdraw]).await.unwrap();
    assert!(marks(&*store).await.is_empty());

    let confirmed = store.opportunity(first.id).await.unwrap();
    assert!(confirmed.confirmed && confirmed.status == OpportunityStatus::Pending);
    assert_eq!((&confirmed.finding.description, &confirmed.finding.impact), (&held.description, &held.impact));
    assert_eq!(confirmed.finding.evidence, held.evidence);
    let open = store.open_marks(entity).await.unwrap();
    assert_eq!((open.len(), open[0].opportunity.id, open[0].marked_hour), (1, first.id, rollup(0)));
    let withdrawn = store.opportunity(second.id).await.unwrap();
    assert_eq!(withdrawn.status, OpportunityStatus::Dismissed);
    assert!(withdrawn.resolution.unwrap().contains("too few tasks"));
}
