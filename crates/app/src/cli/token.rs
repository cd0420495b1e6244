//! `uplift token`: who is let in.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use serde_json::{Value, json};

use super::block_on;
use super::show::{self, ask, items, text, time, whole};
use crate::api::{self, Endpoint};
use crate::text::{Column, Table, clean};
use crate::usage::{DONE, Misuse};

/// Arguments.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Make a token; it is shown once
    Create(Create),
    /// List tokens, the latest first
    List(List),
    /// Revoke a token: it opens nothing any more
    Revoke(Revoke),
}

#[derive(Debug, clap::Args)]
struct Create {
    /// Its name, under which what is done with it is written down
    #[arg(value_name = "NAME")]
    name: String,
    /// viewer (reads), agent (reports and asks for itself), operator (decides) or admin (everything)
    #[arg(long, value_name = "ROLE", value_parser = ["viewer", "agent", "operator", "admin"])]
    role: String,
    /// Whom an agent's token stands for: agent/NAME, ENVIRONMENT:agent/NAME, or * for any; may be repeated
    #[arg(long = "entity", value_name = "ENTITY")]
    entities: Vec<String>,
    /// When it expires, such as 90d or 12h; never if not given
    #[arg(long, value_name = "TIME", value_parser = life)]
    expires_in: Option<Duration>,
    #[command(flatten)]
    look: api::Args,
}

#[derive(Debug, clap::Args)]
struct List {
    /// Most to list
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    limit: Option<u32>,
    #[command(flatten)]
    look: api::Args,
}

#[derive(Debug, clap::Args)]
struct Revoke {
    /// Its name or its number
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    look: api::Args,
}

/// Makes, lists or revokes tokens.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.command {
        Command::Create(args) => create(&args),
        Command::List(args) => {
            let path = Endpoint::new(["api", "tokens"]).with("limit", args.limit);
            ask(&args.look, &path, |answer, style| {
                show::page(answer, style, &table(items(answer, "items")), "There are no tokens.")
            })
        }
        Command::Revoke(args) => revoke(&args),
    }
}

fn life(text: &str) -> Result<Duration, String> {
    let bad = || format!("`{text}` is no time, such as 90d, 12h or 30m");
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(bad)?;
    let seconds = match unit {
        "d" => 86_400,
        "h" => 3_600,
        "m" => 60,
        "s" => 1,
        _ => return Err(bad()),
    };
    let number: u64 = number.parse().map_err(|_| bad())?;
    number.checked_mul(seconds).filter(|seconds| *seconds > 0).map(Duration::from_secs).ok_or_else(bad)
}

fn create(args: &Create) -> anyhow::Result<ExitCode> {
    if args.role != "agent" && !args.entities.is_empty() {
        return Err(Misuse::error("--entity is for the role agent: the others stand for nobody in particular"));
    }
    let mut body = json!({ "name": args.name, "role": args.role });
    if !args.entities.is_empty() {
        body["entities"] = json!(args.entities);
    }
    if let Some(life) = args.expires_in {
        body["expires_in_seconds"] = json!(life.as_secs());
    }
    let path = Endpoint::new(["api", "tokens"]);
    let made = block_on(args.look.making(async |api| api.post(&path, &body).await))?;
    if args.look.json {
        crate::text::print(&format!("{made}\n"))?;
        return Ok(ExitCode::from(DONE));
    }
    let mut said = made["token"].as_str().map(clean).unwrap_or_default();
    let whom: Vec<String> =
        made["entities"].as_array().into_iter().flatten().filter_map(Value::as_str).map(clean).collect();
    if !whom.is_empty() {
        said = format!("{said}\n\nIt stands for {}.", whom.join(", "));
    }
    let said = format!(
        "{said}\nThis is the only time it is shown. Clients send it as `Authorization: Bearer TOKEN`; uplift's own \
         commands take it from UPLIFT_TOKEN.\n"
    );
    crate::text::print(&said)?;
    Ok(ExitCode::from(DONE))
}

fn revoke(args: &Revoke) -> anyhow::Result<ExitCode> {
    let revoked = block_on(args.look.writing(async |api| {
        let id = number(api, &args.name).await?;
        api.delete(&Endpoint::new(["api".to_owned(), "tokens".to_owned(), id.to_string()])).await?;
        Ok(id)
    }))?;
    let said = if args.look.json {
        format!("{}\n", json!({ "revoked": revoked }))
    } else {
        format!("Token {revoked} ({}) opens nothing any more.\n", clean(&args.name))
    };
    crate::text::print(&said)?;
    Ok(ExitCode::from(DONE))
}

/// The number of the token in force that has this name, or the number itself.
async fn number(api: &api::Api, name: &str) -> anyhow::Result<i64> {
    let mut cursor: Option<String> = None;
    let mut by_number = None;
    loop {
        let page = api.get(&Endpoint::new(["api", "tokens"]).with("limit", Some(500)).with("cursor", cursor)).await?;
        for token in items(&page, "items") {
            if token["name"].as_str() == Some(name) && token["state"].as_str() != Some("revoked") {
                return Ok(whole(token, "id"));
            }
            if whole(token, "id").to_string() == name {
                by_number = Some(whole(token, "id"));
            }
        }
        cursor = page["next"].as_str().map(str::to_owned);
        if cursor.is_none() {
            break;
        }
    }
    match by_number {
        Some(id) => Ok(id),
        None => bail!("there is no token `{}` in force; `uplift token list` shows them", clean(name)),
    }
}

fn table(tokens: &[Value]) -> Table {
    let mut table = Table::new([
        Column::number("ID"),
        Column::text("NAME", 24),
        Column::text("ROLE", 8),
        Column::text("STATE", 8),
        Column::text("CREATED", 19),
        Column::text("EXPIRES", 19),
        Column::text("LAST USED", 19),
        Column::text("STANDS FOR", 60),
    ]);
    for token in tokens {
        let whom: Vec<&str> = token["entities"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        table.row([
            whole(token, "id").to_string(),
            text(token, "name"),
            text(token, "role"),
            text(token, "state"),
            time(token, "created_at"),
            time(token, "expires_at"),
            time(token, "last_used_at"),
            whom.join(", "),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_understood() {
        for (text, seconds) in
            [("90d", Some(7_776_000)), ("12h", Some(43_200)), ("1s", Some(1)), ("30m", Some(1_800))]
        {
            assert_eq!(life(text).ok().map(|life| life.as_secs()), seconds, "{text}");
        }
        for text in ["", "d", "0d", "-1d", "12", "1w", "99999999999999999999d", "1\u{e9}"] {
            assert!(life(text).is_err(), "{text}");
        }
    }
}
