//! Looks at what is to do and who is free, and fills the calendar. Nothing is planted here: whatever is
//! found about it is a false alarm.

use serde_json::json;

use crate::sample::log::TaskLog;

const FAILURE: f64 = 0.04;
/// How often a calendar is locked; the second try works.
const LOCKED: f64 = 0.005;

pub(in crate::sample) fn play(log: &mut TaskLog<'_>) {
    log.context("team_calendar", 0.8);
    log.context("planning_guide", 0.5);
    log.llm(800.0);
    if log.class() == "roadmap" {
        let quarter = log.dice.between(1, 400);
        log.tool("list_tasks", 180.0, &json!({ "milestone": quarter }), "{\"tasks\":17}");
        log.llm(1_200.0);
    }
    let week = log.dice.between(1, 2_000);
    log.tool("read_calendar", 110.0, &json!({ "week": week }), "{\"entries\":23}");
    log.llm(1_000.0);
    for _ in 0..log.dice.between(1, 2) {
        let (person, slot) = (log.dice.between(1, 3_000), log.dice.between(1, 300));
        log.tool("check_availability", 150.0, &json!({ "person": person, "slot": slot }), "{\"free\":true}");
    }
    log.llm(1_100.0);
    create_event(log);
    log.finish(FAILURE);
}

fn create_event(log: &mut TaskLog<'_>) {
    let mut slot = log.dice.between(1, 90_000);
    if log.dice.chance(LOCKED) {
        let holder = log.dice.between(1, 3_000);
        let error = ("Conflict", format!("calendar is locked by person {holder}"));
        log.tool_error("create_event", 200.0, &json!({ "slot": slot }), error);
        slot += 1;
    }
    log.tool("create_event", 200.0, &json!({ "slot": slot }), "{\"created\":true}");
}
