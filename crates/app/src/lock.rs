//! One writer a database: a lock file beside it, held for the writer's life, says who it is.
//!
//! The lock is the operating system's, on the open file, so it ends with the process however that ends. The file
//! itself stays: removing it would let two writers lock two files of the same name.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use serde::{Deserialize, Serialize};

/// How long to wait for a writer that has locked the file and not yet written who it is.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often to look meanwhile.
const PAUSE: Duration = Duration::from_millis(20);

/// Who holds a database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Holder {
    /// The process.
    pub(crate) pid: u32,
    /// Where it takes requests, if it is a server.
    pub(crate) url: Option<String>,
}

/// The right to write a database, until dropped.
#[derive(Debug)]
pub(crate) struct WriteLock {
    file: File,
}

/// What came of asking for the lock.
#[derive(Debug)]
pub(crate) enum Claim {
    /// It is ours.
    Ours(WriteLock),
    /// Somebody else has it.
    Held(Holder),
}

impl Holder {
    /// This process, with the address where it takes requests.
    pub(crate) fn this_process(url: Option<String>) -> Self {
        Self { pid: std::process::id(), url }
    }
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.url {
            Some(url) => write!(f, "a server at {url} (process {})", self.pid),
            None => write!(f, "another uplift command (process {})", self.pid),
        }
    }
}

/// Where the lock file of a database is.
pub(crate) fn path_of(database: &Path) -> PathBuf {
    // One database has one lock, whatever link it is reached by.
    let real = std::fs::canonicalize(database).unwrap_or_else(|_| match (database.parent(), database.file_name()) {
        (Some(folder), Some(name)) if !folder.as_os_str().is_empty() => {
            std::fs::canonicalize(folder).map_or_else(|_| database.to_path_buf(), |folder| folder.join(name))
        }
        _ => database.to_path_buf(),
    });
    let mut name = real.into_os_string();
    name.push(".lock");
    PathBuf::from(name)
}

/// Asks for the lock of a database. A holder that is a command rather than a server may be about to finish, so it
/// is given a moment.
pub(crate) fn claim(database: &Path, us: &Holder) -> anyhow::Result<Claim> {
    let path = path_of(database);
    let cannot = || format!("cannot open the lock file {}", path.display());
    let mut file = match OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path) {
        Err(error) if matches!(error.kind(), ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied) => {
            anyhow::bail!(
                "{} is read-only for us: check its permissions and those of its folder, where the lock file {} has \
                 to be written ({error})",
                database.display(),
                path.display()
            )
        }
        opened => opened.with_context(cannot)?,
    };
    let started = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => {
                write_holder(&mut file, us).with_context(cannot)?;
                return Ok(Claim::Ours(WriteLock { file }));
            }
            Err(TryLockError::WouldBlock) => {
                let holder = read_holder(&mut file);
                match holder {
                    Some(holder) if holder.url.is_some() || started.elapsed() > PATIENCE => {
                        return Ok(Claim::Held(holder));
                    }
                    None if started.elapsed() > PATIENCE => {
                        anyhow::bail!("another process holds {} without saying who it is", path.display());
                    }
                    _ => std::thread::sleep(PAUSE),
                }
            }
            Err(TryLockError::Error(error)) => return Err(error).with_context(cannot),
        }
    }
}

fn write_holder(file: &mut File, holder: &Holder) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    // One write, so that a reader sees all of it or nothing.
    let mut line = serde_json::to_vec(holder).map_err(std::io::Error::other)?;
    line.push(b'\n');
    file.write_all(&line)
}

fn read_holder(file: &mut File) -> Option<Holder> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.take(4_096).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

impl Drop for WriteLock {
    fn drop(&mut self) {
        // Best effort: without the lock, what the file says counts for nothing.
        drop(self.file.set_len(0));
        drop(self.file.unlock());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_writer_at_a_time_and_the_next_learns_who_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("fleet.db");
        let server = Holder::this_process(Some("http://127.0.0.1:9".to_owned()));
        let Claim::Ours(lock) = claim(&database, &server).unwrap() else { panic!("nobody else is there") };
        let Claim::Held(holder) = claim(&database, &Holder::this_process(None)).unwrap() else {
            panic!("two writers")
        };
        assert_eq!(holder, server);
        assert!(holder.to_string().contains("http://127.0.0.1:9"), "{holder}");
        drop(lock);
        assert!(matches!(claim(&database, &server).unwrap(), Claim::Ours(_)));
    }

    #[test]
    fn what_a_killed_writer_left_behind_counts_for_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("fleet.db");
        std::fs::write(path_of(&database), r#"{"pid":1,"url":"http://127.0.0.1:1"}"#).unwrap();
        assert!(matches!(claim(&database, &Holder::this_process(None)).unwrap(), Claim::Ours(_)));
    }
}
