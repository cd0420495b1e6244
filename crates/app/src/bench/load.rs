//! Sends events over several connections and counts what was acknowledged.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde_json::Value;

use super::Plan;
use super::records::Records;
use crate::text::{count, print};

/// Events of one point of the curve.
const POINT: u64 = 1_000_000;
/// How long to wait before a refused request is sent again.
const PAUSE: Duration = Duration::from_millis(50);
/// How long one answer may take.
const TIMEOUT: Duration = Duration::from_mins(2);

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
    address: &'a str,
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

/// Sends the plan's events and waits for every answer.
pub(super) fn send(plan: &Plan, records: &Records, address: &str) -> anyhow::Result<Measured> {
    let shared = Shared {
        plan,
        records,
        address,
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
    let mut connection = Connection::open(shared.address)?;
    let (size, total) = (shared.plan.request_events as u64, shared.plan.events);
    let mut body = Vec::new();
    loop {
        let from = shared.next.fetch_add(size, Ordering::SeqCst);
        if from >= total {
            return Ok(());
        }
        let to = (from + size).min(total);
        shared.records.write(from, to, &mut body);
        while !connection.post(&body, to - from)? {
            shared.retried.fetch_add(1, Ordering::SeqCst);
            std::thread::sleep(PAUSE);
        }
        let done = shared.done.fetch_add(to - from, Ordering::SeqCst) + to - from;
        if shared.plan.curve && done / POINT > (done - (to - from)) / POINT {
            shared.point(done / POINT * POINT)?;
        }
    }
}

/// A kept-alive connection that speaks just enough HTTP: the generator must not take the server's share of the
/// machine.
struct Connection {
    stream: BufReader<TcpStream>,
    address: String,
}

impl Connection {
    fn open(address: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).with_context(|| format!("cannot reach {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        Ok(Self { stream: BufReader::new(stream), address: address.to_owned() })
    }

    /// Sends a body; false means that the server asks for patience.
    fn post(&mut self, body: &[u8], events: u64) -> anyhow::Result<bool> {
        let head = format!(
            "POST /api/events HTTP/1.1\r\nhost: {}\r\ncontent-type: application/x-ndjson\r\ncontent-length: {}\r\n\r\n",
            self.address,
            body.len()
        );
        let stream = self.stream.get_mut();
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)?;
        let (status, answer) = self.answer()?;
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

    fn answer(&mut self) -> anyhow::Result<(u16, Vec<u8>)> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let status = line.split(' ').nth(1).context("no answer")?.parse()?;
        let mut length = None;
        loop {
            line.clear();
            self.stream.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            if name.eq_ignore_ascii_case("content-length") {
                length = Some(value.trim().parse::<usize>()?);
            }
        }
        let mut body = vec![0; length.context("an answer without a length")?];
        self.stream.read_exact(&mut body)?;
        Ok((status, body))
    }
}
