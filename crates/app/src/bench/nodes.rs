//! Measures servers that share a PostgreSQL database: intake by one and by two of them beside the bare COPY of the same
//! rows, and resolving.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::bail;
use uplift_model::Time;
use uplift_model::entity::{DEFAULT_ENVIRONMENT, EntityName, EntityType};
use uplift_model::policy::ImprovementConfig;
use uplift_model::revision::{Configuration, Revision};
use uplift_store::postgres::scratch::Scratch;
use uplift_store::writes::{StepCommit, Write};
use uplift_store::{SqlStore, StoreResult, Writes};

use super::http::Connection;
use super::server::Server;
use super::{load, otlp, records};
use crate::text::{Column, Style, Table, count, print};

/// Agents that ask what to run.
const AGENTS: usize = 200;
/// The tables that events and spans end up in.
const TABLES: [&str; 6] = ["traces", "event_rows", "plain_spans", "bodies", "attribute_sets", "task_rows"];

/// What to measure.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// The address of a database in which schemas can be made.
    pub(crate) server: String,
    /// Events, and then spans, to send to each number of nodes.
    pub(crate) events: u64,
    /// Seconds to resolve.
    pub(crate) seconds: u64,
    /// Where recorded events are.
    pub(crate) data: std::path::PathBuf,
}

/// What a number of nodes came to.
#[derive(Default)]
struct Measured {
    events: f64,
    copied_events: f64,
    spans: f64,
    copied_spans: f64,
    resolves: f64,
}

/// Measures and prints a table.
pub(crate) fn run(plan: &Plan) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let records = records::load(&plan.data)?;
    print(&format!(
        "{} events of {} in JSON, 1,000 a request over 8 connections; as many spans over OTLP, 100 a request over 4 \
         connections; generator, nodes and PostgreSQL on this machine\n",
        count(plan.events as i64),
        records.origin(),
    ))?;
    let mut table = Table::new([
        Column::number("NODES"),
        Column::number("EVENTS/S"),
        Column::number("COPY"),
        Column::number("RATIO"),
        Column::number("SPANS/S"),
        Column::number("COPY"),
        Column::number("RATIO"),
        Column::number("RESOLVES/S"),
    ]);
    for nodes in [1, 2] {
        let measured = measure(plan, &runtime, &records, nodes)?;
        table.row([
            nodes.to_string(),
            count(measured.events as i64),
            count(measured.copied_events as i64),
            format!("{:.2}", measured.events / measured.copied_events),
            count(measured.spans as i64),
            count(measured.copied_spans as i64),
            format!("{:.2}", measured.spans / measured.copied_spans),
            count(measured.resolves as i64),
        ]);
    }
    print(&table.render(Style::of_stdout()))
}

fn measure(
    plan: &Plan,
    runtime: &tokio::runtime::Runtime,
    records: &records::Records,
    nodes: usize,
) -> anyhow::Result<Measured> {
    let mut measured = Measured::default();
    let (place, servers) = start(plan, runtime, nodes)?;
    let sending = super::Plan {
        events: plan.events,
        data: plan.data.clone(),
        request_events: 1_000,
        connections: 8,
        curve: false,
        no_bare: true,
        otlp: false,
    };
    let addresses: Vec<String> = servers.iter().map(|server| server.address().to_owned()).collect();
    measured.events = load::send(&sending, records, &addresses)?.rate();
    stop(servers)?;
    measured.copied_events = plan.events as f64 / runtime.block_on(copied(&place))?;
    drop(place);
    let (place, servers) = start(plan, runtime, nodes)?;
    measured.spans = otlp::rate(plan.events, 100, 4, &servers)?;
    runtime.block_on(declare(&place))?;
    measured.resolves = resolve(&servers, Duration::from_secs(plan.seconds))?;
    stop(servers)?;
    measured.copied_spans = plan.events as f64 / runtime.block_on(copied(&place))?;
    Ok(measured)
}

fn start(plan: &Plan, runtime: &tokio::runtime::Runtime, nodes: usize) -> anyhow::Result<(Scratch, Vec<Server>)> {
    let place = runtime.block_on(Scratch::make(&plan.server))?;
    let address = place.address();
    let servers = (0..nodes).map(|_| Server::start(Path::new(&address))).collect::<anyhow::Result<_>>()?;
    Ok((place, servers))
}

fn stop(servers: Vec<Server>) -> anyhow::Result<()> {
    servers.into_iter().try_for_each(Server::stop)
}

/// Seconds that a bare COPY takes for all rows of the tables.
async fn copied(place: &Scratch) -> StoreResult<f64> {
    let mut seconds = 0.0;
    for table in TABLES {
        seconds += place.copy(table).await?.1;
    }
    Ok(seconds)
}

async fn declare(place: &Scratch) -> anyhow::Result<()> {
    let store = SqlStore::connect(&place.address()).await?;
    for agent in 0..AGENTS {
        let name = EntityName {
            environment: DEFAULT_ENVIRONMENT.to_owned(),
            entity_type: EntityType::Agent,
            name: format!("resolver-{agent}"),
        };
        let at = Time::from_micros(1);
        let declare = Write::DeclareEntity { name, config: ImprovementConfig::default() };
        let receipt = store.commit_step(StepCommit { at, writes: vec![declare], ..StepCommit::default() }).await?;
        let mut configuration = Configuration::default();
        configuration.instruction.text = format!("You are agent {agent}.");
        let revision = Box::new(Revision::seal(configuration)?);
        let writes = receipt
            .entities
            .iter()
            .map(|entity| Write::PointRevision { entity: *entity, revision: revision.clone() });
        store.commit_step(StepCommit { at, writes: writes.collect(), ..StepCommit::default() }).await?;
    }
    store.close().await;
    // Nodes hear of it at once, and look by themselves four times a second.
    tokio::time::sleep(Duration::from_secs(1)).await;
    Ok(())
}

/// Resolves a second, by four connections to each of the servers.
fn resolve(servers: &[Server], time: Duration) -> anyhow::Result<f64> {
    let done = AtomicU64::new(0);
    let began = Instant::now();
    std::thread::scope(|scope| {
        let askers: Vec<_> = (0..4 * servers.len())
            .map(|asker| {
                let (server, done) = (&servers[asker % servers.len()], &done);
                scope.spawn(move || -> anyhow::Result<()> {
                    let mut connection = Connection::open(server.address())?;
                    let mut turn = asker;
                    while began.elapsed() < time {
                        turn += 7;
                        let path = format!("/api/resolve/agent/resolver-{}?unit=u{turn}", turn % AGENTS);
                        let (status, answer) = connection.get(&path)?;
                        anyhow::ensure!(status == 200, "{status}: {}", String::from_utf8_lossy(&answer));
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                    Ok(())
                })
            })
            .collect();
        let ends: Vec<_> = askers.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        ends.into_iter().try_for_each(|end| end.unwrap_or_else(|_| bail!("a connection ended unexpectedly")))
    })?;
    Ok(done.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64())
}
