//! `uplift notifications`: whom to tell, and what is on its way.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use serde_json::{Value, json};

use super::block_on;
use super::show::{self, ask, items, tell, text, time, whole};
use crate::api::{self, Endpoint};
use crate::text::{Column, Table, put};
use crate::usage::DONE;

/// The exit code where a target did not take a message.
const NOT_DELIVERED: u8 = 1;

/// Arguments.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List whom to tell
    List(Looking),
    /// Tell somebody from now on; the secret to verify messages with is shown once
    Add(Add),
    /// Tell somebody no more
    Remove(Named),
    /// Send a message, and say how it went
    Test(Named),
    /// What is on its way, was delivered or was given up
    Deliveries(Deliveries),
    /// Take up a delivery that was given up
    Retry(Retry),
}

#[derive(Debug, clap::Args)]
struct Looking {
    #[command(flatten)]
    look: api::Args,
}

#[derive(Debug, clap::Args)]
struct Add {
    /// A name for it
    name: String,
    #[arg(long, value_name = "URL", help = "Where to send, such as https://hooks.example.org/uplift")]
    url: String,
    /// cloudevents, slack or alertmanager
    #[arg(long, value_name = "FORMAT", default_value = "cloudevents", value_parser = ["cloudevents", "slack", "alertmanager"])]
    format: String,
    #[arg(
        long,
        value_name = "KIND",
        value_delimiter = ',',
        help = "What to tell, such as alert.opened,improvement.rolled_back; everything if not given"
    )]
    kinds: Vec<String>,
    /// A file with the secret to sign with (`whsec_` and base64); one is made if not given
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    #[command(flatten)]
    look: api::Args,
}

#[derive(Debug, clap::Args)]
struct Named {
    /// The target's name
    name: String,
    #[command(flatten)]
    look: api::Args,
}

#[derive(Debug, clap::Args)]
struct Deliveries {
    /// Only these: pending, delivered or dead
    #[arg(long, value_name = "STATE", value_parser = ["pending", "delivered", "dead"])]
    state: Option<String>,
    /// Only to this target
    #[arg(long, value_name = "NAME")]
    target: Option<String>,
    /// Most to list
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    limit: Option<u32>,
    #[command(flatten)]
    look: api::Args,
}

#[derive(Debug, clap::Args)]
struct Retry {
    /// The delivery's number
    id: i64,
    #[command(flatten)]
    look: api::Args,
}

/// Lists, sets, removes or tries targets; lists or takes up deliveries.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.command {
        Command::List(args) => ask(&args.look, &targets(), |answer, style| {
            show::page(answer, style, &targets_table(items(answer, "items")), "Nobody is told.")
        }),
        Command::Add(args) => add(&args),
        Command::Remove(args) => {
            block_on(args.look.writing(async |api| api.delete(&target(&args.name)).await))?;
            if !args.look.json {
                crate::text::print(&format!("{} is told no more\n", args.name))?;
            }
            Ok(ExitCode::from(DONE))
        }
        Command::Test(args) => test(&args),
        Command::Deliveries(args) => {
            let path = Endpoint::new(["api", "notifications", "deliveries"])
                .with("state", args.state)
                .with("target", args.target)
                .with("limit", args.limit);
            ask(&args.look, &path, |answer, style| {
                show::page(answer, style, &deliveries_table(items(answer, "items")), "Nothing is on its way.")
            })
        }
        Command::Retry(args) => {
            let path = Endpoint::new(["api", "notifications", "deliveries", &args.id.to_string(), "retry"]);
            let answer = block_on(args.look.change(&path, &json!({})))?;
            tell(&args.look, &answer, |answer, _| {
                format!("delivery {} is {}\n", whole(answer, "id"), text(answer, "state"))
            })
        }
    }
}

fn targets() -> Endpoint {
    Endpoint::new(["api", "notifications", "targets"])
}

fn target(name: &str) -> Endpoint {
    Endpoint::new(["api", "notifications", "targets", name])
}

fn add(args: &Add) -> anyhow::Result<ExitCode> {
    let mut body = json!({ "name": args.name, "url": args.url, "format": args.format, "kinds": args.kinds });
    if let Some(file) = &args.secret_file {
        let secret = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        body["secret"] = secret.trim().into();
    }
    let made = block_on(args.look.making(async |api| api.post(&targets(), &body).await))?;
    tell(&args.look, &made, |made, _| {
        let mut shown = format!("{} at {} is told from now on\n", text(made, "name"), text(made, "url"));
        put!(&mut shown, "{}\n", text(made, "secret"));
        shown.push_str(
            "This is the only time the secret is shown. Receivers verify messages with it: docs/notifications.md\n",
        );
        shown
    })
}

fn test(args: &Named) -> anyhow::Result<ExitCode> {
    let path = Endpoint::new(["api", "notifications", "targets", &args.name, "test"]);
    let trial = block_on(args.look.change(&path, &json!({})))?;
    tell(&args.look, &trial, |trial, _| match trial["delivered"].as_bool() {
        Some(true) => format!("{} took it ({})\n", args.name, whole(trial, "status")),
        _ => format!("{} did not take it: {}\n", args.name, text(trial, "error")),
    })?;
    Ok(ExitCode::from(if trial["delivered"].as_bool() == Some(true) { DONE } else { NOT_DELIVERED }))
}

fn targets_table(targets: &[Value]) -> Table {
    let mut table = Table::new([
        Column::text("NAME", 24),
        Column::text("FORMAT", 12),
        Column::text("WHERE", 60),
        Column::text("KINDS", 60),
        Column::text("SET", 19),
        Column::text("BY", 24),
    ]);
    for target in targets {
        let kinds: Vec<&str> = target["kinds"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        table.row([
            text(target, "name"),
            text(target, "format"),
            text(target, "url"),
            if kinds.is_empty() { "everything".to_owned() } else { kinds.join(", ") },
            time(target, "created_at"),
            text(target, "created_by"),
        ]);
    }
    table
}

fn deliveries_table(deliveries: &[Value]) -> Table {
    let mut table = Table::new([
        Column::number("ID"),
        Column::text("STATE", 9),
        Column::text("TARGET", 24),
        Column::text("KIND", 30),
        Column::number("TRIES"),
        Column::text("NEXT", 19),
        Column::text("ANSWER", 60),
        Column::text("WHAT", 120),
    ]);
    for delivery in deliveries {
        let answer = match (delivery["last_status"].as_u64(), delivery["last_error"].as_str()) {
            (_, Some(_)) => text(delivery, "last_error"),
            (Some(status), None) => status.to_string(),
            (None, None) => "-".to_owned(),
        };
        table.row([
            whole(delivery, "id").to_string(),
            text(delivery, "state"),
            text(delivery, "target"),
            text(delivery, "kind"),
            whole(delivery, "attempts").to_string(),
            time(delivery, "due_at"),
            answer,
            text(delivery, "summary"),
        ]);
    }
    table
}
