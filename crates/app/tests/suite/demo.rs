//! The demo: every planted flaw is found, in a database that can be looked at afterwards.

use crate::support::{folder, run};

#[test]
fn every_planted_flaw_is_found() {
    let folder = folder();
    let database = folder.path().join("demo.db");
    let place = database.to_str().unwrap();
    let outcome = run(["demo", "--json", "--database", place]).exits(0).json();
    let planted = outcome["planted"].as_array().unwrap();
    assert!(!planted.is_empty());
    assert!(planted.iter().all(|flaw| flaw["found"] == true), "{outcome:#}");
    assert!(outcome["healthy"].as_array().unwrap().iter().all(|agent| agent["opportunities"] == 0), "{outcome:#}");
    let listed = run(["opportunities", "--json", "--limit", "1000", "--database", place]).exits(0).json();
    assert!(listed["items"].as_array().unwrap().len() >= planted.len());
    let again = run(["demo", "--database", place]).exits(1);
    assert!(again.err.contains("exists already"), "{}", again.err);
}

#[test]
fn the_report_is_short_and_leads_on() {
    let ran = run(["demo", "--seed", "7"]).exits(0);
    assert!(ran.out.lines().count() < 60, "{}", ran.out);
    assert!(ran.out.contains("uplift serve --database") && !ran.out.contains('\u{1b}'), "{}", ran.out);
    let database = ran.out.split("uplift serve --database ").nth(1).unwrap().trim();
    run(["status", "--database", database]).exits(0);
    std::fs::remove_dir_all(std::path::Path::new(database).parent().unwrap()).unwrap();
}
