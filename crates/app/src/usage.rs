//! How a command ends: the exit codes, and the error that means "you asked in a way I cannot follow".

use std::process::ExitCode;

/// Everything was done.
pub(crate) const DONE: u8 = 0;
/// It could not be done.
pub(crate) const FAILED: u8 = 1;
/// It was asked for in a way that cannot be followed: arguments or settings.
pub(crate) const MISUSED: u8 = 2;
/// It was done, but some of what came in was refused.
pub(crate) const PARTLY: u8 = 3;

/// Wrong arguments or settings: the remedy is in the user's hands.
#[derive(Debug)]
pub(crate) struct Misuse(String);

impl Misuse {
    /// An error with this message.
    pub(crate) fn error(message: impl Into<String>) -> anyhow::Error {
        anyhow::Error::new(Self(message.into()))
    }
}

impl std::fmt::Display for Misuse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Misuse {}

/// The exit code that goes with an error.
pub(crate) fn code_of(error: &anyhow::Error) -> ExitCode {
    ExitCode::from(if error.chain().any(<dyn std::error::Error>::is::<Misuse>) { MISUSED } else { FAILED })
}
