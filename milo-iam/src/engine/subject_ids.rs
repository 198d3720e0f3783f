//! Ids of subjects. Those that exist are named by their facts; those that bindings name and that do
//! not exist have names of their own.

use std::sync::Arc;

use crate::{
    persistent::{Table, hash_of},
    world::{Subject, SubjectRef, World},
};

use super::slab::Slab;

/// Stands for the number of a fact when there is none.
const NO_FACT: u32 = u32::MAX;

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct SubjectIds {
    ids: Table<u32>,
    /// By id, the number of a fact that is the subject.
    facts: Slab<u32>,
    /// The others, by id.
    named: Table<(u32, Arc<Subject>)>,
}

fn rehash_named((id, _): &(u32, Arc<Subject>)) -> u64 {
    hash_of(id)
}

impl SubjectIds {
    pub(super) fn for_entries(expected: usize) -> Self {
        Self {
            ids: Table::for_entries(expected),
            facts: Slab::default(),
            named: Table::for_entries(0),
        }
    }

    /// How many ids have been given.
    pub(super) fn len(&self) -> usize {
        self.facts.len()
    }

    /// The subject with an id.
    pub(super) fn get<'a>(&'a self, world: &'a World, id: u32) -> Option<SubjectRef<'a>> {
        subject(world, &self.facts, &self.named, id)
    }

    /// The id of a subject, if it has one.
    pub(super) fn find(&self, world: &World, subject: SubjectRef<'_>) -> Option<u32> {
        let is_it = |id: &u32| self.get(world, *id) == Some(subject);
        self.ids.find(hash_of(&subject), is_it).copied()
    }

    /// The id of a subject that may not exist.
    pub(super) fn id(&mut self, world: &World, subject: SubjectRef<'_>) -> u32 {
        self.find(world, subject).unwrap_or_else(|| {
            let id = self.facts.push(NO_FACT);
            let owned = Arc::new(subject.to_owned());
            self.named.add(hash_of(&id), (id, owned), rehash_named);
            self.index(world, subject, id);
            id
        })
    }

    /// The id of a subject that a fact is.
    pub(super) fn appear(&mut self, world: &World, subject: SubjectRef<'_>, fact: u32) -> u32 {
        let Some(id) = self.find(world, subject) else {
            let id = self.facts.push(fact);
            self.index(world, subject, id);
            return id;
        };
        if let Some(known) = self.facts.get_mut(id) {
            *known = fact;
        }
        self.named.remove(hash_of(&id), |(named, _)| *named == id);
        id
    }

    /// Keeps the name of a subject whose fact goes.
    pub(super) fn vanish(&mut self, world: &World, subject: SubjectRef<'_>) {
        let Some(id) = self.find(world, subject) else { return };
        let owned = Arc::new(subject.to_owned());
        self.named.put(hash_of(&id), (id, owned), |(named, _)| *named == id, rehash_named);
        if let Some(known) = self.facts.get_mut(id) {
            *known = NO_FACT;
        }
    }

    fn index(&mut self, world: &World, new: SubjectRef<'_>, id: u32) {
        let (facts, named) = (&self.facts, &self.named);
        let rehash = |id: &u32| subject(world, facts, named, *id).map_or(0, |s| hash_of(&s));
        self.ids.add(hash_of(&new), id, rehash);
    }

    /// How many bytes it holds, without the names of those that do not exist.
    pub(super) fn memory(&self) -> usize {
        self.ids.memory() + self.facts.memory() + self.named.memory()
    }
}

fn subject<'a>(
    world: &'a World,
    facts: &Slab<u32>,
    named: &'a Table<(u32, Arc<Subject>)>,
    id: u32,
) -> Option<SubjectRef<'a>> {
    match *facts.get(id)? {
        NO_FACT => {
            let found = named.find(hash_of(&id), |(named, _)| *named == id);
            found.map(|(_, subject)| SubjectRef::from(&**subject))
        }
        fact => world.at(fact)?.as_subject(),
    }
}
