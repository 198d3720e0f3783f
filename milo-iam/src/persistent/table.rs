//! A hash table of small entries that know where their key is. The hash comes from whoever knows
//! the key: entries hold no names.

use std::{
    hash::{BuildHasher, Hash},
    sync::LazyLock,
};

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::Array;

/// Entries for which a part is made, on average: a little less than what fits into a part before it
/// doubles. A part is what a change copies.
const PER_PART: usize = 390;

/// The hash of a value, the same throughout the process and unknown outside it.
pub(crate) fn hash_of<T: Hash + ?Sized>(value: &T) -> u64 {
    static STATE: LazyLock<RandomState> = LazyLock::new(RandomState::default);
    STATE.hash_one(value)
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Table<T> {
    parts: Array<HashTable<T>>,
    count: u64,
    len: usize,
}

impl<T: Clone> Table<T> {
    /// An empty table that is made for a number of entries, and takes more.
    pub(crate) fn for_entries(expected: usize) -> Self {
        let count = expected.div_ceil(PER_PART).max(1);
        let mut parts = Array::default();
        (0..count).for_each(|_| parts.push(HashTable::new()));
        Self { parts, count: count as u64, len: 0 }
    }

    /// The part in which a hash belongs. hashbrown uses the lowest and the highest bits.
    fn part(&self, hash: u64) -> usize {
        let bits = hash >> 16 & 0xffff_ffff;
        // INVARIANT: less than `count`, which was a usize.
        ((bits * self.count) >> 32) as usize
    }

    /// The entries that may have a hash.
    pub(crate) fn having(&self, hash: u64) -> impl Iterator<Item = &T> + Clone {
        self.parts.get(self.part(hash)).into_iter().flat_map(move |part| part.iter_hash(hash))
    }

    /// The entry that has the hash and is it.
    pub(crate) fn find(&self, hash: u64, is_it: impl FnMut(&T) -> bool) -> Option<&T> {
        self.parts.get(self.part(hash))?.find(hash, is_it)
    }

    /// The entry that has the hash and is it, to change it.
    pub(crate) fn find_mut(
        &mut self,
        hash: u64,
        mut is_it: impl FnMut(&T) -> bool,
    ) -> Option<&mut T> {
        // What is not there needs no copy.
        self.find(hash, &mut is_it)?;
        let part = self.part(hash);
        self.parts.get_mut(part)?.find_mut(hash, is_it)
    }

    /// All entries.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.parts.iter().flat_map(HashTable::iter)
    }

    /// Adds an entry, beside those that have its hash. `rehash` gives the hash of any entry.
    pub(crate) fn add(&mut self, hash: u64, entry: T, rehash: impl Fn(&T) -> u64) {
        if self.len > PER_PART * 23 / 20 * self.parts.len() {
            self.grow(&rehash);
        }
        let part = self.part(hash);
        if let Some(part) = self.parts.get_mut(part) {
            part.insert_unique(hash, entry, rehash);
            self.len += 1;
        }
    }

    /// Puts an entry in the place of the one that is it, or adds it.
    pub(crate) fn put(
        &mut self,
        hash: u64,
        entry: T,
        mut is_it: impl FnMut(&T) -> bool,
        rehash: impl Fn(&T) -> u64,
    ) {
        match self.find_mut(hash, &mut is_it) {
            Some(found) => *found = entry,
            None => self.add(hash, entry, rehash),
        }
    }

    /// Takes the entry out that is it, if there is one.
    pub(crate) fn remove(&mut self, hash: u64, mut is_it: impl FnMut(&T) -> bool) {
        if self.find(hash, &mut is_it).is_none() {
            return;
        }
        let part = self.part(hash);
        let found = self.parts.get_mut(part).map(|part| part.find_entry(hash, is_it));
        if let Some(Ok(found)) = found {
            found.remove();
            self.len -= 1;
        }
    }

    fn grow(&mut self, rehash: &impl Fn(&T) -> u64) {
        let mut grown = Self::for_entries(2 * PER_PART * self.parts.len());
        for entry in self.iter() {
            let hash = rehash(entry);
            let part = grown.part(hash);
            if let Some(part) = grown.parts.get_mut(part) {
                part.insert_unique(hash, entry.clone(), rehash);
            }
        }
        grown.len = self.len;
        *self = grown;
    }

    /// How many bytes it holds, without what entries point to.
    pub(crate) fn memory(&self) -> usize {
        let parts = self.parts.iter().map(HashTable::allocation_size);
        self.parts.memory() + parts.sum::<usize>()
    }
}
