//! Alerts that people look after, news, notifications, days and health.

use uplift_model::alert::{AlertFinding, AlertKind, AlertState};
use uplift_model::event::EventKind;
use uplift_model::history::HistoryEntry;
use uplift_model::improvement::ImprovementStatus;
use uplift_model::notification::{DeliveryState, Message, NewTarget, NotificationKind, TargetFormat};
use uplift_model::opportunity::{OpportunityKind, OpportunityStatus};
use uplift_model::policy::HealthPolicy;
use uplift_model::{EntityKey, EntityType, Time};

use super::sample::{Subject, agent, declare, event, finding, hour, step, take, whole};
use super::scene::{propose, take_to};
use crate::error::StoreError;
use crate::page::PageRequest;
use crate::rows::{DeliveryFilter, NewsKind};
use crate::writes::attention::{AlertWrite, Attempt, HealthWrite, NotificationWrite};
use crate::writes::{StepCommit, Write, Writes};

fn backlog(value: f64) -> AlertFinding {
    AlertFinding {
        kind: AlertKind::OpportunityBacklog,
        entity: None,
        fingerprint: String::new(),
        message: format!("{value} are pending"),
        value,
        threshold: 50.0,
        at: hour(3),
    }
}

fn alert(write: AlertWrite) -> Write {
    Write::Alerts(write)
}

fn notify(write: NotificationWrite) -> Write {
    Write::Notifications(write)
}

async fn at(store: &dyn Writes, at: Time, write: Write) -> Result<crate::StepReceipt, StoreError> {
    store.commit_step(StepCommit { at, writes: vec![write], ..StepCommit::default() }).await
}

/// An alert is raised once, may be quiet, acknowledged, and ends once; a new one follows it.
pub async fn alerts_are_looked_after(store: Subject) {
    let raise = |value| alert(AlertWrite::Raise(backlog(value)));
    step(&*store, vec![raise(60.0)]).await.unwrap();
    let [open] = &store.alerts(true, whole()).await.unwrap().items[..] else { panic!("one alert") };
    let id = open.id;
    assert_eq!((open.state(), open.raised_at, open.quiet_since), (AlertState::Open, hour(100), None));
    at(&*store, hour(101), alert(AlertWrite::Quiet { ids: vec![id] })).await.unwrap();
    at(&*store, hour(102), alert(AlertWrite::Quiet { ids: vec![id] })).await.unwrap();
    assert_eq!(store.alert(id).await.unwrap().quiet_since, Some(hour(101)));
    at(&*store, hour(103), raise(70.0)).await.unwrap();
    let found = store.alert(id).await.unwrap();
    assert_eq!((found.quiet_since, found.raised_at, found.finding.value), (None, hour(100), 70.0));

    let acknowledge = |by: &str, note: Option<&str>| {
        alert(AlertWrite::Acknowledge { id, by: by.to_owned(), note: note.map(str::to_owned) })
    };
    at(&*store, hour(104), acknowledge("a", None)).await.unwrap();
    at(&*store, hour(105), acknowledge("b", Some("on it"))).await.unwrap();
    // What is measured later leaves it acknowledged.
    at(&*store, hour(105), raise(71.0)).await.unwrap();
    let found = store.alert(id).await.unwrap();
    let word = found.acknowledged.clone().unwrap();
    assert_eq!(
        (found.state(), word.by.as_str(), word.note.as_deref()),
        (AlertState::Acknowledged, "b", Some("on it"))
    );
    assert_eq!(word.at, hour(105));

    assert!(store.resolved_by_hand(hour(0)).await.unwrap().is_empty());
    let resolve = |by: Option<&str>| alert(AlertWrite::Resolve { ids: vec![id], by: by.map(str::to_owned) });
    at(&*store, hour(106), resolve(Some("c"))).await.unwrap();
    at(&*store, hour(107), resolve(None)).await.unwrap();
    let found = store.alert(id).await.unwrap();
    assert_eq!((found.state(), found.resolved_at), (AlertState::Resolved, Some(hour(106))));
    assert_eq!(found.resolved_by.as_deref(), Some("c"));
    let by_hand = |since| store.resolved_by_hand(since);
    assert_eq!(by_hand(hour(106)).await.unwrap().len(), 1);
    assert!(by_hand(hour(107)).await.unwrap().is_empty());
    let late = at(&*store, hour(107), acknowledge("a", None)).await;
    assert!(matches!(late, Err(StoreError::VersionConflict { .. })), "{late:?}");
    let nobody = alert(AlertWrite::Acknowledge { id: id + 1, by: "a".into(), note: None });
    assert!(matches!(step(&*store, vec![nobody]).await, Err(StoreError::NotFound { .. })));
    assert!(matches!(store.alert(id + 1).await, Err(StoreError::NotFound { .. })));

    at(&*store, hour(108), raise(60.0)).await.unwrap();
    let words: Vec<_> = store.news(0, 100).await.unwrap().into_iter().map(|news| (news.id, news.word)).collect();
    let expected = [(id, "opened"), (id, "acknowledged"), (id, "acknowledged"), (id, "resolved"), (id + 1, "opened")];
    assert_eq!(words, expected.map(|(id, word)| (id, word.to_owned())));
}

/// What opportunities and improvements reach is told in order, once each; what only is brought up to date is not.
pub async fn news_tells_what_became_of_things(store: Subject) {
    assert_eq!((store.last_news().await.unwrap(), store.notified().await.unwrap()), (0, 0));
    let a = declare(&*store, EntityType::Agent, "a").await;
    let put = |fingerprint: &str| {
        let finding = finding(a, OpportunityKind::TokenWaste, fingerprint);
        Write::PutFinding { finding: Box::new(finding), quiet_since: None }
    };
    let opened = step(&*store, vec![put("x"), put("x"), put("y")]).await.unwrap().opened;
    step(&*store, vec![Write::ClaimOpportunity { id: opened[0] }]).await.unwrap();
    let reason = || "enough".to_owned();
    let back = Write::ReturnOpportunity { id: opened[0], not_before: hour(1), reason: reason() };
    let status = OpportunityStatus::Dismissed;
    step(&*store, vec![back, Write::CloseOpportunity { id: opened[0], status, reason: reason() }]).await.unwrap();
    let kinds = vec![OpportunityKind::TokenWaste];
    step(&*store, vec![Write::WithdrawUnfound { entity: a, kinds, found: Vec::new() }]).await.unwrap();
    let improvement = propose(&*store, a).await;
    take_to(&*store, improvement, ImprovementStatus::AwaitingApproval).await.unwrap();
    // What is refused leaves no news.
    let refused = step(&*store, vec![put("z"), Write::ClaimOpportunity { id: 1_000_000 }]).await;
    assert!(refused.is_err());

    let news = store.news(0, 100).await.unwrap();
    let told: Vec<_> = news.iter().map(|news| (news.kind, news.id, news.word.as_str())).collect();
    let (opportunity, change) = (NewsKind::Opportunity, NewsKind::Improvement);
    assert_eq!(
        told,
        [
            (opportunity, opened[0], "pending"),
            (opportunity, opened[1], "pending"),
            (opportunity, opened[0], "in_progress"),
            (opportunity, opened[0], "pending"),
            (opportunity, opened[0], "dismissed"),
            (opportunity, opened[1], "dismissed"),
            (change, improvement, "proposed"),
            (change, improvement, "awaiting_approval"),
        ]
    );
    assert!(news.iter().all(|news| news.entity == Some(a)));
    assert!(news.is_sorted_by(|a, b| a.seq < b.seq));
    assert_eq!(store.last_news().await.unwrap(), news[7].seq);
    let rest = store.news(news[5].seq, 1).await.unwrap();
    assert_eq!(rest, news[6..7]);
}

fn target(name: &str) -> NewTarget {
    NewTarget {
        name: name.to_owned(),
        url: format!("https://{name}.example.org/hook"),
        format: TargetFormat::CloudEvents,
        kinds: vec![NotificationKind::AlertOpened],
        secret: Some("whsec_AAAA".to_owned()),
    }
}

fn put_target(target: NewTarget) -> Write {
    notify(NotificationWrite::PutTarget { target: Box::new(target), by: "local".to_owned() })
}

fn message(id: &str) -> Message {
    Message {
        id: id.to_owned(),
        kind: NotificationKind::AlertOpened,
        at: hour(1),
        subject: "alert/1".to_owned(),
        summary: "60 opportunities are pending".to_owned(),
        data: serde_json::json!({"id": 1, "value": 60.5}),
    }
}

/// Targets come back as they were set, by name; a name is taken once.
pub async fn targets_come_and_go(store: Subject) {
    let made = step(&*store, vec![put_target(target("b")), put_target(target("a"))]).await.unwrap().recorded;
    let found = store.targets().await.unwrap();
    assert_eq!(found.iter().map(|target| target.id).collect::<Vec<_>>(), [made[1], made[0]]);
    assert_eq!((&found[0].target, found[0].created_by.as_str()), (&target("a"), "local"));
    for bad in [target("a"), NewTarget { url: "ftp://a".to_owned(), ..target("c") }] {
        assert!(matches!(step(&*store, vec![put_target(bad)]).await, Err(StoreError::Invalid { .. })));
    }
    let deliver =
        |targets| notify(NotificationWrite::Deliver { message: Box::new(message("m")), targets, max_waiting: 10 });
    step(&*store, vec![deliver(made.clone())]).await.unwrap();
    let remove = |id| notify(NotificationWrite::RemoveTarget { id });
    step(&*store, vec![remove(made[0])]).await.unwrap();
    // What was on its way to it goes with it, and nothing more is put there.
    step(&*store, vec![deliver(made.clone())]).await.unwrap();
    assert_eq!(store.delivery_counts().await.unwrap().pending, 1);
    assert!(matches!(step(&*store, vec![remove(made[0])]).await, Err(StoreError::NotFound { .. })));
    step(&*store, vec![put_target(target("b"))]).await.unwrap();
}

/// News becomes deliveries once; a delivery is claimed by one, tried again, given up, taken up again, and made once.
pub async fn deliveries_are_made_once(store: Subject) {
    let to = step(&*store, vec![put_target(target("a"))]).await.unwrap().recorded[0];
    let deliver = |id: &str, max_waiting| {
        notify(NotificationWrite::Deliver { message: Box::new(message(id)), targets: vec![to], max_waiting })
    };
    let cursor = |from, to| notify(NotificationWrite::MoveCursor { from, to });
    step(&*store, vec![deliver("1", 2), deliver("2", 2), deliver("3", 2), cursor(0, 7)]).await.unwrap();
    let again = step(&*store, vec![deliver("4", 9), cursor(0, 7)]).await;
    assert!(matches!(again, Err(StoreError::VersionConflict { .. })));
    step(&*store, vec![deliver("1", 9)]).await.unwrap();
    assert_eq!(store.notified().await.unwrap(), 7);
    let all = store.deliveries(DeliveryFilter::default(), whole()).await.unwrap().items;
    let states: Vec<_> = all.iter().map(|delivery| (delivery.message.id.as_str(), delivery.state)).collect();
    // Two wait: a third one is too many.
    let (pending, dead) = (DeliveryState::Pending, DeliveryState::Dead);
    assert_eq!(states, [("3", dead), ("2", pending), ("1", pending)]);
    assert_eq!((&all[2].message, all[2].target.as_str()), (&message("1"), "a"));

    let due = store.due_deliveries(hour(100), 10).await.unwrap();
    let ids: Vec<i64> = due.iter().map(|delivery| delivery.id).collect();
    assert_eq!(ids, [all[2].id, all[1].id]);
    assert!(store.due_deliveries(hour(99), 10).await.unwrap().is_empty());
    assert_eq!(store.due_deliveries(hour(100), 1).await.unwrap(), due[..1]);
    let claim = || notify(NotificationWrite::Claim { ids: ids.clone(), until: hour(101) });
    assert_eq!(step(&*store, vec![claim()]).await.unwrap().recorded, ids);
    assert!(step(&*store, vec![claim()]).await.unwrap().recorded.is_empty());
    // Whoever claimed them is no more.
    assert_eq!(at(&*store, hour(101), claim()).await.unwrap().recorded, ids);

    let finish = |id, attempt| notify(NotificationWrite::Finish { id, attempt });
    let later = Attempt::Again { status: Some(500), error: "it said 500".into(), due: hour(110) };
    at(&*store, hour(102), finish(ids[0], later)).await.unwrap();
    at(&*store, hour(102), finish(ids[1], Attempt::Dead { status: None, error: "nobody".into() })).await.unwrap();
    let one = |state| DeliveryFilter { state: Some(state), target_id: Some(to) };
    let first = PageRequest { limit: 1, cursor: None };
    let page = store.deliveries(one(dead), first).await.unwrap();
    assert_eq!(page.items[0].message.id, "3");
    let page = store.deliveries(one(dead), PageRequest { limit: 1, cursor: page.next }).await.unwrap();
    let given_up = &page.items[0];
    assert_eq!((given_up.id, given_up.due_at, given_up.last_error.as_deref()), (ids[1], None, Some("nobody")));
    let waiting = &store.deliveries(one(pending), whole()).await.unwrap().items[0];
    assert_eq!((waiting.attempts, waiting.last_status, waiting.due_at), (2, Some(500), Some(hour(110))));
    let counts = store.delivery_counts().await.unwrap();
    assert_eq!((counts.pending, counts.dead), (1, 2));

    at(&*store, hour(110), finish(ids[0], Attempt::Delivered { status: 204 })).await.unwrap();
    at(&*store, hour(111), finish(ids[0], Attempt::Dead { status: None, error: "late".into() })).await.unwrap();
    let made = &store.deliveries(one(DeliveryState::Delivered), whole()).await.unwrap().items[0];
    assert_eq!((made.delivered_at, made.last_status, &made.last_error), (Some(hour(110)), Some(204), &None));
    let revive = |id| notify(NotificationWrite::Revive { id });
    assert!(matches!(step(&*store, vec![revive(ids[0])]).await, Err(StoreError::VersionConflict { .. })));
    at(&*store, hour(112), revive(ids[1])).await.unwrap();
    assert_eq!(store.due_deliveries(hour(112), 10).await.unwrap()[0].id, ids[1]);

    // What ended long ago goes; what waits stays.
    let prune = |rows| notify(NotificationWrite::Prune { before: hour(200), rows });
    step(&*store, vec![prune(1)]).await.unwrap();
    assert_eq!(store.deliveries(DeliveryFilter::default(), whole()).await.unwrap().items.len(), 2);
    step(&*store, vec![prune(10)]).await.unwrap();
    assert_eq!(store.deliveries(DeliveryFilter::default(), whole()).await.unwrap().items.len(), 1);
}

/// News goes when it is old and has become deliveries.
pub async fn old_news_goes(store: Subject) {
    for hours in [1, 2, 3] {
        at(&*store, hour(hours), alert(AlertWrite::Raise(backlog(60.0)))).await.unwrap();
        let id = store.alerts(true, whole()).await.unwrap().items[0].id;
        at(&*store, hour(hours), alert(AlertWrite::Resolve { ids: vec![id], by: None })).await.unwrap();
    }
    let news = store.news(0, 10).await.unwrap();
    assert_eq!(news.len(), 6);
    let prune = || notify(NotificationWrite::Prune { before: hour(3), rows: 10 });
    step(&*store, vec![prune()]).await.unwrap();
    assert_eq!(store.news(0, 10).await.unwrap(), news);
    let cursor = notify(NotificationWrite::MoveCursor { from: 0, to: news[2].seq });
    step(&*store, vec![cursor, prune()]).await.unwrap();
    assert_eq!(store.news(0, 10).await.unwrap(), news[3..]);
}

/// Tasks and decisions are counted by day and by whom.
pub async fn days_and_entities(store: Subject) {
    let day = |days: i64, id: &str, kind| {
        let mut event = event(id, kind, hour(24 * days + 2));
        event.task_id = Some(format!("{id}-{days}"));
        event
    };
    let (done, failed) = (EventKind::TaskCompleted, EventKind::TaskFailed);
    take(&*store, vec![day(1, "1", done), day(1, "2", failed), day(2, "3", done), day(9, "4", done)]).await;
    let who: EntityKey = agent(&*store, "a").await;
    let (from, to) = (hour(24).hour(), hour(72).hour());
    let days = store.tasks_by_day(None, from, to, 10).await.unwrap();
    let first = hour(24).day();
    let told: Vec<_> = days.iter().map(|day| (day.day, day.agent, day.sums.n, day.sums.errors)).collect();
    assert_eq!(told, [(first, who, 2, 1), (first + 1, who, 1, 0)]);
    assert_eq!(store.tasks_by_day(Some(who), from, to, 1).await.unwrap(), days[..1]);
    let other = declare(&*store, EntityType::Agent, "other").await;
    assert!(store.tasks_by_day(Some(other), from, to, 10).await.unwrap().is_empty());

    assert!(store.decisions_by_day(hour(0)).await.unwrap().is_empty());
    assert!(store.analytics_by_entity(10).await.unwrap().is_empty());
    let ends = [(1, "kept"), (1, "rolled_back"), (3, "kept"), (3, "cancelled"), (9, "inconclusive")];
    for (day, outcome) in ends {
        let improvement = propose(&*store, who).await;
        let of = super::improvements::entry(improvement, who, outcome.parse().unwrap(), 0.1);
        let entry = HistoryEntry { decided_at: hour(24 * day), rollback_revision: None, ..of };
        step(&*store, vec![Write::RecordHistory(Box::new(entry))]).await.unwrap();
    }
    let days = store.decisions_by_day(hour(30)).await.unwrap();
    let told: Vec<_> = days.iter().map(|day| (day.day, day.kept, day.cancelled, day.inconclusive)).collect();
    let third = hour(72).day();
    assert_eq!(told, [(third, 1, 1, 0), (third + 6, 0, 0, 1)]);
    let all = store.decisions_by_day(hour(0)).await.unwrap();
    assert_eq!((all.len(), all[0].kept, all[0].rolled_back), (3, 1, 1));
    let [row] = &store.analytics_by_entity(10).await.unwrap()[..] else { panic!("one entity") };
    assert_eq!((row.entity, row.total, row.kept, row.rolled_back, row.inconclusive), (who, 4, 2, 1, 1));
    assert!((row.success_rate.unwrap() - 2.0 / 3.0).abs() < 1e-9);
    let news = store.news(0, 100).await.unwrap();
    let verdicts: Vec<_> =
        news.iter().filter(|news| news.kind == NewsKind::Verdict).map(|news| &*news.word).collect();
    assert_eq!(verdicts, ends.map(|(_, outcome)| outcome));
}

/// The view follows the settings and the trends that were measured.
pub async fn health_follows_its_settings(store: Subject) {
    let trends =
        |success_change, duration_change| Write::Health(HealthWrite::Trends { success_change, duration_change });
    step(&*store, vec![trends(Some(-0.1), Some(f64::NAN))]).await.unwrap();
    let status = store.system_status().await.unwrap();
    assert_eq!((status.success_change, status.duration_change), (Some(-0.1), None));
    assert!((status.score - 90.0).abs() < 1e-9, "{status:?}");
    let settings = |policy| {
        let policy = Box::new(policy);
        Write::Health(HealthWrite::Settings { policy, backlog_alert: 10, rollback_days: 1, min_decisions: 1 })
    };
    let policy = HealthPolicy { success_points: 100.0, fair_below: 60.0, ..HealthPolicy::default() };
    step(&*store, vec![settings(policy)]).await.unwrap();
    let status = store.system_status().await.unwrap();
    assert!((status.score - 50.0).abs() < 1e-9, "{status:?}");
    assert_eq!(status.health.as_str(), "fair");
    step(&*store, vec![trends(Some(-0.11), None)]).await.unwrap();
    assert_eq!(store.system_status().await.unwrap().health.as_str(), "needs_attention");
}
