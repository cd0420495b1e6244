//! `uplift status`: how the fleet and its improvement are doing.

use std::process::ExitCode;

use serde_json::Value;

use super::show::{ask, counted, facts, items, number, numeric, raw, text, time, whole};
use crate::api::{self, Endpoint};
use crate::text::{Style, count, percent, plural, put};

/// Arguments.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    look: api::Args,
}

/// Shows health and counts.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    ask(&args.look, &Endpoint::new(["api", "improvements", "status"]), show)
}

fn show(status: &Value, style: Style) -> String {
    let health = &status["health"];
    let word = text(health, "status").replace('_', " ");
    let title = format!("Health: {word}, {} of 100", numeric(health, "score", |score| format!("{score:.0}")));
    let mut shown = format!("{}\n", style.bold(&title));
    for factor in items(health, "factors") {
        let lost = number(factor, "points_lost").unwrap_or(0.0);
        let remedy = match raw(factor, "remedy") {
            Some(remedy) if lost > 0.0 && !remedy.is_empty() => format!("; it takes {}", text(factor, "remedy")),
            _ => String::new(),
        };
        put!(&mut shown, "  {:+6.1}  {}{remedy}\n", 0.0 - lost, text(factor, "explanation"));
    }
    let (counts, metrics) = (&status["counts"], &status["system"]["metrics"]);
    let ended = whole(counts, "tasks_succeeded") + whole(counts, "tasks_failed");
    shown.push('\n');
    shown.push_str(&facts([
        (
            "fleet",
            format!(
                "{}, {}",
                plural(whole(counts, "agents"), "agent", "agents"),
                plural(whole(counts, "tools"), "tool", "tools")
            ),
        ),
        (
            "tasks",
            format!(
                "{}: {} succeeded, {} failed, {} without an outcome",
                counted(counts, "tasks"),
                counted(counts, "tasks_succeeded"),
                counted(counts, "tasks_failed"),
                count(whole(counts, "tasks") - ended)
            ),
        ),
        (
            "events",
            format!(
                "{}, {}",
                counted(counts, "events"),
                plural(whole(counts, "error_groups"), "group of errors", "groups of errors")
            ),
        ),
        (
            "opportunities",
            format!(
                "{} pending, {} in progress",
                counted(counts, "opportunities_pending"),
                counted(counts, "opportunities_in_progress")
            ),
        ),
        ("alerts", counted(status, "active_alerts")),
        (
            "improvements",
            format!(
                "{} under way; {} decided: {} kept, {} rolled back, {} inconclusive",
                counted(counts, "improvements_active"),
                counted(metrics, "decided"),
                counted(metrics, "kept"),
                counted(metrics, "rolled_back"),
                counted(metrics, "inconclusive")
            ),
        ),
        ("helped", helped(&status["claims"])),
        ("rollback rate", numeric(metrics, "rollback_rate", percent)),
        ("mode", mode(status)),
        ("database", database(&status["storage"])),
        ("retention", retention(&status["storage"])),
    ]));
    shown
}

/// What may be claimed of what was kept.
fn helped(claims: &Value) -> String {
    match (whole(claims, "helped"), whole(claims, "possible")) {
        (_, 0) => "nothing was kept yet of which that could be said".to_owned(),
        (helped, possible) => format!(
            "may be said of {} of {} kept, with at most {} of such sayings expected to be false",
            count(helped),
            count(possible),
            numeric(claims, "false_claims", percent)
        ),
    }
}

fn mode(status: &Value) -> String {
    let mode = text(status, "mode");
    if status["paused"].as_bool() == Some(true) {
        format!("{mode}, paused: no trial starts until `uplift resume`")
    } else {
        mode
    }
}

fn database(storage: &Value) -> String {
    let size = |field: &str| size(whole(storage, field));
    let mut shown = format!("{}, {} in use, log {}", size("file_bytes"), size("used_bytes"), size("wal_bytes"));
    if raw(storage, "full_since").is_some() {
        put!(&mut shown, "; no room to write since {}", time(storage, "full_since"));
    }
    shown
}

fn retention(storage: &Value) -> String {
    let kept = match raw(storage, "events_since") {
        Some(_) => format!("raw events that arrived from {} on", time(storage, "events_since")),
        None => "no raw events".to_owned(),
    };
    let gone = (whole(storage, "events_deleted"), whole(storage, "tasks_deleted"));
    if gone == (0, 0) {
        return format!("{kept}; nothing deleted so far");
    }
    format!(
        "{kept}; deleted {} and {}, last at {}",
        plural(gone.0, "raw event", "raw events"),
        plural(gone.1, "task", "tasks"),
        time(storage, "last_deleted_at")
    )
}

/// Bytes for people.
fn size(bytes: i64) -> String {
    let mib = bytes as f64 / f64::from(1 << 20);
    if mib >= 1_024.0 { format!("{:.1} GiB", mib / 1_024.0) } else { format!("{mib:.1} MiB") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_main_numbers_are_shown() {
        let status = json!({
            "mode": "auto", "paused": true, "active_alerts": 1,
            "health": {"status": "needs_attention", "score": 85.0, "factors": [
                {"name": "alerts", "value": 1.0, "points_lost": 15.0,
                    "explanation": "1 kind of alert holds", "remedy": "room on the disk"}]},
            "counts": {"events": 10652, "tasks": 465, "tasks_succeeded": 275, "tasks_failed": 190, "agents": 1, "tools": 15,
                "error_groups": 3, "opportunities_pending": 2, "opportunities_in_progress": 0, "improvements_active": 0},
            "system": {"metrics": {"decided": 0, "rollback_rate": null}},
            "claims": {"helped": 3, "possible": 7, "false_claims": 0.1},
            "storage": {"file_bytes": 1_610_612_736_i64, "used_bytes": 1_048_576, "wal_bytes": 0,
                "events_since": "2026-01-05T10:00:00Z", "events_deleted": 1_234, "tasks_deleted": 1,
                "last_deleted_at": "2026-02-05T10:00:00Z", "full_since": "2026-02-06T10:00:00Z"}
        });
        let text = show(&status, Style { width: 100, colour: false });
        for part in [
            "needs attention, 85 of 100",
            " -15.0  1 kind of alert holds; it takes room on the disk",
            "465: 275 succeeded, 190 failed, 0 without",
            "1 agent, 15 tools",
            "auto, paused",
            "may be said of 3 of 7 kept, with at most 10%",
            "1.5 GiB, 1.0 MiB in use, log 0.0 MiB; no room to write since 2026-02-06 10:00:00",
            "from 2026-01-05 10:00:00 on; deleted 1,234 raw events and 1 task, last at 2026-02-05 10:00:00",
        ] {
            assert!(text.contains(part), "{part} is not in:\n{text}");
        }
    }
}
