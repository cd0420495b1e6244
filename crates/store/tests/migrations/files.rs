//! Files that are not to be touched.

use std::fs;
use std::path::Path;

use rusqlite::Connection;
use uplift_store::sqlite::{LATEST_VERSION, SqliteStore};
use uplift_store::suite::sample;
use uplift_store::{IntakeBatch, StoreError, SystemReads, Writes};

use crate::fresh;

/// Opening this file for writing and for reading fails, and leaves it byte for byte as it is.
fn refuse(path: &Path, expected: fn(&StoreError) -> bool) {
    let before = fs::read(path).unwrap();
    for open in [SqliteStore::open, SqliteStore::open_read_only] {
        let error = open(path).err().expect("it should be refused");
        assert!(expected(&error), "{error}");
        assert!(error.to_string().contains(&path.display().to_string()), "{error}");
        assert_eq!(fs::read(path).unwrap(), before, "{error}");
    }
    let wal = SqliteStore::wal_path(path);
    assert!(wal.metadata().map_or(0, |meta| meta.len()) == 0, "something was written to the log");
}

#[tokio::test]
async fn a_newer_database_is_refused() {
    let (path, _folder) = fresh().await;
    let connection = Connection::open(&path).unwrap();
    connection.execute_batch("PRAGMA user_version = 99").unwrap();
    connection.close().unwrap();
    refuse(
        &path,
        |error| matches!(error, StoreError::NewerDatabase { found: 99, known, .. } if *known == LATEST_VERSION),
    );
}

#[tokio::test]
async fn a_database_of_another_program_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (name, sql) in [
        ("tables", "CREATE TABLE recipes (name TEXT); INSERT INTO recipes VALUES ('soup')"),
        ("version", "PRAGMA user_version = 3; CREATE TABLE recipes (name TEXT)"),
        ("mark", "PRAGMA application_id = 77; CREATE TABLE entities (name TEXT)"),
    ] {
        let path = folder.path().join(name);
        let connection = Connection::open(&path).unwrap();
        connection.execute_batch(sql).unwrap();
        connection.close().unwrap();
        refuse(&path, |error| matches!(error, StoreError::NotADatabase { .. }));
    }
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    fs::write(&path, "dear diary, ".repeat(200)).unwrap();
    refuse(&path, |error| matches!(error, StoreError::NotADatabase { .. }));
}

#[tokio::test]
async fn a_file_that_is_not_there_is_not_made_by_reading() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("none.db");
    assert!(matches!(SqliteStore::open_read_only(&path), Err(StoreError::Open { .. })));
    assert!(!path.exists());
    let nowhere = folder.path().join("no/such/folder/uplift.db");
    assert!(matches!(SqliteStore::open(&nowhere), Err(StoreError::Open { .. })));
}

#[tokio::test]
async fn a_file_that_may_not_be_written_says_so() {
    let (path, _folder) = fresh().await;
    let mut permissions = fs::metadata(&path).unwrap().permissions();
    permissions.set_readonly(true);
    fs::set_permissions(&path, permissions).unwrap();
    if fs::OpenOptions::new().append(true).open(&path).is_ok() {
        // Whoever runs this may write everywhere: there is nothing to see.
        return;
    }
    let error = match SqliteStore::open(&path) {
        Ok(store) => {
            store.commit_intake(sample::batch(vec![sample::broken("1", sample::hour(0))])).await.unwrap_err()
        }
        Err(error) => error,
    };
    assert!(matches!(error, StoreError::ReadOnly { .. } | StoreError::Open { .. }), "{error}");
}

#[tokio::test]
async fn a_reading_store_reads_and_does_not_write() {
    let (path, _folder) = fresh().await;
    let writer = SqliteStore::open(&path).unwrap();
    writer.commit_intake(sample::batch(vec![sample::broken("1", sample::hour(0))])).await.unwrap();
    let reader = SqliteStore::open_read_only(&path).unwrap();
    assert_eq!(reader.task_counts().await.unwrap().events, 1);
    let nothing = IntakeBatch { events: Vec::new(), ..sample::batch(Vec::new()) };
    assert!(matches!(reader.commit_intake(nothing).await, Err(StoreError::ReadOnly { .. })));
    // It sees what is written later.
    writer.commit_intake(sample::batch(vec![sample::broken("2", sample::hour(0))])).await.unwrap();
    assert_eq!(reader.task_counts().await.unwrap().events, 2);
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_closing() {
    let (path, _folder) = fresh().await;
    let store = SqliteStore::open(&path).unwrap();
    store.commit_intake(sample::batch(vec![sample::broken("1", sample::hour(0))])).await.unwrap();
    store.close().await;
    assert!(matches!(store.counts().await, Err(StoreError::Closed)));
    let batch = sample::batch(vec![sample::broken("2", sample::hour(0))]);
    assert!(matches!(store.commit_intake(batch).await, Err(StoreError::Closed)));
    let again = SqliteStore::open(&path).unwrap();
    assert_eq!(again.task_counts().await.unwrap().events, 1);
    // A retry after the restart is still recognised.
    let receipt = again.commit_intake(sample::batch(vec![sample::broken("1", sample::hour(0))])).await.unwrap();
    assert_eq!((receipt.accepted, receipt.duplicates), (0, 1));
}
