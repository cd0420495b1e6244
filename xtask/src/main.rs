//! Project tasks: `cargo xtask <command>`.
//!
//! In reading order:
//!
//! - [`tidy`]: what the house rules say and a compiler does not check.
//! - [`test`]: prepares what the tests need, then runs them.
//! - [`ci`]: every check in order, with its duration.
//! - [`postgres`]: a throw-away PostgreSQL for the tests and for trying things out.
//! - [`bench`]: measurements by name.
//! - [`screenshots`]: pictures of the dashboard for the documentation.
//! - [`browser`], [`python`], [`debian`]: programs from outside that the tests and the pictures need.
//! - [`process`], [`root`]: running programs, finding the workspace.
#![forbid(unsafe_code)]

mod bench;
mod browser;
mod ci;
mod debian;
mod postgres;
mod process;
mod python;
mod root;
mod screenshots;
mod test;
mod tidy;

use std::path::Path;
use std::process::ExitCode;

/// One word after `cargo xtask`.
struct Command {
    name: &'static str,
    usage: &'static str,
    about: &'static str,
    help: &'static str,
    run: fn(&Path, &[String]) -> anyhow::Result<Status>,
}

/// How a command ended when nothing unexpected happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// Everything held.
    Passed,
    /// Something it checks does not hold; the command has said what.
    Failed,
    /// It was called in a way it does not understand; the command has said why.
    Misused,
}

const COMMANDS: &[Command] = &[
    Command { name: "tidy", usage: "tidy", about: "check the house rules", help: tidy::HELP, run: tidy::run },
    Command {
        name: "test",
        usage: "test [-- ARGS]",
        about: "prepare what the tests need and run them",
        help: test::HELP,
        run: test::run,
    },
    Command {
        name: "ci",
        usage: "ci",
        about: "format, clippy, tidy, deny and test, stopping at the first failure",
        help: ci::HELP,
        run: ci::run,
    },
    Command {
        name: "postgres",
        usage: "postgres",
        about: "run a throw-away PostgreSQL until Ctrl-C",
        help: postgres::HELP,
        run: postgres::run,
    },
    Command {
        name: "bench",
        usage: "bench NAME [ARGS]",
        about: "build the release binary and measure",
        help: bench::HELP,
        run: bench::run,
    },
    Command {
        name: "screenshots",
        usage: "screenshots",
        about: "make the pictures of the dashboard",
        help: screenshots::HELP,
        run: screenshots::run,
    },
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&args) {
        Ok(Status::Passed) => ExitCode::SUCCESS,
        Ok(Status::Failed) => ExitCode::FAILURE,
        Ok(Status::Misused) => ExitCode::from(2),
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(args: &[String]) -> anyhow::Result<Status> {
    let Some(word) = args.first() else {
        print!("{}", overview());
        return Ok(Status::Misused);
    };
    if asks_for_help(word) || word == "help" {
        return Ok(help(args.get(1).map(String::as_str)));
    }
    let Some(command) = COMMANDS.iter().find(|command| command.name == word) else {
        eprint!("xtask: there is no command `{word}`\n\n{}", overview());
        return Ok(Status::Misused);
    };
    let rest = &args[1..];
    // What follows `--` belongs to the program that the command runs.
    if rest.iter().take_while(|arg| *arg != "--").any(|arg| asks_for_help(arg)) {
        return Ok(help(Some(word)));
    }
    (command.run)(&root::find()?, rest)
}

fn asks_for_help(arg: &str) -> bool {
    arg == "--help" || arg == "-h"
}

fn help(word: Option<&str>) -> Status {
    let Some(word) = word else {
        print!("{}", overview());
        return Status::Passed;
    };
    if let Some(command) = COMMANDS.iter().find(|command| command.name == word) {
        println!("cargo xtask {}: {}\n\n{}", command.usage, command.about, command.help.trim());
        Status::Passed
    } else {
        eprint!("xtask: there is no command `{word}`\n\n{}", overview());
        Status::Misused
    }
}

fn overview() -> String {
    use std::fmt::Write;
    let mut text = String::from("Usage: cargo xtask <command>\n\nCommands:\n");
    for command in COMMANDS {
        let _ = writeln!(text, "  {:<20}{}", command.usage, command.about);
    }
    text.push_str("\n`cargo xtask help <command>` says more about one.\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn an_unknown_command_is_misuse() {
        assert_eq!(dispatch(&words("polish")).unwrap(), Status::Misused);
        assert_eq!(dispatch(&words("help polish")).unwrap(), Status::Misused);
        assert_eq!(dispatch(&[]).unwrap(), Status::Misused);
    }

    #[test]
    fn every_command_has_help_and_is_listed() {
        for command in COMMANDS {
            assert!(!command.help.trim().is_empty(), "{}", command.name);
            assert!(overview().contains(command.usage), "{}", command.name);
            assert_eq!(dispatch(&words(&format!("{} --help", command.name))).unwrap(), Status::Passed);
        }
    }
}
