//! News that goes out to others: what is told, to whom, and how far it has come.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::entity::UnknownName;
use crate::opportunity::names;
use crate::time::Time;

/// Longest name of a target, in characters.
pub const MAX_NAME_CHARS: usize = 64;
/// Longest address of a target, bytes.
pub const MAX_URL_BYTES: usize = 2_048;
/// Most targets.
pub const MAX_TARGETS: usize = 100;
/// What a secret begins with, as Standard Webhooks writes it: the rest is base64.
pub const SECRET_PREFIX: &str = "whsec_";

names! {
    /// What is told.
    NotificationKind,
    "a kind of notification (see docs/notifications.md)",
    {
        /// An alert was raised.
        AlertOpened = "alert.opened",
        /// Somebody looks after an alert.
        AlertAcknowledged = "alert.acknowledged",
        /// An alert has ended.
        AlertResolved = "alert.resolved",
        /// A change was kept.
        ImprovementKept = "improvement.kept",
        /// A change did harm and was taken back.
        ImprovementRolledBack = "improvement.rolled_back",
        /// A trial ended without an answer.
        ImprovementInconclusive = "improvement.inconclusive",
        /// A change waits for a person to say yes or no.
        ApprovalNeeded = "improvement.awaiting_approval",
        /// The alerts that hold, told again to those who forget them.
        AlertsHold = "alerts.hold",
        /// Somebody tries a target out.
        Test = "test",
    }
}

impl NotificationKind {
    /// Whether it is about alerts, the only thing Alertmanager takes.
    pub fn is_of_alerts(self) -> bool {
        matches!(
            self,
            Self::AlertOpened | Self::AlertAcknowledged | Self::AlertResolved | Self::AlertsHold | Self::Test
        )
    }

    /// Whether targets can ask for it, or not to have it.
    pub fn is_chosen(self) -> bool {
        !matches!(self, Self::AlertsHold | Self::Test)
    }
}

names! {
    /// The form in which a target is told.
    TargetFormat,
    "a format of notifications (cloudevents, slack, alertmanager)",
    {
        /// `CloudEvents` 1.0, structured JSON.
        CloudEvents = "cloudevents",
        /// A message for an incoming webhook of Slack, or what understands the same.
        Slack = "slack",
        /// Alerts for the API of Prometheus' Alertmanager, version 2.
        Alertmanager = "alertmanager",
    }
}

names! {
    /// How far a delivery has come.
    DeliveryState,
    "the state of a delivery (pending, delivered, dead)",
    {
        /// It waits for its first try, or for the next one.
        Pending = "pending",
        /// The target said that it has it.
        Delivered = "delivered",
        /// It was given up.
        Dead = "dead",
    }
}

/// What is told, whatever the form. The same news has the same id each time it is sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// What tells it from all others of this database.
    pub id: String,
    /// What it is about.
    pub kind: NotificationKind,
    /// When it happened, by the engine's clock.
    pub at: Time,
    /// What it is about, such as `alert/3` or `improvement/12`.
    pub subject: String,
    /// One sentence for people. Part of it may come from events: escaped wherever it is shown.
    pub summary: String,
    /// The same for programs: an object.
    pub data: Value,
}

/// Somebody to be told, as set by an operator.
#[derive(Clone, PartialEq, Eq)]
pub struct NewTarget {
    /// Its name, from 1 to [`MAX_NAME_CHARS`] of letters, digits, `.`, `_` and `-`.
    pub name: String,
    /// Where to send: an address with https or http.
    pub url: String,
    /// In which form.
    pub format: TargetFormat,
    /// What is wanted; everything where there is nothing.
    pub kinds: Vec<NotificationKind>,
    /// The key that messages are signed with, `whsec_` and base64; none where they are not signed.
    pub secret: Option<String>,
}

/// A target on record. Its address and its secret are for the one who sends only.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    /// Its number.
    pub id: i64,
    /// What was set.
    pub target: NewTarget,
    /// When it was set.
    pub created_at: Time,
    /// By whom.
    pub created_by: String,
}

impl std::fmt::Debug for NewTarget {
    /// Without what is nobody's business: addresses of webhooks are often keys themselves.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (place, signed) = (self.shown_url(), self.secret.is_some());
        f.debug_struct("NewTarget")
            .field("name", &self.name)
            .field("url", &place)
            .field("signed", &signed)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Target").field("id", &self.id).field("target", &self.target).finish_non_exhaustive()
    }
}

impl NewTarget {
    /// Checks what can be checked without asking anybody; the key's length is checked where it is read.
    ///
    /// # Errors
    /// Says what is wrong.
    pub fn check(&self) -> Result<(), String> {
        let narrow = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if self.name.is_empty() || self.name.len() > MAX_NAME_CHARS || !self.name.chars().all(narrow) {
            return Err(format!("a target's name has 1 to {MAX_NAME_CHARS} letters, digits, `.`, `_` and `-`"));
        }
        if self.url.len() > MAX_URL_BYTES {
            return Err(format!("an address has at most {MAX_URL_BYTES} bytes"));
        }
        let rest = self.url.strip_prefix("https://").or_else(|| self.url.strip_prefix("http://"));
        let plain = |rest: &str| !rest.is_empty() && rest.chars().all(|c| c.is_ascii_graphic());
        if !rest.is_some_and(plain) {
            return Err("an address begins with https:// or http:// and has no spaces".to_owned());
        }
        if let Some(secret) = &self.secret
            && !secret.starts_with(SECRET_PREFIX)
        {
            return Err(format!("a secret begins with `{SECRET_PREFIX}`; leave it out to have one made"));
        }
        if let Some(kind) = self.kinds.iter().find(|kind| !kind.is_chosen()) {
            return Err(format!("`{kind}` cannot be chosen"));
        }
        Ok(())
    }

    /// Whether it wants to be told of this.
    pub fn wants(&self, kind: NotificationKind) -> bool {
        let chosen = self.kinds.is_empty() || !kind.is_chosen() || self.kinds.contains(&kind);
        match self.format {
            TargetFormat::Alertmanager => kind.is_of_alerts() && chosen,
            TargetFormat::CloudEvents | TargetFormat::Slack => kind != NotificationKind::AlertsHold && chosen,
        }
    }

    /// The address as it may be shown: scheme, host and port. The rest may be a key, as may be what stands before `@`.
    pub fn shown_url(&self) -> String {
        let Some((scheme, rest)) = self.url.split_once("://") else { return String::new() };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (place, more) = rest.split_at(end);
        let place = place.rsplit('@').next().unwrap_or_default();
        format!("{scheme}://{place}{}", if more.len() > 1 { "/..." } else { "" })
    }
}

/// A message on its way to a target.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    /// Its number.
    pub id: i64,
    /// To whom.
    pub target_id: i64,
    /// That target's name.
    pub target: String,
    /// What is told.
    pub message: Message,
    /// Since when it waits.
    pub created_at: Time,
    /// How far it has come.
    pub state: DeliveryState,
    /// How often it was tried.
    pub attempts: i64,
    /// When it is tried next; none once it ended.
    pub due_at: Option<Time>,
    /// When it was last tried.
    pub last_attempt_at: Option<Time>,
    /// The HTTP status of the last answer, if there was one.
    pub last_status: Option<u16>,
    /// Why the last try failed.
    pub last_error: Option<String>,
    /// When the target took it.
    pub delivered_at: Option<Time>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str, format: TargetFormat, kinds: &[NotificationKind]) -> NewTarget {
        NewTarget { name: "t".to_owned(), url: url.to_owned(), format, kinds: kinds.to_vec(), secret: None }
    }

    #[test]
    fn addresses_are_shown_without_their_keys() {
        for (url, shown) in [
            ("https://hooks.example.org/services/T0/B0/key", "https://hooks.example.org/..."),
            ("https://user:key@example.org:8443/", "https://example.org:8443"),
            ("http://127.0.0.1:9093?key=1", "http://127.0.0.1:9093/..."),
            ("https://example.org", "https://example.org"),
            ("nonsense", ""),
        ] {
            let target = target(url, TargetFormat::Slack, &[]);
            assert_eq!(target.shown_url(), shown);
            assert!(!format!("{target:?}").contains("key"));
        }
    }

    #[test]
    fn everybody_is_told_what_they_want() {
        use NotificationKind as K;
        let (all, some) = (&[][..], &[K::AlertOpened, K::ImprovementKept][..]);
        for (format, kinds, kind, wanted) in [
            (TargetFormat::CloudEvents, all, K::ImprovementKept, true),
            (TargetFormat::CloudEvents, all, K::AlertsHold, false),
            (TargetFormat::CloudEvents, some, K::AlertResolved, false),
            (TargetFormat::Slack, some, K::Test, true),
            (TargetFormat::Alertmanager, all, K::ImprovementKept, false),
            (TargetFormat::Alertmanager, all, K::AlertsHold, true),
            (TargetFormat::Alertmanager, some, K::ImprovementKept, false),
            (TargetFormat::Alertmanager, some, K::AlertOpened, true),
        ] {
            assert_eq!(target("https://a", format, kinds).wants(kind), wanted, "{format} {kinds:?} {kind}");
        }
    }

    #[test]
    fn what_cannot_be_a_target_is_refused() {
        let good =
            NewTarget { secret: Some("whsec_AAAA".to_owned()), ..target("https://a", TargetFormat::Slack, &[]) };
        assert_eq!(good.check(), Ok(()));
        for bad in [
            NewTarget { name: String::new(), ..good.clone() },
            NewTarget { name: "a b".to_owned(), ..good.clone() },
            NewTarget { name: "a".repeat(65), ..good.clone() },
            NewTarget { url: "file:///etc/passwd".to_owned(), ..good.clone() },
            NewTarget { url: "https://".to_owned(), ..good.clone() },
            NewTarget { url: "https://a b".to_owned(), ..good.clone() },
            NewTarget { url: format!("https://{}", "a".repeat(2_048)), ..good.clone() },
            NewTarget { secret: Some("key".to_owned()), ..good.clone() },
            NewTarget { kinds: vec![NotificationKind::Test], ..good.clone() },
        ] {
            assert!(bad.check().is_err(), "{bad:?}");
        }
    }
}
