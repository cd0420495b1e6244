//! What operators hear of a trial that really runs: the wish for approval, the verdict, and the alert that follows, in
//! the form of each target and signed.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::collections::BTreeMap;

use common::receiver::{Got, Receiver, is_signed};
use common::writer::{World, policy, set};
use serde_json::{Value, json};
use uplift_model::Policy;
use uplift_model::improvement::{ImprovementStatus, ProposalSource};
use uplift_model::notification::{NewTarget, TargetFormat};
use uplift_runner::{notifying, watch};

/// Who is told, by the path at which they hear of it.
const TARGETS: [(&str, TargetFormat, &str); 3] = [
    ("/events", TargetFormat::CloudEvents, "application/cloudevents+json"),
    ("/chat", TargetFormat::Slack, "application/json"),
    ("/alerts", TargetFormat::Alertmanager, "application/json"),
];
/// Words of a model that would be more than words in a chat.
const RATIONALE: &str = "Short is good <!channel> *now* <https://evil.example|see>";

struct Ears {
    receiver: Receiver,
    secrets: BTreeMap<String, String>,
}

impl Ears {
    async fn of(world: &World) -> Self {
        // The program does so when it begins; a second time changes nothing.
        let _installed = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
        let receiver = Receiver::new().await;
        let mut secrets = BTreeMap::new();
        for (path, format, _) in TARGETS {
            let url = format!("{}{path}", receiver.address);
            let target = NewTarget { name: path.replace('/', ""), url, format, kinds: Vec::new(), secret: None };
            secrets.insert(path.to_owned(), world.engine.set_target(target, "local").await.unwrap().secret);
        }
        Self { receiver, secrets }
    }

    /// What was told since it was last asked, by path; each signed by the secret of its target and by no other.
    async fn hear(&self, world: &World) -> BTreeMap<&'static str, Vec<Value>> {
        notifying::settle(&world.engine).await.unwrap();
        let got = self.receiver.got();
        let of = |path: &str| -> Vec<Got> { got.iter().filter(|got| got.path == path).cloned().collect() };
        let mut heard = BTreeMap::new();
        for (path, _, content_type) in TARGETS {
            for got in of(path) {
                assert_eq!(got.headers["content-type"], content_type, "{path}");
                for (whose, secret) in &self.secrets {
                    assert_eq!(is_signed(&got, secret), whose == path, "{path} by the secret of {whose}");
                }
            }
            heard.insert(path, of(path).iter().map(Got::json).collect());
        }
        heard
    }
}

fn told() -> Policy {
    let mut policy = policy();
    policy.engine.rollback_rate_min_decisions = 1;
    policy.notifications.allow_private = true;
    policy.notifications.allow_http = true;
    policy.notifications.public_url = Some("https://uplift.example.org".to_owned());
    policy
}

/// Lives until an improvement has come to a status.
async fn until(world: &mut World, id: i64, status: ImprovementStatus) {
    for _ in 0..24 {
        if world.improvement(id).await.status == status {
            return;
        }
        world.live(1, true).await;
    }
    panic!("it did not come to {status}: {:#?}", world.improvement(id).await);
}

/// The one thing that was told at a path.
#[track_caller]
fn only<'a>(heard: &'a BTreeMap<&str, Vec<Value>>, path: &str) -> &'a Value {
    let [one] = &heard[path][..] else { panic!("{path}: {heard:#?}") };
    one
}

#[tokio::test]
async fn harm_is_told_from_the_wish_for_approval_to_the_alert() {
    let mut world = World::after(48, told(), |style| if style == Some("terse") { 0.2 } else { 0.8 }, true).await;
    let ears = Ears::of(&world).await;
    let id = world.propose_by(ProposalSource::Llm, vec![set("terse")], RATIONALE).await.id;
    until(&mut world, id, ImprovementStatus::AwaitingApproval).await;
    let heard = ears.hear(&world).await;
    let event = only(&heard, "/events");
    assert_eq!(event["type"], "uplift.improvement.awaiting_approval");
    assert_eq!(event["subject"], format!("improvement/{id}"));
    let data = &event["data"];
    assert_eq!((&data["entity"], &data["improvement_id"]), (&json!("writer"), &json!(id)));
    assert_eq!((&data["rationale"], &data["outcome"]), (&json!(RATIONALE), &Value::Null));
    assert_eq!(data["url"], format!("https://uplift.example.org/improvements/{id}"));
    let text = only(&heard, "/chat")["text"].as_str().unwrap();
    assert!(text.contains("Approval needed") && text.contains("&lt;!channel&gt;"), "{text}");
    // The only link, and the only thing in bold, are our own.
    assert_eq!((text.matches('<').count(), text.matches("<https://uplift.example.org/").count()), (1, 1), "{text}");
    assert_eq!(text.replace("\u{200b}*", "").matches('*').count(), 2, "{text}");
    assert!(heard["/alerts"].is_empty(), "{heard:#?}");

    world.engine.approve(id, "ada".to_owned()).await.unwrap();
    until(&mut world, id, ImprovementStatus::RolledBack).await;
    let heard = ears.hear(&world).await;
    let event = only(&heard, "/events");
    assert_eq!(event["type"], "uplift.improvement.rolled_back");
    let (data, history) = (&event["data"], world.engine.store().history_of(id).await.unwrap());
    assert_eq!((&data["outcome"], &data["status"]), (&json!("rolled_back"), &json!("rolled_back")));
    let (told, known) = (data["effectiveness"].as_f64().unwrap(), history[0].effectiveness.unwrap());
    // Reading a number back from JSON may turn its last bit.
    assert!(told < 0.0 && (told - known).abs() < 1e-12, "{told} {known}");
    assert_eq!(data["reason"].as_str(), history[0].reason.as_deref());
    let text = only(&heard, "/chat")["text"].as_str().unwrap();
    assert!(text.contains("Change taken back") && text.contains("did harm"), "{text}");
    assert!(heard["/alerts"].is_empty(), "verdicts are no alerts: {heard:#?}");

    // One of one was taken back, which is more than three in ten.
    watch::settle(&world.engine).await.unwrap();
    let heard = ears.hear(&world).await;
    let data = &only(&heard, "/events")["data"];
    assert_eq!(
        (&data["kind"], &data["value"], &data["entity"]),
        (&json!("high_rollback_rate"), &json!(1.0), &Value::Null)
    );
    let alerts = &heard["/alerts"];
    // It was opened, and it holds.
    assert_eq!(alerts.len(), 2, "{heard:#?}");
    for posted in alerts {
        let labels = &posted[0]["labels"];
        assert_eq!(labels["alertname"], "UpliftHighRollbackRate", "{posted:#}");
        let (starts, ends) = (posted[0]["startsAt"].as_str().unwrap(), posted[0]["endsAt"].as_str().unwrap());
        assert!(starts < ends, "{posted:#}");
    }
    assert!(only(&heard, "/chat")["text"].as_str().unwrap().contains("Alert"));
    assert!(ears.hear(&world).await["/chat"].is_empty(), "once each");
}

#[tokio::test]
async fn what_is_kept_is_told() {
    let mut world = World::after(48, told(), |style| if style == Some("plain") { 0.95 } else { 0.6 }, true).await;
    let ears = Ears::of(&world).await;
    let id = world.propose("plain").await.id;
    until(&mut world, id, ImprovementStatus::Deployed).await;
    let heard = ears.hear(&world).await;
    let event = only(&heard, "/events");
    assert_eq!((&event["type"], &event["data"]["outcome"]), (&json!("uplift.improvement.kept"), &json!("kept")));
    assert!(event["data"]["effectiveness"].as_f64().unwrap() > 0.0, "{event:#}");
    assert!(event["data"]["summary"].as_str().unwrap().contains("was kept: Keep"), "{event:#}");
    assert!(only(&heard, "/chat")["text"].as_str().unwrap().contains("Change kept"));
    assert!(heard["/alerts"].is_empty(), "{heard:#?}");
}
