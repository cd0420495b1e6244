//! News for those who listen on this server.

use std::sync::atomic::{AtomicI64, Ordering};

use tokio::sync::broadcast::{Receiver, Sender, channel};
use uplift_store::rows::NewsRow;
use uplift_store::{Store, StoreResult};

/// News that waits for a slow listener before it is told to read everything again.
const CAPACITY: usize = 1_024;
/// News read at once.
const BATCH: u32 = 500;
/// Nothing was read yet.
const UNREAD: i64 = -1;

/// Tells what happened since the server began, whoever wrote it: it is read from the store.
#[derive(Debug)]
pub struct Feed {
    sender: Sender<NewsRow>,
    read: AtomicI64,
}

impl Default for Feed {
    fn default() -> Self {
        Self { sender: channel(CAPACITY).0, read: AtomicI64::new(UNREAD) }
    }
}

impl Feed {
    /// What happens from now on.
    pub fn listen(&self) -> Receiver<NewsRow> {
        self.sender.subscribe()
    }

    /// Reads on. One task does so at a time; a second one would tell the same twice.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) async fn poll(&self, store: &dyn Store) -> StoreResult<()> {
        let mut read = self.read.load(Ordering::Acquire);
        if read == UNREAD {
            read = store.last_news().await?;
            self.read.store(read, Ordering::Release);
            return Ok(());
        }
        let news = store.news(read, BATCH).await?;
        if let Some(last) = news.last() {
            self.read.store(last.seq, Ordering::Release);
        }
        for row in news {
            // An error means that nobody listens.
            drop(self.sender.send(row));
        }
        Ok(())
    }
}
