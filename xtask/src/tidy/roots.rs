//! Every crate says at its top what it is, and forbids unsafe code itself: the workspace's lint could be
//! left out of a manifest unseen.

use super::Finding;
use super::source::Source;
use super::tree::{File, Tree};

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    tree.rust().filter(|file| is_root(file)).flat_map(check_file).collect()
}

fn is_root(file: &File) -> bool {
    let below = match file.path.split_once('/') {
        Some(("xtask", rest)) => rest,
        Some(("crates", rest)) => rest.split_once('/').map_or("", |(_, rest)| rest),
        _ => return false,
    };
    matches!(below, "src/lib.rs" | "src/main.rs")
}

fn check_file(file: &File) -> Vec<Finding> {
    let finding = |problem: &str, remedy: &str| Finding {
        path: file.path.clone(),
        line: 1,
        problem: problem.to_owned(),
        remedy: remedy.to_owned(),
    };
    let mut found = Vec::new();
    if !file.text.starts_with("//!") {
        found.push(finding(
            "does not start with `//!`",
            "say what this crate is, and list its modules in reading order",
        ));
    }
    if !Source::new(&file.text).code.contains("#![forbid(unsafe_code)]") {
        found.push(finding("does not forbid unsafe code", "add #![forbid(unsafe_code)] below the documentation"));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> usize {
        check(&Tree::of(&[(path, text)])).len()
    }

    #[test]
    fn both_lines_are_needed() {
        let path = "crates/web/src/lib.rs";
        assert_eq!(found(path, "//! Map.\n#![forbid(unsafe_code)]\n"), 0);
        assert_eq!(found(path, "//! Map.\n"), 1);
        assert_eq!(found(path, "//! Map: #![forbid(unsafe_code)]\n"), 1);
        assert_eq!(found(path, "#![forbid(unsafe_code)]\n"), 1);
        assert_eq!(found(path, ""), 2);
    }

    #[test]
    fn only_roots_of_crates_are_asked() {
        assert_eq!(found("xtask/src/main.rs", ""), 2);
        assert_eq!(found("crates/app/src/main.rs", ""), 2);
        assert_eq!(found("crates/app/src/cli/main.rs", ""), 0);
        assert_eq!(found("crates/app/src/cli/mod.rs", ""), 0);
    }
}
