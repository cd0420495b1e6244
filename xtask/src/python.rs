//! Environments of Python with the packages of a list, beside what is built, so that nothing else is touched.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use crate::process;

/// Makes one in this folder where it is missing or out of date; its Python.
///
/// # Errors
/// When there is no Python, or a package cannot be installed.
pub(crate) fn environment(root: &Path, folder: &str, requirements: &str) -> anyhow::Result<PathBuf> {
    let folder = root.join(folder);
    let (python, stamp) = (folder.join("bin/python"), folder.join("installed.txt"));
    let wanted = std::fs::read(root.join(requirements)).with_context(|| format!("{requirements} cannot be read"))?;
    if std::fs::read(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(python);
    }
    let made = process::succeeds(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
    anyhow::ensure!(made, "python3 cannot make a virtual environment: install Python 3.10 or later with `venv`");
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement", requirements]);
    let installed = process::succeeds(pip.current_dir(root))?;
    anyhow::ensure!(installed, "the packages of {requirements} cannot be installed: see what pip says above");
    std::fs::write(&stamp, &wanted).with_context(|| format!("{} cannot be written", stamp.display()))?;
    Ok(python)
}
