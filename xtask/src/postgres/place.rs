//! The folder of a server. A run takes one that no other run has, and holds it by a lock that ends with the process.

use std::fs::{self, File, TryLockError};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::user::{self, User};

/// Most runs at a time, each with a server of its own.
const PLACES: usize = 8;

/// A cluster that has grown beyond this many bytes is made anew.
const LARGE: u64 = 1 << 30;

/// A folder that is ours until this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    folder: PathBuf,
    user: User,
    /// Locked.
    _lock: File,
}

impl Place {
    /// Takes the first free one: below `target/postgres`, or in the folder for temporary files where the user that
    /// runs the server may not enter the repository.
    ///
    /// # Errors
    /// When none is free or can be made.
    pub(super) fn take(root: &Path, user: User) -> anyhow::Result<Self> {
        let usual = root.join("target/postgres");
        fs::create_dir_all(&usual).with_context(|| format!("{} cannot be made", usual.display()))?;
        let base = if user.enters(&usual) { usual } else { temporary(root)? };
        for number in 0..PLACES {
            let folder = base.join(number.to_string());
            fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
            let path = folder.join("lock");
            let lock = File::create(&path).with_context(|| format!("{} cannot be made", path.display()))?;
            match lock.try_lock() {
                Ok(()) => return Ok(Self { folder, user, _lock: lock }),
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => {
                    return Err(error).with_context(|| format!("{} cannot be locked", path.display()));
                }
            }
        }
        bail!("{PLACES} servers run below {} already", base.display())
    }

    /// The cluster.
    pub(super) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// What the server says.
    pub(super) fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// Whether the cluster can be used again: it was made as `made` says, its server ended in order, which leaves no
    /// file of its process, and it has not grown large.
    pub(super) fn is_healthy(&self, made: &str) -> bool {
        let noted = fs::read_to_string(self.stamp()).is_ok_and(|noted| noted == made);
        noted && !self.data().join("postmaster.pid").exists() && size(&self.data()).is_some_and(|size| size <= LARGE)
    }

    /// Whether a server runs in it. Its number may have gone to another process since it was noted.
    pub(super) fn is_served(&self) -> bool {
        let noted = fs::read_to_string(self.data().join("postmaster.pid")).unwrap_or_default();
        let Some(number) = noted.lines().next().and_then(|line| line.trim().parse::<u32>().ok()) else {
            return false;
        };
        let processes = Path::new("/proc");
        if !processes.join("self").exists() {
            // Nobody to ask: the server's own programs take its word, too.
            return true;
        }
        let started = fs::read(processes.join(number.to_string()).join("cmdline")).unwrap_or_default();
        let data = self.data();
        started.split(|byte| *byte == 0).any(|argument| argument == data.as_os_str().as_encoded_bytes())
    }

    /// An empty folder for a new cluster.
    pub(super) fn clear(&self) -> anyhow::Result<()> {
        let data = self.data();
        let unmade = || format!("{} cannot be made anew", data.display());
        for path in [self.stamp(), self.log()] {
            if path.exists() {
                fs::remove_file(&path).with_context(unmade)?;
            }
        }
        if data.exists() {
            fs::remove_dir_all(&data).with_context(unmade)?;
        }
        fs::create_dir(&data).with_context(unmade)?;
        self.user.own(&data)
    }

    /// Notes that the cluster is whole.
    pub(super) fn note(&self, made: &str) -> anyhow::Result<()> {
        fs::write(self.stamp(), made).with_context(|| format!("{} cannot be written", self.stamp().display()))
    }

    fn stamp(&self) -> PathBuf {
        self.folder.join("made.txt")
    }
}

/// A folder for this repository among the temporary files. There anybody may have made a folder of that name.
fn temporary(root: &Path) -> anyhow::Result<PathBuf> {
    let mut hasher = DefaultHasher::new();
    root.hash(&mut hasher);
    let folder = std::env::temp_dir().join(format!("uplift-postgres-{:016x}", hasher.finish()));
    fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    let found = fs::symlink_metadata(&folder)?;
    anyhow::ensure!(
        found.is_dir() && found.uid() == user::own_id()? && found.mode() & 0o022 == 0,
        "{} is somebody else's",
        folder.display()
    );
    Ok(folder)
}

/// Bytes in all files below a folder; None where it cannot be read.
fn size(folder: &Path) -> Option<u64> {
    let mut total = 0;
    for entry in fs::read_dir(folder).ok()? {
        let entry = entry.ok()?;
        let found = entry.metadata().ok()?;
        total += if found.is_dir() { size(&entry.path())? } else { found.len() };
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("xtask-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn two_runs_never_share_a_place() {
        let root = Folder::new("places");
        let taken: Vec<Place> = (0..PLACES).map(|_| Place::take(&root.0, User::Own).unwrap()).collect();
        for (at, place) in taken.iter().enumerate() {
            assert_eq!(place.folder, root.0.join("target/postgres").join(at.to_string()));
        }
        let error = Place::take(&root.0, User::Own).unwrap_err().to_string();
        assert!(error.contains("already"), "{error}");
        drop(taken);
        assert!(Place::take(&root.0, User::Own).unwrap().folder.ends_with("0"));
    }

    #[test]
    fn a_number_that_went_to_another_process_is_no_server() {
        let root = Folder::new("served");
        let place = Place::take(&root.0, User::Own).unwrap();
        place.clear().unwrap();
        assert!(!place.is_served());
        for noted in ["", "nonsense", &std::process::id().to_string()] {
            fs::write(place.data().join("postmaster.pid"), noted).unwrap();
            assert!(!place.is_served(), "{noted}");
        }
    }

    #[test]
    fn only_a_whole_cluster_that_ended_in_order_is_used_again() {
        let root = Folder::new("healthy");
        let place = Place::take(&root.0, User::Own).unwrap();
        assert!(!place.is_healthy("15"));
        place.clear().unwrap();
        assert!(!place.is_healthy("15"));
        place.note("15").unwrap();
        assert!(place.is_healthy("15") && !place.is_healthy("16"));
        fs::write(place.data().join("postmaster.pid"), "1").unwrap();
        assert!(!place.is_healthy("15"));
        place.clear().unwrap();
        assert!(!place.is_healthy("15") && fs::read_dir(place.data()).unwrap().next().is_none());
        place.note("15").unwrap();
        File::create(place.data().join("large")).unwrap().set_len(LARGE + 1).unwrap();
        assert!(!place.is_healthy("15"));
    }
}
