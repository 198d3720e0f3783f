//! A table of small entries by hash.
//!
//! Entries are in order, in parts among which the hash chooses. As hashes are spread evenly, one tells
//! about where in its part an entry is: it is found in one or two lines of a cache, and no room is
//! left free.

use std::{
    cmp::Ordering,
    hash::{BuildHasher, Hash},
    sync::{Arc, LazyLock},
};

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::{Array, Entry, Fingerprint, Kept, Printed, first_not_below, prefetch, sort_by_bucket};

/// Bytes in a part, on average: so many that the list of parts stays in the processor's cache. A part
/// is what a change copies.
const PART: usize = 4096;

/// An entry is hardly ever farther than so many bytes from where its hash tells.
const NEAR: usize = 128;

/// A run of entries with one hash that is longer is searched, and not looked through.
const SHORT: usize = 8;

/// The hash of a value, the same throughout the process and unknown outside it.
pub(crate) fn hash_of<T: Hash + ?Sized>(value: &T) -> u32 {
    static STATE: LazyLock<RandomState> = LazyLock::new(RandomState::default);
    let hash = STATE.hash_one(value);
    (hash >> 32) as u32 ^ hash as u32
}

impl<T: ?Sized> Table<Kept<T>> {
    /// The thing with a name.
    #[inline]
    pub(crate) fn kept(&self, name: Fingerprint) -> Option<&Arc<T>> {
        self.find(name.hash(), |kept| kept.name == name).map(|kept| &kept.thing)
    }

    /// Keeps a thing in the place of the one with its name.
    pub(crate) fn keep(&mut self, name: Fingerprint, thing: Arc<T>) {
        self.drop_kept(name);
        self.add(Kept { name, thing });
    }

    /// Lets go of the thing with a name.
    pub(crate) fn drop_kept(&mut self, name: Fingerprint) {
        self.remove(name.hash(), |kept| kept.name == name);
    }
}

impl Table<Printed> {
    /// The number with a name; the least of several.
    #[inline]
    pub(crate) fn number(&self, name: Fingerprint) -> Option<u32> {
        self.find(name.hash(), |found| found.name == name).map(|found| found.number)
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Table<T> {
    entries: Entries<T>,
    len: usize,
}

#[derive(Clone, Debug)]
enum Entries<T> {
    /// While much is added and no copy is made.
    Loading(HashTable<T>),
    Settled(Array<[T]>),
}

impl<T: Entry> Default for Table<T> {
    fn default() -> Self {
        Self { entries: Entries::Loading(HashTable::new()), len: 0 }
    }
}

/// Entries in a part, on average.
const fn per_part<T>() -> usize {
    PART / size_of::<T>()
}

/// What hashbrown takes for the hash: of ours it would use the bits that vary least.
fn wide(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// The part, of so many, in which a hash belongs, and how far into it: in 2^32ths.
#[inline]
fn place(hash: u32, parts: usize) -> (usize, u64) {
    let place = u64::from(hash) * parts as u64;
    // INVARIANT: less than the number of parts.
    ((place >> 32) as usize, place & 0xffff_ffff)
}

impl<T: Entry> Table<T> {
    /// The entries that may have a hash, in order.
    #[inline]
    pub(crate) fn having(&self, hash: u32) -> impl Iterator<Item = &T> + Clone {
        let (loading, settled) = match &self.entries {
            Entries::Loading(entries) => (Some(entries.iter_hash(wide(hash))), None),
            Entries::Settled(parts) => (None, Some(run(parts, hash))),
        };
        settled
            .into_iter()
            .flatten()
            .take_while(move |entry| entry.hash() == hash)
            .chain(loading.into_iter().flatten().filter(move |entry| entry.hash() == hash))
    }

    /// The entry that has a hash and is it.
    #[inline]
    pub(crate) fn find(&self, hash: u32, mut is_it: impl FnMut(&T) -> bool) -> Option<&T> {
        match &self.entries {
            Entries::Loading(entries) => entries.find(wide(hash), is_it),
            Entries::Settled(parts) => run(parts, hash)
                .iter()
                .take_while(|entry| entry.hash() == hash)
                .find(|entry| is_it(entry)),
        }
    }

    /// The entry that has a hash and compares as equal, where the comparison goes with the order of
    /// entries: fast however many have the hash.
    #[inline]
    pub(crate) fn get(&self, hash: u32, compare: impl Fn(&T) -> Ordering) -> Option<&T> {
        let Entries::Settled(parts) = &self.entries else {
            return self.find(hash, |entry| compare(entry).is_eq());
        };
        let run = run(parts, hash);
        let first = run.iter().take(SHORT).position(|entry| compare(entry).is_ge());
        let at = first.unwrap_or_else(|| {
            run.partition_point(|entry| entry.hash() == hash && compare(entry).is_lt())
        });
        run.get(at).filter(|entry| entry.hash() == hash && compare(entry).is_eq())
    }

    /// Asks for the memory where an entry with a hash would be.
    #[inline]
    pub(crate) fn prefetch(&self, hash: u32) {
        let Entries::Settled(parts) = &self.entries else { return };
        let (at, fraction) = place(hash, parts.len());
        let part = parts.get(at).unwrap_or_default();
        let (guess, near) = (guess(fraction, part), NEAR / size_of::<T>());
        let around = guess.saturating_sub(near)..part.len().min(guess + near);
        prefetch(part.get(around).unwrap_or_default());
    }

    /// All entries.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        let (loading, settled) = match &self.entries {
            Entries::Loading(entries) => (Some(entries.iter()), None),
            Entries::Settled(parts) => (None, Some(parts.iter().flatten())),
        };
        loading.into_iter().flatten().chain(settled.into_iter().flatten())
    }

    /// Adds an entry, beside those that have its hash.
    pub(crate) fn add(&mut self, entry: T) {
        self.len += 1;
        let parts = match &mut self.entries {
            Entries::Loading(entries) => {
                entries.insert_unique(wide(entry.hash()), entry, |entry| wide(entry.hash()));
                return;
            }
            Entries::Settled(parts) => parts,
        };
        let (at, _) = place(entry.hash(), parts.len());
        let old = parts.get(at).unwrap_or_default();
        let (before, after) = old.split_at(old.partition_point(|other| *other < entry));
        let new = before.iter().cloned().chain([entry]).chain(after.iter().cloned()).collect();
        parts.set(at, new);
        if self.len > 2 * per_part::<T>() * parts.len() {
            *parts = in_parts(parts.iter().flatten().cloned().collect());
        }
    }

    /// Changes the entry that has a hash and is it, if there is one. Its order must stay.
    pub(crate) fn update(
        &mut self,
        hash: u32,
        mut is_it: impl FnMut(&T) -> bool,
        change: impl FnOnce(&mut T),
    ) {
        match &mut self.entries {
            Entries::Loading(entries) => {
                if let Some(found) = entries.find_mut(wide(hash), is_it) {
                    change(found);
                }
            }
            Entries::Settled(parts) => {
                let (at, _) = place(hash, parts.len());
                let mut part: Arc<[T]> = parts.get(at).unwrap_or_default().into();
                let mut entries = Arc::make_mut(&mut part).iter_mut();
                let found = entries.find(|entry| entry.hash() == hash && is_it(entry));
                if let Some(found) = found {
                    change(found);
                    parts.set(at, part);
                }
            }
        }
    }

    /// Takes the entry out that has a hash and is it, if there is one.
    pub(crate) fn remove(&mut self, hash: u32, mut is_it: impl FnMut(&T) -> bool) {
        match &mut self.entries {
            Entries::Loading(entries) => {
                if let Ok(found) = entries.find_entry(wide(hash), is_it) {
                    found.remove();
                    self.len -= 1;
                }
            }
            Entries::Settled(parts) => {
                let (at, _) = place(hash, parts.len());
                let part = parts.get(at).unwrap_or_default();
                let found = part.iter().position(|entry| entry.hash() == hash && is_it(entry));
                let Some(found) = found else { return };
                let others = part.iter().enumerate().filter(|(number, _)| *number != found);
                let others = others.map(|(_, entry)| entry.clone()).collect();
                parts.set(at, others);
                self.len -= 1;
            }
        }
    }

    /// Makes room for entries that will come.
    pub(crate) fn reserve(&mut self, entries: usize) {
        if let Entries::Loading(table) = &mut self.entries {
            table.reserve(entries, |entry| wide(entry.hash()));
        }
    }

    /// Ends the time in which much is added at once.
    pub(crate) fn settle(&mut self) {
        if let Entries::Loading(entries) = &mut self.entries {
            let entries = std::mem::take(entries).into_iter().collect();
            self.entries = Entries::Settled(in_parts(entries));
        }
    }

    /// How many bytes it holds, without what entries point to.
    pub(crate) fn memory(&self) -> usize {
        match &self.entries {
            Entries::Loading(entries) => entries.allocation_size(),
            Entries::Settled(parts) => parts.memory() + self.len * size_of::<T>(),
        }
    }
}

/// The entries of a part from the first one on that has a hash: those that have it come first.
#[inline]
fn run<T: Entry>(parts: &Array<[T]>, hash: u32) -> &[T] {
    let (at, fraction) = place(hash, parts.len());
    let Some(part) = parts.get(at) else { return &[] };
    let start = first_not_below(part, guess(fraction, part), |entry| entry.hash() < hash);
    // INVARIANT: not more than the length.
    &part[start..]
}

/// About where in a part something is that is so far into it.
#[inline]
fn guess<T>(fraction: u64, part: &[T]) -> usize {
    // INVARIANT: less than the length.
    ((fraction * part.len() as u64) >> 32) as usize
}

fn in_parts<T: Entry>(mut entries: Vec<T>) -> Array<[T]> {
    let count = entries.len().div_ceil(per_part::<T>()).max(1);
    let part_of = |entry: &T| place(entry.hash(), count).0;
    sort_by_bucket(&mut entries, count, part_of);
    let mut rest = entries.as_slice();
    let parts = (0..count).map(|part| {
        let (these, others) = rest.split_at(rest.partition_point(|entry| part_of(entry) <= part));
        rest = others;
        Arc::from(these)
    });
    parts.collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::Hashed, *};

    fn entry(value: u16) -> Hashed {
        // Few hashes, of which some are much alike.
        let hash = match value % 4 {
            0 => hash_of(&(value % 64)),
            1 => u32::MAX - u32::from(value % 3),
            _ => hash_of(&value),
        };
        Hashed { hash, number: value.into() }
    }

    proptest! {
        #[test]
        fn behaves_as_a_sorted_list(
            steps in prop::collection::vec((any::<bool>(), 0u16..400), 0..1200),
            settled in 0usize..1200,
        ) {
            let (mut table, mut model) = (Table::default(), Vec::new());
            let mut kept = None;
            for (number, (add, value)) in steps.into_iter().enumerate() {
                if number == settled {
                    table.settle();
                    kept = Some((table.clone(), model.clone()));
                }
                let entry = entry(value);
                let known = model.iter().position(|other| *other == entry);
                if add && known.is_none() {
                    table.add(entry);
                    model.push(entry);
                } else if !add {
                    table.remove(entry.hash, |other| *other == entry);
                    known.map(|at| model.remove(at));
                }
            }
            for (table, model) in kept.into_iter().chain([(table, model)]) {
                prop_assert_eq!(table.len, model.len());
                prop_assert_eq!(table.iter().count(), model.len());
                for wanted in (0..400).map(entry) {
                    let is_there = model.contains(&wanted);
                    let found = table.find(wanted.hash, |entry| *entry == wanted);
                    prop_assert_eq!(found.is_some(), is_there);
                    let found = table.get(wanted.hash, |entry| entry.cmp(&wanted));
                    prop_assert_eq!(found.is_some(), is_there);
                    let having = model.iter().filter(|entry| entry.hash == wanted.hash);
                    prop_assert_eq!(table.having(wanted.hash).count(), having.count());
                }
            }
        }
    }
}
