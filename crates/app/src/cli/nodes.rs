//! `uplift nodes`: which servers share the database.

use std::process::ExitCode;

use serde_json::Value;

use super::show::{ask, items, text, time};
use crate::api::{self, Endpoint};
use crate::text::{Column, Table};

/// Arguments.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    look: api::Args,
}

/// Lists the servers, with what each looks after.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    ask(&args.look, &Endpoint::new(["api", "nodes"]), |answer, style| {
        let nodes = items(answer, "nodes");
        if nodes.is_empty() {
            return "No server says that it is at work on this database. Of a file only its server knows: ask it, with --server.\n"
                .to_owned();
        }
        table(nodes).render(style)
    })
}

fn table(nodes: &[Value]) -> Table {
    let mut table = Table::new([
        Column::text("NODE", 16),
        Column::text("URL", 40),
        Column::text("VERSION", 10),
        Column::text("SINCE", 19),
        Column::text("LAST SEEN", 19),
        Column::text("AT WORK", 7),
        Column::text("SHARDS", 40),
        Column::text("IMPROVES", 8),
    ]);
    let yes = |value: &Value| if value.as_bool() == Some(true) { "yes" } else { "no" }.to_owned();
    for node in nodes {
        let shards: Vec<i64> = items(node, "shards").iter().filter_map(Value::as_i64).collect();
        table.row([
            text(node, "node"),
            text(node, "url"),
            text(node, "version"),
            time(node, "started_at"),
            time(node, "seen_at"),
            yes(&node["at_work"]),
            runs(&shards),
            yes(&node["improves"]),
        ]);
    }
    table
}

/// Numbers in order, runs of them shortened: `0-3, 7`.
fn runs(numbers: &[i64]) -> String {
    let runs = numbers.chunk_by(|one, next| one + 1 == *next);
    let shown: Vec<String> = runs
        .map(|run| match run {
            [one] => one.to_string(),
            [first, .., last] => format!("{first}-{last}"),
            [] => String::new(),
        })
        .collect();
    if shown.is_empty() { "none".to_owned() } else { shown.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_shortened() {
        for (numbers, shown) in
            [(&[][..], "none"), (&[4], "4"), (&[0, 1, 2, 3], "0-3"), (&[0, 1, 5, 7, 8], "0-1, 5, 7-8")]
        {
            assert_eq!(runs(numbers), shown);
        }
    }
}
