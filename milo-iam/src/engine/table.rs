//! A hash table of which one can keep the past: to copy it costs little, and to change the copy
//! copies the part that changes.

use std::{
    hash::{BuildHasher, Hash},
    sync::{Arc, LazyLock},
};

use foldhash::fast::RandomState;
use hashbrown::HashTable;

/// Entries for which a part is made, on average. A part is what a change copies.
const PER_PART: usize = 256;

/// The hash of a value, the same throughout the process and unknown outside it.
pub(super) fn hash_of<T: Hash + ?Sized>(value: &T) -> u64 {
    static STATE: LazyLock<RandomState> = LazyLock::new(RandomState::default);
    STATE.hash_one(value)
}

/// What a [`Table`] holds: it knows the hash of its own key.
pub(super) trait Entry: Clone {
    /// [`hash_of`] the key.
    fn hash(&self) -> u64;
}

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Table<T> {
    parts: Vec<Arc<HashTable<T>>>,
    len: usize,
}

impl<T: Entry> Table<T> {
    /// An empty table that is made for a number of entries, and takes more.
    pub(super) fn for_entries(expected: usize) -> Self {
        let parts = (expected / PER_PART).max(1).next_power_of_two();
        let empty = Arc::new(HashTable::new());
        Self { parts: vec![empty; parts], len: 0 }
    }

    /// The part in which a hash belongs. hashbrown uses the lowest and the highest bits.
    fn part(&self, hash: u64) -> usize {
        let bits = (hash >> 32) as usize & 0x00ff_ffff;
        bits & (self.parts.len() - 1)
    }

    /// The entry that has the hash and is it.
    pub(super) fn find(&self, hash: u64, is_it: impl FnMut(&T) -> bool) -> Option<&T> {
        self.parts[self.part(hash)].find(hash, is_it)
    }

    /// Puts an entry in the place of the one that is it, if there is one.
    pub(super) fn put(&mut self, entry: T, is_it: impl FnMut(&T) -> bool) {
        if self.len > 4 * PER_PART * self.parts.len() {
            self.grow();
        }
        let hash = entry.hash();
        let part = self.part(hash);
        let part = Arc::make_mut(&mut self.parts[part]);
        match part.find_mut(hash, is_it) {
            Some(found) => *found = entry,
            None => {
                part.insert_unique(hash, entry, T::hash);
                self.len += 1;
            }
        }
    }

    /// Takes the entry out that is it, if there is one.
    pub(super) fn remove(&mut self, hash: u64, mut is_it: impl FnMut(&T) -> bool) {
        if self.find(hash, &mut is_it).is_none() {
            return;
        }
        let part = self.part(hash);
        if let Ok(found) = Arc::make_mut(&mut self.parts[part]).find_entry(hash, is_it) {
            found.remove();
            self.len -= 1;
        }
    }

    fn grow(&mut self) {
        let mut grown = Self::for_entries(8 * PER_PART * self.parts.len());
        for entry in self.parts.iter().flat_map(|part| part.iter()) {
            let hash = entry.hash();
            let part = grown.part(hash);
            let part = Arc::make_mut(&mut grown.parts[part]);
            part.insert_unique(hash, entry.clone(), T::hash);
        }
        grown.len = self.len;
        *self = grown;
    }
}
