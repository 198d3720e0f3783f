//! Things by dense ids, which are never given to another thing.

use std::{hash::Hash, sync::Arc};

use hashbrown::HashTable;

use super::table::hash_of;

const CHUNK: usize = 256;

/// Things by id, of which one can keep the past.
#[derive(Clone, Debug)]
pub(super) struct Slab<T> {
    chunks: Vec<Arc<Vec<T>>>,
}

impl<T: Clone> Slab<T> {
    /// The thing with an id.
    pub(super) fn get(&self, id: u32) -> Option<&T> {
        self.chunks.get(id as usize / CHUNK).and_then(|chunk| chunk.get(id as usize % CHUNK))
    }

    fn push(&mut self, thing: T) {
        match self.chunks.last_mut().filter(|chunk| chunk.len() < CHUNK) {
            Some(chunk) => Arc::make_mut(chunk).push(thing),
            None => {
                let mut chunk = Vec::with_capacity(CHUNK);
                chunk.push(thing);
                self.chunks.push(Arc::new(chunk));
            }
        }
    }
}

/// Gives ids.
#[derive(Debug)]
pub(super) struct Interner<T> {
    ids: HashTable<u32>,
    things: Slab<T>,
}

impl<T> Default for Interner<T> {
    fn default() -> Self {
        Self { ids: HashTable::new(), things: Slab { chunks: Vec::new() } }
    }
}

impl<T: Clone + Eq + Hash> Interner<T> {
    /// The id of a thing.
    pub(super) fn id(&mut self, thing: &T) -> u32 {
        let hash = hash_of(thing);
        if let Some(id) = self.ids.find(hash, |id| self.things.get(*id) == Some(thing)) {
            return *id;
        }
        // INVARIANT: 2^32 things do not fit into memory beside their names.
        let id = u32::try_from(self.ids.len()).unwrap_or(u32::MAX);
        self.things.push(thing.clone());
        let things = &self.things;
        self.ids.insert_unique(hash, id, |id| things.get(*id).map_or(0, hash_of));
        id
    }

    /// How many ids have been given.
    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    /// The things by id.
    pub(super) fn things(&self) -> &Slab<T> {
        &self.things
    }
}
