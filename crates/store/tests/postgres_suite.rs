//! The shared suite over PostgreSQL, each case in a schema of its own.
#![allow(clippy::unwrap_used, reason = "these are tests")]

use std::sync::Arc;

use uplift_store::suite::scratch::{self, Scratch};
use uplift_store::{SqlStore, Store};

async fn make() -> Option<(Arc<dyn Store>, Scratch)> {
    let scratch = scratch::make().await?;
    let store = SqlStore::connect(&scratch.address()).await.unwrap();
    Some((Arc::new(store), scratch))
}

uplift_store::store_suite!(make);
