//! `uplift alerts`: what needs attention.

use std::process::ExitCode;

use serde_json::Value;

use super::show::{self, ask, items, text, time, whole};
use crate::api::{self, Endpoint};
use crate::text::{Column, Table};

/// Arguments.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Also those that no longer hold
    #[arg(long)]
    all: bool,
    /// Most to list
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    limit: Option<u32>,
    #[command(flatten)]
    look: api::Args,
}

/// Lists alerts, the latest first.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let path = Endpoint::new(["api", "improvements", "alerts"])
        .with("active_only", Some(!args.all))
        .with("limit", args.limit);
    ask(&args.look, &path, |answer, style| {
        show::page(answer, style, &table(items(answer, "items")), "No alert holds.")
    })
}

fn table(alerts: &[Value]) -> Table {
    let mut table = Table::new([
        Column::number("ID"),
        Column::text("SINCE", 19),
        Column::text("HOLDS", 5),
        Column::text("KIND", 20),
        Column::text("WHOM", 12),
        Column::text("WHAT", 200),
    ]);
    for alert in alerts {
        let whom = match &alert["entity"] {
            Value::Null => "the whole".to_owned(),
            key => format!("{}/{}", text(key, "entity_type"), text(key, "entity_id")),
        };
        table.row([
            whole(alert, "id").to_string(),
            time(alert, "at"),
            if alert["active"].as_bool() == Some(true) { "yes" } else { "no" }.to_owned(),
            text(alert, "kind"),
            whom,
            text(alert, "message"),
        ]);
    }
    table
}
