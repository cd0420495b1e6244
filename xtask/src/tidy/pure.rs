//! The pure crates know no clock, no input or output and no dice, so that a step replays from its input.
//! `clippy.toml` bans the calls with types resolved; this check finds modules too, and holds the bans in
//! place.

use super::Finding;
use super::manifest::dependencies;
use super::paths::{CodePath, paths};
use super::source::Source;
use super::tree::{File, Tree};

const CRATES: &[&str] = &["model", "cycle"];

/// Libraries that wait, serve or store.
const LIBRARIES: &[&str] = &["tokio", "axum", "rusqlite", "hyper", "reqwest"];

const TIME: &str = "take the time as an argument (`now` in the step's input)";
const IO: &str = "take what it reads as an argument and return what it writes; the runner does the rest";
const DICE: &str = "take the generator as an argument, seeded by the caller";

/// Paths that production code may not name, wherever they stand in a longer one.
const BANS: &[(&[&str], &str)] = &[
    (&["SystemTime", "now"], TIME),
    (&["Instant", "now"], TIME),
    (&["Timestamp", "now"], TIME),
    (&["Zoned", "now"], TIME),
    (&["thread", "sleep"], TIME),
    (&["std", "fs"], IO),
    (&["std", "env"], IO),
    (&["std", "net"], IO),
    (&["std", "process"], IO),
    (&["rand", "rng"], DICE),
    (&["rand", "random"], DICE),
];

/// What each pure crate's clippy.toml must ban.
const CLIPPY_BANS: &[&str] = &[
    "std::time::SystemTime::now",
    "std::time::Instant::now",
    "jiff::Timestamp::now",
    "jiff::Zoned::now",
    "std::thread::sleep",
    "std::fs::read",
    "std::fs::read_to_string",
    "std::fs::write",
    "std::fs::File::open",
    "std::fs::File::create",
    "std::env::var",
    "rand::rng",
];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for name in CRATES {
        let folder = format!("crates/{name}/");
        for file in tree.files().iter().filter(|file| file.path.starts_with(&folder)) {
            if file.path.ends_with("/Cargo.toml") {
                found.extend(check_manifest(file, name));
            } else if file.path.starts_with(&format!("{folder}src/")) && file.is_rust() && !file.is_test() {
                found.extend(check_code(file, name));
            }
        }
        found.extend(check_clippy(tree, name));
    }
    found
}

/// Whether a package or crate is one the pure crates must not know.
fn is_forbidden(package: &str, library: &str) -> bool {
    let library = library.replace('_', "-");
    LIBRARIES
        .iter()
        .any(|banned| library.strip_prefix(banned).is_some_and(|rest| rest.is_empty() || rest.starts_with('-')))
        || (library == "rand" && package == "model")
}

fn check_manifest(file: &File, package: &str) -> Vec<Finding> {
    dependencies(&file.text)
        .into_iter()
        .filter(|dependency| is_forbidden(package, &dependency.package))
        .map(|dependency| library_finding(file, dependency.line, package, &dependency.package))
        .collect()
}

fn check_code(file: &File, package: &str) -> Vec<Finding> {
    let source = Source::new(&file.text);
    // Libraries are out for tests too: their arrows are the same. Lone words may be names of anything.
    let libraries = paths(&source.code)
        .into_iter()
        .filter(|path| path.segments.len() > 1 && is_forbidden(package, path.first()))
        .map(|path| library_finding(file, path.line, package, path.first()));
    let bans = paths(&source.production).into_iter().filter_map(|path| ban_finding(file, package, &path));
    libraries.chain(bans).collect()
}

fn library_finding(file: &File, line: usize, package: &str, library: &str) -> Finding {
    Finding {
        path: file.path.clone(),
        line,
        problem: format!("{package} uses {library}"),
        remedy: "this crate waits for nothing and rolls no dice; do it in store, runner or web".to_owned(),
    }
}

fn ban_finding(file: &File, package: &str, path: &CodePath) -> Option<Finding> {
    let (banned, remedy) = BANS.iter().find(|(banned, _)| path.contains(banned))?;
    Some(Finding {
        path: file.path.clone(),
        line: path.line,
        problem: format!("{package} names {}", banned.join("::")),
        remedy: (*remedy).to_owned(),
    })
}

fn check_clippy(tree: &Tree, package: &str) -> Vec<Finding> {
    // A tree without the crate at all has nothing to ban.
    if tree.get(&format!("crates/{package}/Cargo.toml")).is_none() {
        return Vec::new();
    }
    let path = format!("crates/{package}/clippy.toml");
    let text = tree.get(&path).map_or("", |file| file.text.as_str());
    CLIPPY_BANS
        .iter()
        .filter(|ban| !text.contains(&format!("\"{ban}\"")))
        .map(|ban| Finding {
            path: path.clone(),
            line: 1,
            problem: format!("{ban} is not banned"),
            remedy: "add it to disallowed-methods, with its reason".to_owned(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        check(&Tree::of(&[(path, text)])).into_iter().map(|finding| finding.problem).collect()
    }

    #[test]
    fn every_ban_can_fail() {
        for (banned, _) in BANS {
            let call = banned.join("::");
            for text in [format!("fn f() {{ {call}(); }}\n"), format!("use {}::{{{}}};\n", banned[0], banned[1])] {
                assert_eq!(found("crates/cycle/src/a.rs", &text), [format!("cycle names {call}")], "{text}");
                assert!(found("crates/runner/src/a.rs", &text).is_empty(), "{text}");
            }
            let tested = format!("#[cfg(test)]\nmod tests {{ fn f() {{ {call}(); }} }}\n");
            assert!(found("crates/cycle/src/a.rs", &tested).is_empty(), "{tested}");
            assert!(found("crates/cycle/tests/a.rs", &format!("fn f() {{ {call}(); }}")).is_empty(), "{call}");
        }
    }

    #[test]
    fn what_only_looks_alike_passes() {
        let text = "//! Never std::fs.\nuse rand::rngs::SmallRng;\nuse std::time::Duration;\nfn now(env: u8) {}\n\
                    const S: &str = \"Instant::now\";\n";
        assert!(found("crates/cycle/src/a.rs", text).is_empty());
    }

    #[test]
    fn libraries_that_wait_are_out() {
        assert_eq!(found("crates/cycle/src/a.rs", "use tokio::sync::mpsc;\n"), ["cycle uses tokio"]);
        assert_eq!(found("crates/model/src/a.rs", "use rand::Rng;\n"), ["model uses rand"]);
        assert!(found("crates/cycle/src/a.rs", "use rand::Rng;\n").is_empty());
        assert!(found("crates/model/src/a.rs", "let hyper = 1;\n").is_empty());
    }

    #[test]
    fn manifests_are_read_and_bans_held_in_place() {
        let bans = format!("\"{}\"", CLIPPY_BANS.join("\"\n\""));
        let manifest = "[dependencies]\nserde = \"1\"\n[dev-dependencies]\ntokio-util = \"0.7\"\n";
        let tree = Tree::of(&[("crates/model/Cargo.toml", manifest), ("crates/model/clippy.toml", &bans)]);
        let findings = check(&tree);
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert_eq!((findings[0].line, findings[0].problem.as_str()), (4, "model uses tokio-util"));

        let without = bans.replace("std::env::var", "other");
        let tree = Tree::of(&[("crates/cycle/Cargo.toml", ""), ("crates/cycle/clippy.toml", &without)]);
        assert_eq!(check(&tree)[0].problem, "std::env::var is not banned");
        assert_eq!(check(&Tree::of(&[("crates/cycle/Cargo.toml", "")])).len(), CLIPPY_BANS.len());
    }
}
