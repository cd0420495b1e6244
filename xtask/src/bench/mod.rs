//! Measurements by name: each is a hidden subcommand of the release binary, so that what is measured is
//! what is shipped.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Status, postgres, process};

/// One measurement.
struct Bench {
    name: &'static str,
    about: &'static str,
    /// The binary's hidden subcommand that does the work.
    subcommand: &'static str,
    /// Whether it needs a PostgreSQL server.
    postgres: bool,
}

const BENCHES: &[Bench] = &[
    Bench {
        name: "intake",
        about: "events a second from request to disk",
        subcommand: "bench-intake",
        postgres: false,
    },
    Bench { name: "decide", about: "looks at trials a second", subcommand: "bench-decide", postgres: false },
    Bench {
        name: "resolve",
        about: "configurations resolved a second",
        subcommand: "bench-resolve",
        postgres: false,
    },
    Bench {
        name: "nodes",
        about: "servers that share a PostgreSQL database",
        subcommand: "bench-nodes",
        postgres: true,
    },
    Bench {
        name: "pages",
        about: "the dashboard's pages on a large database",
        subcommand: "bench-pages",
        postgres: false,
    },
    Bench { name: "engine", about: "ticks of the whole loop a second", subcommand: "bench-engine", postgres: false },
];

pub(crate) const HELP: &str = "\
Builds the binary with `cargo build --release -p uplift`, then runs one of its measurements. Arguments after
the name are handed on. Without a name, lists what there is.

  intake    events a second from request to disk
  decide    looks at trials a second
  resolve   configurations resolved a second
  nodes     servers that share a PostgreSQL database, one and two of them
  pages     the dashboard's pages on a large database, which is made once and kept in target/bench
  engine    ticks of the whole loop a second";

pub(crate) fn run(root: &Path, args: &[String]) -> anyhow::Result<Status> {
    let Some(name) = args.first() else {
        print!("{}", list());
        return Ok(Status::Misused);
    };
    let Some(bench) = BENCHES.iter().find(|bench| bench.name == name) else {
        eprint!("xtask: there is no bench `{name}`\n\n{}", list());
        return Ok(Status::Misused);
    };
    if !process::succeeds(process::cargo(root).args(["build", "--release", "-p", "uplift"]))? {
        return Ok(Status::Failed);
    }
    let mut command = Command::new(binary(root, "release"));
    command.current_dir(root).arg(bench.subcommand).args(forwarded(&args[1..]));
    // Ends with this function.
    let _server = if bench.postgres && std::env::var_os(postgres::VARIABLE).is_none() {
        let server = postgres::Server::start(root)?;
        command.env(postgres::VARIABLE, server.address());
        Some(server)
    } else {
        None
    };
    Ok(if process::succeeds(&mut command)? { Status::Passed } else { Status::Failed })
}

fn list() -> String {
    use std::fmt::Write;
    let mut text = String::from("Benches:\n");
    for bench in BENCHES {
        let _ = writeln!(text, "  {:<10}{}", bench.name, bench.about);
    }
    text
}

/// A leading `--` separates our arguments from the measurement's; it is not one of either.
fn forwarded(args: &[String]) -> &[String] {
    match args.split_first() {
        Some((first, rest)) if first == "--" => rest,
        _ => args,
    }
}

/// The program that cargo has built by this profile.
pub(crate) fn binary(root: &Path, profile: &str) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |dir| root.join(dir));
    target.join(profile).join(format!("uplift{}", std::env::consts::EXE_SUFFIX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_and_list_name_every_bench() {
        for bench in BENCHES {
            assert!(HELP.contains(bench.about) && list().contains(bench.name), "{}", bench.name);
        }
    }

    #[test]
    fn an_unknown_bench_is_misuse() {
        let root = crate::root::find().unwrap();
        assert_eq!(run(&root, &["nothing".to_owned()]).unwrap(), Status::Misused);
        assert_eq!(run(&root, &[]).unwrap(), Status::Misused);
    }

    #[test]
    fn a_leading_separator_is_not_forwarded() {
        let args = ["--", "--events", "--", "9"].map(str::to_owned);
        assert_eq!(forwarded(&args), &args[1..]);
        assert_eq!(forwarded(&args[1..]), &args[1..]);
    }
}
