//! Notifications reach a real receiver over HTTP: signed, again after failures, at least once, and only where they may go.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::sync::Arc;

use common::receiver::{Receiver, is_signed};
use uplift_model::Policy;
use uplift_model::alert::{AlertFinding, AlertKind};
use uplift_model::notification::{DeliveryState, NewTarget, NotificationKind, TargetFormat};
use uplift_runner::clock::ManualClock;
use uplift_runner::control::ControlError;
use uplift_runner::{Engine, notifying, watch};
use uplift_store::rows::DeliveryFilter;
use uplift_store::sqlite::SqliteStore;
use uplift_store::writes::attention::AlertWrite;
use uplift_store::{NewsReads, PageRequest, Write};

struct World {
    engine: Engine,
    clock: Arc<ManualClock>,
    store: Arc<SqliteStore>,
}

fn policy() -> Policy {
    let mut policy = Policy::default();
    policy.notifications.allow_private = true;
    policy.notifications.allow_http = true;
    policy.notifications.max_attempts = 3;
    policy
}

impl World {
    async fn new(policy: Policy) -> Self {
        // The program does so when it begins; a second time changes nothing.
        let _installed = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
        let store = Arc::new(SqliteStore::in_memory().unwrap());
        let clock = Arc::new(ManualClock::at("2026-03-01T00:00:00Z".parse().unwrap()));
        let engine = Engine::new(store.clone(), policy, clock.clone());
        watch::prepare(&engine).await.unwrap();
        Self { engine, clock, store }
    }

    async fn target(&self, name: &str, url: String, format: TargetFormat, kinds: &[NotificationKind]) -> String {
        let target = NewTarget { name: name.to_owned(), url, format, kinds: kinds.to_vec(), secret: None };
        self.engine.set_target(target, "local").await.unwrap().secret
    }

    /// Raises an alert that no other is like.
    async fn raise(&self, fingerprint: &str) {
        let finding = AlertFinding {
            kind: AlertKind::OpportunityBacklog,
            entity: None,
            fingerprint: fingerprint.to_owned(),
            message: format!("too much of {fingerprint}"),
            value: 51.0,
            threshold: 50.0,
            at: self.engine.now(),
        };
        self.engine.commit(vec![Write::Alerts(AlertWrite::Raise(finding))]).await.unwrap();
    }

    fn pass(&self, seconds: i64) {
        self.clock.set(self.engine.now().plus_micros(seconds * 1_000_000));
    }

    async fn settle(&self) {
        notifying::settle(&self.engine).await.unwrap();
    }

    async fn states(&self) -> Vec<(DeliveryState, i64)> {
        let page = PageRequest::first(100);
        let all = self.store.deliveries(DeliveryFilter::default(), page).await.unwrap().items;
        all.into_iter().rev().map(|delivery| (delivery.state, delivery.attempts)).collect()
    }
}

#[tokio::test]
async fn an_alert_is_told_signed_and_again_after_a_failure() {
    let (world, receiver) = (World::new(policy()).await, Receiver::new().await);
    let secret = world.target("a", format!("{}/hook", receiver.address), TargetFormat::CloudEvents, &[]).await;
    world.raise("a").await;
    receiver.answers([Some((500, "x: 0")), Some((429, "retry-after: 60"))]);
    world.settle().await;
    world.settle().await;
    // It waits before it tries again: first its own time, then the one it was asked for.
    for (seconds, tries) in [(0, 1), (4, 0), (1, 1), (59, 0), (1, 1), (3_600, 0)] {
        world.pass(seconds);
        if seconds > 0 {
            world.settle().await;
        }
        let got = receiver.got();
        assert_eq!(got.len(), tries, "after {seconds} s");
        for got in got {
            assert!(is_signed(&got, &secret), "{got:?}");
            assert!(!is_signed(&got, "whsec_AAAA"));
            assert_eq!((got.path.as_str(), got.headers["webhook-id"].as_str()), ("/hook", "news-1"));
            assert_eq!(got.headers["content-type"], "application/cloudevents+json");
            let event: serde_json::Value = serde_json::from_slice(&got.body).unwrap();
            assert_eq!((&event["id"], &event["type"]), (&"news-1".into(), &"uplift.alert.opened".into()));
            assert_eq!(event["data"]["summary"], "too much of a");
        }
    }
    assert_eq!(world.states().await, [(DeliveryState::Delivered, 3)]);
}

#[tokio::test]
async fn what_cannot_be_delivered_is_given_up_and_can_be_taken_up() {
    let (world, receiver) = (World::new(policy()).await, Receiver::new().await);
    world.target("a", receiver.address.clone(), TargetFormat::Slack, &[]).await;
    world.target("b", receiver.address.clone(), TargetFormat::Slack, &[NotificationKind::AlertResolved]).await;
    world.raise("a").await;
    receiver.answers([500, 302, 404].map(|status| Some((status, "location: http://127.0.0.1:1/"))));
    for _ in 0..5 {
        world.settle().await;
        world.pass(3_600);
    }
    assert_eq!(receiver.got().len(), 3);
    let dead = DeliveryFilter { state: Some(DeliveryState::Dead), target_id: None };
    let [delivery] = &world.store.deliveries(dead, PageRequest::first(10)).await.unwrap().items[..] else {
        panic!("one was given up")
    };
    assert_eq!((delivery.attempts, delivery.last_error.as_deref()), (3, Some("it answered 404")));
    world.engine.revive_delivery(delivery.id).await.unwrap();
    world.settle().await;
    assert_eq!(world.states().await, [(DeliveryState::Delivered, 1)]);
    // Gone for good is not asked again.
    world.raise("b").await;
    receiver.answers([Some((410, "x: 0"))]);
    world.settle().await;
    assert_eq!(world.states().await[1], (DeliveryState::Dead, 1));
}

#[tokio::test]
async fn who_dies_between_sending_and_noting_leaves_it_to_be_sent_again() {
    let (world, receiver) = (World::new(policy()).await, Receiver::new().await);
    let secret = world.target("a", receiver.address.clone(), TargetFormat::CloudEvents, &[]).await;
    world.raise("a").await;
    receiver.answers([None]);
    let engine = world.engine.clone();
    let doomed = tokio::spawn(async move { notifying::settle(&engine).await });
    receiver.heard.notified().await;
    doomed.abort();
    assert!(doomed.await.is_err());
    // It is claimed still; then somebody else takes it.
    world.settle().await;
    assert_eq!(receiver.got.lock().unwrap().len(), 1);
    world.pass(60);
    world.settle().await;
    let got = receiver.got();
    assert_eq!(got.iter().map(|got| got.headers["webhook-id"].as_str()).collect::<Vec<_>>(), ["news-1", "news-1"]);
    assert!(got.iter().all(|got| is_signed(got, &secret)));
    assert_eq!(got[0].body, got[1].body);
    assert_eq!(world.states().await, [(DeliveryState::Delivered, 2)]);
}

#[tokio::test]
async fn news_is_told_once_to_those_who_were_there() {
    let (world, receiver) = (World::new(policy()).await, Receiver::new().await);
    world.raise("before").await;
    world.pass(1);
    world.target("a", receiver.address.clone(), TargetFormat::CloudEvents, &[]).await;
    for name in ["b", "c"] {
        world.pass(1);
        world.raise(name).await;
    }
    for _ in 0..5 {
        world.settle().await;
    }
    let mut ids: Vec<String> = receiver.got().iter().map(|got| got.headers["webhook-id"].clone()).collect();
    ids.sort_unstable();
    assert_eq!(ids, ["news-2", "news-3"]);
    world.engine.remove_target("a").await.unwrap();
    world.raise("d").await;
    world.settle().await;
    assert!(receiver.got().is_empty());
}

#[tokio::test]
async fn alertmanager_hears_of_open_alerts_again_and_again() {
    let (world, receiver) = (World::new(policy()).await, Receiver::new().await);
    world.target("a", receiver.address.clone(), TargetFormat::Alertmanager, &[]).await;
    world.settle().await;
    world.raise("a").await;
    let mut counts = Vec::new();
    for seconds in [1, 60, 300, 300] {
        world.pass(seconds);
        world.settle().await;
        counts.push(receiver.got().len());
    }
    // Each time is as after a restart: what holds is told at once, then once in each stretch of five minutes.
    assert_eq!(counts, [2, 0, 1, 1]);
}

#[tokio::test]
async fn addresses_that_may_not_be_asked_are_not() {
    let receiver = Receiver::new().await;
    let port = receiver.address.rsplit(':').next().unwrap().to_owned();
    let mut strict = policy();
    strict.notifications.allow_private = false;
    let world = World::new(strict).await;
    let target = |url: String| NewTarget {
        name: "a".to_owned(),
        url,
        format: TargetFormat::CloudEvents,
        kinds: Vec::new(),
        secret: None,
    };
    for url in [format!("http://127.0.0.1:{port}/"), format!("http://[::ffff:127.0.0.1]:{port}/")] {
        let refused = world.engine.set_target(target(url), "local").await;
        assert!(matches!(refused.err(), Some(ControlError::Invalid { .. })));
    }
    // A name is looked up when it is asked, each time: what it stood for when it was set means nothing.
    world.engine.set_target(target(format!("http://localhost:{port}/")), "local").await.unwrap();
    let trial = world.engine.try_target("a", "local").await.unwrap();
    assert!(!trial.delivered && trial.error.as_ref().unwrap().contains("no public address"), "{trial:?}");
    world.raise("a").await;
    world.settle().await;
    assert_eq!(world.states().await, [(DeliveryState::Pending, 1)]);
    assert!(receiver.got().is_empty());
}
