//! The files under check, read once.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};

/// A text file; its path is relative to the root, with `/` between the parts.
#[derive(Debug)]
pub(super) struct File {
    pub(super) path: String,
    pub(super) text: String,
}

impl File {
    pub(super) fn is_rust(&self) -> bool {
        Path::new(&self.path).extension().is_some_and(|extension| extension == "rs")
    }

    /// Whether the whole file is test or bench code.
    pub(super) fn is_test(&self) -> bool {
        self.path.split('/').any(|part| matches!(part, "tests" | "benches" | "tests.rs"))
    }

    /// The folder name below `crates/`, or `xtask`.
    pub(super) fn package(&self) -> Option<&str> {
        match self.path.split_once('/')? {
            ("xtask", _) => Some("xtask"),
            ("crates", rest) => rest.split_once('/').map(|(package, _)| package),
            _ => None,
        }
    }

    /// Its lines with their numbers from 1.
    pub(super) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(at, line)| (at + 1, line))
    }
}

/// All text files that git tracks or would track.
#[derive(Debug)]
pub(super) struct Tree(Vec<File>);

impl Tree {
    /// Reads the files below `root`. Binary files are left out, and so are files that git knows and that
    /// were deleted.
    ///
    /// # Errors
    /// When git cannot be asked.
    pub(super) fn load(root: &Path) -> anyhow::Result<Self> {
        let output = Command::new("git")
            .current_dir(root)
            .args(["ls-files", "-co", "--exclude-standard", "-z"])
            .output()
            .context("git cannot be started")?;
        if !output.status.success() {
            bail!("git ls-files failed: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        let listing = String::from_utf8(output.stdout).context("a file name is not UTF-8")?;
        let mut paths: Vec<&str> = listing.split('\0').filter(|path| !path.is_empty()).collect();
        paths.sort_unstable();
        paths.dedup();
        let read = |path: &&str| {
            let text = String::from_utf8(std::fs::read(root.join(path)).ok()?).ok()?;
            Some(File { path: (*path).to_owned(), text })
        };
        Ok(Self(paths.iter().filter_map(read).collect()))
    }

    /// A tree of these files, for tests of checks.
    #[cfg(test)]
    pub(super) fn of(files: &[(&str, &str)]) -> Self {
        Self(files.iter().map(|(path, text)| File { path: (*path).into(), text: (*text).into() }).collect())
    }

    pub(super) fn files(&self) -> &[File] {
        &self.0
    }

    pub(super) fn rust(&self) -> impl Iterator<Item = &File> {
        self.0.iter().filter(|file| file.is_rust())
    }

    pub(super) fn get(&self, path: &str) -> Option<&File> {
        self.0.iter().find(|file| file.path == path)
    }

    /// Files directly in `folder` (written without a closing `/`), with their names.
    pub(super) fn directly_in<'a>(&'a self, folder: &'a str) -> impl Iterator<Item = (&'a str, &'a File)> {
        self.0.iter().filter_map(move |file| {
            let name = file.path.strip_prefix(folder)?.strip_prefix('/')?;
            (!name.contains('/')).then_some((name, file))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_can_be_read() {
        let tree = Tree::load(&crate::root::find().unwrap()).unwrap();
        assert!(tree.get("xtask/src/tidy/tree.rs").is_some());
        assert!(!tree.files().iter().any(|file| file.path.starts_with("target/")));
    }

    #[test]
    fn a_folder_without_a_repository_is_an_error() {
        assert!(Tree::load(Path::new("/")).is_err());
    }

    #[test]
    fn files_know_where_they_belong() {
        let tree = Tree::of(&[
            ("crates/model/src/a.rs", ""),
            ("crates/web/tests/b.rs", ""),
            ("xtask/src/main.rs", ""),
            ("docs/c.md", ""),
        ]);
        let packages: Vec<_> = tree.files().iter().map(File::package).collect();
        assert_eq!(packages, [Some("model"), Some("web"), Some("xtask"), None]);
        assert_eq!(tree.rust().filter(|file| file.is_test()).count(), 1);
        assert_eq!(tree.directly_in("docs").map(|(name, _)| name).collect::<Vec<_>>(), ["c.md"]);
        assert_eq!(tree.directly_in("crates").count(), 0);
    }
}
