//! `uplift tasks`: what agents did.

use std::process::ExitCode;

use serde_json::{Value, json};
use uplift_model::{Outcome, Time};

use super::show::{
    self, EntityArgument, ask, counted, entity, facts, items, number, numeric, raw, tell, text, time, whole,
};
use super::{block_on, events};
use crate::api::{self, Endpoint};
use crate::text::{Column, Style, Table, count, duration_ms};
use crate::usage::Misuse;

/// Events shown of one task.
const SHOWN_EVENTS: u32 = 200;

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
    /// List them, the latest first (also without a word)
    List {
        #[command(flatten)]
        filter: Filter,
    },
    /// Show one with its events
    Show {
        /// Its id
        id: String,
    },
}

#[derive(Debug, Clone, Default, PartialEq, clap::Args)]
struct Filter {
    /// Only of this agent
    #[arg(long, value_name = "NAME")]
    agent: Option<EntityArgument>,
    /// Only with this outcome: SUCCESS, FAILURE, ERROR
    #[arg(long)]
    outcome: Option<Outcome>,
    /// Only with errors
    #[arg(long)]
    errors: bool,
    /// Only of this session
    #[arg(long, value_name = "ID")]
    session: Option<String>,
    /// Only seen at or after this time, such as 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME")]
    since: Option<Time>,
    /// Only begun before this time
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
        Some(Action::Show { id }) => one(&look, &id),
    }
}

fn list(look: &api::Args, filter: Filter) -> anyhow::Result<ExitCode> {
    let path = Endpoint::new(["api", "tasks"])
        .with("entity_type", filter.agent.as_ref().map(|agent| &agent.entity_type))
        .with("entity", filter.agent.as_ref().map(|agent| &agent.entity))
        .with("outcome", filter.outcome.map(Outcome::as_str))
        .with("has_errors", filter.errors.then_some(true))
        .with("session_id", filter.session)
        .with("since", filter.since)
        .with("until", filter.until)
        .with("limit", filter.limit);
    ask(look, &path, |answer, style| {
        show::page(answer, style, &table(items(answer, "items")), "No tasks were found.")
    })
}

fn table(tasks: &[Value]) -> Table {
    let mut table = Table::new([
        Column::text("STARTED", 19),
        Column::text("WHOSE", 28),
        Column::text("OUTCOME", 7),
        Column::number("ERRORS"),
        Column::number("MODEL"),
        Column::number("TOOLS"),
        Column::number("TOKENS"),
        Column::number("TIME"),
        Column::text("TASK", 120),
    ]);
    for task in tasks {
        table.row([
            time(task, "started_at"),
            entity(task),
            outcome(task),
            counted(task, "errors"),
            counted(task, "llm_calls"),
            counted(task, "tool_calls"),
            count(whole(task, "tokens_in") + whole(task, "tokens_out")),
            numeric(task, "duration_ms", duration_ms),
            text(task, "task_id"),
        ]);
    }
    table
}

/// How it ended; one that has not ended is not one of unknown outcome.
fn outcome(task: &Value) -> String {
    match (raw(task, "outcome"), task["ended"].as_bool()) {
        (None, Some(false)) => "running".to_owned(),
        (None, _) => "unknown".to_owned(),
        (Some(_), _) => text(task, "outcome"),
    }
}

fn one(look: &api::Args, id: &str) -> anyhow::Result<ExitCode> {
    let task = Endpoint::new(["api", "tasks", id]);
    let events = Endpoint::new(["api", "events"]).with("task_id", Some(id)).with("limit", Some(SHOWN_EVENTS));
    let (task, events) = block_on(async {
        let api = look.reading().await?;
        Ok((api.get(&task).await?, api.get(&events).await?))
    })?;
    tell(look, &json!({ "task": task, "events": events }), |_, style| detail(&task, &events, style))
}

fn detail(task: &Value, page: &Value, style: Style) -> String {
    let mut shown = format!("{}\n\n", style.bold(&format!("Task {}: {}", text(task, "task_id"), outcome(task))));
    let mut lines = vec![
        ("whose", format!("{} in environment {}", entity(task), text(task, "environment"))),
        (
            "time",
            format!(
                "{} to {}, {}",
                time(task, "started_at"),
                time(task, "last_at"),
                numeric(task, "duration_ms", duration_ms)
            ),
        ),
        ("calls", format!("{} to models, {} to tools", counted(task, "llm_calls"), counted(task, "tool_calls"))),
        ("errors", format!("{}, {} of them recovered", counted(task, "errors"), counted(task, "errors_recovered"))),
        (
            "tokens",
            format!(
                "{} read ({} cached), {} written",
                counted(task, "tokens_in"),
                counted(task, "tokens_cached"),
                counted(task, "tokens_out")
            ),
        ),
    ];
    if number(task, "cost_usd").is_some_and(|cost| cost > 0.0) {
        lines.push(("cost", numeric(task, "cost_usd", |cost| format!("${cost:.4}"))));
    }
    for (name, place) in [("parent", "parent_task_id"), ("session", "session_id")] {
        if raw(task, place).is_some() {
            lines.push((name, text(task, place)));
        }
    }
    shown.push_str(&facts(lines));
    shown.push('\n');
    shown.push_str(&show::page(
        page,
        style,
        &events::table_of_task(items(page, "items")),
        "Its events are no longer kept.",
    ));
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_running_task_is_told_from_one_of_unknown_outcome() {
        assert_eq!(outcome(&json!({"outcome": null, "ended": false})), "running");
        assert_eq!(outcome(&json!({"outcome": null, "ended": true})), "unknown");
        assert_eq!(outcome(&json!({"outcome": "SUCCESS", "ended": true})), "SUCCESS");
    }
}
