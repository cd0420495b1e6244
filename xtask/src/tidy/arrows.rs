//! Import arrows: each crate imports only the crates below it.

use super::Finding;
use super::manifest::dependencies;
use super::paths::paths;
use super::source::Source;
use super::tree::{File, Tree};

/// What a crate of the house may import.
struct Arrow {
    /// Its folder below `crates/`.
    from: &'static str,
    to: &'static [&'static str],
}

const ARROWS: &[Arrow] = &[
    Arrow { from: "model", to: &[] },
    Arrow { from: "cycle", to: &["model"] },
    Arrow { from: "store", to: &["model"] },
    Arrow { from: "intake", to: &["model"] },
    Arrow { from: "runner", to: &["model", "cycle", "store", "intake"] },
    Arrow { from: "web", to: &["model", "cycle", "store", "intake", "runner"] },
    Arrow { from: "sim", to: &["model", "cycle", "store", "intake", "runner", "web"] },
    Arrow { from: "app", to: &["model", "cycle", "store", "intake", "runner", "web", "sim"] },
    // It must build fast, and while the others do not build at all.
    Arrow { from: "xtask", to: &[] },
];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    tree.files().iter().filter_map(|file| Some(check_file(file, file.package()?))).flatten().collect()
}

fn check_file(file: &File, package: &str) -> Vec<Finding> {
    let manifest = file.path.ends_with("/Cargo.toml");
    let imports: Vec<(usize, String)> = if manifest {
        dependencies(&file.text)
            .into_iter()
            .filter_map(|dependency| Some((dependency.line, house_crate(&dependency.package, '-')?)))
            .collect()
    } else if file.is_rust() {
        paths(&Source::new(&file.text).code)
            .into_iter()
            .filter_map(|path| Some((path.line, house_crate(path.first(), '_')?)))
            .collect()
    } else {
        Vec::new()
    };
    let Some(arrow) = ARROWS.iter().find(|arrow| arrow.from == package) else {
        return if manifest { vec![unknown(file, package)] } else { Vec::new() };
    };
    imports
        .into_iter()
        // A crate's own tests and binaries call it by its name.
        .filter(|(_, to)| to != package && !arrow.to.contains(&to.as_str()))
        .map(|(line, to)| forbidden(file, line, arrow, &to))
        .collect()
}

/// The folder of a crate of the house, from its package name or its name in code.
fn house_crate(name: &str, separator: char) -> Option<String> {
    let folder = name.strip_prefix("uplift")?.strip_prefix(separator)?;
    ARROWS.iter().any(|arrow| arrow.from == folder).then(|| folder.to_owned())
}

fn forbidden(file: &File, line: usize, arrow: &Arrow, to: &str) -> Finding {
    let allowed = if arrow.to.is_empty() { "no crate of the house".to_owned() } else { arrow.to.join(", ") };
    Finding {
        path: file.path.clone(),
        line,
        problem: format!("{} imports {to}", arrow.from),
        remedy: format!("it may import {allowed}; move what both need to model"),
    }
}

fn unknown(file: &File, package: &str) -> Finding {
    Finding {
        path: file.path.clone(),
        line: 1,
        problem: format!("crate {package} has no import arrows"),
        remedy: "add a row to ARROWS in xtask/src/tidy/arrows.rs".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<usize> {
        check(&Tree::of(&[(path, text)])).into_iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn manifests() {
        let table: &[(&str, &str, &[usize])] = &[
            ("crates/model/Cargo.toml", "[dependencies]\nserde.workspace = true\n", &[]),
            ("crates/model/Cargo.toml", "[dependencies]\nuplift-cycle.workspace = true\n", &[2]),
            ("crates/cycle/Cargo.toml", "[dependencies]\nuplift-model.workspace = true\n", &[]),
            ("crates/cycle/Cargo.toml", "[dev-dependencies]\nuplift-store.workspace = true\n", &[2]),
            (
                "crates/runner/Cargo.toml",
                "[dependencies]\nx = { package = \"uplift-web\", path = \"../web\" }\n",
                &[2],
            ),
            ("crates/web/Cargo.toml", "[dependencies]\nuplift-runner.workspace = true\n", &[]),
            ("crates/sim/Cargo.toml", "[dependencies.uplift-app]\npath = \"../app\"\n", &[1]),
            ("crates/app/Cargo.toml", "[dependencies]\nuplift-sim.workspace = true\n", &[]),
            ("xtask/Cargo.toml", "[dependencies]\nuplift-model.workspace = true\n", &[2]),
            ("crates/attic/Cargo.toml", "[package]\n", &[1]),
        ];
        for (path, text, lines) in table {
            assert_eq!(found(path, text), *lines, "{path}: {text}");
        }
    }

    #[test]
    fn code() {
        let table: &[(&str, &str, &[usize])] = &[
            ("crates/store/src/a.rs", "use uplift_model::Event;\n", &[]),
            ("crates/store/src/a.rs", "//! Not uplift_web.\nuse uplift_cycle::decide;\n", &[2]),
            ("crates/intake/tests/a.rs", "use uplift_intake::x;\nfn f() { uplift_store::open(); }\n", &[2]),
            ("crates/model/src/a.rs", "#[cfg(test)]\nmod tests { use uplift_sim::sample; }\n", &[2]),
            ("crates/model/src/a.rs", "let uplift_share = \"uplift_web::x\";\n", &[]),
        ];
        for (path, text, lines) in table {
            assert_eq!(found(path, text), *lines, "{path}: {text}");
        }
    }

    #[test]
    fn the_finding_says_what_is_allowed() {
        let tree = Tree::of(&[("crates/cycle/src/a.rs", "use uplift_web::x;\n")]);
        let text = check(&tree)[0].to_string();
        assert!(text.starts_with("crates/cycle/src/a.rs:1: cycle imports web: it may import model"), "{text}");
    }

    #[test]
    fn arrows_never_go_round() {
        for (at, arrow) in ARROWS.iter().enumerate() {
            let below: Vec<&str> = ARROWS[..at].iter().map(|earlier| earlier.from).collect();
            assert!(arrow.to.iter().all(|to| below.contains(to)), "{}", arrow.from);
        }
    }
}
