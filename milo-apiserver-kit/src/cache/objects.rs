//! Objects in key order, in chunks that are shared with whoever reads them.
//!
//! A reader takes all of them by one reference count and walks over them without a lock, for as
//! long as it pleases; a writer that meets a chunk still held by a reader copies that one chunk.
//! So a reader keeps nothing in memory but what was replaced since it began.

use std::sync::Arc;

use milo_core::key::{Key, KeyRange};

use super::cached::Shared;

/// Objects in a full chunk: large enough that there are few of them, small enough that copying one
/// is a matter of a microsecond.
const FULL: usize = 128;

type Chunk = Arc<Vec<Shared>>;

/// A set of objects, ordered by key. Cloning is a snapshot and costs nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Objects {
    /// No chunk is ever empty.
    chunks: Arc<Vec<Chunk>>,
}

/// A place in [`Objects`]: of an object, or where one would go.
#[derive(Clone, Copy, Debug)]
struct Place {
    chunk: usize,
    entry: usize,
}

/// Some objects of a snapshot, one after the other.
#[derive(Clone, Debug)]
pub(crate) struct Walk {
    objects: Objects,
    next: Place,
    left: usize,
}

impl Objects {
    /// From objects in key order, each key once.
    pub(super) fn from_sorted(objects: Vec<Shared>) -> Self {
        let mut chunks = Vec::with_capacity(objects.len().div_ceil(FULL));
        let mut objects = objects.into_iter();
        loop {
            let chunk: Vec<_> = objects.by_ref().take(FULL).collect();
            if chunk.is_empty() {
                return Self { chunks: Arc::new(chunks) };
            }
            chunks.push(Arc::new(chunk));
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Puts an object in its place. The one that was there before.
    pub(super) fn insert(&mut self, object: Shared) -> Option<Shared> {
        let place = self.find(object.key().as_bytes());
        let chunks = Arc::make_mut(&mut self.chunks);
        match place {
            Ok(Place { chunk, entry }) => {
                Some(std::mem::replace(&mut Arc::make_mut(&mut chunks[chunk])[entry], object))
            }
            Err(place) => {
                insert_at(chunks, place, object);
                None
            }
        }
    }

    /// Takes an object out, if it is there.
    pub(super) fn remove(&mut self, key: &Key) -> Option<Shared> {
        let Place { chunk: at, entry } = self.find(key.as_bytes()).ok()?;
        let chunks = Arc::make_mut(&mut self.chunks);
        let chunk = Arc::make_mut(&mut chunks[at]);
        let removed = chunk.remove(entry);
        if chunk.is_empty() {
            chunks.remove(at);
        } else if chunk.len() < FULL / 4 {
            merge(chunks, at);
        }
        Some(removed)
    }

    /// The objects of a range as they are now.
    pub(super) fn walk(&self, range: &KeyRange) -> Walk {
        let start = self.lower_bound(range.start());
        let end = self.lower_bound(range.end());
        let whole = self.chunks.get(start.chunk..end.chunk).unwrap_or_default();
        let before_end: usize = whole.iter().map(|chunk| chunk.len()).sum();
        let left = (before_end + end.entry).saturating_sub(start.entry);
        Walk { objects: self.clone(), next: start, left }
    }

    fn lower_bound(&self, key: &[u8]) -> Place {
        self.find(key).unwrap_or_else(|place| place)
    }

    /// The place of the object with this key; as an error, where it would go.
    fn find(&self, key: &[u8]) -> Result<Place, Place> {
        let after = self.chunks.partition_point(|chunk| chunk[0].key().as_bytes() <= key);
        let chunk = after.saturating_sub(1);
        let Some(objects) = self.chunks.get(chunk) else {
            return Err(Place { chunk: 0, entry: 0 });
        };
        objects
            .binary_search_by(|object| object.key().as_bytes().cmp(key))
            .map(|entry| Place { chunk, entry })
            .map_err(|entry| Place { chunk, entry })
    }
}

fn insert_at(chunks: &mut Vec<Chunk>, place: Place, object: Shared) {
    let Place { chunk: at, entry } = place;
    let Some(chunk) = chunks.get_mut(at) else {
        return chunks.push(Arc::new(vec![object]));
    };
    if chunk.len() < FULL {
        return Arc::make_mut(chunk).insert(entry, object);
    }
    if entry == FULL {
        // Keys often arrive in order: leave the full chunk full.
        return chunks.insert(at + 1, Arc::new(vec![object]));
    }
    let left = Arc::make_mut(chunk);
    let mut right = left.split_off(FULL / 2);
    match entry.checked_sub(FULL / 2) {
        Some(entry) => right.insert(entry, object),
        None => left.insert(entry, object),
    }
    chunks.insert(at + 1, Arc::new(right));
}

/// Moves the chunk's objects to its left neighbour if they fit well.
fn merge(chunks: &mut Vec<Chunk>, at: usize) {
    let Some(before) = at.checked_sub(1) else { return };
    if chunks[before].len() + chunks[at].len() > FULL / 2 {
        return;
    }
    let chunk = chunks.remove(at);
    Arc::make_mut(&mut chunks[before]).extend(chunk.iter().cloned());
}

impl Walk {
    /// Over these objects, which are in key order.
    pub(crate) fn over(objects: Vec<Shared>) -> Self {
        let left = objects.len();
        Self { objects: Objects::from_sorted(objects), next: Place { chunk: 0, entry: 0 }, left }
    }

    /// Leaves out all but the first `limit` objects. How many those are that are left out.
    pub(super) fn truncate(&mut self, limit: usize) -> usize {
        let rest = self.left.saturating_sub(limit);
        self.left -= rest;
        rest
    }

    /// The last object.
    pub(super) fn last_object(&self) -> Option<&Shared> {
        let mut skip = self.next.entry + self.left.checked_sub(1)?;
        for chunk in self.objects.chunks.get(self.next.chunk..)? {
            match chunk.get(skip) {
                Some(object) => return Some(object),
                None => skip -= chunk.len(),
            }
        }
        None
    }
}

impl Iterator for Walk {
    type Item = Shared;

    fn next(&mut self) -> Option<Shared> {
        self.left = self.left.checked_sub(1)?;
        let mut chunk = self.objects.chunks.get(self.next.chunk)?;
        if self.next.entry >= chunk.len() {
            self.next = Place { chunk: self.next.chunk + 1, entry: 0 };
            chunk = self.objects.chunks.get(self.next.chunk)?;
        }
        let object = chunk.get(self.next.entry)?.clone();
        self.next.entry += 1;
        Some(object)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Walk {}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use milo_core::storage::Revision;
    use proptest::prelude::*;

    use super::*;
    use crate::cache::tests::{key, namespace, object};

    /// What comes from a key on, as on a later page.
    fn range(from: u16) -> KeyRange {
        namespace("ns").starting_at(key("ns", &name(from)).to_bytes()).unwrap()
    }

    fn name(number: u16) -> String {
        format!("{number:05}")
    }

    proptest! {
        #[test]
        fn behaves_as_a_btree_map_and_so_do_its_snapshots(
            steps in prop::collection::vec((any::<bool>(), 0_u16..600), 0..1500),
            (from, limit, snapshot) in (0_u16..600, 0_usize..700, 0_usize..1500),
        ) {
            let (mut objects, mut model) = (Objects::default(), BTreeMap::new());
            let mut kept = None;
            for (number, (put, at)) in steps.into_iter().enumerate() {
                if number == snapshot {
                    kept = Some((objects.clone(), model.clone()));
                }
                let revision = Revision::new(number as u64 + 1);
                if put || number % 3 == 0 {
                    let before = objects.insert(object(&name(at), revision.get(), 0));
                    prop_assert_eq!(before.map(|o| o.revision()), model.insert(at, revision));
                } else {
                    let before = objects.remove(&key("ns", &name(at)));
                    prop_assert_eq!(before.map(|o| o.revision()), model.remove(&at));
                }
            }
            let now = (objects.clone(), model);
            for (objects, model) in [Some(now), kept].into_iter().flatten() {
                let full = objects.chunks.iter().all(|c| !c.is_empty() && c.len() <= FULL);
                prop_assert!(full);
                let expected: Vec<_> = model.range(from..).map(|(_, revision)| *revision).collect();
                let mut walk = objects.walk(&range(from));
                prop_assert_eq!(walk.len(), expected.len());
                prop_assert_eq!(walk.truncate(limit), expected.len().saturating_sub(limit));
                let last = walk.last_object().map(|object| object.revision());
                let found: Vec<_> = walk.map(|object| object.revision()).collect();
                prop_assert_eq!(&found[..], &expected[..limit.min(expected.len())]);
                prop_assert_eq!(last, found.last().copied());
                prop_assert_eq!(objects.is_empty(), model.is_empty());
            }
        }
    }
}
