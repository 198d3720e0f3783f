//! Ids in an order that whoever knows what they stand for tells, in chunks that copies share.
//!
//! A change copies one chunk and its group, if a copy still holds them; and to tell two orders that
//! come from one another apart, only the chunks that differ are looked at.

use std::{cmp::Ordering, sync::Arc};

/// Ids in a full chunk.
const FULL: usize = 256;

/// Chunks in a full group.
const GROUP: usize = 256;

type Chunk = Arc<Vec<u32>>;

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct Order {
    /// No group and no chunk is ever empty.
    groups: Arc<Vec<Arc<Vec<Chunk>>>>,
    len: usize,
}

/// A place: of an id, or where one would go.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Place {
    group: usize,
    chunk: usize,
    entry: usize,
}

impl Order {
    /// How many ids there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The id at a place.
    pub(crate) fn get(&self, place: Place) -> Option<u32> {
        self.groups.get(place.group)?.get(place.chunk)?.get(place.entry).copied()
    }

    /// The last id.
    pub(crate) fn last(&self) -> Option<u32> {
        self.groups.last()?.last()?.last().copied()
    }

    /// The place of what an id compares as equal to; as an error, where it would go.
    pub(crate) fn find(&self, mut compare: impl FnMut(u32) -> Ordering) -> Result<Place, Place> {
        let mut begins_later = |id: Option<&u32>| id.is_none_or(|id| compare(*id).is_gt());
        let after = self
            .groups
            .partition_point(|group| !begins_later(group.first().and_then(|c| c.first())));
        let group = after.saturating_sub(1);
        let Some(chunks) = self.groups.get(group) else { return Err(Place::default()) };
        let after = chunks.partition_point(|chunk| !begins_later(chunk.first()));
        let chunk = after.saturating_sub(1);
        let Some(ids) = chunks.get(chunk) else { return Err(Place::default()) };
        let place = |entry| Place { group, chunk, entry };
        ids.binary_search_by(|id| compare(*id)).map(place).map_err(place)
    }

    /// How many ids are before a place.
    pub(crate) fn before(&self, place: Place) -> usize {
        let whole = |chunks: &[Chunk]| chunks.iter().map(|chunk| chunk.len()).sum::<usize>();
        let groups = self.groups.iter().take(place.group).map(|group| whole(group));
        let chunks = self.groups.get(place.group).and_then(|group| group.get(..place.chunk));
        groups.sum::<usize>() + chunks.map_or(0, whole) + place.entry
    }

    /// Puts an id behind all others.
    pub(crate) fn push(&mut self, id: u32) {
        let group = self.groups.len().saturating_sub(1);
        let chunk = self.groups.last().map_or(0, |group| group.len().saturating_sub(1));
        let entry = self.groups.last().and_then(|group| group.last()).map_or(0, |c| c.len());
        self.insert(Place { group, chunk, entry }, id);
    }

    /// Puts an id in the place of another.
    pub(crate) fn set(&mut self, place: Place, id: u32) {
        let groups = Arc::make_mut(&mut self.groups);
        let Some(group) = groups.get_mut(place.group) else { return };
        let Some(chunk) = Arc::make_mut(group).get_mut(place.chunk) else { return };
        if let Some(entry) = Arc::make_mut(chunk).get_mut(place.entry) {
            *entry = id;
        }
    }

    /// Puts an id where it goes.
    pub(crate) fn insert(&mut self, place: Place, id: u32) {
        self.len += 1;
        let groups = Arc::make_mut(&mut self.groups);
        let Some(group) = groups.get_mut(place.group) else {
            return groups.push(Arc::new(vec![Arc::new(vec![id])]));
        };
        let chunks = Arc::make_mut(group);
        insert_into(chunks, place.chunk, place.entry, id);
        if chunks.len() > GROUP {
            // Ids often arrive in order: leave the full group full.
            let keep = if place.chunk + 1 >= GROUP { GROUP } else { GROUP / 2 };
            let rest = chunks.split_off(keep);
            groups.insert(place.group + 1, Arc::new(rest));
        }
    }

    /// Takes an id out.
    pub(crate) fn remove(&mut self, place: Place) {
        self.len -= 1;
        let groups = Arc::make_mut(&mut self.groups);
        let Some(group) = groups.get_mut(place.group) else { return };
        let chunks = Arc::make_mut(group);
        let Some(chunk) = chunks.get_mut(place.chunk) else { return };
        let chunk = Arc::make_mut(chunk);
        chunk.remove(place.entry);
        if chunk.is_empty() {
            chunks.remove(place.chunk);
        } else if chunk.len() < FULL / 4 {
            merge(chunks, place.chunk);
        }
        if chunks.is_empty() {
            groups.remove(place.group);
        }
    }

    /// All ids, from a place on.
    pub(crate) fn from(&self, place: Place) -> impl Iterator<Item = u32> + '_ {
        let groups = self.groups.get(place.group..).unwrap_or_default();
        let first = groups.first().and_then(|group| group.get(place.chunk..)).unwrap_or_default();
        let rest = groups.get(1..).unwrap_or_default().iter().flat_map(|group| group.iter());
        first.iter().chain(rest).flat_map(|chunk| chunk.iter()).copied().skip(place.entry)
    }

    /// The runs of ids here and there that are not one chunk in both, in order. `compare` tells the
    /// order of an id here and one there.
    pub(crate) fn differences<'a>(
        &'a self,
        other: &'a Self,
        compare: impl FnMut(u32, u32) -> Ordering + 'a,
    ) -> impl Iterator<Item = (Option<u32>, Option<u32>)> + 'a {
        Differences { here: Walk::over(self), there: Walk::over(other), compare }
    }

    /// How many bytes it holds.
    pub(crate) fn memory(&self) -> usize {
        let chunks = self.groups.iter().flat_map(|group| group.iter());
        chunks.map(|chunk| chunk.capacity() * size_of::<u32>() + 48).sum()
    }

    #[cfg(test)]
    pub(crate) fn is_well_formed(&self) -> bool {
        let mut chunks = self.groups.iter().flat_map(|group| group.iter());
        self.groups.iter().all(|group| !group.is_empty() && group.len() <= GROUP)
            && chunks.all(|chunk| !chunk.is_empty() && chunk.len() <= FULL)
    }
}

fn insert_into(chunks: &mut Vec<Chunk>, at: usize, entry: usize, id: u32) {
    let Some(chunk) = chunks.get_mut(at) else {
        return chunks.push(Arc::new(vec![id]));
    };
    if chunk.len() < FULL {
        return Arc::make_mut(chunk).insert(entry, id);
    }
    if entry == FULL {
        // Ids often arrive in order: leave the full chunk full.
        return chunks.insert(at + 1, Arc::new(vec![id]));
    }
    let left = Arc::make_mut(chunk);
    let mut right = left.split_off(FULL / 2);
    match entry.checked_sub(FULL / 2) {
        Some(entry) => right.insert(entry, id),
        None => left.insert(entry, id),
    }
    chunks.insert(at + 1, Arc::new(right));
}

/// Moves a chunk's ids to its left neighbour if they fit well.
fn merge(chunks: &mut Vec<Chunk>, at: usize) {
    let Some(before) = at.checked_sub(1) else { return };
    if chunks[before].len() + chunks[at].len() > FULL / 2 {
        return;
    }
    let chunk = chunks.remove(at);
    Arc::make_mut(&mut chunks[before]).extend(chunk.iter());
}

impl FromIterator<u32> for Order {
    fn from_iter<T: IntoIterator<Item = u32>>(ids: T) -> Self {
        let mut order = Self::default();
        ids.into_iter().for_each(|id| order.push(id));
        order
    }
}

/// See [`Order::differences`].
struct Differences<'a, C> {
    here: Walk<'a>,
    there: Walk<'a>,
    compare: C,
}

struct Walk<'a> {
    groups: &'a [Arc<Vec<Chunk>>],
    chunk: usize,
    entry: usize,
}

impl<'a> Walk<'a> {
    fn over(order: &'a Order) -> Self {
        Self { groups: &order.groups, chunk: 0, entry: 0 }
    }

    /// The group that begins here, if one does.
    fn group(&self) -> Option<&'a Arc<Vec<Chunk>>> {
        self.groups.first().filter(|_| self.chunk == 0 && self.entry == 0)
    }

    /// The chunk that begins here, if one does.
    fn chunk(&self) -> Option<&'a Chunk> {
        self.groups.first()?.get(self.chunk).filter(|_| self.entry == 0)
    }

    fn id(&self) -> Option<u32> {
        self.groups.first()?.get(self.chunk)?.get(self.entry).copied()
    }

    fn advance(&mut self) {
        self.entry += 1;
        let chunk = self.groups.first().and_then(|group| group.get(self.chunk));
        if chunk.is_none_or(|chunk| self.entry >= chunk.len()) {
            self.next_chunk();
        }
    }

    fn next_chunk(&mut self) {
        self.entry = 0;
        self.chunk += 1;
        if self.groups.first().is_none_or(|group| self.chunk >= group.len()) {
            self.next_group();
        }
    }

    fn next_group(&mut self) {
        (self.chunk, self.entry) = (0, 0);
        self.groups = self.groups.get(1..).unwrap_or_default();
    }
}

fn is_one<T>(here: Option<&Arc<T>>, there: Option<&Arc<T>>) -> bool {
    matches!((here, there), (Some(one), Some(other)) if Arc::ptr_eq(one, other))
}

impl<C: FnMut(u32, u32) -> Ordering> Iterator for Differences<'_, C> {
    type Item = (Option<u32>, Option<u32>);

    fn next(&mut self) -> Option<Self::Item> {
        let Self { here, there, compare } = self;
        loop {
            if is_one(here.group(), there.group()) {
                here.next_group();
                there.next_group();
                continue;
            }
            if is_one(here.chunk(), there.chunk()) {
                here.next_chunk();
                there.next_chunk();
                continue;
            }
            let (one, other) = (here.id(), there.id());
            let order = match (one, other) {
                (None, None) => return None,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(one), Some(other)) => compare(one, other),
            };
            if order.is_le() {
                here.advance();
            }
            if order.is_ge() {
                there.advance();
            }
            return Some((one.filter(|_| order.is_le()), other.filter(|_| order.is_ge())));
        }
    }
}
