//! `uplift top`: running trials, alerts and health, as they change.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::show::{entity, items, number, numeric, raw, text, whole};
use super::{alerts, block_on};
use crate::api::{self, Api, Endpoint};
use crate::keys::Keys;
use crate::text::{Column, Style, Table, clean, clip, percent, plural, print, print_json, put};
use crate::usage::DONE;

/// Most trials, and most alerts, in a picture.
const MOST: u32 = 50;
/// Shortest and longest time between two pictures, seconds.
const LEAST_SECONDS: f64 = 0.2;
const MOST_SECONDS: f64 = 3_600.0;

/// Arguments.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print one picture and end
    #[arg(long)]
    once: bool,
    /// How long a picture stays, seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0, value_parser = seconds)]
    every: f64,
    #[command(flatten)]
    look: api::Args,
}

fn seconds(text: &str) -> Result<f64, String> {
    let parsed = text.parse().ok().filter(|seconds| (LEAST_SECONDS..=MOST_SECONDS).contains(seconds));
    parsed.ok_or_else(|| format!("`{text}` is no number of seconds from {LEAST_SECONDS} to {MOST_SECONDS}"))
}

/// Shows pictures until somebody ends it; one where there is no terminal, or one is all that is asked for.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let live = !args.once && !args.look.json && std::io::stdout().is_terminal();
    block_on(async {
        if !live {
            let picture = gather(&args.look.reading().await?).await?;
            if args.look.json {
                print_json(&picture)?;
            } else {
                print(&frame(&picture, Style::of_stdout(), usize::MAX))?;
            }
            return Ok(ExitCode::from(DONE));
        }
        watch(&args).await
    })
}

/// Draws pictures over each other until somebody has seen enough, and leaves the terminal as it was.
async fn watch(args: &Args) -> anyhow::Result<ExitCode> {
    let api = args.look.reading().await?;
    // From here on every way out leads past the end of this function.
    let mut ends = Ends::new()?;
    let keys = Keys::listen()?;
    let term = console::Term::stdout();
    term.hide_cursor()?;
    let ended = tokio::select! {
        () = ends.wait() => Ok(()),
        () = keys.enough() => Ok(()),
        ended = show(args, &api, &term, &keys) => ended,
    };
    term.show_cursor()?;
    ended.map(|()| ExitCode::from(DONE))
}

/// Draws a picture every now and then, and when a key asks for one.
async fn show(args: &Args, api: &Api, term: &console::Term, keys: &Keys) -> anyhow::Result<()> {
    let mut due = tokio::time::interval(Duration::from_secs_f64(args.every));
    due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut in_trouble = false;
    term.clear_screen()?;
    loop {
        tokio::select! {
            _ = due.tick() => {}
            () = keys.again() => due.reset(),
        }
        let style = Style::of_stdout();
        let rows = usize::from(term.size_checked().map_or(24, |(rows, _)| rows));
        match gather(api).await {
            Ok(picture) => {
                in_trouble = false;
                draw(term, &frame(&picture, style, rows.saturating_sub(1)))?;
            }
            // A server that is started anew is back in a moment: the last picture stays, and says so once.
            Err(error) if !in_trouble => {
                term.write_line(&style.bad(&clip(&clean(&format!("{error:#}")), style.width)))?;
                in_trouble = true;
            }
            Err(_) => {}
        }
    }
}

/// The signals that end it.
struct Ends([Signal; 3]);

impl Ends {
    fn new() -> anyhow::Result<Self> {
        let [interrupt, terminate, hangup] =
            [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal);
        Ok(Self([interrupt?, terminate?, hangup?]))
    }

    async fn wait(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

/// Draws over what is there, line by line, so that nothing flickers. Lines that are too long end at the edge.
fn draw(term: &console::Term, picture: &str) -> std::io::Result<()> {
    let mut out = String::from("\u{1b}[?7l\u{1b}[H");
    for line in picture.lines() {
        out.push_str(line);
        out.push_str("\u{1b}[K\r\n");
    }
    out.push_str("\u{1b}[J\u{1b}[?7h");
    term.write_str(&out)?;
    term.flush()
}

/// What a picture shows: status, the trials that run with what was seen of each, and the alerts that hold.
async fn gather(api: &Api) -> anyhow::Result<Value> {
    let status = api.get(&Endpoint::new(["api", "improvements", "status"])).await?;
    let list = Endpoint::new(["api", "trials"]).with("running", Some(true)).with("limit", Some(MOST));
    let running = api.get(&list).await?;
    let mut trials = Vec::new();
    for trial in items(&running, "items") {
        let path = Endpoint::new(["api", "trials", &whole(trial, "id").to_string()]);
        // One that ended meanwhile is found, too, and says so; what retention took is left out.
        if let Some(found) = api.find(&path).await? {
            trials.push(brief(&found));
        }
    }
    let alerts = Endpoint::new(["api", "improvements", "alerts"]).with("limit", Some(MOST));
    let alerts = api.get(&alerts).await?;
    Ok(json!({
        "now": status["now"], "mode": status["mode"], "paused": status["paused"], "health": status["health"],
        "counts": status["counts"], "trials": trials, "alerts": alerts["items"],
    }))
}

/// A trial, with what was seen of it and nothing else.
fn brief(trial: &Value) -> Value {
    let findings = &trial["verdict"]["findings"];
    let evidence: Vec<Value> = items(findings, "metrics")
        .iter()
        .map(|metric| {
            json!({"name": metric["name"], "effect": metric["effect"], "control": metric["control"],
                "candidate": metric["candidate"]})
        })
        .collect();
    let mut brief = json!({
        "effectiveness": findings["effectiveness"], "metrics": evidence,
        "units_needed": trial["verdict"]["units_needed"],
    });
    for field in [
        "id",
        "improvement_id",
        "entity_type",
        "entity_name",
        "environment",
        "kind",
        "comparison",
        "unit",
        "share",
        "units",
        "matured",
        "started_at",
        "horizon_at",
        "last_horizon_at",
        "looked_at",
        "decision",
        "decision_text",
    ] {
        brief[field] = trial[field].clone();
    }
    brief
}

/// The picture, at most `rows` lines.
fn frame(picture: &Value, style: Style, rows: usize) -> String {
    let health = &picture["health"];
    let word = text(health, "status").replace('_', " ");
    let title = format!("Health: {word}, {} of 100", numeric(health, "score", |score| format!("{score:.0}")));
    let title = match raw(health, "status") {
        Some("needs_attention") => style.bad(&title),
        Some("excellent" | "good") => style.good(&title),
        _ => style.bold(&title),
    };
    let paused = if picture["paused"].as_bool() == Some(true) { ", paused" } else { "" };
    let counts = &picture["counts"];
    let mut shown =
        format!("{title}   mode {}{paused}   {}\n", text(picture, "mode"), super::show::time(picture, "now"));
    put!(
        &mut shown,
        "{}, {}, {} under way\n",
        plural(whole(counts, "agents"), "agent", "agents"),
        plural(whole(counts, "opportunities_pending"), "opportunity pending", "opportunities pending"),
        plural(whole(counts, "improvements_active"), "improvement", "improvements"),
    );
    for factor in items(health, "factors") {
        let lost = number(factor, "points_lost").unwrap_or(0.0);
        if lost > 0.0 {
            put!(&mut shown, "  {:+6.1}  {}\n", 0.0 - lost, text(factor, "explanation"));
        }
    }
    let trials = items(picture, "trials");
    put!(&mut shown, "\n{}\n", style.bold(&format!("Trials: {}", trials.len())));
    if !trials.is_empty() {
        shown.push_str(&trials_table(trials, raw(picture, "now")).render(style));
    }
    let held = items(picture, "alerts");
    put!(&mut shown, "\n{}\n", style.bold(&format!("Alerts: {}", held.len())));
    if !held.is_empty() {
        shown.push_str(&alerts::table(held).render(style));
    }
    let lines: Vec<&str> = shown.lines().collect();
    if lines.len() <= rows {
        return shown;
    }
    let mut cut = lines[..rows.saturating_sub(1)].join("\n");
    put!(&mut cut, "\n{}\n", style.dim(&format!("… and {} more lines", lines.len() + 1 - rows)));
    cut
}

fn trials_table(trials: &[Value], now: Option<&str>) -> Table {
    let mut table = Table::new([
        Column::number("ID"),
        Column::text("WHOM", 24),
        Column::text("KIND", 9),
        Column::number("SHARE"),
        Column::text("UNITS", 24),
        Column::number("LEFT"),
        Column::text("EFFECT", 26),
        Column::text("STANDS", 80),
    ]);
    for trial in trials {
        table.row([
            whole(trial, "id").to_string(),
            entity(trial),
            text(trial, "kind"),
            numeric(trial, "share", percent),
            units(trial),
            left(raw(trial, "horizon_at"), raw(trial, "last_horizon_at"), now),
            effect(trial),
            match raw(trial, "decision") {
                Some(_) => text(trial, "decision_text"),
                None => "no full look yet".to_owned(),
            },
        ]);
    }
    table
}

/// Final units of control and candidate, and how many are needed where that is known.
fn units(trial: &Value) -> String {
    let Some([control, candidate]) = trial["matured"].as_array().map(Vec::as_slice) else { return "-".to_owned() };
    let units = format!("{} + {}", control.as_u64().unwrap_or(0), candidate.as_u64().unwrap_or(0));
    match trial["units_needed"].as_u64() {
        Some(needed) => format!("{units} of {needed}"),
        None => units,
    }
}

/// The effectiveness with its interval; positive is better.
fn effect(trial: &Value) -> String {
    let effect = &trial["effectiveness"];
    let part = |name: &str| number(effect, name).map(|value| format!("{:+.1}%", value * 100.0));
    match (part("estimate"), part("low"), part("high")) {
        (Some(estimate), Some(low), Some(high)) => format!("{estimate} [{low}, {high}]"),
        _ => "-".to_owned(),
    }
}

/// The time until something may be kept, or, after that, until the trial ends at the latest.
fn left(horizon: Option<&str>, last: Option<&str>, now: Option<&str>) -> String {
    let time = |text: Option<&str>| text?.parse::<uplift_model::Time>().ok();
    let (Some(horizon), Some(now)) = (time(horizon), time(now)) else { return "-".to_owned() };
    let until = |end: uplift_model::Time| end.micros_since(now) / 60_000_000;
    let minutes = if until(horizon) > 0 { until(horizon) } else { time(last).map_or(0, until) };
    match minutes {
        ..=0 => "due".to_owned(),
        minutes if minutes < 60 => format!("{minutes}m"),
        minutes if minutes < 48 * 60 => format!("{}h {:02}m", minutes / 60, minutes % 60),
        minutes => format!("{}d {:02}h", minutes / 1_440, minutes % 1_440 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture() -> Value {
        json!({
            "now": "2026-01-05T10:00:00Z", "mode": "auto", "paused": true,
            "health": {"status": "needs_attention", "score": 84.8, "factors": [
                {"name": "recurring_failure", "points_lost": 15.0, "explanation": "an alert holds: recurring_failure"},
                {"name": "rollbacks", "points_lost": 0.0, "explanation": "nothing was decided"}]},
            "counts": {"agents": 3, "opportunities_pending": 1, "improvements_active": 2},
            "trials": [
                {"id": 7, "entity_type": "agent", "entity_name": "researcher", "kind": "trial", "share": 0.5,
                    "matured": [120, 118], "units_needed": 400, "horizon_at": "2026-01-05T11:30:00Z",
                    "last_horizon_at": "2026-01-08T10:00:00Z", "decision": "running", "decision_text": "better so far",
                    "effectiveness": {"estimate": 0.042, "low": -0.01, "high": 0.09}},
                {"id": 8, "entity_type": "agent", "entity_name": "clerk\u{1b}[31m", "kind": "hold_back", "share": 0.95,
                    "matured": null, "horizon_at": "2026-01-05T09:00:00Z", "last_horizon_at": "2026-01-12T10:00:00Z"}],
            "alerts": [{"id": 1, "state": "open", "kind": "recurring_failure", "message": "`clerk` failed 9 times"}],
        })
    }

    #[test]
    fn one_picture_has_trials_alerts_and_health() {
        let shown = frame(&picture(), Style { width: 200, colour: false }, usize::MAX);
        for part in [
            "Health: needs attention, 85 of 100   mode auto, paused",
            " -15.0  an alert holds",
            "Trials: 2",
            "120 + 118 of 400",
            "1h 30m",
            "+4.2% [-1.0%, +9.0%]",
            "better so far",
            "7d 00h",
            "no full look yet",
            "Alerts: 1",
            "`clerk` failed 9 times",
        ] {
            assert!(shown.contains(part), "{part} is not in:\n{shown}");
        }
        assert!(!shown.contains("nothing was decided") && !shown.contains('\u{1b}'), "{shown}");
    }

    #[test]
    fn a_picture_fits_the_terminal() {
        let shown = frame(&picture(), Style { width: 80, colour: false }, 6);
        assert_eq!(shown.lines().count(), 6);
        assert!(shown.lines().last().is_some_and(|line| line.contains("more lines")), "{shown}");
    }

    #[test]
    fn an_empty_picture_is_one_too() {
        let shown = frame(&json!({}), Style { width: 80, colour: false }, usize::MAX);
        assert!(shown.contains("Trials: 0") && shown.contains("Alerts: 0"), "{shown}");
    }

    #[test]
    fn times_between_pictures_are_bounded() {
        for (text, fine) in [("2", true), ("0.2", true), ("0.1", false), ("inf", false), ("NaN", false), ("x", false)]
        {
            assert_eq!(seconds(text).is_ok(), fine, "{text}");
        }
    }
}
