//! Every error code a client can meet has a page that explains it, and no page outlives its code.

use std::collections::BTreeMap;

use super::Finding;
use super::source::Source;
use super::tree::{File, Tree};

const MARKER: &str = "// tidy: error codes";
const PAGES: &str = "docs/errors";
/// Introduces the pages; not a page of a code.
const INDEX: &str = "README.md";

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut codes: BTreeMap<String, (String, usize)> = BTreeMap::new();
    for file in tree.rust() {
        let Some((marker, _)) = file.lines().find(|(_, line)| line.trim() == MARKER) else { continue };
        let declared = declared(file);
        if declared.is_empty() {
            found.push(Finding {
                path: file.path.clone(),
                line: marker,
                problem: "marked as declaring error codes, and declares none".to_owned(),
                remedy: "write each as `=> \"code_name\"` on its own line, or remove the mark".to_owned(),
            });
        }
        for (line, code) in declared {
            codes.entry(code).or_insert((file.path.clone(), line));
        }
    }
    found.extend(without_page(tree, &codes));
    found.extend(without_code(tree, &codes));
    found
}

fn without_page<'a>(
    tree: &'a Tree,
    codes: &'a BTreeMap<String, (String, usize)>,
) -> impl Iterator<Item = Finding> + 'a {
    codes.iter().filter(|(code, _)| tree.get(&format!("{PAGES}/{code}.md")).is_none()).map(|(code, (path, line))| {
        Finding {
            path: path.clone(),
            line: *line,
            problem: format!("error code {code} has no page"),
            remedy: format!("write {PAGES}/{code}.md: when it happens, what to do"),
        }
    })
}

fn without_code<'a>(
    tree: &'a Tree,
    codes: &'a BTreeMap<String, (String, usize)>,
) -> impl Iterator<Item = Finding> + 'a {
    tree.directly_in(PAGES)
        .filter(|(name, _)| *name != INDEX && name.strip_suffix(".md").is_none_or(|code| !codes.contains_key(code)))
        .map(|(name, file)| Finding {
            path: file.path.clone(),
            line: 1,
            problem: format!("no error code is called {}", name.strip_suffix(".md").unwrap_or(name)),
            remedy: format!("remove the page, or declare the code in a file marked `{MARKER}`"),
        })
}

/// The codes of a marked file, with their lines: `=> "code_name"`, one a line, outside tests.
fn declared(file: &File) -> Vec<(usize, String)> {
    let production = Source::new(&file.text).production;
    file.lines()
        .zip(production.lines())
        .filter_map(|((line, text), code)| {
            // The blanked view says where a literal is, the text itself what is in it.
            let at = code.find("=> \"")? + "=> \"".len();
            let code = text.get(at..)?.split('"').next()?;
            is_code(code).then(|| (line, code.to_owned()))
        })
        .collect()
}

fn is_code(text: &str) -> bool {
    text.split('_').all(|word| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODES: &str = "// tidy: error codes\nmatch self {\n    Self::A => \"not_found\",\n    Self::B => \"conflict\",\n\
                         \x20   // Self::C => \"commented\",\n    Self::D => \"Not a code\",\n}\n\
                         #[cfg(test)]\nmod tests { fn f() { match x { _ => \"in_test\" } } }\n";

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        check(&Tree::of(files)).into_iter().map(|finding| format!("{}:{}", finding.path, finding.line)).collect()
    }

    #[test]
    fn codes_with_pages_pass() {
        let files = [
            ("crates/web/src/error.rs", CODES),
            ("docs/errors/README.md", ""),
            ("docs/errors/conflict.md", ""),
            ("docs/errors/not_found.md", ""),
        ];
        assert!(found(&files).is_empty());
    }

    #[test]
    fn a_code_without_a_page_and_a_page_without_a_code() {
        let files =
            [("crates/web/src/error.rs", CODES), ("docs/errors/not_found.md", ""), ("docs/errors/gone.md", "")];
        assert_eq!(found(&files), ["crates/web/src/error.rs:4", "docs/errors/gone.md:1"]);
    }

    #[test]
    fn only_marked_files_declare_codes() {
        let unmarked = CODES.replace(MARKER, "// about error codes");
        assert!(found(&[("crates/web/src/a.rs", &unmarked)]).is_empty());
        assert_eq!(found(&[("crates/web/src/a.rs", MARKER)]), ["crates/web/src/a.rs:1"]);
    }
}
