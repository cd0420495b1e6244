//! `/login`, `/logout`: a token in a browser.

use std::net::SocketAddr;

use axum::extract::rejection::QueryRejection;
use axum::extract::{ConnectInfo, Form, FromRequest, Query, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY, SET_COOKIE,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, html};
use serde::Deserialize;
use uplift_model::access::Role;
use uplift_runner::access::hash;

use super::assets::VERSION;
use super::csrf::Posted;
use super::layout::POLICY;
use crate::access::{Caller, client_address, session};
use crate::extract::{Peer, soon};
use crate::state::AppState;

/// Longest address to go to after the login, bytes.
const MAX_NEXT: usize = 2_000;

/// Where to go after the login.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Wanted {
    #[serde(default)]
    next: String,
}

/// What the form holds.
#[derive(Deserialize)]
pub(super) struct Login {
    #[serde(default)]
    token: String,
    #[serde(default)]
    next: String,
}

/// A page of our own, whatever the address says.
fn own(next: &str) -> &str {
    let strange = next.len() > MAX_NEXT
        || !next.starts_with('/')
        || next.starts_with("//")
        || next.contains(['\\', '\r', '\n', '\t'])
        || next.starts_with("/login");
    if strange { "/" } else { next }
}

fn form(status: StatusCode, next: &str, wrong: Option<&str>) -> Response {
    let html = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { "Log in · Uplift" }
                link rel="icon" href={ "/ui/icon.svg?v=" (*VERSION) };
                link rel="stylesheet" href={ "/ui/style.css?v=" (*VERSION) };
            }
            body.login {
                main id="content" {
                    h1 { "Log in to uplift" }
                    @if let Some(wrong) = wrong { p.bad role="alert" id="wrong" { (wrong) } }
                    form method="post" action="/login" {
                        input type="hidden" name="next" value=(own(next));
                        p {
                            label for="token" { "Token" }
                            input id="token" name="token" type="password" required autocomplete="current-password"
                                autofocus maxlength="256" aria-describedby="hint";
                        }
                        p.muted id="hint" {
                            "Made by " code { "uplift token create NAME --role viewer" } ", or operator, or admin."
                        }
                        p { button type="submit" { "Log in" } }
                    }
                }
            }
        }
    };
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (REFERRER_POLICY, HeaderValue::from_static("same-origin")),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (status, headers, html.into_string()).into_response()
}

/// The way to a page, with a cookie.
fn on_to(next: &str, cookie: &str) -> Response {
    let header = |text: &str| HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("/"));
    (StatusCode::SEE_OTHER, [(LOCATION, header(own(next))), (SET_COOKIE, header(cookie))]).into_response()
}

/// The form.
pub(super) async fn page(wanted: Result<Query<Wanted>, QueryRejection>) -> Response {
    let next = wanted.map_or_else(|_| String::new(), |Query(wanted)| wanted.next);
    form(StatusCode::OK, &next, None)
}

/// Begins a session.
pub(super) async fn begin(
    State(state): State<AppState>,
    Peer(peer): Peer,
    headers: HeaderMap,
    request: Request,
) -> Response {
    let login = match soon(Form::<Login>::from_request(request, &())).await {
        Ok(Ok(Form(login))) => login,
        Ok(Err(rejection)) => return rejection.into_response(),
        Err(error) => return error.into_response(),
    };
    let (now, policy) = (state.engine.now(), state.engine.policy());
    let Ok(known) = state.engine.tokens().find(&hash(login.token.trim()), now) else {
        let guarding = state.access.guarding;
        let address = client_address(guarding.behind_proxy, peer.map(ConnectInfo::<SocketAddr>), &headers);
        return match state.access.limits.failure(&policy.access, address) {
            Ok(()) => form(StatusCode::UNAUTHORIZED, &login.next, Some("This token opens nothing.")),
            Err(_) => form(StatusCode::TOO_MANY_REQUESTS, &login.next, Some("Too many wrong tokens: wait a minute.")),
        };
    };
    if known.token.role == Role::Agent {
        return form(StatusCode::FORBIDDEN, &login.next, Some("This is an agent's token: pages are for people."));
    }
    let caller = Caller::with(known);
    match session::begin(&caller, now, policy.access.session_hours, state.access.guarding.tls) {
        Some(cookie) => on_to(&login.next, &cookie),
        None => form(StatusCode::UNAUTHORIZED, &login.next, Some("This token opens nothing.")),
    }
}

/// Ends a session.
pub(super) async fn end(State(state): State<AppState>, _posted: Posted) -> Response {
    let cookie = session::end(state.access.guarding.tls);
    let header = HeaderValue::from_str(&cookie).unwrap_or_else(|_| HeaderValue::from_static(""));
    (StatusCode::SEE_OTHER, [(LOCATION, HeaderValue::from_static("/login")), (SET_COOKIE, header)]).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_led_elsewhere() {
        for (next, page) in [
            ("/improvements/3?x=1", "/improvements/3?x=1"),
            ("", "/"),
            ("https://evil.example", "/"),
            ("//evil.example", "/"),
            ("/\\evil.example", "/"),
            ("/a\r\nSet-Cookie: x", "/"),
            ("/login?next=/login", "/"),
        ] {
            assert_eq!(own(next), page, "{next}");
        }
    }
}
