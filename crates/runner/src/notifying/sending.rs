//! Sending over HTTP, to addresses that were checked: what a name stands for is looked up here, every address is looked
//! at, and the connection goes to one of these. Redirects are not followed, proxies not asked, answers not read.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::redirect::Policy as Redirects;
use reqwest::{Client, StatusCode, Url};
use uplift_model::Time;
use uplift_model::notification::{Message, NewTarget};
use uplift_model::policy::NotificationsPolicy;
use uplift_store::{StoreError, StoreResult};

use super::{form, sign};

/// How long a connection may take to be made, at the most.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a connection is kept for the next message.
const IDLE: Duration = Duration::from_secs(30);

/// Why a try failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    /// The status, if there was an answer.
    pub(super) status: Option<u16>,
    /// In words; nothing of the answer.
    pub(super) error: String,
    /// How long the target asked to be left alone, seconds.
    pub(super) retry_after: Option<u64>,
    /// Whether it is no use to try again.
    pub(super) is_final: bool,
}

impl Failure {
    fn of(error: impl Into<String>) -> Self {
        Self { status: None, error: error.into(), retry_after: None, is_final: false }
    }
}

/// Who sends, by a policy.
pub(super) struct Sender {
    client: Client,
    policy: NotificationsPolicy,
}

/// Makes one.
///
/// # Errors
/// When there is no TLS to be had.
pub(super) fn sender(policy: &NotificationsPolicy) -> StoreResult<Sender> {
    let client = Client::builder()
        .dns_resolver(Arc::new(Checked { allow_private: policy.allow_private }))
        .redirect(Redirects::none())
        .no_proxy()
        .referer(false)
        .connect_timeout(CONNECT)
        .timeout(Duration::from_secs(policy.timeout_seconds.into()))
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(2)
        .user_agent(concat!("uplift/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| StoreError::Engine {
            context: "preparing to send notifications",
            reason: error.to_string(),
        })?;
    Ok(Sender { client, policy: policy.clone() })
}

impl Sender {
    /// The policy it obeys.
    pub(super) fn policy(&self) -> &NotificationsPolicy {
        &self.policy
    }

    /// Sends a message. Returns the status by which the target said that it has it.
    pub(super) async fn send(&self, target: &NewTarget, message: &Message, now: Time) -> Result<u16, Failure> {
        let url = address(&target.url, &self.policy).map_err(Failure::of)?;
        let (content_type, body) = form::body(target.format, message, &self.policy, now);
        let seconds = now.micros().div_euclid(1_000_000);
        let mut request = self
            .client
            .post(url)
            .header(CONTENT_TYPE, content_type)
            .header("webhook-id", &message.id)
            .header("webhook-timestamp", seconds.to_string());
        if let Some(secret) = &target.secret {
            let key = sign::key(secret).ok_or_else(|| Failure::of("its secret cannot be read"))?;
            request = request.header("webhook-signature", sign::signature(&key, &message.id, seconds, &body));
        }
        let answer = request.body(body).send().await.map_err(|error| Failure::of(words(&error)))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(status.as_u16());
        }
        let retry_after =
            answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let error = if status.is_redirection() {
            format!("it answered {}: redirects are not followed", status.as_u16())
        } else {
            format!("it answered {}", status.as_u16())
        };
        // Gone means: do not come back.
        let is_final = status == StatusCode::GONE;
        Err(Failure { status: Some(status.as_u16()), error, retry_after, is_final })
    }
}

/// What went wrong, without the address, which may be a key.
fn words(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "it did not answer in time".to_owned();
    }
    let mut deepest: &dyn std::error::Error = error;
    while let Some(cause) = deepest.source() {
        deepest = cause;
    }
    let what = if error.is_connect() { "it cannot be reached" } else { "it could not be asked" };
    let cause: String = if std::ptr::eq(deepest, std::ptr::from_ref(error).cast::<reqwest::Error>()) {
        String::new()
    } else {
        deepest.to_string().chars().filter(|c| !c.is_control()).take(200).collect()
    };
    if cause.is_empty() { what.to_owned() } else { format!("{what}: {cause}") }
}

/// The address of a target, if it may be one: names are looked at when they are looked up.
///
/// # Errors
/// Says why not.
pub(super) fn address(url: &str, policy: &NotificationsPolicy) -> Result<Url, String> {
    let url = Url::parse(url).map_err(|error| format!("the address cannot be read: {error}"))?;
    match url.scheme() {
        "https" => {}
        "http" if policy.allow_http => {}
        "http" => return Err("plain http is not allowed: see notifications.allow_http".to_owned()),
        other => return Err(format!("`{other}` is neither https nor http")),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("an address with a name and a password is not taken: put a key into its path".to_owned());
    }
    let host = url.host_str().ok_or("the address has no host")?;
    // Numbers are not looked up.
    if let Ok(ip) = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
        check(ip, policy.allow_private)?;
    }
    Ok(url)
}

fn check(ip: IpAddr, allow_private: bool) -> Result<(), String> {
    if allow_private || is_public(ip) {
        Ok(())
    } else {
        Err(format!("{ip} is no public address: see notifications.allow_private"))
    }
}

/// Whether an address is one of the open internet, as far as it is known which are.
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let special = ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_broadcast()
        || ip.is_documentation()
        || ip.is_multicast()
        // This network; shared by providers; protocols; measuring; what is not given out.
        || a == 0
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (18..20).contains(&b))
        || a >= 240;
    !special
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    if let Some(inner) = ip.to_ipv4_mapped() {
        return is_public_v4(inner);
    }
    let parts = ip.segments();
    let inner = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match parts {
        // Translated to an address of the old kind, which is what counts.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => is_public_v4(inner(high, low)),
        // Teredo, benchmarks and documentation; all else of the global range.
        [0x2001, second, ..] => second >= 0x0200 && second != 0x0db8,
        [0x3fff, ..] => false,
        [first, ..] => (0x2000..0x4000).contains(&first),
    }
}

/// Looks names up, and gives only addresses that may be connected to. If one of a name's addresses may not, none may: a
/// name that stands for both is made to deceive.
struct Checked {
    allow_private: bool,
}

impl Resolve for Checked {
    fn resolve(&self, name: Name) -> Resolving {
        let allow_private = self.allow_private;
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            for address in &found {
                check(address.ip(), allow_private)?;
            }
            let found: Addrs = Box::new(found.into_iter());
            Ok(found)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_are_public() {
        for (ip, public) in [
            ("93.184.215.14", true),
            ("8.8.8.8", true),
            ("127.0.0.1", false),
            ("127.9.9.9", false),
            ("0.0.0.0", false),
            ("10.1.2.3", false),
            ("172.16.0.1", false),
            ("172.32.0.1", true),
            ("192.168.1.1", false),
            ("169.254.169.254", false),
            ("100.64.0.1", false),
            ("100.128.0.1", true),
            ("192.0.0.8", false),
            ("198.18.0.1", false),
            ("224.0.0.1", false),
            ("240.0.0.1", false),
            ("255.255.255.255", false),
            ("2606:4700::1111", true),
            ("::1", false),
            ("::", false),
            ("fc00::1", false),
            ("fe80::1", false),
            ("ff02::1", false),
            ("2001:db8::1", false),
            ("2001:0:1::1", false),
            ("2001:4860:4860::8888", true),
            ("::ffff:127.0.0.1", false),
            ("::ffff:8.8.8.8", true),
            ("::127.0.0.1", false),
            ("64:ff9b::7f00:1", false),
            ("64:ff9b::808:808", true),
            ("2002:7f00:1::", false),
            ("2002:808:808::", true),
        ] {
            assert_eq!(is_public(ip.parse().unwrap()), public, "{ip}");
        }
    }

    #[test]
    fn an_address_is_checked_before_it_is_taken() {
        let strict = NotificationsPolicy::default();
        let plain = NotificationsPolicy { allow_http: true, ..strict.clone() };
        let open = NotificationsPolicy { allow_private: true, ..plain.clone() };
        for (url, policy, fine) in [
            ("https://example.org/hook", &strict, true),
            ("http://example.org/hook", &strict, false),
            ("http://example.org/hook", &plain, true),
            ("https://127.0.0.1/hook", &strict, false),
            // Other ways to write 127.0.0.1.
            ("https://2130706433/", &strict, false),
            ("https://0x7f.1/", &strict, false),
            ("https://[::1]:8443/", &strict, false),
            ("https://[::ffff:10.0.0.1]/", &strict, false),
            ("http://127.0.0.1:1/", &open, true),
            ("https://user:key@example.org/", &open, false),
            ("ftp://example.org/", &open, false),
            ("https://", &open, false),
        ] {
            assert_eq!(address(url, policy).is_ok(), fine, "{url}");
        }
    }

    #[tokio::test]
    async fn a_name_is_refused_where_an_address_is() {
        let resolve = |allow_private| Checked { allow_private }.resolve("localhost".parse().unwrap());
        let refused = resolve(false).await.err().unwrap().to_string();
        assert!(refused.contains("no public address"), "{refused}");
        assert!(resolve(true).await.unwrap().count() > 0);
    }
}
