//! How news goes out to others.

use serde::{Deserialize, Serialize};

use super::{PolicyError, require};

/// How news goes out to the targets that operators set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NotificationsPolicy {
    /// Whether targets may have addresses of this machine or of a private network.
    pub allow_private: bool,
    /// Whether targets may be addressed by plain http; secrets in addresses, and what is said, can be read on the way.
    pub allow_http: bool,
    /// Where people reach this server, such as `https://uplift.example.org`: links lead there. None gives no links.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_url: Option<String>,
    /// How long a target may take to answer, seconds.
    pub timeout_seconds: u32,
    /// Tries before a delivery is given up.
    pub max_attempts: u32,
    /// How long to wait after the first failure, seconds; doubled with each further one, up to an hour.
    pub first_retry_seconds: u32,
    /// Most deliveries under way at the same time.
    pub max_concurrent: u32,
    /// Most deliveries that may wait for one target: beyond them, new ones are given up at once.
    pub max_waiting: u32,
    /// How often open alerts are told again to targets of the format `alertmanager`, which forgets them, seconds.
    pub alertmanager_repeat_seconds: u32,
    /// How long deliveries that ended, and news, stay on record, days.
    pub keep_days: u32,
}

impl Default for NotificationsPolicy {
    fn default() -> Self {
        Self {
            allow_private: false,
            allow_http: false,
            public_url: None,
            timeout_seconds: 10,
            max_attempts: 12,
            first_retry_seconds: 5,
            max_concurrent: 8,
            max_waiting: 10_000,
            alertmanager_repeat_seconds: 300,
            keep_days: 14,
        }
    }
}

impl NotificationsPolicy {
    pub(super) fn check(&self) -> Result<(), PolicyError> {
        for (setting, range, value, least, most) in [
            ("notifications.timeout_seconds", "from 1 to 60", self.timeout_seconds, 1, 60),
            ("notifications.max_attempts", "from 1 to 50", self.max_attempts, 1, 50),
            ("notifications.first_retry_seconds", "from 1 to 3600", self.first_retry_seconds, 1, 3_600),
            ("notifications.max_concurrent", "from 1 to 64", self.max_concurrent, 1, 64),
            ("notifications.max_waiting", "from 1 to 1000000", self.max_waiting, 1, 1_000_000),
            (
                "notifications.alertmanager_repeat_seconds",
                "from 30 to 3600",
                self.alertmanager_repeat_seconds,
                30,
                3_600,
            ),
            ("notifications.keep_days", "from 1 to 365", self.keep_days, 1, 365),
        ] {
            require((least..=most).contains(&value), setting, range, value)?;
        }
        let url = self.public_url.as_deref();
        require(
            url.is_none_or(|url| url.starts_with("https://") || url.starts_with("http://")),
            "notifications.public_url",
            "an address that begins with https:// or http://",
            url.unwrap_or_default(),
        )
    }
}
