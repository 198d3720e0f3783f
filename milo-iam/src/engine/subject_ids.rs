//! Ids of subjects. Those that exist are named by their facts; those that bindings name and that do
//! not exist have names of their own.

use std::sync::Arc;

use crate::{
    persistent::{Fingerprint, Hashed, Kept, Table, hash_of},
    world::{Subject, SubjectRef, World},
};

use super::slab::Slab;

/// Stands for the number of a fact when there is none.
const NO_FACT: u32 = u32::MAX;

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct SubjectIds {
    ids: Table<Hashed>,
    /// By id, the number of a fact that is the subject.
    facts: Slab<u32>,
    /// The others, by id.
    named: Table<Kept<Subject>>,
}

impl SubjectIds {
    /// Makes room for subjects that will come.
    pub(super) fn reserve(&mut self, subjects: usize) {
        self.ids.reserve(subjects);
    }

    /// Ends the time in which much is added at once.
    pub(super) fn settle(&mut self) {
        self.ids.settle();
        self.named.settle();
    }

    /// How many ids have been given.
    pub(super) fn len(&self) -> usize {
        self.facts.len()
    }

    /// The subject with an id.
    pub(super) fn get<'a>(&'a self, world: &'a World, id: u32) -> Option<SubjectRef<'a>> {
        match *self.facts.get(id)? {
            NO_FACT => self.named.kept(Fingerprint::of_id(id)).map(|subject| (&**subject).into()),
            fact => world.at(fact)?.as_subject(),
        }
    }

    fn find(&self, world: &World, subject: SubjectRef<'_>, hash: u32) -> Option<u32> {
        let is_it = |id: &Hashed| self.get(world, id.number) == Some(subject);
        self.ids.find(hash, is_it).map(|id| id.number)
    }

    /// The id of a subject that may not exist.
    pub(super) fn id(&mut self, world: &World, subject: SubjectRef<'_>) -> u32 {
        let hash = hash_of(&subject);
        self.find(world, subject, hash).unwrap_or_else(|| {
            let id = self.facts.push(NO_FACT);
            self.named.keep(Fingerprint::of_id(id), Arc::new(subject.to_owned()));
            self.ids.add(Hashed { hash, number: id });
            id
        })
    }

    /// The id of a subject that a fact is.
    pub(super) fn appear(&mut self, world: &World, subject: SubjectRef<'_>, fact: u32) -> u32 {
        let hash = hash_of(&subject);
        let Some(id) = self.find(world, subject, hash) else {
            let id = self.facts.push(fact);
            self.ids.add(Hashed { hash, number: id });
            return id;
        };
        self.facts.set(id, fact);
        self.named.drop_kept(Fingerprint::of_id(id));
        id
    }

    /// Keeps the name of a subject whose fact goes.
    pub(super) fn vanish(&mut self, world: &World, subject: SubjectRef<'_>) {
        let Some(id) = self.find(world, subject, hash_of(&subject)) else { return };
        let owned = Arc::new(subject.to_owned());
        self.named.keep(Fingerprint::of_id(id), owned);
        self.facts.set(id, NO_FACT);
    }

    /// How many bytes it holds, without the names of those that do not exist.
    pub(super) fn memory(&self) -> usize {
        self.ids.memory() + self.facts.memory() + self.named.memory()
    }
}
