//! Where the database is, and how commands open it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use uplift_model::Policy;
use uplift_runner::{Engine, SystemClock};
use uplift_store::sqlite::SqliteStore;

use crate::lock::{self, Claim, Holder, WriteLock};
use crate::usage::Misuse;

/// The file's place below the user's data directory.
const FILE: &str = "uplift/uplift.db";

/// Which database.
#[derive(Debug, Clone, Default, clap::Args)]
// Without a group of their own: the names of groups must differ within a command.
#[group(skip)]
pub(crate) struct Args {
    // Clap does not read the variable: a file named on the command line has to win over a server named in the
    // environment.
    #[arg(
        long,
        value_name = "PATH",
        global = true,
        help = "The database file [env: UPLIFT_DATABASE] [default: uplift/uplift.db in the user's data directory]"
    )]
    pub(crate) database: Option<PathBuf>,
}

impl Args {
    /// The path, by default below the user's data directory.
    pub(crate) fn path(&self) -> anyhow::Result<PathBuf> {
        let named = self.database.clone().or_else(|| std::env::var_os("UPLIFT_DATABASE").map(PathBuf::from));
        match named {
            Some(path) if path.as_os_str().is_empty() => {
                Err(Misuse::error("the name of the database must not be empty"))
            }
            Some(path) if path.is_dir() => {
                Err(Misuse::error(format!("{} is a folder: name a file in it", path.display())))
            }
            Some(path) => Ok(path),
            None => default_path(std::env::var_os("XDG_DATA_HOME").map(PathBuf::from), std::env::home_dir()),
        }
    }
}

/// Relative values of the variable are to be ignored, says the specification of these directories.
fn default_path(data_home: Option<PathBuf>, home: Option<PathBuf>) -> anyhow::Result<PathBuf> {
    let base = data_home.filter(|path| path.is_absolute()).or_else(|| home.map(|home| home.join(".local/share")));
    match base {
        Some(base) => Ok(base.join(FILE)),
        None => Err(Misuse::error("there is no home directory to keep the database in: name a file with --database")),
    }
}

/// A database that this process may write.
pub(crate) struct Writable {
    /// The engine over it.
    pub(crate) engine: Engine,
    store: Arc<SqliteStore>,
    // Given back last, when everything is written.
    _lock: WriteLock,
}

impl Writable {
    /// Opens it under a lock that is held already.
    pub(crate) fn open(path: &Path, policy: Policy, lock: WriteLock) -> anyhow::Result<Self> {
        let store = Arc::new(SqliteStore::open(path)?);
        let engine = Engine::new(store.clone(), policy, Arc::new(SystemClock));
        Ok(Self { engine, store, _lock: lock })
    }

    /// Writes everything back and lets go of it.
    pub(crate) async fn close(self) {
        self.store.close().await;
    }
}

/// An engine that can only read, over a database that exists.
pub(crate) fn read_only(path: &Path, policy: Policy) -> anyhow::Result<Engine> {
    if !path.exists() {
        bail!(
            "there is no database at {}: run `uplift demo`, `uplift import FILE` or `uplift serve` first, or name one \
             with --database",
            path.display()
        );
    }
    let store = SqliteStore::open_read_only(path)?;
    Ok(Engine::new(Arc::new(store), policy, Arc::new(SystemClock)))
}

/// Makes the folder of a database that is about to be created.
pub(crate) fn make_folder(path: &Path) -> anyhow::Result<()> {
    match path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) => {
            std::fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))
        }
        None => Ok(()),
    }
}

/// The lock of a database for a command that has to write it itself.
pub(crate) fn lock_for(path: &Path, us: &Holder) -> anyhow::Result<WriteLock> {
    match lock::claim(path, us)? {
        Claim::Ours(lock) => Ok(lock),
        Claim::Held(holder) => bail!("{} is being written by {holder}: try again when it is done", path.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_in_the_data_directory() {
        let home = || Some(PathBuf::from("/srv/ada"));
        let cases = [
            (Some("/data"), home(), Some("/data/uplift/uplift.db")),
            (Some("relative"), home(), Some("/srv/ada/.local/share/uplift/uplift.db")),
            (None, home(), Some("/srv/ada/.local/share/uplift/uplift.db")),
            (None, None, None),
        ];
        for (data_home, home, expected) in cases {
            let path = default_path(data_home.map(PathBuf::from), home).ok();
            assert_eq!(path, expected.map(PathBuf::from));
        }
    }

    #[test]
    fn an_unknown_database_says_what_to_run() {
        let Err(error) = read_only(Path::new("/nowhere/x.db"), Policy::default()) else {
            panic!("it does not exist")
        };
        assert!(error.to_string().contains("uplift import"), "{error}");
    }
}
