//! The frame of all pages.

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY,
};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};

use super::assets::VERSION;
use super::csrf;
use super::format;
use super::visit::Visit;

/// Everything comes from this server, and nothing is written into the page itself.
pub(super) const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// Which part of the dashboard a page belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Overview,
    Opportunities,
    Improvements,
    Entities,
    Tasks,
    Analytics,
    Alerts,
    Settings,
    Audit,
    Nowhere,
}

const PLACES: &[(Place, &str, &str)] = &[
    (Place::Overview, "/", "Overview"),
    (Place::Opportunities, "/opportunities", "Opportunities"),
    (Place::Improvements, "/improvements", "Improvements"),
    (Place::Entities, "/entities", "Entities"),
    (Place::Tasks, "/tasks", "Tasks"),
    (Place::Analytics, "/analytics", "Analytics"),
    (Place::Alerts, "/alerts", "Alerts"),
    (Place::Settings, "/settings", "Settings"),
    (Place::Audit, "/audit", "Audit"),
];

/// A page.
pub(crate) fn page(visit: &Visit, title: &str, place: Place, body: &Markup) -> Response {
    let html = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · Uplift" }
                link rel="icon" href={ "/ui/icon.svg?v=" (*VERSION) };
                link rel="stylesheet" href={ "/ui/style.css?v=" (*VERSION) };
                script defer src={ "/ui/app.js?v=" (*VERSION) } {}
            }
            body {
                a.skip href="#content" { "Skip to the content" }
                header.top {
                    a.brand href="/" { svg.mark viewBox="0 0 32 32" width="16" height="16" aria-hidden="true" {
                        path d="M4 24h6l5-13 4 7 8-13" {}
                    } "uplift" }
                    nav aria-label="Pages" {
                        ul {
                            @for (of, address, name) in PLACES {
                                li { a href=(address) aria-current=[(*of == place).then_some("page")] { (name) } }
                            }
                        }
                    }
                    p.state id="state" data-live="" {
                        @if visit.paused { span.bad { "paused" } } @else { "mode " (visit.mode) }
                    }
                }
                main id="content" tabindex="-1" {
                    @if let Some(done) = visit.done { p.done role="status" { (done) } }
                    (body)
                }
                footer {
                    div {
                        "Times are UTC. Seen "
                        time datetime=(visit.now.to_string()) { (format::exactly(visit.now)) }
                        " as " b { (visit.caller.name()) } " (" (visit.caller.role().to_string()) ")."
                        @if visit.caller.known().is_some() {
                            " "
                            form.inline method="post" action="/logout" { (csrf::field(visit)) button.link type="submit" { "Log out" } }
                        }
                        span id="link" {}
                    }
                    p { a href="/api" { "API" } " · " a href="/api/openapi.json" { "OpenAPI" } " · " a href="/metrics" { "Metrics" } }
                }
            }
        }
    };
    let html = html.into_string();
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (REFERRER_POLICY, HeaderValue::from_static("same-origin")),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (headers, html).into_response()
}

/// The middleware of pages: a page that is as it was is not sent again to whoever asks for it anew.
pub(super) async fn unless_the_same(request: Request, next: Next) -> Response {
    let Some(known) = request.headers().get(IF_NONE_MATCH).cloned() else { return next.run(request).await };
    let response = next.run(request).await;
    if response.status() != StatusCode::OK {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let Ok(bytes) = axum::body::to_bytes(body, MAX_PAGE).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let tag = format!("\"{}\"", &blake3::hash(without_the_time(&bytes)).to_hex()[..20]);
    if known.as_bytes() == tag.as_bytes() {
        return StatusCode::NOT_MODIFIED.into_response();
    }
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        parts.headers.insert(ETAG, tag);
    }
    Response::from_parts(parts, Body::from(bytes))
}

/// Largest page that is looked at twice, bytes.
const MAX_PAGE: usize = 16 * 1024 * 1024;

/// All but the foot of a page, which tells the time.
fn without_the_time(page: &[u8]) -> &[u8] {
    let foot = b"<footer>";
    let end = page.windows(foot.len()).rposition(|window| window == foot).unwrap_or(page.len());
    page.get(..end).unwrap_or(page)
}

/// A sentence that begins like one.
pub(crate) fn capital(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}
