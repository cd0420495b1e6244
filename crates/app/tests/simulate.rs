//! `uplift simulate`: its JSON, and what it refuses.
#![allow(clippy::unwrap_used)]

use std::process::{Command, Output};

use serde_json::Value;

fn simulate(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_uplift")).arg("simulate").args(args).output().unwrap()
}

#[test]
fn json_has_every_promised_number() {
    let args = ["--scenario", "succ-50,aa-sessions", "--tasks", "400", "--replicates", "4", "--seed", "1", "--json"];
    let output = simulate(&args);
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let scenarios = answer["scenarios"].as_array().unwrap();
    assert_eq!(
        scenarios.iter().map(|one| one["name"].as_str().unwrap()).collect::<Vec<_>>(),
        ["succ-50", "aa-sessions"]
    );
    for key in ["p_rollback", "p_keep_proven", "p_keep_supported", "p_inconclusive", "exposed_tasks", "replicates"] {
        assert!(scenarios.iter().all(|one| one[key].is_number()), "{key}");
    }
    assert!(scenarios[0]["median_candidate_tasks"].is_number());
    assert_eq!(simulate(&args).stdout, output.stdout);
}

#[test]
fn bad_usage_is_exit_code_two() {
    for args in [["--scenario", "luck"], ["--share", "1"], ["--replicates", "0"], ["--tasks", "0"]] {
        assert_eq!(simulate(&args).status.code(), Some(2), "{args:?}");
    }
}
