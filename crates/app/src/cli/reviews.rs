//! `uplift reviews`: which entities are reviewed when.

use std::process::ExitCode;

use serde_json::Value;

use super::show::{self, ask, counted, entity, items, raw, text, time};
use crate::api::{self, Endpoint};
use crate::text::{Column, Table};

/// Arguments.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only those that are due
    #[arg(long)]
    due: bool,
    /// Most to list
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    limit: Option<u32>,
    #[command(flatten)]
    look: api::Args,
}

/// Lists review counters, due ones first.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let path = Endpoint::new(["api", "improvements", "review-queue"])
        .with("due_only", args.due.then_some(true))
        .with("limit", args.limit);
    let empty = if args.due { "No review is due." } else { "Nothing is reviewed yet." };
    ask(&args.look, &path, |answer, style| show::page(answer, style, &table(items(answer, "items")), empty))
}

fn table(counters: &[Value]) -> Table {
    let mut table = Table::new([
        Column::text("DUE", 5),
        Column::text("WHOM", 32),
        Column::text("KIND", 9),
        Column::text("TASKS", 16),
        Column::text("EVERY", 8),
        Column::text("LAST REVIEW", 19),
        Column::text("LAST EVENT", 19),
    ]);
    for counter in counters {
        let due = if raw(counter, "due").is_some() { text(counter, "due") } else { "no".to_owned() };
        table.row([
            due,
            entity(counter),
            text(counter, "kind"),
            format!("{} of {}", counted(counter, "tasks_since_review"), counted(counter, "task_threshold")),
            format!("{} h", text(counter, "period_hours")),
            time(counter, "last_review_at"),
            time(counter, "last_event_at"),
        ]);
    }
    table
}
