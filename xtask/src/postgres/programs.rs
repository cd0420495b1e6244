//! Where PostgreSQL's programs are.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use crate::debian;

/// The oldest release that the engine works with.
const OLDEST: u32 = 14;

/// Debian keeps the programs of each release in a folder of their own, off the search path.
const OF_DEBIAN: &str = "/usr/lib/postgresql";

/// The package of Debian and its kin.
const PACKAGE: &str = "postgresql";

/// The programs of one release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Programs {
    folder: PathBuf,
    /// What `initdb --version` says.
    pub(super) version: String,
}

impl Programs {
    /// Finds them, or has them installed.
    ///
    /// # Errors
    /// When there are none, and they cannot be installed from here.
    pub(super) fn find_or_install() -> anyhow::Result<Self> {
        if let Some(found) = Self::find() {
            return Ok(found);
        }
        let advice = format!(
            "the tests need PostgreSQL {OLDEST} or later, and no `initdb` was found: install it (Debian and Ubuntu: \
             `apt-get install {PACKAGE}`), or name a server of your own by {}, or pass over what needs it with \
             `cargo nextest run`",
            super::VARIABLE
        );
        anyhow::ensure!(debian::can_install()?, advice);
        // Its own cluster, which comes with it, is none of our business.
        debian::install(PACKAGE)?;
        Self::find().context(advice)
    }

    /// The first on the search path that is new enough, else the latest of Debian's.
    fn find() -> Option<Self> {
        let named = debian::on_path("initdb").and_then(|program| program.canonicalize().ok());
        let named = named.and_then(|program| program.parent().map(Path::to_owned));
        named.into_iter().chain(of_debian(Path::new(OF_DEBIAN))).find_map(Self::in_folder)
    }

    /// Those in this folder, if it has all that is needed and they are new enough.
    fn in_folder(folder: PathBuf) -> Option<Self> {
        let output = Command::new(folder.join("initdb")).arg("--version").output().ok()?;
        let version = String::from_utf8(output.stdout).ok()?.trim().to_owned();
        let whole = ["postgres", "pg_ctl"].iter().all(|name| folder.join(name).is_file());
        (output.status.success() && whole && release(&version)? >= OLDEST).then_some(Self { folder, version })
    }

    /// The release and its part, as in 15.18.
    pub(super) fn number(&self) -> &str {
        self.version.split_once("(PostgreSQL) ").map_or("", |(_, number)| number)
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

/// The release that `initdb (PostgreSQL) 15.18 (Debian 15.18-0)` tells of.
fn release(version: &str) -> Option<u32> {
    let (_, number) = version.split_once("(PostgreSQL) ")?;
    let digits = number.split(|character: char| !character.is_ascii_digit()).next()?;
    digits.parse().ok()
}

/// The folders of Debian's releases, the latest first.
fn of_debian(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut releases: Vec<(u32, PathBuf)> = entries
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .collect();
    releases.sort_unstable_by(|one, other| other.cmp(one));
    releases.into_iter().map(|(_, path)| path).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_read_from_what_the_programs_say() {
        for (version, expected) in [
            ("initdb (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)", Some(15)),
            ("initdb (PostgreSQL) 9.6.24", Some(9)),
            ("initdb (PostgreSQL) 18beta1", Some(18)),
            ("initdb (PostgreSQL) devel", None),
            ("initdb 15", None),
            ("", None),
        ] {
            assert_eq!(release(version), expected, "{version}");
        }
    }

    #[test]
    fn the_latest_of_debians_releases_comes_first() {
        let folder = std::env::temp_dir().join(format!("xtask-releases-{}", std::process::id()));
        for name in ["9", "15", "14", "common"] {
            std::fs::create_dir_all(folder.join(name)).unwrap();
        }
        let found = of_debian(&folder);
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(found, ["15", "14", "9"].map(|name| folder.join(name).join("bin")));
        assert!(of_debian(&folder).is_empty());
    }

    #[test]
    fn a_folder_without_the_programs_is_passed_over() {
        assert_eq!(Programs::in_folder(std::env::temp_dir().join("xtask-no-programs")), None);
    }
}
