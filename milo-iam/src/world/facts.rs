//! Facts in the order of their keys, in chunks that copies share.
//!
//! To copy a set costs nothing. A change copies one chunk and the list of chunks, if a copy still
//! holds them; and to tell two sets that come from one another apart, only the chunks that differ
//! are looked at.

use std::{cmp::Ordering, sync::Arc};

use super::{Fact, Key};

/// Facts in a full chunk: small enough that copying one is a matter of a microsecond.
const FULL: usize = 128;

type Chunk = Arc<Vec<Arc<Fact>>>;

/// A set of facts, one for each key.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    /// No chunk is ever empty.
    chunks: Arc<Vec<Chunk>>,
    len: usize,
}

/// A place: of a fact, or where one would go.
#[derive(Clone, Copy, Debug)]
struct Place {
    chunk: usize,
    entry: usize,
}

impl Facts {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn get(&self, key: &Key) -> Option<&Arc<Fact>> {
        let place = self.find(key).ok()?;
        self.chunks.get(place.chunk)?.get(place.entry)
    }

    /// Puts a fact in its place. The one that was there before.
    pub(super) fn insert(&mut self, fact: Arc<Fact>) -> Option<Arc<Fact>> {
        let place = self.find(fact.key());
        let chunks = Arc::make_mut(&mut self.chunks);
        match place {
            Ok(Place { chunk, entry }) => {
                Some(std::mem::replace(&mut Arc::make_mut(&mut chunks[chunk])[entry], fact))
            }
            Err(place) => {
                insert_at(chunks, place, fact);
                self.len += 1;
                None
            }
        }
    }

    /// Takes the fact with a key out, if it is there.
    pub(super) fn remove(&mut self, key: &Key) -> Option<Arc<Fact>> {
        let Place { chunk: at, entry } = self.find(key).ok()?;
        let chunks = Arc::make_mut(&mut self.chunks);
        let chunk = Arc::make_mut(&mut chunks[at]);
        let removed = chunk.remove(entry);
        self.len -= 1;
        if chunk.is_empty() {
            chunks.remove(at);
        } else if chunk.len() < FULL / 4 {
            merge(chunks, at);
        }
        Some(removed)
    }

    /// All facts.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Fact>> {
        self.chunks.iter().flat_map(|chunk| chunk.iter())
    }

    /// The facts whose keys are not below `key`, or are above it.
    pub(super) fn from<'a>(
        &'a self,
        key: &Key,
        inclusive: bool,
    ) -> impl Iterator<Item = &'a Arc<Fact>> + use<'a> {
        let found = self.find(key);
        let skip = usize::from(found.is_ok() && !inclusive);
        let place = found.unwrap_or_else(|place| place);
        let rest = self.chunks.get(place.chunk..).unwrap_or_default();
        rest.iter().flat_map(|chunk| chunk.iter()).skip(place.entry + skip)
    }

    /// For each key, the fact here and the fact there, where they are not the same.
    pub(super) fn differences<'a>(&'a self, other: &'a Self) -> Differences<'a> {
        Differences { here: Walk::over(self), there: Walk::over(other) }
    }

    /// The place of the fact with a key; as an error, where it would go.
    fn find(&self, key: &Key) -> Result<Place, Place> {
        let after = self.chunks.partition_point(|chunk| chunk[0].key() <= key);
        let chunk = after.saturating_sub(1);
        let Some(facts) = self.chunks.get(chunk) else {
            return Err(Place { chunk: 0, entry: 0 });
        };
        facts
            .binary_search_by(|fact| fact.key().cmp(key))
            .map(|entry| Place { chunk, entry })
            .map_err(|entry| Place { chunk, entry })
    }
}

fn insert_at(chunks: &mut Vec<Chunk>, place: Place, fact: Arc<Fact>) {
    let Place { chunk: at, entry } = place;
    let Some(chunk) = chunks.get_mut(at) else {
        return chunks.push(Arc::new(vec![fact]));
    };
    if chunk.len() < FULL {
        return Arc::make_mut(chunk).insert(entry, fact);
    }
    if entry == FULL {
        // Keys often arrive in order: leave the full chunk full.
        return chunks.insert(at + 1, Arc::new(vec![fact]));
    }
    let left = Arc::make_mut(chunk);
    let mut right = left.split_off(FULL / 2);
    match entry.checked_sub(FULL / 2) {
        Some(entry) => right.insert(entry, fact),
        None => left.insert(entry, fact),
    }
    chunks.insert(at + 1, Arc::new(right));
}

/// Moves the chunk's facts to its left neighbour if they fit well.
fn merge(chunks: &mut Vec<Chunk>, at: usize) {
    let Some(before) = at.checked_sub(1) else { return };
    if chunks[before].len() + chunks[at].len() > FULL / 2 {
        return;
    }
    let chunk = chunks.remove(at);
    Arc::make_mut(&mut chunks[before]).extend(chunk.iter().cloned());
}

/// Of several facts with one key the last one counts.
impl FromIterator<Arc<Fact>> for Facts {
    fn from_iter<T: IntoIterator<Item = Arc<Fact>>>(facts: T) -> Self {
        let mut facts: Vec<_> = facts.into_iter().collect();
        facts.sort_by(|a, b| a.key().cmp(b.key()));
        facts.dedup_by(|later, kept| {
            let same = later.key() == kept.key();
            if same {
                std::mem::swap(later, kept);
            }
            same
        });
        let len = facts.len();
        let chunks = facts.chunks(FULL).map(|chunk| Arc::new(chunk.to_vec())).collect();
        Self { chunks: Arc::new(chunks), len }
    }
}

/// See [`Facts::differences`].
#[derive(Debug)]
pub(super) struct Differences<'a> {
    here: Walk<'a>,
    there: Walk<'a>,
}

#[derive(Debug)]
struct Walk<'a> {
    chunks: &'a [Chunk],
    entry: usize,
}

impl<'a> Walk<'a> {
    fn over(facts: &'a Facts) -> Self {
        Self { chunks: &facts.chunks, entry: 0 }
    }

    /// The chunk that begins here, if one does.
    fn chunk(&self) -> Option<&'a Chunk> {
        self.chunks.first().filter(|_| self.entry == 0)
    }

    fn fact(&self) -> Option<&'a Arc<Fact>> {
        self.chunks.first()?.get(self.entry)
    }

    fn advance(&mut self) {
        self.entry += 1;
        if self.chunks.first().is_none_or(|chunk| self.entry >= chunk.len()) {
            self.next_chunk();
        }
    }

    fn next_chunk(&mut self) {
        self.entry = 0;
        self.chunks = self.chunks.get(1..).unwrap_or_default();
    }
}

impl<'a> Iterator for Differences<'a> {
    type Item = (Option<&'a Arc<Fact>>, Option<&'a Arc<Fact>>);

    fn next(&mut self) -> Option<Self::Item> {
        let Self { here, there } = self;
        loop {
            if let (Some(one), Some(other)) = (here.chunk(), there.chunk())
                && Arc::ptr_eq(one, other)
            {
                here.next_chunk();
                there.next_chunk();
                continue;
            }
            let order = match (here.fact(), there.fact()) {
                (None, None) => return None,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(one), Some(other)) => one.key().cmp(other.key()),
            };
            let found =
                (here.fact().filter(|_| order.is_le()), there.fact().filter(|_| order.is_ge()));
            if order.is_le() {
                here.advance();
            }
            if order.is_ge() {
                there.advance();
            }
            let same = matches!(found, (Some(one), Some(other)) if Arc::ptr_eq(one, other) || one == other);
            if !same {
                return Some(found);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::{
        super::{Body, KindName},
        *,
    };

    type Model = BTreeMap<Key, Arc<Fact>>;

    fn key(number: u16) -> Key {
        Key::new(KindName::new("g.io", "Thing"), &format!("{number:05}"))
    }

    fn fact(key: Key, version: u8) -> Fact {
        Fact::new(key, &version.to_string(), Body::Other)
    }

    fn check(facts: &Facts, model: &Model) {
        assert!(facts.chunks.iter().all(|chunk| !chunk.is_empty() && chunk.len() <= FULL));
        assert_eq!(facts.len(), model.len());
        assert!(facts.iter().eq(model.values()));
        let from = key(300);
        assert!(facts.from(&from, true).eq(model.range(from.clone()..).map(|(_, fact)| fact)));
        let above = model.range(from.clone()..).filter(|(key, _)| **key != from);
        assert!(facts.from(&from, false).eq(above.map(|(_, fact)| fact)));
    }

    proptest! {
        #[test]
        fn behaves_as_a_btree_map_and_so_do_its_copies(
            steps in prop::collection::vec((any::<bool>(), 0_u16..600, 0_u8..3), 0..1500),
            copied in 0_usize..1500,
        ) {
            let (mut facts, mut model) = (Facts::default(), Model::new());
            let mut kept = None;
            for (number, (put, at, version)) in steps.into_iter().enumerate() {
                if number == copied {
                    kept = Some((facts.clone(), model.clone()));
                }
                let key = key(at);
                if put || number % 3 == 0 {
                    let fact = Arc::new(fact(key.clone(), version));
                    prop_assert_eq!(facts.insert(fact.clone()), model.insert(key, fact));
                } else {
                    prop_assert_eq!(facts.remove(&key), model.remove(&key));
                }
            }
            check(&facts, &model);
            let collected: Facts = model.values().cloned().collect();
            check(&collected, &model);
            prop_assert_eq!(facts.differences(&collected).count(), 0);
            if let Some((old, before)) = kept {
                check(&old, &before);
                let keys = before.keys().chain(model.keys()).collect::<std::collections::BTreeSet<_>>();
                let expected: Vec<_> = keys
                    .into_iter()
                    .map(|key| (before.get(key), model.get(key)))
                    .filter(|(old, new)| old != new)
                    .collect();
                prop_assert_eq!(old.differences(&facts).collect::<Vec<_>>(), expected);
            }
        }
    }

    #[test]
    fn the_last_of_several_counts() {
        let all = [fact(key(1), 0), fact(key(0), 1), fact(key(1), 2)].map(Arc::new);
        let facts: Facts = all.iter().cloned().collect();
        assert!(facts.iter().eq([&all[1], &all[2]]));
    }
}
