//! Finds the place, reads, edits, tests. Planted: the same file is read again and again; tasks that fail
//! burn several times the tokens of the others.

use serde_json::{Value, json};

use crate::sample::log::TaskLog;

/// How often a task reads its file over and over.
const REPEATS: f64 = 0.6;
const FAILURE: f64 = 0.2;

pub(in crate::sample) fn play(log: &mut TaskLog<'_>) {
    // Decided first: the thinking on the way depends on it, the tool calls do not.
    let fails = log.dice.chance(FAILURE);
    log.context("coding_rules", 0.7);
    log.context("repository_map", 0.5);
    think(log, 1_600.0, fails);
    let symbol = log.dice.between(1, 5_000);
    log.tool("search_code", 220.0, &json!({ "symbol": format!("item_{symbol}") }), "{\"matches\":4}");
    think(log, 2_000.0, fails);
    read(log);
    think(log, 2_800.0, fails);
    for _ in 0..log.dice.between(1, 2) {
        let line = log.dice.between(1, 900);
        log.tool("edit_file", 60.0, &json!({ "line": line }), "{\"changed\":true}");
        think(log, 3_000.0, fails);
    }
    let filter = log.dice.between(1, 5_000);
    log.tool("run_tests", 9_000.0, &json!({ "filter": format!("case_{filter}") }), "{\"passed\":31}");
    think(log, 3_200.0, fails);
    log.finish_as(fails);
}

/// Planted: a task that will fail thinks three times over, with ever more to reread.
fn think(log: &mut TaskLog<'_>, tokens_in: f64, fails: bool) {
    log.llm(tokens_in);
    if fails {
        log.llm(tokens_in * 1.8);
        log.llm(tokens_in * 2.6);
    }
}

/// Planted: identical reads within a task.
fn read(log: &mut TaskLog<'_>) {
    let arguments = json!({ "path": format!("src/module_{}.rs", log.dice.between(1, 400)) });
    let times = if log.dice.chance(REPEATS) { log.dice.between(4, 6) } else { 1 };
    for _ in 0..times {
        read_once(log, &arguments);
    }
}

fn read_once(log: &mut TaskLog<'_>, arguments: &Value) {
    let lines = log.dice.between(40, 900);
    log.tool("read_file", 35.0, arguments, &format!("{{\"lines\":{lines}}}"));
}
