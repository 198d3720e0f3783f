//! Things by dense ids, which are never given to another thing.

use std::hash::Hash;

use crate::{
    persistent::{Array, Table, hash_of},
    world::{Home, HomeRef, Key, KeyRef, KindName, KindRef},
};

const CHUNK: usize = 256;

/// Things by id, of which one can keep the past.
#[derive(Clone, Debug)]
pub(super) struct Slab<T> {
    chunks: Array<Vec<T>>,
    len: usize,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { chunks: Array::default(), len: 0 }
    }
}

impl<T: Clone> Slab<T> {
    /// How many things there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The thing with an id.
    pub(super) fn get(&self, id: u32) -> Option<&T> {
        self.chunks.get(id as usize / CHUNK)?.get(id as usize % CHUNK)
    }

    /// The thing with an id, to change it.
    pub(super) fn get_mut(&mut self, id: u32) -> Option<&mut T> {
        self.chunks.get_mut(id as usize / CHUNK)?.get_mut(id as usize % CHUNK)
    }

    /// Adds a thing and gives its id.
    pub(super) fn push(&mut self, thing: T) -> u32 {
        // INVARIANT: 2^32 things do not fit into memory beside their names.
        let id = u32::try_from(self.len).unwrap_or(u32::MAX);
        self.len += 1;
        match self.chunks.get_mut(id as usize / CHUNK) {
            Some(chunk) => chunk.push(thing),
            None => {
                let mut chunk = Vec::with_capacity(CHUNK);
                chunk.push(thing);
                self.chunks.push(chunk);
            }
        }
        id
    }

    /// How many bytes it holds, without what things point to.
    pub(super) fn memory(&self) -> usize {
        self.chunks.memory() + self.len.next_multiple_of(CHUNK) * size_of::<T>()
    }
}

/// A thing that can be looked for without making it.
pub(super) trait Named: Clone {
    /// The thing with its names borrowed.
    type Ref<'a>: Copy + Hash
    where
        Self: 'a;

    fn view(&self) -> Self::Ref<'_>;
    fn is(&self, view: Self::Ref<'_>) -> bool;
    fn make(view: Self::Ref<'_>) -> Self;
}

macro_rules! named {
    ($($thing:ident as $view:ident;)+) => {$(
        impl Named for $thing {
            type Ref<'a> = $view<'a>;

            fn view(&self) -> $view<'_> {
                self.into()
            }

            fn is(&self, view: $view<'_>) -> bool {
                self.view() == view
            }

            fn make(view: $view<'_>) -> Self {
                view.to_owned()
            }
        }
    )+};
}

named! {
    KindName as KindRef;
    Key as KeyRef;
    Home as HomeRef;
}

/// Gives ids.
#[derive(Clone, Debug)]
pub(super) struct Interner<T> {
    ids: Table<u32>,
    things: Slab<T>,
}

impl<T: Named> Default for Interner<T> {
    fn default() -> Self {
        Self { ids: Table::for_entries(0), things: Slab::default() }
    }
}

impl<T: Named> Interner<T> {
    /// The id of a thing, if it has one.
    pub(super) fn find(&self, thing: T::Ref<'_>) -> Option<u32> {
        let is_it = |id: &u32| self.things.get(*id).is_some_and(|found| found.is(thing));
        self.ids.find(hash_of(&thing), is_it).copied()
    }

    /// The id of a thing.
    pub(super) fn id(&mut self, thing: T::Ref<'_>) -> u32 {
        if let Some(id) = self.find(thing) {
            return id;
        }
        let id = self.things.push(T::make(thing));
        let things = &self.things;
        let rehash = |id: &u32| things.get(*id).map_or(0, |thing| hash_of(&thing.view()));
        self.ids.add(hash_of(&thing), id, rehash);
        id
    }

    /// The thing with an id.
    pub(super) fn get(&self, id: u32) -> Option<&T> {
        self.things.get(id)
    }

    /// How many ids have been given.
    pub(super) fn len(&self) -> usize {
        self.things.len()
    }

    /// How many bytes it holds, without names.
    pub(super) fn memory(&self) -> usize {
        self.ids.memory() + self.things.memory()
    }
}
