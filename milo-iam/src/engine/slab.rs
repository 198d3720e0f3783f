//! Things by dense ids, which are never given to another thing.

use std::{hash::Hash, sync::Arc};

use crate::{
    persistent::{Array, Hashed, Table, hash_of},
    world::{Home, HomeRef, Key, KeyRef, KindName, KindRef},
};

const CHUNK: usize = 256;

/// Things by id, of which one can keep the past.
#[derive(Clone, Debug)]
pub(super) struct Slab<T> {
    chunks: Array<[T]>,
    /// What does not fill a chunk yet.
    last: Vec<T>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { chunks: Array::default(), last: Vec::new() }
    }
}

impl<T: Clone> Slab<T> {
    /// How many things there are.
    pub(super) fn len(&self) -> usize {
        self.chunks.len() * CHUNK + self.last.len()
    }

    /// The thing with an id.
    #[inline]
    pub(super) fn get(&self, id: u32) -> Option<&T> {
        let (chunk, at) = (id as usize / CHUNK, id as usize % CHUNK);
        match self.chunks.get(chunk) {
            Some(things) => things.get(at),
            None => self.last.get(at).filter(|_| chunk == self.chunks.len()),
        }
    }

    /// Puts a thing in the place of the one with an id.
    pub(super) fn set(&mut self, id: u32, thing: T) {
        let (chunk, at) = (id as usize / CHUNK, id as usize % CHUNK);
        if let Some(things) = self.chunks.get(chunk) {
            let mut things: Arc<[T]> = things.into();
            if let Some(place) = Arc::make_mut(&mut things).get_mut(at) {
                *place = thing;
            }
            self.chunks.set(chunk, things);
        } else if chunk == self.chunks.len()
            && let Some(place) = self.last.get_mut(at)
        {
            *place = thing;
        }
    }

    /// Adds a thing and gives its id.
    pub(super) fn push(&mut self, thing: T) -> u32 {
        // INVARIANT: 2^32 things do not fit into memory beside their names.
        let id = u32::try_from(self.len()).unwrap_or(u32::MAX);
        self.last.push(thing);
        if self.last.len() == CHUNK {
            self.chunks.push(std::mem::take(&mut self.last).into());
        }
        id
    }

    /// How many bytes it holds, without what things point to.
    pub(super) fn memory(&self) -> usize {
        self.chunks.memory() + self.len() * size_of::<T>()
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
    ids: Table<Hashed>,
    things: Slab<T>,
}

impl<T: Named> Default for Interner<T> {
    fn default() -> Self {
        Self { ids: Table::default(), things: Slab::default() }
    }
}

impl<T: Named> Interner<T> {
    /// The id of a thing, if it has one.
    pub(super) fn find(&self, thing: T::Ref<'_>) -> Option<u32> {
        let is_it = |id: &Hashed| self.things.get(id.number).is_some_and(|found| found.is(thing));
        self.ids.find(hash_of(&thing), is_it).map(|id| id.number)
    }

    /// The id of a thing.
    pub(super) fn id(&mut self, thing: T::Ref<'_>) -> u32 {
        if let Some(id) = self.find(thing) {
            return id;
        }
        let number = self.things.push(T::make(thing));
        self.ids.add(Hashed { hash: hash_of(&thing), number });
        number
    }

    /// Ends the time in which much is added at once.
    pub(super) fn settle(&mut self) {
        self.ids.settle();
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
