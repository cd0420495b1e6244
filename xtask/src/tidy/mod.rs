//! `cargo xtask tidy`: what the house rules say and a compiler does not check.
//!
//! In reading order:
//!
//! - [`tree`]: the files under check. Every check is a pure function from a tree to findings, so that each
//!   is tested on a tree of a few lines.
//! - [`source`], [`paths`]: a Rust file without its comments, strings and tests, and the paths it names.
//! - [`arrows`], [`steps`], [`pure`]: who may import whom, and what the pure crates never touch.
//! - [`length`], [`roots`], [`leftovers`]: how files look.
//! - [`error_codes`], [`migrations`]: names that must agree with other names.

mod arrows;
mod error_codes;
mod leftovers;
mod length;
mod manifest;
mod migrations;
mod paths;
mod pure;
mod roots;
mod source;
mod steps;
mod tree;

use std::fmt;
use std::path::Path;

use crate::Status;
use tree::Tree;

pub(crate) const HELP: &str = "\
Checks every file that git tracks or would track:

  arrows       each crate imports only the crates below it
  steps        steps of crates/cycle never import each other
  pure         crates/model and crates/cycle know no clock, no input or output, no dice
  length       at most 500 lines of production code in a file; `// tidy: flat table` in the first 30 lines
               exempts a table
  roots        every lib.rs and main.rs starts with `//!` and forbids unsafe code
  leftovers    no unfinished code, no folders of one machine
  error codes  every code in a file marked `// tidy: error codes` has a page in docs/errors, and every page
               a code
  migrations   are named NNN_name.sql, without gaps

Each finding is one line: file:line: what is wrong: what to do.";

/// Something that does not hold, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    path: String,
    /// From 1.
    line: usize,
    problem: String,
    remedy: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}: {}", self.path, self.line, self.problem, self.remedy)
    }
}

const CHECKS: &[fn(&Tree) -> Vec<Finding>] = &[
    arrows::check,
    steps::check,
    pure::check,
    length::check,
    roots::check,
    leftovers::check,
    error_codes::check,
    migrations::check,
];

pub(crate) fn run(root: &Path, args: &[String]) -> anyhow::Result<Status> {
    if let Some(arg) = args.first() {
        eprintln!("xtask: tidy takes no arguments, not `{arg}`");
        return Ok(Status::Misused);
    }
    let tree = Tree::load(root)?;
    let findings = findings(&tree);
    for finding in &findings {
        println!("{finding}");
    }
    let files = tree.files().len();
    if findings.is_empty() {
        eprintln!("tidy: {files} files, nothing found");
        Ok(Status::Passed)
    } else {
        eprintln!("tidy: {files} files, {} found", findings.len());
        Ok(Status::Failed)
    }
}

fn findings(tree: &Tree) -> Vec<Finding> {
    let mut all: Vec<Finding> = CHECKS.iter().flat_map(|check| check(tree)).collect();
    all.sort();
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_one_line_with_place_problem_and_remedy() {
        let finding =
            Finding { path: "a/b.rs".into(), line: 7, problem: "is wrong".into(), remedy: "make it right".into() };
        assert_eq!(finding.to_string(), "a/b.rs:7: is wrong: make it right");
    }

    #[test]
    fn findings_of_all_checks_come_in_order_of_place() {
        let tree = Tree::of(&[
            ("crates/model/src/lib.rs", "#![forbid(unsafe_code)]\nfn f() { std::fs::read(\"x\"); }\n"),
            ("migrations/sqlite/002_b.sql", ""),
        ]);
        let places: Vec<String> =
            findings(&tree).into_iter().map(|finding| format!("{}:{}", finding.path, finding.line)).collect();
        assert!(places.len() >= 3 && places.is_sorted(), "{places:?}");
        assert!(places.contains(&"crates/model/src/lib.rs:1".to_owned()), "{places:?}");
        assert!(places.contains(&"crates/model/src/lib.rs:2".to_owned()), "{places:?}");
        assert!(places.contains(&"migrations/sqlite/002_b.sql:1".to_owned()), "{places:?}");
    }

    #[test]
    fn arguments_are_misuse() {
        assert_eq!(run(Path::new("."), &["x".to_owned()]).unwrap(), Status::Misused);
    }
}
