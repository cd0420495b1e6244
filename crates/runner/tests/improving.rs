//! The loop over a store in memory: what is proposed is validated, tried on a share of the units beside a control,
//! watched, and kept or taken back.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::writer::{World, policy};
use uplift_model::entity::EntityType;
use uplift_model::improvement::ImprovementStatus;
use uplift_model::trial::TrialKind;
use uplift_store::PageRequest;
use uplift_store::rows::TrialFilter;

#[tokio::test]
async fn a_better_change_is_kept_and_watched() {
    let mut world = World::new(|style| if style == Some("plain") { 0.9 } else { 0.6 }, true).await;
    let before = world.revision().await;
    let improvement = world.propose("plain").await;
    world.live(1, true).await;
    let testing = world.improvement(improvement.id).await;
    assert_eq!(testing.status, ImprovementStatus::Testing, "{:#?}", testing.checks);
    world.live(11, true).await;
    assert_eq!(world.improvement(improvement.id).await.status, ImprovementStatus::Testing, "not before the horizon");
    assert_eq!(world.revision().await, before);
    world.live(2, true).await;
    let kept = world.improvement(improvement.id).await;
    let history = world.engine.store().history_of(improvement.id).await.unwrap();
    assert_eq!(kept.status, ImprovementStatus::Deployed, "{history:#?}");
    assert_eq!(Some(world.revision().await), kept.candidate.as_ref().map(ToString::to_string));
    assert_eq!(history.len(), 1);
    assert_eq!(history[0].outcome, "kept");
    assert!(history[0].effectiveness.unwrap() > 0.0 && history[0].report.is_some());
    let helped = world.engine.what_helped().await.unwrap();
    let claim = helped.improvements[&improvement.id];
    assert!(claim.stands && claim.log_evidence >= claim.log_needed, "{claim:?}");
    assert_eq!((helped.standing(), helped.by_type["instruction_update"]), (1, 1));
    let filter = TrialFilter { improvement_id: Some(improvement.id), running: true, ..TrialFilter::default() };
    let watching = world.engine.store().trials(filter.clone(), PageRequest::first(10)).await.unwrap().items;
    assert_eq!(watching.iter().map(|record| record.trial.kind).collect::<Vec<_>>(), [TrialKind::HoldBack]);
    world.live(26, true).await;
    assert!(world.engine.store().trials(filter, PageRequest::first(10)).await.unwrap().items.is_empty());
    assert_eq!(world.improvement(improvement.id).await.status, ImprovementStatus::Deployed);
}

#[tokio::test]
async fn harm_is_taken_back_early_and_exactly() {
    for stamped in [true, false] {
        let mut world = World::new(|style| if style == Some("terse") { 0.3 } else { 0.8 }, stamped).await;
        let before = world.revision().await;
        let improvement = world.propose("terse").await;
        let mut hours = 0;
        while world.improvement(improvement.id).await.status != ImprovementStatus::RolledBack {
            world.live(1, true).await;
            hours += 1;
            assert!(hours < 12, "harm of 50 points has to be seen before the horizon");
        }
        assert_eq!(world.revision().await, before);
        let history = world.engine.store().history_of(improvement.id).await.unwrap();
        assert_eq!(history.iter().map(|row| row.outcome.as_str()).collect::<Vec<_>>(), ["rolled_back"]);
        for serial in 0..200 {
            let unit = format!("later-{serial}");
            let resolved =
                world.engine.snapshot().resolve(None, EntityType::Agent, "writer", Some(&unit), world.now.micros());
            assert_eq!(resolved.unwrap().revision().id.to_string(), before);
        }
    }
}

#[tokio::test]
async fn a_change_without_effect_is_undecided_and_goes_back() {
    let mut world = World::new(|_| 0.8, true).await;
    let before = world.revision().await;
    let improvement = world.propose("blue").await;
    world.live(26, true).await;
    let history = world.engine.store().history_of(improvement.id).await.unwrap();
    assert_eq!(history.iter().map(|row| row.outcome.as_str()).collect::<Vec<_>>(), ["inconclusive"]);
    assert_eq!(world.revision().await, before);
}

#[tokio::test]
async fn what_is_known_before_a_unit_starts_narrows_the_comparison_and_what_comes_later_is_not_used() {
    let mut widths = Vec::new();
    for named in [None, Some("size"), Some("spent")] {
        let mut policy = policy();
        policy.trial.covariates = named.into_iter().map(str::to_owned).collect();
        let mut world = World::under(policy, |_| 0.8, true).await;
        let improvement = world.propose("blue").await;
        world.live(11, true).await;
        let filter = TrialFilter { improvement_id: Some(improvement.id), ..TrialFilter::default() };
        let trials = world.engine.store().trials(filter, PageRequest::first(1)).await.unwrap().items;
        let predictor = &trials[0].trial.baseline.predictor;
        assert_eq!(predictor.is_some(), named == Some("size"), "{named:?} {predictor:?}");
        let findings = &trials[0].verdict.as_ref().unwrap().findings;
        let duration = findings.metrics.iter().find(|metric| metric.name == "duration_ms").unwrap();
        widths.push(duration.effect.high - duration.effect.low);
    }
    assert!(widths[1] < 0.6 * widths[0], "{widths:?}");
    assert_eq!(widths[2].to_bits(), widths[0].to_bits(), "{widths:?}");
}
