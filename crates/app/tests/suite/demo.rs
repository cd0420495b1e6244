//! The demo: nothing is decided wrongly, in a database that can be looked at afterwards.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::{folder, run};

fn list<'a>(outcome: &'a Value, name: &str) -> &'a Vec<Value> {
    outcome[name].as_array().unwrap_or_else(|| panic!("{name} in {outcome:#}"))
}

#[test]
fn flaws_are_mended_harm_is_taken_back_and_nothing_is_wrong() {
    let folder = folder();
    let database = folder.path().join("demo.db");
    let place = database.to_str().unwrap();
    let ran = run(["demo", "--seed", "1", "--speed", "max", "--headless", "--json", "--database", place]);
    let outcome = ran.exits(0).json();
    assert_eq!(outcome["wrong"], serde_json::json!([]), "{outcome:#}");
    assert!(outcome["fixed"].as_u64().unwrap() >= 5, "{outcome:#}");
    let planted = list(&outcome, "planted");
    let of_kind = |kind: &str| planted.iter().filter(|planted| planted["kind"] == kind).count();
    assert!(of_kind("flaw") >= 6 && of_kind("harm") >= 4);
    for planted in planted {
        let (truth, bad) = if planted["kind"] == "flaw" { ("helpful", "rolled_back") } else { ("harmful", "kept") };
        assert!(planted["truth"] == truth && planted["outcome"] != bad, "{planted:#}");
    }
    assert!(!list(&outcome, "rolled_back").is_empty() && outcome["tasks"].as_i64() > Some(1_000));

    // What the JSON says is on record.
    let listed = run(["improvements", "--json", "--limit", "1000", "--database", place]).exits(0).json();
    let known: BTreeSet<i64> = list(&listed, "items").iter().filter_map(|item| item["id"].as_i64()).collect();
    for name in ["kept", "rolled_back", "undecided"] {
        assert!(list(&outcome, name).iter().all(|ended| known.contains(&ended["improvement"].as_i64().unwrap())));
    }
    let again = run(["demo", "--database", place]).exits(1);
    assert!(again.err.contains("exists already"), "{}", again.err);
}

#[test]
fn the_history_alone_shows_every_flaw_and_leads_on() {
    let ran = run(["demo", "--seed", "7", "--hours", "0", "--speed", "max"]).exits(0);
    assert!(ran.out.lines().count() < 60, "{}", ran.out);
    assert!(ran.out.contains("uplift serve --database") && !ran.out.contains('\u{1b}'), "{}", ran.out);
    assert!(ran.out.contains("Tests take 24 hours"), "the policy is said aloud: {}", ran.out);
    for agent in ["refunds", "analyst", "researcher", "onboarding", "reporter", "book_courier"] {
        assert!(ran.out.lines().any(|line| line.contains("found") && line.contains(agent)), "{agent}: {}", ran.out);
    }
    let database = ran.out.split("uplift serve --database ").nth(1).unwrap().trim();
    run(["status", "--database", database]).exits(0);
    std::fs::remove_dir_all(std::path::Path::new(database).parent().unwrap()).unwrap();
}

#[test]
fn what_cannot_be_played_is_refused() {
    for wrong in [["--speed", "0"], ["--speed", "fast"], ["--hours", "-1"], ["--hours", "1e9"]] {
        run(["demo", wrong[0], wrong[1]]).exits(2);
    }
}
