//! Over HTTP with tokens on, as a fleet does it: each agent shows a token of its own. Beside a bare handler in the same
//! run, at a steady rate, and while events come in.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use axum::Router;
use axum::routing::get;
use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::runtime::Runtime;
use uplift_model::Policy;
use uplift_model::access::Role;
use uplift_runner::access::Wanted;
use uplift_runner::{Engine, SystemClock};
use uplift_store::Store;
use uplift_store::sqlite::SqliteStore;
use uplift_web::{AppState, ConnectionLimits, Guarding};

use super::asking::{Asker, Taken};
use super::fleet::Fleet;
use crate::bench::http::Connection;

/// Threads that answer, as `uplift serve` has by default.
const THREADS: usize = 2;
/// Agents, each with a token of its own.
pub(super) const AGENTS: usize = 200;
/// Running trials.
pub(super) const TRIALS: usize = 20;
/// The steady rate, requests a second.
pub(super) const STEADY: f64 = 10_000.0;
/// Connections that bring events.
const BRINGERS: usize = 2;
/// Events of one request.
const EVENTS: usize = 100;

/// What was measured.
#[derive(Debug, Clone, Default)]
pub(super) struct Measured {
    /// A bare handler, as fast as it goes.
    pub(super) bare: Taken,
    /// Resolving with tokens, as fast as it goes.
    pub(super) full: Taken,
    /// At the steady rate.
    pub(super) steady: Taken,
    /// Events a second, as fast as they go, with nothing beside.
    pub(super) intake: f64,
    /// At the steady rate, while events come in at half of that.
    pub(super) beside: Taken,
    /// Events a second that came in meanwhile.
    pub(super) beside_intake: f64,
}

/// A server under measurement.
struct Server {
    runtime: Runtime,
    address: String,
    tokens: Vec<String>,
    bringer: String,
    _folder: tempfile::TempDir,
}

/// Measures all of it; each measurement takes `time`.
pub(super) fn measure(fleet: &Fleet, connections: usize, time: Duration) -> anyhow::Result<Measured> {
    let bare = {
        let runtime = runtime()?;
        let address = served(&runtime, Router::new().route("/", get(|| async { "{}" })))?;
        let taken = ask_all(connections, |number| Asker::bare(&address, number), None, time)?;
        runtime.shutdown_background();
        taken
    };
    let server = Server::start(fleet)?;
    let asker = |number| Asker::guarded(&server.address, &server.tokens, fleet, number);
    let full = ask_all(connections, asker, None, time)?;
    let steady = ask_all(connections, asker, Some(STEADY), time)?;
    let intake = server.bring(None, time, || Ok(()))?.0;
    let (beside_intake, beside) =
        server.bring(Some(intake / 2.0), time, || ask_all(connections, asker, Some(STEADY), time))?;
    server.runtime.shutdown_background();
    Ok(Measured { bare, full, steady, intake, beside, beside_intake })
}

fn runtime() -> anyhow::Result<Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build()?)
}

/// Serves a router as `uplift serve` does; its address.
fn served(runtime: &Runtime, router: Router) -> anyhow::Result<String> {
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))?;
    let address = listener.local_addr()?.to_string();
    runtime.spawn(uplift_web::serve(listener, router, ConnectionLimits::default(), None, std::future::pending()));
    Ok(address)
}

/// Asks over several connections until the time is over.
fn ask_all(
    connections: usize,
    asker: impl Fn(usize) -> anyhow::Result<Asker> + Sync,
    rate: Option<f64>,
    time: Duration,
) -> anyhow::Result<Taken> {
    let rate = rate.map(|rate| rate / connections as f64);
    let began = Instant::now();
    let taken: Vec<Vec<u32>> = thread::scope(|scope| {
        let asker = &asker;
        let askers: Vec<_> =
            (0..connections).map(|number| scope.spawn(move || asker(number)?.ask(rate, time))).collect();
        let ends: Vec<_> = askers.into_iter().map(thread::ScopedJoinHandle::join).collect();
        ends.into_iter()
            .map(|end| end.unwrap_or_else(|_| bail!("a connection ended unexpectedly")))
            .collect::<anyhow::Result<_>>()
    })?;
    Ok(Taken::of(taken.concat(), began.elapsed()))
}

impl Server {
    fn start(fleet: &Fleet) -> anyhow::Result<Self> {
        let (runtime, folder) = (runtime()?, tempfile::tempdir()?);
        let store = SqliteStore::open(&folder.path().join("bench.db"))?;
        let store: Arc<dyn Store> = Arc::new(store);
        let engine = Engine::new(store, Policy::default(), Arc::new(SystemClock));
        fleet.put(engine.snapshot());
        let make = async |name: &str, entity: &str| -> anyhow::Result<String> {
            let entities = vec![entity.parse().context("an entity")?];
            let wanted = Wanted { name: name.to_owned(), role: Role::Agent, entities, expires_at: None };
            Ok(engine.make_token(wanted, "bench").await?.secret)
        };
        let (tokens, bringer) = runtime.block_on(async {
            let mut tokens = Vec::with_capacity(fleet.names.len());
            for name in &fleet.names {
                tokens.push(make(name, &format!("agent/{name}")).await?);
            }
            anyhow::Ok((tokens, make("collector", "agent/*").await?))
        })?;
        let nothing: [&str; 0] = [];
        let prometheus = PrometheusBuilder::new().build_recorder().handle();
        let guarding = Guarding { tokens: true, ..Guarding::default() };
        let router = uplift_web::router(AppState::new(engine, prometheus, nothing).guarding(guarding));
        let address = served(&runtime, router)?;
        Ok(Self { runtime, address, tokens, bringer, _folder: folder })
    }

    /// Brings events, at a rate or as fast as it goes, while `beside` runs and at least for the time; events a second.
    fn bring<T>(
        &self,
        rate: Option<f64>,
        time: Duration,
        beside: impl FnOnce() -> anyhow::Result<T>,
    ) -> anyhow::Result<(f64, T)> {
        let (stop, brought, began) = (AtomicBool::new(false), AtomicU64::new(0), Instant::now());
        let beside = thread::scope(|scope| {
            let bringers: Vec<_> = (0..BRINGERS)
                .map(|number| {
                    let (stop, brought) = (&stop, &brought);
                    scope.spawn(move || self.bring_until(number, rate, stop, brought))
                })
                .collect();
            let result = beside();
            thread::sleep(time.saturating_sub(began.elapsed()));
            stop.store(true, Ordering::Relaxed);
            for bringer in bringers {
                bringer.join().unwrap_or_else(|_| bail!("a sender ended unexpectedly"))?;
            }
            result
        })?;
        Ok((brought.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64(), beside))
    }

    fn bring_until(
        &self,
        number: usize,
        rate: Option<f64>,
        stop: &AtomicBool,
        brought: &AtomicU64,
    ) -> anyhow::Result<()> {
        let mut connection = Connection::with_token(&self.address, &self.bringer)?;
        let (began, mut sent) = (Instant::now(), 0_u64);
        // What tells the events of one run from those of another.
        let run = format!("{number}-{}", if rate.is_some() { "paced" } else { "free" });
        while !stop.load(Ordering::Relaxed) {
            let body: String = (0..EVENTS).map(|place| event(&run, sent * EVENTS as u64 + place as u64)).collect();
            let (status, answer) = connection.post("/api/events", "application/x-ndjson", body.as_bytes())?;
            anyhow::ensure!(status == 200, "{status}: {}", String::from_utf8_lossy(&answer));
            sent += 1;
            brought.fetch_add(EVENTS as u64, Ordering::Relaxed);
            if let Some(rate) = rate {
                let due = Duration::from_secs_f64((sent * (EVENTS * BRINGERS) as u64) as f64 / rate);
                thread::sleep(due.saturating_sub(began.elapsed()));
            }
        }
        Ok(())
    }
}

fn event(run: &str, number: u64) -> String {
    format!(
        "{{\"id\":\"e{run}-{number}\",\"event_type\":\"TOOL_EXECUTED\",\"agent\":\"research-agent-{}\",\"tool\":\"search\",\
         \"task_id\":\"t{run}-{}\",\"outcome\":\"SUCCESS\",\"duration_ms\":12.5,\"content\":\"what it found there\"}}\n",
        number / 10 % AGENTS as u64,
        number / 10
    )
}
