//! Who runs the server: PostgreSQL refuses to be run by root.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Context;

/// Users that root hands the server to: the first there is.
const USERS: &[&str] = &["postgres", "nobody"];

/// Who runs the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum User {
    /// Whoever runs this program.
    Own,
    /// Somebody else, by number, with the number of their group.
    Other(u32, u32),
}

impl User {
    /// The user for the server.
    ///
    /// # Errors
    /// When we are root and the system has no user for it.
    pub(super) fn find() -> anyhow::Result<Self> {
        if !is_root()? {
            return Ok(Self::Own);
        }
        let known = USERS.iter().find_map(|name| Some(Self::Other(id(&["-u", name]).ok()?, id(&["-g", name]).ok()?)));
        known.with_context(|| {
            format!("PostgreSQL refuses to be run by root, and there is no user {}", USERS.join(" or "))
        })
    }

    /// A command that runs as this user, in a folder that everybody can enter, and without what would lead it to
    /// another server.
    pub(super) fn command(self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir("/").stdin(Stdio::null()).env("LC_ALL", "C");
        for name in std::env::vars_os().map(|(name, _)| name).filter(|name| name.to_string_lossy().starts_with("PG"))
        {
            command.env_remove(name);
        }
        if let Self::Other(user, group) = self {
            command.uid(user).gid(group);
        }
        command
    }

    /// Whether this user may enter a folder.
    pub(super) fn enters(self, folder: &Path) -> bool {
        let mut command = self.command(Path::new("test"));
        command.arg("-x").arg(folder).status().is_ok_and(|status| status.success())
    }

    /// Makes a folder belong to this user.
    pub(super) fn own(self, folder: &Path) -> anyhow::Result<()> {
        if let Self::Other(user, group) = self {
            std::os::unix::fs::chown(folder, Some(user), Some(group))
                .with_context(|| format!("{} cannot be given to user {user}", folder.display()))?;
        }
        Ok(())
    }
}

/// Whether we are root.
pub(crate) fn is_root() -> anyhow::Result<bool> {
    Ok(own_id()? == 0)
}

/// Our own number.
pub(super) fn own_id() -> anyhow::Result<u32> {
    id(&["-u"])
}

/// A number that the program `id` knows.
fn id(arguments: &[&str]) -> anyhow::Result<u32> {
    let output = Command::new("id").args(arguments).output().context("`id` cannot be started")?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().with_context(|| format!("`id {}` tells no number", arguments.join(" ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_is_never_run_by_root() {
        let user = User::find().unwrap();
        let output = user.command(Path::new("id")).arg("-u").output().unwrap();
        assert_ne!(String::from_utf8_lossy(&output.stdout).trim(), "0", "{user:?}");
    }

    #[test]
    fn a_user_that_is_not_there_has_no_number() {
        assert!(id(&["-u", "no-user-has-this-name"]).is_err());
    }

    #[test]
    fn folders_that_are_closed_to_others_are_not_entered() {
        use std::os::unix::fs::PermissionsExt;
        let folder = std::env::temp_dir().join(format!("xtask-closed-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("inner")).unwrap();
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700)).unwrap();
        let user = User::find().unwrap();
        let entered = (User::Own.enters(&folder.join("inner")), user.enters(&folder.join("inner")));
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(entered, (true, user == User::Own));
    }
}
