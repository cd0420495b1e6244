//! Every check in order, each with its duration; the first failure stops.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::{Status, process, test, tidy};

pub(crate) const HELP: &str = "\
Runs, stopping at the first failure:

  fmt      cargo fmt --check
  tidy     cargo xtask tidy
  clippy   cargo clippy --workspace --all-targets -- -D warnings
  deny     cargo deny check bans licenses sources
  test     cargo xtask test

and ends with a table of steps and durations. Vulnerability advisories are not among the checks: they need a
clone of a database that changes by itself, so the same commit would not always give the same answer.";

/// One check.
struct Step {
    name: &'static str,
    run: fn(&Path) -> anyhow::Result<Status>,
}

const STEPS: &[Step] = &[
    Step { name: "fmt", run: |root| cargo(root, &["fmt", "--all", "--check"]) },
    Step { name: "tidy", run: |root| tidy::run(root, &[]) },
    Step { name: "clippy", run: |root| cargo(root, CLIPPY) },
    Step { name: "deny", run: deny },
    Step { name: "test", run: |root| test::run(root, &[]) },
];

const CLIPPY: &[&str] = &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];

pub(crate) fn run(root: &Path, args: &[String]) -> anyhow::Result<Status> {
    if let Some(arg) = args.first() {
        eprintln!("xtask: ci takes no arguments, not `{arg}`");
        return Ok(Status::Misused);
    }
    anyhow::ensure!(root.join("Cargo.toml").is_file(), "there is no workspace in {}", root.display());
    let results = run_steps(root, STEPS);
    eprint!("{}", summary(STEPS, &results));
    Ok(if results.len() == STEPS.len() && results.iter().all(|result| result.passed) {
        Status::Passed
    } else {
        Status::Failed
    })
}

/// How one step went.
struct StepResult {
    passed: bool,
    took: Duration,
}

fn run_steps(root: &Path, steps: &[Step]) -> Vec<StepResult> {
    let mut results = Vec::new();
    for step in steps {
        eprintln!("== {}", step.name);
        let start = Instant::now();
        let outcome = (step.run)(root);
        let took = start.elapsed();
        if let Err(error) = &outcome {
            eprintln!("{}: {error:#}", step.name);
        }
        let passed = matches!(outcome, Ok(Status::Passed));
        eprintln!("== {} {} in {:.1} s\n", step.name, word(passed), took.as_secs_f64());
        results.push(StepResult { passed, took });
        if !passed {
            break;
        }
    }
    results
}

fn summary(steps: &[Step], results: &[StepResult]) -> String {
    use std::fmt::Write;
    let mut text = String::from("Summary of the checks:\n");
    for (at, step) in steps.iter().enumerate() {
        let _ = match results.get(at) {
            Some(result) => {
                writeln!(text, "  {:<8}{:<8}{:>8.1} s", step.name, word(result.passed), result.took.as_secs_f64())
            }
            None => writeln!(text, "  {:<8}not run", step.name),
        };
    }
    let total: Duration = results.iter().map(|result| result.took).sum();
    let _ = writeln!(text, "  {:<16}{:>8.1} s", "total", total.as_secs_f64());
    text
}

fn word(passed: bool) -> &'static str {
    if passed { "passed" } else { "FAILED" }
}

fn cargo(root: &Path, args: &[&str]) -> anyhow::Result<Status> {
    Ok(if process::succeeds(process::cargo(root).args(args))? { Status::Passed } else { Status::Failed })
}

fn deny(root: &Path) -> anyhow::Result<Status> {
    if !process::has_subcommand(root, "deny") {
        eprintln!("cargo-deny is not installed: `cargo install --locked cargo-deny`");
        return Ok(Status::Failed);
    }
    // Who brings a crate in fills screens for every warning; without the option the same command shows it.
    cargo(root, &["deny", "check", "--hide-inclusion-graph", "bans", "licenses", "sources"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_failure_stops_and_the_summary_says_so() {
        let steps = [
            Step { name: "one", run: |_| Ok(Status::Passed) },
            Step { name: "two", run: |_| anyhow::bail!("broken") },
            Step { name: "three", run: |_| Ok(Status::Passed) },
        ];
        let results = run_steps(Path::new("."), &steps);
        assert_eq!(results.iter().map(|result| result.passed).collect::<Vec<_>>(), [true, false]);
        let text = summary(&steps, &results);
        assert!(text.contains("one     passed") && text.contains("two     FAILED"), "{text}");
        assert!(text.contains("three   not run"), "{text}");
    }

    #[test]
    fn arguments_are_misuse() {
        assert_eq!(run(Path::new("."), &["x".to_owned()]).unwrap(), Status::Misused);
    }

    #[test]
    fn help_names_every_step() {
        for step in STEPS {
            assert!(HELP.contains(&format!("\n  {} ", step.name)), "{}", step.name);
        }
    }
}
