//! Who is served, by key and by name: read without locks, written a small part at a time.

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use uplift_model::entity::{DEFAULT_ENVIRONMENT, EntityKey, EntityType};
use uplift_store::rows::ServedRow;

use super::served::{ChangeKind, Served};

/// Parts of each index. A change clones one part of each.
const SHARDS: usize = 256;

type ByKey = HashMap<EntityKey, Arc<Served>, RandomState>;
type ByName = HashTable<Named>;

/// An entity in the index by name. Those of one name in several environments have one hash.
#[derive(Clone)]
struct Named {
    /// Of type and name. Beside the pointer, so that strangers in the same bucket are passed without looking at them.
    hash: u64,
    served: Arc<Served>,
}

/// Everybody who is served.
pub(super) struct Directory {
    hasher: RandomState,
    by_key: Box<[ArcSwap<ByKey>]>,
    by_name: Box<[ArcSwap<ByName>]>,
    /// One writer at a time. Readers never wait for it.
    writing: Mutex<()>,
}

/// Which parts of the indexes a batch changes, so that each is cloned once.
#[derive(Default)]
struct Batch {
    by_key: BTreeMap<usize, ByKey>,
    by_name: BTreeMap<usize, ByName>,
}

impl Directory {
    pub(super) fn new() -> Self {
        let hasher = RandomState::default();
        let by_key = (0..SHARDS).map(|_| ArcSwap::from_pointee(HashMap::with_hasher(hasher.clone()))).collect();
        let by_name = (0..SHARDS).map(|_| ArcSwap::from_pointee(HashTable::new())).collect();
        Self { hasher, by_key, by_name, writing: Mutex::new(()) }
    }

    pub(super) fn by_key(&self, key: EntityKey) -> Option<Arc<Served>> {
        self.by_key[self.key_shard(key)].load().get(&key).map(Arc::clone)
    }

    /// By name within an environment; without one, that of the default environment, else the only one there is.
    pub(super) fn by_name(
        &self,
        environment: Option<&str>,
        entity_type: EntityType,
        name: &str,
    ) -> Option<Arc<Served>> {
        let hash = self.name_hash(entity_type, name);
        let shard = self.by_name[shard(hash)].load();
        // The type is in the hash; it is looked at all the same, but last, as it is farther away.
        let mut namesakes = shard.iter_hash(hash).filter_map(|named| {
            let served = &named.served;
            (named.hash == hash && served.has_name(name)).then_some(served)
        });
        let found = if let Some(environment) = environment {
            namesakes.find(|served| served.is_in(environment) && served.key.entity_type == entity_type)
        } else {
            let mut namesakes = namesakes.filter(|served| served.key.entity_type == entity_type);
            let first = namesakes.next()?;
            match namesakes.next() {
                None => Some(first),
                Some(second) => {
                    let mut all = [first, second].into_iter().chain(namesakes);
                    all.find(|served| served.is_in(DEFAULT_ENVIRONMENT))
                }
            }
        };
        found.map(Arc::clone)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.by_key.iter().map(|shard| shard.load().len()).sum()
    }

    /// Puts rows in place and says what they changed.
    pub(super) fn put(&self, rows: Vec<ServedRow>, generation: u64) -> Vec<(EntityKey, ChangeKind)> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut batch, mut changes) = (Batch::default(), Vec::new());
        for row in rows {
            let key = row.entity;
            let known = self.find(&batch, key);
            if let Some(known) = known.as_ref().filter(|known| known.is(&row)) {
                known.seen.store(generation, Ordering::Relaxed);
                continue;
            }
            let served = Served::of(row);
            changes.extend(change(known.as_deref(), served.as_ref()).map(|kind| (key, kind)));
            if let Some(known) = &known {
                self.remove(&mut batch, known);
            }
            if let Some(served) = served {
                served.seen.store(generation, Ordering::Relaxed);
                self.insert(&mut batch, Arc::new(served));
            }
        }
        self.publish(batch);
        changes
    }

    /// Takes out those of `keys` that were not seen in this generation; all such where no keys are named.
    pub(super) fn drop_unseen(&self, keys: Option<&[EntityKey]>, generation: u64) -> Vec<(EntityKey, ChangeKind)> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let unseen = |served: &Arc<Served>| served.seen.load(Ordering::Relaxed) < generation;
        let gone: Vec<Arc<Served>> = match keys {
            Some(keys) => keys.iter().filter_map(|key| self.by_key(*key)).filter(unseen).collect(),
            None => self
                .by_key
                .iter()
                .flat_map(|shard| shard.load().values().filter(|served| unseen(served)).cloned().collect::<Vec<_>>())
                .collect(),
        };
        let mut batch = Batch::default();
        for served in &gone {
            self.remove(&mut batch, served);
        }
        self.publish(batch);
        gone.iter().map(|served| (served.key, ChangeKind::State)).collect()
    }

    fn key_shard(&self, key: EntityKey) -> usize {
        shard(self.hasher.hash_one(key))
    }

    fn name_hash(&self, entity_type: EntityType, name: &str) -> u64 {
        self.hasher.hash_one((entity_type, name))
    }

    /// An entity as the batch has it so far.
    fn find(&self, batch: &Batch, key: EntityKey) -> Option<Arc<Served>> {
        match batch.by_key.get(&self.key_shard(key)) {
            Some(index) => index.get(&key).map(Arc::clone),
            None => self.by_key(key),
        }
    }

    fn keys<'b>(&self, batch: &'b mut Batch, key: EntityKey) -> &'b mut ByKey {
        let shard = self.key_shard(key);
        batch.by_key.entry(shard).or_insert_with(|| ByKey::clone(&self.by_key[shard].load()))
    }

    fn names<'b>(&self, batch: &'b mut Batch, hash: u64) -> &'b mut ByName {
        let shard = shard(hash);
        batch.by_name.entry(shard).or_insert_with(|| ByName::clone(&self.by_name[shard].load()))
    }

    fn insert(&self, batch: &mut Batch, served: Arc<Served>) {
        let hash = self.name_hash(served.key.entity_type, &served.name);
        let named = Named { hash, served: Arc::clone(&served) };
        self.names(batch, hash).insert_unique(hash, named, |named| named.hash);
        self.keys(batch, served.key).insert(served.key, served);
    }

    fn remove(&self, batch: &mut Batch, served: &Arc<Served>) {
        self.keys(batch, served.key).remove(&served.key);
        let hash = self.name_hash(served.key.entity_type, &served.name);
        if let Ok(found) = self.names(batch, hash).find_entry(hash, |named| Arc::ptr_eq(&named.served, served)) {
            found.remove();
        }
    }

    fn publish(&self, batch: Batch) {
        for (shard, index) in batch.by_key {
            self.by_key[shard].store(Arc::new(index));
        }
        for (shard, index) in batch.by_name {
            self.by_name[shard].store(Arc::new(index));
        }
    }
}

/// What others should know of a step, if anything.
fn change(before: Option<&Served>, after: Option<&Served>) -> Option<ChangeKind> {
    match (before, after) {
        (Some(before), Some(after)) => after.change_since(before),
        (None, Some(_)) => Some(ChangeKind::Revision),
        (Some(_), None) => Some(ChangeKind::State),
        (None, None) => None,
    }
}

/// The part that a hash belongs to. The tables use the lowest and the highest bits, so these are others.
const fn shard(hash: u64) -> usize {
    (hash >> 32) as usize % SHARDS
}
