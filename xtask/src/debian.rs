//! Programs of the system, and Debian's packages with those that are missing.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;

use crate::{postgres, process};

/// The program of this name on the search path.
pub(crate) fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(OsStr::new(name))).find(|program| program.is_file())
}

/// Whether packages can be installed from here: where there is apt-get, by root.
///
/// # Errors
/// When nobody can say who we are.
pub(crate) fn can_install() -> anyhow::Result<bool> {
    Ok(on_path("apt-get").is_some() && postgres::is_root()?)
}

/// Has a package installed, and nothing that it merely recommends.///
/// # Errors
/// When it cannot be installed.
pub(crate) fn install(package: &str) -> anyhow::Result<()> {
    eprintln!("{package} is missing: installing it, which takes about a minute");
    for arguments in
        [&["update", "--quiet"][..], &["install", "--quiet", "--yes", "--no-install-recommends", package]]
    {
        let mut command = Command::new("apt-get");
        command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
        // The lists may be old and still do: what counts is whether the package can be installed.
        let done = process::succeeds(&mut command)?;
        anyhow::ensure!(done || arguments[0] == "update", "apt-get cannot install {package}: see what it says above");
    }
    Ok(())
}
