//! Where the database is, and how commands open it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use uplift_model::Policy;
use uplift_runner::{Clock, Engine, SystemClock};
use uplift_store::{SqlStore, postgres};

use crate::lock::{self, Claim, Holder, WriteLock};
use crate::usage::Misuse;

/// The file's place below the user's data directory.
const FILE: &str = "uplift/uplift.db";

/// A database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// A file, of SQLite.
    File(PathBuf),
    /// One of a PostgreSQL server, by its address.
    Server(String),
}

impl Place {
    /// What a name means.
    pub(crate) fn named(name: PathBuf) -> Self {
        match name.to_str() {
            Some(address) if postgres::is_address(address) => Self::Server(address.to_owned()),
            _ => Self::File(name),
        }
    }

    /// Whether it is there, as far as can be told without asking a server.
    pub(crate) fn may_exist(&self) -> bool {
        match self {
            Self::File(path) => path.exists(),
            Self::Server(_) => true,
        }
    }

    /// An engine that can only read, over a database that exists.
    pub(crate) async fn read_only(&self, policy: Policy) -> anyhow::Result<Engine> {
        let store = match self {
            Self::File(path) => {
                if !path.exists() {
                    bail!(
                        "there is no database at {}: run `uplift demo`, `uplift import FILE` or `uplift serve` first, \
                         or name one with --database",
                        path.display()
                    );
                }
                SqlStore::open_read_only(path)?
            }
            Self::Server(address) => SqlStore::connect_read_only(address).await?,
        };
        Ok(Engine::new(Arc::new(store), policy, Arc::new(SystemClock)))
    }

    /// Opens it for writing, and makes it where it does not exist. A file has one writer at a time; a server's database
    /// any number.
    pub(crate) async fn open(
        &self,
        us: &Holder,
        policy: impl FnOnce() -> anyhow::Result<Policy>,
    ) -> anyhow::Result<Opened> {
        self.open_at(us, policy, Arc::new(SystemClock)).await
    }

    /// The same, at another time.
    pub(crate) async fn open_at(
        &self,
        us: &Holder,
        policy: impl FnOnce() -> anyhow::Result<Policy>,
        clock: Arc<dyn Clock>,
    ) -> anyhow::Result<Opened> {
        let (store, lock) = match self {
            Self::File(path) => {
                make_folder(path)?;
                match lock::claim(path, us)? {
                    Claim::Ours(lock) => (SqlStore::open(path)?, Some(lock)),
                    Claim::Held(holder) => return Ok(Opened::Held(holder)),
                }
            }
            Self::Server(address) => (SqlStore::connect(address).await?, None),
        };
        let store = Arc::new(store);
        let engine = Engine::new(store.clone(), policy()?, clock);
        Ok(Opened::Ours(Writable { engine, store, _lock: lock }))
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Server(address) => f.write_str(&postgres::public_name(address)),
        }
    }
}

/// What came of opening a database for writing.
pub(crate) enum Opened {
    /// It is ours to write.
    Ours(Writable),
    /// Somebody else writes it.
    Held(Holder),
}

/// Which database.
#[derive(Debug, Clone, Default, clap::Args)]
// Without a group of their own: the names of groups must differ within a command.
#[group(skip)]
pub(crate) struct Args {
    // Clap does not read the variable: a database named on the command line has to win over a server named in the
    // environment.
    #[arg(
        long,
        value_name = "PATH|URL",
        global = true,
        help = "The database: a file, or postgres://user:password@host/name [env: UPLIFT_DATABASE] [default: \
                uplift/uplift.db in the user's data directory]"
    )]
    pub(crate) database: Option<PathBuf>,
}

impl Args {
    /// The database, by default a file below the user's data directory.
    pub(crate) fn place(&self) -> anyhow::Result<Place> {
        let named = self.database.clone().or_else(|| std::env::var_os("UPLIFT_DATABASE").map(PathBuf::from));
        match named.map(Place::named) {
            Some(Place::File(path)) if path.as_os_str().is_empty() => {
                Err(Misuse::error("the name of the database must not be empty"))
            }
            Some(Place::File(path)) if path.is_dir() => {
                Err(Misuse::error(format!("{} is a folder: name a file in it", path.display())))
            }
            Some(place) => Ok(place),
            None => default_path(std::env::var_os("XDG_DATA_HOME").map(PathBuf::from), std::env::home_dir())
                .map(Place::File),
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
    store: Arc<SqlStore>,
    // Given back last, when everything is written.
    _lock: Option<WriteLock>,
}

impl Writable {
    /// Writes everything back and lets go of it.
    pub(crate) async fn close(self) {
        self.store.close().await;
    }
}

/// Makes the folder of a database that is about to be created.
fn make_folder(path: &Path) -> anyhow::Result<()> {
    match path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) => {
            std::fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))
        }
        None => Ok(()),
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

    #[tokio::test]
    async fn an_unknown_database_says_what_to_run() {
        let Err(error) = Place::File("/nowhere/x.db".into()).read_only(Policy::default()).await else {
            panic!("it does not exist")
        };
        assert!(error.to_string().contains("uplift import"), "{error}");
    }

    #[test]
    fn a_servers_password_is_not_shown() {
        let place = Place::named("postgres://ada:secret@db.example:5433/fleet?connect_timeout=3".into());
        assert_eq!(place.to_string(), "postgres://ada@db.example:5433/fleet");
        assert_eq!(Place::named("fleet.db".into()), Place::File("fleet.db".into()));
        assert!(!Place::named("postgres://nonsense:secret@:x".into()).to_string().contains("secret"));
    }
}
