//! Measures the pages of the dashboard on a large database: how long each takes while others are asked for and events
//! come in.
//!
//! In reading order: `fleet` makes the database, `asking` asks.

mod asking;
mod fleet;

use std::future::IntoFuture;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use serde_json::json;
use tokio::net::TcpListener;
use uplift_runner::clock::ManualClock;

use crate::database::{Opened, Place};
use crate::lock::Holder;
use crate::text::{Column, Style, Table, bytes, count, print, print_json};
use asking::{Asked, Load};
use fleet::Size;

/// What to measure.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// Tasks in the database, about.
    pub(crate) tasks: u64,
    /// Improvements in it, about.
    pub(crate) improvements: u64,
    /// Where databases are kept for the next time.
    pub(crate) folder: PathBuf,
    /// Requests of each page.
    pub(crate) requests: usize,
    /// Requests a second, of all pages together.
    pub(crate) rate: f64,
    /// Connections that ask.
    pub(crate) connections: usize,
    /// What the 99th percentile of every page has to stay below, milliseconds.
    pub(crate) bar_ms: f64,
    /// Whether to print JSON instead of a table.
    pub(crate) json: bool,
}

/// Runs the measurement and prints it; whether every page stays below the bar.
pub(crate) fn run(plan: &Plan) -> anyhow::Result<bool> {
    let size = Size { tasks: plan.tasks, improvements: plan.improvements };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let path = runtime.block_on(fleet::prepare(&plan.folder, size))?;
    let found = fleet::look(&path)?;
    // Time stands still where the database was made: by a clock that runs, all of it would be long ago.
    let clock = Arc::new(ManualClock::at(found.now));
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).context("cannot listen on loopback")?;
    let address = listener.local_addr()?.to_string();
    let us = Holder::this_process(Some(format!("http://{address}")));
    let place = Place::File(path.clone());
    let opened = runtime.block_on(place.open_at(&us, || Ok(crate::demo::policy::policy()), clock))?;
    let Opened::Ours(store) = opened else { anyhow::bail!("{place} is in use") };
    runtime.block_on(uplift_runner::watch::prepare(&store.engine))?;
    let app = crate::serve::router(store.engine.clone());
    let server = runtime.spawn(axum::serve(listener, app).into_future());
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let loops = runtime.block_on(async { crate::serve::spawn_loops(&store.engine, &stopped) });
    let load = Load { requests: plan.requests, rate: plan.rate, connections: plan.connections, now: found.now };
    let asked = asking::ask(&address, &found, load);
    // An error means that the loops have ended already.
    let _ = stop.send(true);
    drop(loops);
    server.abort();
    runtime.block_on(store.close());
    runtime.shutdown_timeout(Duration::from_secs(5));
    let asked = asked?;
    let passed = asked.iter().all(|page| page.p99_ms < plan.bar_ms);
    tell(plan, &found, &asked, passed)?;
    Ok(passed)
}

fn tell(plan: &Plan, found: &fleet::Found, asked: &[Asked], passed: bool) -> anyhow::Result<()> {
    if plan.json {
        return print_json(&json!({
            "tasks": found.tasks, "improvements": found.improvements, "entities": found.entities,
            "database_bytes": found.bytes, "requests_per_second": plan.rate, "connections": plan.connections,
            "events_per_second": asking::EVENTS_PER_SECOND, "bar_ms": plan.bar_ms, "passed": passed, "pages": asked,
        }));
    }
    print(&format!(
        "{} tasks, {} improvements, {} entities, {} on disk; {} pages and {} events a second\n\n",
        count(found.tasks),
        count(found.improvements),
        count(found.entities),
        bytes(found.bytes),
        plan.rate,
        asking::EVENTS_PER_SECOND,
    ))?;
    let ms = |value: f64| format!("{value:.1} ms");
    let mut table = Table::new([
        Column::text("PAGE", 48),
        Column::number("REQUESTS"),
        Column::number("SIZE"),
        Column::number("P50"),
        Column::number("P99"),
        Column::number("MOST"),
        Column::text("", 10),
    ]);
    for page in asked {
        let bar = if page.p99_ms < plan.bar_ms { "" } else { "too slow" };
        table.row([
            page.page.to_owned(),
            count(page.requests as i64),
            bytes(page.bytes),
            ms(page.p50_ms),
            ms(page.p99_ms),
            ms(page.most_ms),
            bar.to_owned(),
        ]);
    }
    print(&table.render(Style::of_stdout()))?;
    print(&format!(
        "\nEvery page stays below {} ms at the 99th percentile: {}\n",
        plan.bar_ms,
        if passed { "yes" } else { "no" }
    ))
}
