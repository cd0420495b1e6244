//! `uplift events`: what agents reported.

use std::process::ExitCode;

use serde_json::Value;
use uplift_model::{EventKind, Outcome, Time};

use super::show::{self, EntityArgument, ask, entity, facts, items, numeric, raw, text, time};
use crate::api::{self, Endpoint};
use crate::text::{Column, Style, Table, count, duration_ms, put};
use crate::usage::Misuse;

/// Arguments.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    look: api::Args,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// List them, the latest trace first (also without a word)
    List {
        #[command(flatten)]
        filter: Filter,
    },
    /// Show one whole
    Show {
        /// Its trace: the trace id, else the task id
        trace: String,
        /// Its id
        id: String,
    },
}

#[derive(Debug, Clone, Default, PartialEq, clap::Args)]
struct Filter {
    /// Only of this task or trace
    #[arg(long, value_name = "ID")]
    task: Option<String>,
    /// Only of this entity, such as agent/support
    #[arg(long, value_name = "TYPE/NAME")]
    entity: Option<EntityArgument>,
    #[arg(long = "type", value_name = "TYPE", help = "Only of this type, such as TOOL_EXECUTED")]
    event_type: Option<EventKind>,
    /// Only with this outcome: SUCCESS, FAILURE, ERROR
    #[arg(long)]
    outcome: Option<Outcome>,
    /// Only of this tool
    #[arg(long)]
    tool: Option<String>,
    /// Only errors of this group
    #[arg(long)]
    fingerprint: Option<String>,
    /// Only at or after this time, such as 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME")]
    since: Option<Time>,
    /// Only before this time
    #[arg(long, value_name = "TIME")]
    until: Option<Time>,
    /// Most to list
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    limit: Option<u32>,
}

/// Lists or shows.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let Args { action, filter, look } = args;
    match action {
        None => list(&look, filter),
        Some(_) if filter != Filter::default() => Err(Misuse::error("filters go behind `list`, and only there")),
        Some(Action::List { filter }) => list(&look, filter),
        Some(Action::Show { trace, id }) => {
            let path = Endpoint::new(["api", "events", "lookup"]).with("trace_key", Some(trace)).with("id", Some(id));
            ask(&look, &path, detail)
        }
    }
}

fn list(look: &api::Args, filter: Filter) -> anyhow::Result<ExitCode> {
    let path = Endpoint::new(["api", "events"])
        .with("task_id", filter.task)
        .with("entity_type", filter.entity.as_ref().map(|entity| &entity.entity_type))
        .with("entity", filter.entity.as_ref().map(|entity| &entity.entity))
        .with("event_type", filter.event_type.map(EventKind::as_str))
        .with("outcome", filter.outcome.map(Outcome::as_str))
        .with("tool", filter.tool)
        .with("fingerprint", filter.fingerprint)
        .with("since", filter.since)
        .with("until", filter.until)
        .with("limit", filter.limit);
    ask(look, &path, |answer, style| {
        show::page(answer, style, &table(items(answer, "items")), "No events were found.")
    })
}

/// Events of any tasks.
fn table(events: &[Value]) -> Table {
    let mut table = Table::new([
        Column::text("TIME", 19),
        Column::text("TYPE", 14),
        Column::text("WHOM", 28),
        Column::text("TOOL", 24),
        Column::text("OUTCOME", 7),
        Column::number("TOOK"),
        Column::text("TASK", 32),
        Column::text("WHAT", 200),
    ]);
    for event in events {
        table.row([
            time(event, "ts"),
            text(event, "event_type"),
            entity(event),
            text(event, "tool"),
            text(event, "outcome"),
            numeric(event, "duration_ms", duration_ms),
            text(event, "task_id"),
            what(event),
        ]);
    }
    table
}

/// Events of one task: whose they are is known.
pub(super) fn table_of_task(events: &[Value]) -> Table {
    let mut table = Table::new([
        Column::text("TIME", 19),
        Column::text("TYPE", 14),
        Column::text("TOOL", 24),
        Column::text("OUTCOME", 7),
        Column::number("TOOK"),
        Column::text("ID", 24),
        Column::text("WHAT", 200),
    ]);
    for event in events {
        table.row([
            time(event, "ts"),
            text(event, "event_type"),
            text(event, "tool"),
            text(event, "outcome"),
            numeric(event, "duration_ms", duration_ms),
            text(event, "id"),
            what(event),
        ]);
    }
    table
}

/// The kind of error, if it is one, before what was said.
fn what(event: &Value) -> String {
    match (raw(event, "error_type"), raw(event, "content")) {
        (Some(_), Some(_)) => format!("{}: {}", text(event, "error_type"), text(event, "content")),
        (Some(_), None) => text(event, "error_type"),
        (None, Some(_)) => text(event, "content"),
        (None, None) => String::new(),
    }
}

fn detail(event: &Value, style: Style) -> String {
    let title = format!("Event {} of {}", text(event, "id"), text(event, "trace_key"));
    let mut shown = format!("{}\n\n", style.bold(&title));
    let plain = [
        ("type", "event_type"),
        ("environment", "environment"),
        ("task", "task_id"),
        ("parent task", "parent_task_id"),
        ("session", "session_id"),
        ("span", "span_id"),
        ("tool", "tool"),
        ("outcome", "outcome"),
        ("error type", "error_type"),
        ("error group", "fingerprint"),
        ("source", "source"),
    ];
    let mut lines =
        vec![("time", format!("{} ({} clock)", text(event, "ts"), text(event, "clock"))), ("whom", entity(event))];
    lines.extend(
        plain
            .iter()
            .filter(|(_, place)| raw(event, place).is_some())
            .map(|(name, place)| (*name, text(event, place))),
    );
    for (name, place) in
        [("tokens read", "tokens_in"), ("tokens written", "tokens_out"), ("tokens cached", "tokens_cached")]
    {
        if let Some(tokens) = event[place].as_i64() {
            lines.push((name, count(tokens)));
        }
    }
    if event["duration_ms"].is_number() {
        lines.push(("took", numeric(event, "duration_ms", duration_ms)));
    }
    if event["cost_usd"].is_number() {
        lines.push(("cost", numeric(event, "cost_usd", |cost| format!("${cost:.6}"))));
    }
    shown.push_str(&facts(lines));
    for (title, place) in [("Content", "content"), ("Attributes", "attributes"), ("Exposures", "exposures")] {
        if !event[place].is_null() {
            put!(&mut shown, "\n{}\n  {}\n", style.bold(title), text(event, place));
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn texts_from_events_are_made_harmless() {
        let event = json!({"id": "e", "trace_key": "t", "ts": "2026-01-05T10:00:00Z", "clock": "own",
            "event_type": "ERROR", "entity_type": "agent", "entity_name": "x\u{1b}]0;owned\u{7}", "error_type": "Oops",
            "content": "a\u{1b}[2J\nb"});
        let style = Style { width: 160, colour: false };
        for shown in [table(std::slice::from_ref(&event)).render(style), detail(&event, style)] {
            assert!(!shown.contains('\u{1b}') && !shown.contains("owned"), "{shown}");
            assert!(shown.contains("a b"), "{shown}");
        }
    }
}
