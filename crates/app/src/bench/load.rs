//! Sends events over several connections and counts what was acknowledged.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::bail;
use serde_json::Value;

use super::Plan;
use super::http::Connection;
use super::records::Records;
use crate::text::{count, print};

/// Events of one point of the curve.
const POINT: u64 = 1_000_000;
/// How long to wait before a refused request is sent again.
const PAUSE: Duration = Duration::from_millis(50);

/// What was measured.
#[derive(Debug, Clone, Copy)]
pub(super) struct Measured {
    /// Events acknowledged.
    pub(super) events: u64,
    /// Time from the first request to the last answer.
    pub(super) seconds: f64,
    /// Requests answered with 429.
    pub(super) retried: u64,
}

impl Measured {
    /// Events a second.
    pub(super) fn rate(&self) -> f64 {
        self.events as f64 / self.seconds
    }
}

/// What the senders share.
struct Shared<'a> {
    plan: &'a Plan,
    records: &'a Records,
    addresses: &'a [String],
    senders: AtomicUsize,
    next: AtomicU64,
    done: AtomicU64,
    retried: AtomicU64,
    began: Instant,
    last_point: Mutex<Instant>,
}

impl Shared<'_> {
    /// Prints how fast the last million went.
    fn point(&self, events: u64) -> anyhow::Result<()> {
        let now = Instant::now();
        let mut last = self.last_point.lock().unwrap_or_else(PoisonError::into_inner);
        let rate = POINT as f64 / now.duration_since(*last).as_secs_f64();
        *last = now;
        print(&format!("  up to {:>12} events: {:>8} events/s\n", count(events as i64), count(rate as i64)))
    }
}

/// Sends the plan's events to these servers, connection by connection in turn, and waits for every answer.
pub(super) fn send(plan: &Plan, records: &Records, addresses: &[String]) -> anyhow::Result<Measured> {
    let shared = Shared {
        plan,
        records,
        addresses,
        senders: AtomicUsize::new(0),
        next: AtomicU64::new(0),
        done: AtomicU64::new(0),
        retried: AtomicU64::new(0),
        began: Instant::now(),
        last_point: Mutex::new(Instant::now()),
    };
    std::thread::scope(|scope| {
        let senders: Vec<_> = (0..plan.connections).map(|_| scope.spawn(|| sender(&shared))).collect();
        let ends: Vec<_> = senders.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        ends.into_iter().try_for_each(|end| end.unwrap_or_else(|_| bail!("a sender ended unexpectedly")))
    })?;
    Ok(Measured {
        events: shared.done.load(Ordering::SeqCst),
        seconds: shared.began.elapsed().as_secs_f64(),
        retried: shared.retried.load(Ordering::SeqCst),
    })
}

fn sender(shared: &Shared<'_>) -> anyhow::Result<()> {
    let turn = shared.senders.fetch_add(1, Ordering::Relaxed);
    let mut connection = Connection::open(&shared.addresses[turn % shared.addresses.len()])?;
    let (size, total) = (shared.plan.request_events as u64, shared.plan.events);
    let mut body = Vec::new();
    loop {
        let from = shared.next.fetch_add(size, Ordering::SeqCst);
        if from >= total {
            return Ok(());
        }
        let to = (from + size).min(total);
        shared.records.write(from, to, &mut body);
        while !post(&mut connection, &body, to - from)? {
            shared.retried.fetch_add(1, Ordering::SeqCst);
            std::thread::sleep(PAUSE);
        }
        let done = shared.done.fetch_add(to - from, Ordering::SeqCst) + to - from;
        if shared.plan.curve && done / POINT > (done - (to - from)) / POINT {
            shared.point(done / POINT * POINT)?;
        }
    }
}

/// Sends a body; false means that the server asks for patience.
fn post(connection: &mut Connection, body: &[u8], events: u64) -> anyhow::Result<bool> {
    let (status, answer) = connection.post("/api/events", "application/x-ndjson", body)?;
    match status {
        200..=299 => {
            let answer: Value = serde_json::from_slice(&answer)?;
            anyhow::ensure!(answer["accepted"].as_u64() == Some(events), "not all were taken: {answer}");
            Ok(true)
        }
        429 => Ok(false),
        other => bail!("the server answered {other}: {}", String::from_utf8_lossy(&answer)),
    }
}
