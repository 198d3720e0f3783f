//! The state of a store while it is read back from its log.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use foldhash::fast::RandomState;

use super::row::Row;
use crate::{
    key::Key,
    storage::{
        Revision,
        chunks::{Chunks, Entry},
        index::{Change, Index, Position},
    },
};

/// Takes in logged changes, in commit order. Keys are put in order only once, at the end: a look
/// into a hash map instead of a search among all keys is what makes a large store open quickly.
#[derive(Debug)]
pub(super) struct Restoring {
    floor: Revision,
    revision: Revision,
    /// By when the key was first seen; none for what was removed.
    values: Vec<Option<(Position, Bytes)>>,
    /// Where in `values` a key's is.
    places: HashMap<Bytes, usize, RandomState>,
    changes: VecDeque<Change>,
}

impl Restoring {
    /// An empty store with this compaction floor.
    pub(super) fn new(floor: Revision) -> Self {
        Self {
            floor,
            revision: floor.max(Revision::FIRST),
            values: Vec::new(),
            places: HashMap::default(),
            changes: VecDeque::new(),
        }
    }

    /// Takes in the next change. Returns false when it does not fit to what came before.
    pub(super) fn take(&mut self, position: Position, row: &Row<'_>) -> bool {
        let known = self.places.get_key_value(row.key).map(|(key, place)| (key.clone(), *place));
        let found = known.as_ref().and_then(|(_, place)| self.values.get(*place)?.as_ref());
        let found = found.map(|value| value.0);
        let history = position.revision > self.floor;
        if history && found != row.previous {
            return false;
        }
        let (key, place) = known.unwrap_or_else(|| self.add(row.key));
        if history || found.is_some() || row.value.is_none() {
            let key = Key::from_storage(key);
            self.changes.push_back(Change::new(key, position, found, row.value.is_none()));
        }
        if let Some(value) = self.values.get_mut(place) {
            *value = row.value().map(|value| (position, value));
        }
        self.revision = self.revision.max(position.revision);
        true
    }

    fn add(&mut self, key: &[u8]) -> (Bytes, usize) {
        let (key, place) = (Bytes::copy_from_slice(key), self.values.len());
        self.places.insert(key.clone(), place);
        self.values.push(None);
        (key, place)
    }

    /// The state, at `revision` or, if that is later, at that of the last change.
    pub(super) fn finish(self, revision: Revision) -> Index {
        let Self { floor, revision: last, values, places, changes } = self;
        let mut keys = vec![Bytes::new(); values.len()];
        for (key, place) in places {
            if let Some(slot) = keys.get_mut(place) {
                *slot = key;
            }
        }
        let entries = keys.into_iter().zip(values).filter_map(|(key, value)| {
            let (position, value) = value?;
            Some(Entry { key: Key::from_storage(key), value, position })
        });
        Index::restored(Chunks::of(entries.collect()), changes, last.max(revision), floor)
    }
}
