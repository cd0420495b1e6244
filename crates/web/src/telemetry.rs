//! What is counted.

use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::Response;
use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

use uplift_cycle::detect::health::Health;
use uplift_model::alert::{Alert, AlertKind, AlertState, HealthStatus};
use uplift_store::rows::DeliveryCounts;

use crate::api::Way;

/// Factors of health beside the kinds of alert.
const FACTORS: [&str; 5] = ["rollbacks", "effectiveness", "backlog", "success_trend", "duration_trend"];

/// Requests by method, path and status.
const REQUESTS: &str = "uplift_http_requests_total";
/// How long they took, by method and path.
const SECONDS: &str = "uplift_http_request_duration_seconds";
/// Events by what became of them.
const EVENTS: &str = "uplift_events_total";
/// Events that wait for the writer.
const QUEUED: &str = "uplift_intake_queued_events";

/// Requests over OTLP by signal, transport and result.
const OTLP_REQUESTS: &str = "uplift_otlp_requests_total";
/// Spans and log records by signal, transport and what became of them.
const OTLP_ITEMS: &str = "uplift_otlp_items_total";
/// Those that were refused, by signal and reason.
const OTLP_REJECTED: &str = "uplift_otlp_rejected_total";
/// Bytes of their requests after decompression, by signal and transport.
const OTLP_BYTES: &str = "uplift_otlp_received_bytes_total";
/// How long requests took to decode, by signal.
const OTLP_DECODE_SECONDS: &str = "uplift_otlp_decode_duration_seconds";
/// How long their events took to become durable, by signal.
const OTLP_COMMIT_SECONDS: &str = "uplift_otlp_commit_duration_seconds";
/// Bodies that took their time, by path.
const SLOW_BODIES: &str = "uplift_slow_bodies_total";

/// The score of the system's health, and its word.
const HEALTH_SCORE: &str = "uplift_health_score";
const HEALTH_STATUS: &str = "uplift_health_status";
/// Points that health loses, by factor.
const HEALTH_LOST: &str = "uplift_health_points_lost";
/// Alerts that hold, by kind and state.
const ALERTS: &str = "uplift_alerts";
/// Deliveries by state: those that wait, and those that were given up.
const DELIVERIES: &str = "uplift_notification_deliveries";

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
    describe_counter!(OTLP_REQUESTS, "OTLP requests by signal, transport and result: ok, partial, or why not.");
    describe_counter!(OTLP_ITEMS, "Spans and log records by signal, transport and result.");
    describe_counter!(OTLP_REJECTED, "Spans and log records that were refused, by signal and reason.");
    describe_counter!(
        OTLP_BYTES,
        Unit::Bytes,
        "Bytes of OTLP requests after decompression, by signal and transport."
    );
    describe_histogram!(OTLP_DECODE_SECONDS, Unit::Seconds, "Time to decode an OTLP request, by signal.");
    describe_histogram!(
        OTLP_COMMIT_SECONDS,
        Unit::Seconds,
        "Time until the events of an OTLP request were durable, waiting for room included, by signal."
    );
    describe_counter!(SLOW_BODIES, "Requests whose body kept us waiting for more than 5 s, by path.");
    describe_gauge!(HEALTH_SCORE, "Health of the whole, from 0 to 100.");
    describe_gauge!(HEALTH_STATUS, "Health in a word: 1 for the one that it is, 0 for the others.");
    describe_gauge!(HEALTH_LOST, "Points that health loses, by factor.");
    describe_gauge!(ALERTS, "Alerts that hold, by kind and state.");
    describe_gauge!(DELIVERIES, "Notifications by state: pending or dead.");
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

/// Counts a request over OTLP by how it ended.
pub(crate) fn otlp_request(way: Way, result: &'static str) {
    counter!(OTLP_REQUESTS, "signal" => way.signal(), "transport" => way.transport(), "result" => result)
        .increment(1);
}

/// Counts what of a request was stored, now or before.
pub(crate) fn otlp_items(way: Way, accepted: u64, duplicates: u64) {
    for (result, count) in [("accepted", accepted), ("duplicate", duplicates)] {
        otlp_item(way, result, count);
    }
}

/// Counts what of a request could not be taken, and why.
pub(crate) fn otlp_rejected(way: Way, reason: &'static str, count: u64) {
    if count > 0 {
        otlp_item(way, "rejected", count);
        counter!(OTLP_REJECTED, "signal" => way.signal(), "reason" => reason).increment(count);
    }
}

fn otlp_item(way: Way, result: &'static str, count: u64) {
    let (signal, transport) = (way.signal(), way.transport());
    counter!(OTLP_ITEMS, "signal" => signal, "transport" => transport, "result" => result).increment(count);
}

/// Counts the bytes of a request.
pub(crate) fn otlp_bytes(way: Way, bytes: usize) {
    counter!(OTLP_BYTES, "signal" => way.signal(), "transport" => way.transport()).increment(bytes as u64);
}

/// Notes how long it took to decode a request.
pub(crate) fn otlp_decoded(way: Way, took: Duration) {
    histogram!(OTLP_DECODE_SECONDS, "signal" => way.signal()).record(took.as_secs_f64());
}

/// Notes how long it took until the events of a request were durable.
pub(crate) fn otlp_stored(way: Way, took: Duration) {
    histogram!(OTLP_COMMIT_SECONDS, "signal" => way.signal()).record(took.as_secs_f64());
}

/// Counts a body that took its time.
pub(crate) fn slow_body(path: &'static str) {
    counter!(SLOW_BODIES, "path" => path).increment(1);
}

/// Notes how many events wait.
pub(crate) fn queued(events: usize) {
    gauge!(QUEUED).set(events as f64);
}

/// Notes how the whole stands.
pub(crate) fn standing(health: &Health, alerts: &[Alert], deliveries: DeliveryCounts) {
    gauge!(HEALTH_SCORE).set(health.score);
    for status in HealthStatus::ALL {
        let is = if *status == health.status { 1.0 } else { 0.0 };
        gauge!(HEALTH_STATUS, "status" => status.as_str()).set(is);
    }
    // A factor that is gone costs nothing any more.
    let names = AlertKind::ALL.iter().map(|kind| kind.as_str()).chain(FACTORS);
    for name in names {
        let lost: f64 = health
            .factors
            .iter()
            .filter(|factor| factor.name == name)
            .map(|factor| factor.points_lost)
            .fold(0.0, f64::max);
        gauge!(HEALTH_LOST, "factor" => name).set(lost);
    }
    for kind in AlertKind::ALL {
        for state in [AlertState::Open, AlertState::Acknowledged] {
            let count = alerts.iter().filter(|alert| alert.finding.kind == *kind && alert.state() == state).count();
            gauge!(ALERTS, "kind" => kind.as_str(), "state" => state.as_str()).set(count as f64);
        }
    }
    gauge!(DELIVERIES, "state" => "pending").set(deliveries.pending as f64);
    gauge!(DELIVERIES, "state" => "dead").set(deliveries.dead as f64);
}
