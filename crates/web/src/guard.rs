//! Whom the server answers.
//!
//! A page on the web can make a browser send requests to a server on the same machine, even by a name that was
//! made to point there (DNS rebinding). Such a request carries the page's name in Host or Origin; so both are
//! checked on every route, before anything else.

use std::net::{Ipv4Addr, Ipv6Addr};

use axum::extract::{Request, State};
use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::error::{ErrorCode, WebError};
use crate::state::AppState;

/// A host and, where it is named, a port.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Authority {
    /// In lower case, IPv6 addresses without brackets.
    host: String,
    port: Option<u16>,
}

/// Names under which the server may be addressed beside those of the loopback interface.
#[derive(Debug, Default)]
pub(crate) struct AllowedHosts(Vec<Authority>);

impl AllowedHosts {
    /// Entries that are no host could match nothing; whoever wrote them is told.
    pub(crate) fn new<S: AsRef<str>>(hosts: impl IntoIterator<Item = S>) -> Self {
        let mut allowed = Vec::new();
        for host in hosts {
            if let Some(authority) = Authority::parse(host.as_ref()) {
                allowed.push(authority);
            } else {
                tracing::warn!(host = host.as_ref(), "an allowed host is no host: write name or name:port");
            }
        }
        Self(allowed)
    }

    fn names(&self, asked: &Authority) -> bool {
        self.0.iter().any(|entry| entry.host == asked.host && (entry.port.is_none() || entry.port == asked.port))
    }

    fn check(&self, headers: &HeaderMap, target: Option<&str>) -> Result<(), WebError> {
        let hosts = hosts(headers, target)?;
        for host in &hosts {
            if !host.is_loopback() && !self.names(host) {
                let detail = format!("requests for host `{}` are not answered here", host.host);
                return Err(WebError::new(ErrorCode::HostNotAllowed, detail));
            }
        }
        for origin in headers.get_all(ORIGIN) {
            let allowed = Origin::parse(origin)
                .is_some_and(|origin| self.names(&origin.authority) || hosts.iter().all(|host| origin.is_at(host)));
            if !allowed {
                let shown: String = String::from_utf8_lossy(origin.as_bytes()).chars().take(200).collect();
                let detail = format!("requests from pages of `{shown}` are not answered here");
                return Err(WebError::new(ErrorCode::OriginNotAllowed, detail));
            }
        }
        Ok(())
    }
}

/// Every host the request names: one header, or the authority of the request's target, or both.
fn hosts(headers: &HeaderMap, target: Option<&str>) -> Result<Vec<Authority>, WebError> {
    let refuse = |detail: &str| WebError::new(ErrorCode::HostNotAllowed, detail);
    let named: Vec<_> = headers.get_all(HOST).iter().map(HeaderValue::to_str).collect();
    if named.len() > 1 {
        return Err(refuse("the request names more than one Host"));
    }
    let hosts: Option<Vec<_>> =
        named.into_iter().map(Result::ok).chain(target.map(Some)).map(|text| Authority::parse(text?)).collect();
    match hosts {
        Some(hosts) if !hosts.is_empty() => Ok(hosts),
        Some(_) => Err(refuse("the request names no Host")),
        None => Err(refuse("the Host of the request cannot be read")),
    }
}

impl Authority {
    fn parse(text: &str) -> Option<Self> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (address, after) = rest.split_once(']')?;
                let address: Ipv6Addr = address.parse().ok()?;
                (address.to_string(), if after.is_empty() { None } else { Some(after.strip_prefix(':')?) })
            }
            None => match text.split_once(':') {
                Some((host, port)) => (host.to_ascii_lowercase(), Some(port)),
                None => (text.to_ascii_lowercase(), None),
            },
        };
        let host = host.strip_suffix('.').unwrap_or(&host).to_owned();
        let readable = !host.is_empty()
            && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b':'));
        let port = match port {
            None => None,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => Some(digits.parse().ok()?),
            Some(_) => return None,
        };
        readable.then_some(Self { host, port })
    }

    fn is_loopback(&self) -> bool {
        self.host == "localhost"
            || self.host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
            || self.host.parse::<Ipv6Addr>().is_ok_and(|address| address.is_loopback())
    }
}

/// Where a page comes from.
struct Origin {
    authority: Authority,
    default_port: u16,
}

impl Origin {
    /// None for `null` and everything else that is no web page's origin.
    fn parse(value: &HeaderValue) -> Option<Self> {
        let (scheme, rest) = value.to_str().ok()?.split_once("://")?;
        let default_port = match scheme {
            "http" => 80,
            "https" => 443,
            _ => return None,
        };
        Some(Self { authority: Authority::parse(rest)?, default_port })
    }

    fn is_at(&self, host: &Authority) -> bool {
        let port = |port: Option<u16>| port.unwrap_or(self.default_port);
        self.authority.host == host.host && port(self.authority.port) == port(host.port)
    }
}

/// The middleware: refuses requests by a strange Host or from a strange Origin.
pub(crate) async fn guard(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let target = request.uri().authority().map(axum::http::uri::Authority::as_str);
    let mut response = match state.allowed.check(request.headers(), target) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff"));
    headers.insert(HeaderName::from_static("x-frame-options"), HeaderValue::from_static("DENY"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(host: &[&str], origin: &[&str], target: Option<&str>) -> Option<ErrorCode> {
        let mut headers = HeaderMap::new();
        for host in host {
            headers.append(HOST, HeaderValue::from_bytes(host.as_bytes()).unwrap());
        }
        for origin in origin {
            headers.append(ORIGIN, HeaderValue::from_bytes(origin.as_bytes()).unwrap());
        }
        let allowed = AllowedHosts::new(["uplift.example", "Tools.Example:8443", "not a host"]);
        allowed.check(&headers, target).err().map(|error| error.code())
    }

    #[test]
    fn hosts() {
        let good = [
            "localhost",
            "LOCALHOST:8080",
            "localhost.:80",
            "127.0.0.1",
            "127.9.9.9:1",
            "[::1]",
            "[::1]:8080",
            "[0:0:0:0:0:0:0:1]",
            "uplift.example",
            "uplift.example:9",
            "tools.example:8443",
        ];
        for host in good {
            assert_eq!(answer(&[host], &[], None), None, "{host}");
        }
        let bad = [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "evil.example:8080",
            "10.0.0.1",
            "[::2]",
            "[::1",
            "[::1]x",
            "::1",
            "localhost:80:80",
            "localhost:99999",
            "localhost:x",
            "localhost@evil",
            "tools.example",
            "tools.example:80",
            "0.0.0.0",
            "lo calhost",
            "\u{e9}",
        ];
        for host in bad {
            assert_eq!(answer(&[host], &[], None), Some(ErrorCode::HostNotAllowed), "{host}");
        }
        assert_eq!(answer(&[], &[], None), Some(ErrorCode::HostNotAllowed));
        assert_eq!(answer(&["localhost", "localhost"], &[], None), Some(ErrorCode::HostNotAllowed));
        assert_eq!(answer(&[], &[], Some("localhost:80")), None);
        assert_eq!(answer(&["localhost"], &[], Some("evil.example")), Some(ErrorCode::HostNotAllowed));
    }

    #[test]
    fn origins() {
        let good = [
            ("localhost:8080", "http://localhost:8080"),
            ("localhost", "http://localhost"),
            ("localhost:80", "http://LOCALHOST"),
            ("[::1]:8080", "http://[::1]:8080"),
            ("localhost:443", "https://localhost"),
            ("localhost:8080", "https://uplift.example"),
            ("localhost:8080", "https://tools.example:8443"),
        ];
        for (host, origin) in good {
            assert_eq!(answer(&[host], &[origin], None), None, "{host} {origin}");
        }
        let bad = [
            ("localhost:8080", "null"),
            ("localhost:8080", ""),
            ("localhost:8080", "http://localhost:3000"),
            ("localhost:8080", "http://127.0.0.1:8080"),
            ("localhost:8080", "http://evil.example"),
            ("localhost:8080", "http://localhost:8080.evil.example"),
            ("localhost:8080", "file://localhost:8080"),
            ("localhost:8080", "http://localhost:8080/path"),
            ("localhost:8080", "https://tools.example"),
        ];
        for (host, origin) in bad {
            assert_eq!(answer(&[host], &[origin], None), Some(ErrorCode::OriginNotAllowed), "{host} {origin}");
        }
        let two = answer(&["localhost"], &["http://localhost", "http://evil.example"], None);
        assert_eq!(two, Some(ErrorCode::OriginNotAllowed));
    }
}
