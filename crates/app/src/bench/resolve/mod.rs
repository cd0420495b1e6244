//! Measures resolving: in process, where it is a look into memory, and over HTTP on loopback, with tokens on.

mod asking;
mod fleet;
mod guarded;
mod http;
mod process;

use std::time::Duration;

use serde_json::json;

use crate::text::{Column, Style, Table, count, print, print_json};

/// Entities of the fleets that are measured.
const FLEETS: [usize; 3] = [10, 1_000, 100_000];
/// Running trials, at most one an entity.
const TRIALS: [usize; 2] = [1, 10_000];

/// What to measure.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// How long each measurement takes.
    pub(crate) each: Duration,
    /// Connections that ask at the same time.
    pub(crate) connections: usize,
    /// Whether to print JSON instead of tables.
    pub(crate) json: bool,
}

/// Runs the measurements and prints them.
pub(crate) fn run(plan: Plan) -> anyhow::Result<()> {
    let (mut near, mut far) = (Vec::new(), Vec::new());
    for entities in FLEETS {
        for trials in TRIALS {
            if trials == TRIALS[0] || trials.min(entities) > TRIALS[0] {
                let fleet = fleet::Fleet::new(entities, trials.min(entities));
                near.push((entities, trials.min(entities), process::measure(&fleet, plan.each)));
            }
        }
        let trials = TRIALS[1].min(entities);
        let fleet = fleet::Fleet::new(entities, trials);
        far.push((entities, trials, http::measure(&fleet, plan.connections, plan.each)?));
    }
    let fleet = fleet::Fleet::new(guarded::AGENTS, guarded::TRIALS);
    let guarded = guarded::measure(&fleet, plan.connections, plan.each)?;
    if plan.json {
        let taken = |taken: &asking::Taken| {
            json!({
                "requests": taken.requests, "requests_per_second": taken.rate, "p50_us": taken.p50_us,
                "p99_us": taken.p99_us
            })
        };
        return print_json(&json!({
            "in_process": near.iter().map(|(entities, trials, ns)| json!({
                "entities": entities, "trials": trials, "ns": ns
            })).collect::<Vec<_>>(),
            "http": far.iter().map(|(entities, trials, measured)| json!({
                "entities": entities, "trials": trials, "connections": plan.connections,
                "requests": measured.requests, "requests_per_second": measured.rate,
                "p50_us": measured.p50_us, "p99_us": measured.p99_us
            })).collect::<Vec<_>>(),
            "with_tokens": {
                "agents": guarded::AGENTS, "trials": guarded::TRIALS, "connections": plan.connections,
                "bare_handler": taken(&guarded.bare), "as_fast_as_it_goes": taken(&guarded.full),
                "steady": taken(&guarded.steady), "beside_intake": taken(&guarded.beside),
                "events_per_second": guarded.intake, "events_per_second_beside": guarded.beside_intake
            },
        }));
    }
    let mut table =
        Table::new([Column::number("entities"), Column::number("trials"), Column::number("ns a resolve")]);
    for (entities, trials, ns) in near {
        table.row([count(entities as i64), count(trials as i64), format!("{ns:.0}")]);
    }
    print(&format!("In process, one thread, by name and unit:\n{}\n", table.render(Style::of_stdout())))?;
    let mut table = Table::new([
        Column::number("entities"),
        Column::number("trials"),
        Column::number("requests/s"),
        Column::number("p50 us"),
        Column::number("p99 us"),
    ]);
    for (entities, trials, measured) in far {
        table.row([
            count(entities as i64),
            count(trials as i64),
            count(measured.rate as i64),
            format!("{:.0}", measured.p50_us),
            format!("{:.0}", measured.p99_us),
        ]);
    }
    print(&format!(
        "Over HTTP on loopback, {} connections kept alive, the generator on the same cores:\n{}",
        plan.connections,
        table.render(Style::of_stdout())
    ))?;
    print_guarded(&guarded, plan.connections)
}

/// The table of what a fleet with tokens gets.
fn print_guarded(measured: &guarded::Measured, connections: usize) -> anyhow::Result<()> {
    let mut table = Table::new([
        Column::text("what", 60),
        Column::number("requests/s"),
        Column::number("p50 us"),
        Column::number("p99 us"),
        Column::number("of bare"),
    ]);
    let beside = format!("10,000 a second, beside {} events/s", count(measured.beside_intake as i64));
    for (what, taken) in [
        ("a bare handler", &measured.bare),
        ("resolve, as fast as it goes", &measured.full),
        ("resolve, 10,000 a second", &measured.steady),
        (&beside, &measured.beside),
    ] {
        table.row([
            what.to_owned(),
            count(taken.rate as i64),
            format!("{:.0}", taken.p50_us),
            format!("{:.0}", taken.p99_us),
            format!("{:.2}", taken.rate / measured.bare.rate.max(1.0)),
        ]);
    }
    print(&format!(
        "\nWith tokens on, {} agents each by its own, {} running trials, {connections} connections (events alone: {}/s):\n{}",
        guarded::AGENTS,
        guarded::TRIALS,
        count(measured.intake as i64),
        table.render(Style::of_stdout())
    ))
}
