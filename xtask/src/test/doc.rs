//! Whether there are documentation tests: running the doc test runner over crates without any costs a
//! build of each and says nothing.

use std::path::Path;

use anyhow::Context;

/// Whether any Rust file below `folder` has a code block in its documentation that is compiled.
pub(super) fn any(folder: &Path) -> anyhow::Result<bool> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        let found = if path.is_dir() {
            any(&path)?
        } else {
            path.extension().is_some_and(|extension| extension == "rs")
                && has_tested_block(&std::fs::read_to_string(&path).unwrap_or_default())
        };
        if found {
            return Ok(true);
        }
    }
    Ok(false)
}

fn has_tested_block(text: &str) -> bool {
    let mut inside = false;
    for line in text.lines() {
        let line = line.trim_start();
        let Some(doc) = line.strip_prefix("///").or_else(|| line.strip_prefix("//!")) else {
            inside = false;
            continue;
        };
        let Some(tags) = doc.trim_start().strip_prefix("```") else { continue };
        if inside {
            inside = false;
        } else if is_tested(tags) {
            return true;
        } else {
            inside = true;
        }
    }
    false
}

/// A block without a language is Rust; `ignore` and other languages are not compiled.
fn is_tested(tags: &str) -> bool {
    tags.split([',', ' '])
        .map(str::trim)
        .filter(|tag| !tag.is_empty())
        .all(|tag| matches!(tag, "rust" | "should_panic" | "no_run" | "compile_fail") || tag.starts_with("edition"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_that_are_compiled() {
        let table = [
            ("/// ```\n/// let x = 1;\n/// ```", true),
            ("//! ```rust,no_run\n//! x();\n//! ```", true),
            ("/// ```json\n/// {}\n/// ```", false),
            ("/// ```text\n/// a\n/// ```\n/// ```\n/// let x = 1;\n/// ```", true),
            ("/// ```ignore\n/// x\n/// ```", false),
            ("// ```\n// plain comment\n// ```", false),
            ("let fence = \"```\";", false),
        ];
        for (text, expected) in table {
            assert_eq!(has_tested_block(text), expected, "{text}");
        }
    }

    #[test]
    fn folders_are_searched_to_the_bottom() {
        let folder = std::env::temp_dir().join(format!("xtask-doc-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("a/src")).unwrap();
        let before = any(&folder).unwrap();
        std::fs::write(folder.join("a/src/lib.rs"), "/// ```\n/// let x = 1;\n/// ```\npub fn f() {}\n").unwrap();
        let after = any(&folder).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!((before, after), (false, true));
    }
}
