//! What is counted.

use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::Response;
use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

/// Requests by method, path and status.
const REQUESTS: &str = "uplift_http_requests_total";
/// How long they took, by method and path.
const SECONDS: &str = "uplift_http_request_duration_seconds";
/// Events by what became of them.
const EVENTS: &str = "uplift_events_total";
/// Events that wait for the writer.
const QUEUED: &str = "uplift_intake_queued_events";

/// Configurations that were resolved, by reason.
const RESOLVES: &str = "uplift_resolves_total";
/// How long that took.
const RESOLVE_SECONDS: &str = "uplift_resolve_duration_seconds";

/// Says what the metrics mean, once a recorder is installed.
pub(crate) fn describe() {
    describe_counter!(REQUESTS, "HTTP requests answered, by method, path and status.");
    describe_histogram!(SECONDS, Unit::Seconds, "Time from a request's headers to the answer's, by method and path.");
    describe_counter!(EVENTS, "Events received, by result: accepted, duplicate or rejected.");
    describe_counter!(RESOLVES, "Configurations resolved, by reason.");
    describe_histogram!(RESOLVE_SECONDS, Unit::Seconds, "Time to resolve a configuration and write the answer.");
    describe_gauge!(QUEUED, "Events that were admitted and are not yet stored.");
}

/// The middleware: counts requests by the path that matched, never by the path as sent, of which there are many.
pub(crate) async fn measure(request: Request, next: Next) -> Response {
    let path = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "unmatched".to_owned(), |path| path.as_str().to_owned());
    let method = known_method(request.method().as_str());
    let started = Instant::now();
    let response = next.run(request).await;
    histogram!(SECONDS, "method" => method, "path" => path.clone()).record(started.elapsed().as_secs_f64());
    let status = response.status().as_u16().to_string();
    counter!(REQUESTS, "method" => method, "path" => path, "status" => status).increment(1);
    response
}

/// Clients can make up methods; labels must stay few.
fn known_method(method: &str) -> &'static str {
    ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"]
        .into_iter()
        .find(|known| *known == method)
        .unwrap_or("other")
}

/// Counts what became of events.
pub(crate) fn events(accepted: u64, duplicates: u64, rejected: u64) {
    for (result, count) in [("accepted", accepted), ("duplicate", duplicates), ("rejected", rejected)] {
        counter!(EVENTS, "result" => result).increment(count);
    }
}

/// Counts a configuration that was resolved.
pub(crate) fn resolved(reason: &'static str, took: Duration) {
    counter!(RESOLVES, "reason" => reason).increment(1);
    histogram!(RESOLVE_SECONDS).record(took.as_secs_f64());
}

/// Notes how many events wait.
pub(crate) fn queued(events: usize) {
    gauge!(QUEUED).set(events as f64);
}
