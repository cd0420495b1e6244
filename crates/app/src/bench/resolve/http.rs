//! Over HTTP on loopback: the server as it is shipped, connections that are kept alive, one question at a time each.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use uplift_model::Policy;
use uplift_runner::{Engine, SystemClock};
use uplift_store::Store;
use uplift_store::sqlite::SqliteStore;

use super::fleet::{Dice, Fleet};

/// Threads that answer, as `uplift serve` has by default.
const THREADS: usize = 2;
/// How long one answer may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// What was measured.
#[derive(Debug, Clone, Copy)]
pub(super) struct Measured {
    /// Requests answered.
    pub(super) requests: u64,
    /// Requests a second.
    pub(super) rate: f64,
    /// Time within which half of the answers came, microseconds.
    pub(super) p50_us: f64,
    /// Time within which 99 of 100 answers came, microseconds.
    pub(super) p99_us: f64,
}

/// Asks for `time` over several connections.
pub(super) fn measure(fleet: &Fleet, connections: usize, time: Duration) -> anyhow::Result<Measured> {
    let store: Arc<dyn Store> = Arc::new(SqliteStore::in_memory()?);
    let engine = Engine::new(store, Policy::default(), Arc::new(SystemClock));
    fleet.put(engine.snapshot());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build()?;
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))?;
    let address = listener.local_addr()?.to_string();
    let router = crate::serve::router(engine);
    runtime.spawn(async move { axum::serve(listener, router).await });
    let began = Instant::now();
    let taken: Vec<Vec<u32>> = std::thread::scope(|scope| {
        let askers: Vec<_> = (0..connections)
            .map(|number| {
                let address = &address;
                scope.spawn(move || ask(fleet, address, number as u64 + 1, time))
            })
            .collect();
        let ends: Vec<_> = askers.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        ends.into_iter()
            .map(|end| end.unwrap_or_else(|_| bail!("a connection ended unexpectedly")))
            .collect::<anyhow::Result<_>>()
    })?;
    let seconds = began.elapsed().as_secs_f64();
    runtime.shutdown_background();
    let mut taken = taken.concat();
    taken.sort_unstable();
    let quantile = |share: f64| {
        let place = (taken.len() as f64 * share) as usize;
        taken.get(place.min(taken.len().saturating_sub(1))).map_or(0.0, |ns| f64::from(*ns) / 1_000.0)
    };
    let requests = taken.len() as u64;
    Ok(Measured { requests, rate: requests as f64 / seconds, p50_us: quantile(0.5), p99_us: quantile(0.99) })
}

/// Nanoseconds that each answer took.
fn ask(fleet: &Fleet, address: &str, seed: u64, time: Duration) -> anyhow::Result<Vec<u32>> {
    let stream = TcpStream::connect(address).with_context(|| format!("cannot reach {address}"))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    let mut stream = BufReader::new(stream);
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let (mut taken, mut line, mut body) = (Vec::new(), String::new(), Vec::new());
    let began = Instant::now();
    while began.elapsed() < time {
        let name = &fleet.names[dice.below(fleet.names.len())];
        let unit = &fleet.units[dice.below(fleet.units.len())];
        let request = format!(
            "GET /api/resolve/agent/{name}?unit={unit}&environment=default HTTP/1.1\r\nhost: {address}\r\n\r\n"
        );
        let sent = Instant::now();
        stream.get_mut().write_all(request.as_bytes())?;
        read_answer(&mut stream, &mut line, &mut body)?;
        taken.push(u32::try_from(sent.elapsed().as_nanos()).unwrap_or(u32::MAX));
    }
    Ok(taken)
}

fn read_answer(stream: &mut BufReader<TcpStream>, line: &mut String, body: &mut Vec<u8>) -> anyhow::Result<()> {
    line.clear();
    stream.read_line(line)?;
    let is_good = line.split(' ').nth(1) == Some("200");
    let status = if is_good { String::new() } else { line.trim_end().to_owned() };
    let mut length = None;
    loop {
        line.clear();
        stream.read_line(line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        if name.eq_ignore_ascii_case("content-length") {
            length = Some(value.trim().parse::<usize>()?);
        }
    }
    body.resize(length.context("an answer without a length")?, 0);
    stream.read_exact(body)?;
    anyhow::ensure!(is_good, "{status}: {}", String::from_utf8_lossy(body));
    Ok(())
}
