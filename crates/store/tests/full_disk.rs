//! A database that must not grow: what was acknowledged stays, reading goes on, and writing too once there is room.
#![allow(clippy::unwrap_used, reason = "these are tests")]

use std::path::Path;

use uplift_model::event::EventKind;
use uplift_store::rows::EventFilter;
use uplift_store::sqlite::SqliteStore;
use uplift_store::suite::sample::{batch, event, hour, of_task};
use uplift_store::writes::{Prune, StepCommit};
use uplift_store::{EventReads, PageRequest, StoreError, SystemReads, Write, Writes};

/// A batch of events with long texts.
async fn take(store: &SqliteStore, number: usize) -> Result<u64, StoreError> {
    let events = (0..20)
        .map(|id| {
            let mut event = of_task(event(&id.to_string(), EventKind::LlmCall, hour(0)), &format!("t{number}"));
            event.content = Some(format!("{number}-{id}").repeat(200));
            event
        })
        .collect();
    Ok(store.commit_intake(batch(events)).await?.accepted)
}

/// Takes batches until one is refused; how many were taken.
async fn fill(store: &SqliteStore, from: usize) -> usize {
    for number in from.. {
        match take(store, number).await {
            Ok(accepted) => assert_eq!(accepted, 20),
            Err(error) => {
                assert!(matches!(error, StoreError::DiskFull { .. }), "{error}");
                return number;
            }
        }
        assert!(number < 10_000, "it never fills");
    }
    unreachable!("numbers end before that")
}

async fn events(store: &SqliteStore) -> i64 {
    let counts = store.task_counts().await.unwrap();
    // What is counted can be read, too.
    let last = store.events(EventFilter::default(), PageRequest::first(1)).await.unwrap();
    assert_eq!(last.items.is_empty(), counts.events == 0);
    counts.events
}

async fn pages(store: &SqliteStore) -> u32 {
    u32::try_from(store.storage().await.unwrap().file_bytes / 4_096).unwrap()
}

#[tokio::test]
async fn a_full_database_refuses_and_goes_on_when_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    for store in [SqliteStore::open(&path).unwrap(), SqliteStore::in_memory().unwrap()] {
        take(&store, 0).await.unwrap();
        store.bound_pages(pages(&store).await + 60).await.unwrap();
        let taken = fill(&store, 1).await;
        assert_eq!(events(&store).await, taken as i64 * 20);
        // Again and again: a refusal leaves nothing behind, and a retry of what was taken is known.
        for _ in 0..5 {
            assert!(matches!(take(&store, taken).await, Err(StoreError::DiskFull { .. })));
            assert_eq!(take(&store, taken - 1).await.unwrap(), 0);
        }
        assert_eq!(events(&store).await, taken as i64 * 20);
        store.bound_pages(u32::MAX).await.unwrap();
        // Without a restart: what was refused is taken now, whole.
        assert_eq!(take(&store, taken).await.unwrap(), 20);
        assert_eq!(events(&store).await, (taken as i64 + 1) * 20);
        store.close().await;
    }
    // What is in the file is what was acknowledged.
    let store = SqliteStore::open(&path).unwrap();
    assert!(events(&store).await > 20);
    store.close().await;
    whole(&path);
}

#[tokio::test]
async fn pruning_makes_room_in_a_full_database() {
    let store = SqliteStore::in_memory().unwrap();
    let empty = store.storage().await.unwrap().used_bytes;
    take(&store, 0).await.unwrap();
    store.bound_pages(pages(&store).await + 60).await.unwrap();
    let taken = fill(&store, 1).await;
    let before = store.storage().await.unwrap();
    let prune = Prune { events_before: Some(hour(50).hour()), tasks_before: None, rows: 10_000 };
    let commit = StepCommit { at: hour(60), writes: vec![Write::Prune(prune)], ..StepCommit::default() };
    let done = store.commit_step(commit).await.unwrap().pruned.unwrap();
    assert_eq!((done.events, done.more), (taken as u64 * 20, false));
    let after = store.storage().await.unwrap();
    assert_eq!(after.file_bytes, before.file_bytes, "room is used again, not given back");
    assert!(after.used_bytes - empty < (before.used_bytes - empty) / 2, "{empty} {before:?} {after:?}");
    // The same room holds about as much again.
    let again = fill(&store, taken).await - taken;
    assert!(again >= taken / 2, "{taken} batches before, {again} after");
    assert_eq!(events(&store).await, (taken + again) as i64 * 20);
}

#[tokio::test]
async fn a_log_that_cannot_be_written_back_keeps_what_is_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store = SqliteStore::open(&path).unwrap();
    take(&store, 0).await.unwrap();
    // A reader in the middle of something keeps the log from being emptied.
    let reader = rusqlite::Connection::open(&path).unwrap();
    reader.execute_batch("BEGIN").unwrap();
    let seen: i64 = reader.query_row("SELECT count(*) FROM event_rows", [], |row| row.get(0)).unwrap();
    let log = store.storage().await.unwrap().wal_bytes;
    for number in 1..40 {
        take(&store, number).await.unwrap();
    }
    assert!(store.storage().await.unwrap().wal_bytes > log);
    store.close().await;
    assert!(SqliteStore::wal_path(&path).metadata().unwrap().len() > 0, "it was emptied under the reader");
    let now: i64 = reader.query_row("SELECT count(*) FROM event_rows", [], |row| row.get(0)).unwrap();
    assert_eq!(now, seen);
    drop(reader);
    let store = SqliteStore::open(&path).unwrap();
    assert_eq!(events(&store).await, 800);
    store.close().await;
    whole(&path);
}

fn whole(path: &Path) {
    let connection = rusqlite::Connection::open(path).unwrap();
    let check: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
}
