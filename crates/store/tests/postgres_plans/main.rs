//! What runs often finds its rows by indexes on PostgreSQL: no such operation reads a large table from end to end, nor
//! most of an index. Passed over, with a line that says so, where no PostgreSQL server is named.
#![allow(clippy::unwrap_used, reason = "these are tests")]

mod filling;
mod meter;
mod reads;
mod writes;

use std::collections::BTreeSet;

use uplift_model::trial::AssignmentUnit;
use uplift_store::suite::sample::hour;
use uplift_store::suite::scratch;
use uplift_store::{SqlStore, TrialReads};

use self::filling::World;
use self::meter::{Counts, Meter, between};
use self::reads::{READS, WHOLE};
use self::writes::WRITES;

/// How often an operation runs on one connection: after five times the server may settle for a plan that does not look at
/// the parameters.
const TIMES: i64 = 7;
/// Most entries of the indexes of a table that one run of an operation reads.
const ENTRIES: i64 = 6_000;

/// Tables that a filled database has to have many rows in.
const TABLES: &[&str] = &[
    "attribute_sets",
    "attribute_uses",
    "bodies",
    "entities",
    "entity_defaults",
    "entity_revisions",
    "error_groups",
    "event_inbox",
    "event_inbox_rejected",
    "event_rows",
    "improvement_alerts",
    "improvement_history",
    "improvements",
    "late_traces",
    "names",
    "optimization_opportunities",
    "outbox",
    "plain_spans",
    "process_instances",
    "process_steps",
    "pruned_traces",
    "reviews",
    "revisions",
    "rollup_errors",
    "rollup_ops",
    "task_links",
    "task_rows",
    "traces",
    "trial_looks",
    "trial_units",
    "trials",
];

/// What an operation read too much of. Who asks whether a table has any row begins to read it, and is done with the first.
fn excess(counts: &Counts, may_scan: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for (table, count) in counts {
        // From end to end, or along an index in the order that is asked for.
        if may_scan.contains(&table.as_str()) {
            continue;
        }
        if count.rows > count.scans {
            found.push(format!("{table} {} times from end to end, {} rows", count.scans, count.rows));
        } else if count.entries > ENTRIES * TIMES {
            found.push(format!("{} entries of the indexes of {table} a time", count.entries / TIMES));
        }
    }
    found
}

async fn measured(meter: &Meter, before: &mut Counts) -> Counts {
    meter.settle().await;
    let after = meter.read().await;
    let counts = between(before, &after);
    *before = after;
    counts
}

async fn judge(meter: &Meter, world: &World) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut before = meter.read().await;
    for (name, read, may_scan) in READS {
        let store = SqlStore::connect(meter.address()).await.unwrap();
        for _ in 0..TIMES {
            match read(&store, world).await {
                Ok(0) => wrong.push(format!("{name} finds nothing")),
                Ok(_) => {}
                Err(error) => wrong.push(format!("{name}: {error}")),
            }
        }
        store.close().await;
        drop(store);
        let excess = excess(&measured(meter, &mut before).await, may_scan);
        wrong.extend(excess.into_iter().map(|excess| format!("{name} reads {excess}")));
    }
    for (name, write, may_scan) in WRITES {
        let store = SqlStore::connect(meter.address()).await.unwrap();
        for round in 0..TIMES as usize {
            if let Err(error) = write(&store, world, round).await {
                wrong.push(format!("{name}: {error}"));
            }
        }
        store.close().await;
        drop(store);
        let excess = excess(&measured(meter, &mut before).await, may_scan);
        wrong.extend(excess.into_iter().map(|excess| format!("{name} reads {excess}")));
    }
    wrong
}

/// The way back into the past is read a thousand traces at a time: the units around the end of the first thousand.
async fn lost_between_pages(address: &str, world: &World) -> Option<String> {
    let (since, until) = (hour(905), hour(925));
    let store = SqlStore::connect(address).await.unwrap();
    let found = store.past_units(world.agents[3], AssignmentUnit::Task, since, until, 10_000).await.unwrap();
    store.close().await;
    let found: BTreeSet<String> = found.into_iter().map(|unit| unit.unit).collect();
    let expected: BTreeSet<String> = filling::tasks_of_the_fourth(since, until).collect();
    assert!(expected.len() > 100, "{}", expected.len());
    (found != expected).then(|| format!("of {} past units {} were found", expected.len(), found.len()))
}

#[tokio::test]
async fn what_runs_often_uses_indexes() {
    let Some(scratch) = scratch::make().await else { return };
    let world = filling::fill(&scratch).await;
    let meter = Meter::of(&scratch).await;
    let large: BTreeSet<String> = meter.read().await.into_keys().collect();
    let small: Vec<_> = TABLES.iter().filter(|table| !large.contains(**table)).collect();
    assert!(small.is_empty(), "these have few rows: {small:?}");
    let mut wrong = judge(&meter, &world).await;
    wrong.extend(lost_between_pages(&scratch.address(), &world).await);
    wrong.dedup();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The names of functions of traits in a source.
fn functions(source: &str) -> BTreeSet<&str> {
    let after = source.split("async fn ").skip(1);
    after.map(|text| text.split(|of: char| !of.is_alphanumeric() && of != '_').next().unwrap_or_default()).collect()
}

/// The names of the variants of an enum in a source.
fn variants<'s>(source: &'s str, name: &str) -> BTreeSet<&'s str> {
    let body = source.split(&format!("pub enum {name} {{\n")).nth(1).unwrap_or_default();
    let body = body.split("\n}").next().unwrap_or_default();
    let lines = body.lines().filter_map(|line| line.strip_prefix("    "));
    lines
        .filter(|line| line.starts_with(|first: char| first.is_ascii_uppercase()))
        .map(|line| line.split(|of: char| !of.is_alphanumeric()).next().unwrap_or_default())
        .collect()
}

/// The first word of a name.
fn first(name: &str) -> &str {
    name.split([' ', ',']).next().unwrap_or_default()
}

/// Nothing of the facade is left out: who adds to it says here how it is asked, or why it may read everything.
#[test]
fn everything_is_judged() {
    let sources = [
        include_str!("../../src/reads.rs"),
        include_str!("../../src/reads/attention.rs"),
        include_str!("../../src/reads/detection.rs"),
        include_str!("../../src/reads/requests.rs"),
    ];
    let all: BTreeSet<&str> = sources.into_iter().flat_map(functions).collect();
    let mut judged: BTreeSet<&str> = READS.iter().map(|(name, ..)| first(name)).collect();
    judged.extend(WHOLE.iter().map(|(name, _)| *name));
    assert_eq!(all, judged, "reads of the facade, and those that are judged");
    let source = include_str!("../../src/writes.rs");
    let mut all = variants(source, "Write");
    assert!(all.len() > 30, "{all:?}");
    all.extend(functions(source));
    let judged: BTreeSet<&str> = WRITES.iter().map(|(name, ..)| first(name)).collect();
    let all: BTreeSet<&str> = all.into_iter().filter(|name| *name != "commit_step").collect();
    assert_eq!(all, judged, "writes of the facade, and those that are judged");
}
