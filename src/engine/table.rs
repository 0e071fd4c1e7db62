//! Tables of an engine's buffers and programs.

use std::hash::Hash;

use hashbrown::HashMap;

/// Buffers or programs by id. Ids are never reused: a stale id finds nothing, rather than another
/// model's entry.
pub(super) struct Table<K, V> {
    next: usize,
    entries: HashMap<K, V>,
}

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Self { next: 0, entries: HashMap::new() }
    }
}

impl<K: From<usize> + Copy + Eq + Hash, V> Table<K, V> {
    pub fn insert(&mut self, value: V) -> K {
        let id = K::from(self.next);
        self.next += 1;
        self.entries.insert(id, value);
        id
    }

    pub fn get(&self, id: K) -> Option<&V> {
        self.entries.get(&id)
    }

    pub fn get_mut(&mut self, id: K) -> Option<&mut V> {
        self.entries.get_mut(&id)
    }

    pub fn remove(&mut self, id: K) -> Option<V> {
        self.entries.remove(&id)
    }

    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.entries.values()
    }

    /// Removes all entries. Their ids are not reused either.
    pub fn clear(&mut self) {
        self.entries.clear();
    }
}
