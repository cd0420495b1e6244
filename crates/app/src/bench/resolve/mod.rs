//! Measures resolving: in process, where it is a look into memory, and over HTTP on loopback.

mod fleet;
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
    if plan.json {
        return print_json(&json!({
            "in_process": near.iter().map(|(entities, trials, ns)| json!({
                "entities": entities, "trials": trials, "ns": ns
            })).collect::<Vec<_>>(),
            "http": far.iter().map(|(entities, trials, measured)| json!({
                "entities": entities, "trials": trials, "connections": plan.connections,
                "requests": measured.requests, "requests_per_second": measured.rate,
                "p50_us": measured.p50_us, "p99_us": measured.p99_us
            })).collect::<Vec<_>>(),
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
    ))
}
