//! An ordered map kept in chunks, so that a range can be counted and set aside in little time.
//!
//! A reader takes the chunks that it needs by reference count and works on them without a lock; a
//! writer that meets a chunk still held by a reader copies that one chunk. Counting adds up the
//! lengths of chunks instead of walking over their entries.

use std::sync::Arc;

use bytes::Bytes;

use super::{Record, index::Position};
use crate::key::{Key, KeyRange};

/// Entries in a full chunk: large enough that counts and snapshots touch few chunks, small enough
/// that copying one is a matter of microseconds.
const FULL: usize = 128;

type Chunk = Arc<Vec<Entry>>;

/// The newest value at a key.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: Key,
    pub(super) value: Bytes,
    pub(super) position: Position,
}

impl Entry {
    pub(super) fn record(&self) -> Record {
        Record {
            key: self.key.clone(),
            revision: self.position.revision,
            value: self.value.clone(),
        }
    }
}

/// The map. No chunk is ever empty.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    chunks: Vec<Chunk>,
}

/// A place in [`Chunks`]: of an entry, or where one would go.
#[derive(Clone, Copy)]
struct Place {
    chunk: usize,
    entry: usize,
}

/// Entries of a range as they were at one moment.
#[derive(Debug)]
pub(super) struct Slice {
    chunks: Vec<Chunk>,
    skip: usize,
    held: usize,
    total: usize,
}

impl Slice {
    /// The entries held, in key order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.chunks.iter().flat_map(|chunk| chunk.iter()).skip(self.skip).take(self.held)
    }

    /// How many entries are held.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// How many entries the whole range has, held or not.
    pub(super) fn total(&self) -> usize {
        self.total
    }
}

impl Chunks {
    /// A map of entries in any order, each key once.
    #[cfg(any(feature = "embedded", test))]
    pub(super) fn of(mut entries: Vec<Entry>) -> Self {
        // Stable: it makes use of parts that are in order already, and most keys come so.
        entries.sort_by(|a, b| a.key.cmp(&b.key));
        let mut entries = entries.into_iter().peekable();
        let mut chunks = Vec::with_capacity(entries.len().div_ceil(FULL));
        while entries.peek().is_some() {
            chunks.push(Arc::new(entries.by_ref().take(FULL).collect()));
        }
        Self { chunks }
    }

    pub(super) fn get(&self, key: &[u8]) -> Option<&Entry> {
        let place = self.find(key).ok()?;
        self.chunks[place.chunk].get(place.entry)
    }

    /// Puts the entry in place of the one with the same key, if any; that key's bytes stay.
    pub(super) fn insert(&mut self, entry: Entry) {
        match self.find(entry.key.as_bytes()) {
            Ok(place) => {
                let old = &mut Arc::make_mut(&mut self.chunks[place.chunk])[place.entry];
                old.value = entry.value;
                old.position = entry.position;
            }
            Err(place) => self.insert_at(place, entry),
        }
    }

    fn insert_at(&mut self, place: Place, entry: Entry) {
        let Place { chunk: at, entry: index } = place;
        let Some(chunk) = self.chunks.get_mut(at) else {
            return self.chunks.push(Arc::new(vec![entry]));
        };
        if chunk.len() < FULL {
            return Arc::make_mut(chunk).insert(index, entry);
        }
        if index == FULL {
            // Keys often arrive in order: leave the full chunk full.
            return self.chunks.insert(at + 1, Arc::new(vec![entry]));
        }
        let left = Arc::make_mut(chunk);
        let mut right = left.split_off(FULL / 2);
        match index.checked_sub(FULL / 2) {
            Some(index) => right.insert(index, entry),
            None => left.insert(index, entry),
        }
        self.chunks.insert(at + 1, Arc::new(right));
    }

    pub(super) fn remove(&mut self, key: &[u8]) {
        let Ok(place) = self.find(key) else { return };
        let chunk = Arc::make_mut(&mut self.chunks[place.chunk]);
        chunk.remove(place.entry);
        if chunk.is_empty() {
            self.chunks.remove(place.chunk);
        } else if chunk.len() < FULL / 4 {
            self.merge(place.chunk);
        }
    }

    /// Moves the chunk's entries to its left neighbour if they fit well.
    fn merge(&mut self, at: usize) {
        let Some(before) = at.checked_sub(1) else { return };
        if self.chunks[before].len() + self.chunks[at].len() > FULL / 2 {
            return;
        }
        let chunk = self.chunks.remove(at);
        Arc::make_mut(&mut self.chunks[before]).extend(chunk.iter().cloned());
    }

    /// Sets aside the first `limit` entries of the range, and counts all of them.
    pub(super) fn slice(&self, range: &KeyRange, limit: usize) -> Slice {
        let start = self.lower_bound(range.start());
        let end = self.lower_bound(range.end());
        let total = self.count(start, end);
        let held = total.min(limit);
        let mut missing = start.entry + held;
        let chunks = self.chunks[start.chunk..]
            .iter()
            .take_while(|chunk| {
                let needed = missing > 0;
                missing = missing.saturating_sub(chunk.len());
                needed
            })
            .cloned()
            .collect();
        Slice { chunks, skip: start.entry, held, total }
    }

    fn count(&self, start: Place, end: Place) -> usize {
        let before_end: usize = self
            .chunks
            .get(start.chunk..end.chunk)
            .unwrap_or_default()
            .iter()
            .map(|c| c.len())
            .sum();
        (before_end + end.entry).saturating_sub(start.entry)
    }

    fn lower_bound(&self, key: &[u8]) -> Place {
        self.find(key).unwrap_or_else(|place| place)
    }

    /// The place of the key's entry; as an error, the place where it would go.
    fn find(&self, key: &[u8]) -> Result<Place, Place> {
        let after = self.chunks.partition_point(|chunk| chunk[0].key.as_bytes() <= key);
        let chunk = after.saturating_sub(1);
        let Some(entries) = self.chunks.get(chunk) else {
            return Err(Place { chunk: 0, entry: 0 });
        };
        entries
            .binary_search_by(|entry| entry.key.as_bytes().cmp(key))
            .map(|entry| Place { chunk, entry })
            .map_err(|entry| Place { chunk, entry })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::storage::Revision;

    fn key(number: u16) -> Key {
        Key::from_storage(Bytes::from(format!("/{number:05}/")))
    }

    fn range(from: u16, to: u16) -> KeyRange {
        KeyRange::between(key(from).to_bytes(), key(to).to_bytes())
    }

    proptest! {
        #[test]
        fn behaves_as_a_btree_map(
            steps in prop::collection::vec((any::<bool>(), 0_u16..600), 0..2000),
            (from, to, limit) in (0_u16..600, 0_u16..600, 0_usize..700),
        ) {
            let mut chunks = Chunks::default();
            let mut model = BTreeMap::new();
            for (number, (put, at)) in steps.into_iter().enumerate() {
                if put || number % 3 == 0 {
                    let position = Position { revision: Revision::new(number as u64), index: 0 };
                    chunks.insert(Entry { key: key(at), value: Bytes::new(), position });
                    model.insert(at, position);
                } else {
                    chunks.remove(key(at).as_bytes());
                    model.remove(&at);
                }
            }
            prop_assert!(chunks.chunks.iter().all(|chunk| !chunk.is_empty() && chunk.len() <= FULL));
            let (from, to) = (from.min(to), from.max(to) + 1);
            let expected: Vec<_> = model.range(from..to).map(|(at, p)| (key(*at), *p)).collect();
            let slice = chunks.slice(&range(from, to), limit);
            prop_assert_eq!(slice.total(), expected.len());
            let found: Vec<_> = slice.iter().map(|e| (e.key.clone(), e.position)).collect();
            prop_assert_eq!(&found[..], &expected[..limit.min(expected.len())]);
            for (at, position) in &model {
                prop_assert_eq!(chunks.get(key(*at).as_bytes()).unwrap().position, *position);
            }
            let mut entries: Vec<_> =
                chunks.slice(&KeyRange::all(), usize::MAX).iter().cloned().collect();
            entries.reverse();
            let rebuilt = Chunks::of(entries);
            let slice = rebuilt.slice(&range(from, to), usize::MAX);
            let found: Vec<_> = slice.iter().map(|e| (e.key.clone(), e.position)).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
