//! Steps of the loop never import each other: they meet in the nouns only, so that each can be read, tested
//! and replaced alone.

use super::Finding;
use super::paths::{CodePath, paths};
use super::source::Source;
use super::tree::{File, Tree};

const STEPS: &[&str] = &["observe", "detect", "propose", "validate", "trial", "monitor", "decide", "document"];
const SOURCES: &str = "crates/cycle/src/";

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    tree.rust().filter_map(|file| Some(check_file(tree, file, step_of(file)?))).flatten().collect()
}

/// The step a file belongs to: `detect/errors.rs` and `detect.rs` to `detect`.
fn step_of(file: &File) -> Option<&'static str> {
    let first = file.path.strip_prefix(SOURCES)?.split('/').next()?;
    STEPS.iter().copied().find(|step| first.strip_suffix(".rs").unwrap_or(first) == *step)
}

fn check_file(tree: &Tree, file: &File, step: &str) -> Vec<Finding> {
    paths(&Source::new(&file.text).code)
        .into_iter()
        .filter_map(|path| {
            let other = other_step(tree, step, &path)?;
            Some(Finding {
                path: file.path.clone(),
                line: path.line,
                problem: format!("step {step} imports step {other}"),
                remedy: "pass what it needs in the input, or move what both need to crate::stats or model".to_owned(),
            })
        })
        .collect()
}

fn other_step(tree: &Tree, step: &str, path: &CodePath) -> Option<&'static str> {
    let ups = path.segments.iter().take_while(|segment| *segment == "super").count();
    let name = match path.first() {
        "crate" | "uplift_cycle" => path.segments.get(1)?,
        "super" => path.segments.get(ups)?,
        _ => return None,
    };
    let other = STEPS.iter().copied().find(|other| *other != step && other == name)?;
    // A step may have a module of its own with another step's name; `super` then means that one.
    let own = [format!("{SOURCES}{step}/{other}.rs"), format!("{SOURCES}{step}/{other}/mod.rs")];
    let is_own = path.first() == "super" && own.iter().any(|own| tree.get(own).is_some());
    (!is_own).then_some(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<usize> {
        check(&Tree::of(files)).into_iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn steps_may_use_statistics_and_themselves() {
        let text = "use crate::stats::normal;\nuse crate::detect::rules;\nuse super::super::stats;\nuse uplift_model::Event;\n";
        assert!(found(&[("crates/cycle/src/detect/errors.rs", text)]).is_empty());
    }

    #[test]
    fn steps_may_not_use_each_other() {
        let table = [
            "use crate::observe::window;\n",
            "use crate::{observe::window, stats};\n",
            "use super::super::observe::window;\n",
            "fn f() { crate::observe::window() }\n",
            "use uplift_cycle::observe;\n",
            "#[cfg(test)] mod tests { use crate::observe; }\n",
        ];
        for text in table {
            assert_eq!(found(&[("crates/cycle/src/detect/errors.rs", text)]), [1], "{text}");
            assert!(found(&[("crates/cycle/src/lib.rs", text)]).is_empty(), "{text}");
            assert!(found(&[("crates/runner/src/detect/errors.rs", text)]).is_empty(), "{text}");
        }
        assert_eq!(found(&[("crates/cycle/src/detect.rs", "use crate::decide::x;\n")]), [1]);
    }

    #[test]
    fn a_module_of_its_own_with_a_steps_name_is_no_step() {
        let files = [
            ("crates/cycle/src/trial/mod.rs", "use super::trial::observe::x;\n"),
            ("crates/cycle/src/trial/observe.rs", ""),
        ];
        assert!(found(&files).is_empty());
        let files =
            [("crates/cycle/src/trial/a.rs", "use super::observe::x;\n"), ("crates/cycle/src/trial/observe.rs", "")];
        assert!(found(&files).is_empty());
    }
}
