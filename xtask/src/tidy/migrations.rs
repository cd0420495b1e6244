//! Migrations are numbered without gaps, so that a database's version says which of them it has seen.

use super::Finding;
use super::tree::{File, Tree};

const FOLDERS: &[&str] = &["migrations/sqlite", "migrations/postgres"];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut found: Vec<Finding> = FOLDERS.iter().flat_map(|folder| check_folder(tree, folder)).collect();
    found.extend(check_pairs(tree));
    found
}

fn check_folder(tree: &Tree, folder: &str) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut numbered: Vec<(usize, &File)> = Vec::new();
    for (name, file) in tree.directly_in(folder) {
        match number(name) {
            Some(number) => numbered.push((number, file)),
            None => found.push(finding(
                file,
                "is not named like a migration".to_owned(),
                "name it NNN_name.sql, with three digits, lower-case letters, digits and underscores".to_owned(),
            )),
        }
    }
    numbered.sort_by_key(|(number, file)| (*number, file.path.as_str()));
    for (at, (number, file)) in numbered.iter().enumerate() {
        let expected = at + 1;
        if *number != expected {
            let remedy = format!("number it {expected:03}: no gap, nothing twice");
            found.push(finding(file, format!("is number {number:03}, after {at:03}"), remedy));
            // The ones after it would only repeat the same complaint.
            break;
        }
    }
    found
}

/// Once there is a second engine, both have the same migrations.
fn check_pairs(tree: &Tree) -> Vec<Finding> {
    let names = |folder| tree.directly_in(folder).collect::<Vec<_>>();
    let (first, second) = (names(FOLDERS[0]), names(FOLDERS[1]));
    if second.is_empty() {
        return Vec::new();
    }
    let unpaired = |these: &[(&str, &File)], others: &[(&str, &File)], folder: &str| -> Vec<Finding> {
        these
            .iter()
            .filter(|(name, _)| !others.iter().any(|(other, _)| other == name))
            .map(|(name, file)| finding(file, "has no twin".to_owned(), format!("write {folder}/{name}")))
            .collect()
    };
    [unpaired(&first, &second, FOLDERS[1]), unpaired(&second, &first, FOLDERS[0])].concat()
}

fn number(name: &str) -> Option<usize> {
    let (digits, rest) = name.split_once('_')?;
    let words = rest.strip_suffix(".sql")?;
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let is_name = !words.is_empty() && words.bytes().all(plain);
    (digits.len() == 3 && digits.bytes().all(|byte| byte.is_ascii_digit()) && is_name)
        .then(|| digits.parse().ok())
        .flatten()
}

fn finding(file: &File, problem: String, remedy: String) -> Finding {
    Finding { path: file.path.clone(), line: 1, problem, remedy }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(paths: &[&str]) -> Vec<String> {
        let files: Vec<(&str, &str)> = paths.iter().map(|path| (*path, "")).collect();
        check(&Tree::of(&files)).into_iter().map(|finding| finding.to_string()).collect()
    }

    #[test]
    fn numbers_without_gaps_pass() {
        assert!(found(&["migrations/sqlite/001_add_a.sql", "migrations/sqlite/002_add_b2.sql"]).is_empty());
        assert!(found(&[]).is_empty());
    }

    #[test]
    fn gaps_doubles_and_other_names_are_found() {
        let table: &[(&[&str], &str)] = &[
            (&["migrations/sqlite/002_a.sql"], "002_a.sql:1: is number 002, after 000: number it 001"),
            (
                &["migrations/sqlite/001_a.sql", "migrations/sqlite/003_b.sql"],
                "003_b.sql:1: is number 003, after 001",
            ),
            (
                &["migrations/sqlite/001_a.sql", "migrations/sqlite/001_b.sql"],
                "001_b.sql:1: is number 001, after 001",
            ),
            (&["migrations/sqlite/1_a.sql"], "1_a.sql:1: is not named like a migration"),
            (&["migrations/sqlite/001_A.sql"], "is not named like a migration"),
            (&["migrations/sqlite/001_a.txt"], "is not named like a migration"),
            (&["migrations/sqlite/+01_a.sql"], "is not named like a migration"),
        ];
        for (paths, expected) in table {
            let text = found(paths);
            assert!(text.len() == 1 && text[0].contains(expected), "{paths:?}: {text:?}");
        }
    }

    #[test]
    fn two_engines_have_the_same_migrations() {
        let both = ["migrations/postgres/001_a.sql", "migrations/sqlite/001_a.sql"];
        assert!(found(&both).is_empty());
        let one =
            found(&["migrations/postgres/001_a.sql", "migrations/sqlite/001_a.sql", "migrations/sqlite/002_b.sql"]);
        assert!(
            one.len() == 1 && one[0].contains("002_b.sql:1: has no twin: write migrations/postgres/002_b.sql"),
            "{one:?}"
        );
    }
}
