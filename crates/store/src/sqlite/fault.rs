//! SQLite's errors, read as ours.

use rusqlite::{ErrorCode, ffi};

use crate::error::StoreError;

/// What SQLite says where the system does not let a file grow other than for want of room on the disk: a quota, a limit of
/// the size of files, a network disk that tells of it when it synchronises.
const NO_ROOM: [i32; 5] = [
    ffi::SQLITE_IOERR_WRITE,
    ffi::SQLITE_IOERR_FSYNC,
    ffi::SQLITE_IOERR_DIR_FSYNC,
    ffi::SQLITE_IOERR_TRUNCATE,
    ffi::SQLITE_IOERR_SHMSIZE,
];

/// Reads an error of SQLite's.
pub(crate) fn of_sqlite(error: &rusqlite::Error, place: &str, context: &'static str) -> StoreError {
    let place = place.to_owned();
    let reason = error.to_string();
    if error.sqlite_error().is_some_and(|error| NO_ROOM.contains(&error.extended_code)) {
        return StoreError::DiskFull { place };
    }
    match error.sqlite_error_code() {
        Some(ErrorCode::ReadOnly) => StoreError::ReadOnly { place },
        Some(ErrorCode::DiskFull) => StoreError::DiskFull { place },
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Busy { place },
        Some(ErrorCode::NotADatabase) => StoreError::NotADatabase { place, reason },
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => StoreError::Open { place, reason },
        Some(ErrorCode::DatabaseCorrupt) => StoreError::Corrupt { place, what: "pages", reason },
        _ => StoreError::Engine { context, reason },
    }
}
