//! What should not outlive the moment it was typed: unfinished code, and folders of one machine.

use super::Finding;
use super::source::{Source, line_of};
use super::tree::{File, Tree};

const MACROS: &[&str] = &["todo!", "unimplemented!", "dbg!"];
/// Folders below the root of a file system in which people and machines keep their work.
const FOLDERS: &[&str] = &["work", "root", "home"];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    tree.files().iter().flat_map(|file| unfinished(file).into_iter().chain(machine_paths(file))).collect()
}

fn unfinished(file: &File) -> Vec<Finding> {
    if !file.is_rust() {
        return Vec::new();
    }
    let code = Source::new(&file.text).code;
    let mut found = Vec::new();
    for name in MACROS {
        for (at, _) in code.match_indices(name).filter(|(at, _)| !follows_word(&code, *at)) {
            found.push(Finding {
                path: file.path.clone(),
                line: line_of(&code, at),
                problem: format!("{name} is left in"),
                remedy: "finish it, or return an error that says what is not supported".to_owned(),
            });
        }
    }
    found
}

fn machine_paths(file: &File) -> Vec<Finding> {
    file.lines()
        .filter_map(|(line, text)| {
            let folder = FOLDERS.iter().find(|folder| names_folder(text, folder))?;
            Some(Finding {
                path: file.path.clone(),
                line,
                problem: format!("names the folder /{folder}/ of one machine"),
                remedy: "use a path relative to the repository, or /srv/ in examples".to_owned(),
            })
        })
        .collect()
}

/// Whether `/folder/` stands in the text as the beginning of a path: not in the middle of a relative path,
/// of a web address, or behind a variable.
fn names_folder(text: &str, folder: &str) -> bool {
    let needle = format!("/{folder}/");
    text.match_indices(&needle).any(|(at, _)| !text[..at].ends_with(continues_a_path))
}

fn continues_a_path(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '.' | '_' | '-' | '~' | '*' | '}' | ')' | '>' | ']')
}

fn follows_word(code: &str, at: usize) -> bool {
    code[..at].ends_with(|character: char| character.is_alphanumeric() || character == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<usize> {
        check(&Tree::of(&[(path, text)])).into_iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn unfinished_code_is_found_and_talk_of_it_is_not() {
        for name in MACROS {
            assert_eq!(found("crates/web/src/a.rs", &format!("fn f() {{\n    {name}(1);\n}}\n")), [2], "{name}");
            assert!(
                found("crates/web/src/a.rs", &format!("// {name}(\nlet x = \"{name}(\";\n")).is_empty(),
                "{name}"
            );
            assert!(found("docs/a.md", &format!("{name}(")).is_empty(), "{name}");
        }
        assert!(found("crates/web/src/a.rs", "my_dbg!(1);").is_empty());
    }

    #[test]
    fn folders_of_one_machine_are_found_in_any_file() {
        for folder in FOLDERS {
            for text in [format!("x = \"/{folder}/me\""), format!("see file:///{folder}/me"), format!("/{folder}/")] {
                assert_eq!(found("docs/a.md", &format!("line\n{text}\n")), [2], "{text}");
            }
        }
    }

    #[test]
    fn paths_that_begin_elsewhere_pass() {
        for folder in FOLDERS {
            for before in ["https://example.org", "..", "${DIR}", "$(pwd)", "target", "{id}", "~"] {
                let text = format!("{before}/{folder}/x");
                assert!(found("docs/a.md", &text).is_empty(), "{text}");
            }
        }
        assert!(found("docs/a.md", "/workspace/ and /roots/").is_empty());
    }
}
