//! Measures intake as it is shipped: a server process on a fresh database, events over HTTP on loopback, an answer
//! only after the fsync; then the same rows by bare inserts into the same tables, to compare with.

mod bare;
pub(crate) mod engine;
mod http;
mod load;
pub(crate) mod nodes;
mod otlp;
pub(crate) mod pages;
mod records;
pub(crate) mod resolve;
mod server;

use std::path::PathBuf;

use crate::text::{bytes, count, print};

/// What to measure.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// Events to send.
    pub(crate) events: u64,
    /// Where recorded events are.
    pub(crate) data: PathBuf,
    /// Events a request.
    pub(crate) request_events: usize,
    /// Connections that send at the same time.
    pub(crate) connections: usize,
    /// Whether to print the rate of every million.
    pub(crate) curve: bool,
    /// Whether to leave the bare inserts out.
    pub(crate) no_bare: bool,
    /// Whether to send spans over OTLP instead of events in JSON; without a request size or number of connections,
    /// those that matter are measured one after another.
    pub(crate) otlp: bool,
}

/// Runs the measurement and prints it.
pub(crate) fn run(plan: &Plan) -> anyhow::Result<()> {
    if plan.otlp {
        return otlp::run(plan);
    }
    let records = records::load(&plan.data)?;
    print(&format!(
        "{} distinct events of {}, {} on average, repeated under fresh task ids\n",
        count(records.len() as i64),
        records.origin(),
        bytes_each(records.mean_bytes()),
    ))?;
    let folder = tempfile::Builder::new().prefix("uplift-bench-").tempdir()?;
    let database = folder.path().join("measured.db");
    let measured = serve_and_send(plan, &records, &database)?;
    drop(records);
    print(&format!(
        "HTTP, fsynced: {} events/s ({} events in {:.1} s, {} a request, {} connections, {} retried after 429)\n",
        count(measured.rate() as i64),
        count(measured.events as i64),
        measured.seconds,
        plan.request_events,
        plan.connections,
        measured.retried,
    ))?;
    if plan.no_bare {
        return Ok(());
    }
    // What waits at the same time may share a commit, so this is the largest batch the server can have had.
    let batch = plan.request_events * plan.connections;
    let bare = bare::copy(&database, &folder.path().join("bare.db"), batch)?;
    print(&format!(
        "bare inserts:  {} events/s ({} events and {} other rows in {:.1} s, {} events a commit)\nratio:         {:.2}\n",
        count((bare.events as f64 / bare.seconds) as i64),
        count(bare.events as i64),
        count(bare.other_rows as i64),
        bare.seconds,
        count(batch as i64),
        measured.rate() / (bare.events as f64 / bare.seconds),
    ))
}

fn serve_and_send(
    plan: &Plan,
    records: &records::Records,
    database: &std::path::Path,
) -> anyhow::Result<load::Measured> {
    let server = server::Server::start(database)?;
    print(&format!("resident memory of the server, idle: {}\n", bytes(server.resident_bytes()?)))?;
    let measured = load::send(plan, records, &[server.address().to_owned()])?;
    print(&format!("resident memory of the server, after: {}\n", bytes(server.resident_bytes()?)))?;
    server.stop()?;
    Ok(measured)
}

fn bytes_each(mean: f64) -> String {
    format!("{mean:.0} bytes")
}
