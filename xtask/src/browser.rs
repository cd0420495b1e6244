//! A Chromium, and the Python that drives it: for the tests of the dashboard and for its pictures.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use crate::{debian, python};

/// What of Python drives the browser, and where it is installed.
const REQUIREMENTS: &str = "crates/app/tests/browser/requirements.txt";
const FOLDER: &str = "target/browser";

/// Names of the program, the first that is there.
const PROGRAMS: &[&str] = &["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"];

/// The package of Debian and its kin.
const PACKAGE: &str = "chromium";

/// The variables that lead the tests to both.
pub(crate) const PYTHON_VARIABLE: &str = "UPLIFT_TEST_BROWSER_PYTHON";
pub(crate) const CHROMIUM_VARIABLE: &str = "UPLIFT_TEST_CHROMIUM";

/// Both.
#[derive(Debug)]
pub(crate) struct Browser {
    pub(crate) python: PathBuf,
    pub(crate) chromium: PathBuf,
    /// What `chromium --version` says.
    pub(crate) version: String,
}

impl Browser {
    /// Finds them, or has them installed.
    ///
    /// # Errors
    /// When they are missing and cannot be installed from here.
    pub(crate) fn prepare(root: &Path) -> anyhow::Result<Self> {
        let chromium = match find() {
            Some(found) => found,
            None => install()?,
        };
        let asked = Command::new(&chromium).arg("--version").output();
        let output = asked.with_context(|| format!("{} cannot be started", chromium.display()))?;
        let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        anyhow::ensure!(output.status.success() && !version.is_empty(), "{} does not work", chromium.display());
        Ok(Self { python: python::environment(root, FOLDER, REQUIREMENTS)?, chromium, version })
    }
}

/// The one that is named, else the first on the search path.
fn find() -> Option<PathBuf> {
    let named = std::env::var_os(CHROMIUM_VARIABLE).filter(|named| !named.is_empty()).map(PathBuf::from);
    named.or_else(|| PROGRAMS.iter().find_map(|name| debian::on_path(name)))
}

fn install() -> anyhow::Result<PathBuf> {
    let advice = format!(
        "the tests of the dashboard need a Chromium: install it (Debian and Ubuntu: `apt-get install {PACKAGE}`), or \
         name one by {CHROMIUM_VARIABLE}, or pass over what needs it with `cargo nextest run`"
    );
    anyhow::ensure!(debian::can_install()?, advice);
    debian::install(PACKAGE)?;
    find().context(advice)
}
