//! Where the workspace is.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// The workspace's root: the parent of this package when cargo runs it, else the nearest folder above the
/// current one whose manifest declares a workspace.
pub(crate) fn find() -> anyhow::Result<PathBuf> {
    if let Some(package) = std::env::var_os("CARGO_MANIFEST_DIR")
        && let Some(parent) = Path::new(&package).parent()
        && declares_workspace(parent)
    {
        return Ok(parent.to_owned());
    }
    let here = std::env::current_dir().context("the current folder cannot be read")?;
    match here.ancestors().find(|folder| declares_workspace(folder)) {
        Some(folder) => Ok(folder.to_owned()),
        None => bail!("no workspace above {}: run this inside the repository", here.display()),
    }
}

fn declares_workspace(folder: &Path) -> bool {
    std::fs::read_to_string(folder.join("Cargo.toml"))
        .is_ok_and(|text| text.lines().any(|line| line.trim() == "[workspace]"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workspace_holds_this_package() {
        assert!(find().unwrap().join("xtask/Cargo.toml").is_file());
    }
}
