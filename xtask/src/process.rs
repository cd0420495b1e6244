//! Running other programs with their output passed through.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Context;

/// `cargo` as the one that runs us, so that a toolchain override holds for what we start too.
pub(crate) fn cargo(root: &Path) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.current_dir(root);
    command
}

/// Shows the command, runs it to its end, and says whether it succeeded.
///
/// # Errors
/// When the program cannot be started.
pub(crate) fn succeeds(command: &mut Command) -> anyhow::Result<bool> {
    eprintln!("$ {}", describe(command));
    let status = command.status().with_context(|| format!("`{}` cannot be started", describe(command)))?;
    Ok(status.success())
}

/// Whether `cargo <subcommand>` is installed.
pub(crate) fn has_subcommand(root: &Path, subcommand: &str) -> bool {
    cargo(root)
        .args([subcommand, "--version"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn describe(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    std::iter::once(program).chain(command.get_args()).map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_without_the_folder_of_its_program() {
        let mut command = Command::new("/opt/bin/cargo");
        command.args(["fmt", "--check"]);
        assert_eq!(describe(&command), "cargo fmt --check");
    }

    #[test]
    fn a_missing_program_is_an_error_and_a_failing_one_is_not() {
        assert!(succeeds(&mut Command::new("no-program-has-this-name")).is_err());
        assert!(!succeeds(&mut Command::new("false")).unwrap());
    }
}
