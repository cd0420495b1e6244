//! Which error types say the cause by themselves.

/// Error types that say no more than that something went wrong, in lower case without separators: what went wrong is
/// in the message.
const UMBRELLAS: &[&str] = &[
    "agenterror",
    "apierror",
    "apistatuserror",
    "assertionerror",
    "attributeerror",
    "baseexception",
    "clienterror",
    "error",
    "exception",
    "executionerror",
    "failed",
    "failure",
    "fatalerror",
    "genericerror",
    "httperror",
    "httpexception",
    "httpstatuserror",
    "indexerror",
    "internalerror",
    "internalservererror",
    "ioerror",
    "keyerror",
    "llmerror",
    "lookuperror",
    "modelerror",
    "nameerror",
    "networkerror",
    "operationalerror",
    "oserror",
    "processerror",
    "providererror",
    "requesterror",
    "requestexception",
    "responseerror",
    "runtimeerror",
    "runtimeexception",
    "servererror",
    "systemerror",
    "toolerror",
    "toolexception",
    "typeerror",
    "unexpectederror",
    "unhandledexception",
    "unknown",
    "unknownerror",
    "valueerror",
];

/// Whether an error type says the cause by itself.
pub(super) fn says_the_cause(kind: &str) -> bool {
    let last = kind.rsplit(['.', ':']).next().unwrap_or(kind);
    let plain: String = last.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    plain.len() > 3
        && plain.bytes().any(|byte| byte.is_ascii_alphabetic())
        && !UMBRELLAS.contains(&plain.as_str())
        && !kind.contains('<')
}
