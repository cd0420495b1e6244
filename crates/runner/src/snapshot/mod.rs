//! What resolvers read: every entity with its revision and the trial that runs on it, in memory, without locks.
//!
//! It decides nothing: an arm is the hash of trial and unit against the share in force, as `model` says. It is never
//! ahead of the store, and behind it no longer than a poll takes.
//!
//! In reading order:
//!
//! - `prefix`: a trial's key, ready to be hashed with a unit.
//! - `served`: what is served of one entity, and to whom.
//! - `directory`: who is served, by key and by name.
//! - `order`: how far it has kept up with the store.
//! - [`defaults`], `rebase`: configurations that the code of an entity brings along.

pub mod defaults;
mod directory;
mod order;
mod prefix;
mod rebase;
mod served;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, broadcast};
use uplift_model::Time;
use uplift_model::entity::{EntityKey, EntityType};
use uplift_store::page::MAX_PAGE;
use uplift_store::rows::ServedRow;
use uplift_store::{PageRequest, Store, StoreError, StoreResult};

use self::defaults::Known;
use self::directory::Directory;
use self::order::Order;

pub use self::rebase::NotApplied;
pub use self::served::{ChangeKind, Reason, Resolved, Sealed, Served, arm_name};

/// How long trials are served though the store does not answer.
pub const STALE_AFTER: Duration = Duration::from_mins(1);
/// How long one question to the store may take before it counts as unanswered.
const PATIENCE: Duration = Duration::from_secs(10);
/// Entities that are read again in one question.
const CHUNK: usize = 500;
/// Changes that those who listen may lag behind before they have to start anew.
const CHANGES: usize = 1_024;
/// What stands for "the store answers" where the moment of the first failure would.
const REACHABLE: i64 = i64::MAX;

/// One entity was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// The entity.
    pub entity: EntityKey,
    /// What changed.
    pub kind: ChangeKind,
    /// The store's number of changes when this was read; several changes may bear one.
    pub seq: i64,
}

/// What resolvers read.
pub struct Snapshot {
    directory: Directory,
    /// Reads of the store and their results are put in one order, so that the newer state wins.
    order: Mutex<Order>,
    /// One load or poll at a time.
    loading: Mutex<()>,
    /// Since when polling has failed, microseconds since the Unix epoch, or [`REACHABLE`].
    unreachable_since: AtomicI64,
    /// Whether that was too long ago.
    cut_off: AtomicBool,
    changes: broadcast::Sender<Change>,
    known: Known,
}

impl Default for Snapshot {
    fn default() -> Self {
        Self {
            directory: Directory::new(),
            order: Mutex::new(Order::default()),
            loading: Mutex::new(()),
            unreachable_since: AtomicI64::new(REACHABLE),
            cut_off: AtomicBool::new(false),
            changes: broadcast::channel(CHANGES).0,
            known: Known::default(),
        }
    }
}

impl Snapshot {
    /// What an entity is to run now, by its name or, where that is all digits, by its id. Without an environment: the
    /// one in the default environment, else the only one of that name. None where it runs no revision, or is not known.
    pub fn resolve(
        &self,
        environment: Option<&str>,
        entity_type: EntityType,
        name_or_id: &str,
        unit: Option<&str>,
        now_us: i64,
    ) -> Option<Resolved> {
        let served = self.served(environment, entity_type, name_or_id)?;
        Some(served.resolve(unit, now_us, self.is_cut_off()))
    }

    /// As [`resolve`](Self::resolve), by key.
    pub fn resolve_key(&self, entity: EntityKey, unit: Option<&str>, now_us: i64) -> Option<Resolved> {
        Some(self.directory.by_key(entity)?.resolve(unit, now_us, self.is_cut_off()))
    }

    /// The entity that [`resolve`](Self::resolve) would find.
    pub fn served(
        &self,
        environment: Option<&str>,
        entity_type: EntityType,
        name_or_id: &str,
    ) -> Option<Arc<Served>> {
        if name_or_id.bytes().all(|byte| byte.is_ascii_digit()) {
            let id = name_or_id.parse().ok()?;
            return self.directory.by_key(EntityKey::new(entity_type, id));
        }
        self.directory.by_name(environment, entity_type, name_or_id)
    }

    /// Entities that run a revision.
    pub fn len(&self) -> usize {
        self.directory.len()
    }

    /// Whether nobody runs a revision.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether polling has failed for [`STALE_AFTER`]: trials are not served then, so that no rollback is outlived.
    pub fn is_cut_off(&self) -> bool {
        self.cut_off.load(Ordering::Relaxed)
    }

    /// Changes from now on. Who lags behind too far is told so by the channel, and has to read everything again.
    pub fn changes(&self) -> broadcast::Receiver<Change> {
        self.changes.subscribe()
    }

    /// Puts rows in place as if they had just been read: for simulations and measurements without a store.
    pub fn put(&self, rows: Vec<ServedRow>) {
        self.tell(self.directory.put(rows, 0), 0);
    }

    /// Reads everything.
    ///
    /// # Errors
    /// When the store does not answer; what was read before stays, and the next poll tries again.
    pub async fn load(&self, store: &dyn Store) -> StoreResult<()> {
        let _loading = self.loading.lock().await;
        self.load_all(store).await
    }

    /// Reads these entities again, after a commit of ours that changed them. An entity is never put back to what it was
    /// before: what is read later is put in place later.
    ///
    /// # Errors
    /// When the store does not answer; the next poll reads everything then.
    pub async fn refresh(&self, store: &dyn Store, entities: &[EntityKey]) -> StoreResult<()> {
        if entities.is_empty() {
            return Ok(());
        }
        let mut order = self.order.lock().await;
        // Until it is done: should this fail or be dropped halfway, nothing is known for sure.
        let whole = std::mem::replace(&mut order.whole, false);
        // The number is read first, so what is read after it is at least as new.
        let seq = ask(store.config_seq()).await?;
        order.generation += 1;
        for chunk in entities.chunks(CHUNK) {
            let mut cursor = None;
            loop {
                let page = PageRequest { limit: MAX_PAGE, cursor };
                let page = ask(store.served(Some(chunk.to_vec()), page)).await?;
                self.tell(self.directory.put(page.items, order.generation), seq);
                cursor = page.next;
                if cursor.is_none() {
                    break;
                }
            }
            self.tell(self.directory.drop_unseen(Some(chunk), order.generation), seq);
        }
        order.refreshed(seq);
        order.whole = whole;
        Ok(())
    }

    /// Takes in what other processes changed. Cheap where nobody changed anything. `now` says how long the store has
    /// been out of reach, should it be.
    ///
    /// # Errors
    /// When the store does not answer. After [`STALE_AFTER`] of that, trials are no longer served.
    pub async fn poll(&self, store: &dyn Store, now: Time) -> StoreResult<()> {
        let now_us = now.micros();
        let polled = self.poll_once(store).await;
        let since = match &polled {
            Ok(()) => REACHABLE,
            Err(_) => self.unreachable_since.load(Ordering::Relaxed).min(now_us),
        };
        self.unreachable_since.store(since, Ordering::Relaxed);
        let cut_off = since != REACHABLE && now_us.saturating_sub(since) >= STALE_AFTER.as_micros() as i64;
        if cut_off && !self.cut_off.load(Ordering::Relaxed) {
            tracing::error!("the store has been out of reach for too long: trials are not served until it answers");
        }
        self.cut_off.store(cut_off, Ordering::Relaxed);
        polled
    }

    async fn poll_once(&self, store: &dyn Store) -> StoreResult<()> {
        let _loading = self.loading.lock().await;
        let mut order = self.order.lock().await;
        let seq = ask(store.config_seq()).await?;
        if !order.whole || order.seq != seq {
            drop(order);
            return self.load_all(store).await;
        }
        let Some(page) = order.sweep() else { return Ok(()) };
        let page = ask(store.served(None, page)).await?;
        self.tell(self.directory.put(page.items, order.generation), seq);
        order.swept(page.next);
        Ok(())
    }

    /// Reads everything, a page at a time; refreshes may come in between.
    async fn load_all(&self, store: &dyn Store) -> StoreResult<()> {
        let generation = {
            let mut order = self.order.lock().await;
            let seq = ask(store.config_seq()).await?;
            order.begin_load(seq)
        };
        let mut cursor = None;
        loop {
            let order = self.order.lock().await;
            let page = ask(store.served(None, PageRequest { limit: MAX_PAGE, cursor })).await?;
            self.tell(self.directory.put(page.items, order.generation), order.seq);
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        let mut order = self.order.lock().await;
        self.tell(self.directory.drop_unseen(None, generation), order.seq);
        order.whole = true;
        Ok(())
    }

    fn tell(&self, changes: Vec<(EntityKey, ChangeKind)>, seq: i64) {
        for (entity, kind) in changes {
            // An error means that nobody listens.
            let _ = self.changes.send(Change { entity, kind, seq });
        }
    }

    pub(crate) fn known(&self) -> &Known {
        &self.known
    }
}

/// Waits for an answer of the store, but not for ever: a store that hangs is out of reach.
async fn ask<T>(answer: impl Future<Output = StoreResult<T>>) -> StoreResult<T> {
    match tokio::time::timeout(PATIENCE, answer).await {
        Ok(answer) => answer,
        Err(_) => Err(StoreError::Engine {
            context: "reading what is served",
            reason: format!("no answer within {} s", PATIENCE.as_secs()),
        }),
    }
}
