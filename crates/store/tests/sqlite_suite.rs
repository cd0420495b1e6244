//! The shared suite over SQLite, in memory and in a file.
#![allow(clippy::unwrap_used, reason = "these are tests")]

mod memory {
    use std::sync::Arc;

    use uplift_store::Store;
    use uplift_store::sqlite::SqliteStore;

    async fn make() -> (Arc<dyn Store>, ()) {
        (Arc::new(SqliteStore::in_memory().unwrap()), ())
    }

    uplift_store::store_suite!(make);
}

mod file {
    use std::sync::Arc;

    use uplift_store::Store;
    use uplift_store::sqlite::SqliteStore;

    async fn make() -> (Arc<dyn Store>, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        (Arc::new(SqliteStore::open(&folder.path().join("store.db")).unwrap()), folder)
    }

    uplift_store::store_suite!(make);
}
