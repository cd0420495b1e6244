//! A map that forgets, for the caches of the writer.

use std::hash::Hash;

use foldhash::fast::RandomState;

/// Hashed faster than by the standard library, with a seed of this process's own.
type HashMap<K, V> = std::collections::HashMap<K, V, RandomState>;

/// A map that forgets: when the young half is full, the old half goes.
pub(super) struct Cache<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    half: usize,
}

impl<K: Eq + Hash + Clone, V: Clone> Cache<K, V> {
    /// An empty one for at most so many entries.
    pub(super) fn of(capacity: usize) -> Self {
        Self { young: HashMap::default(), old: HashMap::default(), half: capacity / 2 }
    }

    /// The value of a key, if it is known.
    pub(super) fn get(&mut self, key: &K) -> Option<V> {
        if let Some(value) = self.young.get(key) {
            return Some(value.clone());
        }
        let (key, value) = self.old.remove_entry(key)?;
        self.put(key, value.clone());
        Some(value)
    }

    /// Notes the value of a key.
    pub(super) fn put(&mut self, key: K, value: V) {
        if self.young.len() >= self.half {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }

    /// Forgets the values that are not to be kept.
    pub(super) fn retain(&mut self, keep: impl Fn(&V) -> bool) {
        self.young.retain(|_, value| keep(value));
        self.old.retain(|_, value| keep(value));
    }
}
