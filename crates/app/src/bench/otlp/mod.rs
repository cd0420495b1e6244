//! Measures OTLP as exporters send it: protobuf over HTTP, an answer only after the fsync.

mod spans;

use std::path::Path;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::bail;

use self::spans::Spans;
use super::http::Connection;
use super::{Plan, bare, server};
use crate::text::{bytes, count, print};

/// How long to wait before a refused request is sent again.
const PAUSE: Duration = Duration::from_millis(50);
/// How often the server's memory is looked at.
const WATCH: Duration = Duration::from_millis(200);
/// Share of the measured rate at which latency is measured, and for how long at the most.
const SHARE: f64 = 0.5;
const LATENCY_SECONDS: f64 = 20.0;
/// Spans of one point of the curve.
const POINT: u64 = 1_000_000;

/// A way to send.
#[derive(Debug, Clone, Copy)]
struct Way {
    request_spans: u64,
    connections: u64,
    spans: u64,
    /// Spans a second over all connections; as fast as they go where there is none.
    pace: Option<f64>,
    curve: bool,
}

/// What came of it.
#[derive(Debug, Default)]
struct Sent {
    spans: u64,
    seconds: f64,
    retried: u64,
    /// Of acknowledged requests, from when they were due.
    latencies: Vec<Duration>,
    most_memory: u64,
}

impl Sent {
    fn rate(&self) -> f64 {
        self.spans as f64 / self.seconds
    }

    fn latency(&self, at: f64) -> f64 {
        let place = (at * self.latencies.len().saturating_sub(1) as f64).round() as usize;
        self.latencies.get(place).map_or(0.0, |latency| latency.as_secs_f64() * 1e3)
    }
}

/// Runs the measurement and prints it.
pub(super) fn run(plan: &Plan) -> anyhow::Result<()> {
    let spans = Spans::new();
    print(&format!(
        "OTLP protobuf over HTTP, fsynced; traces of {} spans cut wherever a request is full, {:.0} bytes a span\n",
        spans::TRACE_SPANS,
        spans.mean_bytes()
    ))?;
    let ways = match (plan.request_events, plan.connections) {
        (0, _) | (_, 0) => vec![(100, 4), (10, 16)],
        (request, connections) => vec![(request as u64, connections as u64)],
    };
    for (place, (request_spans, connections)) in ways.into_iter().enumerate() {
        let way = Way { request_spans, connections, spans: plan.events, pace: None, curve: plan.curve && place == 0 };
        measure(plan, &spans, way)?;
    }
    Ok(())
}

/// Sends spans to these servers as fast as they take them: spans a second.
pub(super) fn rate(
    spans: u64,
    request_spans: u64,
    connections: u64,
    servers: &[server::Server],
) -> anyhow::Result<f64> {
    let way = Way { request_spans, connections, spans, pace: None, curve: false };
    Ok(send(&Spans::new(), way, 0, servers)?.rate())
}

fn measure(plan: &Plan, spans: &Spans, way: Way) -> anyhow::Result<()> {
    let folder = tempfile::Builder::new().prefix("uplift-bench-").tempdir()?;
    let database = folder.path().join("measured.db");
    let server = server::Server::start(&database)?;
    let idle = server.resident_bytes()?;
    let full = send(spans, way, 0, std::slice::from_ref(&server))?;
    let paced = Way {
        spans: ((full.rate() * SHARE * LATENCY_SECONDS) as u64).min(way.spans),
        pace: Some(full.rate() * SHARE),
        curve: false,
        ..way
    };
    let half = send(spans, paced, 1 << 20, std::slice::from_ref(&server))?;
    server.stop()?;
    let disk = size_of(&database)?;
    print(&format!(
        "{request} a request, {connections} connections: {rate} spans/s ({sent} spans in {seconds:.1} s, {retried} requests \
         sent again after 429), p99 {p99:.1} ms\n\
         at half of that load: p50 {half50:.1} ms, p99 {half99:.1} ms\n\
         memory of the server: {idle} idle, {most} at the most; on disk {each:.0} bytes a span\n",
        request = way.request_spans,
        connections = way.connections,
        rate = count(full.rate() as i64),
        sent = count(full.spans as i64),
        seconds = full.seconds,
        retried = full.retried,
        p99 = full.latency(0.99),
        half50 = half.latency(0.5),
        half99 = half.latency(0.99),
        idle = bytes(idle),
        most = bytes(full.most_memory.max(half.most_memory)),
        each = disk as f64 / (full.spans + half.spans) as f64,
    ))?;
    if plan.no_bare {
        return Ok(());
    }
    let batch = (way.request_spans * way.connections) as usize;
    let bare = bare::copy(&database, &folder.path().join("bare.db"), batch)?;
    let rate = bare.spans as f64 / bare.seconds;
    print(&format!(
        "bare inserts of the same rows: {} spans/s ({} other rows, {} spans a commit); ratio {:.2}\n",
        count(rate as i64),
        count(bare.other_rows as i64),
        count(batch as i64),
        full.rate() / rate,
    ))
}

fn size_of(database: &Path) -> anyhow::Result<u64> {
    Ok(std::fs::metadata(database)?.len())
}

/// What the senders share.
struct Shared<'a> {
    spans: &'a Spans,
    way: Way,
    first_sender: u64,
    servers: &'a [server::Server],
    done: AtomicU64,
    retried: AtomicU64,
    latencies: Mutex<Vec<Duration>>,
    began: Instant,
    last_point: Mutex<Instant>,
}

/// Sends, each connection its own traces, and waits for every answer.
fn send(spans: &Spans, way: Way, first_sender: u64, servers: &[server::Server]) -> anyhow::Result<Sent> {
    let shared = Shared {
        spans,
        way,
        first_sender,
        servers,
        done: AtomicU64::new(0),
        retried: AtomicU64::new(0),
        latencies: Mutex::default(),
        began: Instant::now(),
        last_point: Mutex::new(Instant::now()),
    };
    let mut most_memory = 0;
    std::thread::scope(|scope| {
        let senders: Vec<_> = (0..way.connections)
            .map(|number| {
                scope.spawn({
                    let shared = &shared;
                    move || sender(shared, number)
                })
            })
            .collect();
        while senders.iter().any(|sender| !sender.is_finished()) {
            let memory = servers.iter().filter_map(|server| server.resident_bytes().ok()).max();
            most_memory = most_memory.max(memory.unwrap_or(0));
            std::thread::sleep(WATCH);
        }
        let ends: Vec<_> = senders.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        ends.into_iter().try_for_each(|end| end.unwrap_or_else(|_| bail!("a sender ended unexpectedly")))
    })?;
    let seconds = shared.began.elapsed().as_secs_f64();
    let mut latencies = shared.latencies.into_inner().unwrap_or_else(PoisonError::into_inner);
    latencies.sort_unstable();
    Ok(Sent {
        spans: shared.done.load(Ordering::SeqCst),
        seconds,
        retried: shared.retried.load(Ordering::SeqCst),
        latencies,
        most_memory,
    })
}

fn sender(shared: &Shared<'_>, number: u64) -> anyhow::Result<()> {
    let server = &shared.servers[number as usize % shared.servers.len()];
    let mut connection = Connection::open(server.address())?;
    let way = shared.way;
    let total = way.spans / way.connections;
    let every = way.pace.map(|pace| Duration::from_secs_f64((way.request_spans * way.connections) as f64 / pace));
    // Paced senders take turns.
    let mut due = shared.began + every.unwrap_or_default().mul_f64(number as f64 / way.connections as f64);
    let mut body = Vec::new();
    let mut latencies = Vec::new();
    let mut from = 0;
    while from < total {
        let to = (from + way.request_spans).min(total);
        shared.spans.write(shared.first_sender + number, from, to, &mut body);
        let since = match every {
            Some(every) => {
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                let since = due;
                due += every;
                since
            }
            None => Instant::now(),
        };
        while !post(&mut connection, &body)? {
            shared.retried.fetch_add(1, Ordering::SeqCst);
            std::thread::sleep(PAUSE);
        }
        latencies.push(since.elapsed());
        let done = shared.done.fetch_add(to - from, Ordering::SeqCst) + to - from;
        if way.curve && done / POINT > (done - (to - from)) / POINT {
            point(shared, done / POINT * POINT)?;
        }
        from = to;
    }
    shared.latencies.lock().unwrap_or_else(PoisonError::into_inner).extend(latencies);
    Ok(())
}

/// Prints how fast the last million went.
fn point(shared: &Shared<'_>, spans: u64) -> anyhow::Result<()> {
    let now = Instant::now();
    let mut last = shared.last_point.lock().unwrap_or_else(PoisonError::into_inner);
    let rate = POINT as f64 / now.duration_since(*last).as_secs_f64();
    *last = now;
    print(&format!("  up to {:>12} spans: {:>8} spans/s\n", count(spans as i64), count(rate as i64)))
}

/// Sends a request; false means that the server asks for patience.
fn post(connection: &mut Connection, body: &[u8]) -> anyhow::Result<bool> {
    let (status, answer) = connection.post("/v1/traces", "application/x-protobuf", body)?;
    match status {
        200 => {
            // A full success says nothing; a partial one would have to say what was refused.
            anyhow::ensure!(answer.is_empty(), "not all were taken: {}", String::from_utf8_lossy(&answer));
            Ok(true)
        }
        429 | 503 => Ok(false),
        other => bail!("the server answered {other}: {}", String::from_utf8_lossy(&answer)),
    }
}
