//! `uplift requests`: what agents asked for, and what came of it.

use std::process::ExitCode;

use serde_json::Value;

use super::show::{self, ask, facts, items, numeric, text, time};
use crate::api::{self, Endpoint};
use crate::text::{Column, Style, Table, percent, put};
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
    /// List them, the latest first (also without a word)
    List {
        #[command(flatten)]
        filter: Filter,
    },
    /// Show one: what was asked, what of it the records bear out, and the verdict
    Show {
        /// Its number
        id: i64,
    },
}

#[derive(Debug, Clone, Default, PartialEq, clap::Args)]
struct Filter {
    /// Only of this agent
    #[arg(long, value_name = "NAME")]
    agent: Option<String>,
    /// The agent's environment
    #[arg(long, value_name = "NAME")]
    environment: Option<String>,
    /// Only for this opportunity
    #[arg(long, value_name = "ID")]
    opportunity: Option<i64>,
    /// Only those whose answer is still to come
    #[arg(long)]
    open: bool,
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
        Some(Action::Show { id }) => {
            let path = Endpoint::new(["api", "improvements", "requests", &id.to_string()]);
            ask(&look, &path, detail)
        }
    }
}

fn list(look: &api::Args, filter: Filter) -> anyhow::Result<ExitCode> {
    let path = Endpoint::new(["api", "improvements", "requests"])
        .with("agent", filter.agent)
        .with("environment", filter.environment)
        .with("opportunity", filter.opportunity)
        .with("open", filter.open.then_some(true))
        .with("limit", filter.limit);
    ask(look, &path, |answer, style| {
        show::page(answer, style, &table(items(answer, "items")), "No agent has asked for anything.")
    })
}

fn table(requests: &[Value]) -> Table {
    let mut table = Table::new([
        Column::number("ID"),
        Column::text("AGENT", 24),
        Column::text("ASKS FOR", 20),
        Column::text("STATUS", 17),
        Column::number("SURE"),
        Column::text("AT", 19),
        Column::text("WHAT", 60),
    ]);
    for request in requests {
        table.row([
            text(request, "request_id"),
            text(request, "agent"),
            text(request, "improvement_type"),
            text(request, "status"),
            numeric(request, "confidence", percent),
            time(request, "at"),
            text(request, "description"),
        ]);
    }
    table
}

fn detail(request: &Value, style: Style) -> String {
    let mut out = style.bold(&format!("Request {}", text(request, "request_id")));
    out += "\n";
    out += &facts([
        ("agent", format!("{} ({})", text(request, "agent"), text(request, "environment"))),
        ("about", text(request, "about")),
        ("asks for", text(request, "improvement_type")),
        ("status", text(request, "status")),
        ("sure", numeric(request, "confidence", percent)),
        ("opportunity", text(request, "opportunity_id")),
        ("improvement", text(request, "improvement_id")),
        ("asked", format!("{} by {}", time(request, "at"), text(request, "asked_by"))),
        ("what", text(request, "description")),
        ("why", text(request, "rationale")),
    ]);
    let evidence = items(request, "evidence");
    if !evidence.is_empty() {
        let mut table = Table::new([
            Column::text("CLAIM", 12),
            Column::text("OF", 40),
            Column::text("FOUND", 9),
            Column::text("DETAIL", 60),
        ]);
        for item in evidence {
            table.row([text(item, "claim"), text(item, "subject"), text(item, "found"), text(item, "detail")]);
        }
        put!(&mut out, "\n{}\n{}", style.bold("Evidence"), table.render(style));
    }
    let verdict = &request["verdict"];
    if verdict.is_object() {
        let share = |value: f64| format!("{:+.1} %", value * 100.0);
        put!(
            &mut out,
            "\n{}\n{}",
            style.bold("Verdict"),
            facts([
                ("outcome", text(verdict, "outcome")),
                ("why", text(verdict, "reason")),
                ("better by", numeric(verdict, "effectiveness", share)),
                ("at least", numeric(verdict, "effectiveness_low", share)),
                ("at most", numeric(verdict, "effectiveness_high", share)),
                ("decided", time(verdict, "decided_at")),
            ])
        );
    }
    out
}
