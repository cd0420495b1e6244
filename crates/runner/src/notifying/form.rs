//! What a target's format makes of a message.

use serde_json::{Map, Value, json};
use uplift_model::Time;
use uplift_model::notification::{Message, NotificationKind, TargetFormat};
use uplift_model::policy::NotificationsPolicy;

/// What stands for this server where it has no address of its own.
const SOURCE: &str = "/uplift";
/// Longest text in a message of Slack, in characters.
const MAX_SLACK_CHARS: usize = 2_500;
/// How many repeats Alertmanager waits for before it takes an alert for resolved.
const REPEATS: i64 = 4;
/// How long a trial alert holds, microseconds.
const TRIAL_US: i64 = 60_000_000;

/// Content type and body.
pub(super) fn body(
    format: TargetFormat,
    message: &Message,
    policy: &NotificationsPolicy,
    now: Time,
) -> (&'static str, Vec<u8>) {
    let (content_type, value) = match format {
        TargetFormat::CloudEvents => ("application/cloudevents+json", cloudevent(message, policy)),
        TargetFormat::Slack => ("application/json", slack(message, policy)),
        TargetFormat::Alertmanager => ("application/json", alertmanager(message, policy, now)),
    };
    (content_type, value.to_string().into_bytes())
}

fn cloudevent(message: &Message, policy: &NotificationsPolicy) -> Value {
    let mut data = message.data.as_object().cloned().unwrap_or_default();
    data.insert("summary".to_owned(), message.summary.clone().into());
    if let Some(link) = link(message, policy) {
        data.insert("url".to_owned(), link.into());
    }
    json!({
        "specversion": "1.0",
        "id": message.id,
        "source": policy.public_url.as_deref().unwrap_or(SOURCE),
        "type": format!("uplift.{}", message.kind),
        "subject": message.subject,
        "time": message.at.to_string(),
        "datacontenttype": "application/json",
        "data": data,
    })
}

/// Where people see more.
fn link(message: &Message, policy: &NotificationsPolicy) -> Option<String> {
    let base = policy.public_url.as_deref()?.trim_end_matches('/');
    let path = match message.subject.split_once('/') {
        Some(("improvement", id)) => format!("/improvements/{id}"),
        Some(("alert", _)) => "/alerts".to_owned(),
        _ => "/".to_owned(),
    };
    Some(format!("{base}{path}"))
}

fn slack(message: &Message, policy: &NotificationsPolicy) -> Value {
    let title = match message.kind {
        NotificationKind::AlertOpened => ":rotating_light: Alert",
        NotificationKind::AlertAcknowledged => ":eyes: Alert acknowledged",
        NotificationKind::AlertResolved => ":white_check_mark: Alert resolved",
        NotificationKind::ImprovementKept => ":chart_with_upwards_trend: Change kept",
        NotificationKind::ImprovementRolledBack => ":rewind: Change taken back",
        NotificationKind::ImprovementInconclusive => ":grey_question: No answer",
        NotificationKind::ApprovalNeeded => ":raised_hand: Approval needed",
        NotificationKind::AlertsHold => "Alerts",
        NotificationKind::Test => ":bell: Test",
    };
    let mut text = format!("*{title}*: {}", plain(&message.summary));
    if let Some(link) = link(message, policy) {
        // What would end the link early cannot be in it.
        text = format!("{text} (<{}|more>)", link.replace(['<', '>', '|'], ""));
    }
    json!({ "text": text })
}

/// A text in which nothing has a meaning of its own: no links, no mentions, no formatting.
fn plain(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars().filter(|c| !c.is_control()).take(MAX_SLACK_CHARS) {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            // Formatting of Slack, kept apart from what it would apply to.
            '*' | '_' | '~' | '`' => {
                out.push('\u{200b}');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}

fn alertmanager(message: &Message, policy: &NotificationsPolicy, now: Time) -> Value {
    let repeat_us = i64::from(policy.alertmanager_repeat_seconds) * 1_000_000;
    match message.kind {
        NotificationKind::AlertsHold => {
            let alerts = message.data["alerts"].as_array().cloned().unwrap_or_default();
            alerts.iter().map(|alert| posted(alert, message, policy, now.plus_micros(REPEATS * repeat_us))).collect()
        }
        NotificationKind::Test => {
            let labels = json!({"alertname": "UpliftTest", "service": "uplift", "severity": "info"});
            json!([{
                "labels": labels, "annotations": {"summary": message.summary}, "startsAt": message.at.to_string(),
                "endsAt": now.plus_micros(TRIAL_US).to_string(),
            }])
        }
        NotificationKind::AlertResolved => json!([posted(&message.data, message, policy, message.at)]),
        _ => json!([posted(&message.data, message, policy, now.plus_micros(REPEATS * repeat_us))]),
    }
}

/// One alert as Alertmanager takes it. Its labels say which one it is: they do not change while it holds.
fn posted(alert: &Value, message: &Message, policy: &NotificationsPolicy, ends: Time) -> Value {
    let kind = alert["kind"].as_str().unwrap_or_default();
    let mut labels = Map::new();
    let mut label = |name: &str, value: &Value| {
        if let Some(text) = value.as_str().filter(|text| !text.is_empty()) {
            labels.insert(name.to_owned(), text.into());
        }
    };
    label("alertname", &format!("Uplift{}", camel(kind)).into());
    label("service", &"uplift".into());
    label("severity", &if kind == "disk_full" { "critical" } else { "warning" }.into());
    label("kind", &kind.into());
    for name in ["entity_type", "entity", "environment", "fingerprint"] {
        label(name, &alert[name]);
    }
    let mut annotations = json!({"summary": alert["message"], "alert": alert["id"].to_string()});
    if let Some(by) = alert["acknowledged_by"].as_str() {
        annotations["acknowledged_by"] = by.into();
    }
    let starts = alert["raised_at"].as_str().map_or_else(|| message.at.to_string(), str::to_owned);
    let mut posted =
        json!({"labels": labels, "annotations": annotations, "startsAt": starts, "endsAt": ends.to_string()});
    if let Some(base) = policy.public_url.as_deref() {
        posted["generatorURL"] = format!("{}/alerts", base.trim_end_matches('/')).into();
    }
    posted
}

/// `high_rollback_rate` as `HighRollbackRate`.
fn camel(name: &str) -> String {
    name.split('_')
        .flat_map(|word| {
            let mut chars = word.chars();
            chars.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(chars)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: NotificationKind) -> Message {
        let alert = json!({"id": 3, "kind": "recurring_failure", "entity_type": "agent", "entity": "clerk",
            "environment": "default", "fingerprint": "00ff", "message": "`clerk` failed", "value": 9.0,
            "raised_at": "2026-01-01T00:00:00Z", "acknowledged_by": null});
        let data = if kind == NotificationKind::AlertsHold { json!({"alerts": [alert]}) } else { alert };
        Message {
            id: "news-7".to_owned(),
            kind,
            at: Time::from_micros(1_767_225_600_000_000),
            subject: "alert/3".to_owned(),
            summary: "`clerk` failed <!here> & more".to_owned(),
            data,
        }
    }

    fn made(format: TargetFormat, kind: NotificationKind) -> (&'static str, Value) {
        let policy =
            NotificationsPolicy { public_url: Some("https://uplift.example.org/".to_owned()), ..Default::default() };
        let now = Time::from_micros(1_767_225_660_000_000);
        let (content_type, body) = body(format, &message(kind), &policy, now);
        (content_type, serde_json::from_slice(&body).unwrap())
    }

    #[test]
    fn a_cloudevent_has_what_one_must_have() {
        let (content_type, event) = made(TargetFormat::CloudEvents, NotificationKind::AlertOpened);
        assert_eq!(content_type, "application/cloudevents+json");
        assert_eq!(event["specversion"], "1.0");
        assert_eq!((&event["id"], &event["type"]), (&json!("news-7"), &json!("uplift.alert.opened")));
        assert_eq!((&event["source"], &event["subject"]), (&json!("https://uplift.example.org/"), &json!("alert/3")));
        let time: Time = event["time"].as_str().unwrap().parse().unwrap();
        assert_eq!(time, message(NotificationKind::AlertOpened).at);
        assert_eq!(event["data"]["url"], "https://uplift.example.org/alerts");
        assert_eq!((&event["data"]["kind"], &event["data"]["value"]), (&json!("recurring_failure"), &json!(9.0)));
    }

    #[test]
    fn slack_is_told_in_one_line_without_tricks() {
        let (_, body) = made(TargetFormat::Slack, NotificationKind::AlertOpened);
        let text = body["text"].as_str().unwrap();
        assert!(text.contains("&lt;!here&gt; &amp; more"), "{text}");
        assert!(text.ends_with("(<https://uplift.example.org/alerts|more>)"), "{text}");
    }

    #[test]
    fn alertmanager_takes_the_same_alert_until_it_ends() {
        let (_, fired) = made(TargetFormat::Alertmanager, NotificationKind::AlertOpened);
        let (_, again) = made(TargetFormat::Alertmanager, NotificationKind::AlertsHold);
        let (_, ended) = made(TargetFormat::Alertmanager, NotificationKind::AlertResolved);
        assert_eq!((&fired[0]["labels"], &fired[0]["startsAt"]), (&again[0]["labels"], &again[0]["startsAt"]));
        assert_eq!(fired[0]["labels"], ended[0]["labels"]);
        assert_eq!(fired[0]["labels"]["alertname"], "UpliftRecurringFailure");
        let time = |value: &Value| value["endsAt"].as_str().unwrap().parse::<Time>().unwrap();
        assert_eq!(time(&fired[0]), Time::from_micros(1_767_225_660_000_000 + 1_200_000_000));
        assert_eq!(time(&ended[0]), Time::from_micros(1_767_225_600_000_000));
    }
}
