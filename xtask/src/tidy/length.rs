//! Files stay short enough to be read in one sitting.

use super::Finding;
use super::source::{Source, first_test_module};
use super::tree::{File, Tree};

const MOST_LINES: usize = 500;
const EXEMPTION: &str = "// tidy: flat table";
/// The exemption must be where a reader sees it first.
const EXEMPTION_WITHIN: usize = 30;

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    tree.rust().filter(|file| !file.is_test() && !is_exempt(file)).filter_map(check_file).collect()
}

fn is_exempt(file: &File) -> bool {
    file.text.lines().take(EXEMPTION_WITHIN).any(|line| line.trim() == EXEMPTION)
}

fn check_file(file: &File) -> Option<Finding> {
    let lines = match first_test_module(&Source::new(&file.text).code) {
        Some(line) => line - 1,
        None => file.text.lines().count(),
    };
    (lines > MOST_LINES).then(|| Finding {
        path: file.path.clone(),
        line: MOST_LINES + 1,
        problem: format!("{lines} lines of production code, at most {MOST_LINES}"),
        remedy: format!("split it by what changes together; a flat table says `{EXEMPTION}` at its top"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> usize {
        check(&Tree::of(&[(path, text)])).len()
    }

    #[test]
    fn one_line_more_is_too_many() {
        assert_eq!(found("crates/web/src/a.rs", &"x();\n".repeat(500)), 0);
        assert_eq!(found("crates/web/src/a.rs", &"x();\n".repeat(501)), 1);
    }

    #[test]
    fn tests_do_not_count() {
        let tested = format!("{}#[cfg(test)]\nmod tests {{\n{}}}\n", "x();\n".repeat(400), "y();\n".repeat(400));
        assert_eq!(found("crates/web/src/a.rs", &tested), 0);
        let long = "x();\n".repeat(900);
        for path in ["crates/web/tests/a.rs", "crates/web/benches/a.rs", "crates/web/src/api/tests.rs"] {
            assert_eq!(found(path, &long), 0, "{path}");
        }
        let item = format!("#[cfg(test)]\nfn helper() {{}}\n{}", "x();\n".repeat(600));
        assert_eq!(found("crates/web/src/a.rs", &item), 1);
    }

    #[test]
    fn a_flat_table_says_so_at_its_top() {
        let long = "x();\n".repeat(900);
        assert_eq!(found("crates/web/src/a.rs", &format!("//! T.\n// tidy: flat table\n{long}")), 0);
        assert_eq!(found("crates/web/src/a.rs", &format!("{long}// tidy: flat table\n")), 1);
    }
}
