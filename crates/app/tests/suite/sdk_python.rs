//! The Python SDK as users get it: its wheel is built and installed, its types are checked, and its own tests run against
//! servers that they start.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::folder;

/// A Python with what the tests of the SDK use: `cargo xtask test` makes one and names it by this variable.
const PYTHON: &str = "UPLIFT_TEST_PYTHON";

fn python() -> Option<PathBuf> {
    let named = std::env::var_os(PYTHON).map(PathBuf::from);
    if named.is_none() {
        eprintln!("SKIPPED: {PYTHON} names no Python with pytest; `cargo xtask test` prepares one");
    }
    named
}

fn sdk() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../sdk/python")
}

/// Runs a module of Python in a folder, with what is installed in `site` before everything else.
#[track_caller]
fn runs(python: &Path, at: &Path, site: &Path, arguments: &[&str]) {
    let mut command = Command::new(python);
    command.arg("-m").args(arguments).current_dir(at).env("PYTHONPATH", site).env("NO_PROXY", "*");
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("UPLIFT_") || name.starts_with("OTEL_")) {
        command.env_remove(name);
    }
    command.env("UPLIFT_TEST_BINARY", env!("CARGO_BIN_EXE_uplift")).env("PYTHONDONTWRITEBYTECODE", "1");
    let ran = command.output().expect("Python runs");
    let (out, err) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{arguments:?}\n{out}\n{err}");
}

#[test]
fn the_python_sdk_does_what_its_tests_say() {
    let Some(python) = python() else { return };
    let (folder, sdk) = (folder(), sdk());
    let (wheels, site) = (folder.path().join("wheels"), folder.path().join("site"));
    let text = |path: &Path| path.to_str().expect("a readable path").to_owned();
    // Nothing is left in the repository: the wheel is built from it, elsewhere.
    runs(&python, &sdk, &site, &["hatchling", "build", "--target", "wheel", "--directory", &text(&wheels)]);
    let wheel = std::fs::read_dir(&wheels).expect("wheels").next().expect("one").expect("readable").path();
    let install = ["pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-index", "--target"];
    runs(&python, &sdk, &site, &[&install[..], &[&text(&site), &text(&wheel)]].concat());
    assert!(site.join("uplift_sdk/py.typed").is_file(), "the wheel says that it is typed");
    let cache = text(&folder.path().join("mypy"));
    runs(&python, &sdk, &site, &["mypy", "--cache-dir", &cache]);
    runs(&python, &sdk, &site, &["pytest", "-q", "--no-header", "-p", "no:cacheprovider"]);
}
