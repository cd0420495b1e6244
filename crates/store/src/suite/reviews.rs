//! Rolling reviews: what makes one due, and what starts the counter anew.

use uplift_model::event::{Event, EventKind};
use uplift_model::policy::ImprovementConfig;
use uplift_model::review::{Review, ReviewCounter, ReviewKind, ReviewReason, ReviewSchedule};
use uplift_model::{EntityKey, EntityType};

use super::sample::{Subject, declare, event, hour, of_task, step, take, whole};
use crate::reads::Store;
use crate::writes::Write;

/// The agent `a`, reviewed every three tasks or ten hours, or by one of them.
async fn reviewed(store: &dyn Store, kind: ReviewKind) -> EntityKey {
    let entity = declare(store, EntityType::Agent, "a").await;
    let schedule = ReviewSchedule { kind, task_threshold: 3, period_hours: 10 };
    let config = ImprovementConfig { review: Some(schedule), ..ImprovementConfig::default() };
    step(store, vec![Write::SetEntityConfig { entity, config }]).await.unwrap();
    entity
}

fn ended(task: usize, hours: i64) -> Event {
    of_task(event("end", EventKind::TaskCompleted, hour(hours)), &format!("t{task}"))
}

async fn counter(store: &dyn Store) -> ReviewCounter {
    let mut counters = store.review_queue(false, whole()).await.unwrap().items;
    assert_eq!(counters.len(), 1);
    counters.remove(0)
}

/// So many tasks.
pub async fn due_by_tasks(store: Subject) {
    let entity = reviewed(&*store, ReviewKind::Threshold).await;
    take(&*store, vec![ended(0, 0), ended(1, 500)]).await;
    let before = counter(&*store).await;
    assert_eq!((before.entity, before.entity_name.as_str(), before.due), (entity, "a", None));
    assert_eq!((before.tasks_since_review, before.last_event_at), (2, Some(hour(500))));
    assert_eq!((before.schedule.kind, before.schedule.task_threshold), (ReviewKind::Threshold, 3));
    assert!(store.review_queue(true, whole()).await.unwrap().items.is_empty());
    take(&*store, vec![ended(2, 501), of_task(event("go", EventKind::TaskStarted, hour(501)), "t3")]).await;
    let due = counter(&*store).await;
    assert_eq!((due.tasks_since_review, due.due), (3, Some(ReviewReason::Tasks)));
    assert_eq!(store.review_queue(true, whole()).await.unwrap().items, [due]);
}

/// So many hours of event time, if anything ended.
pub async fn due_by_time(store: Subject) {
    reviewed(&*store, ReviewKind::Periodic).await;
    take(&*store, (0..5).map(|task| ended(task, 0)).collect()).await;
    take(&*store, vec![ended(5, 9)]).await;
    assert_eq!(counter(&*store).await.due, None);
    take(&*store, vec![ended(6, 10)]).await;
    assert_eq!(counter(&*store).await.due, Some(ReviewReason::Time));
}

/// Whichever comes first.
pub async fn due_by_either(store: Subject) {
    let entity = reviewed(&*store, ReviewKind::Hybrid).await;
    take(&*store, vec![ended(0, 0), ended(1, 11)]).await;
    assert_eq!(counter(&*store).await.due, Some(ReviewReason::Time));
    let review = Review {
        entity,
        reviewed_at: hour(11),
        reason: ReviewReason::Time,
        tasks: 2,
        findings: 0,
        summary: "quiet".into(),
    };
    step(&*store, vec![Write::RecordReview(review)]).await.unwrap();
    assert_eq!(counter(&*store).await.due, None);
    // Ten hours from the review, not from the first event.
    take(&*store, vec![ended(2, 20)]).await;
    assert_eq!(counter(&*store).await.due, None);
    take(&*store, vec![ended(3, 20), ended(4, 20)]).await;
    assert_eq!(counter(&*store).await.due, Some(ReviewReason::Tasks));
}

/// A review on record and the counter at its new start are one commit; what came in meanwhile stays counted.
pub async fn a_review_starts_the_counter_anew(store: Subject) {
    let entity = reviewed(&*store, ReviewKind::Hybrid).await;
    take(&*store, (0..4).map(|task| ended(task, 1)).collect()).await;
    let review = Review {
        entity,
        reviewed_at: hour(1),
        reason: ReviewReason::Tasks,
        tasks: 3,
        findings: 2,
        summary: "two findings".into(),
    };
    // A later write of the same commit fails: neither is there.
    let failing = Write::WithdrawOpportunity { id: 4_711, reason: String::new() };
    step(&*store, vec![Write::RecordReview(review.clone()), failing]).await.unwrap_err();
    assert!(store.reviews(entity, 10).await.unwrap().is_empty());
    assert_eq!(counter(&*store).await.due, Some(ReviewReason::Tasks));

    step(&*store, vec![Write::RecordReview(review.clone())]).await.unwrap();
    let after = counter(&*store).await;
    assert_eq!((after.tasks_since_review, after.due, after.last_review_at), (1, None, Some(hour(1))));
    let later = Review { summary: "later".into(), reviewed_at: hour(2), ..review.clone() };
    step(&*store, vec![Write::RecordReview(later.clone())]).await.unwrap();
    assert_eq!(store.reviews(entity, 10).await.unwrap(), [later.clone(), review]);
    assert_eq!(store.reviews(entity, 1).await.unwrap(), [later]);
    assert_eq!(store.entity_status(entity).await.unwrap().review_due, None);
}
