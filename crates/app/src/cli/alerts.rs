//! `uplift alerts`: what needs attention, and who looks after it.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::block_on;
use super::improvements::Actor;
use super::show::{self, ask, items, raw, tell, text, time, whole};
use crate::api::{self, Endpoint};
use crate::text::{Column, Table};

/// Arguments.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    list: List,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// List them, the latest first (also without a word)
    List(List),
    /// Say that you look after one
    Ack(Ack),
    /// Say that a recurring failure is dealt with: only errors from the next hour on raise it again
    Resolve(Resolve),
}

#[derive(Debug, clap::Args)]
struct List {
    /// Also those that no longer hold
    #[arg(long)]
    all: bool,
    /// Most to list
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    limit: Option<u32>,
    #[command(flatten)]
    look: api::Args,
}

#[derive(Debug, clap::Args)]
struct Ack {
    /// The alert's number
    id: i64,
    /// What you have to say about it
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    #[command(flatten)]
    actor: Actor,
    #[command(flatten)]
    look: api::Args,
}

#[derive(Debug, clap::Args)]
struct Resolve {
    /// The alert's number
    id: i64,
    #[command(flatten)]
    actor: Actor,
    #[command(flatten)]
    look: api::Args,
}

/// Lists alerts, or says something about one.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.action {
        None => list(&args.list),
        Some(Action::List(args)) => list(&args),
        Some(Action::Ack(args)) => {
            let body = json!({ "by": args.actor.name(), "note": args.note });
            say(&args.look, args.id, "acknowledge", &body)
        }
        Some(Action::Resolve(args)) => say(&args.look, args.id, "resolve", &json!({ "by": args.actor.name() })),
    }
}

fn list(args: &List) -> anyhow::Result<ExitCode> {
    let path = Endpoint::new(["api", "improvements", "alerts"])
        .with("active_only", Some(!args.all))
        .with("limit", args.limit);
    ask(&args.look, &path, |answer, style| {
        show::page(answer, style, &table(items(answer, "items")), "No alert holds.")
    })
}

fn say(look: &api::Args, id: i64, what: &str, body: &Value) -> anyhow::Result<ExitCode> {
    let path = Endpoint::new(["api", "improvements", "alerts", &id.to_string(), what]);
    let answer = block_on(look.change(&path, body))?;
    tell(look, &answer, |alert, _| {
        let by = match (raw(alert, "acknowledged/by"), raw(alert, "resolved_by")) {
            (_, Some(_)) => format!(" by {}", text(alert, "resolved_by")),
            (Some(_), None) => format!(" by {}", text(alert, "acknowledged/by")),
            (None, None) => String::new(),
        };
        format!("alert {id} is {}{by}: {}\n", text(alert, "state"), text(alert, "message"))
    })
}

/// Alerts as a table.
pub(super) fn table(alerts: &[Value]) -> Table {
    let mut table = Table::new([
        Column::number("ID"),
        Column::text("SINCE", 19),
        Column::text("STATE", 12),
        Column::text("KIND", 20),
        Column::text("WHOM", 12),
        Column::text("BY", 16),
        Column::text("WHAT", 200),
    ]);
    for alert in alerts {
        let whom = match &alert["entity"] {
            Value::Null => "the whole".to_owned(),
            key => format!("{}/{}", text(key, "entity_type"), text(key, "entity_id")),
        };
        let by = if raw(alert, "resolved_by").is_some() {
            text(alert, "resolved_by")
        } else {
            text(alert, "acknowledged/by")
        };
        table.row([
            whole(alert, "id").to_string(),
            time(alert, "at"),
            text(alert, "state"),
            text(alert, "kind"),
            whom,
            by,
            text(alert, "message"),
        ]);
    }
    table
}
