//! `uplift improvements`: what is being tried, and what came of it.

mod report;

use std::process::ExitCode;

use serde_json::{Value, json};
use uplift_model::improvement::ImprovementStatus;

use super::block_on;
use super::show::{self, EntityArgument, ask, entity, items, tell, text, whole};
use crate::api::{self, Endpoint};
use crate::differ;
use crate::text::{Column, Table, put};
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
    /// Show one: what it changes and why, what was checked, tried and decided
    Show {
        /// Its number
        id: i64,
    },
}

#[derive(Debug, Clone, Default, PartialEq, clap::Args)]
struct Filter {
    #[arg(
        long,
        value_name = "STATUS",
        value_delimiter = ',',
        help = "Only with these statuses, such as testing,awaiting_approval"
    )]
    status: Vec<ImprovementStatus>,
    /// Only of this entity, such as agent/support
    #[arg(long, value_name = "TYPE/NAME")]
    entity: Option<EntityArgument>,
    /// Only for this opportunity
    #[arg(long, value_name = "ID")]
    opportunity: Option<i64>,
    /// Most to list
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    limit: Option<u32>,
}

/// Lists or shows.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let Args { action, filter, look } = args;
    match action {
        None => list(&look, &filter),
        Some(_) if filter != Filter::default() => Err(Misuse::error("filters go behind `list`, and only there")),
        Some(Action::List { filter }) => list(&look, &filter),
        Some(Action::Show { id }) => ask(&look, &one(id), |answer, style| report::whole(&look, answer, style)),
    }
}

/// Where an improvement's report is.
pub(super) fn one(id: i64) -> Endpoint {
    Endpoint::new(["api", "improvements", &id.to_string()])
}

fn list(look: &api::Args, filter: &Filter) -> anyhow::Result<ExitCode> {
    let status: Vec<&str> = filter.status.iter().map(|status| status.as_str()).collect();
    let path = Endpoint::new(["api", "improvements"])
        .with("status", (!status.is_empty()).then(|| status.join(",")))
        .with("opportunity", filter.opportunity)
        .with("entity_type", filter.entity.as_ref().map(|entity| &entity.entity_type))
        .with("entity", filter.entity.as_ref().map(|entity| &entity.entity))
        .with("limit", filter.limit);
    ask(look, &path, |answer, style| {
        show::page(answer, style, &table(items(answer, "items")), "Nothing has been proposed yet.")
    })
}

fn table(improvements: &[Value]) -> Table {
    let mut table = Table::new([
        Column::number("ID"),
        Column::text("STATUS", 17),
        Column::text("TYPE", 20),
        Column::text("WHOM", 28),
        Column::text("BY", 20),
        Column::text("WHAT", 200),
    ]);
    for improvement in improvements {
        table.row([
            whole(improvement, "id").to_string(),
            text(improvement, "status"),
            text(improvement, "improvement_type"),
            entity(improvement),
            text(improvement, "proposer"),
            what(improvement),
        ]);
    }
    table
}

/// What an improvement changes, on one line.
fn what(improvement: &Value) -> String {
    match items(improvement, "edits") {
        [] => text(improvement, "rationale"),
        edits => differ::on_one_line(edits),
    }
}

/// How an improvement stands now, in a line or two.
pub(super) fn standing(look: &api::Args, improvement: &Value) -> String {
    let status = text(improvement, "status");
    let status = match status.as_str() {
        "needs_proposal" => "waits for a proposal".to_owned(),
        "awaiting_approval" => "waits for approval".to_owned(),
        other => format!("is {}", other.replace('_', " ")),
    };
    let mut shown = format!(
        "improvement {} of {} {status}: {}\n",
        whole(improvement, "id"),
        entity(improvement),
        what(improvement)
    );
    let id = whole(improvement, "id").to_string();
    if let Some(command) = show::command(look, &["improvements", "show", &id]) {
        put!(&mut shown, "  {command}\n");
    }
    shown
}

/// Who acts: what all commands have by which a person moves something on.
#[derive(Debug, clap::Args)]
// Without a group of its own: the names of groups must differ within a command.
#[group(skip)]
pub(super) struct Actor {
    /// Who does it; by default the user's name
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
}

impl Actor {
    /// The name.
    pub(super) fn name(&self) -> Option<String> {
        self.by.clone().or_else(|| std::env::var("USER").ok().filter(|name| !name.trim().is_empty()))
    }
}

/// Moves an improvement on and says how it stands then.
pub(super) fn act(
    look: &api::Args,
    id: i64,
    action: &str,
    actor: &Actor,
    reason: Option<String>,
) -> anyhow::Result<ExitCode> {
    let path = Endpoint::new(["api", "improvements", &id.to_string(), action]);
    let answer = block_on(look.change(&path, &json!({ "by": actor.name(), "reason": reason })))?;
    tell(look, &answer, |answer, _| standing(look, answer))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Style;

    #[test]
    fn the_table_says_what_is_changed() {
        let improvement = json!({
            "id": 7, "status": "awaiting_approval", "improvement_type": "performance_tuning", "entity_type": "agent",
            "entity_name": "support", "proposer": "retry_\u{1b}[31mtimeout", "rationale": "r",
            "edits": [{"edit": "set_parameter", "name": "timeout_ms", "value": 3000}, {"edit": "add_context", "name": "faq"}],
        });
        let text = table(std::slice::from_ref(&improvement)).render(Style { width: 160, colour: false });
        let line = text.lines().nth(1).unwrap();
        assert!(line.contains("awaiting_approval") && line.contains("agent/support"), "{line}");
        assert!(line.ends_with("retry_timeout  set timeout_ms to 3000; add the context faq"), "{line}");
    }
}
