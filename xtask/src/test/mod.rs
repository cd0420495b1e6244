//! `cargo xtask test`: prepares what the tests need, then runs them.

mod doc;
mod needs;

use std::path::Path;

use crate::{Status, process};

pub(crate) const HELP: &str = "\
Prepares what the tests need, then runs all of them: with `cargo nextest run --workspace` if cargo-nextest is
installed, else with `cargo test --workspace`. Documentation tests run too if there are any.

Arguments after `--` go to the test runner, for instance a filter:

  cargo xtask test -- -p uplift-model fingerprint

With such arguments documentation tests are left out.

UPLIFT_DATA names the folder with real records (default: ../shared/data from the workspace's root). Without
it, the tests that need them say so and pass.

UPLIFT_TEST_POSTGRES names the PostgreSQL server that tests make schemas in. Where it is not set, a throw-away one is
started and stopped afterwards: see `cargo xtask help postgres`.";

pub(crate) fn run(root: &Path, args: &[String]) -> anyhow::Result<Status> {
    let Some(forwarded) = forwarded(args) else {
        eprintln!("xtask: arguments for the test runner go after `--`: cargo xtask test -- {}", args.join(" "));
        return Ok(Status::Misused);
    };
    let ready = needs::prepare(root)?;
    let nextest = process::has_subcommand(root, "nextest");
    // First, so that the runner's summary is the last thing on the screen. `cargo test` runs them by itself.
    if nextest && forwarded.is_empty() && doc::any(&root.join("crates"))? {
        let mut command = process::cargo(root);
        command.args(["test", "--doc", "--workspace"]).envs(ready.variables.clone());
        if !process::succeeds(&mut command)? {
            return Ok(Status::Failed);
        }
    }
    let mut command = process::cargo(root);
    command.args(runner(nextest)).args(scope(forwarded)).args(forwarded).envs(ready.variables.clone());
    Ok(if process::succeeds(&mut command)? { Status::Passed } else { Status::Failed })
}

/// The arguments after `--`; `None` if there are any before it.
fn forwarded(args: &[String]) -> Option<&[String]> {
    match args.split_first() {
        None => Some(args),
        Some((first, rest)) if first == "--" => Some(rest),
        Some(_) => None,
    }
}

fn runner(nextest: bool) -> &'static [&'static str] {
    if nextest {
        &["nextest", "run"]
    } else {
        eprintln!("cargo-nextest is not installed: using cargo test");
        &["test"]
    }
}

/// Without arguments, everything, past the first failure too: the list of failures should be whole. With
/// arguments, only what they do not settle themselves: cargo would let `--workspace` outdo `--package`.
fn scope(forwarded: &[String]) -> &'static [&'static str] {
    let names_package = forwarded
        .iter()
        .take_while(|arg| *arg != "--")
        .any(|arg| arg.starts_with("-p") || arg.starts_with("--package"));
    match (forwarded.is_empty(), names_package) {
        (true, _) => &["--workspace", "--no-fail-fast"],
        (false, true) => &[],
        (false, false) => &["--workspace"],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn only_what_follows_the_separator_is_forwarded() {
        assert_eq!(forwarded(&[]).unwrap(), &[] as &[String]);
        assert_eq!(forwarded(&words("-- -p x")).unwrap(), words("-p x"));
        assert!(forwarded(&words("-p x")).is_none());
    }

    #[test]
    fn a_named_package_narrows_the_run() {
        assert_eq!(scope(&[]), ["--workspace", "--no-fail-fast"]);
        assert_eq!(scope(&words("fingerprint")), ["--workspace"]);
        for text in ["-p uplift-model", "-puplift-model", "--package uplift-model", "--package=uplift-model"] {
            assert!(scope(&words(text)).is_empty(), "{text}");
        }
    }

    #[test]
    fn stray_arguments_are_misuse() {
        assert_eq!(run(Path::new("."), &words("fast")).unwrap(), Status::Misused);
    }
}
