//! Recorded runs of real agents, where they are there: known sums come out, and what stands out is found.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::{folder, number, read, recorded, run};

/// The moment of events that have none.
const AT: &str = "2026-01-05T12:00:00Z";

fn import(set: &Path, database: &Path) -> Value {
    let arguments = [
        Path::new("import"),
        set,
        Path::new("--at"),
        Path::new(AT),
        Path::new("--json"),
        Path::new("--database"),
        database,
    ];
    run(arguments).exits(0).json()
}

fn opportunities(database: &Path, kind: &str) -> Vec<Value> {
    let place = database.to_str().unwrap();
    let list =
        run(["opportunities", "--json", "--limit", "1000", "--kind", kind, "--database", place]).exits(0).json();
    list["items"].as_array().unwrap().clone()
}

#[test]
fn tau2_has_its_sums_and_twice_is_once() {
    let Some(set) = recorded("tau2") else { return };
    let folder = folder();
    let database = folder.path().join("fleet.db");
    let first = import(&set, &database);
    assert_eq!((&first["accepted"], &first["refused"]), (&json!(10_652), &json!(0)));
    let counts = &first["counts"];
    assert_eq!(
        (&counts["tasks"], &counts["tasks_succeeded"], &counts["tasks_failed"], &counts["events"]),
        (&json!(465), &json!(275), &json!(190), &json!(10_652))
    );
    let second = import(&set, &database);
    assert_eq!((&second["accepted"], &second["already_known"]), (&json!(0), &json!(10_652)));
    assert_eq!(number(&read(&database), "SELECT count(*) FROM events"), 10_652);
    assert_eq!(&second["counts"]["tasks"], &counts["tasks"]);
}

#[test]
fn mini_swe_has_one_recurring_format_error() {
    let Some(set) = recorded("mini_swe") else { return };
    let folder = folder();
    let database = folder.path().join("fleet.db");
    import(&set, &database);
    let found: Vec<Value> = opportunities(&database, "recurring_error")
        .into_iter()
        .filter(|found| found["evidence"]["labels"]["error_type"] == "FormatError")
        .collect();
    assert_eq!(found.len(), 1, "{found:#?}");
    let of_it = format!("SELECT occurrences FROM optimization_opportunities WHERE id = {}", found[0]["id"]);
    assert_eq!(number(&read(&database), &of_it), 873, "{:#}", found[0]);
}

#[test]
fn the_injected_outage_of_tau_bench_stands_out() {
    let Some(set) = recorded("tau_bench") else { return };
    let folder = folder();
    let database = folder.path().join("fleet.db");
    import(&set, &database);
    let found = opportunities(&database, "recurring_error");
    let outage = found.iter().find(|found| {
        let template = found["evidence"]["labels"]["template"].as_str().unwrap_or_default();
        template.contains("503") || template.to_lowercase().contains("service unavailable")
    });
    let outage = outage.unwrap_or_else(|| panic!("{found:#?}"));
    assert_eq!(outage["evidence"]["count"], 123, "{outage:#}");
}
