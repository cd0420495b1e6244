//! Before every request: who asks, whether they may, how often; and the audit log around what changes something.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::header::{AUTHORIZATION, LOCATION, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use uplift_model::access::AuditEntry;
use uplift_runner::access::{Refused, hash};

use super::caller::Caller;
use super::rules::{self, Found, Who};
use super::session;
use crate::api::grpc;
use crate::error::{ErrorCode, WebError};
use crate::state::AppState;

/// Longest token that is looked at, bytes.
const MAX_TOKEN: usize = 256;
/// Longest path that the audit log keeps, characters.
const MAX_SUBJECT: usize = 300;
/// Where people log in.
const LOGIN: &str = "/login";

/// The middleware.
pub(crate) async fn admit(State(state): State<AppState>, mut request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().cloned();
    let Some(path) = path else { return next.run(request).await };
    let who = match rules::find(request.method(), path.as_str()) {
        Found::Rule(who) => who,
        Found::OtherMethod => return next.run(request).await,
        Found::Nothing => {
            tracing::error!(path = path.as_str(), "no rule says who may do this: nobody may");
            let error = WebError::new(ErrorCode::Forbidden, "no rule says who may do this, so nobody may");
            return refuse(&request, &error);
        }
    };
    let caller = match identify(&state, &request, who) {
        Ok(caller) => caller,
        Err(error) => return refuse(&request, &error),
    };
    let Some(caller) = caller else {
        if who == Who::Everybody {
            return next.run(request).await;
        }
        if who == Who::Pages {
            return login(&request);
        }
        let detail = "this needs a token: send it in the header Authorization, as Bearer TOKEN";
        return refuse(&request, &WebError::new(ErrorCode::Unauthorized, detail));
    };
    let permitted = who.role().map_or(Ok(()), |role| caller.require(role)).and_then(|()| match caller.token_id() {
        Some(token) => state.access.limits.request(&state.engine.policy().access, token),
        None => Ok(()),
    });
    if let Err(error) = permitted {
        return refuse(&request, &error);
    }
    request.extensions_mut().insert(caller.clone());
    if rules::is_audited(request.method(), who) {
        return audited(&state, &caller, &path, request, next).await;
    }
    next.run(request).await
}

/// Who asks; none where nobody says and a token is needed.
fn identify(state: &AppState, request: &Request, who: Who) -> Result<Option<Caller>, WebError> {
    let now = state.engine.now();
    if let Some(given) = request.headers().get(AUTHORIZATION) {
        let found =
            bearer(given).ok_or(Refused::Unknown).and_then(|token| state.engine.tokens().find(&hash(token), now));
        return match found {
            Ok(known) => Ok(Some(Caller::with(known))),
            // Probes of a balancer may carry whatever they like.
            Err(_) if who == Who::Everybody => Ok(None),
            Err(refused) => {
                let address = client(state.access.guarding.behind_proxy, request);
                state.access.limits.failure(&state.engine.policy().access, address)?;
                let detail = match refused {
                    Refused::Unknown => "this token opens nothing: it was never made, or has been revoked",
                    Refused::Expired => "this token has expired: ask for a new one",
                };
                Err(WebError::new(ErrorCode::Unauthorized, detail))
            }
        };
    }
    Ok(visitor(state, request.headers()))
}

/// Who asks at a browser: whoever logged in there, or anybody where nobody needs a token.
pub(crate) fn visitor(state: &AppState, headers: &HeaderMap) -> Option<Caller> {
    session::caller(&state.engine, headers, state.access.guarding.tls)
        .or_else(|| (!state.access.guarding.tokens).then(Caller::local))
}

/// The token in a header `Authorization: Bearer TOKEN`.
fn bearer(header: &HeaderValue) -> Option<&str> {
    let (scheme, token) = header.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() && token.len() <= MAX_TOKEN).then_some(token)
}

/// The client's address, as far as it is known.
fn client(behind_proxy: bool, request: &Request) -> Option<IpAddr> {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().copied();
    client_address(behind_proxy, peer, request.headers())
}

/// The same, from its parts.
pub(crate) fn client_address(
    behind_proxy: bool,
    peer: Option<ConnectInfo<SocketAddr>>,
    headers: &HeaderMap,
) -> Option<IpAddr> {
    let peer = peer.map(|ConnectInfo(address)| address.ip());
    if behind_proxy { forwarded(headers).or(peer) } else { peer }
}

/// The last address in `X-Forwarded-For`: the one that our own proxy wrote. Those before it are the client's to choose.
fn forwarded(headers: &HeaderMap) -> Option<IpAddr> {
    let last = headers.get_all("x-forwarded-for").iter().next_back()?;
    last.to_str().ok()?.rsplit(',').next()?.trim().parse().ok()
}

fn refuse(request: &Request, error: &WebError) -> Response {
    if let Some(answer) = grpc::refusal(request, error) {
        return answer;
    }
    let mut response = error.clone().into_response();
    if error.code() == ErrorCode::Unauthorized {
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"uplift\""));
    }
    response
}

/// Leads a browser to the login, and back to where it wanted to go.
fn login(request: &Request) -> Response {
    let wanted = request.uri().path_and_query().map_or("/", |wanted| wanted.as_str());
    // Percent signs and what would end the parameter; the rest of a path may stand in a query as it is.
    let encoded = wanted.replace('%', "%25").replace('&', "%26").replace('+', "%2B").replace('#', "%23");
    let to = if wanted == "/" { LOGIN.to_owned() } else { format!("{LOGIN}?next={encoded}") };
    match HeaderValue::from_str(&to) {
        Ok(to) => (StatusCode::SEE_OTHER, [(LOCATION, to)]).into_response(),
        Err(_) => (StatusCode::SEE_OTHER, [(LOCATION, HeaderValue::from_static(LOGIN))]).into_response(),
    }
}

/// Writes down what is asked for before it is done, and how it ended after. What cannot be written down is not done.
async fn audited(state: &AppState, caller: &Caller, path: &MatchedPath, request: Request, next: Next) -> Response {
    let entry = AuditEntry {
        at: state.engine.now(),
        actor: caller.name().to_owned(),
        role: caller.role(),
        token_id: caller.token_id(),
        peer: client(state.access.guarding.behind_proxy, &request).map(|address| address.to_string()),
        action: format!("{} {}", request.method(), path.as_str()),
        subject: request.uri().path().chars().take(MAX_SUBJECT).collect(),
        detail: None,
    };
    let id = match state.engine.begin_audit(entry).await {
        Ok(id) => id,
        Err(error) => return WebError::Store(error).into_response(),
    };
    let response = next.run(request).await;
    if let Err(error) = state.engine.end_audit(id, response.status().as_u16()).await {
        tracing::warn!(%error, entry = id, "how an action ended could not be written down");
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_in_headers() {
        for (header, token) in [
            ("Bearer abc", Some("abc")),
            ("bearer  abc ", Some("abc")),
            ("Basic abc", None),
            ("Bearer", None),
            ("Bearer ", None),
            ("abc", None),
        ] {
            assert_eq!(bearer(&HeaderValue::from_static(header)), token, "{header}");
        }
        let long = HeaderValue::from_str(&format!("Bearer {}", "a".repeat(MAX_TOKEN + 1))).unwrap();
        assert_eq!(bearer(&long), None);
    }

    #[test]
    fn only_the_last_forwarded_address_counts() {
        let address = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append("x-forwarded-for", HeaderValue::from_static(value));
            }
            forwarded(&headers).map(|address| address.to_string())
        };
        assert_eq!(address(&["192.0.2.1, 192.0.2.9"]).as_deref(), Some("192.0.2.9"));
        assert_eq!(address(&["192.0.2.1", "2001:db8::1"]).as_deref(), Some("2001:db8::1"));
        assert_eq!(address(&["192.0.2.1, unknown"]), None);
        assert_eq!(address(&[]), None);
    }
}
