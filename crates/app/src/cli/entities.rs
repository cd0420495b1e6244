//! `uplift entities`: agents, tools, contexts and processes.

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::{Value, json};
use uplift_model::EntityType;
use uplift_model::entity::EntityState;

use super::block_on;
use super::show::{self, EntityArgument, ask, counted, facts, items, tell, text, time, whole};
use crate::api::{self, Endpoint};
use crate::declare;
use crate::text::{Column, Style, Table, clean, clip, plural};
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
    /// List them (also without a word)
    List {
        #[command(flatten)]
        filter: Filter,
    },
    /// Show one with its settings, ties and configuration
    Show {
        /// Which, such as agent/support
        #[arg(value_name = "TYPE/NAME")]
        entity: EntityArgument,
        /// The environment, where the name is in several
        #[arg(long)]
        environment: Option<String>,
    },
    #[command(
        about = "Declare entities from a file",
        long_about = "Declare entities from a file: a JSON array, or one object after another, of {\"entity_type\", \
                      \"name\", and, if wanted, \"environment\", \"improvement_config\", \"configuration\", \
                      \"relationships\"}"
    )]
    Declare {
        /// The file; - is standard input
        #[arg(short, long, value_name = "FILE")]
        file: PathBuf,
    },
}

#[derive(Debug, Clone, Default, PartialEq, clap::Args)]
struct Filter {
    /// Only of this type: agent, tool, context, process
    #[arg(long = "type", value_name = "TYPE")]
    entity_type: Option<EntityType>,
    /// Only in this environment
    #[arg(long)]
    environment: Option<String>,
    /// Only in this state: active, inactive, deprecated, archived, failed
    #[arg(long)]
    state: Option<EntityState>,
    /// Also those that come with Uplift itself
    #[arg(long)]
    built_in: bool,
    /// Most to list
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    limit: Option<u32>,
}

/// Lists, shows or declares.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let Args { action, filter, look } = args;
    match action {
        None => list(&look, filter),
        Some(_) if filter != Filter::default() => Err(Misuse::error("filters go behind `list`, and only there")),
        Some(Action::List { filter }) => list(&look, filter),
        Some(Action::Show { entity, environment }) => one(&look, &entity, environment),
        Some(Action::Declare { file }) => {
            let declarations = declare::read(&file)?;
            let answers = block_on(declare::send(&look, &declarations))?;
            let declared = plural(answers.len() as i64, "entity is", "entities are");
            tell(&look, &json!({ "items": answers }), |_, _| format!("{declared} declared\n"))
        }
    }
}

fn list(look: &api::Args, filter: Filter) -> anyhow::Result<ExitCode> {
    let path = Endpoint::new(["api", "entities"])
        .with("entity_type", filter.entity_type)
        .with("environment", filter.environment)
        .with("state", filter.state.map(EntityState::as_str))
        .with("built_in", filter.built_in.then_some(true))
        .with("limit", filter.limit);
    ask(look, &path, |answer, style| {
        show::page(answer, style, &table(items(answer, "items")), "No entities are known yet.")
    })
}

fn table(entities: &[Value]) -> Table {
    let mut table = Table::new([
        Column::text("TYPE", 7),
        Column::number("ID"),
        Column::text("ENVIRONMENT", 20),
        Column::text("STATE", 10),
        Column::text("LAST SEEN", 19),
        Column::text("NAME", 120),
    ]);
    for entity in entities {
        table.row([
            text(entity, "entity_type"),
            whole(entity, "entity_id").to_string(),
            text(entity, "environment"),
            text(entity, "state"),
            time(entity, "last_seen_at"),
            text(entity, "name"),
        ]);
    }
    table
}

fn one(look: &api::Args, entity: &EntityArgument, environment: Option<String>) -> anyhow::Result<ExitCode> {
    let path =
        Endpoint::new(["api", "entities", &entity.entity_type, &entity.entity]).with("environment", environment);
    // Ties lead to numbers; people know names.
    let everybody = Endpoint::new(["api", "entities"]).with("built_in", Some(true)).with("limit", Some(1_000));
    let (entity, everybody) = block_on(async {
        let api = look.reading().await?;
        Ok((api.get(&path).await?, api.get(&everybody).await?))
    })?;
    tell(look, &entity, |entity, style| {
        format!("{}{}", detail(entity, style), ties(entity, items(&everybody, "items"), style))
    })
}

fn detail(entity: &Value, style: Style) -> String {
    let title = format!("{}/{}", text(entity, "entity_type"), text(entity, "name"));
    let mut shown = format!("{}\n\n", style.bold(&title));
    let status = &entity["status"];
    shown.push_str(&facts([
        ("id", format!("{} in environment {}", text(entity, "entity_id"), text(entity, "environment"))),
        ("state", text(entity, "state")),
        ("known since", time(entity, "created_at")),
        ("last event", time(entity, "last_seen_at")),
        ("opportunities", format!("{} open", counted(status, "open_opportunities"))),
        (
            "improvements",
            format!(
                "{} under way, {} kept, {} rolled back",
                counted(status, "active_improvements"),
                counted(status, "kept"),
                counted(status, "rolled_back")
            ),
        ),
        ("review", format!("{} tasks since the last one", counted(status, "tasks_since_review"))),
        ("revision", text(entity, "revision")),
    ]));
    shown.push_str(&object(entity, style, "Settings", "improvement_config"));
    shown.push_str(&object(entity, style, "Configuration", "configuration"));
    shown
}

fn ties(entity: &Value, everybody: &[Value], style: Style) -> String {
    let ties = items(entity, "relationships");
    if ties.is_empty() {
        return String::new();
    }
    let named = |key: &Value| {
        let same = |other: &&Value| ["entity_type", "entity_id"].iter().all(|part| other[part] == key[part]);
        let name = everybody.iter().find(same).map_or_else(|| text(key, "entity_id"), |other| text(other, "name"));
        format!("{}/{name}", text(key, "entity_type"))
    };
    let mut table = Table::new([
        Column::text("FROM", 40),
        Column::text("KIND", 10),
        Column::text("TO", 40),
        Column::text("STRENGTH", 8),
        Column::text("SOURCE", 8),
    ]);
    for tie in ties {
        table.row([
            named(&tie["from"]),
            text(tie, "kind"),
            named(&tie["to"]),
            text(tie, "strength"),
            text(tie, "source"),
        ]);
    }
    format!("\n{}", table.render(style))
}

fn object(entity: &Value, style: Style, title: &str, place: &str) -> String {
    let Some(fields) = entity[place].as_object().filter(|fields| !fields.is_empty()) else { return String::new() };
    let widest = style.width.saturating_sub(24);
    let lines: Vec<(String, String)> =
        fields.iter().map(|(name, _)| (clean(name), clip(&text(&entity[place], name), widest))).collect();
    format!("\n{}\n{}", style.bold(title), facts(lines.iter().map(|(name, value)| (name.as_str(), value.clone()))))
}
