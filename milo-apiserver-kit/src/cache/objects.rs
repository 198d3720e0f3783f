//! Objects in order, in chunks that are shared with whoever reads them: all objects by key, or
//! those that have an attribute by its value and then by key.
//!
//! A reader takes all of them by one reference count and walks over them without a lock, for as
//! long as it pleases; a writer that meets a chunk still held by a reader copies that one chunk.
//! So a reader keeps nothing in memory but what was replaced since it began.

use std::{cmp::Ordering, sync::Arc};

use milo_core::key::{Key, KeyRange};

use super::{
    attribute::Attribute,
    cached::{Cached, Shared},
};

/// Objects in a full chunk: large enough that there are few of them, small enough that copying one
/// is a matter of a microsecond.
const FULL: usize = 128;

type Chunk = Arc<Vec<Shared>>;

/// A set of objects in order. Cloning is a snapshot and costs nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Objects {
    /// No chunk is ever empty.
    chunks: Arc<Vec<Chunk>>,
    /// What they are ordered by before their keys. Objects without it are not in the set.
    by: Option<Arc<Attribute>>,
}

/// What an object is found by: the value of the attribute, empty if there is none, and the key.
type Position<'a> = (&'a str, &'a [u8]);

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
        Self::from_ordered(objects.into_iter(), None)
    }

    /// Those of some objects in key order that have an attribute, ordered by it.
    pub(super) fn filed_by(attribute: Attribute, objects: impl Iterator<Item = Shared>) -> Self {
        let mut filed: Vec<_> =
            objects.filter(|object| object.value(&attribute).is_some()).collect();
        // Stable: what has the same value stays in key order.
        filed.sort_by(|a, b| a.value(&attribute).cmp(&b.value(&attribute)));
        Self::from_ordered(filed.into_iter(), Some(Arc::new(attribute)))
    }

    fn from_ordered(mut objects: impl Iterator<Item = Shared>, by: Option<Arc<Attribute>>) -> Self {
        let mut chunks = Vec::with_capacity(objects.size_hint().0.div_ceil(FULL));
        loop {
            let chunk: Vec<_> = objects.by_ref().take(FULL).collect();
            if chunk.is_empty() {
                return Self { chunks: Arc::new(chunks), by };
            }
            chunks.push(Arc::new(chunk));
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// What these objects are ordered by before their keys.
    pub(super) fn attribute(&self) -> Option<&Attribute> {
        self.by.as_deref()
    }

    /// Files an object in the place of its previous state, either of which may be none.
    pub(super) fn replace(&mut self, previous: Option<&Shared>, current: Option<&Shared>) {
        let before = previous.and_then(|object| self.position(object));
        let after = current.and_then(|object| self.position(object));
        if let Some(Ok(place)) = before.filter(|_| before != after).map(|at| self.find(at)) {
            self.remove_at(place);
        }
        if let Some(current) = current.filter(|_| after.is_some()) {
            self.insert(current.clone());
        }
    }

    /// Where an object is to be found; none when it has no place here.
    fn position<'a>(&self, object: &'a Cached) -> Option<Position<'a>> {
        let value = match &self.by {
            Some(attribute) => object.value(attribute)?,
            None => "",
        };
        Some((value, object.key().as_bytes()))
    }

    /// Puts an object in its place. The one that was there before.
    pub(super) fn insert(&mut self, object: Shared) -> Option<Shared> {
        let place = self.find(self.position(&object)?);
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

    /// Takes the object with a key out, if it is there. Of sets in key order only.
    pub(super) fn remove(&mut self, key: &Key) -> Option<Shared> {
        self.remove_at(self.find(("", key.as_bytes())).ok()?)
    }

    fn remove_at(&mut self, place: Place) -> Option<Shared> {
        let Place { chunk: at, entry } = place;
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

    /// The objects of a range as they are now, of a set in key order.
    pub(super) fn walk(&self, range: &KeyRange) -> Walk {
        self.walk_filed("", range)
    }

    /// The objects of a range that are filed under a value.
    pub(super) fn walk_filed(&self, value: &str, range: &KeyRange) -> Walk {
        let start = self.lower_bound((value, range.start()));
        let end = self.lower_bound((value, range.end()));
        let whole = self.chunks.get(start.chunk..end.chunk).unwrap_or_default();
        let before_end: usize = whole.iter().map(|chunk| chunk.len()).sum();
        let left = (before_end + end.entry).saturating_sub(start.entry);
        Walk { objects: self.clone(), next: start, left }
    }

    fn lower_bound(&self, position: Position<'_>) -> Place {
        self.find(position).unwrap_or_else(|place| place)
    }

    /// The place of the object at this position; as an error, where it would go.
    fn find(&self, position: Position<'_>) -> Result<Place, Place> {
        let after = self.chunks.partition_point(|chunk| self.compare(&chunk[0], position).is_le());
        let chunk = after.saturating_sub(1);
        let Some(objects) = self.chunks.get(chunk) else {
            return Err(Place { chunk: 0, entry: 0 });
        };
        objects
            .binary_search_by(|object| self.compare(object, position))
            .map(|entry| Place { chunk, entry })
            .map_err(|entry| Place { chunk, entry })
    }

    fn compare(&self, object: &Cached, (value, key): Position<'_>) -> Ordering {
        let by_value = match &self.by {
            // INVARIANT: all objects here have the attribute.
            Some(attribute) => object.value(attribute).unwrap_or_default().cmp(value),
            None => Ordering::Equal,
        };
        by_value.then_with(|| object.key().as_bytes().cmp(key))
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
